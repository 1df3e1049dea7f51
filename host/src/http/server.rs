//! The server: accepts connections until it is stopped, and then lets the requests end that
//! have arrived. Each connection is served in [`connection`](super::connection).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::admission::connection_limit::{ConnectionSlot, ConnectionSlots};
use super::admission::rate_limit::{EVICTION_INTERVAL, Limiter};
use super::admission::shares::Shares;
use super::app::App;
use super::connection::Connections;
use super::counters::Counters;
use super::policy::Policy;
use super::routes::health::ReadinessCache;
use super::routes::table::RouteTable;
use super::security::client_ip::TrustedProxies;
use super::security::tls::{Listener, Tls};
use crate::plugin::Plugin;

/// Pause before accepting again when the system has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves MCP over HTTP, or over TLS if the [`Listener`] has it, until `shutdown`
/// completes. Then accepts no more connections and finishes the requests that have
/// arrived completely, for at most [`Limits::shutdown`](crate::Limits::shutdown). No
/// task of the server is left running on return.
///
/// `policy` holds the rules for callers; a [`HostPolicy`] alone is a policy too. Returns
/// an error if the policy is invalid ([`Policy::check`]).
pub async fn serve(
    listener: impl Into<Listener>,
    plugin: Plugin,
    policy: impl Into<Policy>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let Listener { tcp: listener, tls } = listener.into();
    let limits = plugin.limits().clone();
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
        routes: RouteTable::default(),
        shares: Shares::new(&limits),
        counters: Counters::default(),
        readiness: ReadinessCache::default(),
        stopping: CancellationToken::new(),
        started: Instant::now(),
    });
    let mut running = JoinSet::new();
    tokio::select! {
        () = shutdown => {}
        () = accept_all(&listener, &app, tls, &mut running) => {}
        () = evict_stale(app.limiter.as_ref()) => {}
    }
    drop(listener);
    app.stopping.cancel();
    let ended = async { while running.join_next().await.is_some() {} };
    if timeout(limits.shutdown, ended).await.is_err() {
        warn!("some requests did not finish in time and were aborted");
        running.shutdown().await;
    }
    Ok(())
}

/// Serves each connection in a task of its own. Never completes.
async fn accept_all(
    listener: &TcpListener,
    app: &Arc<App>,
    tls: Option<Tls>,
    running: &mut JoinSet<()>,
) {
    let slots = ConnectionSlots::new(app.plugin.limits().connections);
    let connections = Connections::new(Arc::clone(app), tls);
    let mut failing = false;
    loop {
        let accepted = accept(listener, &slots, &app.policy.proxies, &mut failing);
        let (stream, peer, slot) = accepted.await;
        // Release the connections that have ended.
        while running.try_join_next().is_some() {}
        running.spawn(connections.clone().serve(stream, peer, slot));
    }
}

/// Accepts the next connection and acquires a slot for it. Failures are logged when
/// they begin and when they end; `failing` holds that state.
async fn accept(
    listener: &TcpListener,
    slots: &ConnectionSlots,
    proxies: &TrustedProxies,
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

/// Evicts stale rate-limit entries from time to time. Never completes.
async fn evict_stale(limiter: Option<&Limiter>) {
    let Some(limiter) = limiter else {
        return std::future::pending().await;
    };
    let mut minutes = interval(EVICTION_INTERVAL);
    loop {
        minutes.tick().await;
        limiter.evict_stale();
    }
}
