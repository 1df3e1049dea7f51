//! Everything that a component can find in its environment.

use serde_json::{Value, json};
use user_auth_host::settings::SETTINGS;
use user_auth_tests::Stdio;

use super::{built, deed, options};

const CANARY: &str = "canary-5d41402abc4b2a76";
const MASTER_KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

fn variables(report: &Value) -> Vec<(&str, &str)> {
    let variables = report["variables"].as_array().unwrap().iter();
    variables
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect()
}

/// Asserts that it finds no arguments, no input, no keys of the host, and nothing that only
/// files or network could provide.
fn assert_nothing_else(report: &Value) {
    for place in ["arguments", "host_keys", "outside"] {
        assert_eq!(report[place], json!([]), "{place}");
    }
    assert_eq!(report["input"], "");
    let folder = report["folder"].as_str().unwrap();
    assert!(folder.is_empty() || folder == "/", "{folder}");
}

#[test]
fn a_component_sees_only_its_settings_of_the_host() {
    let server = options(&built("user-auth-hostile.wasm"))
        .env("DATABASE_PASSWORD", CANARY)
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
        .env("USER_AUTH_ISSUER", "https://issuer.example")
        .start();
    let (status, report) = deed(&server, "probe");
    assert_eq!(status, 200);
    let shown = report.to_string();
    for secret in [CANARY, MASTER_KEY] {
        assert!(!shown.contains(secret), "{report}");
    }
    let variables = variables(&report);
    assert!(variables.contains(&("USER_AUTH_ISSUER", "https://issuer.example")));
    for (name, _) in variables {
        let is_setting = SETTINGS.iter().any(|setting| setting.name == name);
        assert!(is_setting || name == "USER_AUTH_REQUIRE_API_KEY", "{name}");
    }
    assert_nothing_else(&report);
}

/// Standard input carries the next message, and belongs to the host.
#[test]
fn a_component_cannot_read_standard_input() {
    let component = built("user-auth-hostile.wasm");
    let arguments = ["--store", "memory", "--component"];
    let mut client = Stdio::start(&[&arguments[..], &[component.to_str().unwrap()]].concat());
    client.send("\"probe\"\n\"nothing\"");
    let mut answers = [client.receive(), client.receive()];
    answers.sort_by_key(|answer| answer["did"] == "nothing");
    assert_nothing_else(&answers[0]);
    assert_eq!(answers[1]["did"], "nothing");
}
