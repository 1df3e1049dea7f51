//! The administration of users.

use serde_json::{Value, json};

use super::{PASSWORD, bearer};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::username::Username;
use crate::testing::World;

#[test]
fn pages_of_users_are_complete_and_without_duplicates() {
    let world = World::new();
    for number in 0..23 {
        world.user(&format!("user{number}"), &[]);
    }
    world.user("someone", &[]);
    for (search, limit, expected, pages) in [
        (None, 7, 24, 4),
        (None, 8, 24, 3),
        (None, 100, 24, 1),
        (Some("USER"), 5, 23, 5),
        (Some("user1"), 3, 11, 4),
        (Some("one"), 1, 1, 1),
        (Some("nobody"), 1, 0, 1),
    ] {
        let mut names = Vec::new();
        let mut after = Value::Null;
        for page in 1.. {
            let mut input = json!({"limit": limit});
            if let Some(search) = search {
                input["search"] = json!(search);
            }
            if !after.is_null() {
                input["after"] = after;
            }
            let answer = world.operator("list_users", input).unwrap();
            let users = answer["users"].as_array().unwrap();
            assert!(users.len() <= limit);
            names.extend(users.iter().map(|user| user["username"].to_string()));
            after = answer["next"].clone();
            if after.is_null() {
                // A full page is followed by another one even if no remaining name
                // matches.
                assert!(
                    page == pages || page == pages + 1,
                    "{search:?} {limit}: {page}"
                );
                break;
            }
        }
        let found = names.len();
        names.sort();
        names.dedup();
        assert_eq!((found, names.len()), (expected, expected), "{search:?}");
    }
    for limit in [json!(0), json!(101), json!(-1), json!("101"), json!(1.5)] {
        let answer = world.operator("list_users", json!({"limit": limit}));
        assert_eq!(answer, Err(-32000), "{limit}");
    }
}

/// Adds users with these names and the account of `template`: registering them all would
/// take long.
fn add_copies(world: &World, names: impl Iterator<Item = String>) {
    let template = world.dump("account/");
    let template: Value = serde_json::from_str(&template).unwrap();
    for (number, name) in (1_u32..).zip(names) {
        let mut account = template.clone();
        let user_id = format!("{number:032x}");
        account["user_id"] = json!(user_id);
        account["username"] = json!(name);
        let value = account.to_string().into_bytes();
        world.tamper(&format!("account/{user_id}"), Some(value));
        let name = Username::try_from(name).unwrap();
        let record = json!({"user_id": user_id}).to_string().into_bytes();
        world.tamper(&Account::username_key(&name), Some(record));
    }
}

#[test]
fn a_search_continues_until_the_page_is_full_or_all_names_are_searched() {
    let world = World::new();
    world.user("template", &[]);
    add_copies(&world, (1..=5_000).map(|number| format!("copy{number}")));
    for (search, found) in [
        ("template", 1),
        ("nobody", 0),
        ("y4999", 1),
        ("copy499", 11),
    ] {
        let page = world
            .operator("list_users", json!({"search": search}))
            .unwrap();
        assert_eq!(page["users"].as_array().unwrap().len(), found, "{search}");
        assert_eq!(page["next"], Value::Null, "{search}");
    }
    let page = world.operator("list_users", json!({"search": "copy", "limit": 7}));
    let page = page.unwrap();
    assert_eq!(page["users"].as_array().unwrap().len(), 7);
    assert!(page["next"].is_string());
}

#[test]
fn one_search_call_examines_100_000_names_and_returns_a_cursor() {
    let world = World::new();
    world.user("template", &[]);
    // Their records sort before that of the searched name.
    add_copies(&world, (0..100_000).map(|number| format!("a{number}")));
    let page = world.operator("list_users", json!({"search": "template"}));
    let page = page.unwrap();
    assert_eq!(page["users"], json!([]));
    let input = json!({"search": "template", "after": page["next"]});
    let page = world.operator("list_users", input).unwrap();
    assert_eq!(page["users"][0]["username"], "template");
    assert_eq!(page["next"], Value::Null);
}

#[test]
fn search_texts_match_the_canonical_form_of_names() {
    let world = World::new();
    world.user("ren\u{e9}e", &[]);
    for search in ["n\u{e9}", "ne\u{301}", "NE\u{301}", "\u{ff2e}\u{c9}"] {
        let page = world
            .operator("list_users", json!({"search": search}))
            .unwrap();
        assert_eq!(page["users"].as_array().unwrap().len(), 1, "{search}");
    }
}

