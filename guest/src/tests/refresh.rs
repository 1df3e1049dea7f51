//! Rotation of refresh tokens, and the grace in which a replaced token leads to the current
//! one.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::sessions::rotation::{MAX_GENERATIONS, MAX_REPLAYS};
use crate::ports::{Entry, Expect, Mutation, Outcome, Page, Store, Unavailable};
use crate::testing::{self, World};

const PASSWORD: &str = "correct horse battery staple";
/// The default, in seconds.
const GRACE: u64 = 120;
const TOLERANCE: u64 = 60;

fn strict() -> World {
    with_grace(0)
}

fn with_grace(seconds: u64) -> World {
    let mut world = World::new();
    world.settings.refresh_grace = Duration::from_secs(seconds);
    world
}

fn input(tokens: &Value) -> Value {
    json!({"refresh_token": tokens["refresh_token"]})
}

/// Asserts that the token is refused, and that its session is over for everyone.
fn assert_ends(world: &World, replaced: &Value, current: &Value) {
    assert_eq!(world.refresh(replaced), Err(-32001));
    assert_over(world, current);
}

fn assert_over(world: &World, current: &Value) {
    assert!(!world.active(current));
    assert_eq!(world.refresh(current), Err(-32001));
    assert_eq!(world.dump("session/"), "", "nothing is left of it");
}

fn assert_leads_to(world: &World, replaced: &Value, current: &Value) {
    let answer = world.refresh(replaced).unwrap();
    assert_eq!(answer["refresh_token"], current["refresh_token"]);
    assert_eq!(answer["session_id"], current["session_id"]);
    assert!(world.active(&answer) && world.active(current));
}

/// A store that does something else right before its first commit.
struct Overtaken<'a> {
    world: &'a World,
    by: Cell<Option<Box<dyn FnOnce() + 'a>>>,
}

impl<'a> Overtaken<'a> {
    /// Refreshes while `by` happens between the reads and the commit.
    fn refresh(world: &'a World, tokens: &Value, by: impl FnOnce() + 'a) -> Result<Value, i32> {
        let store = Overtaken {
            world,
            by: Cell::new(Some(Box::new(by))),
        };
        let caller = Caller {
            principal: Principal::Anonymous,
            source: Source::from_peer(Some("192.0.2.1")),
        };
        let call = world.call_over(&caller, &store);
        let answer = testing::invoke("refresh_token", input(tokens), &call);
        answer.map_err(|error| error.kind.code())
    }
}

impl Store for Overtaken<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        self.world.get(keys)
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        if let Some(by) = self.by.take() {
            by();
        }
        self.world.commit(batch)
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        self.world.add(key, delta, ttl_ms)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        self.world.scan(prefix, after, limit)
    }
}

/// Refreshes with one token so often that every call has read before any has committed.
fn interleaved(world: &World, tokens: &Value, calls: usize) -> Vec<Result<Value, i32>> {
    let others = Cell::new(Vec::new());
    let own = Overtaken::refresh(world, tokens, || {
        if calls > 1 {
            others.set(interleaved(world, tokens, calls - 1));
        }
    });
    let mut answers = others.take();
    answers.push(own);
    answers
}

#[test]
fn interleaved_refreshes_of_one_token_all_return_the_same_successor() {
    let world = World::new();
    let first = world.alice();
    let answers: Vec<Value> = interleaved(&world, &first, 20)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(answers.len(), 20);
    let distinct = |field: &str| -> BTreeSet<&str> {
        let fields = answers.iter().map(|answer| answer[field].as_str().unwrap());
        fields.collect()
    };
    assert_eq!(distinct("refresh_token").len(), 1);
    assert_eq!(distinct("access_token").len(), 20);
    assert!(answers.iter().all(|answer| world.active(answer)));
    assert!(world.refresh(&answers[0]).is_ok());
}

#[test]
fn exactly_one_of_interleaved_refreshes_wins_without_a_grace() {
    let world = strict();
    let first = world.alice();
    let answers = interleaved(&world, &first, 20);
    let won: Vec<&Value> = answers.iter().flatten().collect();
    assert_eq!(won.len(), 1);
    let lost = answers.iter().filter(|answer| **answer == Err(-32001));
    assert_eq!(lost.count(), 19);
    assert_over(&world, won[0]);
}

#[test]
fn a_replaced_token_leads_to_the_current_one_until_its_grace_is_over() {
    let world = World::new();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    for wait in [0, 1, GRACE - 2] {
        world.pass(wait);
        assert_leads_to(&world, &first, &second);
    }
    // Its uses have not extended the grace.
    world.pass(1);
    assert_ends(&world, &first, &second);
}

#[test]
fn a_replaced_token_ends_its_session_at_once_without_a_grace() {
    let world = strict();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    assert!(!world.dump("session/").contains("rotations"));
    assert_ends(&world, &first, &second);
}

#[test]
fn the_use_of_a_replaced_token_does_not_prolong_its_session() {
    let world = World::new();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    let session = |tokens: &Value| {
        let own = json!({"access_token": tokens["access_token"]});
        world.run("get_session", own).unwrap()
    };
    let before = session(&second);
    world.pass(GRACE - 1);
    let again = world.refresh(&first).unwrap();
    assert_eq!(session(&again), before);
}

