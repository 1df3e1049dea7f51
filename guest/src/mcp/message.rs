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
