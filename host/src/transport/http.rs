//! MCP's Streamable HTTP, and what whoever runs it wants to see:
//!
//! - `POST /mcp`: one message in, its answer out.
//! - `GET /mcp/server-card`: what a client can know before it connects.
//! - `GET /health`: the process lives. `GET /ready`: it can do its work.
//! - `GET /metrics`: the numbers, for Prometheus.
//! - `/verify`: whose a request is, for reverse proxies that guard others' pages.
//!
//! What callers are held to is a [`Policy`].

mod authority;
mod bodies;
mod card;
mod cors;
mod forwarded;
mod guard;
mod heads;
mod line;
mod mcp;
mod metrics;
mod origin;
mod patience;
mod places;
mod policy;
mod rate;
mod shares;
mod sse;
mod state;
mod tls;
mod verify;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Extension, Request, State};
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tracing::{debug, error, info, warn};

pub use forwarded::{ForwardedHeader, Proxies};
pub use guard::{Allowed, AllowedError};
pub use ipnet::IpNet;
pub use policy::{KeyHeader, Policy, PolicyError, Rate, Rates};
pub use tls::{Listener, Tls, TlsError};

use crate::api::{McpRequest, Transport};
use crate::call::{CallError, error_response};
use crate::client::NoClient;
use crate::sandbox::Plugin;
use crate::trace::{self, Trace};
use authority::Authority;
use card::Facts;
use heads::Heads;
use metrics::Counters;
use patience::{Debts, Patient, owed};
use places::{Place, Places};
use rate::{KeyHash, Limiter, TIDY_EVERY};
use shares::{NoMore, Share, Shares, Turn};
use state::Readiness;

/// How long to wait when the system has no more descriptors for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves MCP over HTTP, or with a [`Listener`] of its own over TLS, until `shutdown`
/// completes, then takes no more connections and finishes the requests that have
/// arrived whole, for [`Limits::shutdown`](crate::Limits::shutdown) at most. Nothing
/// of it runs on when this returns.
///
/// Callers are held to the policy; [`Allowed`] alone is one too. Fails when it is
/// one that cannot be ([`Policy::check`]).
pub async fn serve(
    listener: impl Into<Listener>,
    plugin: Plugin,
    policy: impl Into<Policy>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let Listener { tcp: listener, tls } = listener.into();
    let limits = plugin.limits().clone();
    let stopping = CancellationToken::new();
    let mut policy = policy.into();
    let requires_key = plugin.requires_api_key();
    policy.check(requires_key).map_err(io::Error::other)?;
    policy.allowed = policy.allowed.listening_on(listener.local_addr()?);
    let app = Arc::new(App {
        limiter: policy
            .rates
            .map(|rates| Limiter::new(rates, limits.limited_callers)),
        policy,
        requires_key,
        plugin,
        shares: Shares::new(&limits),
        counters: Counters::default(),
        readiness: Readiness::default(),
        facts: OnceCell::new(),
        stopping: stopping.clone(),
        started: Instant::now(),
    });
    let router = router(&app);
    let places = Places::new(limits.connections);
    let mut connections = JoinSet::new();
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        // hyper panics when it is given less.
        .max_buf_size(limits.connection_buffer_bytes.max(8 << 10))
        .header_read_timeout(limits.header_read);

    let accepting = async {
        let mut failing = false;
        loop {
            let (stream, peer, place) =
                accept(&listener, &places, &app.policy.proxies, &mut failing).await;
            // Those that have ended are let go of.
            while connections.try_join_next().is_some() {}
            let (server, router, stopping) = (server.clone(), router.clone(), stopping.clone());
            let (app, tls) = (app.clone(), tls.clone());
            connections.spawn(async move {
                let debts = place.debts().clone();
                let stream = Patient::new(
                    stream,
                    limits.response_write,
                    stopping.clone(),
                    debts.clone(),
                );
                let serving = async {
                    let secured = tokio::select! {
                        secured = tls::secure(tls.as_ref(), stream, limits.header_read) => secured,
                        // It owes nothing yet.
                        () = stopping.cancelled() => return,
                    };
                    let stream = match secured {
                        Ok(stream) => stream,
                        Err(error) => return debug!(%peer, %error, "no TLS came about"),
                    };
                    let caller = Caller {
                        peer,
                        debts: debts.clone(),
                    };
                    let stream = Heads::new(stream);
                    let body_length = stream.body_length();
                    let service = service_fn(move |request: Request<Incoming>| {
                        // At once: the next byte that is read may be of its body.
                        let is_last = !body_length.note(request.body());
                        let answer = answer(app.clone(), router.clone(), caller.clone(), request);
                        async move {
                            let mut response = answer.await;
                            if is_last {
                                let close = HeaderValue::from_static("close");
                                response.headers_mut().insert(CONNECTION, close);
                            }
                            Ok::<_, Infallible>(response)
                        }
                    });
                    let connection = server.serve_connection(TokioIo::new(stream), service);
                    if let Err(error) = drive(connection, &debts, &stopping).await {
                        debug!(%peer, %error, "a connection broke");
                    }
                };
                tokio::select! {
                    biased;
                    () = place.evicted() => debug!(%peer, "a connection made place for another"),
                    () = serving => {}
                }
            });
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
        () = tidy(app.limiter.as_ref()) => {}
    }
    drop(listener);
    stopping.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.shutdown, ended).await.is_err() {
        warn!("some requests did not end in time and were cut off");
        connections.shutdown().await;
    }
    Ok(())
}

