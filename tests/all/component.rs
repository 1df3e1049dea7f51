//! What the component asks for, and what the program says of a component.

use std::fs;
use std::path::Path;

use serde_json::Value;
use user_auth_tests::{command, folder};

fn inspect() -> Value {
    let home = folder();
    let output = command(home.path()).arg("inspect").output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_component_imports_what_is_written_down_and_nothing_more() {
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
        "imports.txt says what the component may ask for"
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
    for export in ["mcp", "auth", "forward-auth", "maintenance"] {
        assert!(
            exports.contains(&format!("user-auth:plugin/{export}@0.1.0")),
            "{export}"
        );
    }
    assert_eq!(inspection["sha256"].as_str().unwrap().len(), 64);
    assert!(inspection["size"].as_u64().unwrap() > 100_000);
    assert_eq!(inspection["limits"]["memory_bytes"], "64 MiB");
}
