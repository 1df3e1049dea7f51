//! The README says what is so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use user_auth_tests::{Server, built, command, folder};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).unwrap()
}

/// The blocks of code in this language.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let start = format!("```{language}\n");
    let blocks = readme.split(&start).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// The first cells of the table below a heading, without their back-ticks.
fn first_cells(heading: &str) -> Vec<String> {
    let readme = readme();
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---"));
    rows.skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            row.split('|')
                .nth(1)
                .unwrap()
                .trim()
                .trim_matches('`')
                .to_owned()
        })
        .collect()
}

#[test]
fn the_operations_are_those_of_the_component() {
    let server = Server::start();
    let tools = server.rpc("tools/list", json!({}));
    let tools = tools["result"]["tools"].as_array().unwrap();
    let name = |tool: &Value| {
        let name = tool["name"].as_str().unwrap();
        name.strip_prefix("user-auth_").unwrap().to_owned()
    };
    let names: Vec<String> = tools.iter().map(name).collect();
    assert_eq!(first_cells("Operations"), names);

    let readme = readme();
    for tool in tools {
        let name = name(tool);
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap();
        let input = tool["inputSchema"]["properties"].as_object();
        for field in input.into_iter().flatten().map(|(field, _)| field) {
            assert!(
                row.contains(&format!("`{field}`")),
                "{field} of {name}: {row}"
            );
        }
    }
}

#[test]
fn the_keys_of_the_configuration_are_all_there_with_their_variables() {
    let readme = readme();
    let keys = crate::config::all_keys();
    let names = keys.iter().map(|(path, _)| path.as_str());
    let mut names: Vec<&str> = names.filter(|path| !path.starts_with("limits.")).collect();
    let mut rows = first_cells("Configuration");
    names.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, names);
    for (path, key) in keys {
        let variable = key["x-env"].as_str().unwrap();
        let is_in_readme = readme.contains(&format!("| `{path}` | `{variable}` |"));
        assert!(
            is_in_readme || path.starts_with("limits."),
            "{path}: {variable}"
        );
    }
}

#[test]
fn the_example_of_a_configuration_is_a_good_one() {
    let home = folder();
    // With files of a certificate that there is.
    let (certificate, key) = crate::tls::certificate(home.path());
    for (language, extension) in [("json", "json"), ("toml", "toml")] {
        let example = blocks(language);
        let example = example
            .iter()
            .find(|text| text.contains("api_key"))
            .unwrap();
        let example = example
            .replace("/etc/user-auth/tls.crt", certificate.to_str().unwrap())
            .replace("/etc/user-auth/tls.key", key.to_str().unwrap());
        let file = home.path().join(format!("example.{extension}"));
        fs::write(&file, example).unwrap();
        let output = command(home.path())
            .args(["config", "check"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{language}: {said}");
    }
}

#[test]
fn the_rust_example_is_the_one_that_runs() {
    let example = fs::read_to_string(repository().join("host/examples/embed.rs")).unwrap();
    assert_eq!(blocks("rust"), [example]);
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
fn the_session_with_curl_is_what_curl_shows() {
    let server = Server::start();
    let mut access_token = String::new();
    let blocks = blocks("console");
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        let shell = block.strip_prefix("$ ").unwrap();
        let (shell, shown) = shell.trim_end().rsplit_once('\n').unwrap();
        let output = Command::new("sh")
            .args(["-c", &shell.replace("http://localhost:8000", &server.url)])
            .env("ACCESS_TOKEN", &access_token)
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let shown: Value = serde_json::from_str(shown).unwrap();
        assert_eq!(shape(&answer), shape(&shown), "{shell}");
        if let Some(token) = answer["result"]["structuredContent"]["access_token"].as_str() {
            access_token = token.to_owned();
        }
    }
    assert!(!access_token.is_empty());
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

/// What every file of Rust below a folder holds, one after the other.
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

#[test]
fn the_table_of_asvs_names_tests_and_operations_that_are_there() {
    let table = fs::read_to_string(repository().join("guest/docs/asvs.md")).unwrap();
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
