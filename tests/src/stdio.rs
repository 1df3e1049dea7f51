//! `user-auth stdio`, started as an MCP client starts it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio as Pipe};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::START;
use crate::files::{TOOLSETS, command, folder};

/// A process that speaks MCP on its standard streams.
pub struct Stdio {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    _folder: TempDir,
}

impl Stdio {
    /// Starts the process on a SQLite store of its own, with all toolsets and these further
    /// arguments.
    pub fn start(arguments: &[&str]) -> Stdio {
        Stdio::spawn(arguments, "all")
    }

    /// Starts the same with the toolsets that a client gets if nothing is set.
    pub fn with_usual_toolsets(arguments: &[&str]) -> Stdio {
        Stdio::spawn(arguments, "")
    }

    fn spawn(arguments: &[&str], toolsets: &str) -> Stdio {
        let folder = folder();
        let mut command = command(folder.path());
        command.arg("stdio").args(arguments).env(TOOLSETS, toolsets);
        command
            .stdin(Pipe::piped())
            .stdout(Pipe::piped())
            .stderr(Pipe::inherit());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Stdio {
            input: child.stdin.take(),
            child,
            lines,
            _folder: folder,
        }
    }

    /// Writes a line.
    pub fn send(&mut self, line: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(line.as_ref()).expect("it reads");
        input.write_all(b"\n").expect("it reads");
        input.flush().expect("it reads");
    }

    /// Sends a request of the handshake era, without waiting.
    pub fn request(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        let id = id.into();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(message.to_string());
    }

    /// Reads the next line of its output.
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(START);
        line.expect("a line")
    }

    /// Reads the next message of its output.
    pub fn receive(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("stdout has a line that is not MCP: {line}"))
    }

    /// Calls the tool of an operation and waits for the result.
    pub fn call(&mut self, operation: &str, arguments: Value) -> Value {
        let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
        self.request(1, "tools/call", params);
        self.receive()
    }

    /// Returns the list of tools.
    pub fn tools(&mut self) -> Vec<Value> {
        self.request(1, "tools/list", json!({}));
        let mut answer = self.receive();
        match answer["result"]["tools"].take() {
            Value::Array(tools) => tools,
            _ => panic!("no list of tools: {answer}"),
        }
    }

    /// Closes the input, and returns the exit status and the remaining output.
    pub fn finish(mut self) -> (ExitStatus, Vec<Value>) {
        drop(self.input.take());
        let status = self.child.wait().expect("it ends");
        let rest = self.lines.iter().map(|line| {
            serde_json::from_str(&line)
                .unwrap_or_else(|_| panic!("stdout has a line that is not MCP: {line}"))
        });
        (status, rest.collect())
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