#[test]
fn searches_find_names_too_long_for_a_store_key_page_by_page() {
    let world = World::new();
    let long = |first: &str| format!("{first}{}", "\u{ae40}".repeat(200));
    for first in ["a", "b", "c"] {
        world.user(&long(first), &[]);
    }
    world.user("longing", &[]);
    let mut found = Vec::new();
    let mut input = json!({"search": " \u{ae40}\u{ae40} ", "limit": 1});
    for _ in 0..4 {
        let page = world.operator("list_users", input.clone()).unwrap();
        let users = page["users"].as_array().unwrap();
        found.extend(users.iter().map(|user| user["username"].to_string()));
        match page["next"].is_null() {
            true => break,
            false => input["after"] = page["next"].clone(),
        }
    }
    found.sort();
    let expected = ["a", "b", "c"].map(|first| json!(long(first)).to_string());
    assert_eq!(found, expected);
}

#[test]
fn cursors_that_were_never_issued_are_refused() {
    let world = World::new();
    let long = "a".repeat(504);
    for (after, search) in [
        ("not an id", None),
        ("", Some("a")),
        ("a b", Some("a")),
        ("../", Some("a")),
        ("a.b", Some("a")),
        (long.as_str(), Some("a")),
    ] {
        let input = json!({"after": after, "search": search});
        assert_eq!(world.operator("list_users", input), Err(-32000), "{after}");
    }
}

#[test]
fn get_user_returns_live_sessions_and_no_secrets() {
    let world = World::new();
    let first = world.user("bob", &["billing:read"]);
    world.login("bob");
    let shown = world.get_user("bob");
    assert_eq!(shown["sessions"], 2);
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["roles"], json!(["role-of-bob"]));
    let text = shown.to_string();
    assert!(
        !text.contains("argon2") && !text.contains("password"),
        "{text}"
    );
    let input = json!({"access_token": first["access_token"]});
    world.run("logout", input).unwrap();
    assert_eq!(world.get_user("bob")["sessions"], 1);
    let disable = json!({"username": "bob"});
    world.operator("disable_user", disable.clone()).unwrap();
    assert_eq!(world.get_user("bob")["sessions"], 0);
    world.operator("enable_user", disable).unwrap();
    for _ in 0..101 {
        world.login("bob");
    }
    assert_eq!(world.get_user("bob")["sessions"], 100);
}

#[test]
fn users_can_log_in_again_after_an_administrator_ends_all_their_sessions() {
    let world = World::new();
    let root = world.admin("root");
    let bob = [world.user("bob", &[]), world.login("bob")];
    let input = json!({"username": "bob"});
    let ended = world.run_as(bearer(&root), "revoke_user_sessions", input);
    assert_eq!(ended.unwrap()["status"], "active");
    for tokens in &bob {
        assert!(!world.is_active(tokens));
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        assert_eq!(world.run("refresh_token", refresh), Err(-32001));
    }
    assert!(world.is_active(&world.login("bob")));
    assert!(world.is_active(&root));
}

#[test]
fn disabling_a_user_ends_all_sessions_for_good() {
    let world = World::new();
    let root = world.admin("root");
    let bob = world.user("bob", &["billing:read", "user-auth:users:read"]);
    let key = world.api_key("bob", &["*"]);
    let list = |principal| world.run_as(principal, "list_users", json!({}));
    let refresh = || {
        let input = json!({"refresh_token": bob["refresh_token"]});
        world.run("refresh_token", input)
    };
    assert!(list(bearer(&bob)).is_ok());
    assert!(list(key.clone()).is_ok());

    let input = json!({"username": "bob"});
    let disabled = world.run_as(bearer(&root), "disable_user", input.clone());
    assert_eq!(disabled.unwrap()["status"], "disabled");
    assert!(!world.is_active(&bob));
    assert_eq!(list(bearer(&bob)), Err(-32001));
    assert_eq!(list(key.clone()), Err(-32001));
    assert_eq!(refresh(), Err(-32001));
    assert_eq!(
        world.refusal("bob", PASSWORD),
        world.refusal("bob", "not the password at all")
    );
    assert_eq!(
        world.refusal("bob", PASSWORD),
        world.refusal("nobody", "not the password at all")
    );

    let enabled = world.run_as(bearer(&root), "enable_user", input);
    assert_eq!(enabled.unwrap()["status"], "active");
    assert!(!world.is_active(&bob));
    assert_eq!(refresh(), Err(-32001));
    assert!(world.is_active(&world.login("bob")));
    assert!(list(key).is_ok());
}

