//! The token endpoint, and what ends its tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Browser, FILES, ISSUER, PASSWORD, REDIRECT, Scene, VERIFIER, claims, operator, text};
use crate::domain::caller::Principal;

#[test]
fn a_client_gets_tokens_once_its_user_has_signed_in_and_agreed() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    let query = scene.query(&[]);
    let page = browser.get(&format!("/authorize?{query}"));
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Sign in") && page.body.contains("Acme"));
    assert_eq!(page.field("return_to"), format!("/authorize?{query}"));

    let page = browser.sign_in(&page, "Alice", PASSWORD);
    assert_eq!(page.status, 303);
    let page = browser.get(page.header("location"));
    assert_eq!(page.status, 200);
    for shown in [
        "Files",
        FILES,
        "alice",
        "desk.example",
        "Read your files",
        "files:write",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(
        !page.body.contains("files:admin"),
        "her roles do not permit it"
    );
    assert!(!page.body.contains("Desk <b>"), "{}", page.body);

    let page = browser.decide(&page, "allow", &["files:read", "files:admin"]);
    let answer = page.answer();
    assert!(page.header("location").starts_with(REDIRECT));
    assert_eq!(answer.first("state"), Some("a state"));
    assert_eq!(answer.first("iss"), Some(ISSUER));
    let (status, tokens) = scene.exchange(answer.first("code").unwrap(), &[]);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert_eq!(
        tokens["scope"], "files:read",
        "what she has ticked and may delegate"
    );
    let claims = claims(&tokens["access_token"]);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], FILES);
    assert_eq!(claims["client_id"], scene.client_id.as_str());
    assert_eq!(claims["scope"], "files:read");

    let verify = json!({"token": tokens["access_token"], "audience": FILES});
    let verified = scene.world.run("verify_token", verify).unwrap();
    assert_eq!(verified["active"], true);
    assert_eq!(verified["scope"], "files:read");
}

/// A29.
#[test]
fn a_delegated_token_never_acts_here_as_its_user() {
    let scene = Scene::new();
    let tokens = scene.tokens();
    let access = Principal::AccessToken(crate::types::secret::Secret::new(text(
        &tokens["access_token"],
    )));
    for (operation, input) in [
        ("get_session", json!({})),
        ("issue_token", json!({"audience": FILES})),
        ("list_sessions", json!({})),
    ] {
        let answer = scene.world.run_as(access.clone(), operation, input);
        assert_eq!(answer, Err(-32001), "{operation}");
    }
    let input = json!({"refresh_token": tokens["refresh_token"]});
    assert_eq!(scene.world.run("refresh_token", input), Err(-32001));
    // Nor as a browser.
    let cookie = format!(
        "__Host-user-auth-session={}",
        text(&tokens["refresh_token"])
    );
    let target = format!("/authorize?{}", scene.query(&[]));
    let response = scene.send("GET", &target, &[("cookie", &cookie)], "");
    let body = String::from_utf8(response.body.unwrap()).unwrap();
    assert!(body.contains("name=\"password\""));
    // And it is still good for its client.
    let (status, _) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    assert_eq!(status, 200);
}

/// A02, A05.
#[test]
fn a_code_that_is_shown_wrongly_is_burnt() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let other = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    let wrong = "a".repeat(43);
    for (changes, expected) in [
        (&[("code_verifier", wrong.as_str())][..], "invalid_grant"),
        (&[("client_id", &other)], "invalid_grant"),
        (&[("redirect_uri", "http://127.0.0.1/cb")], "invalid_grant"),
        (&[("resource", "https://other.example")], "invalid_target"),
    ] {
        let code = browser.code(&scene.query(&[]));
        let (status, refused) = scene.exchange(&code, changes);
        assert_eq!(
            (status, &refused["error"]),
            (400, &json!(expected)),
            "{changes:?}"
        );
        let (status, refused) = scene.exchange(&code, &[]);
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    }
    // A mistake in the form is not a wrong code.
    let code = browser.code(&scene.query(&[]));
    let (_, refused) = scene.exchange(&code, &[("code_verifier", "")]);
    assert_eq!(refused["error"], "invalid_request");
    assert_eq!(
        scene
            .exchange(&code, &[("redirect_uri", ""), ("resource", "")])
            .0,
        200
    );
    scene.world.pass(1);
    let code = browser.code(&scene.query(&[]));
    scene.world.pass(60);
    assert_eq!(scene.exchange(&code, &[]).1["error"], "invalid_grant");
}

