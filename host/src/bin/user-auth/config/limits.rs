//! `limits`: the table of `user_auth_host::Limits`, as numbers in a file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

/// The resources that a component, a client or a caller may use. Whole numbers, with
/// the unit in the name: `_bytes`, `_kib` or `_ms`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits(pub(crate) user_auth_host::Limits);

impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let numbers = BTreeMap::<String, u64>::deserialize(input)?;
        let mut limits = user_auth_host::Limits::default();
        for (key, number) in numbers {
            if !limits.set(&key, number) {
                let problem = format!("`{key}` cannot be {number}");
                return Err(de::Error::custom(problem));
            }
        }
        Ok(Self(limits))
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let table = self.0.table();
        output.collect_map(table.into_iter().map(|limit| (limit.key, limit.number)))
    }
}

impl JsonSchema for Limits {
    fn schema_name() -> Cow<'static, str> {
        "Limits".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let table = user_auth_host::Limits::default().table();
        let properties: Map<String, Value> = table
            .into_iter()
            .map(|limit| {
                let schema = json!({
                    "description": limit.description,
                    "type": "integer",
                    "minimum": 1,
                    "maximum": limit.maximum,
                    "default": limit.number,
                });
                (limit.key, schema)
            })
            .collect();
        let mut schema = Schema::default();
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        schema.insert("additionalProperties".to_owned(), false.into());
        schema
    }
}
