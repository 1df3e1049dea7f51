//! Tries each way out of the sandbox and reports what is reachable.

use std::env;
use std::io::Read as _;

use crate::user_auth::plugin::keys;

/// Labels of keys that belong to the host.
const HOST_KEYS: [&str; 3] = ["host/root-key", "host/backup", "host/"];

/// Returns the findings as JSON.
pub fn report() -> String {
    let variables: Vec<(String, String)> = env::vars().collect();
    let arguments: Vec<String> = env::args().collect();
    let variables = list(
        variables
            .iter()
            .map(|(name, value)| format!("[{name:?},{value:?}]")),
    );
    let arguments = list(arguments.iter().map(|argument| format!("{argument:?}")));
    let folder = env::current_dir().map(|folder| folder.display().to_string());
    let mut input = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut input);
    let keys = HOST_KEYS
        .iter()
        .filter(|label| keys::mac(label, &[]).is_ok());
    let keys = list(keys.map(|label| format!("{label:?}")));
    let outside = list(outside().iter().map(|found| format!("{found:?}")));
    format!(
        "{{\"variables\":{variables},\"arguments\":{arguments},\"folder\":{:?},\
         \"input\":{:?},\"host_keys\":{keys},\"outside\":{outside}}}",
        folder.unwrap_or_default(),
        String::from_utf8_lossy(&input),
    )
}

/// Tries files and network. Components that import these are not even loaded.
#[cfg(feature = "ways-out")]
fn outside() -> Vec<String> {
    let read = [
        "/etc/passwd",
        "/proc/self/environ",
        "master.key",
        "user-auth.db",
    ]
    .into_iter()
    .filter_map(|path| Some(format!("{path}: {:?}", std::fs::read(path).ok()?)));
    let listed = std::fs::read_dir(".")
        .is_ok()
        .then(|| "a folder".to_owned());
    let connected = std::net::TcpStream::connect(("127.0.0.1", 22)).is_ok();
    read.chain(listed)
        .chain(connected.then(|| "the network".to_owned()))
        .collect()
}

#[cfg(not(feature = "ways-out"))]
fn outside() -> Vec<String> {
    Vec::new()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}
