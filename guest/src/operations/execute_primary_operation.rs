use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Effect, Missing, Offer, Operation, Toolset};
use crate::dispatch::input;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::error::{AuthError, Cause, ErrorKind, FieldError, Result};
use crate::json::{Fields, JsonText, Node, WriteJson};

/// Runs any operation by its name, for clients that want a single tool. Put the name into
/// `data.operation` and the operation's input into the other fields of `data`.
/// `get_capabilities` lists the operations.
///
/// With `username` and `password` but no operation, it logs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// `data` is required in the schema only: the error for a call without it lists the
// operations.
#[schemars(extend("required" = ["data"]))]
pub struct ExecutePrimaryOperation {
    /// `operation`, and beside it the input of that operation.
    // The record of the operation that runs shows what it holds.
    #[serde(default)]
    #[schemars(schema_with = "data", extend("writeOnly" = true))]
    pub data: Value,
}

/// Returns the schema of `data`, as far as it is the same for all operations.
fn data(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "operation": {
                "type": "string",
                "description": "The name of the operation, such as `register`.",
            },
            "username": {
                "type": "string",
                "description": "The user name, for operations that take one.",
            },
            "password": {
                "type": "string",
                "format": "password",
                "description": "The password, for operations that take one.",
            },
        },
        "additionalProperties": true,
    })
}

/// The output of the operation that ran, as it is.
pub struct Output(JsonText);

impl WriteJson for Output {
    fn write_json(&self, to: &mut Vec<u8>) {
        self.0.write_json(to);
    }
}

impl JsonSchema for Output {
    fn schema_name() -> Cow<'static, str> {
        Map::<String, Value>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Map::<String, Value>::json_schema(generator)
    }
}

impl Operation for ExecutePrimaryOperation {
    const NAME: &'static str = "execute_primary_operation";
    const TITLE: &'static str = "Run an operation";
    const TOOLSET: Option<Toolset> = None;
    // The most severe effect, since it may run any other operation.
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Output;

    fn run(self, call: &ActorCall) -> Result<Output> {
        let Node::Object(mut data) = Node::from(&self.data).unquoted() else {
            return Err(with_operations(
                AuthError::invalid(vec![FieldError::new(
                    "data",
                    "expected an object with the field operation",
                )]),
                call.offer,
            ));
        };
        let name = match data.remove("operation") {
            Some(Node::Text(name)) => name,
            None | Some(Node::Null) if data.contains("username") && data.contains("password") => {
                "login".into()
            }
            other => {
                let is_wrong = other.is_some_and(|given| !given.is_null());
                return Err(no_operation(&data, is_wrong, call.offer));
            }
        };
        let definition = match super::offered(&name, call.offer) {
            Ok(definition) if definition.name != Self::NAME => definition,
            Ok(_) => return Err(unknown_operation(&name, Missing::Unknown, call.offer)),
            Err(missing) => return Err(unknown_operation(&name, missing, call.offer)),
        };
        let output = (definition.invoke)(Node::Object(data), call);
        output.map(Output).map_err(within_data)
    }
}

/// Adjusts the paths of invalid fields to the input of this operation.
fn within_data(mut error: AuthError) -> AuthError {
    if let ErrorKind::Invalid(fields) = &mut error.kind {
        for field in fields {
            if let Some(path) = field.path.strip_prefix('$') {
                field.path = format!("$.data{path}");
            }
        }
    }
    error
}

fn no_operation(data: &Fields, wrong_type: bool, offer: Offer) -> AuthError {
    let mut fields = vec![FieldError::new(
        "data.operation",
        if wrong_type {
            "expected the name of an operation"
        } else {
            "is missing; without it, only a login with username and password is possible"
        },
    )];
    for field in ["username", "password"] {
        if !wrong_type && !data.contains(field) {
            fields.push(FieldError::new(&format!("data.{field}"), "is missing"));
        }
    }
    with_operations(AuthError::invalid(fields), offer)
}

fn unknown_operation(name: &str, missing: Missing, offer: Offer) -> AuthError {
    let problem = format!("'{}' is not an operation", input::shortened(name));
    let field = FieldError::new("data.operation", missing.explain(&problem));
    let error = with_operations(AuthError::invalid(vec![field]), offer);
    match missing.action() {
        None => error,
        Some(action) => error.detail("action", action),
    }
}

fn with_operations(error: AuthError, offer: Offer) -> AuthError {
    let others = super::names(offer).filter(|name| *name != ExecutePrimaryOperation::NAME);
    error
        .because(Cause::UnknownOperation)
        .detail("operations", others.collect::<Vec<_>>())
}
