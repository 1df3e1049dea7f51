//! Determines the era of a message, and checks the rules of that era.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::RpcError;
use super::message::RequestMessage;
use super::protocol::{Request, SUPPORTED_VERSIONS, Transport};
use crate::dispatch::input;
use crate::error::{AuthError, ErrorCode};
use crate::json::{Fields, Node};
use crate::settings::ToolErrors;

const MODERN: &str = SUPPORTED_VERSIONS[0];
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The field of `_meta` with what the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The two eras of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Up to 2025-11-25, with the version if the message or its connection names one.
    Handshake(Option<&'static str>),
    /// 2026-07-28.
    Modern,
}

impl RpcError {
    /// Handshake clients read the bodies of successful HTTP responses only, so the status
    /// of an error response to a well-formed request is 200 there.
    pub fn in_era(mut self, era: Era) -> RpcError {
        if era != Era::Modern {
            self.status = 200;
        }
        self
    }
}

impl Era {
    /// Adds how long a result may be cached, and for whom.
    pub fn cached(self, mut result: Value, ttl_ms: u64, scope: &str) -> Value {
        if self == Era::Modern {
            result["ttlMs"] = json!(ttl_ms);
            result["cacheScope"] = json!(scope);
        }
        result
    }

    /// Returns whether a failed operation is a tool result, which the model reads, rather
    /// than a JSON-RPC error. The modern era reserves the codes of these errors. Earlier
    /// versions have tool results as well, but two kinds of callers get a JSON-RPC error:
    /// those that name no version, such as people who call by hand, and those of
    /// 2024-11-05, which predates the clients that read these results.
    pub fn failures_are_results(self, wanted: ToolErrors) -> bool {
        match (self, wanted) {
            (Era::Modern, _) | (_, ToolErrors::Result) => true,
            (_, ToolErrors::Error) => false,
            (Era::Handshake(version), ToolErrors::Auto) => {
                version.is_some_and(|version| version >= "2025-03-26")
            }
        }
    }
}

/// Determines the era of one request on its own: real clients mix the eras on one
/// connection.
pub fn judge(message: &RequestMessage, request: &Request) -> Result<Era, RpcError> {
    let header = request.header("mcp-protocol-version");
    let meta = message.params.get("_meta").and_then(Node::as_fields);
    let modern_meta = meta.is_some_and(|meta| meta.contains(PROTOCOL_VERSION));
    let handshake = match header {
        None => Some(Era::Handshake(None)),
        Some(version) => SUPPORTED_VERSIONS[1..]
            .iter()
            .copied()
            .find(|supported| *supported == version)
            .map(|version| Era::Handshake(Some(version))),
    };
    // Clients send `initialize` with whatever header remains from an earlier connection.
    let initialize = message.method == "initialize";
    match handshake.or(initialize.then_some(Era::Handshake(None))) {
        Some(era) if !modern_meta && message.method != "server/discover" => Ok(era),
        _ => {
            if let Some(version) = header
                && !modern_meta
                && !is_spoken(version)
            {
                let problem =
                    "The header mcp-protocol-version names a version that is not supported";
                return Err(unsupported(problem, version));
            }
            check_modern(message, meta, request)?;
            Ok(Era::Modern)
        }
    }
}

/// The checks of 2026-07-28, in the order that it specifies.
fn check_modern(
    message: &RequestMessage,
    meta: Option<&Fields>,
    request: &Request,
) -> Result<(), RpcError> {
    let of_meta = |name: &str| meta.and_then(|meta| meta.get(name));
    let Some(version) = of_meta(PROTOCOL_VERSION).and_then(Node::as_str) else {
        return Err(RpcError::invalid_params(&format!(
            "$.params._meta: expected {PROTOCOL_VERSION}, a string"
        )));
    };
    // Some languages write an empty map as an array.
    let capabilities = of_meta(CLIENT_CAPABILITIES).filter(|given| !given.is_null());
    if !capabilities.is_some_and(Node::has_fields) {
        return Err(RpcError::invalid_params(&format!(
            "$.params._meta: expected {CLIENT_CAPABILITIES}, an object"
        )));
    }
    if request.transport == Transport::Http {
        check_headers(message, version, request)?;
    }
    if version != MODERN {
        return Err(unsupported("Unsupported protocol version", version));
    }
    Ok(())
}

fn is_spoken(version: &str) -> bool {
    SUPPORTED_VERSIONS.contains(&version)
}

fn unsupported(message: &str, version: &str) -> RpcError {
    let requested = input::shortened(version);
    RpcError::new(-32022, message, 400)
        .data(json!({"supported": SUPPORTED_VERSIONS, "requested": requested}))
}

/// Intermediaries route by the headers, so these must match the body.
fn check_headers(
    message: &RequestMessage,
    version: &str,
    request: &Request,
) -> Result<(), RpcError> {
    check_header(request, "mcp-protocol-version", version)?;
    check_header(request, "mcp-method", &message.method)?;
    let named = match &*message.method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    match message.params.get(named).and_then(Node::as_str) {
        Some(name) => check_header(request, "mcp-name", name),
        // The method reports that it is missing.
        None => Ok(()),
    }
}

fn check_header(request: &Request, name: &str, expected: &str) -> Result<(), RpcError> {
    let header = request.header(name);
    let times = request.headers.iter().filter(|(field, _)| field == name);
    let problem = match (times.count(), header.and_then(decode)) {
        (0, _) => "is missing",
        (1, Some(value)) if value == expected => return Ok(()),
        (1, _) => "differs from the body",
        _ => "occurs more than once",
    };
    Err(RpcError::new(
        -32020,
        &format!("The header {name} {problem}"),
        400,
    ))
}

/// Decodes a header value, which is plain or wrapped in `=?base64?…?=`.
fn decode(value: &str) -> Option<String> {
    let encoded = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match encoded {
        None => Some(value.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}

/// Returns the HTTP status of a failure of the service. For handshake clients it is 200,
/// for the same reason as above.
pub fn status(error: &AuthError, era: Era) -> u16 {
    match era {
        Era::Modern => error.kind.status(),
        Era::Handshake(_) => 200,
    }
}

/// Returns the error object without the code that 2026-07-28 forbids.
pub fn in_era(mut object: Value, era: Era) -> Value {
    if era == Era::Modern && object["code"] == ErrorCode::Authorization.code() {
        object["code"] = ErrorCode::Application.code().into();
    }
    object
}

/// The `_meta` of every result of 2026-07-28.
pub fn meta() -> Value {
    json!({"io.modelcontextprotocol/serverInfo": server_info()})
}

/// `serverInfo`.
pub fn server_info() -> Value {
    json!({
        "name": "user-auth",
        "title": "UserAuth",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Authentication for AI agents and the services around them",
    })
}
