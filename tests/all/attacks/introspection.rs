//! Introspection and revocation of invalid tokens.

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

use super::accounts::{as_bearer, make_admin};

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn create_key(server: &Server, tokens: &Value) -> String {
    let key = as_bearer(server, tokens, "create_api_key", json!({"name": "k"}));
    text(&key["result"]["structuredContent"]["api_key"])
}

fn revoke(server: &Server, token: &str) -> Result<Value, Value> {
    server.call("revoke_token", json!({"token": token}))
}

/// Returns the token with another last character, which still has the form of a token.
fn with_last_character_changed(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    // Only the high bits of the last character count, so the result stays the canonical
    // spelling of some bytes.
    format!("{rest}{}", if last == "A" { "Q" } else { "A" })
}

#[test]
fn attack_16_introspection_of_an_invalid_token_returns_only_inactive() {
    let home = folder();
    let server = Options::new()
        .home(home.path())
        .env("USER_AUTH_OTHER_AUDIENCES", "billing")
        .start();
    let service = server.new_session("service");
    make_admin(home.path(), "service");
    let introspect = |token: &str| {
        let input = json!({"token": token});
        let mut answer = as_bearer(&server, &service, "introspect_token", input);
        answer["result"]["structuredContent"].take()
    };
    let login = |username: &str| {
        let credentials = json!({"username": username, "password": PASSWORD});
        server.call("login", credentials).unwrap()
    };

    let alice = server.new_session("alice");
    let revoked = create_key(&server, &alice);
    let used = text(&alice["refresh_token"]);
    let ended = login("alice");
    let (access, refresh) = (text(&ended["access_token"]), text(&ended["refresh_token"]));
    let bob = server.new_session("bob");
    let of_disabled = create_key(&server, &bob);
    let disabled = text(&bob["access_token"]);
    let mut invalid = vec![revoked, used, access, refresh, of_disabled, disabled];
    for good in &invalid {
        assert_eq!(introspect(good)["active"], true, "{good}");
    }

    revoke(&server, &invalid[0]).unwrap();
    let refreshed = json!({"refresh_token": invalid[1]});
    let current = server.call("refresh_token", refreshed).unwrap();
    let logout = json!({"access_token": invalid[2]});
    server.call("logout", logout).unwrap();
    let disable = command(home.path())
        .args(["call", "disable_user", "username=bob"])
        .output();
    assert!(disable.unwrap().status.success());
    let input = json!({"audience": "billing", "access_token": current["access_token"]});
    let for_another = server.call("issue_token", input).unwrap();
    invalid.push(text(&for_another["access_token"]));
    let current = text(&current["refresh_token"]);
    invalid.push(with_last_character_changed(&current));
    invalid.extend(["", "no token", "uar_", "uak_AAAA"].map(str::to_owned));
    for token in &invalid {
        assert_eq!(introspect(token), json!({"active": false}), "{token}");
    }
    assert_eq!(introspect(&current)["active"], true, "to ask ends nothing");
}

#[test]
fn attack_17_revoking_an_unknown_token_succeeds_without_effect() {
    let server = Server::start();
    let alice = server.new_session("alice");
    let key = create_key(&server, &alice);
    let access = text(&alice["access_token"]);
    let refresh = text(&alice["refresh_token"]);
    let (signed, _) = access.rsplit_once('.').unwrap();
    for unknown in [
        String::new(),
        "no token".to_owned(),
        "uar_AAAA".to_owned(),
        with_last_character_changed(&access),
        format!("{signed}."),
        with_last_character_changed(&refresh),
        with_last_character_changed(&key),
    ] {
        assert_eq!(revoke(&server, &unknown), Ok(json!({})), "{unknown}");
    }
    let verify = json!({"token": access});
    assert_eq!(server.call("verify_token", verify).unwrap()["active"], true);
    let params = json!({"name": "user-auth_list_api_keys", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let by_key = || {
        let answer = server.post(&[("x-api-key", &key)], body.to_string());
        answer.json()["error"]["code"].take()
    };
    assert_eq!(by_key(), -32002, "the key is valid but has no scopes");

    // The answer does not reveal whether there was anything to revoke.
    for _ in 0..2 {
        for token in [&key, &refresh, &access] {
            assert_eq!(revoke(&server, token), Ok(json!({})));
        }
        let verify = json!({"token": access});
        let verified = server.call("verify_token", verify).unwrap();
        assert_eq!(verified, json!({"active": false}));
        assert_eq!(by_key(), -32001);
    }
}
