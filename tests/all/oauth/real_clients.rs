//! What runs clients that others wrote: a server whose MCP endpoint requires a sign-in, a user
//! with a browser, and the client, which is told step by step what to do.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::{Browser, FILES, operate_with};
use crate::published_tokens::issuer::MASTER_KEY;
use serde_json::{Value, json};
use tempfile::TempDir;
use user_auth_tests::{Options, PASSWORD, Server, built, folder};

/// A server whose MCP endpoint requires a sign-in, with a user.
pub struct Guarded {
    pub home: TempDir,
    pub server: Server,
    pub issuer: String,
    environment: Vec<(String, String)>,
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
        let own = [
            ("USER_AUTH_MASTER_KEY", MASTER_KEY),
            ("USER_AUTH_PUBLIC_URL", &issuer),
            ("USER_AUTH_OAUTH_ENABLED", "true"),
            ("USER_AUTH_SECURITY_AUTHENTICATION_TYPE", "oauth"),
        ];
        let environment: Vec<(String, String)> = [&own, environment]
            .concat()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let server = serve(&home, &address, &environment);
        let guarded = Guarded {
            home,
            server,
            issuer,
            environment,
        };
        let alice = json!({"username": "alice", "password": PASSWORD});
        guarded.operate("register", &alice);
        guarded
    }

    /// Stops the server, and starts another one with its store and address.
    pub fn restart(self) -> Guarded {
        let address = self.server.url.strip_prefix("http://").unwrap().to_owned();
        self.server.stop();
        let server = serve(&self.home, &address, &self.environment);
        Guarded { server, ..self }
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
        self.sign_in_with(&Browser::new(&self.server), url)
    }

    /// Does so in a browser, which may have a user who is signed in.
    fn sign_in_with(&self, browser: &Browser, url: &str) -> String {
        let target = url.strip_prefix(&self.server.url).expect(url);
        let mut page = browser.get(target);
        if page.text.contains("name=\"password\"") {
            page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
            assert_eq!(page.status, 303, "{}", page.text);
            page = browser.get(page.header("location").unwrap());
        }
        let page = browser.submit(&page, &[("decision", "allow")]);
        assert_eq!(page.status, 303, "{}", page.text);
        page.header("location").unwrap().to_owned()
    }

    /// Takes all access of clients to the user away.
    fn revoke_grants(&self) {
        let user = self.operate("get_user", &json!({"username": "alice"}));
        let alice = json!({"user_id": user["user_id"]});
        let listed = self.operate("list_grants", &alice);
        let grants = listed["grants"].as_array().unwrap();
        assert!(!grants.is_empty(), "{listed}");
        for grant in grants {
            let grant = json!({"user_id": user["user_id"], "grant_id": grant["grant_id"]});
            self.operate("revoke_grant", &grant);
        }
    }
}

fn serve(home: &TempDir, address: &str, environment: &[(String, String)]) -> Server {
    let options = Options::new().home(home.path()).listen(address);
    let with = |options: Options, (name, value): &(String, String)| options.env(name, value);
    environment.iter().fold(options, with).start()
}

/// Returns the path of a program that is made with rmcp.
pub fn with_rmcp(name: &str) -> PathBuf {
    built(&format!("../sign-in/debug/{name}"))
}

/// The longest time until a client says something.
const PATIENCE: Duration = Duration::from_secs(120);

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
            let line = self.lines.recv_timeout(PATIENCE);
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
        // Its output ends with it.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it does not end:\n{}", self.seen.join("\n"))
                }
            }
        }
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

/// A tool that every client may call, and one that needs a scope which no client asks for by
/// itself.
const TOOL: &str = "user-auth_get_capabilities";
const SCOPED_TOOL: &str = "user-auth_list_users";

/// What a user notices of a call, and whether the client has a new refresh token.
#[derive(Debug, PartialEq)]
struct Called {
    asked: bool,
    refreshed: bool,
}

/// A user with a browser, and a client that follows steps.
///
/// For `call TOOL` the client calls the tool, prints the address that the user has to visit if it
/// needs a sign-in, and in the end `called`, with `, refreshed` behind it if its refresh token is
/// another one than before. `expire` makes it treat its access token as one that has expired.
struct Signing {
    guarded: Guarded,
    browser: Browser,
    client: Client,
}

impl Signing {
    fn start(guarded: Guarded, command: Command) -> Signing {
        Signing {
            browser: Browser::new(&guarded.server),
            client: Client::start(command),
            guarded,
        }
    }

    fn restart(self) -> Signing {
        Signing {
            guarded: self.guarded.restart(),
            ..self
        }
    }

    /// Has the client call a tool, for a user who does what they are asked for.
    fn call(&mut self, tool: &str) -> Called {
        self.client.say(&format!("call {tool}"));
        let asked = self.is_asked();
        if asked {
            let answer = self.agree();
            self.client.say(&answer);
            assert!(!self.is_asked(), "the user is asked twice");
        }
        self.called(asked)
    }

    /// Does so for the first time, and restarts the server once the user has agreed: the client
    /// redeems its code at the new one.
    fn call_over_a_restart(mut self, tool: &str) -> Signing {
        self.client.say(&format!("call {tool}"));
        assert!(self.is_asked());
        let answer = self.agree();
        let mut signing = self.restart();
        signing.client.say(&answer);
        assert!(!signing.is_asked(), "the user is asked twice");
        signing.called(true);
        signing
    }

    /// Waits until the client asks for a sign-in or has called the tool.
    fn is_asked(&mut self) -> bool {
        let authorize = format!("{}/authorize?", self.guarded.issuer);
        let is_either = |line: &str| line.starts_with(&authorize) || line.starts_with("called");
        let line = self.client.wait_until("request or call", is_either);
        line.starts_with(&authorize)
    }

    fn agree(&self) -> String {
        let address = self.client.seen.last().unwrap();
        self.guarded.sign_in_with(&self.browser, address)
    }

    fn called(&self, asked: bool) -> Called {
        let refreshed = self.client.seen.last().unwrap() == "called, refreshed";
        Called { asked, refreshed }
    }
}

/// Has a client sign its user in and call tools, while the server is restarted, the access token
/// expires, an operation needs a scope, and the user's access is taken away.
///
/// The user is an administrator, who has permissions to give. Another resource server is defined
/// as well.
pub fn lives_through_all(guarded: Guarded, command: Command, asks_for_more: bool) -> Guarded {
    let files = json!({
        "resource": FILES,
        "resource_name": "Files",
        "scopes": [{"scope": "files:read", "description": "Read your files"}],
    });
    guarded.operate("define_resource", &files);
    guarded.operate(
        "assign_role",
        &json!({"username": "alice", "role": "admin"}),
    );
    let called = |asked, refreshed| Called { asked, refreshed };

    let signing = Signing::start(guarded, command);
    let mut signing = signing.call_over_a_restart(TOOL).restart();
    assert_eq!(signing.call(TOOL), called(false, false), "restarted");
    signing.client.say("expire");
    let mut signing = signing.restart();
    assert_eq!(signing.call(TOOL), called(false, true), "expired");
    if asks_for_more {
        assert!(signing.call(SCOPED_TOOL).asked, "more scopes");
        assert_eq!(signing.call(SCOPED_TOOL), called(false, false), "given");
    }
    signing.guarded.revoke_grants();
    assert!(signing.call(TOOL).asked, "taken away");
    assert_eq!(signing.call(TOOL), called(false, false), "given again");
    signing.guarded
}
