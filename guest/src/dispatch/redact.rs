//! Redacts operation inputs for the audit log: only fields that the schema declares are
//! shown, secrets are replaced, and lengths are bounded.

use serde_json::{Map, Value};

use super::schemas::{allows, alternatives};
use crate::json::{self, Fields, Node};
use crate::unicode::printable::is_deceptive;

/// Replacement for a secret.
const SECRET: &str = "[secret]";
/// Prefixes of this service's secrets and access tokens, which are secret in any field.
const SECRETS_BEGIN: [&str; 8] = [
    "eyJ", "uac_", "uai_", "uak_", "uar_", "uas_", "uat_", "uax_",
];
/// Maximum characters of one string.
const MAX_CHARS: usize = 100;
/// Maximum elements of one list.
const MAX_ITEMS: usize = 20;
/// Maximum bytes of all names and values together; the rest is omitted.
const MAX_BYTES: usize = 2048;

/// Returns the part of an input with this schema that may be shown, as a JSON object.
pub fn of(input: &Node, schema: &Value) -> Option<String> {
    let mut left = MAX_BYTES;
    let shown = value(input, schema, &mut left)?;
    shown.is_object().then(|| json::text(&shown))
}

/// Returns whether the schema marks its values as secret.
pub fn is_secret(schema: &Value) -> bool {
    schema["format"] == "password"
        || schema["writeOnly"] == true
        || alternatives(schema).any(is_secret)
}

fn value(given: &Node, schema: &Value, left: &mut usize) -> Option<Value> {
    if given.is_null() {
        return None;
    }
    if is_secret(schema) {
        return take(SECRET.len(), left).then(|| SECRET.into());
    }
    let shown = match given {
        Node::Object(fields) => object(fields, schema, left),
        Node::List(items) => list(items, schema, left),
        Node::Text(given) if allows(schema, "string") => text(given, left),
        // The operation reads it likewise.
        Node::Text(_) => match given.clone().unquoted() {
            Node::Text(_) => None,
            meant => value(&meant, schema, left),
        },
        Node::Bool(given) if allows(schema, "boolean") => Some(Value::Bool(*given)),
        Node::Number(number) if allows(schema, "integer") || allows(schema, "number") => {
            Some(Value::Number(number.clone()))
        }
        _ => None,
    };
    shown.or_else(|| alternatives(schema).find_map(|schema| value(given, schema, left)))
}

fn object(fields: &Fields, schema: &Value, left: &mut usize) -> Option<Value> {
    let declared = schema["properties"].as_object();
    let declared = match (declared, allows(schema, "object")) {
        (Some(declared), _) => declared,
        (None, true) => &Map::new(),
        (None, false) => return None,
    };
    let mut shown = Map::new();
    for (name, schema) in declared {
        let Some(given) = fields.get(name) else {
            continue;
        };
        if !take(name.len(), left) {
            break;
        }
        if let Some(value) = value(given, schema, left) {
            shown.insert(name.clone(), value);
        }
    }
    Some(Value::Object(shown))
}

fn list(items: &[Node], schema: &Value, left: &mut usize) -> Option<Value> {
    let schema = schema.get("items")?;
    let shown = items.iter().take(MAX_ITEMS);
    Some(shown.filter_map(|item| value(item, schema, left)).collect())
}

fn text(given: &str, left: &mut usize) -> Option<Value> {
    if SECRETS_BEGIN.iter().any(|begin| given.contains(begin)) {
        return take(SECRET.len(), left).then(|| SECRET.into());
    }
    let mut shown: String = given.chars().take(MAX_CHARS).map(printable).collect();
    if given.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    take(shown.len(), left).then(|| shown.into())
}

/// Replaces characters that a terminal acts on, or that make text read differently from
/// what it is.
fn printable(character: char) -> char {
    match is_deceptive(character) {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
    }
}