/// A03.
#[test]
fn a_code_that_is_used_twice_ends_what_it_began() {
    let scene = Scene::new();
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let (_, tokens) = scene.exchange(&code, &[]);
    let refresh = text(&tokens["refresh_token"]);
    // A request without the verifier ends nothing.
    let other = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    let wrong = "a".repeat(43);
    for client_id in [&scene.client_id, &other] {
        let changes = [("client_id", client_id.as_str()), ("code_verifier", &wrong)];
        let (status, refused) = scene.exchange(&code, &changes);
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
        assert_eq!(scene.refresh(&refresh, &[]).0, 200);
    }
    let (status, refused) = scene.exchange(&code, &[]);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    let (_, refused) = scene.refresh(&refresh, &[]);
    assert_eq!(refused["error"], "invalid_grant");
    let verify = json!({"token": tokens["access_token"], "audience": FILES});
    assert_eq!(
        scene.world.run("verify_token", verify).unwrap()["active"],
        false
    );
    let audited = scene.world.audited.borrow();
    let reused =
        |record: &Value| record["operation"] == "exchange_code" && record["outcome"] == "reused";
    assert!(audited.iter().any(reused));
}

/// A04: the store decides between two exchanges of one code.
#[test]
fn an_overtaken_exchange_gets_nothing() {
    let scene = Scene::new();
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let mut entries = scene.world.entries().into_iter();
    let found = entries.find(|(key, _)| key.starts_with("authorization-code/"));
    let (key, unused) = found.unwrap();
    let unused: Value = serde_json::from_slice(&unused).unwrap();
    let used = json!({"used": {
        "session_id": "0".repeat(32),
        "challenge": unused["unused"]["challenge"],
    }});
    let used = serde_json::to_vec(&used).unwrap();
    scene.world.overtaken_by.borrow_mut().push((key, used));
    let (status, refused) = scene.exchange(&code, &[]);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    let sessions = scene.world.entries();
    let delegated = sessions.iter().filter(|(key, value)| {
        key.starts_with("session/") && String::from_utf8_lossy(value).contains("delegation")
    });
    assert_eq!(delegated.count(), 0);
}

