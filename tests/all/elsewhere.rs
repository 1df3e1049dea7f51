//! The component in third-party hosts and behind a third-party proxy: the examples, run as
//! a newcomer would run them.

mod browser;
mod edge;
mod javascript;
mod nginx;
mod python;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The output of each host that has a store of its own.
const TOUR: &str = "\
registered alice
logged in, with a Bearer token
the token is alice's, from https://auth.example.com
may read invoices: no
may as a clerk: yes
a wrong password: -32001 Invalid user name or password
valid after the logout: no
";

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the folder of an example, and fails if `make` has not installed its
/// dependencies.
fn example(language: &str, installed: &str) -> PathBuf {
    let folder = repository().join("guest/examples").join(language);
    let path = folder.join(installed);
    assert!(
        path.exists(),
        "{} is missing; run `make test`",
        path.display()
    );
    folder
}

fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout
}

/// Runs `npm run build`, once for all tests that need its output.
fn build_javascript() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let folder = example("javascript", "node_modules/.installed");
    BUILT.get_or_init(|| {
        let mut build = Command::new("npm");
        build.current_dir(&folder).args(["run", "build"]);
        succeed(&mut build);
    });
    folder
}

const MASTER_KEY: [u8; 32] = [7; 32];
const LABEL: &str = "a label";

/// A password hash with a pepper and a message authentication code, in hexadecimal, which
/// every host has to compute: 32 bytes of 1 and 16 of 2 as password and salt, 64 KiB, 3
/// passes, 4 lanes, 32 bytes; 8 bytes of 4 as the message.
fn hash_and_code() -> String {
    let hmac = |key: &[u8], message: &[u8]| {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.chain_update(message).finalize().into_bytes()
    };
    let key = hmac(&MASTER_KEY, LABEL.as_bytes());
    let params = Params::new(64, 3, 4, Some(32)).unwrap();
    let argon2 =
        Argon2::new_with_secret(&key, Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut hash = [0; 32];
    argon2
        .hash_password_into(&[1; 32], &[2; 16], &mut hash)
        .unwrap();
    let code = hmac(&key, &[4; 8]);
    format!("{} {}\n", HEXLOWER.encode(&hash), HEXLOWER.encode(&code))
}

/// A program that runs until this is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts the program, waits for the line that contains `sign`, and returns that line.
    pub(crate) fn start(command: &mut Command, sign: &str) -> (Running, String) {
        command.stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        let (sender, lines) = channel();
        for output in outputs {
            let sender = sender.clone();
            // Keeps reading so that the program is never blocked by a full pipe.
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        drop(sender);
        let running = Running(child);
        let mut seen = Vec::new();
        while let Ok(line) = lines.recv_timeout(Duration::from_secs(60)) {
            if line.contains(sign) {
                return (running, line);
            }
            seen.push(line);
        }
        panic!("{command:?} never printed '{sign}':\n{}", seen.join("\n"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A signal instead of a kill: programs with children then end those too.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.0.wait();
    }
}

/// Returns the number that follows `word` in a line.
fn number_after(line: &str, word: &str) -> u16 {
    let (_, rest) = line.split_once(word).unwrap_or_else(|| panic!("{line}"));
    let mut digits = rest.trim_start().split(|c: char| !c.is_ascii_digit());
    digits.next().unwrap().parse().unwrap()
}
