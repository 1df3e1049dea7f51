//! Programs that others wrote to check an authorization server and the MCP server behind it.

use std::process::Command;

use serde_json::{Value, json};

use super::FILES;
use super::real_clients::{Client, Guarded, free_port};
use crate::clients::{client, node, script};

/// What mcp-authlab does not call passed.
const AUTHLAB_EXPECTED: [(&str, &str); 4] = [
    // The test is on this machine, without TLS.
    ("TLS-01", "warn"),
    // The challenge names no scopes, since clients ask for all that they are told of.
    ("CHAL-03", "warn"),
    // There is no Mcp-Session-Id.
    ("SESS-01", "skip"),
    ("SESS-02", "skip"),
];

#[test]
fn mcp_authlab_finds_every_check_passed_but_those_that_are_explained() {
    let guarded = Guarded::start("");
    let files = json!({
        "resource": FILES,
        "resource_name": "Files",
        "scopes": [{"scope": "files:read", "description": "Read your files"}],
    });
    guarded.operate("define_resource", &files);
    let url = format!("{}/mcp", guarded.issuer);
    let authlab = |arguments: &[&str]| {
        let python = client(".venv/bin/python");
        let mut command = script(python, ".venv/bin/mcp-authlab", guarded.home.path());
        // A browser that does nothing.
        command.args(arguments).env("BROWSER", "true");
        command
    };

    // It signs the user in for each token, and again after a probe that cost the code.
    let options = ["--thorough", "--foreign-resource", FILES];
    let mut login = Client::start(authlab(&[&["login", &url], &options[..]].concat()));
    let authorize = format!("{}/authorize?", guarded.issuer);
    loop {
        let line = login.wait_for("");
        let line = line.trim();
        if line.starts_with(&authorize) {
            ureq::get(guarded.sign_in(line)).call().unwrap();
        }
        if line.starts_with("tokens saved") {
            break;
        }
    }
    login.finish();

    let mut scan = authlab(&["scan", &url, "--format", "json"]);
    let output = scan.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 33, "{report}");
    let other: Vec<(&str, &str, &str)> = results
        .iter()
        .map(|result| {
            let field = |name: &str| result[name].as_str().unwrap();
            (field("id"), field("status"), field("message"))
        })
        .filter(|(_, status, _)| *status != "pass")
        .collect();
    let found: Vec<_> = other.iter().map(|(id, status, _)| (*id, *status)).collect();
    assert_eq!(found, AUTHLAB_EXPECTED, "{other:#?}");
    assert_eq!(report["grade"], "A");
}

#[test]
fn the_conformance_suite_for_authorization_servers_passes() {
    for (path, names_resource) in [("", false), ("", true), ("/tenant", true)] {
        let guarded = Guarded::start(path);
        let port = free_port().to_string();
        let redirect_uri = format!("http://127.0.0.1:{port}/callback");
        let registered = json!({"client_name": "Suite", "redirect_uris": [redirect_uri]});
        let registered = guarded.operate("create_client", &registered);
        let mut command = Command::new(node());
        command
            .arg(client(
                "node_modules/@modelcontextprotocol/conformance/dist/index.js",
            ))
            .args(["authorization", "--url", &guarded.issuer, "--port", &port])
            .args(["--client-id", registered["client_id"].as_str().unwrap()]);
        if names_resource {
            command.args(["--resource", &format!("{}/mcp", guarded.issuer)]);
        }
        let mut suite = Client::start(command);
        let address = suite.wait_for("/authorize?");
        suite.wait_for("Callback server started");
        let answer = ureq::get(guarded.sign_in(&address)).call().unwrap();
        assert_eq!(answer.status(), 200);
        suite.wait_for("Total: 3 passed, 0 failed");
        suite.finish();
    }
}