#[test]
fn a_confidential_client_shows_its_secret_in_the_form_or_as_basic() {
    let scene = Scene::new();
    let client = json!({"client_name": "Site", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"});
    let client = operator(&scene.world, "create_client", client);
    let (id, secret) = (text(&client["client_id"]), text(&client["client_secret"]));
    let browser = Browser::signed_in(&scene);
    let exchange = |fields: &[(&str, &str)], headers: &[(&str, &str)]| {
        let code = browser.code(&scene.query(&[("client_id", &id)]));
        let mut all = vec![
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("code_verifier", VERIFIER),
        ];
        all.extend(fields);
        let (status, body) = scene.token_with(&all, headers);
        (
            status,
            body["error"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let good = (200, String::new());
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let basic = [("authorization", basic.as_str())];
    assert_eq!(
        exchange(&[("client_id", &id), ("client_secret", &secret)], &[]),
        good
    );
    assert_eq!(exchange(&[], &basic), good);
    assert_eq!(exchange(&[("client_id", &id)], &basic), good);
    let refused = (401, "invalid_client".to_owned());
    assert_eq!(exchange(&[("client_id", &id)], &[]), refused);
    assert_eq!(
        exchange(&[("client_id", &id), ("client_secret", "uas_x")], &[]),
        refused
    );
    let public = [
        ("client_id", scene.client_id.as_str()),
        ("client_secret", "x"),
    ];
    assert_eq!(exchange(&public, &[]), refused);
    let (status, _) = exchange(&[("client_id", "other")], &basic);
    assert_eq!(status, 400);
}

/// A25, A26.
#[test]
fn a_refresh_token_that_was_used_leads_to_the_same_successor_for_two_minutes() {
    let scene = Scene::new();
    let first = text(&scene.tokens()["refresh_token"]);
    let (status, tokens) = scene.refresh(&first, &[]);
    assert_eq!(status, 200, "{tokens}");
    let second = text(&tokens["refresh_token"]);
    assert_ne!(first, second);
    scene.world.pass(100);
    let third = text(&scene.refresh(&second, &[]).1["refresh_token"]);
    for earlier in [&first, &second, &first] {
        let (status, tokens) = scene.refresh(earlier, &[]);
        assert_eq!(status, 200, "{tokens}");
        assert_eq!(tokens["refresh_token"], third.as_str());
    }
    let other = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    let (_, refused) = scene.refresh(&third, &[("client_id", &other)]);
    assert_eq!(refused["error"], "invalid_grant");
    // The window counts from the first use of a token, and a late use ends everything.
    scene.world.pass(30);
    assert_eq!(scene.refresh(&second, &[]).0, 200);
    let (_, refused) = scene.refresh(&first, &[]);
    assert_eq!(refused["error"], "invalid_grant");
    assert_eq!(scene.refresh(&third, &[]).1["error"], "invalid_grant");
}

/// A25, A28.
#[test]
fn a_refresh_never_gives_more_than_was_granted() {
    let scene = Scene::new();
    let token = text(&scene.tokens()["refresh_token"]);
    let (_, refused) = scene.refresh(&token, &[("scope", "files:read files:write")]);
    assert_eq!(refused["error"], "invalid_scope");
    let (_, refused) = scene.refresh(&token, &[("resource", "https://other.example")]);
    assert_eq!(refused["error"], "invalid_target");
    for wrong in [" ", "files:read  files:read", "files:read "] {
        let (_, refused) = scene.refresh(&token, &[("scope", wrong)]);
        assert_eq!(refused["error"], "invalid_scope", "{wrong}");
    }
    let (status, tokens) = scene.refresh(&token, &[("scope", "")]);
    assert_eq!((status, &tokens["scope"]), (200, &json!("files:read")));
    let (status, tokens) = scene.refresh(&token, &[("scope", "files:read"), ("resource", FILES)]);
    assert_eq!((status, &tokens["scope"]), (200, &json!("files:read")));
    let token = text(&tokens["refresh_token"]);
    let resource = json!({"resource": FILES, "resource_name": "Files", "scopes": []});
    operator(&scene.world, "define_resource", resource);
    let (status, tokens) = scene.refresh(&token, &[]);
    assert_eq!(
        (status, &tokens["scope"]),
        (200, &json!("")),
        "the scope is gone"
    );
}

#[test]
fn what_ends_a_client_an_account_or_a_resource_ends_its_tokens() {
    type End = fn(&Scene);
    let ends: [(&str, End, &str); 5] = [
        (
            "delete_client",
            |scene| {
                let input = json!({"client_id": scene.client_id});
                operator(&scene.world, "delete_client", input);
            },
            "invalid_client",
        ),
        (
            "disable_user",
            |scene| {
                operator(&scene.world, "disable_user", json!({"username": "alice"}));
            },
            "invalid_grant",
        ),
        (
            "revoke_user_sessions",
            |scene| {
                operator(
                    &scene.world,
                    "revoke_user_sessions",
                    json!({"username": "alice"}),
                );
            },
            "invalid_grant",
        ),
        (
            "delete_resource",
            |scene| {
                operator(&scene.world, "delete_resource", json!({"resource": FILES}));
            },
            "invalid_grant",
        ),
        (
            "define_resource after delete_resource",
            |scene| {
                operator(&scene.world, "delete_resource", json!({"resource": FILES}));
                scene.world.pass(1);
                let another = json!({"resource": FILES, "resource_name": "Others", "scopes": [
                    {"scope": "files:read", "description": "Read the files of others"},
                ]});
                operator(&scene.world, "define_resource", another);
            },
            "invalid_grant",
        ),
    ];
    for (name, end, expected) in ends {
        let scene = Scene::new();
        let tokens = scene.tokens();
        end(&scene);
        let verify = json!({"token": tokens["access_token"], "audience": FILES});
        let verified = scene.world.run("verify_token", verify).unwrap();
        assert_eq!(verified["active"], false, "{name}");
        let (_, refused) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
        assert_eq!(refused["error"], expected, "{name}");
    }
}

/// A47.
#[test]
fn trouble_of_the_store_is_no_fault_of_the_client() {
    let scene = Scene::new();
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let key = format!("client/{}", scene.client_id);
    let client = scene.world.stored(&key);
    scene.world.tamper(&key, Some(b"not a record".to_vec()));
    let (status, refused) = scene.exchange(&code, &[]);
    assert_eq!(
        (status, &refused["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    let page = Browser::new(&scene).get(&format!("/authorize?{}", scene.query(&[])));
    assert_eq!(page.status, 503);
    scene.world.tamper(&key, client);
    assert_eq!(scene.exchange(&code, &[]).0, 200, "the code is still good");
}
