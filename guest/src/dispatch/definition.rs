//! An operation as a value of the table.

#[cfg(test)]
use schemars::JsonSchema;
#[cfg(test)]
use schemars::generate::SchemaSettings;
use serde_json::Value;
#[cfg(test)]
use serde_json::json;

use super::call;
#[cfg(test)]
use super::input;
use super::operation::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::context::Context;
use crate::error::Result;

/// An operation as a value.
pub struct Definition {
    /// [`Operation::NAME`]
    pub name: &'static str,
    /// [`Operation::TITLE`]
    pub title: &'static str,
    /// [`Operation::EFFECT`]
    pub effect: Effect,
    /// The schemas of input and output, made of the types.
    #[cfg(test)]
    pub(crate) schemas: fn() -> (Value, Value),
    /// [`Operation::REQUIRES`]
    pub requires: Requirement,
    /// Runs it on an input that is yet to be parsed.
    pub invoke: fn(Value, &Context) -> Result<Value>,
}

#[cfg(test)]
impl Definition {
    /// JSON Schema (2020-12) of the input, with what is secret in it.
    pub fn input_schema(&self) -> Value {
        (self.schemas)().0
    }

    /// JSON Schema (2020-12) of the output.
    pub fn output_schema(&self) -> Value {
        (self.schemas)().1
    }
}

/// An operation as a value of the table.
pub const fn define<O: Operation>() -> Definition {
    Definition {
        name: O::NAME,
        title: O::TITLE,
        effect: O::EFFECT,
        #[cfg(test)]
        schemas: || {
            let output = SchemaSettings::draft2020_12().for_serialize();
            (input_schema::<O>(), schema::<O::Output>(output))
        },
        requires: O::REQUIRES,
        invoke: call::invoke_one::<O>,
    }
}

/// What an operation takes: its own fields, and where it requires a caller a
/// field to say who that is, for clients that cannot set headers.
#[cfg(test)]
fn input_schema<O: Operation>() -> Value {
    let mut schema = schema::<O>(SchemaSettings::draft2020_12());
    if O::REQUIRES != Requirement::Nothing {
        schema["properties"][input::CALLER] = json!({
            "type": "string",
            "format": "password",
            "description": "The access token of who calls; leave it out where a header says so.",
        });
    }
    schema
}

/// With all types in place, for clients that do not follow references.
#[cfg(test)]
fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}
