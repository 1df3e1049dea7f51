//! The pages: signing in, deciding, signing out.

use serde_json::{Value, json};

use super::{Browser, ISSUER, PASSWORD, Page, Scene, claims, text};
use crate::domain::caller::Principal;
use crate::oauth::parameters::encode;
use crate::tests::second_factor::shown;

/// A12, A13.
#[test]
fn forms_are_taken_only_from_the_page_and_the_browser_that_they_were_shown_in() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    let page = browser.get("/sign-in");
    let token = page.field("form_token");
    let credentials = [("username", "alice"), ("password", PASSWORD)];
    let with = |token: &str| encode(&[&[("form_token", token)], &credentials[..]].concat());
    let post = |browser: &Browser, form: &str| {
        let headers = [("sec-fetch-site", "same-origin")];
        browser.request("POST", "/sign-in", &headers, form).status
    };
    let foreign = Browser::new(&scene);
    foreign.get("/sign-in");
    assert_eq!(post(&foreign, &with(&token)), 403, "another browser");
    assert_eq!(post(&Browser::new(&scene), &with(&token)), 403);
    assert_eq!(post(&browser, &encode(&credentials)), 403, "no token");
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", ISSUER)],
        &[("origin", "https://evil.example")],
    ] {
        let page = browser.request("POST", "/sign-in", headers, &with(&token));
        assert_eq!(page.status, 403, "{headers:?}");
    }
    assert_eq!(post(&browser, &with(&token)), 303);
}

/// A13, A16.
#[test]
fn a_decision_is_of_one_user_about_one_request_and_counts_once() {
    let scene = Scene::new();
    let bob = json!({"username": "bob", "password": PASSWORD});
    scene.world.run("register", bob).unwrap();
    let browser = Browser::signed_in(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    let page = browser.get(&target);
    let fields = |page: &Page| {
        [
            ("request", page.field("request")),
            ("consent_token", page.field("consent_token")),
        ]
    };
    let [request, token] = fields(&page);
    let body = encode(&[
        (request.0, &request.1),
        (token.0, &token.1),
        ("decision", "allow"),
        ("scope", "files:read"),
    ]);
    for headers in [
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example")],
    ] {
        let page = browser.request("POST", "/consent", headers, &body);
        assert_eq!(page.status, 403, "{headers:?}");
    }
    let other = scene.query(&[("state", "other")]);
    let swapped = [
        ("request", &*other),
        ("consent_token", &token.1),
        ("decision", "allow"),
    ];
    assert_eq!(
        browser.post("/consent", &swapped).status,
        403,
        "of another request"
    );
    let none = [("request", &*request.1), ("decision", "allow")];
    assert_eq!(browser.post("/consent", &none).status, 403);

    let again = browser.get(&format!("/sign-in?{}", encode(&[("return_to", &target)])));
    assert_eq!(browser.sign_in(&again, "bob", PASSWORD).status, 303);
    let late = browser.decide(&page, "allow", &["files:read"]);
    assert_eq!(
        late.status, 403,
        "Bob is not asked for what Alice was shown"
    );

    let page = browser.get(&target);
    assert!(page.body.contains("bob"));
    let first = browser.decide(&page, "allow", &["files:read"]);
    assert!(first.answer().first("code").is_some());
    let second = browser.decide(&page, "allow", &["files:read"]);
    assert_eq!((second.status, second.header("location")), (400, ""));
    let page = browser.get(&target);
    scene.world.pass(601);
    assert_eq!(
        browser.decide(&page, "allow", &["files:read"]).status,
        403,
        "too late"
    );
}

#[test]
fn the_user_can_deny_all_or_some_of_it() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    for (decision, scopes) in [
        ("deny", &["files:read"][..]),
        ("", &["files:read"]),
        ("allow", &[]),
    ] {
        let page = browser.get(&target);
        let answer = browser.decide(&page, decision, scopes).answer();
        assert_eq!(answer.first("error"), Some("access_denied"));
        assert_eq!(answer.first("iss"), Some(ISSUER));
        assert_eq!(answer.first("state"), Some("a state"));
    }
    let audited = scene.world.audited.borrow();
    let denials = audited.iter().filter(|record| {
        record["operation"] == "authorize_client" && record["outcome"] == "access_denied"
    });
    assert_eq!(denials.count(), 3);
}

