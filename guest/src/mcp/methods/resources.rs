//! Resources: state and metadata of the server that agents can read.

use serde_json::{Value, json};

use crate::domain::call::Call;
use crate::domain::caller::Principal;
use crate::domain::sessions::{bearer, session};
use crate::error::{AuthError, ErrorKind};
use crate::json;
use crate::mcp::era::Era;
use crate::mcp::error::{Failure, RpcError};
use crate::mcp::method_request::{MethodRequest, MethodResult};
use crate::mcp::protocol::{CALLER_TTL_MS, STATIC_TTL_MS};
use crate::operations::{self, GetCapabilities, GetSession, Operation as _, SessionView};
use crate::types::id::Id;

const MIME_TYPE: &str = "application/json";
const METRICS: &str = "mcp://user-auth/metrics";
const CAPABILITIES: &str = "mcp://user-auth/capabilities";
const HEALTH: &str = "mcp://user-auth/health";
const SESSION_PREFIX: &str = "mcp://user-auth/sessions/";
/// The template of the sessions, for completions too.
pub const SESSION_TEMPLATE: &str = "mcp://user-auth/sessions/{session_id}";

/// `resources/list`
pub fn list(request: &MethodRequest) -> MethodResult {
    request.first_page()?;
    let resources = json!({"resources": [
        {
            "uri": CAPABILITIES,
            "name": "capabilities",
            "title": "Capabilities",
            "description": "The names of your operations, policies, limits, errors and versions.",
            "mimeType": MIME_TYPE,
        },
        {
            "uri": METRICS,
            "name": "metrics",
            "title": "Metrics",
            "description": "Calls, failures and latencies by operation; the hash queue, the store \
                and the sandbox; live.",
            "mimeType": MIME_TYPE,
        },
        {
            "uri": HEALTH,
            "name": "health",
            "title": "Health",
            "description": "Whether the store, the keys, randomness and the password hash are available.",
            "mimeType": MIME_TYPE,
        },
    ]});
    Ok(request.era.cached(resources, STATIC_TTL_MS, "public"))
}

/// `resources/templates/list`
pub fn templates(request: &MethodRequest) -> MethodResult {
    request.first_page()?;
    let mut templates = json!([{
        "uriTemplate": SESSION_TEMPLATE,
        "name": "session",
        "title": "A session",
        "description": "The owner of a session, how it began and when it ends. Readable with an \
            access token of the owner, and by the local operator.",
        "mimeType": MIME_TYPE,
    }]);
    if !has_sessions(&request.call) {
        templates = json!([]);
    }
    let templates = json!({"resourceTemplates": templates});
    Ok(request.era.cached(templates, STATIC_TTL_MS, "private"))
}

/// Reports whether the caller gets sessions: what the operation `get_session` returns.
pub fn has_sessions(call: &Call) -> bool {
    operations::offered(GetSession::NAME, call.offer).is_ok()
}

/// `resources/read`
pub fn read(request: &MethodRequest) -> MethodResult {
    let uri = request.text("uri")?;
    let call = &request.call;
    let (content, ttl_ms, scope) = match uri {
        METRICS => (metrics(call), 0, "private"),
        CAPABILITIES => (capabilities(call)?, CALLER_TTL_MS, "private"),
        HEALTH => (health(call), 0, "private"),
        _ => match uri.strip_prefix(SESSION_PREFIX) {
            Some(id) if has_sessions(call) => (session(id, uri, request)?, 0, "private"),
            Some(_) | None => return Err(not_found(uri, request.era).into()),
        },
    };
    let result = json!({"contents": [{
        "uri": uri,
        "mimeType": MIME_TYPE,
        "text": json::text(&content),
    }]});
    Ok(request.era.cached(result, ttl_ms, scope))
}

/// The code was -32002 until 2026-07-28 withdrew it.
pub fn not_found(uri: &str, era: Era) -> RpcError {
    let code = if era == Era::Modern { -32602 } else { -32002 };
    RpcError::new(code, "Resource not found", 400).data(json!({"uri": uri}))
}

fn capabilities(call: &Call) -> Result<Value, AuthError> {
    let capabilities = operations::call(GetCapabilities { operation: None }, &json!({}), call)?;
    Ok(json::to_value(capabilities))
}

/// Returns the metrics. Only the operator sees the number of messages sent, since it
/// reveals whether there was a recipient.
fn metrics(call: &Call) -> Value {
    let mut metrics = json::to_value(call.ports.telemetry.snapshot());
    if !matches!(call.caller.principal, Principal::Operator)
        && let Some(metrics) = metrics.as_object_mut()
    {
        metrics.remove("delivery");
    }
    metrics
}

fn health(call: &Call) -> Value {
    let ports = &call.ports;
    let has_store = ports.store.is_there();
    let store = has_store.then(|| ports.store.get(&["health".to_owned()]).is_ok());
    let keys = Some(ports.keys.mac("health", &[]).is_ok());
    let random = Some(ports.random.fill(&mut [0]).is_ok());
    let password_hash = ports.telemetry.snapshot().password_hash.has_room();
    // A build is healthy without the parts that it is made without.
    let word = |well: Option<bool>| match well {
        Some(true) => "ok",
        Some(false) => "unavailable",
        None => "none",
    };
    let is_well = [store, keys, random, password_hash]
        .into_iter()
        .all(|well| well != Some(false));
    json!({
        "status": word(Some(is_well)),
        "store": word(store),
        "keys": word(keys),
        "random": word(random),
        "password_hash": word(password_hash),
        "timestamp": call.now().to_rfc3339(),
    })
}

/// Returns a session of the caller, or any session to the operator. Sessions of other
/// users are not found, like those that do not exist.
fn session(id: &str, uri: &str, request: &MethodRequest) -> Result<Value, Failure> {
    let call = &request.call;
    let reader = match &call.caller.principal {
        Principal::Operator => None,
        Principal::AccessToken(token) => {
            Some(bearer::require_session(token.expose(), call)?.user_id)
        }
        Principal::Anonymous | Principal::ApiKey(_) => {
            return Err(AuthError::new(
                ErrorKind::Authentication,
                "Reading a session requires an access token",
            )
            .detail(
                "expected",
                "the header Authorization: Bearer <access token>",
            )
            .into());
        }
    };
    let Ok(id) = Id::try_from(id.to_owned()) else {
        return Err(not_found(uri, request.era).into());
    };
    let session = session::read_alive(id, call)?
        .filter(|session| reader.is_none_or(|user_id| user_id == session.user_id));
    match session {
        Some(session) => Ok(json::to_value(SessionView::from(session))),
        None => Err(not_found(uri, request.era).into()),
    }
}
