//! MCP's Streamable HTTP, and the endpoints for operators and reverse proxies:
//!
//! - `POST /mcp`: one message in, its response out.
//! - `GET /mcp/server-card`: what a client can learn before it connects.
//! - `GET /health`: the process is alive. `GET /ready`: it can serve requests.
//! - `GET /metrics`: metrics for Prometheus.
//! - `/verify`: verifies requests for reverse proxies that protect other pages.
//!
//! A [`Policy`] holds the rules for callers.

mod admission;
mod policy;
mod routes;
mod security;

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

pub use self::security::client_ip::{ForwardedHeader, Proxies};
pub use self::security::origin_check::{Allowed, AllowedError};
pub use self::security::tls::{Listener, Tls, TlsError};
pub use ipnet::IpNet;
pub use policy::{KeyHeader, Policy, PolicyError, Rate, Rates};

use self::admission::connection_limit::{ConnectionSlot, ConnectionSlots};
use self::admission::rate_limit::{self, KeyHash, Limiter, TIDY_EVERY};
use self::admission::shares::{NoMore, Share, Shares, Turn};
use self::admission::write_timeout::{InFlight, WriteTimeout, owed};
use self::routes::health::{self, ReadinessCache};
use self::routes::metrics::{self, Counters};
use self::routes::server_card::{self, ServerCard};
use self::routes::{mcp, verify};
use self::security::authority::Authority;
use self::security::request_head::Heads;
use self::security::{cors, tls};
use crate::api::{McpRequest, Transport};
use crate::embed::client::NoClient;
use crate::error::{CallError, error_response, invalid_request};
use crate::plugin::Plugin;
use crate::trace::{self, Trace};

/// Pause before accepting again when the system has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves MCP over HTTP, or over TLS if the [`Listener`] has it, until `shutdown`
/// completes. Then accepts no more connections and finishes the requests that have
/// arrived completely, for at most [`Limits::shutdown`](crate::Limits::shutdown). No
/// task of the server is left running on return.
///
/// `policy` holds the rules for callers; an [`Allowed`] alone is a policy too. Returns
/// an error if the policy is invalid ([`Policy::check`]).
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
        readiness: ReadinessCache::default(),
        server_card: OnceCell::new(),
        stopping: stopping.clone(),
        started: Instant::now(),
    });
    let router = router(&app);
    let slots = ConnectionSlots::new(limits.connections);
    let mut connections = JoinSet::new();
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        // hyper panics below this size.
        .max_buf_size(limits.connection_buffer_bytes.max(8 << 10))
        .header_read_timeout(limits.header_read);

    let accepting = async {
        let mut failing = false;
        loop {
            let (stream, peer, slot) =
                accept(&listener, &slots, &app.policy.proxies, &mut failing).await;
            // Release the connections that have ended.
            while connections.try_join_next().is_some() {}
            let (server, router, stopping) = (server.clone(), router.clone(), stopping.clone());
            let (app, tls) = (app.clone(), tls.clone());
            connections.spawn(async move {
                let debts = slot.debts().clone();
                let stream = WriteTimeout::new(
                    stream,
                    limits.response_write,
                    stopping.clone(),
                    debts.clone(),
                );
                let serving = async {
                    let secured = tokio::select! {
                        secured = tls::secure(tls.as_ref(), stream, limits.header_read) => secured,
                        // A connection that is still in its handshake has no request in
                        // flight.
                        () = stopping.cancelled() => return,
                    };
                    let stream = match secured {
                        Ok(stream) => stream,
                        Err(error) => return debug!(%peer, %error, "the TLS handshake failed"),
                    };
                    let caller = Caller {
                        peer,
                        debts: debts.clone(),
                    };
                    let stream = Heads::new(stream);
                    let body_length = stream.body_length();
                    let service = service_fn(move |request: Request<Incoming>| {
                        // Noted immediately: the next byte read may belong to the body.
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
                        debug!(%peer, %error, "a connection failed");
                    }
                };
                tokio::select! {
                    biased;
                    () = slot.evicted() => debug!(%peer, "a connection was closed to make room for another"),
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
        warn!("some requests did not finish in time and were aborted");
        connections.shutdown().await;
    }
    Ok(())
}

/// Serves a connection to its end or, once the server is `stopping`, until its last
/// response is sent. Does not wait for a client that has not sent its whole request.
async fn drive<I, S>(
    connection: http1::Connection<I, S>,
    debts: &InFlight,
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
    // The requests in flight change only while the connection is polled, so every
    // change wakes this future too.
    poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Pending if !debts.is_idle() => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
        ended => ended,
    })
    .await
}

struct App {
    plugin: Plugin,
    policy: Policy,
    /// Whether the component requires an API key.
    requires_key: bool,
    limiter: Option<Limiter>,
    shares: Shares,
    counters: Counters,
    readiness: ReadinessCache,
    server_card: OnceCell<ServerCard>,
    stopping: CancellationToken,
    started: Instant,
}

impl App {
    /// Returns whether an API key is required but missing.
    fn lacks_key(&self, headers: &HeaderMap) -> bool {
        self.requires_key && self.policy.key_header.key(headers).is_none()
    }

    /// Returns the share of this address.
    fn share(&self, from: IpAddr) -> Share {
        self.shares.of(from.into())
    }

    /// Acquires a slot for a call from this address; `Err` is the response if there is
    /// none.
    async fn turn(&self, from: IpAddr) -> Result<Turn, Response> {
        let turn = self.share(from).turn().await;
        turn.map_err(|NoMore| unavailable(&CallError::Busy, Value::Null))
    }

    /// Counts a request against the rate limit of its API key or, without one, of its
    /// address. `Err` is the number of seconds to wait before the next try.
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
        key.flatten().map(rate_limit::hash)
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

    /// Records whether the component accepted the API key, and adds the header name to
    /// the 401 challenge.
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
                // The component may not have looked at the key.
                false => {}
            }
        }
        response
    }

    /// Asks the component to verify the API key in these headers; `Err` is the response
    /// if it rejects the key.
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

