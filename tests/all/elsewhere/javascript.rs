//! `guest/examples/javascript` in Node, with the package `jco`.

use std::process::Command;

use super::{LABEL, MASTER_KEY, TOUR, build_javascript, hash_and_key, succeed};

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
fn javascript_computes_the_same_hashes_and_keys() {
    let script = format!(
        "import {{ derive, hash }} from './host.js';
const bytes = (value, length) => new Uint8Array(length).fill(value);
const parameters = {{ memoryKib: 64, iterations: 3, parallelism: 4, outputLength: 32 }};
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const made = hash(bytes(1, 32), bytes(2, 16), bytes(3, 8), parameters);
console.log(hex(made), hex(derive(Uint8Array.from({MASTER_KEY:?}), '{LABEL}')));"
    );
    let arguments = ["--input-type=module", "--eval", &script];
    assert_eq!(run("node", &arguments), hash_and_key());
}
