//! The pages to create an account, to reset a password and to verify an address.

use serde_json::json;

use super::{Browser, PASSWORD, Page, Scene, operator};
use crate::oauth::parameters::encode;
use crate::settings::Settings;

const NEW_PASSWORD: &str = "another sentence of some length";
const ADDRESS: &str = "carol@example.com";

/// A scene whose host delivers messages.
pub(super) fn scene() -> Scene {
    let mut scene = Scene::new();
    let oauth = scene.world.settings.oauth.as_mut().unwrap();
    oauth.has_delivery = true;
    scene
}

impl Browser<'_> {
    /// Sends the form of a page with these fields.
    pub(super) fn fill(&self, target: &str, page: &Page, fields: &[(&str, &str)]) -> Page {
        let form_token = page.field("form_token");
        let mut all = vec![("form_token", form_token.as_str())];
        let return_to = page.body.contains("name=\"return_to\"");
        let return_to = return_to.then(|| page.field("return_to"));
        all.extend(return_to.as_deref().map(|value| ("return_to", value)));
        all.extend(fields);
        self.post(target, &all)
    }

    fn sign_up(&self, username: &str, email: &str, password: &str) -> Page {
        let page = self.get("/sign-up");
        let fields = [
            ("username", username),
            ("email", email),
            ("password", password),
        ];
        self.fill("/sign-up", &page, &fields)
    }

    fn ask_for_reset(&self, name: &str) -> Page {
        let page = self.get("/reset-password");
        self.fill("/reset-password", &page, &[("username", name)])
    }
}

/// Creates an account with a verified address, by the pages.
fn with_carol(scene: &Scene) {
    let browser = Browser::new(scene);
    let page = browser.sign_up("carol", ADDRESS, PASSWORD);
    assert_eq!(page.header("location"), "/verify-email");
    let page = browser.get("/verify-email");
    let code = last_code(scene);
    let page = browser.fill("/verify-email", &page, &[("code", &code)]);
    assert!(page.body.contains("is verified"), "{}", page.body);
}

pub(super) fn last_code(scene: &Scene) -> String {
    let outbox = scene.world.outbox.borrow();
    let with_code = outbox.iter().rev().find_map(|sent| sent.code.as_ref());
    with_code.unwrap().0.expose().to_owned()
}

#[test]
fn a_new_user_is_signed_in_and_goes_on_to_the_client() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    let page = browser.get(&target);
    let link = format!("/sign-up?{}", encode(&[("return_to", &target)]));
    assert!(page.body.contains(&format!("href=\"{link}\"")));
    let page = browser.get(&link);
    assert!(!page.body.contains("name=\"email\""), "no messages");
    let fields = [("username", "Bob"), ("password", PASSWORD)];
    let page = browser.fill("/sign-up", &page, &fields);
    assert_eq!((page.status, page.header("location")), (303, &*target));
    assert!(browser.get(&target).body.contains("bob"));
    let audited = scene.world.audited.borrow();
    let count = |operation: &str| {
        let records = audited.iter();
        records.filter(|it| it["operation"] == operation).count()
    };
    assert_eq!((count("register"), count("login")), (2, 1));
}

#[test]
fn what_is_wrong_stands_at_its_field_and_only_the_password_is_lost() {
    let scene = scene();
    let browser = Browser::new(&scene);
    let name = |length| "a".repeat(length);
    for (username, email, password, field, text) in [
        ("Alice", "", PASSWORD, "username", "name is taken"),
        ("a b", "", PASSWORD, "username", "without spaces"),
        ("bob", "bob", PASSWORD, "email", "not an email address"),
        ("bob", "", "too short", "password", "longer password"),
        ("bob", "", "bobbobbobbobbobbob", "password", "guess"),
        ("bob", "", &name(1025), "password", "Choose"),
    ] {
        let page = browser.sign_up(username, email, password);
        assert_eq!(page.status, 400, "{field}");
        let (_, problem) = page
            .body
            .split_once(&format!("id=\"{field}-problem\">"))
            .unwrap();
        assert!(problem.split('<').next().unwrap().contains(text), "{text}");
        assert_eq!(page.body.matches("class=\"problem\"").count(), 1);
        assert_eq!(page.field("username"), username);
        assert!(!page.body.contains(password), "{field}");
    }
    let page = browser.sign_up("a b", "c", "");
    assert_eq!(page.body.matches("class=\"problem\"").count(), 3);
    assert_eq!(page.body.matches(" autofocus").count(), 1);
    let both = json!({"username": "bob", "password": PASSWORD});
    assert_eq!(scene.world.run("login", both), Err(-32001));
}

#[test]
fn registrations_by_page_and_by_operation_have_one_limit() {
    let mut scene = Scene::new();
    let throttling = &mut scene.world.settings.throttling;
    // Alice is the first.
    throttling.registrations_per_source = 3;
    let browser = Browser::new(&scene);
    assert_eq!(browser.sign_up("bob", "", PASSWORD).status, 303);
    assert_eq!(browser.sign_up("dave", "", PASSWORD).status, 303);
    let page = browser.sign_up("erin", "", PASSWORD);
    assert_eq!((page.status, page.header("retry-after")), (429, "900"));
    assert!(page.body.contains("too many attempts"));
    assert_eq!(page.field("username"), "erin");
}

