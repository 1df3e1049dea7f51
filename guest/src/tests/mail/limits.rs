//! Limits on messages, and on requests for them.

use serde_json::json;

use super::{ALICE, NEW_PASSWORD};
use crate::testing::{self, World};

#[test]
fn messages_to_one_mailbox_are_limited() {
    let world = World::new();
    world.verified("alice", ALICE);
    for _ in 0..6 {
        let input = json!({"username": "alice"});
        world.run("request_password_reset", input).unwrap();
    }
    assert_eq!(world.sent().len(), 3);
    let good = world.last_code();
    let by_email = json!({"email": ALICE});
    world.run("request_password_reset", by_email).unwrap();
    assert_eq!(world.sent().len(), 3);
    world
        .reset(&good)
        .expect("the last one that was sent is good");
    // Requests from other sources have not blocked the owner's, but many of them cannot
    // continue for ever.
    world.outbox.borrow_mut().clear();
    for source in 1..10 {
        let ask = json!({"username": "alice"});
        let peer = format!("203.0.113.{source}");
        world
            .run_from(&peer, "request_password_reset", ask)
            .unwrap();
    }
    assert_eq!(world.sent().len(), 7, "ten in all");

    // Many accounts cannot flood a mailbox either.
    let mut refused = 0;
    for number in 0..5 {
        let tokens = world.with_email(&format!("eve{number}"), "victim@example.com");
        let asked = world.ask(&tokens, "request_email_verification", json!({}));
        refused += u32::from(asked == Err(-32003));
    }
    assert_eq!(refused, 2);
    // One account cannot flood many mailboxes either.
    let tokens = world.with_email("frank", "frank@example.com");
    let asked: Vec<bool> = (0..4)
        .map(|number| {
            let input = json!({"email": format!("victim{number}@example.com")});
            world.ask(&tokens, "request_email_change", input).is_ok()
        })
        .collect();
    assert_eq!(asked, [true, true, true, false]);
}

#[test]
fn requests_are_throttled_by_name_and_by_source_for_known_and_unknown_names_alike() {
    for name in ["alice", "nobody"] {
        let world = World::new();
        world.verified("alice", ALICE);
        let ask = |name: &str| world.run("request_password_reset", json!({"username": name}));
        for _ in 0..10 {
            ask(name).unwrap();
        }
        assert_eq!(ask(name), Err(-32003), "{name}");
        for number in 0..90 {
            ask(&format!("name{number}")).unwrap();
        }
        assert_eq!(ask("one-more"), Err(-32003));
    }
}

#[test]
fn all_invalid_codes_get_the_same_error_and_count_against_their_source() {
    let world = World::new();
    world.verified("alice", ALICE);
    let used = world.reset_code("alice");
    world.reset(&used).unwrap();
    let own = world.log_in("alice", NEW_PASSWORD).unwrap()["access_token"].clone();
    let flipped = format!("{}A", &used[..used.len() - 1]);
    let unknown = "uac_".to_owned() + &"A".repeat(64);
    let mut texts = Vec::new();
    for code in ["", "uac_", "nonsense", &used, &flipped, &unknown] {
        for (operation, input) in [
            (
                "confirm_password_reset",
                json!({"code": code, "new_password": NEW_PASSWORD}),
            ),
            ("confirm_email", json!({"code": code, "access_token": own})),
        ] {
            let error = testing::invoke(operation, input, &world.call()).unwrap_err();
            assert_eq!(error.kind.code(), -32001);
            texts.push((error.message.clone(), error.details()));
        }
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    // Each request counted for the source as well.
    for _ in texts.len() + 1..100 {
        assert_eq!(world.reset(&used), Err(-32001));
    }
    assert_eq!(world.reset(&used), Err(-32003));
}
