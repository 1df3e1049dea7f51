//! The imports of the component, and what `user-auth inspect` shows of a component.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use user_auth_host::api::{Caller, Principal};
use user_auth_host::store::MemoryStore;
use user_auth_host::{Limits, Plugin, PluginBuilder, StoreKeys};
use user_auth_tests::{built, command, folder};

fn inspect() -> Value {
    let home = folder();
    let output = command(home.path()).arg("inspect").output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn inspect_file(file: &Path) -> Output {
    let home = folder();
    let mut command = command(home.path());
    command.arg("inspect").arg(file).output().unwrap()
}

/// Inspects the component or module that this text describes.
fn inspect_text(text: &[u8]) -> Value {
    let home = folder();
    let file = home.path().join("some.wasm");
    fs::write(&file, wat::parse_bytes(text).unwrap()).unwrap();
    let output = inspect_file(&file);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_component_imports_only_what_is_listed() {
    let inspection = inspect();
    let imports: Vec<&str> = inspection["imports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|import| import["name"].as_str().unwrap())
        .collect();
    let written = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("all/imports.txt"));
    let written = written.unwrap();
    let written: Vec<&str> = written.lines().collect();
    assert_eq!(
        imports, written,
        "imports.txt lists what the component may import"
    );
    for import in imports {
        assert!(
            !import.contains("filesystem") && !import.contains("sockets"),
            "{import}"
        );
    }
}

#[test]
fn an_inspection_names_exports_size_hash_and_limits() {
    let inspection = inspect();
    let exports = inspection["exports"].to_string();
    for export in ["mcp", "auth", "http", "maintenance"] {
        assert!(
            exports.contains(&format!("user-auth:plugin/{export}@0.2.0")),
            "{export}"
        );
    }
    assert_eq!(inspection["sha256"].as_str().unwrap().len(), 64);
    assert!(inspection["size"].as_u64().unwrap() > 100_000);
    assert_eq!(inspection["limits"]["memory_bytes"], "64 MiB");
}

#[test]
fn every_component_describes_itself() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    let package = &manifest["workspace"]["package"];
    for variant in [
        "",
        "-self-contained",
        "-edge",
        "-keyvalue",
        "-edge-keyvalue",
    ] {
        let name = format!("user-auth{variant}");
        let file = built(&format!("{name}.wasm"));
        let inspection: Value = serde_json::from_slice(&inspect_file(&file).stdout).unwrap();
        let metadata = &inspection["metadata"];
        assert_eq!(inspection["kind"], "component");
        assert_eq!(metadata["name"], *name);
        assert_eq!(metadata["version"].as_str(), package["version"].as_str());
        assert_eq!(metadata["licenses"].as_str(), package["license"].as_str());
        assert_eq!(
            metadata["description"].as_str(),
            package["description"].as_str()
        );
        let linker = metadata["producers"]["processed-by"][0].as_str().unwrap();
        assert!(linker.starts_with("wit-component "), "{linker}");
        let bytes = fs::read(&file).unwrap();
        assert_eq!(inspection["size"], bytes.len());
        let hash = Sha256::digest(&bytes);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(inspection["sha256"], *hash);
    }
}

#[test]
fn components_of_other_worlds_and_core_modules_can_be_inspected() {
    let other = inspect_text(
        br#"(component
            (import "acme:shop/till@2.0.0" (instance))
            (import "wasi:cli/stdout@0.2.6" (instance))
            (import "plain" (func async (result u32)))
            (component $inner (@custom "version" "of what is inside"))
            (instance $shop (instantiate $inner))
            (export "acme:shop/counter@2.0.0" (instance $shop))
            (@custom "version" "7.8.9")
            (@custom "licenses" "ask \u{1b}[31mACME")
        )"#,
    );
    assert_eq!(
        other["imports"],
        json!([
            {"name": "acme:shop/till@2.0.0", "known": false},
            {"name": "plain", "known": false},
            {"name": "wasi:cli/stdout@0.2.6", "known": true},
        ])
    );
    assert_eq!(
        other["exports"],
        json!([{"name": "acme:shop/counter@2.0.0", "known": false}])
    );
    assert_eq!(
        other["metadata"],
        json!({"version": "7.8.9", "licenses": "ask \u{1b}[31mACME"})
    );

    let module = inspect_text(
        br#"(module $core
            (import "env" "now" (func (result i64)))
            (memory (export "memory") 1)
            (@custom "homepage" "not a URL")
            (@producers (language "Rust" "2024") (processed-by "rustc" "1.95.0"))
        )"#,
    );
    assert_eq!(module["kind"], "module");
    assert_eq!(
        module["metadata"],
        json!({
            "name": "core",
            "homepage": "not a URL",
            "producers": {"language": ["Rust 2024"], "processed-by": ["rustc 1.95.0"]},
        })
    );
    assert_eq!(
        module["imports"],
        json!([{"name": "env now", "known": false}])
    );
    assert_eq!(
        module["exports"],
        json!([{"name": "memory", "known": false}])
    );
}

#[test]
fn other_files_and_damaged_components_are_reported() {
    let home = folder();
    let file = home.path().join("some.wasm");
    let whole = fs::read(built("user-auth.wasm")).unwrap();
    for (bytes, said) in [
        (&b"(component)"[..], "is text, not a WebAssembly component"),
        (&whole[..whole.len() / 2], "is not a valid component"),
        (b"", "an empty file"),
        (b"\0asm\x01\0\0\0\x0a", "is not a valid component"),
    ] {
        fs::write(&file, bytes).unwrap();
        let output = inspect_file(&file);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{log}");
        assert!(log.contains(said), "{said}: {log}");
        assert!(output.stdout.is_empty());
    }
}

/// Loads the component before there is a store.
fn loaded() -> PluginBuilder {
    Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .load()
        .unwrap()
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().unwrap())
}

#[tokio::test]
async fn a_component_is_loaded_before_the_store_is_known() {
    let plugin = loaded().build().unwrap();
    let caller = Caller {
        principal: Principal::Anonymous,
        source: None,
    };
    let claims = plugin.verify_token(caller, "x").await.unwrap();
    assert!(claims.unwrap().is_none());
}

#[test]
fn limits_that_are_set_after_loading_apply() {
    let limits = Limits {
        component_bytes: 1000,
        ..Limits::default()
    };
    let refused = loaded().limits(limits).build().err().unwrap().to_string();
    assert!(refused.contains("1000"), "{refused}");
}