#[test]
fn a_token_of_an_older_generation_leads_to_the_current_one_within_its_own_grace() {
    let world = World::new();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    world.pass(GRACE / 2);
    let third = world.refresh(&second).unwrap();
    world.pass(GRACE / 2 - 1);
    assert_leads_to(&world, &first, &third);
    assert_leads_to(&world, &second, &third);
    world.pass(1);
    assert_leads_to(&world, &second, &third);
    assert_ends(&world, &first, &third);
}

#[test]
fn a_token_that_was_replaced_too_many_generations_ago_ends_its_session() {
    for (generations, leads) in [(MAX_GENERATIONS, true), (MAX_GENERATIONS + 1, false)] {
        let world = World::new();
        let first = world.alice();
        let mut current = first.clone();
        for _ in 0..generations {
            current = world.refresh(&current).unwrap();
        }
        match leads {
            true => assert_leads_to(&world, &first, &current),
            false => assert_ends(&world, &first, &current),
        }
    }
}

#[test]
fn a_replaced_token_is_answered_a_limited_number_of_times() {
    let world = World::new();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    for _ in 0..MAX_REPLAYS {
        assert_leads_to(&world, &first, &second);
    }
    assert_ends(&world, &first, &second);
}

#[test]
fn a_clock_that_was_set_back_does_not_prolong_a_grace() {
    for (back, leads) in [(TOLERANCE, true), (TOLERANCE + 1, false)] {
        let world = World::new();
        let first = world.alice();
        world.pass(1000);
        let second = world.refresh(&first).unwrap();
        let now = world.now_ms.get();
        world.now_ms.set(now - back * 1000);
        match leads {
            true => {
                let answer = world.refresh(&first).unwrap();
                assert_eq!(answer["refresh_token"], second["refresh_token"]);
            }
            false => {
                assert_eq!(world.refresh(&first), Err(-32001));
                world.now_ms.set(now);
                assert_over(&world, &second);
            }
        }
    }
}

#[test]
fn a_change_of_the_setting_holds_for_tokens_that_were_replaced_before() {
    for (before, after) in [(GRACE, 0), (0, 600)] {
        let mut world = with_grace(before);
        let first = world.alice();
        let second = world.refresh(&first).unwrap();
        world.settings.refresh_grace = Duration::from_secs(after);
        assert_ends(&world, &first, &second);
    }
}

#[test]
fn no_token_leads_anywhere_once_its_session_or_account_has_ended() {
    type End = fn(&World, &Value);
    let ends: [(&str, End); 5] = [
        ("logout", |world, tokens| {
            world.run("logout", input(tokens)).unwrap();
        }),
        ("revoke_token", |world, tokens| {
            let token = json!({"token": tokens["refresh_token"]});
            world.run("revoke_token", token).unwrap();
        }),
        ("disable_user", |world, _| {
            let alice = json!({"username": "alice"});
            world
                .run_as(Principal::Operator, "disable_user", alice)
                .unwrap();
        }),
        ("delete_user", |world, _| {
            let alice = json!({"username": "alice"});
            world
                .run_as(Principal::Operator, "delete_user", alice)
                .unwrap();
        }),
        ("revoke_other_sessions", |world, _| {
            let other = world.log_in("alice", PASSWORD).unwrap();
            let own = json!({"access_token": other["access_token"]});
            world.run("revoke_other_sessions", own).unwrap();
        }),
    ];
    for (name, end) in ends {
        // Before the replay, and between its reads and its commit.
        for during in [false, true] {
            let world = World::new();
            let first = world.alice();
            let second = world.refresh(&first).unwrap();
            let answer = match during {
                true => Overtaken::refresh(&world, &first, || end(&world, &second)),
                false => {
                    end(&world, &second);
                    world.refresh(&first)
                }
            };
            assert_eq!(answer, Err(-32001), "{name}");
            assert!(!world.active(&second), "{name}");
            assert_eq!(world.refresh(&second), Err(-32001), "{name}");
        }
    }
}

#[test]
fn a_replaced_token_that_does_not_lead_to_the_stored_one_ends_its_session() {
    let world = World::new();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    // As if the session had gone on in another store, under the same key.
    let other = world.log_in("alice", PASSWORD).unwrap();
    let key = |tokens: &Value| format!("session/{}", tokens["session_id"].as_str().unwrap());
    let read = |tokens: &Value| -> Value {
        let entry = world.get(&[key(tokens)]).unwrap().remove(0).unwrap();
        serde_json::from_slice(&entry.value).unwrap()
    };
    let mut session = read(&second);
    session["refresh_token"] = read(&other)["refresh_token"].clone();
    let put = Mutation {
        key: key(&second),
        expect: Expect::Any,
        put: Some(session.to_string().into_bytes()),
        ttl_ms: None,
    };
    assert_eq!(world.commit(&[put]).unwrap(), Outcome::Committed);
    assert_eq!(world.refresh(&first), Err(-32001));
    assert!(!world.active(&second));
    assert!(world.active(&other));
}

#[test]
fn the_audit_trail_distinguishes_rotations_replays_and_reuse() {
    let world = World::new();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    world.refresh(&first).unwrap();
    world.pass(GRACE);
    assert_ends(&world, &first, &second);
    let audited = world.audited.borrow();
    let refreshes = audited
        .iter()
        .filter(|record| record["operation"] == "refresh_token");
    let seen: Vec<Value> = refreshes
        .map(|record| json!([record["outcome"], record["details"]["replayed"]]))
        .collect();
    let expected = [
        json!(["success", null]),
        json!(["success", true]),
        json!(["reused", null]),
    ];
    assert_eq!(seen, expected);
}
