//! The configuration: how it is shown, how it is checked, and its effect.

mod servers;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};
use user_auth_host::api::{Caller, Principal};
use user_auth_host::settings::SETTINGS;
use user_auth_host::store::MemoryStore;
use user_auth_host::{Plugin, StoreKeys};
use user_auth_tests::{built, command, folder, write_private};

/// The security settings of the integration guide.
const GUIDE: &str = r#"{
  "security": {
    "authentication": {"type": "api_key", "header": "X-API-Key"},
    "rate_limiting": {"requests_per_minute": 100, "burst_size": 10},
    "cors": {"enabled": true, "allowed_origins": ["https://yourdomain.com"]}}}"#;

/// A program that runs in a folder of its own.
struct Program {
    home: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

fn program() -> Program {
    Program {
        home: folder(),
        environment: Vec::new(),
    }
}

impl Program {
    fn env(mut self, name: &'static str, value: &str) -> Program {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command(self.home.path());
        command
            .args(arguments)
            .envs(self.environment.iter().cloned());
        command.current_dir(self.home.path()).output().unwrap()
    }

    /// Runs `config show` to its end.
    fn show(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["config", "show"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs `config check` on a file with this name and text, to its end.
    fn check(&self, name: &str, text: &str) -> (Option<i32>, String) {
        let path = self.file(name, text);
        let output = self.run(&["config", "check", &path]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        (output.status.code(), text)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn schema() -> Value {
    let output = program().run(&["config", "schema"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns all keys of a schema with their entries.
fn keys(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for (name, property) in schema["properties"].as_object().unwrap() {
        let path = match path {
            "" => name.clone(),
            _ => format!("{path}.{name}"),
        };
        let variants = property["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
        let mut sections = std::iter::once(property).chain(variants);
        match sections.find(|one| one["properties"].is_object()) {
            Some(section) => keys(section, &path, found),
            None => found.push((path, property.clone())),
        }
    }
}

pub(crate) fn all_keys() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    keys(&schema(), "", &mut found);
    found
}

#[test]
fn every_key_is_shown_with_the_source_of_its_value() {
    let program = program()
        .env("USER_AUTH_SECURITY_RATE_LIMITING_BURST_SIZE", "20")
        .env("USER_AUTH_ISSUER", "https://auth.example.com");
    let file = program.file("c.json", GUIDE);
    let shown = program.show(&[
        "--config", &file, "--store", "memory", "--listen", "[::1]:1",
    ]);
    let sources = shown["$sources"].as_object().unwrap();
    for (path, value, source) in [
        (
            "security.authentication.type",
            json!("api_key"),
            json!({"layer": "file", "file": file, "line": 3}),
        ),
        (
            "security.rate_limiting.requests_per_minute",
            json!(100),
            json!({"layer": "file", "file": file, "line": 4}),
        ),
        (
            "security.rate_limiting.burst_size",
            json!(20),
            json!({
                "layer": "environment",
                "variable": "USER_AUTH_SECURITY_RATE_LIMITING_BURST_SIZE",
            }),
        ),
        (
            "tokens.issuer",
            json!("https://auth.example.com"),
            json!({"layer": "environment", "variable": "USER_AUTH_ISSUER"}),
        ),
        (
            "store.url",
            json!("memory"),
            json!({"layer": "option", "option": "--store"}),
        ),
        (
            "server.listen",
            json!("[::1]:1"),
            json!({"layer": "option", "option": "--listen"}),
        ),
        (
            "tokens.audience",
            json!("user-auth"),
            json!({"layer": "default"}),
        ),
    ] {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert_eq!(shown.pointer(&pointer), Some(&value), "{path}");
        assert_eq!(sources[path], source, "{path}");
    }
    for (path, _) in all_keys() {
        assert!(sources.contains_key(&path), "{path} has no source");
    }
}

#[test]
fn the_shown_configuration_is_a_valid_file() {
    let program = program();
    let file = program.file("c.json", GUIDE);
    let shown = program.show(&["--config", &file]);
    let (code, text) = program.check("again.json", &shown.to_string());
    assert_eq!(code, Some(0), "{text}");
    let again = program.home.path().join("again.json");
    let mut again = program.show(&["--config", again.to_str().unwrap()]);
    let mut once = shown;
    for shown in [&mut once, &mut again] {
        shown.as_object_mut().unwrap().remove("$sources");
    }
    assert_eq!(once, again);
}

#[test]
fn secrets_are_masked() {
    let program = program()
        .env("USER_AUTH_MASTER_KEY", "hunter2hunter2")
        .env("USER_AUTH_WEBHOOK_SECRET", "hunter2")
        .env("USER_AUTH_DELIVERY", "https://hooks.example.com/T0/hunter2")
        .env(
            "USER_AUTH_LOGGING_OTLP_ENDPOINT",
            "http://me:hunter2@127.0.0.1:4318",
        );
    let shown = program.show(&["--json"]);
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    assert_eq!(shown["delivery"]["method"], "https://hooks.example.com/***");
    assert_eq!(
        shown["logging"]["otlp_endpoint"],
        "http://me:***@127.0.0.1:4318/"
    );
    let secret = json!({"layer": "environment", "secret": true});
    assert_eq!(shown["$sources"]["USER_AUTH_MASTER_KEY"], secret);
    assert_eq!(shown["$sources"]["USER_AUTH_WEBHOOK_SECRET"], secret);
}

/// The parts of a URL end at the first of these characters, so what follows one in a
/// password would be shown as a host or a path.
#[test]
fn a_bare_character_in_a_password_does_not_show_the_rest_of_it() {
    for (variable, url) in [
        ("USER_AUTH_STORE", "postgres://me:a@hunter2@db/x"),
        ("USER_AUTH_STORE", "postgres://me:a@b/hunter2@db/x"),
        ("USER_AUTH_STORE", "postgres://me:a/hunter2@db/x"),
        ("USER_AUTH_STORE", "postgres://me:a?hunter2@db/x"),
        ("USER_AUTH_STORE", "postgres://me:a#hunter2@db/x"),
        ("USER_AUTH_DELIVERY", "smtp://me:a@hunter2@mail.example.com"),
        ("USER_AUTH_DELIVERY", "smtp://me:1/hunter2@mail.example.com"),
        ("USER_AUTH_DELIVERY", "smtp://me:a?hunter2@mail.example.com"),
    ] {
        let output = program().env(variable, url).run(&["config", "show"]);
        let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("hunter2"), "{url}: {said}");
    }
}

#[test]
fn a_valid_file_passes_the_check() {
    let toml = "[security]\nauthentication.type = 'api_key'\n[limits]\nbody_bytes = 4096\n";
    for (name, text) in [("c.json", GUIDE), ("c.toml", toml), ("c.json", "{}")] {
        let (code, said) = program().check(name, text);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("{name} is valid")), "{said}");
    }
}

#[test]
fn mistakes_in_a_file_are_located_and_exit_with_2() {
    for (name, text, parts) in [
        (
            "c.json",
            "{\"security\": {\n  \"rate_limiting\": {\n    \"burst_sise\": 3}}}",
            &[
                "c.json:3:5: security.rate_limiting.burst_sise",
                "`burst_size`",
            ][..],
        ),
        (
            "c.toml",
            "[passwords]\nmin_length = 7\nmin_lenght = 8",
            &[
                "c.toml:2:1: passwords.min_length is 7; expected a whole number from 8 to 128",
                "c.toml:3:1: passwords.min_lenght is not a known key; did you mean `min_length`?",
            ],
        ),
        ("c.json", "{\"a\": ", &["c.json:1:", "EOF"]),
    ] {
        let (code, said) = program().check(name, text);
        assert_eq!(code, Some(2), "{said}");
        for part in parts {
            assert!(said.contains(part), "{said}");
        }
    }
    // A start exits with 3 for a mistake, whether in the environment or in a file.
    let program = program().env("USER_AUTH_LIMITS_CONNECTIONS", "many");
    let output = program.run(&["serve"]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(
        said.contains("USER_AUTH_LIMITS_CONNECTIONS is 'many'; expected a whole number"),
        "{said}"
    );
    let file = program.file("c.toml", "[audti]\n");
    let output = self::program().run(&["serve", "--config", &file]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("c.toml:1:2: audti is not a known key; did you mean `audit`?")
    );
    let output = self::program().run(&["serve", "--set", "limits.connections=none"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let output = self::program().run(&["config", "check", "absent.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("absent.json"));
}

#[test]
fn the_check_finds_what_would_stop_a_start_and_exits_with_3() {
    for (text, part) in [
        // Only the component knows that these values do not fit together.
        (
            "[passwords]\nargon2_iterations = 1\nargon2_memory_kib = 19456",
            "c.toml:3:1: passwords.argon2_memory_kib is '19456'; expected at least 47104 with \
             passwords.argon2_iterations 1",
        ),
        (
            "[tokens]\nother_audiences = ['user-auth']",
            "c.toml:2:1: tokens.other_audiences is 'user-auth'; expected names that differ",
        ),
        (
            "[security]\nauthentication.type = 'oauth'",
            "c.toml:2:16: security.authentication.type is 'oauth'; expected another value, or \
             oauth.enabled to be true",
        ),
        (
            "[server]\nlisten = '0.0.0.0:8000'",
            "could call without credentials",
        ),
        (
            "[limits]\nhash_memory_kib = 1000",
            "limits.hash_memory_kib is 1000, and a hash needs 19456",
        ),
        (
            "[limits]\nhash_output_bytes = 31",
            "limits.hash_output_bytes is 31, and a hash needs 32",
        ),
        (
            "[server]\npublic_url = 'http://localhost:8000/a/../b'",
            "without a slash at the end, the segments . and ..,",
        ),
        (
            "[server.tls]\ncertificate = 'absent.pem'\nkey = 'absent.key'",
            "absent.pem",
        ),
        ("[server]\nallowed_hosts = ['https://x/y']", "is not a host"),
        ("[component]\nfile = 'absent.wasm'", "absent.wasm"),
        (
            "[store]\nurl = 'sqlite:/no/such/folder/users.db'",
            "/no/such/folder",
        ),
        (
            "[master_key]\nfile = '/no/such/folder/key'",
            "/no/such/folder",
        ),
        (
            "[delivery]\nmethod = 'smtp://me@127.0.0.1'\nmail_from = 'a@example.com'",
            "needs a password",
        ),
    ] {
        let program = program();
        let (code, said) = program.check("c.toml", text);
        assert_eq!(code, Some(3), "{text}: {said}");
        assert!(said.contains(part), "{text}: {said}");
        let left: Vec<_> = fs::read_dir(program.home.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "something was started: {left:?}");
    }
}

#[test]
fn the_check_finds_all_mistakes_of_the_component_and_of_the_program_at_once() {
    let text = "[tokens]\naudience = 'a'\nother_audiences = ['a']\n\
        [passwords]\nargon2_memory_kib = 8000\nargon2_iterations = 1\n\
        [server]\nlisten = '0.0.0.0:8000'\n\
        [store]\nurl = 'sqlite:/no/store/users.db'\n\
        [audit]\nfile = '/no/log/audit'\n\
        [master_key]\nfile = 'the.key'\n";
    let program = program();
    write_private(&program.home.path().join("the.key"), "not a key");
    let (code, said) = program.check("c.toml", text);
    assert_eq!(code, Some(3), "{said}");
    for part in [
        "c.toml:3:1: tokens.other_audiences is 'a'; expected names",
        "c.toml:5:1: passwords.argon2_memory_kib is '8000'; expected at least",
        "could call without credentials",
        "/no/store",
        "/no/log",
        "neither hexadecimal digits",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_is_shown_of_a_file_is_a_file_of_the_same_meaning() {
    for text in [
        "",
        "[server]\npublic_url = 'https://auth.example.com'\n[oauth]\nenabled = true\n",
        "[tokens]\nissuer = 'me'\n[security.rate_limiting]\n",
    ] {
        let program = program();
        let file = program.file("c.toml", text);
        let mut shown = program.show(&["--json", "--config", &file]);
        let copy = program.file("copy.json", &shown.to_string());
        let checked = program.run(&["config", "check", &copy]);
        assert!(checked.status.success(), "{}", stderr(&checked));
        let mut again = program.show(&["--json", "--config", &copy]);
        // Where the values come from differs.
        for shown in [&mut shown, &mut again] {
            shown.as_object_mut().unwrap().remove("$sources");
        }
        assert_eq!(shown, again, "{text}");
    }
}

#[test]
fn a_wrong_entry_of_a_list_is_named() {
    for (text, entry) in [
        ("[mcp]\ntoolsets = ['auth', 'user']", "'user'"),
        (
            "[server]\npublic_url = 'http://localhost:8000'\n[oauth]\nenabled = true\n\
             approvals = ['delete_user', 'delete_usr']",
            "'delete_usr'",
        ),
    ] {
        let (code, said) = program().check("c.toml", text);
        assert_eq!(code, Some(3), "{said}");
        assert!(
            said.contains(&format!("; {entry} is none of them")),
            "{said}"
        );
    }
}

#[test]
fn a_server_that_cannot_start_names_the_place_of_the_setting() {
    let program = program();
    let text = "[tokens]\naudience = 'a'\nother_audiences = ['a']";
    let file = program.file("c.toml", text);
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["stdio"]] {
        let output = program.run(&[arguments, &["--store", "memory", "--config", &file]].concat());
        assert_eq!(output.status.code(), Some(3));
        let said = stderr(&output);
        assert!(
            said.contains("c.toml:3:1: tokens.other_audiences is 'a'"),
            "{said}"
        );
    }
}

/// Validates with the JSON Schema validator that the official Python client depends on.
fn validates(schema: &Value, instance: &str) -> bool {
    let script = "import json, sys, jsonschema\n\
                  schema, instance = json.loads(sys.argv[1]), json.loads(sys.argv[2])\n\
                  jsonschema.Draft202012Validator.check_schema(schema)\n\
                  sys.exit(0 if jsonschema.Draft202012Validator(schema).is_valid(instance) else 9)";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/.venv/bin/python");
    let status = Command::new(python)
        .args(["-c", script, &schema.to_string(), instance])
        .status()
        .unwrap();
    assert!(matches!(status.code(), Some(0 | 9)), "{status}");
    status.success()
}

#[test]
fn the_schema_and_the_program_accept_the_same_files() {
    let schema = schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let shown = program().show(&[]).to_string();
    for (text, is_good) in [
        (GUIDE, true),
        (shown.as_str(), true),
        (r#"{"$schema": "user-auth.schema.json"}"#, true),
        (
            r#"{"security": {"rate_limiting": {"burst_sise": 1}}}"#,
            false,
        ),
        (
            r#"{"security": {"authentication": {"type": "magic"}}}"#,
            false,
        ),
        (r#"{"passwords": {"min_length": 7}}"#, false),
        (r#"{"limits": {"header_read": 7}}"#, false),
    ] {
        assert_eq!(validates(&schema, text), is_good, "{text}");
        let (code, said) = program().check("c.json", text);
        assert_eq!(code == Some(0), is_good, "{text}: {said}");
    }
}

#[test]
fn every_schema_key_has_a_description_a_variable_and_usually_a_default() {
    let keys = all_keys();
    assert!(keys.len() > 80, "{}", keys.len());
    for (path, key) in keys {
        let description = key["description"].as_str();
        assert!(description.is_some_and(|text| text.len() >= 8), "{path}");
        assert!(key["x-env"].is_string(), "{path}");
        // Keys that are required within their section have no default.
        let is_required = [
            "server.tls.certificate",
            "server.tls.key",
            "discovery.consul.url",
        ];
        if !is_required.contains(&path.as_str()) {
            assert!(key.get("default").is_some(), "{path}");
        }
    }
}

/// Asks the component for its capabilities under this setting.
async fn capabilities(name: &str, value: &str) -> Result<Value, i32> {
    let plugin = Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().unwrap())
        .setting(name, value)
        .build()
        .unwrap();
    let caller = Caller {
        principal: Principal::Anonymous,
        source: None,
    };
    let answer = plugin
        .invoke(caller, "get_capabilities", "{}")
        .await
        .unwrap();
    answer
        .map(|text| serde_json::from_str(&text).unwrap())
        .map_err(|error| {
            assert!(
                !error.details.contains(name),
                "only the operator sees which"
            );
            error.code
        })
}

#[tokio::test]
async fn the_schema_has_the_bounds_of_the_component() {
    let mut bounds = 0;
    for (path, key) in all_keys() {
        let name = key["x-env"].as_str().unwrap();
        let bound = |bound: &str| key[bound].as_u64();
        let (Some(low), Some(high)) = (bound("minimum"), bound("maximum")) else {
            continue;
        };
        if !SETTINGS.iter().any(|setting| setting.name == name) {
            continue;
        }
        bounds += 1;
        for wrong in [low.checked_sub(1), Some(high + 1)].into_iter().flatten() {
            let answer = capabilities(name, &wrong.to_string()).await;
            assert_eq!(answer.err(), Some(-32004), "{path} = {wrong}");
        }
        for good in [low, high] {
            // Less memory requires more passes, and fewer passes more memory.
            if name.starts_with("USER_AUTH_ARGON2_") && good == low {
                continue;
            }
            let answer = capabilities(name, &good.to_string()).await;
            assert!(answer.is_ok(), "{path} = {good}");
        }
    }
    assert_eq!(bounds, 14);
}

#[tokio::test]
async fn the_shown_defaults_are_those_of_the_component() {
    let shown = program().show(&[]);
    let said = capabilities("USER_AUTH_NOTHING", "").await.unwrap();
    let (policies, limits) = (&said["policies"], &said["limits"]);
    let (tokens, throttling) = (&shown["tokens"], &shown["throttling"]);
    // Its own default depends on the public URL.
    assert_eq!(tokens["issuer"], Value::Null);
    assert_eq!(policies["issuer"], "user-auth");
    for name in [
        "audience",
        "other_audiences",
        "access_token_ttl_seconds",
        "session_idle_seconds",
        "session_absolute_seconds",
        "refresh_grace_seconds",
        "code_ttl_seconds",
    ] {
        assert_eq!(tokens[name], policies[name], "{name}");
    }
    assert_eq!(
        shown["passwords"]["min_length"],
        policies["password_min_length"]
    );
    let hash = format!(
        "argon2id, {} KiB, {} passes",
        shown["passwords"]["argon2_memory_kib"], shown["passwords"]["argon2_iterations"]
    );
    assert_eq!(policies["password_hash"], hash);
    for (key, limit) in [
        (
            "attempts_per_source",
            "login_attempts_per_username_and_source",
        ),
        ("failures_per_source", "login_failures_per_source"),
        ("registrations_per_source", "registrations_per_source"),
        ("window_seconds", "login_failure_window_seconds"),
        ("consecutive_attempts", "attempts_without_success"),
    ] {
        assert_eq!(throttling[key], limits[limit], "{key}");
    }
}

#[test]
fn an_unknown_variable_causes_a_warning() {
    let output = program()
        .env("USER_AUTH_LISTN", "127.0.0.1:1")
        .run(&["call", "get_capabilities"]);
    assert!(output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("USER_AUTH_LISTN is not a known variable; did you mean USER_AUTH_LISTEN?"),
        "{said}"
    );
}

#[test]
fn a_file_is_utf_8_and_may_begin_with_a_byte_order_mark() {
    let program = program();
    for (name, text) in [
        ("a.json", r#"{"limits": {"connections": 77}}"#),
        ("a.toml", "[limits]\nconnections = 77\n"),
        ("a", r#"{"limits": {"connections": 77}}"#),
    ] {
        let file = program.home.path().join(name);
        let shown = file.to_str().unwrap().to_owned();
        fs::write(&file, format!("\u{feff}{text}")).unwrap();
        let output = program.run(&["config", "check", &shown]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let output = program.run(&["config", "show", "--config", &shown]);
        let values: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(values["limits"]["connections"], 77, "{name}");

        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [[b"\xff\xfe", wide.as_slice()].concat(), wide] {
            fs::write(&file, bytes).unwrap();
            let output = program.run(&["config", "check", &shown]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{name}: {said}");
            assert!(said.contains(&shown), "{said}");
            assert!(said.contains("is UTF-16, not UTF-8"), "{said}");
        }
        fs::write(&file, [text.as_bytes(), b"\n# caf\xe9\n"].concat()).unwrap();
        let said = stderr(&program.run(&["config", "check", &shown]));
        assert!(said.contains("is not UTF-8 in line"), "{said}");
    }
}

#[test]
fn the_log_format_can_be_set() {
    let run = |format: &str| {
        let program = program().env("USER_AUTH_NO_SUCH", "1");
        stderr(&program.run(&["inspect", "--set", &format!("logging.format={format}")]))
    };
    assert!(serde_json::from_str::<Value>(run("json").trim()).is_ok());
    assert!(serde_json::from_str::<Value>(run("auto").trim()).is_ok());
    let text = run("text");
    assert!(text.contains(" WARN ") && !text.contains('\x1b'), "{text}");
    let quiet = program()
        .env("USER_AUTH_NO_SUCH", "1")
        .env("LOG_LEVEL", "error");
    assert_eq!(stderr(&quiet.run(&["inspect"])), "");
}

#[test]
fn help_shows_the_variable_of_each_option() {
    let output = program().run(&["serve", "--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    let help: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for name in [
        "USER_AUTH_LISTEN",
        "USER_AUTH_STORE",
        "USER_AUTH_MASTER_KEY_FILE",
        "USER_AUTH_NO_CACHE",
    ] {
        assert!(help.contains(&format!("[env: {name}]")), "{help}");
    }
}
