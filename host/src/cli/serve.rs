//! `user-auth serve`.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use user_auth_host::transport::http::{self, Allowed};
use user_auth_host::{Limits, Plugin};

use super::Failure;
use super::config::{Config, Consul};
use super::delivery::Reach;
use super::descriptors;
use super::open::{open, try_out};
use super::options::{Options, StoreLocation};
use super::show;

/// How often what has expired is deleted, and how much at a time.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
const PAGE: u32 = 100;
const PAGES: u32 = 1000;
/// What a shell reports of a process that SIGINT ended.
const KILLED: i32 = 130;

#[derive(Args)]
#[command(after_help = "\
Examples:
  user-auth serve
  user-auth serve --listen 0.0.0.0:8443 --allowed-host auth.example.com
  user-auth serve --store memory")]
pub(super) struct Serve {
    /// The address and port to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "USER_AUTH_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8000"
    )]
    listen: String,

    /// Another name that clients may reach this server by, with or without a
    /// port; may be given several times
    #[arg(
        long = "allowed-host",
        env = "USER_AUTH_ALLOWED_HOSTS",
        value_name = "HOST",
        value_delimiter = ','
    )]
    allowed_hosts: Vec<String>,

    /// An origin whose web pages may use this server; may be given several times
    #[arg(
        long = "allowed-origin",
        env = "USER_AUTH_ALLOWED_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    allowed_origins: Vec<String>,

    /// The Consul agent to register with, such as http://127.0.0.1:8500; its ACL token
    /// is taken from CONSUL_HTTP_TOKEN
    #[arg(long, env = "USER_AUTH_DISCOVERY_CONSUL_URL", value_name = "URL")]
    consul: Option<String>,

    #[command(flatten)]
    pub(super) options: Options,
}

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::load(self.options.config.as_deref())?;
        let allowed = self.allowed()?;
        let shutdown = shutdown_signal()?;
        let listener = self.bind().await?;
        let address = listener.local_addr().map_err(Failure::start)?;
        let limits = descriptors::fit(Limits::default());
        let (plugin, store) = open(&self.options, limits, Reach::of(address.ip())).await?;
        try_out(&plugin).await?;

        announce(address, &store);
        reopen_on_hangup(&plugin)?;
        let stopping = CancellationToken::new();
        let registration = self.register(config.discovery.consul, address, &stopping)?;
        let messages = plugin.clone();
        let housekeeping = tokio::spawn(keep_house(plugin.clone()));
        let shutdown = async {
            shutdown.await;
            // Nobody is to be sent here any more while the last requests end.
            stopping.cancel();
        };
        let served = http::serve(listener, plugin, allowed, shutdown).await;
        stopping.cancel();
        if let Some(registration) = registration {
            let _ = registration.await;
        }
        messages.drain().await;
        drop(messages);
        housekeeping.abort();
        // Its plugin is the last: the store is closed, and its log folded in, when
        // that is dropped.
        let _ = housekeeping.await;
        served.map_err(Failure::start)?;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    }

    /// Registers with Consul, if there is an agent, until it is `stopping`.
    fn register(
        &self,
        configured: Option<Consul>,
        listening: SocketAddr,
        stopping: &CancellationToken,
    ) -> Result<Option<JoinHandle<()>>, Failure> {
        let consul = match (&self.consul, configured) {
            (Some(url), Some(configured)) => Consul {
                url: url.clone(),
                ..configured
            },
            (Some(url), None) => Consul::at(url.clone()),
            (None, Some(configured)) => configured,
            (None, None) => return Ok(None),
        };
        let (agent, service) = consul.open(listening)?;
        let stopped = stopping.clone().cancelled_owned();
        Ok(Some(tokio::spawn(agent.keep(service, stopped))))
    }

    fn allowed(&self) -> Result<Allowed, Failure> {
        let mut allowed = Allowed::default();
        // Clients may name the server as whoever started it did.
        if self.listen.parse::<SocketAddr>().is_err()
            && let Ok(with_name) = allowed.clone().host(&self.listen)
        {
            allowed = with_name;
        }
        for host in &self.allowed_hosts {
            allowed = allowed.host(host).map_err(Failure::usage)?;
        }
        for origin in &self.allowed_origins {
            allowed = allowed.origin(origin).map_err(Failure::usage)?;
        }
        Ok(allowed)
    }

    async fn bind(&self) -> Result<TcpListener, Failure> {
        TcpListener::bind(&self.listen).await.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "; another program listens there: stop it, or take another port with `--listen`"
                }
                io::ErrorKind::PermissionDenied => {
                    "; ports below 1024 are the system's: take another with `--listen`"
                }
                _ => "; `--listen` takes an address and a port, such as 127.0.0.1:8000",
            };
            Failure::start(format!("cannot listen on {}: {error}{advice}", self.listen))
        })
    }
}

/// Opens the audit log anew when SIGHUP asks for it. Without that log the signal ends
/// the process, as it always does.
fn reopen_on_hangup(plugin: &Plugin) -> Result<(), Failure> {
    #[cfg(unix)]
    if let Some(log) = plugin.audit_log().cloned() {
        use tokio::signal::unix::{SignalKind, signal};

        let mut hangup = signal(SignalKind::hangup()).map_err(Failure::start)?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                log.reopen();
            }
        });
    }
    Ok(())
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
fn announce(address: SocketAddr, store: &StoreLocation) {
    // Nobody can connect to 'all addresses'.
    let reachable = match address.ip().is_unspecified() {
        true => format!("127.0.0.1:{}", address.port()),
        false => address.to_string(),
    };
    let url = format!("http://{reachable}/mcp");
    if !io::stderr().is_terminal() {
        info!(%address, url, %store, version = env!("CARGO_PKG_VERSION"), "listening");
        return;
    }
    show::complain(&show::printable_lines(&format!(
        "\
user-auth {version} listens on {address}
  MCP     {url}
  health  http://{reachable}/health
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
