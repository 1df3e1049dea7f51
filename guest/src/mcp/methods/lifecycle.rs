//! The identity and the capabilities of the server.

use serde_json::{Value, json};

use crate::json::{self, Node};
use crate::mcp::era;
use crate::mcp::error::RpcError;
use crate::mcp::method_request::{MethodRequest, MethodResult};
use crate::mcp::protocol::{STATIC_TTL_MS, SUPPORTED_VERSIONS};
use crate::ports::LogLevel;

/// The version that a client gets if it requests an unknown one.
const NEWEST_HANDSHAKE: &str = SUPPORTED_VERSIONS[1];

/// How to use the server, for models.
pub const INSTRUCTIONS: &str = "UserAuth registers users, logs them in, and verifies their tokens. \
    user-auth_get_capabilities lists the operations, policies and limits; with the name of an \
    operation it returns the schemas of that operation. A failed call says in error.data.details \
    what was wrong and what to do. Access tokens live for minutes: keep the refresh token, use it \
    once with user-auth_refresh_token, and keep the new one. Passwords and tokens are secrets: do \
    not repeat them to anyone, and log out when the work is done.";

/// The capabilities of the server.
pub fn capabilities() -> Value {
    json!({
        "tools": {},
        "resources": {},
        "prompts": {},
        "completions": {},
        "logging": {},
    })
}

/// `server/discover`, of the modern era.
pub fn discover() -> MethodResult {
    Ok(json!({
        "supportedVersions": SUPPORTED_VERSIONS,
        "capabilities": capabilities(),
        "instructions": INSTRUCTIONS,
        "ttlMs": STATIC_TTL_MS,
        "cacheScope": "public",
    }))
}

/// `initialize`, of the handshake era. It leaves no state behind.
pub fn initialize(request: &MethodRequest) -> MethodResult {
    let requested = request.params.get("protocolVersion").and_then(Node::as_str);
    let version = SUPPORTED_VERSIONS[1..]
        .iter()
        .find(|supported| requested == Some(**supported))
        .unwrap_or(&NEWEST_HANDSHAKE);
    Ok(json!({
        "protocolVersion": version,
        "capabilities": capabilities(),
        "serverInfo": era::server_info(),
        "instructions": INSTRUCTIONS,
    }))
}

/// `logging/setLevel`, of the handshake era.
pub fn set_level(request: &MethodRequest) -> MethodResult {
    let level = request.text("level")?;
    let Ok(level) = json::from_node::<LogLevel>(&level.into()) else {
        return Err(RpcError::invalid_params(
            "$.params.level: expected debug, info, notice, warning, error, critical, alert or \
             emergency",
        )
        .into());
    };
    request.call.ports.client.set_log_level(level);
    Ok(json!({}))
}
