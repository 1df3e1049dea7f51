//! Who is listened to at all, where every caller has to have an API key.
//!
//! The key admits the program that calls. On whose behalf it calls is what the
//! access token says, if it sends one too; without one it acts as itself.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{Request, Response, Transport, failure, json_response, message};
use crate::domain::actor;
use crate::domain::context::{Caller, Context, Principal, Source};
use crate::domain::secret::Secret;
use crate::error::{AuthError, Kind, Result};
use crate::json;
use crate::ports::Ports;
use crate::settings::Settings;

/// The scheme is ours: RFC 9110 section 11.1 lets servers have one. Only the host
/// knows the header that the key came in, and adds it.
const CHALLENGE: &str = "ApiKey realm=\"user-auth\"";

/// Fails with -32001 unless the message may be looked at. Wrong keys are not
/// throttled: with 256 random bits there is nothing to guess.
pub fn check(request: &Request, settings: &Settings, ports: Ports) -> Result<()> {
    if !settings.require_api_key || request.transport == Transport::Stdio {
        return Ok(());
    }
    let mut keys = request
        .headers
        .iter()
        .filter(|(name, _)| name == "x-api-key");
    // Of two keys the one that is good here need not be the one that is looked at
    // on the way.
    let (Some((_, key)), None) = (keys.next(), keys.next()) else {
        return Err(refused());
    };
    let key = Secret::new(key.trim_matches([' ', '\t']).to_owned());
    let caller = Caller {
        principal: Principal::Anonymous,
        source: Source::from_peer(request.peer.as_deref()),
    };
    let context = Context {
        ports,
        settings,
        caller: &caller,
        authority: Rc::default(),
        progress: None,
        log_level: None,
        trail: Rc::default(),
    };
    match actor::api_key(&key, &context)? {
        Some(_) => Ok(()),
        None => Err(refused()),
    }
}

/// The answer to whoever is not admitted, notifications included: HTTP has a
/// status for each request.
pub fn refuse(request: &Request, error: &AuthError, ports: Ports) -> Response {
    let headers = match error.kind {
        Kind::Authentication => vec![("www-authenticate".to_owned(), CHALLENGE.to_owned())],
        _ => failure::headers(error),
    };
    let object = error.to_object(ports.clock.now());
    let body = json!({"jsonrpc": "2.0", "id": id_of(&request.body), "error": object});
    json_response(error.kind.status(), headers, &body)
}

/// One text for every reason, so that none can be told from another.
fn refused() -> AuthError {
    AuthError::new(Kind::Authentication, "A valid API key is required").detail(
        "expected",
        "one API key, in the header that WWW-Authenticate names",
    )
}

/// The id of a request; of anything else `null`.
fn id_of(body: &[u8]) -> Value {
    if message::has_too_many_values(body) {
        return Value::Null;
    }
    json::parse(body)
        .ok()
        .and_then(|mut message| message.get_mut("id").map(Value::take))
        .filter(|id| id.is_string() || id.is_number())
        .unwrap_or_default()
}