#[test]
fn people_sign_up_by_page_where_everyone_may_register() {
    let sign_up = |more: &[(&str, &str)]| {
        let always = [
            ("USER_AUTH_PUBLIC_URL", "https://auth.example"),
            ("USER_AUTH_OAUTH_ENABLED", "true"),
        ];
        let all = always.iter().chain(more);
        let owned = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::from_variables(owned).map(|settings| settings.oauth.unwrap().sign_up)
    };
    let setting = "USER_AUTH_OAUTH_SIGN_UP";
    for (more, expected) in [
        (&[][..], true),
        (&[(setting, "off")], false),
        (&[("USER_AUTH_REQUIRE_API_KEY", "true")], false),
        (&[("USER_AUTH_REQUIRE_SIGN_IN", "true")], false),
        (
            &[("USER_AUTH_REQUIRE_SIGN_IN", "true"), (setting, "on")],
            true,
        ),
    ] {
        assert_eq!(sign_up(more), Ok(expected), "{more:?}");
    }
    assert!(sign_up(&[(setting, "true")]).is_err());

    let mut scene = Scene::new();
    scene.world.settings.oauth.as_mut().unwrap().sign_up = false;
    let browser = Browser::new(&scene);
    assert!(!browser.get("/sign-in").body.contains("sign-up"));
    let fields = [("username", "bob"), ("password", PASSWORD)];
    for status in [
        browser.get("/sign-up").status,
        browser.post("/sign-up", &fields).status,
    ] {
        assert_eq!(status, 404);
    }
}

#[test]
fn a_link_or_a_typed_code_resets_the_password_once() {
    let scene = scene();
    with_carol(&scene);
    let browser = Browser::new(&scene);
    let page = browser.ask_for_reset("Carol@example.com");
    assert_eq!(
        (page.status, page.header("location")),
        (303, "/new-password")
    );
    let code = last_code(&scene);
    // The code leaves the address at once; looking at the page uses nothing up.
    for _ in 0..2 {
        let link = format!("/new-password?{}", encode(&[("code", &code)]));
        let page = browser.get(&link);
        assert_eq!(
            (page.status, page.header("location")),
            (303, "/new-password")
        );
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
    }
    let page = browser.get("/new-password");
    assert!(!page.body.contains("name=\"code\"") && !page.body.contains(&code));
    let weak = browser.fill("/new-password", &page, &[("password", "short")]);
    assert_eq!(weak.status, 400);
    assert!(weak.body.contains("id=\"password-problem\""));
    let reset = || browser.fill("/new-password", &page, &[("password", NEW_PASSWORD)]);
    assert!(reset().body.contains("Your password is changed"));
    let log_in = |password: &str| {
        let both = json!({"username": "carol", "password": password});
        scene.world.run("login", both)
    };
    assert!(log_in(NEW_PASSWORD).is_ok());
    assert_eq!(log_in(PASSWORD), Err(-32001));

    let typed = |code: &str| {
        let fields = [("code", code), ("password", PASSWORD)];
        browser.fill("/new-password", &page, &fields)
    };
    let again = typed(&code);
    assert_eq!(again.status, 400);
    assert!(again.body.contains("id=\"code-problem\""));
    browser.ask_for_reset("carol");
    assert_eq!(typed(&last_code(&scene)).status, 200);
    assert!(log_in(PASSWORD).is_ok());
}

/// A39.
#[test]
fn asking_for_a_reset_tells_nobody_whether_there_is_an_account() {
    let scene = scene();
    with_carol(&scene);
    scene.world.outbox.borrow_mut().clear();
    let mut shown = Vec::new();
    // Verified, without an address, unknown, and a name that nobody can have.
    for name in ["carol", ADDRESS, "alice", "nobody", "no@example.com", "a b"] {
        let browser = Browser::new(&scene);
        let asked = browser.ask_for_reset(name);
        let headers = asked.headers.clone();
        let page = browser.get("/new-password");
        let token = page.field("form_token");
        shown.push((asked.status, headers, page.body.replace(&token, "")));
    }
    shown.dedup();
    assert_eq!(shown.len(), 1);
    assert_eq!(scene.world.outbox.borrow().len(), 2);
    // The count is that of the operation.
    let browser = Browser::new(&scene);
    for name in ["nobody", "carol"] {
        for _ in 1..10 {
            assert_eq!(browser.ask_for_reset(name).status, 303);
        }
        let page = browser.ask_for_reset(name);
        assert_eq!((page.status, page.header("retry-after")), (429, "900"));
        let input = json!({"username": name});
        let asked = scene.world.run("request_password_reset", input);
        assert_eq!(asked, Err(-32003), "{name}");
    }
    assert_eq!(scene.world.outbox.borrow().len(), 3, "three an hour");
}

