//! The examples in `host/examples/services`: services that admit only tokens for themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use user_auth_tests::{built, folder};

use super::issuer::{ISSUER, Issuer, OTHER_SERVICE, SERVICE, decode, with_claims};
use crate::apache;
use crate::clients::{client, node};
use crate::elsewhere::{Running, repository};
use crate::oauth::free_port;

/// A service that runs until it is dropped.
struct Service {
    url: String,
    agent: Agent,
    _running: Running,
    _home: TempDir,
}

/// The status, the challenge and the text of a response.
type Answer = (u16, Option<String>, String);

fn source(name: &str) -> PathBuf {
    repository().join("host/examples/services").join(name)
}

impl Service {
    /// Starts an example, which prints its address in the line with this sign.
    fn start(issuer: &Issuer, home: TempDir, mut command: Command, sign: &str) -> Service {
        command
            .env("JWKS_URL", issuer.jwks_url())
            .env("ISSUER", ISSUER)
            .env("AUDIENCE", SERVICE)
            .env("PORT", "0")
            .env("HOME", home.path());
        let (running, line) = Running::start(&mut command, sign);
        let from = line.find("http://").unwrap();
        let url = line[from..].split_whitespace().next().unwrap();
        Service::at(url.to_owned(), running, home)
    }

    fn at(url: String, running: Running, home: TempDir) -> Service {
        let agent = Agent::config_builder().http_status_as_error(false).build();
        Service {
            url,
            agent: agent.into(),
            _running: running,
            _home: home,
        }
    }

    /// Calls the tool `whoami` of an MCP server.
    fn call(&self, token: Option<&str>) -> Answer {
        let params = json!({"name": "whoami", "arguments": {}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let mut request = self
            .agent
            .post(format!("{}/mcp", self.url))
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request.send_json(&body).unwrap())
    }

    /// Gets a page.
    fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request.call().unwrap())
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), challenge, text)
}

/// Asserts that a service admits a token that was issued for it, and nothing else.
fn assert_guarded(issuer: &Issuer, ask: impl Fn(Option<&str>) -> Answer) {
    let token = issuer.issue(SERVICE);
    let (header, claims) = decode(&token);
    let (status, _, text) = ask(Some(&token));
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(claims["sub"].as_str().unwrap()), "{text}");

    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let altered = with("sub", json!("0".repeat(32)));
    let altered = with_claims(&token, &altered);
    for (wrong, what) in [
        (None, "no token"),
        (Some(issuer.issue(OTHER_SERVICE)), "for another service"),
        (
            issuer.session["access_token"].as_str().map(str::to_owned),
            "for the issuer",
        ),
        (Some(altered), "altered"),
        (
            Some(issuer.sign(&header, &with("exp", json!(1)))),
            "expired",
        ),
        (
            Some(issuer.sign(&header, &with("iss", json!("https://mallory.example")))),
            "of another issuer",
        ),
        (Some("token".to_owned()), "no JWT"),
    ] {
        let (status, challenge, text) = ask(wrong.as_deref());
        assert_eq!(status, 401, "{what}: {text}");
        // Apache sends none for a token whose claims are wrong.
        assert!(challenge.is_some() || wrong.is_some(), "{what}");
    }
}

