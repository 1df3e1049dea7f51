//! Rejects requests without a valid API key where one is required.
//!
//! The key admits the calling program. An access token beside it identifies the user on
//! whose behalf the program calls; without one the program acts as itself.

use serde_json::json;

use super::credentials::{Credentials, Unclear};
use super::error::{Refusal, RpcError};
use super::{Request, Transport};
use crate::domain::access::actor;
use crate::domain::env::Env;
use crate::error::{AuthError, ErrorKind};
use crate::ports::Ports;
use crate::settings::Settings;
use crate::types::secret::Secret;

/// The scheme is UserAuth's own, which RFC 9110 section 11.1 permits. The host adds the
/// name of the header for the key, which only it knows.
const CHALLENGE: &str = "ApiKey realm=\"user-auth\"";

/// RFC 6750 section 3.
const NOT_BEARER: &str = "Bearer realm=\"user-auth\", error=\"invalid_request\"";

/// Checks whether a message may be processed. Notifications are refused too: over HTTP
/// every request gets a status. Wrong keys are not throttled, since 256 random bits cannot
/// be guessed.
pub fn check(request: &Request, settings: &Settings, ports: Ports) -> Result<(), Refusal> {
    if request.transport == Transport::Stdio {
        return Ok(());
    }
    let credentials = credentials(request, ports)?;
    if !settings.require_api_key {
        return Ok(());
    }
    require_key(&credentials, settings, ports).map_err(|error| refuse(&error, CHALLENGE, ports))
}

/// Returns the credentials of a request over HTTP, unless they are unclear.
pub fn credentials<'a>(request: &'a Request, ports: Ports) -> Result<Credentials<'a>, Refusal> {
    let invalid = |problem: &str, expected: &str| {
        let error = RpcError::invalid_request(problem).data(json!({"expected": expected}));
        Refusal {
            status: error.status,
            headers: Vec::new(),
            error: error.to_object(),
        }
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
            refuse(&error, NOT_BEARER, ports)
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

fn refuse(error: &AuthError, challenge: &str, ports: Ports) -> Refusal {
    let mut refusal = Refusal::of(error, ports.clock.now());
    if error.kind == ErrorKind::Authentication {
        refusal.headers = vec![("www-authenticate".to_owned(), challenge.to_owned())];
    }
    refusal
}

/// One text for every reason, so that callers cannot distinguish them.
fn refused() -> AuthError {
    AuthError::new(ErrorKind::Authentication, "A valid API key is required").detail(
        "expected",
        "one API key, in the header that WWW-Authenticate names or as Authorization: Bearer",
    )
}
