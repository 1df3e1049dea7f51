//! JSON-RPC 2.0.

use std::borrow::Cow;

use super::error::RpcError;
use crate::json::{self, Fields, Node};

/// A request, which is answered.
pub struct RequestMessage<'a> {
    /// A string or an integer, echoed unchanged.
    pub id: Node<'a>,
    pub method: Cow<'a, str>,
    pub params: Fields<'a>,
}

pub enum Message<'a> {
    Request(RequestMessage<'a>),
    Notification {
        method: Cow<'a, str>,
        params: Fields<'a>,
    },
    Response,
}

/// Parses a message from a JSON value. An error comes with the id to answer under.
pub fn parse(node: Node) -> Result<Message, (Node, RpcError)> {
    let Node::Object(mut fields) = node else {
        return Err((
            Node::Null,
            RpcError::invalid_request("A message is a JSON object"),
        ));
    };
    let mut id = fields.remove("id");
    let known_id = match &id {
        Some(id) if is_id(id) => id.clone(),
        _ => Node::Null,
    };
    let invalid = |message: &str| (known_id.clone(), RpcError::invalid_request(message));

    if fields.get("jsonrpc").and_then(Node::as_str) != Some("2.0") {
        return Err(invalid("$.jsonrpc: expected \"2.0\""));
    }
    let method = match fields.remove("method") {
        Some(Node::Text(method)) => method,
        Some(_) => return Err(invalid("$.method: expected a string")),
        None if fields.contains("result") || fields.contains("error") => {
            return Ok(Message::Response);
        }
        None => return Err(invalid("$.method: is missing")),
    };
    // Serializers that write every field write this one as null.
    if id.as_ref().is_some_and(Node::is_null) && method.starts_with("notifications/") {
        id = None;
    }
    let params = match fields.remove("params").map(Node::into_fields) {
        None => Fields::default(),
        Some(Some(params)) => params,
        // A notification is not answered, not even a malformed one.
        Some(None) if id.is_none() => Fields::default(),
        Some(None) => {
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
pub fn is_id(id: &Node) -> bool {
    match id {
        Node::Text(_) => true,
        Node::Number(number) => json::is_integer(number),
        _ => false,
    }
}

/// Returns the text under which a request can be cancelled, the same for 1 and 1.0.
pub fn id_key(id: &Node) -> String {
    match id {
        Node::Number(number) => json::text(&json::whole(number)),
        other => json::text(other),
    }
}
