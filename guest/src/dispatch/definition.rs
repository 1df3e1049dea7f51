//! What an operation is: the trait that each implements, and the value that the table
//! holds of it.

use schemars::JsonSchema;
#[cfg(test)]
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call;
#[cfg(test)]
use super::input;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::context::Context;
use crate::error::Result;

/// One operation. The type itself is its input.
pub trait Operation: DeserializeOwned + JsonSchema {
    /// Its name: `user-auth_<name>` is the tool.
    const NAME: &'static str;
    /// Its name for people.
    const TITLE: &'static str;
    /// What it does to the world.
    const EFFECT: Effect;
    /// What it requires of its caller.
    const REQUIRES: Requirement;
    /// What it gives.
    type Output: Serialize + JsonSchema;

    /// Does it.
    fn run(self, context: &ActorContext) -> Result<Self::Output>;
}

/// What an operation does to the world: the hints of an MCP tool. An operation is
/// called destructive if it ends or replaces something, or lets an account or a key do
/// more than before: a client should ask its user first. No operation reaches beyond
/// this service and the owners of its accounts (`openWorldHint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Reads,
    /// It adds something at each call, and no account or key can do more than before.
    Adds,
    /// It lets an account do more than before, or makes a credential that acts for one.
    Widens,
    /// It ends or replaces something, each time anew.
    Replaces,
    /// It ends something; doing so twice is doing so once.
    Ends,
}

impl Effect {
    /// As the annotations of an MCP tool.
    pub fn annotations(self, title: &str) -> Value {
        json!({
            "title": title,
            "readOnlyHint": self == Effect::Reads,
            "destructiveHint": !matches!(self, Effect::Reads | Effect::Adds),
            "idempotentHint": matches!(self, Effect::Reads | Effect::Ends),
            "openWorldHint": false,
        })
    }
}

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
