//! `guest/examples/python`, with the package `wasmtime`.

use std::process::Command;

use user_auth_tests::built;

use super::{LABEL, MASTER_KEY, TOUR, example, hash_and_code, succeed};

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
fn python_computes_the_same_hashes_and_codes() {
    let script = format!(
        "import embed
master_key = bytes({MASTER_KEY:?})
cost = dict(memory_kib=64, iterations=3, parallelism=4, output_length=32)
argon2id = embed.Variant('argon2id', embed.record(**cost, pepper='{LABEL}'))
hash = embed.password_hash(master_key)['hash'](argon2id, b'\\1' * 32, b'\\2' * 16)
code = embed.keys(master_key)['mac']('{LABEL}', b'\\4' * 8)
print(hash.hex(), code.hex())"
    );
    assert_eq!(succeed(&mut python(&["-c", &script])), hash_and_code());
}
