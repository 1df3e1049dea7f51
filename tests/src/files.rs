//! Paths of built files, and temporary folders.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Returns the path of a file that `make` puts beside the programs: `user-auth`,
/// `user-auth.wasm` and so on.
pub fn built(name: &str) -> PathBuf {
    let mut folder = env::current_exe().expect("a test knows its own path");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing; run `make test`",
        path.display()
    );
    path
}

/// Returns a command for the program, in an environment that is empty but for `PATH` and a
/// home of its own.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(built("user-auth"));
    command.env_clear().env("HOME", home);
    // One shared cache suffices, so the component is compiled once for all tests.
    command.env(
        "XDG_CACHE_HOME",
        built("user-auth").with_file_name("test-cache"),
    );
    if let Some(path) = env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// The variable of the toolsets that MCP callers get. An empty one counts as absent.
pub(crate) const TOOLSETS: &str = "USER_AUTH_MCP_TOOLSETS";

/// Writes a file that only its owner may read, as secrets are stored.
pub fn write_private(path: &Path, content: &str) {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).expect("the file can be written");
    file.write_all(content.as_bytes())
        .expect("the file can be written");
}

/// Creates an empty folder that is deleted when the value is dropped.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
