//! Fuzzes one line of a file to import: the line becomes an account or is refused with a
//! reason, and importing it again changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use user_auth_guest::domain::caller::Principal;
use user_auth_guest::testing::World;

fuzz_target!(|line: &str| {
    let Ok(user) = serde_json::from_str::<Value>(line) else {
        return;
    };
    let world = World::new();
    let import = || {
        let input = json!({"users": [user]});
        let answer = world.run_as(Principal::Operator, "import_users", input);
        answer.expect("each line has its own answer")["users"][0].clone()
    };
    let first = import();
    let again = import();
    match first["status"].as_str() {
        Some("imported") => {
            assert_eq!(again["status"], "unchanged");
            assert_eq!(again["user_id"], first["user_id"]);
        }
        Some("refused") => {
            assert!(first["problem"].is_string());
            assert_eq!(again, first);
        }
        other => panic!("{other:?}"),
    }
});
