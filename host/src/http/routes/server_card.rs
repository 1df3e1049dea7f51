//! `GET /mcp/server-card` describes the server to clients before they connect.
//!
//! Server cards are a proposal (SEP-2127, formerly SEP-1649), which defines the field
//! names used here. Everything about the component comes from its own responses, so
//! that the card agrees with them.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::api::{McpRequest, Transport};
use crate::embed::client::NoClient;
use crate::error::CallError;
use crate::http::admission::write_timeout::tracked;
use crate::http::app::{App, Caller, Named};
use crate::http::respond::{limited, method_not_allowed, refuse, respond, unavailable};
use crate::http::security::authority::Authority;
use crate::plugin::Plugin;

const PROTOCOL: &str = "2026-07-28";
const META: &str = "io.modelcontextprotocol";

/// The server card, asked for once and kept: what the component says of itself never
/// changes.
#[derive(Clone, Default)]
pub(crate) struct ServerCardCache(Arc<OnceCell<ServerCard>>);

/// The component's description of itself.
struct ServerCard {
    discovered: Value,
    tools: Vec<Value>,
}

/// Returns the server card. Requires no key: the card says whether one is needed, and
/// in which header.
pub(crate) async fn card(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(Named(named)): Extension<Named>,
    Extension(ServerCardCache(kept)): Extension<ServerCardCache>,
    request: Request,
) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    let peer = caller.peer.ip();
    let from = app.policy.proxies.client_ip(peer, request.headers());
    if let Err(seconds) = app.check_rate(request.headers(), from) {
        return limited(seconds, Value::Null);
    }
    let turn = match app.turn(from).await {
        Ok(turn) => turn,
        Err(refusal) => return refusal,
    };
    let card = kept.get_or_try_init(|| ask(&app.plugin)).await;
    match card {
        Ok(card) => {
            let is_https =
                app.policy.https || app.policy.proxies.says_https(peer, request.headers());
            let url = url(is_https, named.as_ref());
            let response = respond(StatusCode::OK, &describe(&app, card, &url));
            tracked(response, None, Some(turn))
        }
        Err(CardError::Call(error)) => unavailable(&error, Value::Null),
        Err(CardError::Unexpected) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the component did not describe itself as expected",
        ),
    }
}

enum CardError {
    Call(CallError),
    /// The response has an unexpected form: this host accepts any component that fits
    /// the contract.
    Unexpected,
}

async fn ask(plugin: &Plugin) -> Result<ServerCard, CardError> {
    let discovered = result_of(plugin, "server/discover").await?;
    let tools = result_of(plugin, "tools/list").await?;
    let brief = |tool: &Value| {
        json!({
            "name": tool["name"],
            "title": tool["title"],
            "description": tool["description"],
        })
    };
    let tools = tools["tools"].as_array().ok_or(CardError::Unexpected)?;
    Ok(ServerCard {
        discovered,
        tools: tools.iter().map(brief).collect(),
    })
}

async fn result_of(plugin: &Plugin, method: &str) -> Result<Value, CardError> {
    let meta = json!({
        format!("{META}/protocolVersion"): PROTOCOL,
        format!("{META}/clientCapabilities"): {},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta}});
    let request = McpRequest {
        transport: Transport::Stdio,
        headers: Vec::new(),
        peer: None,
        body: body.to_string().into_bytes(),
    };
    let answer = plugin.handle(request, Arc::new(NoClient)).await;
    let body = answer.map_err(CardError::Call)?.body;
    let answer: Value =
        serde_json::from_slice(&body.unwrap_or_default()).map_err(|_| CardError::Unexpected)?;
    match answer.get("result") {
        Some(result) => Ok(result.clone()),
        None => Err(CardError::Unexpected),
    }
}

fn describe(app: &App, card: &ServerCard, url: &str) -> Value {
    let server = &card.discovered["_meta"][format!("{META}/serverInfo")];
    let mut remote = json!({
        "type": "streamable-http",
        "url": url,
        "supportedProtocolVersions": card.discovered["supportedVersions"],
    });
    if app.requires_key {
        remote["headers"] = json!([{
            "name": app.policy.key_header.as_str(),
            "description": "An API key, issued by the operator of this server; clients that \
                            cannot send this header send it as Authorization: Bearer",
            "isRequired": true,
            "isSecret": true,
        }]);
    }
    json!({
        "name": server["name"],
        "title": server["title"],
        "version": server["version"],
        "description": server["description"],
        "instructions": card.discovered["instructions"],
        "remotes": [remote],
        "authentication": {"required": app.requires_key},
        "capabilities": card.discovered["capabilities"],
        "tools": card.tools,
    })
}

/// Returns the URL of the MCP endpoint, with the host name that the client used, which
/// has been checked.
fn url(is_https: bool, named: Option<&Authority>) -> String {
    let scheme = if is_https { "https" } else { "http" };
    match named {
        Some(named) => format!("{scheme}://{named}/mcp"),
        None => format!("{scheme}://localhost/mcp"),
    }
}
