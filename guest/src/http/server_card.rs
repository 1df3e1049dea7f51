//! `GET /mcp/server-card` describes the server to clients before they connect.
//!
//! Server cards are a proposal (SEP-2127, formerly SEP-1649), which defines the field
//! names used here.

use serde_json::{Value, json};

use super::Request;
use crate::json::JsonText;
use crate::mcp::{self, Refusal, Response};
use crate::settings::Settings;

pub fn answer(request: &Request, settings: &Settings) -> Result<Response, Refusal> {
    request.require_method(&["GET", "HEAD"])?;
    let card = JsonText::of(&describe(request, settings));
    Ok(mcp::json_response(200, Vec::new(), card))
}

fn describe(request: &Request, settings: &Settings) -> Value {
    let mcp::Description {
        server,
        versions,
        capabilities,
        instructions,
        tools,
    } = mcp::describe(settings);
    let mut remote = json!({
        "type": "streamable-http",
        "url": url(request, settings),
        "supportedProtocolVersions": versions,
    });
    if settings.require_api_key {
        remote["headers"] = json!([{
            "name": request.api_key_header,
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
        "instructions": instructions,
        "remotes": [remote],
        "authentication": {"required": !settings.is_open()},
        "capabilities": capabilities,
        "tools": tools,
    })
}

/// Returns the URL of the MCP endpoint: below the public URL or, if none is set, at the
/// host name that the client used, which the host has checked.
fn url(request: &Request, settings: &Settings) -> String {
    if let Some(public) = &settings.public_url {
        return format!("{}/mcp", public.as_str());
    }
    let scheme = if request.tls { "https" } else { "http" };
    let authority = request.authority.as_deref().unwrap_or("localhost");
    format!("{scheme}://{authority}/mcp")
}
