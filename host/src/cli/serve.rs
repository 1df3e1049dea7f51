//! `user-auth serve`.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};
use user_auth_host::transport::http::{self, Allowed, Policy, Proxies, Rate};
use user_auth_host::{Limits, Plugin, PluginBuilder};

use super::Failure;
use super::config::{AuthenticationType, Config, Security};
use super::delivery::Reach;
use super::descriptors;
use super::open::{open_with, try_out};
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

    #[command(flatten)]
    options: Options,
}

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::load(self.options.config.as_deref())?;
        let security = config.security;
        let requires_key = security.authentication.kind == AuthenticationType::ApiKey;
        let policy = self.policy(&security)?;
        policy.check(requires_key).map_err(Failure::usage)?;
        let shutdown = shutdown_signal()?;
        let listener = self.bind().await?;
        let address = listener.local_addr().map_err(Failure::start)?;
        let limits = descriptors::fit(Limits::default());
        let reach = Reach::of(address.ip());
        let adapt = |builder: PluginBuilder| builder.require_api_key(requires_key);
        let (plugin, store) = open_with(&self.options, limits, reach, adapt).await?;
        try_out(&plugin).await?;

        announce(address, &store);
        if !requires_key {
            warn!("open to whoever can reach this address: no API key is asked for");
        }
        let messages = plugin.clone();
        let housekeeping = tokio::spawn(keep_house(plugin.clone()));
        let served = http::serve(listener, plugin, policy, shutdown).await;
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

    /// What the file says of callers, and what the options add to it.
    fn policy(&self, security: &Security) -> Result<Policy, Failure> {
        let mut allowed = self.allowed()?;
        if security.cors.enabled {
            for origin in &security.cors.allowed_origins {
                allowed = allowed.origin(origin).map_err(Failure::usage)?;
            }
        }
        let header = &security.authentication.header;
        Ok(Policy {
            allowed,
            // Whoever names an origin here means that its pages can call.
            cors: security.cors.enabled || !self.allowed_origins.is_empty(),
            key_header: header.parse().map_err(Failure::usage)?,
            rate: security.rate_limiting.as_ref().map(|rate| Rate {
                requests_per_minute: rate.requests_per_minute,
                burst_size: rate.burst_size,
            }),
            proxies: Proxies {
                trusted: security.trusted_proxies.clone(),
                header: security.forwarded_header.into(),
            },
            https: false,
        })
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
