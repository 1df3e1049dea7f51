//! The routes, and what happens around every request: the checks before it, the header
//! fields of its response, its trace and its count.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Extension, Request, State};
use axum::http::header::TRANSFER_ENCODING;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use hyper::body::Incoming;
use tower::Service as _;

use super::admission::write_timeout::tracked;
use super::app::{App, Caller, Named};
use super::respond::refuse;
use super::routes::health::ReadinessCache;
use super::routes::server_card::ServerCardCache;
use super::routes::{health, mcp, metrics, server_card, verify};
use super::security::authority::Authority;
use super::security::cors;
use crate::trace::{self, Trace};

/// Returns the routes of a server.
pub(super) fn router(app: &Arc<App>) -> Router {
    let mut guarded = Router::new()
        .route("/mcp", any(mcp::handle))
        .route("/mcp/", any(mcp::handle))
        .route(
            "/mcp/server-card",
            any(server_card::card).layer(Extension(ServerCardCache::default())),
        )
        .route("/metrics", any(metrics::metrics));
    if app.policy.cors {
        guarded = guarded.layer(cors::layer(&app.policy));
    }
    // Outside of the CORS layer: a page that may not call gets no response to its
    // preflight either.
    guarded = guarded.layer(from_fn_with_state(Arc::clone(app), guard));
    // Probes address the server by its IP address, and learn nothing worth guarding.
    Router::new()
        .route("/health", any(health::health))
        .route(
            "/ready",
            any(health::ready).layer(Extension(ReadinessCache::default())),
        )
        .route("/verify", any(verify::verify))
        .merge(guarded)
        .fallback(not_found)
        .with_state(Arc::clone(app))
}

/// Answers one request.
pub(super) async fn answer(
    app: Arc<App>,
    mut router: Router,
    caller: Caller,
    mut request: Request<Incoming>,
) -> Response {
    // A request with a body counts as in flight once the body has arrived.
    let request_guard = request
        .body()
        .is_end_stream()
        .then(|| caller.in_flight.begin());
    request.extensions_mut().insert(caller);
    let (method, route) = (request.method().clone(), route(request.uri().path()));
    let trace = Trace::of_request(&method, route, request.headers());
    let answer = async {
        let mut response = match check(&mut request) {
            Ok(()) => {
                let Ok(response) = router.call(request).await;
                response
            }
            Err((status, message)) => refuse(status, &message),
        };
        cors::secure(response.headers_mut(), app.policy.https);
        app.counters.answered(route, response.status());
        match request_guard {
            Some(_) => tracked(response, request_guard, None),
            None => response,
        }
    };
    trace::answered(trace, method, route, answer).await
}

/// Rejects requests for a host or from an origin that the policy does not allow.
async fn guard(
    State(app): State<Arc<App>>,
    Extension(Named(named)): Extension<Named>,
    request: Request,
    next: Next,
) -> Response {
    match app.policy.allowed.check(named.as_ref(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(message) => refuse(StatusCode::FORBIDDEN, &message),
    }
}

/// Rejects requests that RFC 9112 requires every server to reject, whatever their
/// target.
fn check(request: &mut Request<Incoming>) -> Result<(), (StatusCode, String)> {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_known = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !is_known(coding)) || codings.next().is_some() {
        // Section 6.1.
        let message = "the Transfer-Encoding is not supported; only chunked is";
        return Err((StatusCode::NOT_IMPLEMENTED, message.to_owned()));
    }
    let named = Authority::of_request(request.uri(), request.headers(), request.version())
        .map_err(|message| (StatusCode::BAD_REQUEST, message))?;
    request.extensions_mut().insert(Named(named));
    Ok(())
}

/// Returns a known path for the logs. Unknown paths are not logged, since they may hold
/// anything.
fn route(path: &str) -> &'static str {
    match path {
        "/mcp" | "/mcp/" => "/mcp",
        "/health" => "/health",
        "/ready" => "/ready",
        "/verify" => "/verify",
        "/metrics" => "/metrics",
        "/mcp/server-card" => "/mcp/server-card",
        _ => "other",
    }
}

async fn not_found(request: Request) -> Response {
    let message = format!(
        "nothing found at {}; MCP is at POST /mcp, and the state of the server at GET /health",
        request.uri().path()
    );
    refuse(StatusCode::NOT_FOUND, &message)
}
