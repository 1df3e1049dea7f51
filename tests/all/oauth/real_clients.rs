//! Clients that others wrote: they find the authorization server, register, have a user sign
//! in, and call the MCP endpoint with the token.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::{Browser, FILES, operate_with};
use crate::clients::{client, node, script};
use crate::published_tokens::issuer::MASTER_KEY;
use serde_json::{Value, json};
use tempfile::TempDir;
use user_auth_tests::{Options, PASSWORD, Server, built, folder};

/// A server whose MCP endpoint requires a sign-in, with a user.
pub struct Guarded {
    pub home: TempDir,
    pub server: Server,
    pub issuer: String,
}

impl Guarded {
    /// Starts the server with an issuer that has this path.
    pub fn start(path: &str) -> Guarded {
        Guarded::start_with(path, &[])
    }

    /// Does so with these environment variables.
    pub fn start_with(path: &str, environment: &[(&str, &str)]) -> Guarded {
        let home = folder();
        let address = format!("127.0.0.1:{}", free_port());
        let issuer = format!("http://{address}{path}");
        let options = environment
            .iter()
            .fold(Options::new(), |options, (name, value)| {
                options.env(name, value)
            });
        let server = options
            .home(home.path())
            .listen(&address)
            .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
            .env("USER_AUTH_PUBLIC_URL", &issuer)
            .env("USER_AUTH_OAUTH_ENABLED", "true")
            .env("USER_AUTH_SECURITY_AUTHENTICATION_TYPE", "oauth")
            .start();
        let guarded = Guarded {
            home,
            server,
            issuer,
        };
        let alice = json!({"username": "alice", "password": PASSWORD});
        guarded.operate("register", &alice);
        guarded
    }

    /// Runs an operation as the operator, on the same store and with the same settings.
    pub fn operate(&self, operation: &str, input: &Value) -> Value {
        let environment = [
            ("USER_AUTH_MASTER_KEY", MASTER_KEY),
            ("USER_AUTH_PUBLIC_URL", self.issuer.as_str()),
            ("USER_AUTH_OAUTH_ENABLED", "true"),
        ];
        operate_with(&environment, &self.home, operation, input)
    }

    /// Signs in and agrees at an address that a client has shown, and returns the address to
    /// which the user is sent back.
    pub fn sign_in(&self, url: &str) -> String {
        let browser = Browser::new(&self.server);
        let target = url.strip_prefix(&self.server.url).expect(url);
        let page = browser.get(target);
        let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
        assert_eq!(page.status, 303, "{}", page.text);
        let page = browser.get(page.header("location").unwrap());
        let page = browser.submit(&page, &[("decision", "allow")]);
        assert_eq!(page.status, 303, "{}", page.text);
        page.header("location").unwrap().to_owned()
    }
}

/// Returns the path of a program that is made with rmcp.
pub fn with_rmcp(name: &str) -> PathBuf {
    built(&format!("../sign-in/debug/{name}"))
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A client that runs until it is dropped.
pub struct Client {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    pub(super) seen: Vec<String>,
}

impl Client {
    pub fn start(mut command: Command) -> Client {
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // The test may have given up.
                    let _ = sender.send(line);
                }
            });
        }
        Client {
            stdin: child.stdin.take().unwrap(),
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line with this text.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.wait_until(text, |line| line.contains(text))
    }

    /// Waits for a line that begins with this text.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        self.wait_until(text, |line| line.starts_with(text))
    }

    fn wait_until(&mut self, text: &str, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(120));
            let line = line.unwrap_or_else(|_| panic!("no {text}:\n{}", self.seen.join("\n")));
            self.seen.push(line.clone());
            if is_it(&line) {
                return line;
            }
        }
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Waits until it has ended well.
    pub fn finish(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.seen.join("\n"));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // With all that it has started. It may have ended already.
        let group = format!("-{}", self.child.id());
        let mut kill = Command::new("kill");
        let _ = kill
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

