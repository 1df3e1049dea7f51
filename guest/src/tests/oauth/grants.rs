//! Connected apps: what clients may do for an account, as operations and as a page.

use std::cell::Cell;

use super::*;
use crate::domain::caller::{Caller, Source};
use crate::testing;
use crate::tests::authority::Overtaken;
use crate::types::secret::Secret;

const SESSION_COOKIE: &str = "__Host-user-auth-session";

fn register(scene: &Scene, username: &str) -> String {
    let user = json!({"username": username, "password": PASSWORD});
    text(&scene.world.run("register", user).unwrap()["user_id"])
}

fn log_in(scene: &Scene, username: &str) -> Principal {
    let credentials = json!({"username": username, "password": PASSWORD});
    let tokens = scene.world.run("login", credentials).unwrap();
    Principal::AccessToken(Secret::new(text(&tokens["access_token"])))
}

fn grants(scene: &Scene, owner: &Principal) -> Vec<Value> {
    let listed = scene
        .world
        .run_as(owner.clone(), "list_grants", json!({}))
        .unwrap();
    listed["grants"].as_array().unwrap().clone()
}

/// Begins another delegation of a user who is signed in.
fn delegate(scene: &Scene, browser: &Browser, changes: &[(&str, &str)]) -> Value {
    let code = browser.code(&scene.query(changes));
    let (status, tokens) = scene.exchange(&code, changes);
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn is_alive(scene: &Scene, tokens: &Value) -> bool {
    let verify = json!({"token": tokens["access_token"], "audience": FILES});
    let verified = scene.world.run("verify_token", verify).unwrap();
    verified["active"] == true
}

fn revoke(browser: &Browser, client_id: &str, form_token: &str) -> Page {
    let fields = [("form_token", form_token), ("client_id", client_id)];
    browser.post("/apps", &fields)
}

/// Returns how the page shows a time.
fn to_the_minute(time: &str) -> String {
    let (day, clock) = (&time[..10], &time[11..16]);
    format!("<time datetime=\"{time}\">{day} {clock} UTC</time>")
}

fn another_client(scene: &Scene) -> String {
    let client = json!({"client_name": "Pad", "redirect_uris": [REDIRECT]});
    text(&operator(&scene.world, "create_client", client)["client_id"])
}

#[test]
fn one_button_takes_all_access_of_an_app_away_and_that_of_no_other() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let first = delegate(&scene, &browser, &[]);
    scene.world.pass(86_400);
    let second = delegate(&scene, &browser, &[]);
    let pad = another_client(&scene);
    let other = delegate(&scene, &browser, &[("client_id", &pad)]);

    let page = browser.get("/apps");
    assert_eq!(page.status, 200);
    let owner = log_in(&scene, "alice");
    let listed = grants(&scene, &owner);
    let desk = |grant: &&Value| grant["client_id"] == scene.client_id.as_str();
    let mut agreed: Vec<String> = listed
        .iter()
        .filter(desk)
        .map(|grant| text(&grant["granted_at"]))
        .collect();
    agreed.sort();
    let [since, last_used] = agreed.try_into().unwrap();
    assert_ne!(since, last_used);
    for shown in [
        "Files",
        FILES,
        "Read your files",
        "Pad",
        &to_the_minute(&since),
        &to_the_minute(&last_used),
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(
        page.body.contains("Desk &#60;b&#62;") && !page.body.contains("<b>"),
        "a name is no markup"
    );
    assert!(!page.body.contains("Change your files"), "not agreed to");
    assert!(
        !page.body.contains("unverified"),
        "an administrator vouches for both"
    );
    assert_eq!(page.body.matches("<section").count(), 2, "one for each app");

    let page = revoke(&browser, &scene.client_id, &page.field("form_token"));
    assert_eq!((page.status, page.header("location")), (303, "/apps"));
    for tokens in [&first, &second] {
        assert!(!is_alive(&scene, tokens));
        let (_, refused) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
        assert_eq!(refused["error"], "invalid_grant");
    }
    assert!(is_alive(&scene, &other));
    let page = browser.get("/apps");
    assert!(!page.body.contains("Desk") && page.body.contains("Pad"));

    let audited = scene.world.audited.borrow();
    let mut records = audited
        .iter()
        .filter(|record| record["operation"] == "revoke_grant");
    let record = records.next().unwrap();
    assert!(records.next().is_none());
    assert_eq!(record["outcome"], "success");
    let details = &record["details"];
    assert_eq!(details["client_id"], scene.client_id.as_str());
    assert_eq!(details["resources"], json!([FILES]));
    assert_eq!(details["grant_ids"].as_array().unwrap().len(), 2);
}

#[test]
fn the_page_is_shown_to_its_user_after_signing_in() {
    let scene = Scene::new();
    let mut browser = Browser::new(&scene);
    browser.language = "de";
    let page = browser.get("/apps");
    assert_eq!(page.field("return_to"), "/apps");
    let page = browser.sign_in(&page, "alice", PASSWORD);
    assert_eq!((page.status, page.header("location")), (303, "/apps"));
    let page = browser.get("/apps");
    assert!(page.body.contains("Keine App hat Zugriff"), "{}", page.body);
    assert!(browser.get("/sign-in").body.contains("href=\"/apps\""));
    let consent = browser.get(&format!("/authorize?{}", scene.query(&[])));
    assert!(consent.body.contains("href=\"/apps\""));
}

/// A14, A45.
#[test]
fn the_page_cannot_be_framed_cached_or_read_by_others() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let page = browser.get("/apps");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"));
    assert_eq!(page.header("cache-control"), "no-store");
    let is_cors = |(name, _): &(String, String)| name.starts_with("access-control");
    assert!(!page.headers.iter().any(is_cors));
    assert!(!page.body.contains("<script"));
}