/// Serves a connection to its end; once the server is `stopping`, for as long
/// as it owes an answer. A client that has not sent a request to its end is not
/// waited for.
async fn drive<I, S>(
    connection: http1::Connection<I, S>,
    debts: &Debts,
    stopping: &CancellationToken,
) -> hyper::Result<()>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // The debts change only where the connection is polled, so that whatever
    // changes them wakes this too.
    poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Pending if !debts.are_settled() => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
        ended => ended,
    })
    .await
}

struct App {
    plugin: Plugin,
    policy: Policy,
    /// Whether the component asks for an API key.
    requires_key: bool,
    limiter: Option<Limiter>,
    shares: Shares,
    counters: Counters,
    readiness: Readiness,
    facts: OnceCell<Facts>,
    stopping: CancellationToken,
    started: Instant,
}

impl App {
    /// Whether a key is asked for, and there is not one.
    fn lacks_key(&self, headers: &HeaderMap) -> bool {
        self.requires_key && self.policy.key_header.key(headers).is_none()
    }

    /// What there is for whoever calls from there.
    fn share(&self, from: IpAddr) -> Share {
        self.shares.of(from.into())
    }

    /// A place for a call from there; `Err` is the answer when there is none.
    async fn turn(&self, from: IpAddr) -> Result<Turn, Response> {
        let turn = self.share(from).turn().await;
        turn.map_err(|NoMore| unavailable(&CallError::Busy, Value::Null))
    }

    /// Counts a request for its caller: for the key that it shows, or for where it
    /// comes from. `Err`: it is one too many, for so many seconds.
    fn charge(&self, headers: &HeaderMap, from: IpAddr) -> Result<Option<KeyHash>, u64> {
        let key = self.limited_key(headers);
        self.count(key.as_ref(), from, Limiter::check)?;
        Ok(key)
    }

    /// The key that a request counts for, if it turns out to be good.
    fn limited_key(&self, headers: &HeaderMap) -> Option<KeyHash> {
        // Keys that nobody verifies are worth nothing.
        let counts = self.limiter.is_some() && self.requires_key;
        let key = counts.then(|| self.policy.key_header.key(headers));
        key.flatten().map(rate::hash)
    }

    /// Whether this key has rates of its own.
    fn knows(&self, key: &KeyHash) -> bool {
        let limiter = self.limiter.as_ref();
        limiter.is_some_and(|limiter| limiter.knows(key))
    }

    /// Counts a request in this way; `Err`: it is one too many, for so many seconds.
    fn count(
        &self,
        key: Option<&KeyHash>,
        from: IpAddr,
        check: impl Fn(&Limiter, Option<&KeyHash>, IpAddr) -> Result<(), u64>,
    ) -> Result<(), u64> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        check(limiter, key, from).inspect_err(|_| {
            self.counters.rate_limited.inc();
        })
    }

    /// Notes what the component's answer says of the key that came with the request,
    /// and tells who has shown no good one where to put it.
    fn judge(&self, mut response: Response, key: Option<KeyHash>) -> Response {
        if !self.requires_key {
            return response;
        }
        let is_refused = response.status() == StatusCode::UNAUTHORIZED
            && response
                .headers()
                .get(WWW_AUTHENTICATE)
                .is_some_and(|challenge| challenge.as_bytes().starts_with(b"ApiKey "));
        if is_refused {
            self.counters.unauthenticated.inc();
            if let Ok(challenge) = self.policy.key_header.challenge().try_into() {
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
        }
        if let (Some(limiter), Some(key)) = (&self.limiter, key) {
            match is_refused {
                true => limiter.forget(&key),
                false if response.status().is_success() => limiter.learn(key),
                // The key may not even have been looked at.
                false => {}
            }
        }
        response
    }

    /// Asks the component whether it takes the key in these headers; `Err` is the
    /// answer when it does not.
    async fn admit(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
        key: Option<KeyHash>,
    ) -> Result<(), Response> {
        let headers = mcp::fields(headers, &self.policy.key_header)
            .map_err(|message| refuse(StatusCode::BAD_REQUEST, &message))?;
        let notification = McpRequest {
            transport: Transport::Http,
            headers,
            peer: Some(from.to_string()),
            body: br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.into(),
        };
        let answered = self.plugin.handle(notification, Arc::new(NoClient)).await;
        let response = self.judge(mcp::plain(answered, Value::Null), key);
        match response.status().is_success() {
            true => Ok(()),
            false => Err(response),
        }
    }
}

