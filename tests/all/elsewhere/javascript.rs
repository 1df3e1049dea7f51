//! `guest/examples/javascript` in Node, with the package `jco`.

use std::process::Command;

use super::{LABEL, MASTER_KEY, TOUR, build_javascript, hash_and_code, succeed};

fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.current_dir(build_javascript()).args(arguments);
    succeed(&mut command)
}

#[test]
fn node_hosts_the_component_with_its_own_store() {
    assert_eq!(run("npm", &["start", "--silent"]), TOUR);
}

#[test]
fn the_javascript_store_fulfils_the_contract() {
    run("npm", &["test"]);
}

#[test]
fn javascript_computes_the_same_hashes_and_codes() {
    let script = format!(
        "import {{ hash, mac }} from './host.js';
const bytes = (value, length) => new Uint8Array(length).fill(value);
const masterKey = Uint8Array.from({MASTER_KEY:?});
const cost = {{ memoryKib: 64, iterations: 3, parallelism: 4, outputLength: 32 }};
const argon2id = {{ tag: 'argon2id', val: {{ ...cost, pepper: '{LABEL}' }} }};
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const made = hash(masterKey, argon2id, bytes(1, 32), bytes(2, 16));
console.log(hex(made), hex(mac(masterKey, '{LABEL}', bytes(4, 8))));"
    );
    let arguments = ["--input-type=module", "--eval", &script];
    assert_eq!(run("node", &arguments), hash_and_code());
}
