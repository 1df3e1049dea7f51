//! The command `user-auth serve`.

mod descriptors;

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
use user_auth_host::http::{self, HostPolicy, Listener, Policy, Rates, Tls, TrustedProxies};
use user_auth_host::{AuditLog, Plugin, PluginBuilder};

use crate::bootstrap::{open_with, smoke_test};
use crate::config::{Config, Flags};
use crate::delivery::Reach;
use crate::failure::Failure;
use crate::options::{McpOptions, Options, StoreLocation};
use crate::output;

/// Interval at which expired records are deleted.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);
const PAGE: u32 = 100;
const PAGES: u32 = 1000;
/// Length of the queue of connections to be accepted, if the system permits it: with a
/// short one, connections in a burst are dropped without notice, and retried after a
/// second.
const BACKLOG: u32 = 4096;
/// Exit code of a process that SIGINT ended, as shells report it.
const INTERRUPTED: i32 = 130;

#[derive(Args)]
#[command(after_help = "\
Examples:
  user-auth serve
  user-auth serve --config user-auth.toml
  user-auth serve --store memory")]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,

    /// The Consul agent to register with, such as http://127.0.0.1:8500; its ACL token
    /// comes from CONSUL_HTTP_TOKEN
    #[arg(long, value_name = "URL")]
    consul: Option<String>,

    #[command(flatten)]
    mcp: McpOptions,

    #[command(flatten)]
    options: Options,
}

/// The listen address, and the allowed callers.
#[derive(Args)]
pub(crate) struct Listen {
    /// The address and port to listen on; port 0 selects a free one [default:
    /// 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Another name by which clients may reach this server, with or without a port, or
    /// *.example.com; may be given several times
    #[arg(long = "allowed-host", value_name = "HOST", value_delimiter = ',')]
    allowed_hosts: Vec<String>,

    /// An origin whose web pages may use this server, or https://*.example.com; may be
    /// given several times
    #[arg(long = "allowed-origin", value_name = "ORIGIN", value_delimiter = ',')]
    allowed_origins: Vec<String>,
}

impl Listen {
    pub(crate) fn add_to(&self, flags: &mut Flags) {
        flags.text("listen", self.listen.as_deref());
        flags.list("allowed-host", &self.allowed_hosts);
        flags.list("allowed-origin", &self.allowed_origins);
    }
}

impl Serve {
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = self.options.flags();
        self.listen.add_to(&mut flags);
        flags.text("consul", self.consul.as_deref());
        self.mcp.add_to(&mut flags);
        flags
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let requires_key = config.requires_key();
        let tls = load_tls(&config)?;
        let policy = policy(&config, tls.is_some())?;
        policy.check(requires_key).map_err(Failure::usage)?;
        if policy.allowed.admits_null() && !config.requires_credential() {
            warn!(
                "the origin null may call: any web page viewed on this machine can \
                 use it; set security.authentication.type = \"api_key\" if that is not intended"
            );
        }
        let shutdown = shutdown_signal()?;
        let listener = bind(&config.server.listen).await?;
        let address = listener.local_addr().map_err(Failure::start)?;
        refuse_to_be_open(address, &config)?;
        let limits = descriptors::fit(config.limits.0.clone());
        let adapt = |builder: PluginBuilder| builder.require_api_key(requires_key);
        let (plugin, store) = open_with(&config, limits, Reach::of(address.ip()), adapt).await?;
        smoke_test(&plugin, &config).await?;

        let stopping = CancellationToken::new();
        let registrar = registrar(&config, address)?;
        let reloading = reload_at_hangup(tls.clone(), plugin.audit_log().cloned())?;
        announce(address, &store, tls.is_some());
        if !config.requires_credential() {
            warn!(
                "the server is open: users of this machine need no credentials to call it; set \
                 `security.authentication.type` to `api_key` to require API keys"
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
        let maintenance = tokio::spawn(run_maintenance(plugin.clone()));
        let shutdown = async {
            shutdown.await;
            // Load balancers must send no more requests while the last ones end.
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
        maintenance.abort();
        // The maintenance task has the last plugin: dropping it closes the store and
        // folds in its log.
        let _ = maintenance.await;
        served.map_err(Failure::start)?;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the Consul agent and the registration, if configured.
fn registrar(config: &Config, listening: SocketAddr) -> Result<Option<(Consul, Service)>, Failure> {
    let consul = config.discovery.consul.as_ref();
    consul
        .map(|consul| consul.open(listening, config.server.tls.is_some()))
        .transpose()
}

/// Fails if other machines could call without credentials.
pub(crate) fn refuse_to_be_open(address: SocketAddr, config: &Config) -> Result<(), Failure> {
    if config.requires_credential() || Reach::of(address.ip()) != Reach::Network {
        return Ok(());
    }
    Err(Failure::start(format!(
        "on {address} other machines could call without credentials. Set \
         `security.authentication.type` to `api_key` in the configuration (or \
         USER_AUTH_SECURITY_AUTHENTICATION_TYPE=api_key), and create the first API key on this \
         machine, with the same configuration:\n  \
         user-auth call create_service_account username=NAME\n  \
         user-auth call create_api_key name=first user_id=USER_ID\n\
         Or listen on 127.0.0.1."
    )))
}

/// Returns the rules for callers.
pub(crate) fn policy(config: &Config, https: bool) -> Result<Policy, Failure> {
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
        proxies: TrustedProxies {
            trusted: security.trusted_proxies.clone(),
            header: security.forwarded_header.into(),
        },
        https,
    })
}

/// Returns the allowed hosts and origins.
fn allowed(config: &Config) -> Result<HostPolicy, Failure> {
    let mut allowed = HostPolicy::default();
    let listen = &config.server.listen;
    // Clients may use the host name that was given as the listen address.
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

/// Loads the certificate, if one is configured.
pub(crate) fn load_tls(config: &Config) -> Result<Option<Tls>, Failure> {
    let tls = config.server.tls.as_ref();
    tls.map(|tls| Tls::load(&tls.certificate, &tls.key).map_err(Failure::start))
        .transpose()
}

/// Handles SIGHUP: reloads the certificate and reopens the audit log. With neither
/// there is nothing to do, and the signal does not end the server.
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
                    Some(Ok(())) => info!("the certificate was reloaded"),
                    Some(Err(error)) => {
                        warn!(%error, "the certificate could not be reloaded; the previous one stays in use")
                    }
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
                "; another program listens there: stop it, or choose another port with `--listen`"
            }
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 are reserved for the system: choose another with `--listen`"
            }
            io::ErrorKind::AddrNotAvailable => {
                "; this machine has no such address: choose another with `--listen`"
            }
            _ => "; `--listen` needs an address and a port, such as 127.0.0.1:8000",
        };
        Failure::start(format!("cannot listen on {listen}: {error}{advice}"))
    })
}

