//! Attacks on the built component in the real host.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use user_auth_host::store::Store;
use user_auth_host::{Limits, Plugin, StoreKeys};
use user_auth_tests::built;

mod accounts;
mod characters;
pub(crate) mod failures;
mod files;
mod floods;
mod fresh_starts;
mod growth;
mod hash_kinds;
mod hash_queue;
mod introspection;
mod logins;
mod power;
mod resets;
mod second_factor;
mod sessions;
mod stops;
mod tokens;

/// Loads the built component in this process, on the given store.
fn plugin(store: Arc<dyn Store>, keys: StoreKeys, limits: Limits) -> Plugin {
    Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(store)
        .keys(keys)
        .limits(limits)
        .build()
        .unwrap()
}

/// Returns the numbers of the tests `attack_NN_…` below a folder, each with a file that has
/// such a test.
fn attack_numbers(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            attack_numbers(&path, found);
            continue;
        }
        if path.extension() != Some("rs".as_ref()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for name in text.split("fn attack_").skip(1) {
            let digits = name.chars().take_while(char::is_ascii_digit);
            let number: String = digits.collect();
            if !number.is_empty() {
                found.insert(number, path.display().to_string());
            }
        }
    }
}

#[test]
fn every_attack_number_in_a_test_name_is_listed() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(tests.join("README.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let number = cells.next()?;
        let is_number = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| {
            (
                number.to_owned(),
                cells.next_back().unwrap_or_default().to_owned(),
            )
        })
    });
    let listed: BTreeMap<String, String> = rows.collect();
    assert!(listed.len() > 40, "{}", listed.len());
    let mut named = BTreeMap::new();
    for folder in ["all", "store_contract", "../guest/src", "../host/src"] {
        attack_numbers(&tests.join(folder), &mut named);
    }
    assert!(named.len() > 30, "{named:?}");
    for (number, file) in &named {
        assert!(listed.contains_key(number), "attack_{number} in {file}");
    }
    // Check that the modules named in the list exist.
    for (number, modules) in &listed {
        for module in modules
            .split(',')
            .map(|module| module.trim().trim_matches('`'))
        {
            let path = tests.join("all").join(module);
            assert!(module.is_empty() || path.is_file(), "{number}: {module}");
        }
    }
}
