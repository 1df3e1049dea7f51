//! Resources: what an agent may want to look at.

use serde_json::{Value, json};

use crate::domain::context::{Context, Principal};
use crate::domain::sessions::{bearer, session};
use crate::error::{AuthError, ErrorKind};
use crate::json;
use crate::mcp::call::{Call, MethodResult};
use crate::mcp::era::Era;
use crate::mcp::error::{Failure, RpcError};
use crate::mcp::protocol::STATIC_TTL_MS;
use crate::operations::{self, GetCapabilities, SessionView};
use crate::types::id::Id;

const MIME_TYPE: &str = "application/json";
const METRICS: &str = "mcp://user-auth/metrics";
const CAPABILITIES: &str = "mcp://user-auth/capabilities";
const HEALTH: &str = "mcp://user-auth/health";
const SESSION_PREFIX: &str = "mcp://user-auth/sessions/";
/// The template of the sessions, for completions too.
pub const SESSION_TEMPLATE: &str = "mcp://user-auth/sessions/{session_id}";

/// `resources/list`
pub fn list(call: &Call) -> MethodResult {
    call.first_page()?;
    let resources = json!({"resources": [
        {
            "uri": CAPABILITIES,
            "name": "capabilities",
            "title": "Capabilities",
            "description": "The names of the operations, policies, limits, errors and versions.",
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
            "description": "Whether the store, the keys, randomness and the password hash are there for use.",
            "mimeType": MIME_TYPE,
        },
    ]});
    Ok(call.era.cached(resources, STATIC_TTL_MS, "public"))
}

/// `resources/templates/list`
pub fn templates(call: &Call) -> MethodResult {
    call.first_page()?;
    let templates = json!({"resourceTemplates": [{
        "uriTemplate": SESSION_TEMPLATE,
        "name": "session",
        "title": "A session",
        "description": "Whose a session is, how it began and when it ends. For the owner of the \
            session, by access token, and for the local operator.",
        "mimeType": MIME_TYPE,
    }]});
    Ok(call.era.cached(templates, STATIC_TTL_MS, "public"))
}

/// `resources/read`
pub fn read(call: &Call) -> MethodResult {
    let uri = call.text("uri")?;
    let context = &call.context;
    let (content, ttl_ms, scope) = match uri {
        METRICS => (metrics(context), 0, "private"),
        CAPABILITIES => (capabilities(context)?, STATIC_TTL_MS, "public"),
        HEALTH => (health(context), 0, "private"),
        _ => match uri.strip_prefix(SESSION_PREFIX) {
            Some(id) => (session(id, uri, call)?, 0, "private"),
            None => return Err(not_found(uri, call.era).into()),
        },
    };
    let result = json!({"contents": [{
        "uri": uri,
        "mimeType": MIME_TYPE,
        "text": content.to_string(),
    }]});
    Ok(call.era.cached(result, ttl_ms, scope))
}

/// The code was -32002 until 2026-07-28 took it back.
pub fn not_found(uri: &str, era: Era) -> RpcError {
    let code = if era == Era::Modern { -32602 } else { -32002 };
    RpcError::new(code, "Resource not found", 400).data(json!({"uri": uri}))
}

fn capabilities(context: &Context) -> Result<Value, AuthError> {
    let capabilities = operations::call(GetCapabilities { operation: None }, &json!({}), context)?;
    Ok(json::to_value(capabilities))
}

/// Returns the metrics. Only the operator sees the number of messages sent, since it
/// reveals whether there was a recipient.
fn metrics(context: &Context) -> Value {
    let mut metrics = json::to_value(context.ports.telemetry.snapshot());
    if !matches!(context.caller.principal, Principal::Operator)
        && let Some(metrics) = metrics.as_object_mut()
    {
        metrics.remove("delivery");
    }
    metrics
}

fn health(context: &Context) -> Value {
    let ports = &context.ports;
    let has_store = ports.store.is_there();
    let store = has_store.then(|| ports.store.get(&["health".to_owned()]).is_ok());
    let keys = Some(ports.keys.mac("health", &[]).is_ok());
    let random = Some(ports.random.fill(&mut [0]).is_ok());
    let password_hash = ports.telemetry.snapshot().password_hash.has_room();
    // What a build does without is no fault of it.
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
        "timestamp": context.now().to_rfc3339(),
    })
}

/// One's own sessions, and for the operator all. What is another's is not found,
/// just as what is not there.
fn session(id: &str, uri: &str, call: &Call) -> Result<Value, Failure> {
    let context = &call.context;
    let reader = match &context.caller.principal {
        Principal::Operator => None,
        Principal::AccessToken(token) => {
            Some(bearer::require_session(token.expose(), context)?.user_id)
        }
        Principal::Anonymous | Principal::ApiKey(_) => {
            return Err(AuthError::new(
                ErrorKind::Authentication,
                "Reading a session takes an access token",
            )
            .detail(
                "expected",
                "the header Authorization: Bearer <access token>",
            )
            .into());
        }
    };
    let Ok(id) = Id::try_from(id.to_owned()) else {
        return Err(not_found(uri, call.era).into());
    };
    let session = session::read_alive(id, context)?
        .filter(|session| reader.is_none_or(|user_id| user_id == session.user_id));
    match session {
        Some(session) => Ok(json::to_value(SessionView::from(session))),
        None => Err(not_found(uri, call.era).into()),
    }
}
