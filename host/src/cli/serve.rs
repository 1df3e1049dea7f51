//! `user-auth serve`.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use user_auth_host::discovery::{Consul, Service};
use user_auth_host::transport::http::{self, Allowed, Listener, Policy, Proxies, Rates, Tls};
use user_auth_host::{AuditLog, Plugin, PluginBuilder};

use super::Failure;
use super::config::{Config, Flags};
use super::delivery::Reach;
use super::descriptors;
use super::open::{open_with, try_out};
use super::options::{Options, StoreLocation};
use super::show;

/// How often what has expired is deleted, and how much at a time.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
const PAGE: u32 = 100;
const PAGES: u32 = 1000;
/// Connections that may wait to be accepted, if the system lets so many: with few,
/// a crowd that comes at once is told nothing, and tries again after a second.
const BACKLOG: u32 = 4096;
/// What a shell reports of a process that SIGINT ended.
const KILLED: i32 = 130;

#[derive(Args)]
#[command(after_help = "\
Examples:
  user-auth serve
  user-auth serve --config user-auth.toml
  user-auth serve --store memory")]
pub(super) struct Serve {
    #[command(flatten)]
    listen: Listen,

    /// The Consul agent to register with, such as http://127.0.0.1:8500; its ACL token
    /// is taken from CONSUL_HTTP_TOKEN
    #[arg(long, value_name = "URL")]
    consul: Option<String>,

    #[command(flatten)]
    options: Options,
}

/// Where to listen, and to whom.
#[derive(Args)]
pub(super) struct Listen {
    /// The address and port to listen on; port 0 takes a free one [default:
    /// 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Another name that clients may reach this server by, with or without a
    /// port, or *.example.com; may be given several times
    #[arg(long = "allowed-host", value_name = "HOST", value_delimiter = ',')]
    allowed_hosts: Vec<String>,

    /// An origin whose web pages may use this server, or https://*.example.com; may be
    /// given several times
    #[arg(long = "allowed-origin", value_name = "ORIGIN", value_delimiter = ',')]
    allowed_origins: Vec<String>,
}

impl Listen {
    pub(super) fn add_to(&self, flags: &mut Flags) {
        flags.text("listen", self.listen.as_deref());
        flags.list("allowed-host", &self.allowed_hosts);
        flags.list("allowed-origin", &self.allowed_origins);
    }
}

impl Serve {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.options.flags();
        self.listen.add_to(&mut flags);
        flags.text("consul", self.consul.as_deref());
        flags
    }

    pub(super) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let requires_key = config.requires_key();
        let tls = load_tls(&config)?;
        let policy = policy(&config, tls.is_some())?;
        policy.check(requires_key).map_err(Failure::usage)?;
        if policy.allowed.admits_null() && !requires_key {
            warn!(
                "the origin null may call: any web page that somebody on this machine looks at can \
                 have it; set security.authentication.type = \"api_key\" if that is not meant"
            );
        }
        let shutdown = shutdown_signal()?;
        let listener = bind(&config.server.listen).await?;
        let address = listener.local_addr().map_err(Failure::start)?;
        refuse_to_be_open(address, &config)?;
        let limits = descriptors::fit(config.limits.0.clone());
        let adapt = |builder: PluginBuilder| builder.require_api_key(requires_key);
        let (plugin, store) = open_with(&config, limits, Reach::of(address.ip()), adapt).await?;
        try_out(&plugin, &config).await?;

        let stopping = CancellationToken::new();
        let registrar = registrar(&config, address)?;
        let reloading = reload_at_hangup(tls.clone(), plugin.audit_log().cloned())?;
        announce(address, &store, tls.is_some());
        if !requires_key {
            warn!(
                "the server is open: it asks nobody on this machine who they are; set \
                 `security.authentication.type` to `api_key` to have it ask for API keys"
            );
        }
        let registration = registrar.map(|(agent, service)| {
            let stopped = stopping.clone().cancelled_owned();
            tokio::spawn(agent.keep(service, stopped))
        });
        let listener = match tls {
            Some(tls) => Listener::with_tls(listener, tls),
            None => listener.into(),
        };
        let messages = plugin.clone();
        let housekeeping = tokio::spawn(keep_house(plugin.clone()));
        let shutdown = async {
            shutdown.await;
            // Nobody is to be sent here any more while the last requests end.
            stopping.cancel();
        };
        let served = http::serve(listener, plugin, policy, shutdown).await;
        stopping.cancel();
        if let Some(registration) = registration {
            let _ = registration.await;
        }
        messages.drain().await;
        drop(messages);
        reloading.abort();
        housekeeping.abort();
        // Its plugin is the last: the store is closed, and its log folded in, when
        // that is dropped.
        let _ = housekeeping.await;
        served.map_err(Failure::start)?;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// The Consul agent, if there is one, and what it is told.
