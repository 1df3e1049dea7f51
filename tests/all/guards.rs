//! The HTTP policy between the network and the component: API keys, rates, hosts, origins
//! and framing.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use user_auth_host::http::{self, HostPolicy};
use user_auth_host::store::Store;
use user_auth_host::{Plugin, PluginBuilder, StoreKeys};
use user_auth_tests::{Answer, Options, Server, built, command, folder};

mod api;
mod endpoints;
mod framing;
mod introspection;
mod keys;
mod names;
mod pages;
mod rates;
mod shares;
mod shedding;
mod verification;
mod verify;

const PING: &str = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;

/// A server with its own configuration, and the operator of its machine.
struct Guarded {
    home: TempDir,
    server: Server,
}

impl Guarded {
    /// Starts a server with `security` as that section of the configuration.
    fn start(security: Value) -> Guarded {
        Guarded::start_with(security, |options| options)
    }

    fn start_with(security: Value, adapt: impl FnOnce(Options) -> Options) -> Guarded {
        let home = folder();
        let file = configure(home.path(), security);
        let options = Options::new().home(home.path()).arg("--config").arg(&file);
        let server = adapt(options).start();
        Guarded { home, server }
    }

    /// Runs an operation as the operator does, in a shell.
    fn operate(&self, operation: &str, input: Value) -> Value {
        let output = command(self.home.path())
            .args(["call", operation, "--json", &input.to_string()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{operation}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Creates a service account and an API key for it with these scopes.
    fn program(&self, name: &str, scopes: &[&str]) -> Value {
        let account = self.operate("create_service_account", json!({"username": name}));
        if !scopes.is_empty() {
            let role = json!({"role": name, "permissions": scopes});
            self.operate("define_role", role);
            self.operate("assign_role", json!({"username": name, "role": name}));
        }
        let user_id = &account["user_id"];
        let key = json!({"name": name, "user_id": user_id, "scopes": scopes});
        self.operate("create_api_key", key)
    }

    fn ping(&self, headers: &[(&str, &str)]) -> Answer {
        self.server.post(headers, PING)
    }
}

fn configure(folder: &Path, security: Value) -> String {
    let file = folder.join("user-auth.json");
    std::fs::write(&file, json!({"security": security}).to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn secret(key: &Value) -> &str {
    key["api_key"].as_str().unwrap()
}

/// Security settings that require an API key.
fn keys_only() -> Value {
    json!({"authentication": {"type": "api_key"}})
}

/// Rate settings of one request per minute after this many at once.
fn burst(size: u32) -> Value {
    json!({"requests_per_minute": 1, "burst_size": size})
}

/// Loads the built component in this process, on a store of the test's own.
fn plugin(store: Arc<dyn Store>) -> PluginBuilder {
    Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(store)
        .keys(StoreKeys::ephemeral().unwrap())
}

/// Serves in this process until the test ends, and returns the address.
async fn serve(plugin: Plugin) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = std::future::pending();
    tokio::spawn(http::serve(listener, plugin, HostPolicy::default(), never));
    format!("http://{address}")
}

/// Gets a path, or with a key sends a ping.
async fn fetch(url: &str, key: Option<&str>) -> (u16, Value) {
    let (url, key) = (url.to_owned(), key.map(str::to_owned));
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let answer = match key {
            None => agent.get(url).call(),
            Some(key) => agent
                .post(url)
                .header("content-type", "application/json")
                .header("x-api-key", key)
                .send(PING),
        };
        let mut answer = answer.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json())
    });
    let (status, body) = asked.await.unwrap();
    (status, body.unwrap())
}
