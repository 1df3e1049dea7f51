//! A server of our own.

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

use crate::files::{command, folder};

/// How to start a server.
pub struct Options {
    store: Option<String>,
    home: Option<PathBuf>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    ignored_signal: Option<String>,
}

impl Options {
    /// On a store of its own, in SQLite.
    pub fn new() -> Options {
        Options {
            store: None,
            home: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            ignored_signal: None,
        }
    }

    /// On this store: `memory`, or `sqlite:PATH`.
    pub fn store(mut self, store: &str) -> Options {
        self.store = Some(store.to_owned());
        self
    }

    /// With this home, which a server after it may share.
    pub fn home(mut self, home: &Path) -> Options {
        self.home = Some(home.to_owned());
        self
    }

    /// With one more environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Options {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With as many registrations of one source as can be set: a test has but one, and
    /// may be a crowd.
    pub fn for_a_crowd(self) -> Options {
        let setting = "USER_AUTH_THROTTLING_REGISTRATIONS_PER_SOURCE";
        self.env(setting, "100000")
    }

    /// With one more argument.
    pub fn arg(mut self, argument: &str) -> Options {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Ignoring this signal: what a process ignores, those it starts ignore too.
    pub fn deaf_to(mut self, signal: &str) -> Options {
        self.ignored_signal = Some(signal.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Server {
        let folder = folder();
        let home = self.home.unwrap_or_else(|| folder.path().to_owned());
        let mut command = match &self.ignored_signal {
            Some(signal) => deaf(&command(&home), signal),
            None => command(&home),
        };
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        if let Some(store) = &self.store {
            command.args(["--store", store]);
        }
        command.args(&self.arguments).envs(self.environment);
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
    /// Where it is: `http://127.0.0.1:PORT`, or with TLS `https://…`.
    pub url: String,
    agent: Agent,
    // A receiver is for one thread at a time, a server for many.
    log: Mutex<Receiver<String>>,
    _folder: TempDir,
}

/// The answer to one HTTP request.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields; names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as it came.
    pub text: String,
}

impl Answer {
    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        Some(value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in the body: {}", self.text))
    }
}

impl Server {
    /// On a SQLite store of its own.
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
                // Nobody may be left to read it.
                let _ = lines.send(line);
            }
        });
        let mut seen = Vec::new();
        let url = loop {
            let Ok(line) = log.recv_timeout(Duration::from_secs(60)) else {
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
        let mut request = self.agent.post(format!("{}/mcp", self.url));
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send(body.as_ref())?;
        answer(response)
    }

    /// Sends a request with this one line among its header fields, as it is, and
    /// gives the whole answer.
    pub fn raw(&self, header: &str) -> String {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the server listens");
        write!(
            stream,
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{header}\r\n\
             Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"
        )
        .expect("it reads");
        let mut answer = String::new();
        // A connection that is cut may be reset.
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

    /// Sends a request of the handshake era and gives its answer.
    pub fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(&[], body.to_string()).json()
    }

    /// Runs an operation by its tool; `Err` holds the error object.
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

    /// What the resource says.
    pub fn resource(&self, uri: &str) -> Value {
        let answer = self.rpc("resources/read", json!({"uri": uri}));
        let text = answer["result"]["contents"][0]["text"].as_str();
        serde_json::from_str(text.unwrap_or_else(|| panic!("no text in {answer}"))).expect("JSON")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with no chance to finish anything, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it is gone");
    }

    /// Asks it to end, and gives its exit status and the rest of its log.
    pub fn stop(self) -> (ExitStatus, String) {
        self.terminate();
        self.ended()
    }

    /// Waits until it has ended, and gives its exit status and the rest of its log.
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

    /// Waits until its log has a line with this text.
    pub fn wait_for(&self, text: &str) {
        let log = self.log.lock().expect("no thread has failed with it");
        let lines = std::iter::from_fn(|| log.recv_timeout(Duration::from_secs(60)).ok());
        assert!(
            lines.into_iter().any(|line| line.contains(text)),
            "the log never said: {text}"
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

/// The same command from a shell that ignores the signal.
fn deaf(command: &Command, signal: &str) -> Command {
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
