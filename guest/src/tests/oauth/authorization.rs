//! Authorization requests, and the metadata that lead to them.

use serde_json::{Value, json};

use super::{Browser, FILES, ISSUER, PASSWORD, REDIRECT, Scene, VERIFIER};
use crate::oauth::parameters::encode;
use crate::testing::World;

/// A01.
#[test]
fn requests_without_a_sha256_challenge_get_no_code() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    for changes in [
        &[("code_challenge", "")][..],
        &[("code_challenge_method", "")],
        &[("code_challenge_method", "plain")],
        &[("code_challenge", "short")],
        &[
            ("code_challenge", VERIFIER),
            ("code_challenge_method", "plain"),
        ],
    ] {
        let page = browser.get(&format!("/authorize?{}", scene.query(changes)));
        let answer = page.answer();
        assert_eq!(
            answer.first("error"),
            Some("invalid_request"),
            "{changes:?}"
        );
        assert_eq!(answer.first("iss"), Some(ISSUER));
        assert_eq!(answer.first("state"), Some("a state"));
        assert_eq!(answer.first("code"), None);
    }
}

#[test]
fn the_client_learns_what_is_wrong_with_its_request() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    for (changes, expected) in [
        (
            &[("response_type", "token")][..],
            "unsupported_response_type",
        ),
        (&[("response_type", "")], "invalid_request"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("scope", "mail:read")], "invalid_scope"),
        (&[("scope", "files:admin")], "invalid_scope"),
        (&[("scope", " ")], "invalid_scope"),
        (&[("resource", "https://other.example")], "invalid_target"),
        (
            &[("resource", "https://files.example/mcp#x")],
            "invalid_target",
        ),
        (&[("prompt", "none")], "interaction_required"),
        (&[("request", "x")], "request_not_supported"),
    ] {
        let page = browser.get(&format!("/authorize?{}", scene.query(changes)));
        assert_eq!(page.answer().first("error"), Some(expected), "{changes:?}");
    }
    let twice = format!("{}&{}", scene.query(&[]), encode(&[("resource", FILES)]));
    let page = browser.get(&format!("/authorize?{twice}"));
    assert_eq!(page.answer().first("error"), Some("invalid_target"));
    let long = "s".repeat(2049);
    let page = browser.get(&format!("/authorize?{}", scene.query(&[("state", &long)])));
    assert_eq!(page.answer().first("error"), Some("invalid_request"));
}

#[test]
fn a_client_that_asks_for_a_new_sign_in_gets_one_only() {
    let scene = Scene::new();
    for prompt in ["prompt", "%70rompt"] {
        let browser = Browser::signed_in(&scene);
        let page = browser.get(&format!("/authorize?{}&{prompt}=login", scene.query(&[])));
        let page = browser.sign_in(&page, "alice", PASSWORD);
        let page = browser.get(page.header("location"));
        assert!(page.body.contains("Read your files"), "{}", page.body);
    }
}

/// A06, A09, A10.
#[test]
fn nobody_is_sent_where_the_client_is_not_known_to_be() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let status = |query: String| {
        let page = browser.get(&format!("/authorize?{query}"));
        assert_eq!(page.header("location"), "", "{query}");
        page.status
    };
    for uri in [
        "https://desk.example/cb/",
        "https://desk.example/CB",
        "https://desk.example/x/%2e%2e/cb",
        "https://desk.example/cb?x",
        "https://desk.example/cb#x",
        "https://desk.example@evil.example/cb",
        "https://desk.example:8443/cb",
        "https://desk.example.evil/cb",
        "https://desk.example\\@evil.example/cb",
        "http://desk.example/cb",
        "http://127.0.0.1.evil/cb",
        "http://localhost/cb",
        "javascript:alert(1)",
    ] {
        assert_eq!(status(scene.query(&[("redirect_uri", uri)])), 400, "{uri}");
    }
    let unknown = format!("client_{}", "0".repeat(32));
    for id in ["", "x", &unknown] {
        assert_eq!(status(scene.query(&[("client_id", id)])), 400, "{id}");
    }
    assert_eq!(
        status(scene.query(&[("redirect_uri", "")])),
        400,
        "it has two"
    );
    let twice = encode(&[("redirect_uri", REDIRECT)]);
    assert_eq!(status(format!("{}&{twice}", scene.query(&[]))), 400);
}

/// A07.
#[test]
fn a_program_on_this_computer_may_use_any_port() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let uri = "http://127.0.0.1:4711/cb";
    let page = browser.get(&format!(
        "/authorize?{}",
        scene.query(&[("redirect_uri", uri)])
    ));
    assert!(page.body.contains("class=\"warning\""), "{}", page.body);
    let page = browser.decide(&page, "allow", &["files:read"]);
    assert!(page.header("location").starts_with(uri));
    let code = page.answer().first("code").unwrap().to_owned();
    let (status, _) = scene.exchange(&code, &[("redirect_uri", uri)]);
    assert_eq!(status, 200);
}

/// A44.
#[test]
fn what_a_client_sends_cannot_break_out_of_the_answer() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let state = "x\r\nset-cookie: a=b&code=evil\"<\u{e4}";
    let page = browser.get(&format!("/authorize?{}", scene.query(&[("state", state)])));
    let page = browser.decide(&page, "deny", &[]);
    let location = page.header("location");
    assert!(
        location.bytes().all(|byte| byte.is_ascii_graphic()),
        "{location}"
    );
    assert_eq!(page.answer().first("state"), Some(state));
    assert_eq!(page.answer().first("code"), None);
    let page = browser.get(&format!("/authorize?{}&x=%ff", scene.query(&[])));
    assert_eq!(page.status, 400);
}

#[test]
fn the_metadata_lists_what_works() {
    let scene = Scene::new();
    let target = "/.well-known/oauth-authorization-server";
    let response = scene.send("GET", target, &[], "");
    let document: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(
        document["authorization_endpoint"],
        format!("{ISSUER}/authorize")
    );
    assert_eq!(
        document["code_challenge_methods_supported"],
        json!(["S256"])
    );
    let own = "https://auth.example/mcp";
    assert_eq!(document["protected_resources"], json!([own, FILES]));
    let without = World::new();
    let off = Scene {
        world: without,
        client_id: String::new(),
    };
    for path in [target, "/authorize", "/token", "/sign-in"] {
        assert_eq!(off.send("GET", path, &[], "").status, 404, "{path}");
    }
}

#[test]
fn clients_that_ask_for_scopes_of_openid_get_those_of_the_resource_server() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    // An empty scope counts as none (RFC 6749 section 3.1).
    for scope in ["openid profile email", "offline_access", ""] {
        let query = scene.query(&[("scope", scope)]);
        let page = browser.get(&format!("/authorize?{query}"));
        assert!(page.body.contains("Read your files"), "{}", page.body);
        assert!(!page.body.contains("Manage all files"), "{}", page.body);
    }
}