/// A13, A41.
#[test]
fn access_is_taken_away_only_by_the_form_of_its_user_in_the_same_browser() {
    let scene = Scene::new();
    register(&scene, "bob");
    let browser = Browser::signed_in(&scene);
    let tokens = delegate(&scene, &browser, &[]);
    let form_token = browser.get("/apps").field("form_token");
    let foreign = Browser::new(&scene);
    let foreign_token = foreign.get("/sign-in").field("form_token");
    for token in ["", "x", &foreign_token] {
        let page = revoke(&browser, &scene.client_id, token);
        assert_eq!(page.status, 403, "{token}");
    }
    let form = encode(&[("form_token", &form_token), ("client_id", &scene.client_id)]);
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", ISSUER)],
        &[("origin", "https://evil.example")],
    ] {
        let page = browser.request("POST", "/apps", headers, &form);
        assert_eq!(page.status, 403, "{headers:?}");
    }
    assert!(is_alive(&scene, &tokens));

    // The session ends in another way: its user has to sign in, and to decide again.
    let cookie = browser.cookies.borrow()[SESSION_COOKIE].clone();
    let logout = json!({"refresh_token": cookie});
    scene.world.run("logout", logout).unwrap();
    let page = revoke(&browser, &scene.client_id, &form_token);
    assert_eq!((page.status, page.header("location")), (303, "/apps"));
    let page = browser.get("/apps");
    assert!(page.body.contains("name=\"password\""));
    assert!(is_alive(&scene, &tokens));

    // Another user signs in while the page is open.
    assert_eq!(browser.sign_in(&page, "alice", PASSWORD).status, 303);
    let form_token = browser.get("/apps").field("form_token");
    let page = browser.get("/sign-in?return_to=%2Fauthorize%3Fx");
    assert_eq!(browser.sign_in(&page, "bob", PASSWORD).status, 303);
    assert_eq!(
        revoke(&browser, &scene.client_id, &form_token).status,
        403,
        "Bob has not seen what Alice was shown"
    );
    assert!(is_alive(&scene, &tokens));
}

