//! Registration with a Consul agent, through its HTTP API.
//!
//! An agent that loses its data forgets the registration, and it may be unavailable for
//! a while. So the server asks periodically whether the agent still knows the service.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};
use url::Url;
use zeroize::Zeroizing;

use crate::http_client::HttpClient;

/// Name of the service.
const NAME: &str = "user-auth-mcp-server";
const TAGS: [&str; 3] = ["mcp", "ai-discoverable", "authentication"];
/// Delay of the second attempt while the agent is unavailable; it doubles with each
/// attempt.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of the program waits for the agent.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of the health check.
const CHECK_TIMEOUT: &str = "5s";
const DEREGISTER_AFTER: &str = "10m";

/// A Consul agent.
pub struct Consul {
    url: Url,
    client: HttpClient,
    token: Option<Zeroizing<String>>,
}

/// The registration of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Id of this instance of the service.
    id: String,
    /// The address that clients use, or `None` for the address of the agent's node.
    address: Option<String>,
    port: u16,
    /// URL of the health check.
    health: String,
    /// Whether the health check uses TLS.
    https: bool,
    /// Interval of the health check, and of our checks of the registration.
    interval: Duration,
}

impl Service {
    /// Returns the registration of the server that listens on `listening`, for the
    /// agent at `agent`.
    ///
    /// Clients use `address` if it is given. The default is the listen address or, when
    /// the server listens on all interfaces, the local address of the route to the
    /// agent; for an agent on this machine it is the address of the agent's node. With
    /// `https` the health check uses TLS.
    pub fn new(
        agent: &Url,
        listening: SocketAddr,
        address: Option<&str>,
        interval: Duration,
        https: bool,
    ) -> Self {
        let (address, check) = match address {
            Some(address) => (Some(address.to_owned()), address.to_owned()),
            None => own_address(agent, listening.ip()),
        };
        let port = listening.port();
        let host = match check.parse() {
            Ok(IpAddr::V6(v6)) => format!("[{v6}]"),
            _ => check.clone(),
        };
        Self {
            id: format!("{NAME}-{}-{port}", machine(&check)),
            address,
            port,
            health: format!(
                "{}://{host}:{port}/health",
                if https { "https" } else { "http" }
            ),
            https,
            interval,
        }
    }

    /// Returns the body of `PUT /v1/agent/service/register`.
    fn registration(&self) -> Value {
        let mut registration = json!({
            "ID": self.id,
            "Name": NAME,
            "Tags": TAGS,
            "Port": self.port,
            "Meta": {
                "protocol": "mcp",
                "domain": "authentication",
                "type": "wasm-component",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "Check": {
                "Name": "GET /health",
                "HTTP": self.health,
                "Method": "GET",
                "Interval": format!("{}s", self.interval.as_secs().max(1)),
                "Timeout": CHECK_TIMEOUT,
                "DeregisterCriticalServiceAfter": DEREGISTER_AFTER,
            },
        });
        if self.https {
            // The certificate is for the name that clients use, not for this address.
            registration["Check"]["TLSSkipVerify"] = json!(true);
        }
        if let Some(address) = &self.address {
            registration["Address"] = json!(address);
        }
        registration
    }
}

impl Consul {
    /// Returns the agent at this URL, with an ACL token if it requires one.
    ///
    /// The error is a message for users, which does not contain the token.
    pub fn new(url: Url, token: Option<Zeroizing<String>>) -> Result<Self, String> {
        if !["http", "https"].contains(&url.scheme()) || url.host().is_none() {
            return Err("a Consul agent needs a URL such as http://127.0.0.1:8500".to_owned());
        }
        let client = HttpClient::for_url(&url)?;
        Ok(Self { url, client, token })
    }

    /// Keeps the service registered until `stop` completes, and then deregisters it,
    /// for at most two seconds.
    pub async fn keep(self, service: Service, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.watch(&service) => {}
        }
        // The agent may have processed a registration whose response did not arrive.
        match timeout(DEREGISTER_TIMEOUT, self.deregister(&service)).await {
            Ok(Ok(())) => info!(id = service.id, "deregistered from Consul"),
            Ok(Err(problem)) => warn!(problem, "Consul may still list this server"),
            Err(_) => warn!("Consul may still list this server: the agent does not respond"),
        }
    }

