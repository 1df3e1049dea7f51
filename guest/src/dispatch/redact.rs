//! Redacts operation inputs for the audit log, which shows only declared fields, and for users
//! who approve calls, who see all fields: secrets are replaced, and lengths are bounded.

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
/// The limits of what is shown.
struct Limits {
    /// Maximum characters of one string.
    chars: usize,
    /// Maximum elements of one list.
    items: usize,
    /// Maximum bytes of all names and values together; the rest is omitted.
    bytes: usize,
    /// Whether the reader may see what was sent. Then only what the schema marks as secret is
    /// hidden: what looks like a secret in another field, or stands in a list whose items may be
    /// invalid, may be what matters.
    is_for_sender: bool,
}

/// For a line of a log.
const LINE: Limits = Limits {
    chars: 100,
    items: 20,
    bytes: 2048,
    is_for_sender: false,
};
/// For a page on which a user approves what an agent has sent on the user's behalf.
const PAGE: Limits = Limits {
    chars: 1000,
    items: 100,
    bytes: 16 << 10,
    is_for_sender: true,
};

/// Returns the part of an input with this schema that may be shown, as a JSON object.
pub fn of(input: &Node, schema: &Value) -> Option<String> {
    let shown = View::new(&LINE).value(input, schema)?;
    shown.is_object().then(|| json::text(&shown))
}

/// Returns an input with this schema as its sender may see it, as JSON, or `None` if not all of
/// it can be shown.
pub fn for_page(input: &Node, schema: &Value) -> Option<String> {
    let mut view = View::new(&PAGE);
    let shown = view.value(input, schema)?;
    (!view.is_shortened).then(|| json::text(&shown))
}

/// Returns whether the schema marks its values as secret.
pub fn is_secret(schema: &Value) -> bool {
    schema["format"] == "password"
        || schema["writeOnly"] == true
        || alternatives(schema).any(is_secret)
}

/// What is shown of one input.
struct View {
    limits: &'static Limits,
    /// How many more bytes may be shown.
    left: usize,
    /// Whether something is not shown that is no secret.
    is_shortened: bool,
}

impl View {
    fn new(limits: &'static Limits) -> View {
        View {
            limits,
            left: limits.bytes,
            is_shortened: false,
        }
    }

    fn value(&mut self, given: &Node, schema: &Value) -> Option<Value> {
        if given.is_null() {
            return None;
        }
        let is_opened = self.limits.is_for_sender && schema.get("items").is_some();
        if is_secret(schema) && !is_opened {
            return self.take(SECRET.len()).then(|| SECRET.into());
        }
        let shown = match given {
            Node::Object(fields) => self.object(fields, schema),
            Node::List(items) => self.list(items, schema),
            Node::Text(given) if allows(schema, "string") => self.text(given),
            // The operation reads it likewise.
            Node::Text(_) => match given.clone().unquoted() {
                Node::Text(_) => None,
                meant => self.value(&meant, schema),
            },
            Node::Bool(given) if allows(schema, "boolean") => Some(Value::Bool(*given)),
            Node::Number(number) if allows(schema, "integer") || allows(schema, "number") => {
                Some(Value::Number(number.clone()))
            }
            _ => None,
        };
        shown.or_else(|| alternatives(schema).find_map(|schema| self.value(given, schema)))
    }

    fn object(&mut self, fields: &Fields, schema: &Value) -> Option<Value> {
        let declared = schema["properties"].as_object();
        let declared = match (declared, allows(schema, "object")) {
            (Some(declared), _) => declared,
            (None, true) => &Map::new(),
            (None, false) => return None,
        };
        let names = || fields.as_slice().iter().map(|(name, _)| &**name);
        if self.limits.is_for_sender && names().any(|name| !declared.contains_key(name)) {
            // What is not declared may be what matters, so the object is shown as it is, unless
            // that would show a secret.
            self.is_shortened |= declared.values().any(is_secret);
            return self.text(&json::text(&Node::Object(fields.clone())));
        }
        let mut shown = Map::new();
        for (name, schema) in declared {
            let Some(given) = fields.get(name) else {
                continue;
            };
            if !self.take(name.len()) {
                break;
            }
            match self.value(given, schema) {
                Some(value) => {
                    shown.insert(name.clone(), value);
                }
                None => self.is_shortened |= !given.is_null(),
            }
        }
        Some(Value::Object(shown))
    }

    fn list(&mut self, items: &[Node], schema: &Value) -> Option<Value> {
        let schema = schema.get("items")?;
        self.is_shortened |= items.len() > self.limits.items;
        let items = items.iter().take(self.limits.items);
        let mut shown = Vec::new();
        for item in items {
            match self.value(item, schema) {
                Some(value) => shown.push(value),
                None => self.is_shortened = true,
            }
        }
        Some(Value::Array(shown))
    }

    fn text(&mut self, given: &str) -> Option<Value> {
        let is_hidden = || SECRETS_BEGIN.iter().any(|begin| given.contains(begin));
        if !self.limits.is_for_sender && is_hidden() {
            return self.take(SECRET.len()).then(|| SECRET.into());
        }
        let most = self.limits.chars;
        let mut shown: String = given.chars().take(most).map(printable).collect();
        if given.chars().nth(most).is_some() {
            self.is_shortened = true;
            shown.push('…');
        }
        self.take(shown.len()).then(|| shown.into())
    }

    fn take(&mut self, bytes: usize) -> bool {
        let rest = self.left.checked_sub(bytes);
        self.left = rest.unwrap_or(0);
        self.is_shortened |= rest.is_none();
        rest.is_some()
    }
}

/// Replaces characters that a terminal acts on, or that make text read differently from
/// what it is.
fn printable(character: char) -> char {
    match is_deceptive(character) {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
    }
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
        "kty",
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
    fn whoever_approves_sees_objects_that_nothing_is_declared_of() {
        let keys = json!({"keys": [{"kty": "OKP", "x": "abc"}]});
        let input = json!({"client_id": "client-1", "jwks": keys});
        let shape = schemas::shape("update_client");
        let shown = for_page(&(&input).into(), &shape).unwrap();
        assert!(shown.contains("OKP") && shown.contains("abc"), "{shown}");
        let logged = of(&input, &shape).unwrap();
        assert!(!logged.contains("abc"), "{logged}");
    }

    #[test]
    fn long_inputs_are_truncated() {
        let schema = json!({
            "type": "object",
            "properties": {"names": {"type": "array", "items": {"type": "string"}}},
        });
        let long = "x".repeat(1_000);
        let shown = of(&json!({"names": vec![&long; 1_000]}), &schema).unwrap();
        assert!(shown.len() < LINE.bytes + 500, "{}", shown.len());
        assert!(shown.contains(&format!("\"{}…\"", &long[..LINE.chars])));
    }
}
