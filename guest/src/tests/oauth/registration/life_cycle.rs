//! How long registrations last, and how many there can be.

use std::time::Duration;

use serde_json::{Value, json};

use super::{LOCAL, SITE, confidential, public, tokens};
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::dynamic_registration::{self, MAX_CLIENTS};
use crate::ports::{Expect, Mutation, Store};
use crate::storage::record;
use crate::tests::oauth::{Browser, Scene, operator, text};

const DAY: u64 = 24 * 60 * 60;
#[test]
fn the_same_registration_within_ten_minutes_gives_the_same_public_client() {
    let scene = Scene::new();
    let first = scene.registered(&public(LOCAL));
    scene.world.pass(9 * 60);
    assert_eq!(scene.registered(&public(LOCAL)), first);
    let mut other = public(LOCAL);
    other["client_name"] = json!("Other");
    assert_ne!(scene.registered(&other)["client_id"], first["client_id"]);
    let other = scene.registered(&public(SITE));
    assert_ne!(other["client_id"], first["client_id"]);
    let one = scene.registered(&confidential());
    let another = scene.registered(&confidential());
    assert_ne!(
        one["client_id"], another["client_id"],
        "each has its secret"
    );
    let delete = json!({"client_id": first["client_id"]});
    operator(&scene.world, "delete_client", delete);
    let again = scene.registered(&public(LOCAL));
    assert_ne!(
        again["client_id"], first["client_id"],
        "that one is deleted"
    );
    scene.world.pass(11 * 60);
    let late = scene.registered(&public(LOCAL));
    assert_ne!(late["client_id"], again["client_id"]);
}

#[test]
fn of_two_equal_registrations_at_once_the_store_keeps_one() {
    let scene = Scene::new();
    let key = {
        let probe = scene.world.fork();
        let probe = Scene {
            world: probe,
            client_id: String::new(),
        };
        probe.registered(&public(LOCAL));
        let entries = probe.world.entries();
        let found = entries
            .into_iter()
            .find(|(key, _)| key.starts_with("client-registration/"));
        found.unwrap().0
    };
    let other = scene.registered(&public(SITE));
    let id = serde_json::to_vec(&other["client_id"]).unwrap();
    let mut stored = scene
        .world
        .stored(&format!("client/{}", text(&other["client_id"])));
    let moved = String::from_utf8(stored.take().unwrap())
        .unwrap()
        .replace(SITE, LOCAL);
    scene.world.tamper(
        &format!("client/{}", text(&other["client_id"])),
        Some(moved.into_bytes()),
    );
    scene.world.overtaken_by.borrow_mut().push((key, id));
    let client = scene.registered(&public(LOCAL));
    assert_eq!(client["client_id"], other["client_id"]);
    assert_eq!(scene.count("client-by-registration/dynamic/"), 1);
}

/// A24.
#[test]
fn a_source_registers_ten_clients_a_minute_and_a_hundred_an_hour() {
    let scene = Scene::new();
    let register = |number: usize| {
        let uri = format!("https://site.example/{number}");
        scene.send("POST", "/register", &[], &public(&uri).to_string())
    };
    let mut number = 0;
    for minute in 0..10 {
        for _ in 0..10 {
            number += 1;
            assert_eq!(register(number).status, 201, "{minute} {number}");
        }
        let refused = register(0);
        assert_eq!(refused.status, 429);
        let wait = refused
            .headers
            .iter()
            .find(|(name, _)| name == "retry-after");
        assert_eq!(wait.unwrap().1, "60");
        scene.world.pass(60);
    }
    let refused = register(0);
    assert_eq!(refused.status, 429, "a hundred");
    let body: Value = serde_json::from_slice(&refused.body.unwrap()).unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
    scene.world.pass(60 * 60);
    assert_eq!(register(0).status, 201);
}

