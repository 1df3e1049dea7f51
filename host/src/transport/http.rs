//! MCP's Streamable HTTP: `POST /mcp`, and `GET /health` for whoever watches.

mod guard;
mod mcp;
mod sse;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
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
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower::Service as _;
use tracing::{debug, error, warn};

pub use guard::{Allowed, AllowedError};

use crate::sandbox::Plugin;

/// How long to wait when the system has no more descriptors for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves MCP over HTTP until `shutdown` completes, then takes no more
/// connections and finishes what is in flight, for
/// [`Limits::shutdown`](crate::Limits::shutdown) at most.
pub async fn serve(
    listener: TcpListener,
    plugin: Plugin,
    allowed: Allowed,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let limits = plugin.limits().clone();
    let router = router(App {
        allowed: allowed.listening_on(listener.local_addr()?),
        plugin,
        started: Instant::now(),
    });
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read);

    let accepting = async {
        loop {
            let (stream, peer, place) = accept(&listener, &places).await;
            let router = router.clone();
            let service = service_fn(move |request| answer(router.clone(), peer, request));
            let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                let _place = place;
                if let Err(error) = connection.await {
                    debug!(%peer, %error, "a connection broke");
                }
            });
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
    }
    drop(listener);
    if timeout(limits.shutdown, graceful.shutdown()).await.is_err() {
        warn!("some requests did not end in time and were cut off");
    }
    Ok(())
}

struct App {
    plugin: Plugin,
    allowed: Allowed,
    started: Instant,
}

/// Who sent the request.
#[derive(Clone, Copy)]
struct Peer(IpAddr);

fn router(app: App) -> Router {
    Router::new()
        .route("/mcp", any(mcp::handle))
        .route("/health", any(health))
        .fallback(not_found)
        .with_state(Arc::new(app))
}

/// Takes the next connection, once there is a place for it: those who come too
/// early wait in the system's backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // The semaphore is never closed.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                // An answer is written whole; waiting to fill a packet only
                // delays it.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%peer, %error, "TCP_NODELAY could not be set");
                }
                return (stream, peer, place);
            }
            Err(error) if is_peers_fault(&error) => debug!(%error, "a connection was not made"),
            Err(error) => {
                error!(%error, "no connection can be accepted");
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
    peer: SocketAddr,
    mut request: Request<hyper::body::Incoming>,
) -> Result<Response, std::convert::Infallible> {
    // An IPv4 client of an IPv6 socket is one and the same address to the
    // component, whichever way it came.
    let peer = Peer(peer.ip().to_canonical());
    request.extensions_mut().insert(peer);
    router.call(request).await
}

async fn health(State(app): State<Arc<App>>, method: Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    let body = json!({
        "status": "ok",
        "name": "user-auth",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": app.started.elapsed().as_secs(),
    });
    respond(StatusCode::OK, &body)
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
