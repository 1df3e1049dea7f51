//! From JSON to the input of an operation, or to a list of what is wrong with it.

use serde_json::{Map, Value};

use super::{Operation, schema};
use crate::error::{AuthError, FieldError, Result};

/// The input, or -32000 with every field that is missing, unknown or of the
/// wrong form.
pub fn parse<O: Operation>(input: Value) -> Result<O> {
    // The common case first: the schema is costly to make, and needed only to
    // say what is wrong.
    match serde_path_to_error::deserialize::<_, O>(&input) {
        Ok(operation) => Ok(operation),
        Err(error) => Err(AuthError::invalid(problems::<O>(&input, &error))),
    }
}

fn problems<O: Operation>(
    input: &Value,
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> Vec<FieldError> {
    let Value::Object(fields) = input else {
        return vec![FieldError {
            path: "$".to_owned(),
            problem: "expected an object".to_owned(),
        }];
    };
    let schema = schema::<O>();
    let mut problems = missing_and_unknown(fields, &schema);
    let path = error.path().to_string();
    let field = path.split(['.', '[']).next().unwrap_or_default();
    if fields.contains_key(field) && schema["properties"].get(field).is_some() {
        problems.push(FieldError {
            path: format!("$.{path}"),
            problem: error.inner().to_string(),
        });
    }
    if problems.is_empty() {
        problems.push(FieldError {
            path: "$".to_owned(),
            problem: error.inner().to_string(),
        });
    }
    problems
}

fn missing_and_unknown(fields: &Map<String, Value>, schema: &Value) -> Vec<FieldError> {
    let required = schema["required"].as_array().into_iter().flatten();
    let missing = required
        .filter_map(Value::as_str)
        .filter(|name| !fields.contains_key(*name))
        .map(|name| FieldError::new(name, "is missing"));
    let known = schema["properties"].as_object();
    let unknown = fields
        .keys()
        .filter(|name| known.is_none_or(|known| !known.contains_key(*name)))
        .map(|name| {
            let known: Vec<&str> = known.into_iter().flatten().map(|(k, _)| k.as_str()).collect();
            let problem = format!("is not known; the fields are: {}", known.join(", "));
            FieldError::new(&super::shortened(name), problem)
        });
    missing.chain(unknown).collect()
}
