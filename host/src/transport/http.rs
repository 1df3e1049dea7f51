//! MCP's Streamable HTTP: `POST /mcp`, and `GET /health` for whoever watches.

mod guard;
mod mcp;
mod patience;
mod places;
mod sse;
mod tls;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tracing::{debug, error, info, warn};

pub use guard::{Allowed, AllowedError};
pub use tls::{Listener, Tls, TlsError};

use crate::claim::KEY_CHECK;
use crate::sandbox::Plugin;
use crate::store::Store;
use crate::trace::{self, Trace};
use patience::{Debts, Patient};
use places::{Place, Places};

/// How long to wait when the system has no more descriptors for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves MCP over HTTP, or with a [`Listener`] of its own over TLS, until `shutdown` completes, then takes no more
/// connections and finishes the requests that have arrived whole, for
/// [`Limits::shutdown`](crate::Limits::shutdown) at most. Nothing of it runs on
/// when this returns.
pub async fn serve(
    listener: impl Into<Listener>,
    plugin: Plugin,
    allowed: Allowed,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let Listener { tcp: listener, tls } = listener.into();
    let limits = plugin.limits().clone();
    let router = router(App {
        allowed: allowed.listening_on(listener.local_addr()?),
        plugin,
        bodies: Arc::new(Semaphore::new(limits.bodies_bytes)),
        started: Instant::now(),
    });
    let places = Places::new(limits.connections);
    let stopping = CancellationToken::new();
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
            let (stream, peer, place) = accept(&listener, &places, &mut failing).await;
            // Those that have ended are let go of.
            while connections.try_join_next().is_some() {}
            let (server, router, stopping) = (server.clone(), router.clone(), stopping.clone());
            let tls = tls.clone();
            connections.spawn(async move {
                let debts = place.debts().clone();
                let stream = Patient::new(
                    stream,
                    limits.response_write,
                    stopping.clone(),
                    debts.clone(),
                );
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
                let service =
                    service_fn(move |request| answer(router.clone(), caller.clone(), request));
                let connection = server.serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    biased;
                    () = place.evicted() => debug!(%peer, "a connection made place for another"),
                    ended = drive(connection, &debts, &stopping) => if let Err(error) = ended {
                        debug!(%peer, %error, "a connection broke");
                    },
                }
            });
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
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
    allowed: Allowed,
    /// A permit for each byte of a body that may be kept.
    bodies: Arc<Semaphore>,
    started: Instant,
}

/// Who sends the requests of a connection.
#[derive(Clone)]
struct Caller {
    peer: SocketAddr,
    debts: Debts,
}

impl Caller {
    /// An IPv4 client of an IPv6 socket is one and the same address to the
    /// component, whichever way it came.
    fn address(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }
}

fn router(app: App) -> Router {
    Router::new()
        .route("/mcp", any(mcp::handle))
        .route("/health", any(health))
        .fallback(not_found)
        .with_state(Arc::new(app))
}

/// Takes the next connection, and finds a place for it. Failures are logged when
/// they begin and when they end, which is what `failing` is for.
async fn accept(
    listener: &TcpListener,
    places: &Places,
    failing: &mut bool,
) -> (TcpStream, SocketAddr, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let place = places.take().await;
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
    mut router: Router,
    caller: Caller,
    mut request: Request<hyper::body::Incoming>,
) -> Result<Response, std::convert::Infallible> {
    request.extensions_mut().insert(caller);
    let (method, route) = (request.method().clone(), route(request.uri().path()));
    let trace = Trace::of_request(&method, route, request.headers());
    let answer = async {
        let Ok(response) = router.call(request).await;
        response
    };
    Ok(trace::answered(trace, method, route, answer).await)
}

/// A path that there is something at. Others are not for logs: they may be anything.
fn route(path: &str) -> &'static str {
    match path {
        "/mcp" => "/mcp",
        "/health" => "/health",
        "/ready" => "/ready",
        "/metrics" => "/metrics",
        "/mcp/server-card" => "/mcp/server-card",
        _ => "other",
    }
}

async fn health(State(app): State<Arc<App>>, method: Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    let (code, status) = state(&**app.plugin.store()).await;
    let body = json!({
        "status": status,
        "name": "user-auth",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": app.started.elapsed().as_secs(),
    });
    respond(code, &body)
}

async fn state(store: &dyn Store) -> (StatusCode, &'static str) {
    // The least that takes a store that works.
    match store.get(&[KEY_CHECK.to_owned()]).await {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(error) => {
            warn!(%error, "the server is not healthy");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
    }
}

async fn not_found(request: Request) -> Response {
    let message = format!(
        "there is nothing at {}; MCP is at POST /mcp, the state of the server at GET /health",
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

fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    use crate::store::{MemoryStore, SqliteStore};

    #[tokio::test]
    async fn health_is_that_of_the_store() {
        let (code, status) = state(&MemoryStore::new()).await;
        assert_eq!((code, status), (StatusCode::OK, "ok"));

        let mut file = tempfile::NamedTempFile::new().unwrap();
        let store = SqliteStore::open(file.path()).unwrap();
        file.write_all(&[b'x'; 100]).unwrap();
        let (code, status) = state(&store).await;
        assert_eq!(
            (code, status),
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        );
    }
}
