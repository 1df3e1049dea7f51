//! All pages in a real browser, with scripts switched off.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use user_auth_tests::{Options, folder};

use super::appearance::PNG;
use super::real_clients::free_port;
use super::{FILES, operate_with};
use crate::clients::{finish, node, script};

/// Returns the Chromium of the machine.
pub fn chromium() -> String {
    let found = Command::new("sh")
        .args(["-c", "command -v chromium"])
        .output()
        .unwrap();
    assert!(
        found.status.success(),
        "Chromium is missing; run `make test`"
    );
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}

#[test]
fn every_page_works_in_chromium_without_scripts_for_everybody() {
    let home = folder();
    let port = free_port();
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let environment = [
        ("USER_AUTH_PUBLIC_URL", url.as_str()),
        ("USER_AUTH_OAUTH_ENABLED", "true"),
        ("USER_AUTH_OAUTH_SERVICE_NAME", "Acme"),
    ];
    let hook = format!("http://127.0.0.1:{port}/hook");
    let logo = home.path().join("logo.png");
    fs::write(&logo, PNG).unwrap();
    let options = Options::new().home(home.path()).listen(&address);
    let options = environment
        .iter()
        .fold(options, |options, (name, value)| options.env(name, value))
        .env("USER_AUTH_SECURITY_RATE_LIMITING_BURST_SIZE", "1000")
        .env("USER_AUTH_OAUTH_APPROVALS", "revoke_session")
        .env("USER_AUTH_OAUTH_LOGO", logo.to_str().unwrap())
        .env("USER_AUTH_OAUTH_ACCENT_COLOR", "#7a0019")
        .arg("--delivery")
        .arg(&hook);
    let server = options.start();
    let operate = |operation: &str, input: &Value| {
        let answer = operate_with(&environment, &home, operation, input);
        answer["client_id"].as_str().unwrap_or_default().to_owned()
    };
    let resource = json!({
        "resource": FILES,
        "resource_name": "Files",
        "scopes": [
            {"scope": "files:read", "description": "Read your files"},
            {"scope": "files:write", "description": "Change and delete your files"},
        ],
    });
    operate("define_resource", &resource);
    let client = |name: &str, uri: &str| {
        let client = json!({"client_name": name, "redirect_uris": [uri]});
        operate("create_client", &client)
    };
    let clients = json!({
        "website": client("Desk", "https://desk.example.com/cb"),
        "machine": client("Pen", "http://127.0.0.1/cb"),
        "scheme": client("Pad", "com.example.pad:/cb"),
    });
    let mut command = script(node(), "pages.mjs", home.path());
    command
        .env("TMPDIR", home.path())
        .args([&chromium(), &server.url, &port.to_string()])
        .arg(clients.to_string());
    finish(command);
}
