//! A terminal with this many columns and a program in it: `script` of util-linux, which
//! every Linux has, provides the terminal and starts the program.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::iter;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A program at a terminal. It ends when this is dropped.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// The whole output so far.
    shown: Vec<u8>,
    /// The length of the output that was already expected.
    seen: usize,
    device: String,
}

impl Terminal {
    /// Starts a command at a terminal.
    pub fn start(command: &Command, columns: u16) -> Terminal {
        let words = iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<String> = words.map(quoted).collect();
        let line = line.join(" ");
        let shell = format!("tty; stty cols {columns} rows 50; exec {line}");
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--flush", "--command", &shell])
            .arg("/dev/null")
            .env_clear()
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                script.env(name, value);
            }
        }
        let mut child = script.spawn().expect("util-linux is installed");
        let keyboard = child.stdin.take().expect("it is piped");
        let mut output = child.stdout.take().expect("it is piped");
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                // The test may be over.
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Terminal {
            child,
            keyboard,
            screen,
            shown: Vec::new(),
            seen: 0,
            device: String::new(),
        };
        let device = terminal.expect("\n");
        terminal.device = device.trim().to_owned();
        terminal
    }

    /// Waits until this is shown, and returns the output since the last call, up to the
    /// end of it. Any later output is left for the next call.
    pub fn expect(&mut self, text: &str) -> String {
        loop {
            let new = &self.shown[self.seen..];
            if let Some(found) = new
                .windows(text.len())
                .position(|bytes| bytes == text.as_bytes())
            {
                let end = found + text.len();
                let new = String::from_utf8_lossy(&new[..end]).into_owned();
                self.seen += end;
                return new;
            }
            match self.screen.recv_timeout(Duration::from_secs(60)) {
                Ok(more) => self.shown.extend(more),
                Err(error) => {
                    let new = String::from_utf8_lossy(new);
                    panic!("{text:?} is not shown ({error}): {new}");
                }
            }
        }
    }

    /// Types a text.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard
            .write_all(text.as_bytes())
            .and_then(|()| self.keyboard.flush())
            .expect("the terminal is there");
    }

    /// Types a secret, once the program has turned the echo off.
    pub fn type_secret(&mut self, text: &str) {
        // Programs print the prompt before they turn the echo off, and nothing announces
        // that.
        for _ in 0..2000 {
            let state = Command::new("stty")
                .args(["-a", "-F", &self.device])
                .output();
            let state = state.expect("coreutils are installed").stdout;
            if String::from_utf8_lossy(&state).contains(" -echo ") {
                return self.type_in(text);
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the terminal would show the secret");
    }

    /// Waits for the end, and returns the exit code and the whole output.
    pub fn end(mut self) -> (Option<i32>, String) {
        while let Ok(more) = self.screen.recv_timeout(Duration::from_secs(60)) {
            self.shown.extend(more);
        }
        let status = self.child.wait().expect("it was started");
        let shown = String::from_utf8_lossy(&self.shown);
        let (_, shown) = shown.split_once('\n').expect("the device comes first");
        (status.code(), shown.replace('\r', ""))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The process may have ended; its program ends with its terminal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Quotes a word for a shell.
fn quoted(word: &OsStr) -> String {
    let word = word.to_str().expect("arguments of tests are text");
    format!("'{}'", word.replace('\'', r"'\''"))
}
