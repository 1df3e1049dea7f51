//! The transports of MCP: how messages arrive and how responses leave.

pub mod http;
pub mod stdio;

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

/// Returns JSON-RPC's "Invalid Request" error for a message that never reached the
/// component.
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
        #[serde(deserialize_with = "id")]
        id: Option<Value>,
    }
    serde_json::from_slice(message)
        .ok()
        .and_then(|message: Message| message.id)
}

/// A text or a number. Anything else is passed over, and takes no memory: this is
/// outside of the sandbox.
fn id<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    struct Id;

    impl<'de> Visitor<'de> for Id {
        type Value = Option<Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a number")
        }

        fn visit_str<E>(self, text: &str) -> Result<Option<Value>, E> {
            Ok(Some(text.into()))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Option<Value>, E> {
            Ok(Some(number.into()))
        }

        fn visit_i64<E>(self, number: i64) -> Result<Option<Value>, E> {
            Ok(Some(number.into()))
        }

        fn visit_f64<E>(self, number: f64) -> Result<Option<Value>, E> {
            Ok(Some(number.into()))
        }

        fn visit_bool<E>(self, _: bool) -> Result<Option<Value>, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Option<Value>, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<Value>, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<Value>, A::Error> {
            while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }

    input.deserialize_any(Id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_string_or_a_number() {
        assert_eq!(id_of(br#"{"id":7,"method":"x"}"#), Some(json!(7)));
        assert_eq!(id_of(br#"{"id":"a"}"#), Some(json!("a")));
        assert_eq!(id_of(br#"{"id":-1.5}"#), Some(json!(-1.5)));
        for without in [
            &br#"{"id":null}"#[..],
            br#"{"id":[1,{"a":[]}]}"#,
            br#"{"id":{"a":1}}"#,
            br#"{"id":true}"#,
            b"{}",
            b"[]",
            b"{",
        ] {
            assert_eq!(id_of(without), None);
        }
    }
}
