//! Parses JSON into the input of an operation, or lists the problems of its fields.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::schemas;
use crate::domain::access::actor::Requirement;
use crate::domain::caller::{Caller, Principal};
use crate::error::{AuthError, FieldError, Result};
use crate::json::{self, Mismatch};
use crate::types::secret::Secret;

/// Maximum number of problems reported for one input.
const MAX_PROBLEMS: usize = 20;

/// Returns the input, or -32000 with every field that is missing, unknown or malformed.
pub fn parse<T: DeserializeOwned>(operation: &str, input: Value) -> Result<T> {
    read(input, || schemas::shape(operation)).map_err(AuthError::invalid)
}

/// Returns a value of the type with this schema, or the problem of each field.
pub fn read<T: DeserializeOwned>(
    input: Value,
    schema: impl FnOnce() -> Value,
) -> std::result::Result<T, Vec<FieldError>> {
    let Ok(fields) = json::into_fields(input) else {
        return Err(vec![whole("expected an object")]);
    };
    let mut input = Value::Object(fields);
    // The common case first: the schema is expensive to read, and only needed for invalid
    // input.
    if let Ok(read) = json::from_value(&input) {
        return Ok(read);
    }
    let schema = schema();
    drop_nulls(&mut input, &schema);
    json::from_value(&input).map_err(|first| {
        let again = |input: &Value| json::from_value::<T>(input).err();
        problems(input, &schema, &first, &again)
    })
}

/// Removes optional fields that are null, because many callers send every field they
/// know. Null in required or unknown fields stays and is reported.
fn drop_nulls(input: &mut Value, schema: &Value) {
    match input {
        Value::Object(fields) => {
            let optional = optional_fields(schema);
            fields.retain(|name, value| !(value.is_null() && optional.contains(&name.as_str())));
            for (name, value) in fields {
                drop_nulls(value, &schema["properties"][name]);
            }
        }
        Value::Array(items) => {
            for item in items {
                drop_nulls(item, &schema["items"]);
            }
        }
        _ => {}
    }
}

fn optional_fields(schema: &Value) -> Vec<&str> {
    let required = required_fields(schema);
    let properties = schema["properties"].as_object().into_iter().flatten();
    let names = properties.map(|(name, _)| name.as_str());
    names.filter(|name| !required.contains(name)).collect()
}

fn required_fields(schema: &Value) -> Vec<&str> {
    let required = schema["required"].as_array().into_iter().flatten();
    required.filter_map(Value::as_str).collect()
}

/// The input field for the caller's access token, in operations that require a caller.
pub const CALLER: &str = "access_token";

/// Removes the caller's access token from the input, and returns the caller it names.
pub fn take_caller(
    requires: Requirement,
    input: &mut Value,
    caller: &Caller,
) -> Result<Option<Caller>> {
    if requires == Requirement::Nothing {
        return Ok(None);
    }
    match input
        .as_object_mut()
        .and_then(|fields| fields.remove(CALLER))
    {
        None => Ok(None),
        Some(Value::String(token)) => Ok(Some(Caller {
            principal: Principal::AccessToken(Secret::new(token)),
            source: caller.source.clone(),
        })),
        // A caller that looked for its token in the wrong place and sends null must not
        // become the operator.
        Some(Value::Null) if !matches!(caller.principal, Principal::Operator) => Ok(None),
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
    input: Value,
    schema: &Value,
    first: &Mismatch,
    again: &dyn Fn(&Value) -> Option<Mismatch>,
) -> Vec<FieldError> {
    let Value::Object(mut fields) = input else {
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

fn missing(fields: &Map<String, Value>, schema: &Value) -> Vec<FieldError> {
    let required = required_fields(schema).into_iter();
    required
        .filter(|name| !fields.contains_key(*name))
        .map(|name| FieldError::new(name, "is missing"))
        .collect()
}

fn take_unknown(fields: &mut Map<String, Value>, schema: &Value) -> Vec<FieldError> {
    let known: Vec<&String> = schema["properties"]
        .as_object()
        .map(|properties| properties.keys().collect())
        .unwrap_or_default();
    let mut problems = Vec::new();
    fields.retain(|name, _| {
        let is_known = known.contains(&name);
        if !is_known && problems.len() < MAX_PROBLEMS {
            let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
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
    mut fields: Map<String, Value>,
    again: &dyn Fn(&Value) -> Option<Mismatch>,
) -> Vec<FieldError> {
    let mut problems = Vec::new();
    loop {
        let input = Value::Object(fields);
        let Some(mismatch) = again(&input) else {
            return problems;
        };
        let field = mismatch.path.split_once(['.', '[']);
        let field = field.map_or(mismatch.path.as_str(), |(field, _)| field);
        let Value::Object(rest) = input else {
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
