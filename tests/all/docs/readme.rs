//! The README: short, and every command in it does what it shows.

use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use user_auth_tests::{Options, built, command, folder};

use super::{blocks, document};

#[test]
fn the_readme_takes_minutes_to_read() {
    let text = document("README.md");
    let lines = text.lines().count();
    let words = text.split_whitespace().count();
    assert!(lines <= 150, "{lines} lines");
    assert!(words <= 1_100, "{words} words");
}

#[test]
fn the_first_session_is_what_a_shell_shows() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let text = document("README.md");
    assert_eq!(run(&blocks(&text, "console"), home.path(), &server.url), 4);
}

#[test]
fn the_configurations_of_mcp_clients_start_a_server_that_answers() {
    let mut starts = 0;
    for server in servers("README.md") {
        let program = server["command"].as_str().unwrap();
        assert!(program.ends_with("/target/release/user-auth"), "{program}");
        let arguments = server["args"].as_array().unwrap();
        let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
        let home = folder();
        let mut client = command(home.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params,
        });
        let mut input = client.stdin.take().unwrap();
        writeln!(input, "{message}").unwrap();
        drop(input);
        let output = client.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["result"]["serverInfo"]["name"], "user-auth");
        starts += 1;
    }
    assert_eq!(starts, 2, "VS Code, and Cursor with Claude Desktop");
}

#[test]
fn the_configurations_of_mcp_clients_with_a_key_send_it_to_the_endpoint() {
    let servers = servers("host/docs/deployment.md");
    assert_eq!(servers.len(), 2, "VS Code, and Cursor");
    for server in servers {
        assert!(
            server["url"].as_str().unwrap().ends_with("/mcp"),
            "{server}"
        );
        assert!(server["headers"]["X-API-Key"].is_string(), "{server}");
    }
}

/// The servers in the configurations of MCP clients that a document shows.
fn servers(path: &str) -> Vec<Value> {
    let blocks = blocks(&document(path), "json");
    let blocks = blocks
        .iter()
        .map(|block| serde_json::from_str(block).unwrap());
    let servers = blocks.filter_map(|configuration: Value| {
        let servers = ["servers", "mcpServers"].map(|key| &configuration[key]["user-auth"]);
        servers
            .into_iter()
            .find(|server| server.is_object())
            .cloned()
    });
    servers.collect()
}

/// Runs the commands of these blocks in one shell and compares what they print with what
/// the blocks show. Returns how many outputs there were.
pub fn run(blocks: &[String], home: &Path, url: &str) -> usize {
    const END: &str = "--- end of a step ---";
    let text = format!("\n{}", blocks.concat());
    let steps: Vec<&str> = text.split("\n$ ").skip(1).collect();
    // The last line is the output. A command of one line without one sets a variable.
    let steps: Vec<(&str, Option<&str>)> = steps
        .iter()
        .map(|step| match step.trim_end().rsplit_once('\n') {
            Some((command, shown)) => (command, Some(shown)),
            None => (step.trim_end(), None),
        })
        .collect();
    let script: Vec<String> = steps
        .iter()
        .map(|(command, _)| format!("{command}\necho; echo '{END}'\n"))
        .collect();
    let script = script.concat().replace("http://localhost:8000", url);

    let programs = built("user-auth");
    let programs = programs.parent().unwrap();
    let path = env::var("PATH").unwrap();
    let environment = command(home);
    let environment = environment.get_envs();
    let output = Command::new("sh")
        .args(["-euc", &script])
        .env_clear()
        .envs(environment.filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");

    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<&str> = printed.split(END).map(str::trim).collect();
    assert_eq!(printed.len(), steps.len() + 1, "{printed:?}");
    let mut compared = 0;
    for ((command, shown), printed) in steps.into_iter().zip(printed) {
        let Some(shown) = shown else {
            continue;
        };
        compared += 1;
        match serde_json::from_str::<Value>(shown) {
            Ok(shown) => {
                let printed: Value = serde_json::from_str(printed).expect(printed);
                assert_eq!(shape(&printed), shape(&shown), "{command}");
            }
            Err(_) => {
                let (start, _) = shown.split_once('…').unwrap_or((shown, ""));
                assert!(printed.starts_with(start), "{command}: {printed}");
            }
        }
    }
    compared
}

/// A JSON value with what differs from one time to the next left out.
fn shape(value: &Value) -> Value {
    const DIFFERS: [&str; 15] = [
        "text",
        "created_at",
        "user_id",
        "session_id",
        "access_token",
        "refresh_token",
        "exp",
        "auth_time",
        "iat",
        "jti",
        "sid",
        "sub",
        "timestamp",
        "uptime_seconds",
        "version",
    ];
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match DIFFERS.contains(&name.as_str()) {
                true => (name.clone(), Value::from(value.is_string())),
                false => (name.clone(), shape(value)),
            })
            .collect(),
        Value::Array(values) => values.iter().map(shape).collect(),
        other => other.clone(),
    }
}