fn take(bytes: usize, left: &mut usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dispatch::schemas;
    use crate::operations::TABLE;

    fn of(input: &Value, schema: &Value) -> Option<String> {
        super::of(&input.into(), schema)
    }

    /// The string fields that are not secret. Adding a field here is the decision that
    /// the audit log may show it; secret fields have the format `password` instead.
    const HARMLESS: &[&str] = &[
        "actor",
        "after",
        "audience",
        "client_id",
        "client_name",
        "created_at",
        "deliver",
        "description",
        "email",
        "end_api_keys",
        "grant_id",
        "key_id",
        "name",
        "operation",
        "permission",
        "permissions[]",
        "previous",
        "purpose",
        "qr",
        "redirect_uris[]",
        "resource",
        "resource_name",
        "role",
        "roles[]",
        "scope",
        "scopes[]",
        "search",
        "session_id",
        "since",
        "token_endpoint_auth_method",
        "until",
        "user_id",
        "username",
    ];

    /// Collects the path of every string in a schema, and whether it is secret.
    fn texts(path: &str, schema: &Value, found: &mut Vec<(String, bool)>) {
        if is_secret(schema) || allows(schema, "string") {
            found.push((path.to_owned(), is_secret(schema)));
            return;
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            texts(&format!("{path}.{name}"), schema, found);
        }
        if let Some(items) = schema.get("items") {
            texts(&format!("{path}[]"), items, found);
        }
        for schema in alternatives(schema) {
            texts(path, schema, found);
        }
    }

    #[test]
    fn every_string_field_is_either_secret_or_listed_as_harmless() {
        let mut shown = Vec::new();
        for operation in TABLE {
            let mut found = Vec::new();
            texts(operation.name, &operation.input_schema(), &mut found);
            let mut of_shape = Vec::new();
            texts(
                operation.name,
                &schemas::shape(operation.name),
                &mut of_shape,
            );
            assert_eq!(
                found, of_shape,
                "shape and schema mark the same fields as secret"
            );
            shown.extend(found.into_iter().filter(|(_, is_secret)| !is_secret));
        }
        for (path, _) in shown {
            let name = path.rsplit('.').next().unwrap();
            assert!(HARMLESS.contains(&name), "is {path} a secret?");
        }
    }

    #[test]
    fn undeclared_fields_and_secrets_are_not_shown() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": ["integer", "null"]},
                "password": {"type": "string", "format": "password"},
                "token": {"anyOf": [{"type": "string", "writeOnly": true}, {"type": "null"}]},
                "users": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"hash": {"type": "string", "format": "password"}},
                }},
                "data": {"type": "object", "additionalProperties": true},
                "wrong": {"type": "string"},
                "anything": true,
            },
        });
        let input = json!({
            "name": "alice", "age": 7, "password": "p", "token": "t",
            "users": [{"hash": "h", "other": "o"}], "data": {"password": "p"},
            "wrong": {"password": "p"}, "anything": "a", "unknown": "u",
        });
        let shown: Value = serde_json::from_str(&of(&input, &schema).unwrap()).unwrap();
        let expected = json!({
            "name": "alice", "age": 7, "password": SECRET, "token": SECRET,
            "users": [{"hash": SECRET}], "data": {},
        });
        assert_eq!(shown, expected);
        assert_eq!(of(&json!("text"), &schema), None);
    }

    #[test]
    fn json_in_a_string_is_shown_as_the_operation_reads_it() {
        let schema = json!({"type": "object", "properties": {
            "limit": {"type": "integer"},
            "users": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "hash": {"type": "string", "format": "password"},
                },
            }},
        }});
        let users = json!([{"name": "[1]", "hash": "h", "other": "o"}]).to_string();
        let shown = of(&json!({"limit": "7", "users": users}), &schema).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let expected = json!({"limit": 7, "users": [{"name": "[1]", "hash": SECRET}]});
        assert_eq!(shown, expected);
    }

    #[test]
    fn secrets_of_this_service_are_redacted_in_any_field() {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        for secret in ["uar_x", "Bearer eyJx.y.z", "key: uak_x"] {
            let shown = of(&json!({"name": secret}), &schema).unwrap();
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn long_inputs_are_truncated() {
        let schema = json!({
            "type": "object",
            "properties": {"names": {"type": "array", "items": {"type": "string"}}},
        });
        let long = "x".repeat(1_000);
        let shown = of(&json!({"names": vec![&long; 1_000]}), &schema).unwrap();
        assert!(shown.len() < MAX_BYTES + 500, "{}", shown.len());
        assert!(shown.contains(&format!("\"{}…\"", &long[..MAX_CHARS])));
    }
}
