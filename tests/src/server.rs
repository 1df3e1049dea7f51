//! A server under test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::START;
use crate::clock::Clock;
use crate::files::{TOOLSETS, command, folder};

/// Options for starting a server.
pub struct Options {
    store: Option<String>,
    home: Option<PathBuf>,
    listen: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    ignored_signal: Option<String>,
}

impl Options {
    /// Creates options with a SQLite store of its own, and all toolsets.
    pub fn new() -> Options {
        Options {
            store: None,
            home: None,
            listen: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            arguments: Vec::new(),
            ignored_signal: None,
        }
    }

    /// Sets the store: `memory`, or `sqlite:PATH`.
    pub fn store(mut self, store: &str) -> Options {
        self.store = Some(store.to_owned());
        self
    }

    /// Sets the home, which a later server may share.
    pub fn home(mut self, home: &Path) -> Options {
        self.home = Some(home.to_owned());
        self
    }

    /// Sets the address to listen on, for tests that have to know the port before.
    pub fn listen(mut self, address: &str) -> Options {
        self.listen = address.to_owned();
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Options {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the server follow a clock.
    pub fn clock(self, clock: &Clock) -> Options {
        let variables = clock.environment().into_iter();
        variables.fold(self, |options, (name, value)| options.env(name, &value))
    }

    /// Allows as many registrations per source as can be set, since all clients of a test
    /// share one address.
    pub fn for_a_crowd(self) -> Options {
        let setting = "USER_AUTH_THROTTLING_REGISTRATIONS_PER_SOURCE";
        self.env(setting, "100000")
    }

    /// Has callers get the toolsets that they get if nothing is set, rather than all.
    pub fn with_usual_toolsets(self) -> Options {
        self.env(TOOLSETS, "")
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: &str) -> Options {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts the server with this signal ignored, which child processes inherit.
    pub fn ignoring_signal(mut self, signal: &str) -> Options {
        self.ignored_signal = Some(signal.to_owned());
        self
    }

    /// Starts the server and waits until it listens.
    pub fn start(self) -> Server {
        let folder = folder();
        let home = self.home.unwrap_or_else(|| folder.path().to_owned());
        let mut command = match &self.ignored_signal {
            Some(signal) => with_signal_ignored(&command(&home), signal),
            None => command(&home),
        };
        command.args(["serve", "--listen", &self.listen]);
        if let Some(store) = &self.store {
            command.args(["--store", store]);
        }
        command.args(&self.arguments).env(TOOLSETS, "all");
        command.envs(self.environment);
        Server::spawn(command, folder)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    /// The base URL: `http://127.0.0.1:PORT`, or with TLS `https://…`.
    pub url: String,
    agent: Agent,
    // The mutex lets several threads use one receiver.
    log: Mutex<Receiver<String>>,
    _folder: TempDir,
}

/// The response to one HTTP request.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields; names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, unchanged.
    pub text: String,
}

impl Answer {
    /// Returns a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        Some(value)
    }

    /// Parses the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in the body: {}", self.text))
    }
}

impl Server {
    /// Starts a server on a SQLite store of its own.
    pub fn start() -> Server {
        Options::new().start()
    }

    fn spawn(mut command: Command, folder: TempDir) -> Server {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (lines, log) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The receiver may be gone.
                let _ = lines.send(line);
            }
        });
        let mut seen = Vec::new();
        let url = loop {
            let Ok(line) = log.recv_timeout(START) else {
                let _ = child.kill();
                panic!("the server did not start:\n{}", seen.join("\n"));
            };
            if let Some(url) = url_in(&line) {
                break url;
            }
            seen.push(line);
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Server {
            child,
            url,
            agent,
            log: Mutex::new(log),
            _folder: folder,
        }
    }

    /// Sends a body to `/mcp`.
    pub fn post(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.try_post(headers, body).expect("the server answers")
    }

    /// Sends a body to `/mcp`; `Err` when the connection broke.
    pub fn try_post(
        &self,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<Answer, ureq::Error> {
        self.send("/mcp", headers, body.as_ref())
    }

    /// Sends a body to another path.
    pub fn post_to(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let sent = self.try_post_to(path, headers, body);
        sent.expect("the server answers")
    }

    /// Sends a body to another path; `Err` when the connection broke.
    pub fn try_post_to(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<Answer, ureq::Error> {
        self.send(path, headers, body.as_ref())
    }

    fn send(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send(body)?;
        answer(response)
    }

    /// Sends a request with this one raw line among its header fields, and returns the
    /// whole response.
    pub fn raw(&self, header: &str) -> String {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the server listens");
        // In one piece: a part that arrived after the server has refused and closed would
        // reset the connection before the answer is read.
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{header}\r\n\
             Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        // A closed connection may be reset.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// Gets a path.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.call().expect("the server answers")).expect("a body")
    }

    /// Sends a request of the handshake era and returns its answer.
    pub fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(&[], body.to_string()).json()
    }

    /// Calls the tool of an operation; `Err` holds the error object.
    pub fn call(&self, operation: &str, arguments: Value) -> Result<Value, Value> {
        let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
        let mut answer = self.rpc("tools/call", params);
        if let Some(error) = answer.get_mut("error") {
            return Err(error.take());
        }
        Ok(answer["result"]["structuredContent"].take())
    }

    /// Registers a user and logs in.
    pub fn new_session(&self, username: &str) -> Value {
        let credentials = json!({"username": username, "password": crate::PASSWORD});
        self.call("register", credentials.clone())
            .expect("a new name");
        self.call("login", credentials).expect("the right password")
    }

    /// Returns the content of a resource.
    pub fn resource(&self, uri: &str) -> Value {
        let answer = self.rpc("resources/read", json!({"uri": uri}));
        let text = answer["result"]["contents"][0]["text"].as_str();
        serde_json::from_str(text.unwrap_or_else(|| panic!("no text in {answer}"))).expect("JSON")
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server without a chance to finish anything, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it is gone");
    }

    /// Stops the server, and returns its exit status and the rest of its log.
    pub fn stop(self) -> (ExitStatus, String) {
        self.terminate();
        self.ended()
    }

    /// Waits until the server has ended, and returns its exit status and the rest of its
    /// log.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it ends");
        let log = self.log.get_mut().expect("no thread has failed with it");
        let log: Vec<String> = log.iter().collect();
        (status, log.join("\n"))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Waits until the log has a line with this text.
    pub fn wait_for(&self, text: &str) {
        let log = self.log.lock().expect("no thread has failed with it");
        let lines = std::iter::from_fn(|| log.recv_timeout(Duration::from_secs(60)).ok());
        assert!(
            lines.into_iter().any(|line| line.contains(text)),
            "the log has no line with: {text}"
        );
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "kill {signal} {pid}"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Wraps the command in a shell that ignores the signal.
fn with_signal_ignored(command: &Command, signal: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!(r#"trap "" {signal}; exec "$0" "$@""#)])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    shell
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(100 * 1024 * 1024);
    Ok(Answer {
        status,
        headers,
        text: body.read_to_string()?,
    })
}

fn url_in(line: &str) -> Option<String> {
    ["http://127.0.0.1:", "https://127.0.0.1:"]
        .into_iter()
        .find_map(|start| {
            let (_, rest) = line.split_once(start)?;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            (!port.is_empty()).then(|| format!("{start}{port}"))
        })
}
