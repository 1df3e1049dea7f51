//! `guest/examples/python`, with the package `wasmtime`.

use std::process::Command;

use user_auth_tests::built;

use super::{LABEL, MASTER_KEY, TOUR, example, hash_and_key, succeed};

fn python(arguments: &[&str]) -> Command {
    let folder = example("python", ".venv/.installed");
    let mut command = Command::new(folder.join(".venv/bin/python"));
    command.current_dir(folder).args(arguments);
    command
}

#[test]
fn python_hosts_the_component_with_its_own_store() {
    let component = built("user-auth.wasm");
    assert_eq!(succeed(python(&["embed.py"]).arg(component)), TOUR);
}

#[test]
fn a_plain_wasi_host_runs_the_self_contained_build() {
    let mut command = python(&["self_contained.py"]);
    command
        .arg(built("user-auth-self-contained.wasm"))
        .env("USER_AUTH_MASTER_KEY", "0f".repeat(32));
    assert_eq!(
        succeed(&mut command),
        "registered alice\n\
         the token is alice's\n\
         may read invoices: no\n\
         a wrong password: -32001 Invalid user name or password\n"
    );
}

#[test]
fn the_python_store_fulfils_the_contract() {
    succeed(&mut python(&["-m", "unittest"]));
}

#[test]
fn python_computes_the_same_hashes_and_keys() {
    let script = format!(
        "import embed
parameters = embed.record(memory_kib=64, iterations=3, parallelism=4, output_length=32)
hash = embed.argon2id(b'\\1' * 32, b'\\2' * 16, b'\\3' * 8, parameters)
key = embed.keys(bytes({MASTER_KEY:?}))['derive']('{LABEL}')
print(hash.hex(), key.hex())"
    );
    assert_eq!(succeed(&mut python(&["-c", &script])), hash_and_key());
}