fn registrar(config: &Config, listening: SocketAddr) -> Result<Option<(Consul, Service)>, Failure> {
    let consul = config.discovery.consul.as_ref();
    consul
        .map(|consul| consul.open(listening, config.server.tls.is_some()))
        .transpose()
}

/// Fails when others than this machine's could call without showing who they are.
pub(super) fn refuse_to_be_open(address: SocketAddr, config: &Config) -> Result<(), Failure> {
    if config.requires_key() || Reach::of(address.ip()) != Reach::Network {
        return Ok(());
    }
    Err(Failure::start(format!(
        "on {address} others could call without showing who they are. Set \
         `security.authentication.type` to `api_key` in the configuration (or \
         USER_AUTH_SECURITY_AUTHENTICATION_TYPE=api_key), and make the first API key on this \
         machine:\n  \
         user-auth call create_service_account username=NAME\n  \
         user-auth call create_api_key name=first user_id=USER_ID\n\
         Or listen on 127.0.0.1."
    )))
}

/// What callers are held to.
pub(super) fn policy(config: &Config, https: bool) -> Result<Policy, Failure> {
    let security = &config.security;
    Ok(Policy {
        allowed: allowed(config)?,
        cors: security.cors.is_enabled(),
        key_header: security
            .authentication
            .header
            .parse()
            .map_err(Failure::usage)?,
        rates: security.rate_limiting.as_ref().map(Rates::from),
        proxies: Proxies {
            trusted: security.trusted_proxies.clone(),
            header: security.forwarded_header.into(),
        },
        https,
    })
}

/// Whom the server answers.
fn allowed(config: &Config) -> Result<Allowed, Failure> {
    let mut allowed = Allowed::default();
    let listen = &config.server.listen;
    // Clients may name the server as whoever started it did.
    if listen.parse::<SocketAddr>().is_err()
        && let Ok(with_name) = allowed.clone().host(listen)
    {
        allowed = with_name;
    }
    for host in &config.server.allowed_hosts {
        allowed = allowed.host(host).map_err(Failure::usage)?;
    }
    for origin in config.security.cors.origins() {
        allowed = allowed.origin(origin).map_err(Failure::usage)?;
    }
    Ok(allowed)
}

/// The certificate, if there is one to be had.
pub(super) fn load_tls(config: &Config) -> Result<Option<Tls>, Failure> {
    let tls = config.server.tls.as_ref();
    tls.map(|tls| Tls::load(&tls.certificate, &tls.key).map_err(Failure::start))
        .transpose()
}

/// Whenever SIGHUP says that there are new files, reads the certificate again, and
/// opens the audit log anew. With neither there is nothing to do: the signal does not
/// end the server.
fn reload_at_hangup(
    tls: Option<Tls>,
    audit_log: Option<Arc<AuditLog>>,
) -> Result<JoinHandle<()>, Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut hangup = signal(SignalKind::hangup()).map_err(Failure::start)?;
        Ok(tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                if let Some(log) = &audit_log {
                    log.reopen();
                }
                match tls.as_ref().map(Tls::reload) {
                    Some(Ok(())) => info!("the certificate was read again"),
                    Some(Err(error)) => warn!(%error, "the certificate stays the old one"),
                    None => {}
                }
            }
        }))
    }
    #[cfg(not(unix))]
    Ok(tokio::spawn(async move { drop((tls, audit_log)) }))
}

