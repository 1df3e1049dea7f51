//! The examples in the documents are those that run.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use user_auth_tests::{Options, Server, built, command, folder};

use super::readme::run;
use super::{blocks, document, repository};

/// The configurations that documents show, each with its language.
fn configurations() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for path in [
        "host/docs/configuration.md",
        "host/docs/deployment.md",
        "host/docs/protect-a-service.md",
    ] {
        let text = document(path);
        for language in ["json", "toml"] {
            let blocks = blocks(&text, language);
            // The others are of MCP clients.
            let is_ours = |text: &String| text.contains("security") || text.contains("[tokens]");
            let blocks = blocks.into_iter().filter(is_ours);
            found.extend(blocks.map(|text| (language, text)));
        }
    }
    assert_eq!(found.len(), 4, "{found:?}");
    found
}

#[test]
fn the_examples_of_configurations_are_good_ones() {
    let home = folder();
    // With files of a certificate that there is.
    let (certificate, key) = crate::tls::certificate(home.path());
    let examples = configurations();
    for (number, (extension, example)) in examples.iter().enumerate() {
        let text = example
            .replace("/etc/user-auth/tls.crt", certificate.to_str().unwrap())
            .replace("/etc/user-auth/tls.key", key.to_str().unwrap());
        let file = home.path().join(format!("{number}.{extension}"));
        fs::write(&file, text).unwrap();
        let output = command(home.path())
            .args(["config", "check"])
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}\n{errors}");
    }
}

#[test]
fn a_client_gets_through_its_first_requests_at_the_rate_of_the_examples() {
    let config_map = document("host/deploy/kubernetes/configmap.yaml");
    let (_, config_map) = config_map.split_once("config.json: |\n").unwrap();
    let mut examples: Vec<String> = configurations().into_iter().map(|(_, text)| text).collect();
    examples.push(config_map.to_owned());
    let examples: Vec<Value> = examples
        .iter()
        .filter(|text| text.contains("burst_size"))
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let rate = &example["security"]["rate_limiting"];
        let set = |key: &str| format!("security.rate_limiting.{key}={}", rate[key]);
        let server = Options::new()
            .store("memory")
            .arg("--set")
            .arg(&set("requests_per_minute"))
            .arg("--set")
            .arg(&set("burst_size"))
            .start();
        for _ in 0..40 {
            let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
            assert_eq!(server.post(&[], ping).status, 200, "{rate}");
        }
    }
}

#[test]
fn the_example_in_rust_is_the_file_that_runs() {
    let example = fs::read_to_string(repository().join("host/examples/embed.rs")).unwrap();
    let text = document("host/docs/embedding.md");
    assert_eq!(blocks(&text, "rust"), [example]);
    let output = Command::new(built("examples/embed"))
        .arg(built("user-auth.wasm"))
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("alice is logged in until"));
}

#[test]
fn the_lines_that_protect_an_mcp_server_are_those_of_the_examples() {
    let text = document("host/docs/protect-an-mcp-server.md");
    for (language, file) in [
        ("python", "server.py"),
        ("js", "server.mjs"),
        ("rust", "server.rs"),
    ] {
        let example = document(&format!("host/examples/sign-in/{file}"));
        let blocks = blocks(&text, language);
        assert!(!blocks.is_empty(), "{language}");
        for block in blocks {
            assert!(example.contains(&block), "{block}");
        }
    }
}

#[test]
fn the_session_with_curl_is_what_curl_shows() {
    let server = Server::start();
    let home = folder();
    let text = document("guest/docs/operations.md");
    assert_eq!(run(&blocks(&text, "console"), home.path(), &server.url), 5);
}

#[test]
fn the_table_of_asvs_names_tests_and_operations_that_exist() {
    let table = document("guest/docs/asvs.md");
    let mut text = String::new();
    for folder in ["guest/src", "host/src", "tests/all"] {
        source(&repository().join(folder), &mut text);
    }
    let names = table.split('`').skip(1).step_by(2);
    let names: Vec<&str> = names
        .filter(|name| name.contains('_') && *name == name.to_lowercase())
        .collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let is_test = text.contains(&format!("fn {name}("));
        let is_operation = text.contains(&format!("const NAME: &'static str = \"{name}\";"));
        assert!(is_test || is_operation, "{name}");
    }
}

/// Appends every file of Rust below a folder.
fn source(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
