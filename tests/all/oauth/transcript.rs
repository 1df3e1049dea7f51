//! What a client of MCP and the server say to each other, byte for byte and in both
//! directions.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use user_auth_tests::{Server, folder};

/// Passes the lines of standard input and output on, and keeps them in the first two files.
const KEEP_LINES: &str =
    r#"to_server=$1 to_client=$2; shift 2; tee "$to_server" | "$@" | tee "$to_client""#;

/// A recording. Each direction of each connection is a file, so that whatever one side sends
/// stays in one piece.
pub struct Transcript {
    files: tempfile::TempDir,
}

impl Transcript {
    /// Begins a recording.
    pub fn new() -> Transcript {
        Transcript { files: folder() }
    }

    /// Returns the URL of an address that passes everything on to a server.
    pub fn of_http(&self, server: &Server) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = server.url.strip_prefix("http://").unwrap().to_owned();
        let files = self.files.path().to_owned();
        thread::spawn(move || {
            for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
                connect(client, &server, &files.join(number.to_string()));
            }
        });
        url
    }

    /// Returns the program with arguments that runs another one, with its own arguments, and
    /// keeps what passes its standard input and output.
    pub fn of_stdio(&self) -> Vec<OsString> {
        let file = |name: &str| self.files.path().join(name).into_os_string();
        let shell = ["sh", "-c", KEEP_LINES, "sh"].map(OsString::from);
        let files = [file("to-server"), file("to-client")];
        shell.into_iter().chain(files).collect()
    }

    /// Returns everything that has been said until now.
    pub fn text(&self) -> String {
        let files = fs::read_dir(self.files.path()).unwrap();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// Connects a client with a server, and keeps what they send in files with this name.
fn connect(client: TcpStream, server: &str, name: &Path) {
    let server = TcpStream::connect(server).unwrap();
    let file = |direction: &str| name.with_extension(direction);
    let from_server = server.try_clone().unwrap();
    let to_client = client.try_clone().unwrap();
    pass_on(client, server, file("to-server"));
    pass_on(from_server, to_client, file("to-client"));
}

/// Passes on what one side sends, and writes it down before the other side has it.
fn pass_on(mut from: TcpStream, mut to: TcpStream, file: PathBuf) {
    let mut file = File::create(file).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            file.write_all(&buffer[..length]).unwrap();
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // Both sides may be gone.
        let _ = to.shutdown(Shutdown::Write);
    });
}