/// How a client is known to the server.
pub enum Known {
    /// It registers itself.
    ByItself,
    /// An administrator has registered it, with this method of authentication.
    ByAdministrator(&'static str),
}

/// Has a client in a script sign its user in, as `assert_signs_in` does.
fn signs_in(known: &Known, program: impl AsRef<Path>, name: &str, arguments: &[&str]) {
    assert_signs_in(known, |home| {
        let mut command = script(program, name, home);
        command.args(arguments);
        command
    });
}

/// Has a client sign its user in, call a tool, refresh, and ask the user again when its access
/// was taken away. Another resource server is defined as well.
fn assert_signs_in(known: &Known, client: impl FnOnce(&Path) -> Command) {
    signs_in_to(&Guarded::start(""), known, client);
}

/// Does so with this server.
pub fn signs_in_to(guarded: &Guarded, known: &Known, client: impl FnOnce(&Path) -> Command) {
    let files = json!({
        "resource": FILES,
        "resource_name": "Files",
        "scopes": [{"scope": "files:read", "description": "Read your files"}],
    });
    guarded.operate("define_resource", &files);
    let mut command = client(guarded.home.path());
    command.arg(format!("{}/mcp", guarded.issuer));
    if let Known::ByAdministrator(method) = known {
        let input = json!({
            "client_name": "Desk",
            "redirect_uris": ["http://127.0.0.1:33418/callback"],
            "token_endpoint_auth_method": method,
        });
        let registered = guarded.operate("create_client", &input);
        command.env("CLIENT_ID", registered["client_id"].as_str().unwrap());
        if let Some(secret) = registered["client_secret"].as_str() {
            command.env("CLIENT_SECRET", secret);
        }
    }
    let mut client = Client::start(command);
    let start = format!("{}/authorize?", guarded.issuer);
    let address = client.wait_for_line(&start);
    client.say(&guarded.sign_in(&address));
    client.wait_for("refreshed");
    let user = guarded.operate("get_user", &json!({"username": "alice"}));
    let alice = json!({"user_id": user["user_id"]});
    let listed = guarded.operate("list_grants", &alice);
    let grants = listed["grants"].as_array().unwrap();
    assert_eq!(grants.len(), 1, "{listed}");
    let grant = json!({"user_id": user["user_id"], "grant_id": grants[0]["grant_id"]});
    guarded.operate("revoke_grant", &grant);
    client.say("go on");
    let address = client.wait_for_line(&start);
    client.say(&guarded.sign_in(&address));
    client.wait_for("ok");
}

#[test]
fn version_1_of_the_python_sdk_signs_in() {
    signs_in(
        &Known::ByItself,
        client("python1/.venv/bin/python"),
        "python_sign_in_1.py",
        &[],
    );
}

#[test]
fn version_2_of_the_python_sdk_signs_in() {
    signs_in(
        &Known::ByItself,
        client(".venv/bin/python"),
        "python_sign_in.py",
        &[],
    );
}

#[test]
fn version_1_of_the_typescript_sdk_signs_in() {
    signs_in(&Known::ByItself, node(), "typescript_sign_in.mjs", &["1"]);
}

#[test]
fn version_2_of_the_typescript_sdk_signs_in() {
    signs_in(&Known::ByItself, node(), "typescript_sign_in.mjs", &["2"]);
}

#[test]
fn rmcp_signs_in_by_itself_and_registered() {
    for known in [Known::ByItself, Known::ByAdministrator("none")] {
        assert_signs_in(&known, |_| Command::new(with_rmcp("rmcp-sign-in")));
    }
}

#[test]
fn mcp_remote_signs_in() {
    signs_in(&Known::ByItself, node(), "mcp_remote_sign_in.mjs", &[]);
}

#[test]
fn the_command_line_of_the_mcp_inspector_signs_in() {
    signs_in(&Known::ByItself, node(), "inspector_sign_in.mjs", &[]);
}

#[test]
fn openid_client_signs_in_with_and_without_a_secret() {
    for method in ["none", "client_secret_basic"] {
        let known = Known::ByAdministrator(method);
        signs_in(&known, node(), "openid_client.mjs", &[]);
    }
}

#[test]
fn openid_client_learns_who_has_signed_in() {
    let guarded = Guarded::start("/tenant");
    let input = json!({
        "client_name": "Wiki",
        "redirect_uris": ["http://127.0.0.1:33418/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let wiki = guarded.operate("create_client", &input);
    let mut command = script(node(), "openid_sign_in.mjs", guarded.home.path());
    command.arg(&guarded.issuer);
    command.env("CLIENT_ID", wiki["client_id"].as_str().unwrap());
    command.env("CLIENT_SECRET", wiki["client_secret"].as_str().unwrap());
    let mut client = Client::start(command);
    let address = client.wait_for_line(&format!("{}/authorize?", guarded.issuer));
    client.say(&guarded.sign_in(&address));
    let told: Value = serde_json::from_str(&client.wait_for_line("{")).unwrap();
    let user = guarded.operate("get_user", &json!({"username": "alice"}));
    let expected = json!({"sub": user["user_id"], "preferred_username": "alice"});
    assert_eq!(told, expected);
}

#[test]
fn authlib_signs_in_with_and_without_a_secret() {
    for method in ["none", "client_secret_basic"] {
        let known = Known::ByAdministrator(method);
        let python = client(".venv/bin/python");
        signs_in(&known, python, "authlib_client.py", &[]);
    }
}
