//! JSON-RPC 2.0.

use serde_json::{Map, Value};

use super::error::RpcError;
use crate::json;

/// A request, which is answered.
pub struct RequestMessage {
    /// A string or an integer, echoed unchanged.
    pub id: Value,
    pub method: String,
    pub params: Map<String, Value>,
}

/// Maximum number of values in a message. No sensible request has so many, and parsed
/// they would take many times the memory of their text.
pub const MAX_VALUES: usize = 20_000;

/// Returns whether a JSON text has more than [`MAX_VALUES`] values, without parsing it.
pub fn has_too_many_values(body: &[u8]) -> bool {
    let (mut values, mut in_string, mut escaped) = (0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values > MAX_VALUES
}

pub enum Message {
    Request(RequestMessage),
    Notification {
        method: String,
        params: Map<String, Value>,
    },
    Response,
}

/// Parses a message from a JSON value. An error comes with the id to answer under.
pub fn parse(value: Value) -> Result<Message, (Value, RpcError)> {
    let Value::Object(mut fields) = value else {
        return Err((
            Value::Null,
            RpcError::invalid_request("A message is a JSON object"),
        ));
    };
    let mut id = fields.remove("id");
    let known_id = match &id {
        Some(id) if is_id(id) => id.clone(),
        _ => Value::Null,
    };
    let invalid = |message: &str| (known_id.clone(), RpcError::invalid_request(message));

    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("$.jsonrpc: expected \"2.0\""));
    }
    let method = match fields.remove("method") {
        Some(Value::String(method)) => method,
        Some(_) => return Err(invalid("$.method: expected a string")),
        None if fields.contains_key("result") || fields.contains_key("error") => {
            return Ok(Message::Response);
        }
        None => return Err(invalid("$.method: is missing")),
    };
    // Serializers that write every field write this one as null.
    if id == Some(Value::Null) && method.starts_with("notifications/") {
        id = None;
    }
    let params = match fields.remove("params").map(json::into_fields) {
        None => Map::new(),
        Some(Ok(params)) => params,
        // A notification is not answered, not even a malformed one.
        Some(Err(_)) if id.is_none() => Map::new(),
        Some(Err(_)) => {
            let error = RpcError::invalid_params("$.params: expected an object");
            return Err((known_id, error));
        }
    };
    match id {
        None => Ok(Message::Notification { method, params }),
        Some(id) if is_id(&id) => Ok(Message::Request(RequestMessage { id, method, params })),
        Some(_) => Err(invalid("$.id: expected a string or an integer")),
    }
}

/// Returns whether this can identify a request or its progress: a string or an integer.
pub fn is_id(id: &Value) -> bool {
    id.is_string() || id.as_number().is_some_and(json::is_integer)
}

/// Returns the text under which a request can be cancelled, the same for 1 and 1.0.
pub fn id_key(id: &Value) -> String {
    match id {
        Value::Number(number) => json::whole(number).to_string(),
        other => json::text(other),
    }
}
