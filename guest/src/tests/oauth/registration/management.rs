//! Clients that manage their registration (RFC 7592).

use serde_json::{Value, json};

use super::{LOCAL, SITE, confidential, public, tokens};
use crate::tests::oauth::{ISSUER, Scene, text};

/// RFC 7592.
#[test]
fn a_client_with_a_secret_manages_its_registration() {
    let scene = Scene::new();
    let client = scene.registered(&confidential());
    let token = &client["registration_access_token"];
    let uri = format!("{ISSUER}/register?client_id={}", text(&client["client_id"]));
    assert_eq!(client["registration_client_uri"], uri.as_str());
    let secret = &text(token)["uat_".len()..];
    assert!(!scene.world.dump("").contains(secret));

    let (status, read) = scene.manage("GET", &client, token, "");
    assert_eq!(status, 200);
    assert_eq!(read["redirect_uris"], json!([SITE]));
    assert_eq!(&read["registration_access_token"], token);
    let mut changed = json!({
        "client_id": client["client_id"],
        "client_secret": client["client_secret"],
        "client_name": "New name",
        "redirect_uris": [LOCAL],
    });
    let (status, updated) = scene.manage("PUT", &client, token, &changed.to_string());
    assert_eq!(status, 200, "{updated}");
    assert_eq!(updated["client_name"], "New name");
    assert_eq!(updated["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(scene.manage("GET", &client, token, "").1, updated);
    let mut renamed = client.clone();
    renamed["redirect_uris"] = json!([LOCAL]);
    assert_eq!(tokens(&scene, &renamed, LOCAL).0, 200);
    for (member, value) in [
        ("client_id", json!("other")),
        ("client_id", Value::Null),
        ("client_secret", json!("uas_x")),
        ("token_endpoint_auth_method", json!("none")),
        ("redirect_uris", json!(["javascript:x"])),
    ] {
        let before = changed[member].take();
        changed[member] = value;
        let (status, _) = scene.manage("PUT", &client, token, &changed.to_string());
        assert_eq!(status, 400, "{member}");
        changed[member] = before;
    }
    let (status, body) = scene.manage("DELETE", &client, token, "");
    assert_eq!((status, body), (204, Value::Null));
    assert_eq!(scene.count("client-by-registration/dynamic/"), 0);
    assert_eq!(scene.manage("GET", &client, token, "").0, 401);
    let (status, error) = scene.token(&[
        ("grant_type", "refresh_token"),
        ("client_id", &text(&client["client_id"])),
        ("client_secret", &text(&client["client_secret"])),
    ]);
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
}

/// A24.
#[test]
fn changes_count_as_registrations_do() {
    let scene = Scene::new();
    let client = scene.registered(&confidential());
    let token = &client["registration_access_token"];
    let body = json!({"client_id": client["client_id"], "redirect_uris": [SITE]}).to_string();
    for number in 2..=10 {
        assert_eq!(
            scene.manage("PUT", &client, token, &body).0,
            200,
            "{number}"
        );
    }
    assert_eq!(scene.manage("PUT", &client, token, &body).0, 429);
    assert_eq!(scene.manage("GET", &client, token, "").0, 200);
}

/// A24.
#[test]
fn nobody_else_manages_a_registration() {
    let scene = Scene::new();
    let client = scene.registered(&confidential());
    let other = scene.registered(&confidential());
    let public = scene.registered(&public(LOCAL));
    assert!(public.get("registration_access_token").is_none());
    let metadata = json!({"client_id": client["client_id"], "redirect_uris": [LOCAL]});
    for method in ["GET", "PUT", "DELETE"] {
        for wrong in [
            &other["registration_access_token"],
            &client["client_secret"],
            &json!("uat_"),
            &json!(""),
        ] {
            let (status, error) = scene.manage(method, &client, wrong, &metadata.to_string());
            assert_eq!(
                (status, &error["error"]),
                (401, &json!("invalid_token")),
                "{wrong}"
            );
        }
        for id in [&public["client_id"], &json!(scene.client_id), &json!("x")] {
            let uri = format!("{ISSUER}/register?client_id={}", text(id));
            let target = json!({"registration_client_uri": uri});
            let token = &client["registration_access_token"];
            let (status, _) = scene.manage(method, &target, token, &metadata.to_string());
            assert_eq!(status, 401, "{id}");
        }
        let target = format!("/register?client_id={}", text(&client["client_id"]));
        scene.asks_for_a_token(method, &target);
    }
    let token = &client["registration_access_token"];
    assert_eq!(
        scene.manage("GET", &client, token, "").1["redirect_uris"],
        json!([SITE])
    );
}