#[test]
fn the_fastmcp_server_admits_only_tokens_for_itself() {
    let issuer = Issuer::start("+0", &[]);
    let mut command = Command::new(client(".venv/bin/python"));
    command
        .arg(source("files.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FASTMCP_CHECK_FOR_UPDATES", "off");
    let service = Service::start(&issuer, folder(), command, "Uvicorn running on");
    assert_guarded(&issuer, |token| service.call(token));
}

#[test]
fn the_fastmcp_server_that_asks_notices_a_logout() {
    let issuer = Issuer::start("+0", &[]);
    let permission = "user-auth:tokens:introspect";
    let account = issuer.operate(&["create_service_account", "username=files"]);
    let role = json!({"role": "files", "permissions": [permission]});
    issuer.operate(&["define_role", "--json", &role.to_string()]);
    issuer.operate(&["assign_role", "username=files", "role=files"]);
    let key = json!({"name": "files", "user_id": account["user_id"], "scopes": [permission]});
    let key = issuer.operate(&["create_api_key", "--json", &key.to_string()]);
    let mut command = Command::new(client(".venv/bin/python"));
    command
        .arg(source("asking.py"))
        .env(
            "INTROSPECTION_URL",
            format!("{}/introspect", issuer.server.url),
        )
        .env("API_KEY", key["api_key"].as_str().unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FASTMCP_CHECK_FOR_UPDATES", "off");
    let service = Service::start(&issuer, folder(), command, "Uvicorn running on");
    let token = issuer.session["access_token"].as_str().unwrap();
    let (status, _, text) = service.call(Some(token));
    assert_eq!(status, 200, "{text}");
    assert!(
        text.contains(decode(token).1["sub"].as_str().unwrap()),
        "{text}"
    );
    let elsewhere = issuer.issue(SERVICE);
    let refresh_token = issuer.session["refresh_token"].as_str();
    let api_key = key["api_key"].as_str();
    for wrong in [
        None,
        Some("token"),
        Some(&*elsewhere),
        refresh_token,
        api_key,
    ] {
        assert_eq!(service.call(wrong).0, 401, "{wrong:?}");
    }
    let input = json!({"refresh_token": issuer.session["refresh_token"]});
    issuer.server.call("logout", input).unwrap();
    assert_eq!(service.call(Some(token)).0, 401);
}

#[test]
fn the_express_server_admits_only_tokens_for_itself() {
    let issuer = Issuer::start("+0", &[]);
    // Packages are found beside the file that imports them.
    let home = folder();
    let file = home.path().join("files.mjs");
    fs::copy(source("files.mjs"), &file).unwrap();
    symlink(client("node_modules"), home.path().join("node_modules")).unwrap();
    let mut command = Command::new(node());
    command.arg(file);
    let service = Service::start(&issuer, home, command, "http://");
    assert_guarded(&issuer, |token| service.call(token));
}

#[test]
fn the_axum_server_admits_only_tokens_for_itself() {
    let issuer = Issuer::start("+0", &[]);
    let command = Command::new(built("examples/files"));
    let service = Service::start(&issuer, folder(), command, "http://");
    assert_guarded(&issuer, |token| service.get("/whoami", token));
}

#[test]
fn apache_admits_only_tokens_for_its_page_during_a_rotation() {
    let issuer = Issuer::start("-3h", &[("USER_AUTH_ACCESS_TOKEN_TTL_SECONDS", "14400")]);
    let service = apache(&issuer);
    let ask = |token: Option<&str>| service.get("/whoami.html", token);
    assert_guarded(&issuer, ask);
    let before = issuer.issue(SERVICE);
    issuer.operate(&["rotate_signing_key"]);
    issuer.clock.set("-1h");
    let after = issuer.issue(SERVICE);
    assert_ne!(decode(&before).0["kid"], decode(&after).0["kid"]);
    for token in [&before, &after] {
        assert_eq!(ask(Some(token)).0, 200);
    }
}

/// Starts Apache with the example, and a page that shows the user.
fn apache(issuer: &Issuer) -> Service {
    let example = fs::read_to_string(source("apache.conf")).unwrap();
    let example = example
        .replace("http://127.0.0.1:8000", &issuer.server.url)
        .replace("https://auth.example.com", ISSUER)
        .replace("https://files.example.com", SERVICE);
    let home = folder();
    let modules = ["include", "oauth2"];
    let page = "You are <!--#echo var=\"REMOTE_USER\" -->\n";
    let port = free_port();
    let running = apache::start(home.path(), port, &modules, page, &example);
    Service::at(format!("http://127.0.0.1:{port}"), running, home)
}