#[test]
fn a_login_to_a_disabled_account_leaves_the_same_traces_as_a_wrong_password() {
    let traces = |disabled: bool, password: &str| {
        let world = World::new();
        world.user("bob", &[]);
        world
            .operator("disable_user", json!({"username": "bob"}))
            .unwrap();
        if !disabled {
            world
                .operator("enable_user", json!({"username": "bob"}))
                .unwrap();
        }
        world.audited.take();
        let codes: Vec<i32> = (0..11)
            .map(|_| world.refusal("bob", password)["code"].as_i64().unwrap() as i32)
            .collect();
        let audited = world.audited.take();
        let outcomes: Vec<Value> = audited.iter().map(|it| it["outcome"].clone()).collect();
        (codes, outcomes, world.dump("throttle/"))
    };
    assert_eq!(
        traces(true, PASSWORD),
        traces(false, "not the password at all")
    );
}

#[test]
fn logins_to_disabled_accounts_do_not_rehash_the_password() {
    let mut world = World::new();
    world.user("bob", &[]);
    world
        .operator("disable_user", json!({"username": "bob"}))
        .unwrap();
    world.settings.argon2_iterations = 3;
    let before = world.dump("account/");
    world.refusal("bob", PASSWORD);
    assert_eq!(world.dump("account/"), before);
}

#[test]
fn administrators_cannot_disable_themselves_or_more_privileged_users() {
    let world = World::new();
    let root = world.admin("root");
    let helpdesk = world.user("helpdesk", &["user-auth:users:*"]);
    world.user("bob", &["billing:read"]);
    world.user("carol", &["user-auth:users:read"]);
    for operation in [
        "disable_user",
        "enable_user",
        "unlock_user",
        "revoke_user_sessions",
        "reset_second_factor",
        "delete_user",
    ] {
        let by = |tokens: &Value, username: &str| {
            let input = json!({"username": username});
            world.run_as(bearer(tokens), operation, input).map(|_| ())
        };
        assert_eq!(by(&root, "root"), Err(-32000), "{operation}");
        assert_eq!(by(&helpdesk, "helpdesk"), Err(-32000), "{operation}");
        assert_eq!(by(&helpdesk, "root"), Err(-32002), "{operation}");
        assert_eq!(by(&helpdesk, "bob"), Err(-32002), "{operation}");
        assert_eq!(by(&helpdesk, "carol"), Ok(()), "{operation}");
    }
    let key = world.api_key("root", &["*"]);
    let own = json!({"username": "root"});
    assert_eq!(world.run_as(key, "disable_user", own.clone()), Err(-32000));
    assert!(world.operator("disable_user", own).is_ok());
}

#[test]
fn deleting_a_user_releases_the_name_and_its_tokens_stay_invalid() {
    let world = World::new();
    let old = world.user("bob", &["billing:read", "user-auth:users:read"]);
    let key = world.api_key("bob", &["*"]);
    let old_id = world.get_user("bob")["user_id"].clone();
    let bob = json!({"username": "bob"});
    world.operator("delete_user", bob.clone()).unwrap();
    assert_eq!(world.operator("delete_user", bob), Err(-32000));
    assert_eq!(
        world.refusal("bob", PASSWORD),
        world.refusal("nobody", PASSWORD)
    );
    let new = world.user("bob", &[]);
    let found = world.get_user("bob");
    assert_ne!(found["user_id"], old_id);
    assert_eq!(
        (&found["roles"], &found["sessions"]),
        (&json!([]), &json!(1))
    );
    assert!(world.is_active(&new));
    assert!(!world.is_active(&old));
    let input = json!({"refresh_token": old["refresh_token"]});
    assert_eq!(world.run("refresh_token", input), Err(-32001));
    assert_eq!(world.run_as(key, "list_users", json!({})), Err(-32001));
    // The audit trail of the deleted account is kept.
    let chain = world.dump(&format!("audit/{}/", old_id.as_str().unwrap()));
    assert!(chain.contains("\"register\"") && chain.contains("\"delete_user\""));
}
