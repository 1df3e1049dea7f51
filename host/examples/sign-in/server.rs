//! An MCP server that users sign in to: rmcp, axum and jsonwebtoken, with UserAuth as the
//! authorization server.
//!
//! `cargo run --bin server`
//!
//! `ISSUER` is the public URL of UserAuth, and `RESOURCE` is the URL of this server, as it was
//! defined with `define_resource`.

mod verifier;

use std::env;
use std::error::Error;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use rmcp::handler::server::tool::Extension;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;
use tokio::net::TcpListener;

use verifier::{Claims, Refusal, Verifier};

const SCOPE: &str = "files:read";
/// Where the metadata of `/mcp` are (RFC 9728 section 3.1).
const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

#[derive(Clone)]
struct Files;

#[tool_router]
impl Files {
    #[tool(description = "Returns the id of the user.")]
    fn whoami(&self, Extension(request): Extension<Parts>) -> String {
        let claims: &Claims = request.extensions.get().expect("the layer adds it");
        claims.sub.clone()
    }
}

#[tool_handler]
impl ServerHandler for Files {}

struct Guard {
    verifier: Verifier,
    /// The challenge of RFC 6750 and RFC 9728, which leads clients to the sign-in.
    challenge: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let issuer = setting("ISSUER", "http://localhost:8000");
    let resource = setting("RESOURCE", "http://localhost:9000/mcp");
    let origin = resource
        .strip_suffix("/mcp")
        .ok_or("RESOURCE must end with /mcp")?;
    let (_, host) = origin.split_once("://").ok_or("RESOURCE must be a URL")?;
    // By default, requests are admitted by the names of this machine only.
    let config = StreamableHttpServerConfig::default().with_allowed_hosts([host]);
    let metadata = json!({
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": [SCOPE],
    });
    let guard = Arc::new(Guard {
        challenge: format!(r#"resource_metadata="{origin}{METADATA}", scope="{SCOPE}""#),
        verifier: Verifier::new(issuer, resource),
    });
    let mcp = StreamableHttpService::new(
        || Ok(Files),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let routes = Router::new()
        .route_service("/mcp", mcp)
        .route_layer(from_fn_with_state(guard, authorized))
        .route(METADATA, get(|| async { Json(metadata) }));
    let port = setting("PORT", "9000");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{} is ready", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}

/// Admits requests with a valid token that has the scope.
async fn authorized(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let refusal = match authorization.and_then(|value| value.to_str().ok()) {
        None => Refusal::NoToken,
        Some(value) => match guard.verifier.verify(value, SCOPE).await {
            Err(refusal) => refusal,
            Ok(claims) => {
                request.extensions_mut().insert(claims);
                return next.run(request).await;
            }
        },
    };
    let (status, error) = match refusal {
        Refusal::NoToken => (StatusCode::UNAUTHORIZED, ""),
        Refusal::Invalid => (StatusCode::UNAUTHORIZED, r#"error="invalid_token", "#),
        Refusal::NoScope => (StatusCode::FORBIDDEN, r#"error="insufficient_scope", "#),
        Refusal::NoKeys => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let challenge = format!("Bearer {error}{}", guard.challenge);
    (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}
