//! The audit records of refused calls of unauthenticated callers, many times over.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::domain::audit::REFUSALS_IN_FULL;
use crate::domain::caller::Principal;
use crate::testing::World;
use crate::types::id::Id;

const PASSWORD: &str = "correct horse battery staple";

/// Returns a text with the form of a code for this account.
fn made_up_code(user_id: Id) -> String {
    let bytes = [user_id.as_bytes().as_slice(), &[0; 32]].concat();
    format!("uac_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// A caller that makes each guess from a new source.
struct Stranger<'a> {
    world: &'a World,
    code: String,
    guesses: u32,
}

impl Stranger<'_> {
    fn guess(&mut self) {
        let peer = format!("198.18.{}.{}", self.guesses / 256, self.guesses % 256);
        self.guesses += 1;
        let input = json!({"code": self.code, "new_password": "another good long password"});
        let answer = self.world.run_from(&peer, "confirm_password_reset", input);
        assert_eq!(answer, Err(-32001));
    }
}

fn id_of(world: &World, username: &str) -> Id {
    let input = json!({"username": username});
    let user = world
        .run_as(Principal::Operator, "get_user", input)
        .unwrap();
    Id::try_from(user["user_id"].as_str().unwrap().to_owned()).unwrap()
}

/// Returns the details of the audit records about guesses of codes.
fn details(world: &World) -> Vec<Value> {
    let audited = world.audited.take();
    let refused = audited
        .into_iter()
        .filter(|it| it["outcome"] == "invalid_code");
    refused.map(|mut it| it["details"].take()).collect()
}

#[test]
fn many_refusals_within_an_hour_are_summed_up_in_few_records() {
    let world = World::new();
    world.alice();
    let mut stranger = Stranger {
        code: made_up_code(id_of(&world, "alice")),
        world: &world,
        guesses: 0,
    };
    world.audited.take();
    (0..1100).for_each(|_| stranger.guess());
    let recorded = details(&world);
    let full = REFUSALS_IN_FULL as usize;
    assert_eq!(recorded.len(), full + 2);
    assert!(recorded[..full - 1].iter().all(|it| *it == json!({})));
    let summed = recorded[full - 1..].iter();
    let summed: Vec<&Value> = summed.map(|it| &it["refusals_within_the_hour"]).collect();
    assert_eq!(
        summed,
        [&json!(REFUSALS_IN_FULL), &json!(100), &json!(1000)]
    );
    world.pass(60 * 60);
    stranger.guess();
    assert_eq!(details(&world), [json!({})], "the next hour begins again");
    let chain = json!({"username": "alice"});
    let chain = world.run_as(Principal::Operator, "verify_audit_chain", chain);
    assert_eq!(chain.unwrap()["intact"], true);
}

#[test]
fn refusals_of_one_kind_do_not_hide_another_kind() {
    let world = World::new();
    world.alice();
    let mut stranger = Stranger {
        code: made_up_code(id_of(&world, "alice")),
        world: &world,
        guesses: 0,
    };
    (0..200).for_each(|_| stranger.guess());
    world.audited.take();
    assert_eq!(world.log_in("alice", "a wrong one"), Err(-32001));
    let audited = world.audited.take();
    assert_eq!(audited.len(), 1);
    assert_eq!(audited[0]["operation"], "login");
}

#[test]
fn refusals_do_the_same_work_for_known_and_unknown_accounts() {
    let work = |user_id: fn(&World) -> Id| {
        let world = World::new();
        world.alice();
        let mut stranger = Stranger {
            code: made_up_code(user_id(&world)),
            world: &world,
            guesses: 0,
        };
        let guesses = (0..120).map(|_| {
            world.store_calls.take();
            stranger.guess();
            world.store_calls.take()
        });
        guesses.collect::<Vec<_>>()
    };
    let of_alice = work(|world| id_of(world, "alice"));
    assert_eq!(of_alice, work(|_| Id::from_bytes([9; 16])));
}

#[test]
fn wrong_second_factors_after_a_right_password_do_not_fill_the_chain() {
    let world = World::new();
    let tokens = world.alice();
    let own = json!({"access_token": tokens["access_token"]});
    world.run("enroll_totp", own).unwrap();
    let key = format!("account/{}", id_of(&world, "alice"));
    let mut account: Value = serde_json::from_slice(&world.stored(&key).unwrap()).unwrap();
    account["second_factor"] =
        json!({"nonce": "0".repeat(32), "last_step": 0, "recovery_codes": []});
    world.tamper(&key, Some(serde_json::to_vec(&account).unwrap()));
    world.audited.take();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    for number in 0..150 {
        let peer = format!("198.18.0.{number}");
        let outcome = world.run_from(&peer, "login", credentials.clone()).unwrap();
        let code = "0000-1111-2222-3333-4444-5555-6666";
        let input = json!({"challenge": outcome["challenge"], "code": code});
        assert_eq!(world.run_from(&peer, "complete_login", input), Err(-32001));
    }
    let audited = world.audited.take();
    let of = |operation: &str| {
        let records = audited.iter().filter(|it| it["operation"] == operation);
        records.count()
    };
    for operation in ["login", "complete_login"] {
        assert_eq!(of(operation), REFUSALS_IN_FULL as usize + 1, "{operation}");
    }
    assert!(
        audited
            .iter()
            .all(|it| it["details"]["challenge_id"].is_string())
    );
}
