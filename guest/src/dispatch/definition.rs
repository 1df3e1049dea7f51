//! The entries of the table of operations, and the schemas of their inputs and outputs.

#[cfg(test)]
use schemars::generate::SchemaSettings;
#[cfg(test)]
use schemars::transform::RecursiveTransform;
#[cfg(test)]
use schemars::{JsonSchema, Schema};
#[cfg(test)]
use serde_json::{Value, json};

use super::call;
#[cfg(test)]
use super::input;
use super::operation::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::toolset::{Offer, Toolset, Withheld};
use crate::domain::call::Call;
use crate::error::Result;
use crate::json::{JsonText, Node};

/// An operation as an entry of [`TABLE`](crate::operations::TABLE).
pub struct Definition {
    /// [`Operation::NAME`]
    pub name: &'static str,
    /// [`Operation::TITLE`]
    pub title: &'static str,
    /// [`Operation::TOOLSET`]
    pub toolset: Option<Toolset>,
    /// [`Operation::TAKES_PASSWORD`]
    pub takes_password: bool,
    /// [`Operation::EFFECT`]
    pub effect: Effect,
    /// Generates the schemas of input and output from the types.
    #[cfg(test)]
    pub(crate) schemas: fn() -> (Value, Value),
    /// [`Operation::REQUIRES`]
    pub requires: Requirement,
    /// Parses an input and runs the operation on it.
    pub invoke: fn(Node, &Call) -> Result<JsonText>,
}

impl Definition {
    /// Returns why an offer withholds this operation, or `None` if it does not.
    pub fn withheld(&self, offer: Offer) -> Option<Withheld> {
        if self.takes_password && offer.without_passwords {
            return Some(Withheld::Password);
        }
        offer.withholds(self.toolset, self.effect == Effect::Reads)
    }
}

#[cfg(test)]
impl Definition {
    /// Returns the JSON Schema (2020-12) of the input, including which fields are secret.
    pub fn input_schema(&self) -> Value {
        (self.schemas)().0
    }

    /// Returns the JSON Schema (2020-12) of the output.
    pub fn output_schema(&self) -> Value {
        (self.schemas)().1
    }
}

/// Returns the table entry of an operation.
pub const fn define<O: Operation>() -> Definition {
    Definition {
        name: O::NAME,
        title: O::TITLE,
        toolset: O::TOOLSET,
        takes_password: O::TAKES_PASSWORD,
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

/// Returns the schema of an input: the operation's own fields and, if it requires a
/// caller, the field for the access token, for clients that cannot set headers.
#[cfg(test)]
fn input_schema<O: Operation>() -> Value {
    let mut schema = schema::<O>(SchemaSettings::draft2020_12());
    if O::REQUIRES != Requirement::Nothing {
        schema["properties"][input::CALLER] = json!({
            "type": "string",
            "format": "password",
            "description": "The caller's access token, unless the header has it.",
        });
    }
    schema
}

/// Returns a schema with all types inlined, for clients that do not follow references.
/// Doc comments are wrapped, but descriptions are not: the lines of each paragraph are joined.
#[cfg(test)]
fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let join_lines = |schema: &mut Schema| {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            let paragraphs = description.split("\n\n");
            let paragraphs: Vec<String> = paragraphs.map(|it| it.replace('\n', " ")).collect();
            *description = paragraphs.join("\n\n");
        }
    };
    let settings = settings
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(join_lines));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}