    async fn watch(&self, service: &Service) {
        let mut is_away = false;
        let mut wait = FIRST_WAIT;
        loop {
            match self.ensure(service).await {
                Ok(()) => {
                    is_away = false;
                    wait = FIRST_WAIT;
                    sleep(service.interval).await;
                }
                Err(problem) => {
                    if !is_away {
                        warn!(problem, "not registered with Consul; still trying");
                    }
                    is_away = true;
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Registers the service unless the agent already knows it.
    async fn ensure(&self, service: &Service) -> Result<(), String> {
        let path = format!("/v1/agent/service/{}", service.id);
        let status = self.send(Method::GET, &path, None).await?;
        if status.is_success() {
            debug!("Consul knows this server");
            return Ok(());
        }
        // An agent whose policy forbids reading may still accept a registration.
        if status != StatusCode::NOT_FOUND && status != StatusCode::FORBIDDEN {
            return Err(refusal(status));
        }
        let registration = service.registration();
        let path = "/v1/agent/service/register";
        let status = self.send(Method::PUT, path, Some(registration)).await?;
        if !status.is_success() {
            return Err(refusal(status));
        }
        info!(id = service.id, "registered with Consul");
        Ok(())
    }

    async fn deregister(&self, service: &Service) -> Result<(), String> {
        let path = format!("/v1/agent/service/deregister/{}", service.id);
        let status = self.send(Method::PUT, &path, None).await?;
        // A service that the agent does not know is not listed either.
        if status.is_success() || status == StatusCode::NOT_FOUND {
            Ok(())
        } else {
            Err(refusal(status))
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<StatusCode, String> {
        let base = self.url.as_str().trim_end_matches('/');
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("x-consul-token", token.as_str());
        }
        let body = body.map(|body| Bytes::from(body.to_string()));
        let request = request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|_| "the URL or the token of the Consul agent cannot be used".to_owned())?;
        match timeout(TIMEOUT, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response.status()),
            Ok(Err(error)) if error.is_connect() => {
                Err("the Consul agent cannot be reached".to_owned())
            }
            Ok(Err(_)) => Err("the connection to the Consul agent failed".to_owned()),
            Err(_) => Err("the Consul agent does not respond".to_owned()),
        }
    }
}

fn refusal(status: StatusCode) -> String {
    let advice = match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            ": set CONSUL_HTTP_TOKEN to a token with write permission for this service"
        }
        _ => "",
    };
    format!(
        "the Consul agent responded with {}{advice}",
        status.as_u16()
    )
}

/// Returns the address to register, and the one for the agent's health check.
fn own_address(agent: &Url, listening: IpAddr) -> (Option<String>, String) {
    if !listening.is_unspecified() {
        return (Some(listening.to_string()), listening.to_string());
    }
    match way_to(agent).filter(|own| !own.is_loopback()) {
        Some(own) => (Some(own.to_string()), own.to_string()),
        None => (None, "127.0.0.1".to_owned()),
    }
}

/// Returns the local address of the route to the agent. Nothing is sent.
fn way_to(agent: &Url) -> Option<IpAddr> {
    let agent = agent.socket_addrs(|| None).ok()?.into_iter().next()?;
    let any = match agent {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(agent).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Returns a name of this machine in characters that are valid in a path.
fn machine(fallback: &str) -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    name.unwrap_or(fallback)
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() || char == '.' {
                char
            } else {
                '-'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn service(listening: &str, address: Option<&str>) -> Value {
        let agent: Url = "http://127.0.0.1:8500".parse().unwrap();
        Service::new(&agent, listening.parse().unwrap(), address, INTERVAL, false).registration()
    }

    #[test]
    fn the_health_check_uses_tls_if_the_server_does() {
        let agent: Url = "http://127.0.0.1:8500".parse().unwrap();
        let listening = "127.0.0.1:8443".parse().unwrap();
        let service = Service::new(&agent, listening, None, INTERVAL, true).registration();
        assert_eq!(service["Check"]["HTTP"], "https://127.0.0.1:8443/health");
        assert_eq!(service["Check"]["TLSSkipVerify"], true);
    }

    #[test]
    fn the_registered_address_is_reachable() {
        let own = service("192.0.2.7:8000", None);
        assert_eq!(own["Address"], "192.0.2.7");
        assert_eq!(own["Check"]["HTTP"], "http://192.0.2.7:8000/health");
        let told = service("0.0.0.0:8000", Some("auth.example.com"));
        assert_eq!(told["Address"], "auth.example.com");
        assert_eq!(told["Check"]["HTTP"], "http://auth.example.com:8000/health");
        let all = service("[::]:8000", None);
        assert_eq!(all["Address"], Value::Null, "the agent knows its own");
        assert_eq!(all["Check"]["HTTP"], "http://127.0.0.1:8000/health");
        let v6 = service("[2001:db8::1]:8000", None);
        assert_eq!(v6["Check"]["HTTP"], "http://[2001:db8::1]:8000/health");
    }

    #[test]
    fn instances_have_distinct_ids() {
        let one = service("127.0.0.1:8000", None)["ID"].clone();
        assert_ne!(one, service("127.0.0.1:8001", None)["ID"]);
        assert!(one.as_str().unwrap().starts_with("user-auth-mcp-server-"));
    }
}
