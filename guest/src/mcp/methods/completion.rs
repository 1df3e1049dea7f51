//! `completion/complete`: suggested values of an argument.

use serde_json::json;

use super::{prompts, resources};
use crate::domain::call::Call;
use crate::domain::caller::Principal;
use crate::domain::sessions::bearer;
use crate::domain::sessions::session::Session;
use crate::error::Result;
use crate::json::{Fields, Node};
use crate::mcp::error::RpcError;
use crate::mcp::method_request::{MethodRequest, MethodResult};

/// The maximum that MCP allows in one result.
const MAX_VALUES: usize = 100;
/// Number of hexadecimal digits in the id of a session.
const ID_DIGITS: usize = 32;

/// Suggests values. An unknown prompt, resource or argument has none, which is no error.
pub fn complete(request: &MethodRequest) -> MethodResult {
    let reference = request.object("ref")?;
    let argument = request.object("argument")?;
    let text =
        |object: &Fields, name: &str| object.get(name).and_then(Node::as_str).map(str::to_owned);
    let (Some(argument_name), Some(begun)) = (text(argument, "name"), text(argument, "value"))
    else {
        return Err(RpcError::invalid_params(
            "$.params.argument: expected name and value, both strings",
        )
        .into());
    };
    let begun = begun.to_lowercase();
    let candidates = match text(reference, "type").as_deref() {
        Some("ref/prompt") => {
            let prompt = text(reference, "name").unwrap_or_default();
            prompts::candidates(&prompt, &argument_name, request.call.offer)
        }
        Some("ref/resource") => {
            let uri = text(reference, "uri").unwrap_or_default();
            match (uri.as_str(), argument_name.as_str()) {
                (resources::SESSION_TEMPLATE, "session_id")
                    if resources::has_sessions(&request.call) =>
                {
                    own_sessions(&begun, &request.call)?
                }
                _ => Vec::new(),
            }
        }
        _ => {
            return Err(RpcError::invalid_params(
                "$.params.ref.type: expected ref/prompt or ref/resource",
            )
            .into());
        }
    };
    let mut values = candidates;
    values.retain(|value| value.to_lowercase().starts_with(&begun));
    let has_more = values.len() > MAX_VALUES;
    values.truncate(MAX_VALUES);
    Ok(json!({"completion": {"values": values, "hasMore": has_more}}))
}

/// Returns the ids of the sessions that the caller may read and that begin with
/// `begun`. Other sessions are not revealed.
fn own_sessions(begun: &str, call: &Call) -> Result<Vec<String>> {
    // Only text that an id can begin with becomes part of a store key.
    if begun.len() > ID_DIGITS || !begun.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let prefix = match &call.caller.principal {
        Principal::Anonymous | Principal::ApiKey(_) => return Ok(Vec::new()),
        Principal::Operator => Session::PREFIX.to_owned(),
        Principal::AccessToken(token) => match bearer::live_session(token.expose(), call)? {
            Some(session) => Session::index_prefix(session.user_id),
            None => return Ok(Vec::new()),
        },
    };
    // One more than is shown, to learn whether there are more.
    let limit = MAX_VALUES as u32 + 1;
    let page = call
        .ports
        .store
        .scan(&format!("{prefix}{begun}"), None, limit)?;
    let ids = page
        .entries
        .iter()
        .map(|entry| entry.key[prefix.len()..].to_owned());
    Ok(ids.collect())
}