#[test]
fn the_forms_of_accounts_are_taken_only_from_their_pages() {
    let scene = scene();
    with_carol(&scene);
    let browser = Browser::signed_in(&scene);
    browser.ask_for_reset("carol");
    let code = last_code(&scene);
    let sent = scene.world.outbox.borrow().len();
    let fields = [
        ("username", "mallory"),
        ("code", &code),
        ("password", NEW_PASSWORD),
    ];
    for target in [
        "/sign-up",
        "/reset-password",
        "/new-password",
        "/verify-email",
    ] {
        assert_eq!(browser.post(target, &fields).status, 403, "{target}");
        let page = browser.get("/new-password");
        let form_token = page.field("form_token");
        let with_token = encode(&[&[("form_token", &*form_token)], &fields[..]].concat());
        let headers = [("sec-fetch-site", "cross-site")];
        let page = browser.request("POST", target, &headers, &with_token);
        assert_eq!(page.status, 403, "{target}");
    }
    let both = json!({"username": "mallory", "password": NEW_PASSWORD});
    assert_eq!(scene.world.run("login", both), Err(-32001));
    assert_eq!(scene.world.outbox.borrow().len(), sent);
}

#[test]
fn an_address_is_verified_only_by_the_owner_of_the_account() {
    let scene = scene();
    let browser = Browser::new(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    let page = browser.get(&format!("/sign-up?{}", encode(&[("return_to", &target)])));
    let fields = [
        ("username", "carol"),
        ("email", ADDRESS),
        ("password", PASSWORD),
    ];
    let page = browser.fill("/sign-up", &page, &fields);
    let verify = format!("/verify-email?{}", encode(&[("return_to", &target)]));
    assert_eq!((page.status, page.header("location")), (303, &*verify));
    let code = last_code(&scene);
    let link = format!("/verify-email?{}", encode(&[("code", &code)]));

    // Alice opens the link; so does somebody who is not signed in.
    let alice = Browser::signed_in(&scene);
    assert_eq!(alice.get(&link).header("location"), "/verify-email");
    let page = alice.get("/verify-email");
    let page = alice.fill("/verify-email", &page, &[]);
    assert_eq!(page.status, 400);
    assert!(page.body.contains("id=\"code-problem\""));
    let other = Browser::new(&scene);
    other.get(&link);
    let page = other.get("/verify-email");
    assert!(page.body.contains("name=\"password\""));
    assert_eq!(page.field("return_to"), "/verify-email");
    let page = other.sign_in(&page, "carol", PASSWORD);
    assert_eq!(page.header("location"), "/verify-email");

    let page = browser.get(&verify);
    let page = browser.fill("/verify-email", &page, &[("code", &code)]);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("is verified"));
    let escaped = target.replace('&', "&#38;");
    assert!(page.body.contains(&format!("href=\"{escaped}\"")));
    let by_address = json!({"username": ADDRESS, "password": PASSWORD});
    assert!(scene.world.run("login", by_address).is_ok());
}

#[test]
fn no_page_offers_a_message_that_the_host_cannot_send() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    assert!(!browser.get("/sign-in").body.contains("reset-password"));
    for target in ["/reset-password", "/new-password", "/verify-email"] {
        assert_eq!(browser.get(target).status, 404, "{target}");
    }
}

#[test]
fn a_link_puts_only_a_code_into_a_cookie() {
    let scene = scene();
    for code in [
        "x",
        "uac_",
        "a\r\nset-cookie: b=c",
        "a; Domain=evil.example",
    ] {
        let browser = Browser::new(&scene);
        let page = browser.get(&format!("/new-password?{}", encode(&[("code", code)])));
        assert_eq!(page.header("location"), "/new-password");
        assert!(browser.cookies.borrow().is_empty(), "{code}");
        let page = browser.get("/new-password");
        assert!(page.body.contains("name=\"code\""));
    }
}

/// Anyone can register the address of somebody else as a user name, until its owner has
/// verified it.
#[test]
fn a_user_name_does_not_take_the_address_of_another_away() {
    let scene = scene();
    let sign_up = || Browser::new(&scene).sign_up(ADDRESS, "", NEW_PASSWORD);
    let log_in = |password| {
        let both = json!({"username": ADDRESS, "password": password});
        scene.world.run("login", both).map(|tokens| {
            let token = json!({"token": tokens["access_token"]});
            scene.world.run("verify_token", token).unwrap()["username"].clone()
        })
    };
    assert_eq!(sign_up().status, 303);
    assert_eq!(log_in(NEW_PASSWORD), Ok(json!(ADDRESS)));
    with_carol(&scene);
    assert_eq!(log_in(PASSWORD), Ok(json!("carol")));
    assert_eq!(log_in(NEW_PASSWORD), Err(-32001));
    Browser::new(&scene).ask_for_reset(ADDRESS);
    let code = last_code(&scene);
    let reset = json!({"code": code, "new_password": "a third sentence of some length"});
    scene.world.run("confirm_password_reset", reset).unwrap();
    assert_eq!(
        log_in("a third sentence of some length"),
        Ok(json!("carol"))
    );

    operator(&scene.world, "delete_user", json!({"username": ADDRESS}));
    let page = sign_up();
    assert_eq!(page.status, 400);
    assert!(page.body.contains("name is taken"), "{}", page.body);
}
