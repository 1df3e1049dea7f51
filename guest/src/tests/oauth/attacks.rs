//! Attacks on the authorization server that belong to none of its parts.

use serde_json::{Value, json};

use super::{Browser, ISSUER, REDIRECT, Scene, operator, text};
use crate::http::{self, Request};

/// A15: another website sends the user to a client that has access already.
#[test]
fn consent_is_asked_again_although_it_was_given_before() {
    let scene = Scene::new();
    scene.tokens();
    let browser = Browser::signed_in(&scene);
    let from_elsewhere = [("sec-fetch-site", "cross-site")];
    for prompt in ["", "consent", "select_account"] {
        let target = format!("/authorize?{}", scene.query(&[("prompt", prompt)]));
        let page = browser.request("GET", &target, &from_elsewhere, "");
        assert_eq!((page.status, page.header("location")), (200, ""));
        assert!(page.body.contains("name=\"consent_token\""), "{prompt}");
    }
}

/// A39.
#[test]
fn no_answer_tells_which_users_and_clients_there_are() {
    let scene = Scene::new();
    let tried = |username: &str| {
        let browser = Browser::new(&scene);
        let page = browser.get("/sign-in");
        let token = page.field("form_token");
        let page = browser.sign_in(&page, username, "a wrong password of hers");
        let same = page.body.replace(&token, "").replace(username, "");
        (page.status, same)
    };
    assert_eq!(tried("alice"), tried("mallory"));

    let client = json!({
        "client_name": "Site",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let known = text(&operator(&scene.world, "create_client", client)["client_id"]);
    let unknown = format!("client-{}", "0".repeat(32));
    let answers = [known.as_str(), &unknown, "x"].map(|client_id| {
        let changes = [("client_id", client_id), ("client_secret", "uas_wrong")];
        scene.exchange("uac_x", &changes)
    });
    assert_eq!(answers[0].0, 401);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

/// A42.
#[test]
fn nobody_else_signs_a_user_out_or_sends_them_away_after_it() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let elsewhere = "/sign-out?post_logout_redirect_uri=https://evil.example&id_token_hint=x";
    let page = browser.get(elsewhere);
    assert_eq!((page.status, page.header("location")), (303, "/sign-in"));
    let form_token = browser.get("/sign-in").field("form_token");
    let forged = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ];
    let body = format!("form_token={form_token}");
    assert_eq!(
        browser.request("POST", elsewhere, &forged, &body).status,
        403
    );
    assert!(browser.get("/sign-in").body.contains("You are signed in"));
    let page = browser.post(elsewhere, &[("form_token", &form_token)]);
    assert!(!page.header("location").contains("evil"), "{}", page.body);
    assert!(!browser.get("/sign-in").body.contains("You are signed in"));
}

/// A48.
#[test]
fn a_flow_ends_well_or_begins_anew_when_keys_rotate_or_the_clock_jumps() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let code = browser.code(&scene.query(&[]));
    let rotate = json!({"end_previous": true});
    operator(&scene.world, "rotate_signing_key", rotate.clone());
    let (status, tokens) = scene.exchange(&code, &[]);
    assert_eq!(status, 200, "{tokens}");
    let verify = json!({"token": tokens["access_token"], "audience": super::FILES});
    assert_eq!(
        scene.world.run("verify_token", verify).unwrap()["active"],
        true
    );
    operator(&scene.world, "rotate_signing_key", rotate);
    let (status, tokens) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    assert_eq!(status, 200, "{tokens}");

    let now = scene.world.now_ms.get();
    let hour = 60 * 60 * 1000;
    for clock in [now + hour, now - hour] {
        let browser = Browser::signed_in(&scene);
        let page = browser.get(&format!("/authorize?{}", scene.query(&[])));
        let code = browser.code(&scene.query(&[]));
        scene.world.now_ms.set(clock);
        let decided = browser.decide(&page, "allow", &["files:read"]);
        assert!(
            [303, 400, 403].contains(&decided.status),
            "{}",
            decided.status
        );
        let (status, answer) = scene.exchange(&code, &[]);
        let is_good = status == 200 || answer["error"] == "invalid_grant";
        assert!(is_good, "{status} {answer}");
        let refreshed = scene.refresh(&text(&tokens["refresh_token"]), &[]);
        assert!([200, 400].contains(&refreshed.0), "{refreshed:?}");
        scene.world.now_ms.set(now);
    }
}

/// A49, and A11: what a client compares comes from the settings.
#[test]
fn a_forged_host_appears_in_no_address() {
    let scene = Scene::new();
    let get = |target: String| {
        let forged = [
            "x-forwarded-host",
            "x-forwarded-server",
            "x-host",
            "forwarded",
        ];
        let headers = forged.map(|name| (name.to_owned(), b"host=evil.example".to_vec()));
        let request = Request {
            method: "GET".to_owned(),
            target,
            authority: Some("evil.example".to_owned()),
            tls: false,
            headers: headers.into(),
            api_key_header: "X-API-Key".to_owned(),
            peer: Some("192.0.2.1".to_owned()),
        };
        let ports = scene.world.ports();
        let response = http::answer(&request, || None, &scene.world.settings, ports);
        let text = String::from_utf8(response.body.unwrap_or_default()).unwrap();
        assert!(!text.contains("evil"), "{text}");
        assert!(
            response
                .headers
                .iter()
                .all(|(_, value)| !value.contains("evil"))
        );
        (response.headers, text)
    };
    for place in ["oauth-authorization-server", "openid-configuration"] {
        let (_, document) = get(format!("/.well-known/{place}"));
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["issuer"], ISSUER);
        assert_eq!(document["token_endpoint"], format!("{ISSUER}/token"));
    }
    get("/sign-in".to_owned());
    let (headers, _) = get(format!(
        "/authorize?{}",
        scene.query(&[("scope", "no:such")])
    ));
    let location = headers.iter().find(|(name, _)| name == "location").unwrap();
    assert!(location.1.starts_with(REDIRECT));
    assert!(
        location.1.ends_with("iss=https%3A%2F%2Fauth.example"),
        "{}",
        location.1
    );
}
