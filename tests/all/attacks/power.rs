//! Power over other accounts, and over the own account with less than a session.

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, Stdio, Webhook, folder};

use super::accounts::make_admin;

const KEYS_WRITE: &str = "user-auth:api-keys:write";

/// Calls an operation with this credential; `Err` holds the code.
fn call(
    server: &Server,
    (name, value): (&str, &str),
    operation: &str,
    arguments: Value,
) -> Result<Value, i64> {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let answer = server.post(&[(name, value)], body.to_string()).json();
    match answer["error"]["code"].as_i64() {
        Some(code) => Err(code),
        None => Ok(answer["result"]["structuredContent"].clone()),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

fn bearer(tokens: &Value) -> String {
    format!("Bearer {}", text(&tokens["access_token"]))
}

/// Registers a user with a role that has these permissions, and returns the login as a
/// bearer header.
fn user(server: &Server, root: &str, username: &str, permissions: &[&str]) -> String {
    let tokens = server.new_session(username);
    let role = format!("role-of-{username}");
    let by_root = |operation, arguments| {
        let answer = call(server, ("authorization", root), operation, arguments);
        answer.unwrap()
    };
    let input = json!({"role": role, "permissions": permissions});
    by_root("define_role", input);
    let input = json!({"username": username, "role": role});
    by_root("assign_role", input);
    bearer(&tokens)
}

/// Starts a server with its first administrator.
fn start() -> (Server, String, tempfile::TempDir) {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let root = server.new_session("root");
    make_admin(home.path(), "root");
    (server, bearer(&root), home)
}

#[test]
fn attack_29_a_helper_cannot_give_roles_to_a_more_privileged_account() {
    let (server, root, _home) = start();
    let helper = user(
        &server,
        &root,
        "helper",
        &["user-auth:roles:write", "shop:*"],
    );
    let victim = user(&server, &root, "victim", &["user-auth:*", "billing:*"]);
    let by = |who: &str, operation, arguments| {
        call(&server, ("authorization", who), operation, arguments)
    };
    let scopes = |who: &str| {
        let answer = server.get("/verify", &[("authorization", who)]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("x-auth-scopes").unwrap().to_owned()
    };
    for number in 0..32 {
        let role = format!("junk-{number}");
        let grants: Vec<String> = (0..12).map(|n| format!("shop:{role}:{n:0>100}")).collect();
        let defined = by(
            &helper,
            "define_role",
            json!({"role": role, "permissions": grants}),
        );
        assert!(defined.is_ok(), "{defined:?}");
        for whom in ["victim", "root"] {
            let input = json!({"username": whom, "role": role});
            assert_eq!(by(&helper, "assign_role", input), Err(-32002), "{whom}");
        }
    }
    assert_eq!(scopes(&victim), "self billing:* user-auth:*");
    assert_eq!(scopes(&root), "self *");
    // Roles of the victim do not displace its permissions or its other roles.
    let input = json!({"username": "victim", "role": "junk-0"});
    by(&root, "assign_role", input.clone()).unwrap();
    assert_eq!(scopes(&victim), "self billing:* user-auth:*");
    assert_eq!(by(&helper, "revoke_role", input), Err(-32002));
    let input = json!({"username": "root", "role": "junk-0"});
    by(&root, "assign_role", input).unwrap();
    assert_eq!(
        scopes(&root),
        "self *",
        "a grant covered by a broader one is not listed"
    );
}

#[test]
fn attack_29_a_narrow_key_cannot_reach_broader_keys_of_its_account() {
    let (server, root, _home) = start();
    let make = |name: &str, scopes: &[&str]| {
        let input = json!({"name": name, "scopes": scopes});
        call(&server, ("authorization", &root), "create_api_key", input).unwrap()
    };
    let little = make("little", &[KEYS_WRITE]);
    let broad = make("broad", &["*"]);
    let secret = text(&little["api_key"]);
    let by_little =
        |operation, arguments| call(&server, ("x-api-key", &secret), operation, arguments);
    let listed = by_little("list_api_keys", json!({})).unwrap();
    let names: Vec<&Value> = listed["api_keys"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1, "{listed}");
    assert_eq!(names[0]["name"], "little");
    let its = json!({"key_id": broad["key_id"]});
    for operation in ["revoke_api_key", "rotate_api_key"] {
        assert_eq!(
            by_little(operation, its.clone()),
            Err(-32000),
            "{operation}"
        );
    }
    let input = json!({"name": "more", "scopes": ["*"]});
    assert_eq!(by_little("create_api_key", input), Err(-32002));
    let by_broad = ("x-api-key", text(&broad["api_key"]));
    let roles = call(&server, (by_broad.0, &by_broad.1), "list_roles", json!({}));
    assert!(roles.is_ok(), "it is as it was: {roles:?}");
}

#[test]
fn attack_31_keys_made_with_a_stolen_session_end_with_it() {
    let webhook = Webhook::start();
    let server = Options::new().arg("--delivery").arg(&webhook.url).start();
    let account = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.com"});
    server.call("register", account).unwrap();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let login = || bearer(&server.call("login", credentials.clone()).unwrap());
    let stolen = login();
    let by = |who: &str, operation, arguments| {
        call(&server, ("authorization", who), operation, arguments).unwrap()
    };
    by(&stolen, "request_email_verification", json!({}));
    let code = json!({"code": webhook.code("email-verification")});
    by(&stolen, "confirm_email", code);
    let works = |key: &Value| {
        let secret = text(&key["api_key"]);
        let answer = server.get("/verify", &[("x-api-key", &secret)]);
        answer.status == 200
    };

    let new_password = format!("another {PASSWORD}");
    for (end, input) in [
        ("revoke_other_sessions", json!({})),
        (
            "change_password",
            json!({"current_password": PASSWORD, "new_password": new_password}),
        ),
    ] {
        let stolen = login();
        let key = by(&stolen, "create_api_key", json!({"name": "thief's"}));
        webhook.notice("api-key-created", "alice@example.com");
        let rotate = json!({"key_id": key["key_id"]});
        let key = by(&stolen, "rotate_api_key", rotate);
        webhook.notice("api-key-created", "alice@example.com");
        assert!(works(&key));
        let owner = login();
        let own = by(&owner, "create_api_key", json!({"name": "own"}));
        webhook.notice("api-key-created", "alice@example.com");
        let ended = by(&owner, end, input);
        let ids = ended["ended_api_keys"].as_array().unwrap();
        assert!(ids.contains(&key["key_id"]), "{end}: {ended}");
        assert!(!ids.contains(&own["key_id"]), "{end}: {ended}");
        assert!(!works(&key), "{end}");
        assert!(works(&own), "{end}");
        if end == "change_password" {
            webhook.notice("password-changed", "alice@example.com");
        }
    }
}

#[test]
fn attack_31_keys_outlive_their_session_only_on_the_owners_request() {
    let server = Server::start();
    let other = bearer(&server.new_session("alice"));
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let owner = bearer(&server.call("login", credentials).unwrap());
    let by = |who: &str, operation, arguments| {
        call(&server, ("authorization", who), operation, arguments).unwrap()
    };
    let key = by(&other, "create_api_key", json!({"name": "ci"}));
    let kept = by(
        &owner,
        "revoke_other_sessions",
        json!({"end_api_keys": "none"}),
    );
    assert_eq!(kept.get("ended_api_keys"), None);
    let listed = by(&owner, "list_api_keys", json!({}));
    assert_eq!(listed["api_keys"][0]["key_id"], key["key_id"]);
    let all = by(
        &owner,
        "revoke_other_sessions",
        json!({"end_api_keys": "all"}),
    );
    assert_eq!(all["ended_api_keys"], json!([key["key_id"]]));
}

#[test]
fn tools_that_widen_permissions_are_marked_destructive() {
    let tools = Stdio::start(&["--store", "memory"]).tools();
    for operation in [
        "assign_role",
        "create_api_key",
        "define_role",
        "enable_user",
        "import_users",
        "rotate_api_key",
    ] {
        let name = format!("user-auth_{operation}");
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        assert_eq!(tool["annotations"]["destructiveHint"], true, "{operation}");
    }
}
