//! The transports of MCP: how messages arrive and how responses leave.

pub mod http;
mod outline;
pub mod stdio;

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
