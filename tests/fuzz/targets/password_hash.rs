//! Fuzzes one password hash: a hash of another system, which is imported or refused; or a
//! stored hash that an attacker may have written, which is read or refused and matches no
//! password.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use user_auth_guest::domain::credentials::foreign_hash::ForeignHash;
use user_auth_guest::domain::credentials::password::{PasswordRecord, TypedPassword};
use user_auth_guest::testing::World;

fuzz_target!(|text: &str| {
    check_foreign(text);
    check_stored(text);
});

fn check_foreign(text: &str) {
    let Ok(foreign) = ForeignHash::parse(text) else {
        return;
    };
    assert!((16..=64).contains(&foreign.hash.len()));
    assert!((8..=64).contains(&foreign.salt.len()));
    let world = World::new();
    let record = PasswordRecord::import(&foreign, &world.ports()).expect("a good hash");
    let stored = serde_json::to_string(&record).expect("a record");
    let read: PasswordRecord = serde_json::from_str(&stored).expect("a stored hash");
    assert!(!read.is_current(&world.settings), "a login replaces it");
}

fn check_stored(text: &str) {
    let world = World::new();
    let record: PasswordRecord = serde_json::from_value(json!(text)).expect("any text");
    let password: TypedPassword =
        serde_json::from_value(json!("some wrong password")).expect("a password");
    let fits = record.verify(&password, &world.ports());
    assert!(!fits.is_ok_and(|fits| fits));
    // A hash with the current parameters must be readable.
    if record.is_current(&world.settings) {
        assert!(record.verify(&password, &world.ports()).is_ok());
    }
}