/// A17.
#[test]
fn each_sign_in_begins_a_new_session_and_ends_the_one_before() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let before = browser.cookies.borrow()["__Host-user-auth-session"].clone();
    let page = browser.get("/sign-in?return_to=%2Fauthorize%3Fx");
    assert_eq!(browser.sign_in(&page, "alice", PASSWORD).status, 303);
    let after = browser.cookies.borrow()["__Host-user-auth-session"].clone();
    assert_ne!(before, after);
    let old = Browser::new(&scene);
    let name = "__Host-user-auth-session".to_owned();
    old.cookies.borrow_mut().insert(name, before);
    assert!(old.get("/sign-in").body.contains("name=\"password\""));
    assert!(browser.get("/sign-in").body.contains("You are signed in"));
}

/// A25: the browser never exchanges its cookie, so a token that was exchanged is a copy.
#[test]
fn a_cookie_that_somebody_has_exchanged_ends_its_session() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let stolen = browser.cookies.borrow()["__Host-user-auth-session"].clone();
    let exchange = |token: &str| {
        scene
            .world
            .run("refresh_token", json!({"refresh_token": token}))
    };
    let thief = exchange(&stolen).unwrap();
    assert!(browser.get("/sign-in").body.contains("name=\"password\""));
    assert!(exchange(&stolen).is_ok(), "the grace is not over");
    scene.world.pass(120);
    assert!(browser.get("/sign-in").body.contains("name=\"password\""));
    assert_eq!(exchange(&text(&thief["refresh_token"])), Err(-32001));
}

#[test]
fn wrong_passwords_are_throttled_and_recorded_as_those_of_the_tool() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    for _ in 0..10 {
        let page = browser.get("/sign-in");
        let page = browser.sign_in(&page, "alice", "wrong");
        assert_eq!(page.status, 400);
        assert!(page.body.contains("password is wrong") && !page.body.contains("value=\"wrong\""));
    }
    let page = browser.get("/sign-in");
    let page = browser.sign_in(&page, "alice", PASSWORD);
    assert_eq!(page.status, 429);
    assert_eq!(page.header("retry-after"), "900");
    let credentials = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(
        scene.world.run("login", credentials),
        Err(-32003),
        "one count for both"
    );
    let audited = scene.world.audited.borrow();
    assert!(
        audited
            .iter()
            .any(|record| record["outcome"] == "invalid_credentials")
    );
}

#[test]
fn a_second_factor_is_asked_for_and_counts() {
    let scene = Scene::new();
    let world = &scene.world;
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let session = world.run("login", credentials).unwrap();
    let by_alice = |operation: &str, input: Value| {
        let token = crate::types::secret::Secret::new(text(&session["access_token"]));
        world
            .run_as(Principal::AccessToken(token), operation, input)
            .unwrap()
    };
    let app = text(&by_alice("enroll_totp", json!({}))["secret"]);
    let step = || world.now_ms.get() / 30_000;
    by_alice("confirm_totp", json!({"code": shown(&app, step())}));
    world.pass(30);

    let browser = Browser::new(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    let page = browser.get(&target);
    let page = browser.sign_in(&page, "alice", PASSWORD);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("one-time-code"));
    assert!(
        browser.get("/sign-in").body.contains("name=\"password\""),
        "not yet"
    );
    let second = |code: &str| {
        let (form_token, return_to) = (page.field("form_token"), page.field("return_to"));
        let challenge = page.field("challenge");
        let fields = [
            ("form_token", form_token.as_str()),
            ("return_to", return_to.as_str()),
            ("challenge", challenge.as_str()),
            ("code", code),
        ];
        browser.post("/sign-in/second", &fields)
    };
    let wrong = second("000000");
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("does not work"));
    let right = second(&shown(&app, step()));
    assert_eq!((right.status, right.header("location")), (303, &*target));
    let code = browser.code(&scene.query(&[]));
    let (_, tokens) = scene.exchange(&code, &[]);
    assert_eq!(claims(&tokens["access_token"])["acr"], "aal2");
}

