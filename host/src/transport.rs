//! How messages come in and answers go out.

pub mod http;
mod outline;
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
