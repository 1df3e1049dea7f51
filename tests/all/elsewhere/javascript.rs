//! `guest/examples/javascript` in Node, with the package `jco`.

use std::process::Command;

use super::{LABEL, MASTER_KEY, TOUR, build_javascript, hash_and_key, succeed};

fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.current_dir(build_javascript()).args(arguments);
    succeed(&mut command)
}

#[test]
fn node_is_a_host_with_a_store_of_its_own() {
    assert_eq!(run("npm", &["start", "--silent"]), TOUR);
}

#[test]
fn the_store_in_javascript_is_what_the_contract_asks_for() {
    run("npm", &["test"]);
}

#[test]
fn hashes_and_keys_in_javascript_are_those_of_every_host() {
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