#[test]
fn a_user_can_sign_out() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let cookie = browser.cookies.borrow()["__Host-user-auth-session"].clone();
    let page = browser.get("/sign-in");
    assert_eq!(
        browser.post("/sign-out", &[("form_token", "x")]).status,
        403
    );
    let page = browser.post("/sign-out", &[("form_token", &page.field("form_token"))]);
    assert_eq!((page.status, page.header("location")), (303, "/sign-out"));
    assert!(browser.get("/sign-out").body.contains("You are signed out"));
    let name = "__Host-user-auth-session".to_owned();
    browser.cookies.borrow_mut().insert(name, cookie);
    assert!(
        browser.get("/sign-in").body.contains("name=\"password\""),
        "the session is over"
    );
}

/// A43.
#[test]
fn signing_in_leads_only_to_pages_of_this_service() {
    let scene = Scene::new();
    for target in [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "https://evil.example/authorize?x",
        "/sign-out",
        "/authorize",
        "/authorize?x\\y",
        "/authorizeevil?x",
        "/apps/",
        "/apps?after=x",
        "/apps.evil.example",
    ] {
        let browser = Browser::new(&scene);
        let page = browser.get(&format!("/sign-in?{}", encode(&[("return_to", target)])));
        let fields = [
            ("form_token", &*page.field("form_token")),
            ("return_to", target),
            ("username", "alice"),
            ("password", PASSWORD),
        ];
        let page = browser.post("/sign-in", &fields);
        assert_eq!(
            (page.status, page.header("location")),
            (303, "/sign-in"),
            "{target}"
        );
    }
}

/// A14, A45, AS-23b.
#[test]
fn pages_cannot_be_framed_cached_or_read_by_others() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let consent = format!("/authorize?{}", scene.query(&[]));
    for (target, has_form_action) in [
        ("/sign-in", true),
        ("/sign-in?return_to=%2Fauthorize%3Fx", true),
        ("/authorize?client_id=x", true),
        (consent.as_str(), false),
    ] {
        let page = browser.get(target);
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{target}");
        assert!(policy.contains("frame-ancestors 'none'"), "{target}");
        assert_eq!(
            policy.contains("form-action 'self'"),
            has_form_action,
            "{target}"
        );
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("strict-transport-security"), "max-age=31536000");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        let is_cors = |(name, _): &(String, String)| name.starts_with("access-control");
        assert!(!page.headers.iter().any(is_cors));
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(!page.body.contains("<script") && page.body.len() < 30 << 10);
    }
}

#[test]
fn pages_speak_the_language_of_the_browser_or_of_the_client() {
    let scene = Scene::new();
    let mut browser = Browser::new(&scene);
    browser.language = "de-CH,de;q=0.9";
    let page = browser.get("/sign-in");
    assert!(page.body.contains("<html lang=\"de\">") && page.body.contains("Anmelden"));
    let page = browser.get(&format!(
        "/authorize?{}",
        scene.query(&[("ui_locales", "en")])
    ));
    assert!(page.body.contains("<html lang=\"en\">"));
}

#[test]
fn a_verified_address_is_as_good_as_the_user_name() {
    let scene = Scene::new();
    let carol = json!({"username": "carol", "password": PASSWORD, "email": "Carol@example.com"});
    scene.world.run("register", carol).unwrap();
    let by_address = json!({"username": "carol@example.com", "password": PASSWORD});
    let log_in = || scene.world.run("login", by_address.clone());
    assert_eq!(log_in(), Err(-32001), "not verified yet");
    let credentials = json!({"username": "carol", "password": PASSWORD});
    let session = scene.world.run("login", credentials).unwrap();
    let carol = || {
        Principal::AccessToken(crate::types::secret::Secret::new(text(
            &session["access_token"],
        )))
    };
    scene
        .world
        .run_as(carol(), "request_email_verification", json!({}))
        .unwrap();
    let code = scene
        .world
        .outbox
        .borrow()
        .last()
        .unwrap()
        .code
        .clone()
        .unwrap();
    let code = json!({"code": code.0.expose()});
    scene.world.run_as(carol(), "confirm_email", code).unwrap();
    assert!(log_in().is_ok());
}
