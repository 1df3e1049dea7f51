//! JSON-RPC 2.0.

use serde_json::{Map, Value};

use super::failure::RpcError;

/// A request, which is answered.
pub struct RequestMessage {
    /// A string or a whole number.
    pub id: Value,
    pub method: String,
    pub params: Map<String, Value>,
}

/// More values than any request has that is meant; what they would take up in
/// memory is many times their text.
pub const MAX_VALUES: usize = 20_000;

/// Whether a JSON text has so many values that it is not worth parsing.
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

/// Tells what a JSON value is as a message; or what is wrong with it, and the id
/// to answer under.
pub fn parse(value: Value) -> Result<Message, (Value, RpcError)> {
    let Value::Object(mut fields) = value else {
        return Err((
            Value::Null,
            RpcError::invalid_request("A message is a JSON object"),
        ));
    };
    let id = fields.remove("id");
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
    let params = match fields.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        // A notification is not answered, not even a malformed one.
        Some(_) if id.is_none() => Map::new(),
        Some(_) => {
            let error = RpcError::invalid_params("$.params: expected an object");
            return Err((known_id, error));
        }
    };
    match id {
        None => Ok(Message::Notification { method, params }),
        Some(id) if is_id(&id) => Ok(Message::Request(RequestMessage { id, method, params })),
        Some(_) => Err(invalid("$.id: expected a string or a whole number")),
    }
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}