/// The client of a connection.
#[derive(Clone)]
struct Caller {
    peer: SocketAddr,
    debts: InFlight,
}

fn router(app: &Arc<App>) -> Router {
    let mut guarded = Router::new()
        .route("/mcp", any(mcp::handle))
        .route("/mcp/", any(mcp::handle))
        .route("/mcp/server-card", any(server_card::card))
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
        .route("/ready", any(health::ready))
        .route("/verify", any(verify::verify))
        .merge(guarded)
        .fallback(not_found)
        .with_state(Arc::clone(app))
}

/// The host that a request is addressed to.
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

/// Evicts stale rate-limit entries from time to time. Never completes.
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

/// Accepts the next connection and acquires a slot for it. Failures are logged when
/// they begin and when they end; `failing` holds that state.
async fn accept(
    listener: &TcpListener,
    slots: &ConnectionSlots,
    proxies: &Proxies,
    failing: &mut bool,
) -> (TcpStream, SocketAddr, ConnectionSlot) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // A proxy forwards the requests of many clients.
                let is_proxy = proxies.trusts(peer.ip());
                let slot = slots.take((!is_proxy).then(|| peer.ip().into())).await;
                if std::mem::take(failing) {
                    info!("connections are accepted again");
                }
                // Responses are written whole; waiting to fill a packet would only
                // delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%peer, %error, "TCP_NODELAY could not be set");
                }
                return (stream, peer, slot);
            }
            Err(error) if is_peers_fault(&error) => {
                debug!(%error, "a connection was not established")
            }
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    error!(%error, "no connection can be accepted; still trying");
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
    // A request with a body counts as in flight once the body has arrived.
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

fn method_not_allowed(allow: &'static str) -> Response {
    let message = format!("method not allowed; use {allow}");
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, &message);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert("allow", allow);
    response
}

/// Returns the response to a request that never reached the component.
fn refuse(status: StatusCode, message: &str) -> Response {
    respond(status, &invalid_request(message))
}

/// Returns the response to a caller over its rate limit.
fn limited(seconds: u64, id: Value) -> Response {
    let details = json!({ "retry_after_seconds": seconds });
    let body = error_response(-32003, "Too many requests", details, id);
    retry_after(respond(StatusCode::TOO_MANY_REQUESTS, &body), seconds)
}

/// Returns the response for a call to which the component produced none.
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
