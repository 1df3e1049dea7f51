//! One stored password hash, as a store may hold it that somebody has written to:
//! it is read or refused, and no password fits it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use user_auth_guest::domain::password::{Password, PasswordRecord};
use user_auth_guest::testing::World;

fuzz_target!(|text: &str| check(text));

fn check(text: &str) {
    let world = World::new();
    let record: PasswordRecord = serde_json::from_value(json!(text)).expect("any text");
    let password = Password::try_from("a guess of somebody".to_owned()).expect("a password");
    let fits = record.verify(&password, &world.ports());
    assert!(!fits.is_ok_and(|fits| fits));
    // A hash with the parameters in force is one that can be read.
    if record.is_current(&world.settings) {
        assert!(record.verify(&password, &world.ports()).is_ok());
    }
}
