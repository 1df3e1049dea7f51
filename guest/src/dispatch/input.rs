//! Parses JSON into the input of an operation, or lists the problems of its fields.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::lenient;
use super::schemas::{self, required};
use crate::domain::access::actor::Requirement;
use crate::domain::caller::{Caller, Principal};
use crate::error::{AuthError, FieldError, Result};
use crate::json::{self, Fields, Mismatch, Node};
use crate::types::secret::Secret;

/// Maximum number of problems reported for one input.
const MAX_PROBLEMS: usize = 20;

/// Returns the input, or -32000 with every field that is missing, unknown or malformed.
pub fn parse<T: DeserializeOwned>(operation: &str, input: Node) -> Result<T> {
    read(input, || schemas::shape(operation)).map_err(AuthError::invalid)
}

/// Returns a value of the type with this schema, or the problem of each field.
pub fn read<T: DeserializeOwned>(
    input: Node,
    schema: impl FnOnce() -> Value,
) -> std::result::Result<T, Vec<FieldError>> {
    let Some(fields) = input.into_fields() else {
        return Err(vec![whole("expected an object")]);
    };
    let mut input = Node::Object(fields);
    // The common case first: the schema is expensive to read, and only needed for an input
    // that does not fit its type.
    if let Ok(read) = json::from_node(&input) {
        return Ok(read);
    }
    let schema = schema();
    lenient::adapt(&mut input, &schema);
    json::from_node(&input).map_err(|first| {
        let again = |input: &Node| json::from_node::<T>(input).err();
        problems(input, &schema, &first, &again)
    })
}

/// The input field for the caller's access token, in operations that require a caller.
pub const CALLER: &str = "access_token";

/// Removes the caller's access token from the input, and returns the caller it names.
pub fn take_caller(
    requires: Requirement,
    input: &mut Node,
    caller: &Caller,
) -> Result<Option<Caller>> {
    if requires == Requirement::Nothing {
        return Ok(None);
    }
    let token = match input {
        Node::Object(fields) => fields.remove(CALLER),
        _ => None,
    };
    match token {
        None => Ok(None),
        Some(Node::Text(token)) => Ok(Some(Caller {
            principal: Principal::AccessToken(Secret::new(token.into_owned())),
            source: caller.source,
        })),
        // A caller that looked for its token in the wrong place and sends null must not
        // become the operator.
        Some(Node::Null) if !matches!(caller.principal, Principal::Operator) => Ok(None),
        Some(_) => Err(AuthError::invalid(vec![FieldError::new(
            CALLER,
            "expected a string",
        )])),
    }
}

/// Returns the beginning of a caller's text, long enough to recognise it.
pub fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Returns the error for an input with neither or both of two fields, of which exactly
/// one is required.
pub fn not_one_of(first: &str, second: &str) -> AuthError {
    let problem = format!("expected either {first} or {second}");
    let fields = [first, second];
    AuthError::invalid(fields.map(|field| FieldError::new(field, &problem)).into())
}

#[inline(never)]
fn problems(
    input: Node,
    schema: &Value,
    first: &Mismatch,
    again: &dyn Fn(&Node) -> Option<Mismatch>,
) -> Vec<FieldError> {
    let Node::Object(mut fields) = input else {
        return vec![whole("expected an object")];
    };
    let mut problems = missing(&fields, schema);
    problems.extend(take_unknown(&mut fields, schema));
    problems.extend(take_malformed(fields, again));
    problems.truncate(MAX_PROBLEMS);
    if problems.is_empty() {
        problems.push(whole(&without_value(first)));
    }
    problems
}

fn whole(problem: &str) -> FieldError {
    FieldError {
        path: "$".to_owned(),
        problem: problem.to_owned(),
    }
}

fn missing(fields: &Fields, schema: &Value) -> Vec<FieldError> {
    let required = required(schema).into_iter();
    required
        .filter(|name| !fields.contains(name))
        .map(|name| FieldError::new(name, "is missing"))
        .collect()
}

fn take_unknown(fields: &mut Fields, schema: &Value) -> Vec<FieldError> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let known: Vec<&str> = properties.map(|(name, _)| name.as_str()).collect();
    let mut problems = Vec::new();
    fields.retain(|name, _| {
        let is_known = known.contains(&name);
        if !is_known && problems.len() < MAX_PROBLEMS {
            let problem = match known.is_empty() {
                true => "is not known; there are no fields".to_owned(),
                false => format!("is not known; the fields are: {}", known.join(", ")),
            };
            problems.push(FieldError::new(&shortened(name), problem));
        }
        is_known
    });
    problems
}

/// Parsing stops at the first malformed field, so this removes that field and parses
/// again.
fn take_malformed(
    mut fields: Fields,
    again: &dyn Fn(&Node) -> Option<Mismatch>,
) -> Vec<FieldError> {
    let mut problems = Vec::new();
    loop {
        let input = Node::Object(fields);
        let Some(mismatch) = again(&input) else {
            return problems;
        };
        let field = mismatch.path.split_once(['.', '[']);
        let field = field.map_or(mismatch.path.as_str(), |(field, _)| field);
        let Node::Object(rest) = input else {
            return problems;
        };
        fields = rest;
        if fields.remove(field).is_none() {
            return problems;
        }
        let problem = without_value(&mismatch);
        problems.push(FieldError::new(&mismatch.path, problem));
    }
}

/// Returns what was expected, without the value that was sent, which may be a password.
fn without_value(mismatch: &Mismatch) -> String {
    match mismatch.problem.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => mismatch.problem.clone(),
    }
}
