//! A service that requires tokens for itself: axum, and jsonwebtoken. The same layer guards
//! an MCP server made with `rmcp`, whose `StreamableHttpService` is a service of axum.
//!
//! `cargo run --release -p user-auth-host --example files`
//!
//! `JWKS_URL` is where the keys are, `ISSUER` is the `iss` of tokens (`server.public_url`),
//! and `AUDIENCE` is the name of this service (`tokens.other_audiences`). Prints its address.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// The server says for how long keys may be kept.
const KEYS_MAX_AGE: Duration = Duration::from_secs(3600);
/// Tokens with unknown keys cost no more than a request to the server in this time.
const FETCH_INTERVAL: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let verifier = Arc::new(Verifier {
        jwks_url: env::var("JWKS_URL")?,
        issuer: env::var("ISSUER")?,
        audience: env::var("AUDIENCE")?,
        keys: Mutex::new(None),
    });
    let routes = Router::new()
        .route("/whoami", get(whoami))
        .route_layer(from_fn_with_state(verifier, authenticated));
    let port = env::var("PORT").unwrap_or_else(|_| "9000".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}

async fn whoami(Extension(claims): Extension<Claims>) -> String {
    claims.sub
}

/// The claims that this service needs.
#[derive(Clone, Deserialize)]
struct Claims {
    sub: String,
}

/// Verifies tokens by the keys at a URL.
struct Verifier {
    jwks_url: String,
    issuer: String,
    audience: String,
    keys: Mutex<Option<(JwkSet, Instant)>>,
}

enum Refusal {
    /// The token is not valid.
    Invalid,
    /// Without the keys nothing is known of the token.
    NoKeys,
}

impl Verifier {
    async fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Invalid)?;
        let kid = header.kid.ok_or(Refusal::Invalid)?;
        // Tokens of other kinds may have the same key (RFC 9068 section 4).
        if header.typ.as_deref() != Some("at+jwt") {
            return Err(Refusal::Invalid);
        }
        let key = self.key(&kid).await?.ok_or(Refusal::Invalid)?;
        self.verify_by(&key, token).ok_or(Refusal::Invalid)
    }

    fn verify_by(&self, key: &Jwk, token: &str) -> Option<Claims> {
        // The algorithm is that of the key, whatever the token says.
        let algorithm = Algorithm::try_from(key.common.key_algorithm?).ok()?;
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        let key = DecodingKey::from_jwk(key).ok()?;
        Some(decode(token, &key, &validation).ok()?.claims)
    }

    async fn key(&self, kid: &str) -> Result<Option<Jwk>, Refusal> {
        let mut keys = self.keys.lock().await;
        let known = keys.as_ref().is_some_and(|(set, fetched)| {
            let max_age = match set.find(kid) {
                Some(_) => KEYS_MAX_AGE,
                None => FETCH_INTERVAL,
            };
            fetched.elapsed() < max_age
        });
        if !known {
            let url = self.jwks_url.clone();
            let fetched = tokio::task::spawn_blocking(move || fetch(&url)).await;
            let set = fetched.ok().and_then(Result::ok).ok_or(Refusal::NoKeys)?;
            *keys = Some((set, Instant::now()));
        }
        let found = keys.as_ref().and_then(|(set, _)| set.find(kid));
        Ok(found.cloned())
    }
}

fn fetch(url: &str) -> Result<JwkSet, ureq::Error> {
    ureq::get(url).call()?.body_mut().read_json()
}

/// Admits requests with a valid token.
async fn authenticated(
    State(verifier): State<Arc<Verifier>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(token) = bearer(request.headers()) else {
        // RFC 6750 section 3.1: a request without credentials gets no error code.
        return refuse("Bearer");
    };
    match verifier.verify(token).await {
        Ok(claims) => {
            request.extensions_mut().insert(claims);
            next.run(request).await
        }
        Err(Refusal::Invalid) => refuse(r#"Bearer error="invalid_token""#),
        Err(Refusal::NoKeys) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn refuse(challenge: &'static str) -> Response {
    let head = [(header::WWW_AUTHENTICATE, challenge)];
    (StatusCode::UNAUTHORIZED, head).into_response()
}

/// Returns the token of `Authorization: Bearer`, whose scheme is case-insensitive (RFC
/// 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
