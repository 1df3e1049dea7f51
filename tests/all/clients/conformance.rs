//! The MCP conformance suite.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use user_auth_tests::{Options, Server, built};

use super::{client, node, shown};

/// Scenarios that pass against the published component.
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
    let mut command = Command::new(node());
    command
        .arg(client(
            "node_modules/@modelcontextprotocol/conformance/dist/index.js",
        ))
        .args(["server", "--url", &format!("{}/mcp", server.url)])
        .args(arguments);
    command.output().unwrap()
}

#[test]
fn scenarios_without_fixtures_pass_on_the_normal_build() {
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
fn all_scenarios_of_2026_07_28_pass_with_fixtures() {
    let output = suite(&with_fixtures(), &["--requirements", "2026-07-28"]);
    assert!(output.status.success(), "{}", shown(&output));
}

/// The suite's own `--expected-failures` also counts a warning as a failure, and the
/// suite warns about every server without sessions.
#[test]
fn all_scenarios_of_2025_11_25_but_the_listed_ones_pass_with_fixtures() {
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
fn the_normal_build_contains_no_fixtures() {
    let component = fs::read(built("user-auth.wasm")).unwrap();
    let fixture = b"test_simple_text";
    assert!(
        !component
            .windows(fixture.len())
            .any(|window| window == fixture)
    );
}