#[test]
fn nobody_but_an_administrator_sees_or_ends_the_grants_of_another() {
    let scene = Scene::new();
    let world = &scene.world;
    let tokens = scene.tokens();
    let grant_id = &claims(&tokens["access_token"])["sid"];
    let alice = claims(&tokens["access_token"])["sub"].clone();
    register(&scene, "bob");
    let bob = log_in(&scene, "bob");
    let by_bob = |operation: &str, input: Value| world.run_as(bob.clone(), operation, input);
    let of_alice = json!({"user_id": alice});

    assert!(grants(&scene, &bob).is_empty());
    assert_eq!(by_bob("list_grants", of_alice.clone()), Err(-32002));
    for input in [
        json!({"grant_id": grant_id}),
        json!({"grant_id": "0".repeat(32)}),
    ] {
        assert_eq!(by_bob("revoke_grant", input), Err(-32000), "not found");
    }
    let none = by_bob("revoke_grant", json!({"client_id": scene.client_id})).unwrap();
    assert_eq!(none, json!({"grant_ids": []}), "he has none");
    let named = json!({"grant_id": grant_id, "user_id": alice});
    assert_eq!(by_bob("revoke_grant", named.clone()), Err(-32002));
    let browser = Browser::new(&scene);
    assert_eq!(
        browser
            .sign_in(&browser.get("/apps"), "bob", PASSWORD)
            .status,
        303
    );
    let page = browser.get("/apps");
    assert!(!page.body.contains("Desk"));
    let form_token = browser.get("/sign-in").field("form_token");
    revoke(&browser, &scene.client_id, &form_token);
    // Nor does a client, nor a caller without an account.
    let client = Principal::AccessToken(Secret::new(text(&tokens["access_token"])));
    for operation in ["list_grants", "revoke_grant"] {
        let input = json!({"client_id": scene.client_id});
        let input = if operation == "list_grants" {
            json!({})
        } else {
            input
        };
        assert_eq!(world.run(operation, input.clone()), Err(-32001));
        assert_eq!(
            world.run_as(client.clone(), operation, input),
            Err(-32001),
            "{operation}"
        );
    }
    assert!(is_alive(&scene, &tokens));

    let role = json!({"role": "support", "permissions": ["user-auth:users:*"]});
    operator(world, "define_role", role);
    let assign = |user: &str, role: &str| json!({"username": user, "role": role});
    operator(world, "assign_role", assign("bob", "support"));
    operator(world, "assign_role", assign("alice", "admin"));
    let listed = by_bob("list_grants", of_alice).unwrap();
    assert_eq!(&listed["grants"][0]["grant_id"], grant_id);
    assert_eq!(
        by_bob("revoke_grant", named),
        Err(-32002),
        "Alice may do more than Bob"
    );
    assert!(is_alive(&scene, &tokens));
    operator(world, "revoke_role", assign("alice", "admin"));
    let by_name = json!({"client_id": scene.client_id, "username": "alice"});
    let revoked = by_bob("revoke_grant", by_name).unwrap();
    assert_eq!(revoked["grant_ids"], json!([grant_id]));
    assert!(!is_alive(&scene, &tokens));
}

#[test]
fn a_grant_ends_alone_by_its_id_and_is_no_login() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let first = delegate(&scene, &browser, &[]);
    let second = delegate(&scene, &browser, &[]);
    let owner = log_in(&scene, "alice");
    let run = |operation: &str, input: Value| scene.world.run_as(owner.clone(), operation, input);
    let listed = grants(&scene, &owner);
    assert_eq!(listed.len(), 2);
    let sessions = run("list_sessions", json!({})).unwrap();
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "the browser and the tool: {sessions:?}");
    let grant_id = claims(&first["access_token"])["sid"].clone();
    assert!(
        listed
            .iter()
            .any(|grant| grant["grant_id"] == grant_id && grant["client_name"] == "Desk <b>")
    );
    for input in [
        json!({}),
        json!({"grant_id": grant_id, "client_id": scene.client_id}),
    ] {
        assert_eq!(run("revoke_grant", input), Err(-32000), "not one of both");
    }
    let input = json!({"grant_id": grant_id});
    run("revoke_grant", input.clone()).unwrap();
    assert!(!is_alive(&scene, &first) && is_alive(&scene, &second));
    assert_eq!(run("revoke_grant", input), Err(-32000), "it has ended");
    assert_eq!(grants(&scene, &owner).len(), 1);
    let client = json!({"client_id": scene.client_id});
    operator(&scene.world, "delete_client", client);
    assert!(grants(&scene, &owner).is_empty(), "it ends with its client");
}

