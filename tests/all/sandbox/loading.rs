//! Components that are not run at all, and compiled code in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use user_auth_tests::{Server, command, component_fixture};

use super::{assert_unharmed, built, folder, options};

/// Returns the program's message about a component that it must not run.
fn refusal(home: &Path, component: &Path) -> String {
    // With no input the program ends in any case.
    let output = command(home)
        .args(["stdio", "--store", "memory"])
        .arg("--component")
        .arg(component)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{log}");
    log
}

#[test]
fn a_component_that_imports_files_or_network_is_not_loaded() {
    let home = folder();
    let log = refusal(home.path(), &built("user-auth-intruder.wasm"));
    assert!(
        log.contains("imports what this host does not offer"),
        "{log}"
    );
    for import in ["wasi:filesystem/types@", "wasi:sockets/tcp@"] {
        assert!(log.contains(import), "{import}: {log}");
    }
}

#[test]
fn a_component_that_starts_above_its_limits_is_not_loaded() {
    let home = folder();
    let memory = r#"(memory (export "memory") 1)"#;
    let tables = format!("{memory}{}", "(table 1 funcref)".repeat(9));
    for (name, declarations) in [
        ("memory", r#"(memory (export "memory") 1025)"#),
        ("table", &format!("{memory} (table 20001 funcref)")),
        ("tables", &tables),
        ("memories", &format!("{memory} (memory 1)")),
    ] {
        let path = home.path().join("large.wasm");
        fs::write(&path, component_fixture(declarations, "i32.const 1024")).unwrap();
        let log = refusal(home.path(), &path);
        assert!(
            log.contains("large.wasm is not a valid component"),
            "{name}: {log}"
        );
        assert!(!log.contains("panicked"), "{name}: {log}");
    }
}

#[test]
fn a_truncated_or_altered_component_is_not_loaded() {
    let home = folder();
    let whole = fs::read(built("user-auth-hostile.wasm")).unwrap();
    let header = &whole[..8];
    let mut garbled = whole.clone();
    for byte in garbled.iter_mut().skip(8).step_by(97) {
        *byte ^= 0x55;
    }
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (name, bytes) in [
        ("cut", &whole[..whole.len() / 2]),
        ("header alone", header),
        ("garbled", &garbled),
        ("noise", &noise),
        ("noise after a header", &[header, &noise].concat()),
    ] {
        let path = home.path().join("broken.wasm");
        fs::write(&path, bytes).unwrap();
        let log = refusal(home.path(), &path);
        assert!(log.contains("broken.wasm"), "{name}: {log}");
        assert!(!log.contains("panicked"), "{name}: {log}");
    }
}

/// Returns the only compiled component in the cache.
fn compiled(cache: &Path) -> PathBuf {
    let entries = fs::read_dir(cache.join("user-auth")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths: Vec<PathBuf> = paths
        .filter(|path| path.extension() == Some("cwasm".as_ref()))
        .collect();
    let [path] = &paths[..] else {
        panic!("{paths:?}");
    };
    path.clone()
}

fn serve_with(cache: &Path) -> Server {
    options(&built("user-auth-hostile.wasm"))
        .env("XDG_CACHE_HOME", cache.to_str().unwrap())
        .start()
}

#[test]
fn altered_compiled_code_in_the_cache_is_never_run() {
    let cache = folder();
    serve_with(cache.path()).stop();
    let path = compiled(cache.path());
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut sealed_wrongly = whole.clone();
    sealed_wrongly[0] ^= 1;
    for (name, damaged) in [
        ("cut", &whole[..whole.len() / 2]),
        ("flipped", &flipped),
        ("sealed wrongly", &sealed_wrongly),
        ("the seal alone", &whole[..32]),
        ("empty", &[]),
    ] {
        fs::write(&path, damaged).unwrap();
        let server = serve_with(cache.path());
        assert_unharmed(&server, name);
        server.stop();
        // The component was compiled again, and the new code is in the cache.
        let mended = fs::read(compiled(cache.path())).unwrap();
        assert_eq!(mended.len(), whole.len(), "{name}");
        assert!(mended != damaged, "{name}");
    }
}

#[test]
fn compiled_code_is_not_accepted_as_a_component() {
    let cache = folder();
    serve_with(cache.path()).stop();
    let sealed = fs::read(compiled(cache.path())).unwrap();
    let code = &sealed[32..];
    let home = folder();
    for (name, bytes, expected) in [
        ("code.cwasm", code, "compiled machine code"),
        ("cut.cwasm", &code[..code.len() / 2], "cut.cwasm is "),
        ("sealed.cwasm", &sealed, "a file of another format"),
    ] {
        let path = home.path().join(name);
        fs::write(&path, bytes).unwrap();
        let log = refusal(home.path(), &path);
        assert!(log.contains(expected), "{name}: {log}");
        assert!(log.contains("not a WebAssembly component"), "{name}: {log}");
    }
}
