//! The examples in `host/examples/sign-in`: MCP servers that users sign in to, and clients.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use user_auth_tests::folder;

use super::FILES;
use super::real_clients::{Client, Guarded, free_port, with_rmcp};
use crate::clients::{client, node};
use crate::elsewhere::{Running, repository};
use crate::published_tokens::issuer::{sign, with_claims};

/// An example in one language.
struct Example {
    server: Command,
    client: Command,
    /// What the server prints when it is ready.
    sign: &'static str,
    _home: TempDir,
}

fn source(name: &str) -> PathBuf {
    repository().join("host/examples/sign-in").join(name)
}

/// A server that users sign in to at UserAuth.
struct Protected {
    guarded: Guarded,
    resource: String,
    agent: Agent,
    _running: Running,
}

impl Protected {
    fn start(mut command: Command, sign: &str) -> Protected {
        let guarded = Guarded::start("");
        let port = free_port();
        let resource = format!("http://127.0.0.1:{port}/mcp");
        for (resource, name) in [(resource.as_str(), "Files"), (FILES, "Other files")] {
            let scopes = json!([{"scope": "files:read", "description": "Read your files"}]);
            let input = json!({"resource": resource, "resource_name": name, "scopes": scopes});
            guarded.operate("define_resource", &input);
        }
        command
            .env("ISSUER", &guarded.issuer)
            .env("RESOURCE", &resource)
            .env("PORT", port.to_string());
        let (running, _) = Running::start(&mut command, sign);
        // Servers close connections of requests that they refuse before they have read them.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(0)
            .build();
        Protected {
            guarded,
            resource,
            agent: agent.into(),
            _running: running,
        }
    }

    /// Sends the first message of a client, and returns the status and the challenge.
    fn ask(&self, token: Option<&str>) -> (u16, String) {
        let params = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params,
        });
        let mut request = self.agent.post(&self.resource);
        request = request.header("accept", "application/json, text/event-stream");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send_json(&message).unwrap();
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge.map_or("", |value| value.to_str().unwrap());
        (response.status().as_u16(), challenge.to_owned())
    }

    fn get(&self, url: &str) -> Value {
        let mut response = self.agent.get(url).call().unwrap();
        assert_eq!(response.status(), 200, "{url}");
        response.body_mut().read_json().unwrap()
    }

    /// Follows the challenge to the authorization server.
    fn leads_to_the_sign_in(&self) {
        let (status, challenge) = self.ask(None);
        assert_eq!(status, 401);
        assert!(challenge.contains(r#"scope="files:read""#), "{challenge}");
        let (_, url) = challenge.split_once(r#"resource_metadata=""#).unwrap();
        let metadata = self.get(url.split('"').next().unwrap());
        assert_eq!(metadata["resource"], self.resource.as_str());
        let servers = json!([self.guarded.issuer]);
        assert_eq!(metadata["authorization_servers"], servers);
    }

    /// Has a user of the client sign in, and the client call a tool.
    fn signs_in(&self, mut command: Command) {
        command.arg(&self.resource);
        let mut client = Client::start(command);
        let address = client.wait_for_line(&format!("{}/authorize?", self.guarded.issuer));
        let answer = ureq::get(self.guarded.sign_in(&address)).call().unwrap();
        assert_eq!(answer.status(), 200);
        client.wait_for(&format!("You are {}", self.user_id()));
    }

    fn user_id(&self) -> String {
        let alice = json!({"username": "alice"});
        let user = self.guarded.operate("get_user", &alice);
        user["user_id"].as_str().unwrap().to_owned()
    }

    /// Asserts that a token like those of the sign-in is admitted, and no other.
    fn admits_its_tokens_alone(&self) {
        let keys = self.get(&format!("{}/jwks", self.guarded.issuer));
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": keys["keys"][0]["kid"]});
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims = json!({
            "iss": self.guarded.issuer, "aud": self.resource, "sub": self.user_id(),
            "client_id": "client", "iat": now.as_secs(), "exp": now.as_secs() + 600,
            "jti": "0", "scope": "files:list files:read",
        });
        let changed = |from: &Value, name: &str, value: Value| {
            let mut changed = from.clone();
            changed[name] = value;
            changed
        };
        let sign = |header: &Value, claims: &Value| sign(self.guarded.home.path(), header, claims);
        let with = |name: &str, value: Value| sign(&header, &changed(&claims, name, value));
        let token = sign(&header, &claims);
        let of_bob = changed(&claims, "sub", json!("0".repeat(32)));
        for (token, expected, what) in [
            (token.clone(), 200, "as it should be"),
            (with("aud", json!(FILES)), 401, "for another server"),
            (
                with("iss", json!("https://mallory.example")),
                401,
                "of another issuer",
            ),
            (with("exp", json!(now.as_secs() - 3600)), 401, "expired"),
            (
                sign(&changed(&header, "typ", json!("JWT")), &claims),
                401,
                "of another kind",
            ),
            (with_claims(&token, &of_bob), 401, "altered"),
            ("token".to_owned(), 401, "no JWT"),
            (
                with("scope", json!("files:list files:readall")),
                403,
                "without the scope",
            ),
            (with("scope", json!("")), 403, "without scopes"),
        ] {
            let (status, challenge) = self.ask(Some(&token));
            assert_eq!(status, expected, "{what}: {challenge}");
            let error = match expected {
                401 => r#"error="invalid_token""#,
                403 => r#"error="insufficient_scope""#,
                _ => "",
            };
            assert!(challenge.contains(error), "{what}: {challenge}");
        }
    }
}

fn assert_protected(example: Example) {
    let protected = Protected::start(example.server, example.sign);
    protected.leads_to_the_sign_in();
    protected.signs_in(example.client);
    protected.admits_its_tokens_alone();
}

#[test]
fn users_sign_in_to_the_server_in_python() {
    let home = folder();
    let command = |name: &str| {
        let mut command = Command::new(client(".venv/bin/python"));
        command
            .arg(source(name))
            .env("HOME", home.path())
            // Shows addresses instead of opening them.
            .env("BROWSER", "echo %s")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("FASTMCP_CHECK_FOR_UPDATES", "off");
        command
    };
    assert_protected(Example {
        server: command("server.py"),
        client: command("client.py"),
        sign: "Uvicorn running on",
        _home: home,
    });
}

#[test]
fn users_sign_in_to_the_server_in_typescript() {
    // Packages are found beside the file that imports them.
    let home = folder();
    symlink(client("node_modules"), home.path().join("node_modules")).unwrap();
    let command = |name: &str| {
        let file = home.path().join(name);
        fs::copy(source(name), &file).unwrap();
        let mut command = Command::new(node());
        command.arg(file);
        command
    };
    assert_protected(Example {
        server: command("server.mjs"),
        client: command("client.mjs"),
        sign: "is ready",
        _home: home,
    });
}

#[test]
fn users_sign_in_to_the_server_in_rust() {
    assert_protected(Example {
        server: Command::new(with_rmcp("server")),
        client: Command::new(with_rmcp("client")),
        sign: "is ready",
        _home: folder(),
    });
}
