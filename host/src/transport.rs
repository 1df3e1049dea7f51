//! How messages come in and answers go out.

pub mod http;
pub mod stdio;

use serde_json::{Value, json};

/// A message that never reached the component: JSON-RPC's 'Invalid Request'.
fn invalid_request(message: &str) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": null,
        "error": { "code": -32600, "message": message },
    })
}

/// The JSON-RPC id of a message that could not be worked on, for its error;
/// `None` unless it can be read and has the type of an id.
fn id_of(message: &[u8]) -> Option<Value> {
    #[derive(serde::Deserialize)]
    struct Message {
        id: Value,
    }
    serde_json::from_slice(message)
        .ok()
        .map(|message: Message| message.id)
        .filter(|id| id.is_string() || id.is_number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_string_or_a_number() {
        assert_eq!(id_of(br#"{"id":7,"method":"x"}"#), Some(json!(7)));
        assert_eq!(id_of(br#"{"id":"a"}"#), Some(json!("a")));
        for without in [&br#"{"id":null}"#[..], br#"{"id":[1]}"#, b"{}", b"[]", b"{"] {
            assert_eq!(id_of(without), None);
        }
    }
}
