//! What happens around every request: the checks before it, the choice of what answers it,
//! the header fields of its response, its trace and its count.

use std::pin::pin;
use std::sync::Arc;

use http::header::{ORIGIN, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::{Body as _, Incoming};
use user_auth_origins::authority::Authority;
use user_auth_origins::fields::Readers;

use super::app::{App, Caller};
use super::body::Response;
use super::respond::Wording;
use super::routes::table::{OTHER, RouteClass};
use super::routes::{component, health, logo, metrics};
use super::security::authority::named_by;
use super::security::cors;
use crate::api::PageClass;
use crate::error::CallError;
use crate::logo::Logo;
use crate::trace::{self, Trace};

/// The paths that the host answers by itself.
const HEALTH: &str = "/health";
const READY: &str = "/ready";
const METRICS: &str = "/metrics";
const LOGO: &str = "/logo";

/// What answers a request.
enum Route {
    Health,
    Ready,
    Metrics,
    Logo(Logo),
    Component(Arc<RouteClass>),
}

impl Route {
    async fn of(app: &App, path: &str) -> Result<Self, CallError> {
        Ok(match path {
            HEALTH => Self::Health,
            READY => Self::Ready,
            METRICS => Self::Metrics,
            path => match app.plugin.logo(path) {
                Some(logo) => Self::Logo(logo.clone()),
                None => Self::Component(app.routes.class(&app.plugin, path).await?),
            },
        })
    }

    /// Returns the name for the logs and the metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Health => HEALTH,
            Self::Ready => READY,
            Self::Metrics => METRICS,
            Self::Logo(_) => LOGO,
            Self::Component(class) => class.name,
        }
    }

    /// Returns the web pages that may call.
    fn pages(&self) -> PageClass {
        match self {
            // Probes address the server by its IP address, and learn nothing worth guarding.
            Self::Health | Self::Ready | Self::Logo(_) => PageClass::None,
            Self::Metrics => PageClass::Listed,
            Self::Component(class) => class.pages,
        }
    }

    /// Returns how the host words its own errors.
    fn wording(&self) -> Wording {
        match self {
            Self::Component(class) => class.wording(),
            Self::Health | Self::Ready | Self::Metrics | Self::Logo(_) => Wording::default(),
        }
    }
}

/// Answers one request.
pub(super) async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    request: Request<Incoming>,
) -> Response {
    // A request with a body counts as in flight once the body has arrived.
    let in_flight = request
        .body()
        .is_end_stream()
        .then(|| caller.in_flight.begin());
    let method = request.method().clone();
    let route = Route::of(app, request.uri().path()).await;
    let name = route.as_ref().map_or(OTHER, Route::name);
    let trace = Trace::of_request(&method, name, request.headers());
    let answer = pin!(async {
        let mut response = match (check(&request), route) {
            (Err((status, message)), _) => Wording::default().refuse(status, &message),
            (Ok(_), Err(error)) => Wording::default().unavailable(&error),
            (Ok(named), Ok(route)) => guarded(app, caller, named.as_ref(), route, request).await,
        };
        cors::secure(response.headers_mut(), app.policy.https);
        app.counters.answered(name, response.status());
        response.body_mut().begin(in_flight);
        response
    });
    trace::answered(trace, method, name, answer).await
}

/// Answers a request if the web page that sent it may call, and tells its browser so. Answers
/// a preflight request by itself.
async fn guarded(
    app: &Arc<App>,
    caller: &Caller,
    named: Option<&Authority>,
    route: Route,
    request: Request<Incoming>,
) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let readers = match route.pages() {
        PageClass::None => None,
        PageClass::Public => Some(Readers::All),
        PageClass::Listed => {
            // A page that may not call gets no response to its preflight request either.
            if let Err(message) = app.policy.allowed.check(named, request.headers()) {
                return route.wording().refuse(StatusCode::FORBIDDEN, &message);
            }
            let origin = origin.as_ref().and_then(|origin| origin.to_str().ok());
            app.policy.cors.then_some(Readers::Origin(origin))
        }
    };
    let (mut response, fields) = match readers {
        Some(readers) if request.method() == Method::OPTIONS => {
            let fields = readers.preflight(app.policy.key_header.as_str());
            (Response::default(), fields)
        }
        readers => {
            let response = match &route {
                Route::Health => health::health(app, request.method()),
                Route::Ready => health::ready(app, request.method()).await,
                Route::Metrics => metrics::metrics(app, caller, named, request).await,
                Route::Logo(logo) => logo::logo(logo, request.method()),
                Route::Component(class) => {
                    component::handle(app, caller, named, class, request).await
                }
            };
            let fields = readers.map(Readers::response).unwrap_or_default();
            (response, fields)
        }
    };
    cors::add(fields, response.headers_mut());
    response
}

/// Returns the host that a request is addressed to. Rejects requests that RFC 9112 requires
/// every server to reject, whatever their target.
fn check(request: &Request<Incoming>) -> Result<Option<Authority>, (StatusCode, String)> {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_known = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !is_known(coding)) || codings.next().is_some() {
        // Section 6.1.
        let message = "the Transfer-Encoding is not supported; only chunked is";
        return Err((StatusCode::NOT_IMPLEMENTED, message.to_owned()));
    }
    named_by(request.uri(), request.headers(), request.version())
        .map_err(|message| (StatusCode::BAD_REQUEST, message))
}
