//! Rejects requests without a valid API key, or without a valid access token, where one is
//! required.
//!
//! The key admits the calling program. An access token beside it identifies the user on
//! whose behalf the program calls; without one the program acts as itself.

use serde_json::json;

use super::credentials::{Credentials, Unclear};
use super::error::{Refusal, RpcError};
use super::{Request, Transport};
use crate::domain::access::actor;
use crate::domain::env::Env;
use crate::domain::resources::resource;
use crate::domain::sessions::bearer;
use crate::error::{AuthError, ErrorKind};
use crate::ports::Ports;
use crate::settings::{PublicUrl, Settings};
use crate::types::secret::Secret;

/// The scheme is UserAuth's own, which RFC 9110 section 11.1 permits. The host adds the
/// name of the header for the key, which only it knows.
const CHALLENGE: &str = "ApiKey realm=\"user-auth\"";

/// RFC 6750 section 3.
const NOT_BEARER: &str = "Bearer realm=\"user-auth\", error=\"invalid_request\"";

/// RFC 6750 section 3.1.
const INVALID_TOKEN: &str = ", error=\"invalid_token\"";

/// Checks whether a message may be processed. Notifications are refused too: over HTTP
/// every request gets a status. Wrong keys are not throttled, since 256 random bits cannot
/// be guessed.
fn check(request: &Request, settings: &Settings, ports: Ports) -> Result<(), Refusal> {
    if request.transport == Transport::Stdio {
        return Ok(());
    }
    let credentials = credentials(request, ports)?;
    if !settings.require_api_key {
        return Ok(());
    }
    require_key(&credentials, settings, ports).map_err(|error| refuse(&error, CHALLENGE, ports))
}

/// Checks a request that only programs make: it has to have a valid API key where callers
/// need any credential.
pub fn check_program(request: &Request, settings: &Settings, ports: Ports) -> Result<(), Refusal> {
    let credentials = credentials(request, ports)?;
    if settings.is_open() {
        return Ok(());
    }
    require_key(&credentials, settings, ports).map_err(|error| refuse(&error, CHALLENGE, ports))
}

/// Checks the API key, and whether a message has a caller where every message requires one: an
/// access token for this service or an API key.
pub fn check_caller(request: &Request, settings: &Settings, ports: Ports) -> Result<(), Refusal> {
    check(request, settings, ports)?;
    let Some(oauth) = settings.oauth.as_ref().filter(|_| settings.require_sign_in) else {
        return Ok(());
    };
    if request.transport == Transport::Stdio {
        return Ok(());
    }
    let credentials = credentials(request, ports)?;
    let env = Env { ports, settings };
    let is_known = is_known(&credentials, &env);
    if is_known.as_ref().is_ok_and(|is_known| *is_known) {
        return Ok(());
    }
    // RFC 9728 section 5.1. Without a token the error is left out (RFC 6750 section 3.1).
    let (reason, problem) = match (credentials.access_token, credentials.api_key) {
        (None, None) => ("", "An access token is required"),
        (Some(_), None) => (INVALID_TOKEN, "The access token is not valid"),
        (_, Some(_)) => (INVALID_TOKEN, "The API key is not valid"),
    };
    let error = is_known.err().unwrap_or_else(|| {
        AuthError::new(ErrorKind::Authentication, problem).detail(
            "expected",
            "Authorization: Bearer with an access token; WWW-Authenticate names the document \
             that says where to get one",
        )
    });
    let challenge = format!(
        "Bearer realm=\"user-auth\"{reason}, resource_metadata=\"{}\"",
        protected_resource_url(&oauth.public_url)
    );
    Err(refuse(&error, &challenge, ports))
}

/// Returns the URL of the metadata of `/mcp` as a resource server (RFC 9728 section 3.1).
pub fn protected_resource_url(public_url: &PublicUrl) -> String {
    let (origin, path) = (public_url.origin(), public_url.path());
    format!("{origin}/.well-known/oauth-protected-resource{path}/mcp")
}

fn is_known(credentials: &Credentials, env: &Env) -> Result<bool, AuthError> {
    if let Some(key) = credentials.api_key {
        let key = Secret::new(key.to_owned());
        return Ok(actor::api_key(&key, env)?.is_some());
    }
    let Some(token) = credentials.access_token else {
        return Ok(false);
    };
    if bearer::live(&env.settings.audience, token, env)?.is_some() {
        return Ok(true);
    }
    match resource::own_url(env.settings) {
        Some(own) => Ok(bearer::live(own.as_str(), token, env)?.is_some()),
        None => Ok(false),
    }
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