/// Who sends the requests of a connection.
#[derive(Clone)]
struct Caller {
    peer: SocketAddr,
    debts: Debts,
}

fn router(app: &Arc<App>) -> Router {
    let mut guarded = Router::new()
        .route("/mcp", any(mcp::handle))
        .route("/mcp/", any(mcp::handle))
        .route("/mcp/server-card", any(card::card))
        .route("/metrics", any(metrics::metrics));
    if app.policy.cors {
        guarded = guarded.layer(cors::layer(&app.policy));
    }
    // Outside of CORS: a page that may not call gets no answer to its preflight
    // either.
    guarded = guarded.layer(from_fn_with_state(Arc::clone(app), guard));
    // Probes come by address, and learn nothing that is worth a guard.
    Router::new()
        .route("/health", any(state::health))
        .route("/ready", any(state::ready))
        .route("/verify", any(verify::verify))
        .merge(guarded)
        .fallback(not_found)
        .with_state(Arc::clone(app))
}

/// The host that a request is sent to.
#[derive(Clone)]
struct Named(Option<Authority>);

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

/// Never completes.
async fn tidy(limiter: Option<&Limiter>) {
    let Some(limiter) = limiter else {
        return std::future::pending().await;
    };
    let mut minutes = interval(TIDY_EVERY);
    loop {
        minutes.tick().await;
        limiter.tidy();
    }
}

/// Takes the next connection, and finds a place for it. Failures are logged when
/// they begin and when they end, which is what `failing` is for.
async fn accept(
    listener: &TcpListener,
    places: &Places,
    proxies: &Proxies,
    failing: &mut bool,
) -> (TcpStream, SocketAddr, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // A proxy speaks for many.
                let is_proxy = proxies.trusts(peer.ip());
                let place = places.take((!is_proxy).then(|| peer.ip().into())).await;
                if std::mem::take(failing) {
                    info!("connections are accepted again");
                }
                // An answer is written whole; waiting to fill a packet only
                // delays it.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%peer, %error, "TCP_NODELAY could not be set");
                }
                return (stream, peer, place);
            }
            Err(error) if is_peers_fault(&error) => debug!(%error, "a connection was not made"),
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    error!(%error, "no connection can be accepted; trying on");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn answer(
    app: Arc<App>,
    mut router: Router,
    caller: Caller,
    mut request: Request<Incoming>,
) -> Response {
    // What has a body is owed an answer once that has arrived.
    let debt = request.body().is_end_stream().then(|| caller.debts.owe());
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
        match debt {
            Some(_) => owed(response, debt, None),
            None => response,
        }
    };
    trace::answered(trace, method, route, answer).await
}

/// Refuses what RFC 9112 has every server refuse, wherever it is sent to.
fn check(request: &mut Request<Incoming>) -> Result<(), (StatusCode, String)> {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_known = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !is_known(coding)) || codings.next().is_some() {
        // Section 6.1.
        let message = "the Transfer-Encoding is not chunked, and nothing else is understood";
        return Err((StatusCode::NOT_IMPLEMENTED, message.to_owned()));
    }
    let named = Authority::of_request(request.uri(), request.headers(), request.version())
        .map_err(|message| (StatusCode::BAD_REQUEST, message))?;
    request.extensions_mut().insert(Named(named));
    Ok(())
}

/// A path that there is something at. Others are not for logs: they may be anything.
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
        "there is nothing at {}; MCP is at POST /mcp, and the state of the server at GET /health",
        request.uri().path()
    );
    refuse(StatusCode::NOT_FOUND, &message)
}

fn method_not_allowed(allow: &'static str) -> Response {
    let message = format!("this address takes {allow} only");
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, &message);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert("allow", allow);
    response
}

/// An answer to what never reached the component.
fn refuse(status: StatusCode, message: &str) -> Response {
    respond(status, &super::invalid_request(message))
}

/// The answer to whoever calls too often.
fn limited(seconds: u64, id: Value) -> Response {
    let details = json!({ "retry_after_seconds": seconds });
    let body = error_response(-32003, "Too many requests", details, id);
    retry_after(respond(StatusCode::TOO_MANY_REQUESTS, &body), seconds)
}

/// The answer when the component gave none.
fn unavailable(error: &CallError, id: Value) -> Response {
    let response = respond(StatusCode::SERVICE_UNAVAILABLE, &error.to_json_rpc(id));
    retry_after(response, error.retry_after().as_secs())
}

fn retry_after(mut response: Response, seconds: u64) -> Response {
    let seconds = HeaderValue::from(seconds);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
