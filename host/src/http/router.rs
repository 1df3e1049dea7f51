//! The routes, and what happens around every request: the checks before it, the header
//! fields of its response, its trace and its count.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Extension, Request, State};
use axum::http::header::{ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use hyper::body::Incoming;
use tower::Service as _;
use user_auth_origins::fields::Readers;

use super::admission::write_timeout::tracked;
use super::app::{App, Caller, Named};
use super::respond::Wording;
use super::routes::health::ReadinessCache;
use super::routes::table::{OTHER, RouteClass};
use super::routes::{component, health, metrics};
use super::security::authority::named_by;
use super::security::cors;
use crate::api::PageClass;
use crate::error::CallError;
use crate::trace::{self, Trace};

/// The paths that the host answers by itself.
const HEALTH: &str = "/health";
const READY: &str = "/ready";
const METRICS: &str = "/metrics";

/// The routes of a server: those of the host, and those of the component by the pages that
/// may call them.
#[derive(Clone)]
pub(super) struct Routers {
    host: Router,
    listed: Router,
    public: Router,
    unguarded: Router,
}

impl Routers {
    pub(super) fn new(app: &Arc<App>) -> Self {
        let guarded =
            |router: Router<Arc<App>>| router.layer(from_fn_with_state(Arc::clone(app), guard));
        let component = || Router::new().fallback(component::handle);
        let metrics = Router::new().route(METRICS, any(metrics::metrics));
        // Probes address the server by its IP address, and learn nothing worth guarding.
        let host = Router::new()
            .route(HEALTH, any(health::health))
            .route(
                READY,
                any(health::ready).layer(Extension(ReadinessCache::default())),
            )
            .merge(guarded(metrics));
        Self {
            host: host.with_state(Arc::clone(app)),
            listed: guarded(component()).with_state(Arc::clone(app)),
            public: component()
                .layer(from_fn_with_state(Arc::clone(app), for_all_pages))
                .with_state(Arc::clone(app)),
            unguarded: component().with_state(Arc::clone(app)),
        }
    }

    fn of(self, pages: PageClass) -> Router {
        match pages {
            PageClass::Listed => self.listed,
            PageClass::Public => self.public,
            PageClass::None => self.unguarded,
        }
    }
}

/// Answers one request.
pub(super) async fn answer(
    app: Arc<App>,
    routers: Routers,
    caller: Caller,
    mut request: Request<Incoming>,
) -> Response {
    // A request with a body counts as in flight once the body has arrived.
    let request_guard = request
        .body()
        .is_end_stream()
        .then(|| caller.in_flight.begin());
    request.extensions_mut().insert(caller);
    let method = request.method().clone();
    let routed = route(&app, routers, &mut request).await;
    let route = routed.as_ref().map_or(OTHER, |(name, _)| name);
    let trace = Trace::of_request(&method, route, request.headers());
    let answer = async {
        let mut response = match check(&mut request) {
            Ok(()) => match routed {
                Ok((_, mut router)) => {
                    let Ok(response) = router.call(request).await;
                    response
                }
                Err(error) => Wording::default().unavailable(&error),
            },
            Err((status, message)) => Wording::default().refuse(status, &message),
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

/// Rejects requests for a host or from an origin that the policy does not allow. Those get
/// no response to a preflight request either.
async fn guard(
    State(app): State<Arc<App>>,
    Extension(Named(named)): Extension<Named>,
    request: Request,
    next: Next,
) -> Response {
    let policy = &app.policy;
    if let Err(message) = policy.allowed.check(named.as_ref(), request.headers()) {
        let route = request.extensions().get::<Arc<RouteClass>>();
        let wording = route.map_or_else(Wording::default, |route| route.wording());
        return wording.refuse(StatusCode::FORBIDDEN, &message);
    }
    if !policy.cors {
        return next.run(request).await;
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let origin = origin.as_ref().and_then(|origin| origin.to_str().ok());
    cors::answer(Readers::Origin(origin), policy, request, next).await
}

async fn for_all_pages(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    cors::answer(Readers::All, &app.policy, request, next).await
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
    let named = named_by(request.uri(), request.headers(), request.version())
        .map_err(|message| (StatusCode::BAD_REQUEST, message))?;
    request.extensions_mut().insert(Named(named));
    Ok(())
}

/// Returns the name of the route for the logs, and its router.
async fn route(
    app: &App,
    routers: Routers,
    request: &mut Request<Incoming>,
) -> Result<(&'static str, Router), CallError> {
    let path = request.uri().path();
    if let Some(own) = [HEALTH, READY, METRICS]
        .into_iter()
        .find(|own| *own == path)
    {
        return Ok((own, routers.host));
    }
    let class = app.routes.class(&app.plugin, path).await?;
    let routed = (class.name, routers.of(class.pages));
    request.extensions_mut().insert(class);
    Ok(routed)
}
