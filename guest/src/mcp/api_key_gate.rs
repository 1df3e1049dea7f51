//! Rejects requests without a valid API key where one is required.
//!
//! The key admits the calling program. An access token beside it identifies the user on
//! whose behalf the program calls; without one the program acts as itself.

use serde_json::json;

use super::credentials::{Credentials, Unclear};
use super::error::RpcError;
use super::{Request, Response, Transport, error, json_response, message, response};
use crate::domain::access::actor;
use crate::domain::env::Env;
use crate::error::{AuthError, ErrorKind};
use crate::json::{self, Node};
use crate::ports::Ports;
use crate::settings::Settings;
use crate::types::secret::Secret;

/// The scheme is UserAuth's own, which RFC 9110 section 11.1 permits. The host adds the
/// name of the header for the key, which only it knows.
const CHALLENGE: &str = "ApiKey realm=\"user-auth\"";

/// RFC 6750 section 3.
const NOT_BEARER: &str = "Bearer realm=\"user-auth\", error=\"invalid_request\"";

/// Checks whether a message may be processed. `Err` is the response if it may not, for
/// notifications too: over HTTP every request gets a status. Wrong keys are not
/// throttled, since 256 random bits cannot be guessed.
pub fn check(request: &Request, settings: &Settings, ports: Ports) -> Result<(), Response> {
    if request.transport == Transport::Stdio {
        return Ok(());
    }
    let credentials = credentials(request, ports)?;
    if !settings.require_api_key {
        return Ok(());
    }
    require_key(&credentials, settings, ports)
        .map_err(|error| refuse(request, &error, CHALLENGE, ports))
}

/// Returns the credentials of a request over HTTP. `Err` is the response to a request
/// whose credentials are unclear.
pub fn credentials<'a>(request: &'a Request, ports: Ports) -> Result<Credentials<'a>, Response> {
    let invalid = |problem: &str, expected: &str| {
        let error = RpcError::invalid_request(problem).data(json!({"expected": expected}));
        let object = error.to_object();
        let body = response(&id_of(&request.body), "error", &object);
        json_response(error.status, Vec::new(), body)
    };
    Credentials::of(request).map_err(|unclear| match unclear {
        Unclear::TwoKeys => {
            let problem = "There are two API keys that differ, one of them as a bearer token";
            invalid(problem, "one API key")
        }
        Unclear::Repeated(name) => {
            let problem = format!("There is more than one {name} header");
            invalid(&problem, "one header of this name")
        }
        Unclear::NotBearer => {
            let problem = "The header Authorization is not a bearer token";
            let error = AuthError::new(ErrorKind::Authentication, problem).detail(
                "expected",
                "Authorization: Bearer, a space and an access token or API key; or no such header",
            );
            refuse(request, &error, NOT_BEARER, ports)
        }
    })
}

/// Fails with -32001 unless the request has a valid API key.
fn require_key(
    credentials: &Credentials,
    settings: &Settings,
    ports: Ports,
) -> Result<(), AuthError> {
    let Some(key) = credentials.api_key else {
        return Err(refused());
    };
    let key = Secret::new(key.to_owned());
    match actor::api_key(&key, &Env { ports, settings })? {
        Some(_) => Ok(()),
        None => Err(refused()),
    }
}

fn refuse(request: &Request, error: &AuthError, challenge: &str, ports: Ports) -> Response {
    let headers = match error.kind {
        ErrorKind::Authentication => vec![("www-authenticate".to_owned(), challenge.to_owned())],
        _ => error::headers(error),
    };
    let object = error.to_object(ports.clock.now());
    let body = response(&id_of(&request.body), "error", &object);
    json_response(error.kind.status(), headers, body)
}

/// One text for every reason, so that callers cannot distinguish them.
fn refused() -> AuthError {
    AuthError::new(ErrorKind::Authentication, "A valid API key is required").detail(
        "expected",
        "one API key, in the header that WWW-Authenticate names or as Authorization: Bearer",
    )
}

/// Returns the id of a request, or `null` for anything else.
fn id_of(body: &[u8]) -> Node<'_> {
    if message::has_too_many_values(body) {
        return Node::Null;
    }
    let Ok(Node::Object(mut message)) = json::parse(body) else {
        return Node::Null;
    };
    match message.remove("id") {
        Some(id @ (Node::Text(_) | Node::Number(_))) => id,
        _ => Node::Null,
    }
}