/// Listens on the first usable address of the name.
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
    // Permits a restart while connections of the previous process linger; on Windows
    // this would let two programs listen on one port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Completes when the user or the system asks the process to end. A second request ends
/// the process immediately.
pub(crate) fn shutdown_signal() -> Result<impl Future<Output = ()>, Failure> {
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
            info!("finishing the requests in flight");
            tokio::spawn(async move {
                asked().await;
                std::process::exit(INTERRUPTED);
            });
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        info!("finishing the requests in flight");
    })
}

/// Reports the address of the server and how to try it: in words on a terminal,
/// otherwise as a log line.
fn announce(address: SocketAddr, store: &StoreLocation, has_tls: bool) {
    // Clients cannot connect to the unspecified address.
    let reachable = if address.ip().is_unspecified() {
        format!("127.0.0.1:{}", address.port())
    } else {
        address.to_string()
    };
    let server = if has_tls {
        format!("https://{reachable}")
    } else {
        format!("http://{reachable}")
    };
    let url = format!("{server}/mcp");
    if !io::stderr().is_terminal() {
        info!(%address, url, %store, version = env!("CARGO_PKG_VERSION"), "listening");
        return;
    }
    output::print_error(&output::printable_lines(&format!(
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

async fn run_maintenance(plugin: Plugin) {
    let mut minutes = interval(MAINTENANCE_INTERVAL);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is immediate, when the server has other work.
    minutes.tick().await;
    let mut after = None;
    loop {
        minutes.tick().await;
        after = sweep(&plugin, after).await;
        purge(&plugin).await;
    }
}

/// The sessions, which are swept page by page.
trait Sessions {
    /// Sweeps the page after this position. Returns where the next page begins, or `Err` if
    /// this one could not be swept.
    fn sweep_page(
        &self,
        after: Option<&str>,
    ) -> impl Future<Output = Result<Option<String>, ()>> + Send;
}

impl Sessions for Plugin {
    async fn sweep_page(&self, after: Option<&str>) -> Result<Option<String>, ()> {
        match self.sweep(after, PAGE).await {
            Ok(Ok(swept)) => {
                debug!(examined = swept.examined, deleted = swept.deleted, "swept");
                Ok(swept.next)
            }
            Ok(Err(unavailable)) => {
                warn!(reason = unavailable.reason, "sessions could not be swept");
                Err(())
            }
            Err(error) => {
                warn!(%error, "sessions could not be swept");
                Err(())
            }
        }
    }
}

/// Deletes expired sessions, page by page from `after`. Returns where the next sweep
/// continues: one sweep looks at up to [`PAGES`] pages, and a sweep that began at the first
/// session each time would never reach those beyond. A page that failed is swept again.
async fn sweep(sessions: &impl Sessions, mut after: Option<String>) -> Option<String> {
    for _ in 0..PAGES {
        match sessions.sweep_page(after.as_deref()).await {
            Ok(Some(next)) => after = Some(next),
            Ok(None) => return None,
            Err(()) => return after,
        }
    }
    after
}

/// Frees the space of expired records in the store, page by page.
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Sessions whose pages are numbered; `failing` names one that cannot be swept.
    struct Pages {
        last: u32,
        failing: Option<u32>,
        swept: Mutex<Vec<u32>>,
    }

    impl Sessions for Pages {
        async fn sweep_page(&self, after: Option<&str>) -> Result<Option<String>, ()> {
            let number = after.map_or(0, |after| after.parse().unwrap());
            if self.failing == Some(number) {
                return Err(());
            }
            self.swept.lock().unwrap().push(number);
            Ok((number < self.last).then(|| (number + 1).to_string()))
        }
    }

    fn pages(last: u32, failing: Option<u32>) -> Pages {
        Pages {
            last,
            failing,
            swept: Mutex::default(),
        }
    }

    #[tokio::test]
    async fn sweeps_reach_every_page_and_then_begin_again() {
        let pages = pages(2 * PAGES + 1, None);
        let mut after = None;
        for expected in [Some(PAGES), Some(2 * PAGES), None] {
            after = sweep(&pages, after).await;
            assert_eq!(after, expected.map(|number| number.to_string()));
        }
        let swept = pages.swept.into_inner().unwrap();
        assert_eq!(swept, (0..=2 * PAGES + 1).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_page_that_fails_is_swept_again() {
        let pages = pages(5, Some(3));
        assert_eq!(sweep(&pages, None).await.as_deref(), Some("3"));
        assert_eq!(pages.swept.into_inner().unwrap(), [0, 1, 2]);
    }
}