/// A25: a code that is on its way must not bring the access back.
#[test]
fn a_client_without_access_cannot_exchange_a_code_of_before() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    delegate(&scene, &browser, &[]);
    let code = browser.code(&scene.query(&[]));
    scene.world.pass(1);
    let form_token = browser.get("/apps").field("form_token");
    revoke(&browser, &scene.client_id, &form_token);
    let (_, refused) = scene.exchange(&code, &[]);
    assert_eq!(refused["error"], "invalid_grant");
    scene.world.pass(1);
    let again = delegate(&scene, &browser, &[]);
    assert!(is_alive(&scene, &again), "the user has agreed again");
}

/// Access ends while a code is exchanged: the exchange notices at its commit.
#[test]
fn a_first_code_stops_working_with_the_access_of_its_client() {
    let scene = Scene::new();
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let alice = log_in(&scene, "alice");
    let input = json!({"client_id": scene.client_id});
    let revoked = scene.world.run_as(alice, "revoke_grant", input).unwrap();
    assert_eq!(revoked, json!({"grant_ids": []}));
    assert_eq!(scene.exchange(&code, &[]).1["error"], "invalid_grant");
}

#[test]
fn an_exchange_that_the_end_of_access_overtakes_gives_none() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let tokens = delegate(&scene, &browser, &[]);
    let user_id = text(&claims(&tokens["access_token"])["sub"]);
    let code = browser.code(&scene.query(&[]));
    let head = format!("audit-head/{user_id}");
    let revoked = format!("authorization-codes-revoked/{user_id}/{}", scene.client_id);
    let now = serde_json::to_vec(&scene.world.now_ms.get()).unwrap();
    // The same head under another version.
    let same = scene.world.stored(&head).unwrap();
    scene
        .world
        .overtaken_by
        .replace(vec![(head, same), (revoked, now)]);
    let (_, refused) = scene.exchange(&code, &[]);
    assert_eq!(refused["error"], "invalid_grant");
}

/// A code is exchanged while access ends, at any point of it.
#[test]
fn the_end_of_access_that_an_exchange_overtakes_leaves_none() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    delegate(&scene, &browser, &[]);
    let code = browser.code(&scene.query(&[]));
    let owner = log_in(&scene, "alice");
    let caller = Caller {
        principal: owner.clone(),
        source: Source::from_peer(Some("192.0.2.1")),
    };
    let mut exchanges = Vec::new();
    loop {
        let scene = Scene {
            world: scene.world.fork(),
            client_id: scene.client_id.clone(),
        };
        let exchanged = RefCell::new(None);
        let happens = || {
            exchanged.replace(Some(scene.exchange(&code, &[])));
        };
        let store = Overtaken {
            world: &scene.world,
            calls: Cell::new(0),
            at: exchanges.len(),
            happens: Cell::new(Some(&happens)),
        };
        let call = scene.world.call_over(&caller, &store);
        let input = json!({"client_id": scene.client_id});
        testing::invoke("revoke_grant", input, &call).unwrap();
        let Some((status, tokens)) = exchanged.take() else {
            break;
        };
        assert!(
            status == 400 || !is_alive(&scene, &tokens),
            "{}",
            exchanges.len()
        );
        assert!(grants(&scene, &owner).is_empty(), "{}", exchanges.len());
        exchanges.push(status);
    }
    assert!(exchanges.contains(&200), "{exchanges:?}");
}

#[test]
fn any_number_of_grants_is_shown_and_ends_with_one_button() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    for _ in 0..100 {
        delegate(&scene, &browser, &[]);
    }
    let pad = another_client(&scene);
    let last = delegate(&scene, &browser, &[("client_id", &pad)]);
    delegate(&scene, &browser, &[]);
    let page = browser.get("/apps");
    let (_, next) = page.body.split_once("href=\"/apps?").unwrap();
    let next = format!("/apps?{}", next.split('"').next().unwrap());
    let more = browser.get(&next.replace("&#38;", "&"));
    assert_eq!(more.status, 200);
    let pages = [page.body.as_str(), &more.body].concat();
    assert!(pages.contains("Pad") && pages.contains("Desk"));
    revoke(&browser, &scene.client_id, &page.field("form_token"));
    let owner = log_in(&scene, "alice");
    assert_eq!(grants(&scene, &owner).len(), 1);
    assert!(is_alive(&scene, &last));
}