async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    listen_at(listen).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; another program listens there: stop it, or take another port with `--listen`"
            }
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 are the system's: take another with `--listen`"
            }
            _ => "; `--listen` takes an address and a port, such as 127.0.0.1:8000",
        };
        Failure::start(format!("cannot listen on {listen}: {error}{advice}"))
    })
}

/// Listens on the first of the addresses that the name stands for and that can be
/// had.
async fn listen_at(address: &str) -> io::Result<TcpListener> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in tokio::net::lookup_host(address).await? {
        result = listen_on(address);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Not to wait, after a restart, for the connections of the time before; on
    // Windows it would let two programs listen on one port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Completes when the user or the system asks the process to end. Asked twice,
/// the process ends at once.
pub(super) fn shutdown_signal() -> Result<impl Future<Output = ()>, Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::start)?;
        let mut asked = async move || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        Ok(async move {
            asked().await;
            info!("finishing what is in flight");
            tokio::spawn(async move {
                asked().await;
                std::process::exit(KILLED);
            });
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        info!("finishing what is in flight");
    })
}

/// Says where the server is and how to try it: in words on a terminal, as a
/// line of the log otherwise.
fn announce(address: SocketAddr, store: &StoreLocation, has_tls: bool) {
    // Nobody can connect to 'all addresses'.
    let reachable = match address.ip().is_unspecified() {
        true => format!("127.0.0.1:{}", address.port()),
        false => address.to_string(),
    };
    let server = match has_tls {
        true => format!("https://{reachable}"),
        false => format!("http://{reachable}"),
    };
    let url = format!("{server}/mcp");
    if !io::stderr().is_terminal() {
        info!(%address, url, %store, version = env!("CARGO_PKG_VERSION"), "listening");
        return;
    }
    show::complain(&show::printable_lines(&format!(
        "\
user-auth {version} listens on {address}
  MCP     {url}
  health  {server}/health
  store   {store}
Try it:
  curl {url} -H 'Content-Type: application/json' \\
    -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{{}}}}'
  claude mcp add --transport http user-auth {url}
Ctrl-C stops it.\n",
        version = env!("CARGO_PKG_VERSION"),
    )));
}

async fn keep_house(plugin: Plugin) {
    let mut minutes = interval(HOUSEKEEPING);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, when there are better things to do.
    minutes.tick().await;
    loop {
        minutes.tick().await;
        sweep(&plugin).await;
        purge(&plugin).await;
    }
}

/// Has the component delete sessions that have expired, page by page.
async fn sweep(plugin: &Plugin) {
    let mut after = None;
    // What is left over has to wait a minute.
    for _ in 0..PAGES {
        match plugin.sweep(after.as_deref(), PAGE).await {
            Ok(Ok(swept)) => {
                debug!(examined = swept.examined, deleted = swept.deleted, "swept");
                if swept.next.is_none() {
                    return;
                }
                after = swept.next;
            }
            Ok(Err(unavailable)) => {
                warn!(reason = unavailable.reason, "sessions could not be swept");
                return;
            }
            Err(error) => {
                warn!(%error, "sessions could not be swept");
                return;
            }
        }
    }
}

/// Has the store free the space of what has expired, page by page.
async fn purge(plugin: &Plugin) {
    for _ in 0..PAGES {
        match plugin.store().purge(PAGE).await {
            Ok(purged) => {
                debug!(purged, "purged");
                if purged < PAGE {
                    return;
                }
            }
            Err(error) => {
                warn!(%error, "the store could not be purged");
                return;
            }
        }
    }
}
