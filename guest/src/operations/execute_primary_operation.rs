use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Effect, Operation, TABLE};
use crate::domain::context::Context;
use crate::error::{AuthError, FieldError, Result};

/// Runs any operation, named in `data.operation`, with the rest of `data` as its
/// input. With `username` and `password` and no operation it logs in. For
/// clients that want one tool for all; `get_capabilities` tells what there is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutePrimaryOperation {
    /// `operation`, and the input of that operation beside it.
    pub data: Map<String, Value>,
}

impl Operation for ExecutePrimaryOperation {
    const NAME: &'static str = "execute_primary_operation";
    const TITLE: &'static str = "Run an operation";
    // It may be any of the others.
    const EFFECT: Effect = Effect::Replaces;
    type Output = Map<String, Value>;

    fn run(mut self, context: &Context) -> Result<Map<String, Value>> {
        let name = match self.data.remove("operation") {
            Some(Value::String(name)) => name,
            None if self.data.contains_key("username") && self.data.contains_key("password") => {
                "login".to_owned()
            }
            other => return Err(no_operation(&self.data, other.is_some())),
        };
        let definition = super::find(&name).filter(|definition| definition.name != Self::NAME);
        let Some(definition) = definition else {
            return Err(unknown_operation(&name));
        };
        match (definition.invoke)(Value::Object(self.data), context)? {
            Value::Object(output) => Ok(output),
            // No operation gives anything but an object.
            other => Ok(Map::from_iter([("result".to_owned(), other)])),
        }
    }
}

fn no_operation(data: &Map<String, Value>, wrong_type: bool) -> AuthError {
    let mut fields = vec![FieldError::new(
        "data.operation",
        if wrong_type {
            "expected the name of an operation"
        } else {
            "is missing; without it, username and password log in"
        },
    )];
    for field in ["username", "password"] {
        if !wrong_type && !data.contains_key(field) {
            fields.push(FieldError::new(&format!("data.{field}"), "is missing"));
        }
    }
    with_operations(AuthError::invalid(fields))
}

fn unknown_operation(name: &str) -> AuthError {
    let problem = format!("'{}' is no operation", super::shortened(name));
    with_operations(AuthError::invalid(vec![FieldError::new(
        "data.operation",
        problem,
    )]))
}

fn with_operations(error: AuthError) -> AuthError {
    let names = TABLE.iter().map(|definition| definition.name);
    let others = names.filter(|name| *name != ExecutePrimaryOperation::NAME);
    error.detail("operations", others.collect::<Vec<_>>())
}