#[test]
fn there_are_places_for_ten_thousand_clients() {
    let scene = Scene::new();
    let place = |number: u16| Mutation {
        key: format!("client-by-registration/dynamic/{number}"),
        expect: Expect::Absent,
        put: Some(b"\"x\"".to_vec()),
        ttl_ms: Some(DAY * 1000),
    };
    let all: Vec<Mutation> = (0..MAX_CLIENTS).map(place).collect();
    scene.world.commit(&all).unwrap();
    let (status, error) = scene.register(&public(LOCAL));
    assert_eq!(
        (status, &error["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    scene.world.pass(DAY);
    assert_eq!(scene.register(&public(LOCAL)).0, 201);
}

#[test]
fn of_two_clients_that_find_the_same_place_free_the_store_gives_it_to_one() {
    let scene = Scene::new();
    let probe = Scene {
        world: scene.world.fork(),
        client_id: String::new(),
    };
    probe.registered(&public(LOCAL));
    let found = probe.world.entries().into_iter();
    let mut places = found.filter(|(key, _)| key.starts_with("client-by-registration/dynamic/"));
    let (place, _) = places.next().unwrap();
    let mut overtaken_by = scene.world.overtaken_by.borrow_mut();
    overtaken_by.push((place.clone(), b"\"another\"".to_vec()));
    drop(overtaken_by);
    scene.registered(&public(LOCAL));
    assert_eq!(scene.world.stored(&place), Some(b"\"another\"".to_vec()));
    assert_eq!(scene.count("client-by-registration/dynamic/"), 2);
}
#[test]
fn a_registration_that_is_not_used_ends_after_a_day() {
    let scene = Scene::new();
    let unused = scene.registered(&public(LOCAL));
    let shown = scene.of_client(&unused, LOCAL, &[]);
    scene.world.pass(DAY - 1);
    let browser = Browser::signed_in(&scene);
    assert_eq!(browser.get(&shown).status, 200);
    scene.world.pass(1);
    let page = browser.get(&shown);
    assert_eq!((page.status, page.header("location")), (400, ""));
    assert!(
        page.body.contains("not known here, or no longer"),
        "{}",
        page.body
    );
    // So that it registers again.
    let (status, error) = scene.exchange("x", &[("client_id", &text(&unused["client_id"]))]);
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
    assert_eq!(
        scene.count("client-by-registration/dynamic/"),
        0,
        "its place is free"
    );
}
#[test]
fn a_registration_that_is_used_lasts_for_90_days_from_each_use() {
    let mut scene = Scene::new();
    scene.world.settings.session_idle = Duration::from_secs(100 * DAY);
    scene.world.settings.session_absolute = Duration::from_secs(300 * DAY);
    let client = scene.registered(&public(LOCAL));
    let id = text(&client["client_id"]);
    let (_, tokens) = tokens(&scene, &client, LOCAL);
    let mut refresh_token = text(&tokens["refresh_token"]);
    for days in [1, 88, 89] {
        scene.world.pass(days * DAY);
        let (status, tokens) = scene.refresh(&refresh_token, &[("client_id", &id)]);
        assert_eq!(status, 200, "{tokens}");
        refresh_token = text(&tokens["refresh_token"]);
        assert_eq!(scene.count("client-by-registration/dynamic/"), 1);
    }
    // A mistake is no use.
    scene.world.pass(89 * DAY);
    assert_eq!(scene.refresh("x", &[("client_id", &id)]).0, 400);
    scene.world.pass(DAY);
    let (status, error) = scene.refresh(&refresh_token, &[("client_id", &id)]);
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
    assert_eq!(scene.count("client-by-registration/dynamic/"), 0);
}

#[test]
fn a_change_by_an_administrator_does_not_make_a_registration_last() {
    let scene = Scene::new();
    let client = scene.registered(&confidential());
    let id = json!({"client_id": client["client_id"]});
    let name = json!({"client_id": client["client_id"], "client_name": "Known site"});
    operator(&scene.world, "update_client", name);
    operator(&scene.world, "rotate_client_secret", id.clone());
    let listed = operator(&scene.world, "list_clients", json!({}));
    let listed = listed["clients"].as_array().unwrap();
    let find = |id: &Value| listed.iter().find(|it| it["client_id"] == *id).unwrap();
    assert_eq!(find(&client["client_id"])["registration"], "dynamic");
    assert_eq!(
        find(&json!(scene.client_id))["registration"],
        "pre_registered"
    );
    scene.world.pass(DAY);
    let listed = operator(&scene.world, "list_clients", json!({}));
    assert_eq!(listed["clients"].as_array().unwrap().len(), 1);
    let client = scene.registered(&confidential());
    let id = json!({"client_id": client["client_id"]});
    operator(&scene.world, "delete_client", id);
    assert_eq!(scene.count("client-by-registration/dynamic/"), 0);
}

#[test]
fn a_client_that_is_deleted_meanwhile_stays_deleted() {
    let scene = Scene::new();
    let client = scene.registered(&public(LOCAL));
    let client_id: ClientId = serde_json::from_value(client["client_id"].clone()).unwrap();
    let ports = scene.world.ports();
    let read = record::read::<Client>(Client::key(&client_id), &ports).unwrap();
    let id = json!({"client_id": client_id});
    operator(&scene.world, "delete_client", id);
    // The token request that began before has only now got its tokens.
    dynamic_registration::extend(&read.unwrap(), &scene.world.call()).unwrap();
    assert_eq!(scene.world.stored(&Client::key(&client_id)), None);
    assert_eq!(scene.count("client-by-registration/dynamic/"), 0);
}
