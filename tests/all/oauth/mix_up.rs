//! A11: the answer of another authorization server in the place of ours (RFC 9207). This one
//! names itself in every answer, and clients that others wrote exchange no code without that.

use std::process::Command;

use serde_json::json;

use super::real_clients::{Client, Guarded};
use crate::clients::{client, node, script};

const REDIRECT: &str = "http://127.0.0.1:33418/callback";

/// Has a user agree, changes the answer on its way, and checks that the client refuses it in
/// these words, and has exchanged no code.
fn refuses_a_changed_answer(refusal: &str, make: impl Fn(&Guarded) -> Command) {
    type Change = fn(&str) -> String;
    let changes: [Change; 3] = [
        |iss| format!("&iss={}", iss.replace("127.0.0.1", "evil.example")),
        |iss| format!("&iss={iss}%2F"),
        |_| String::new(),
    ];
    for change in changes {
        let guarded = Guarded::start("");
        let mut command = make(&guarded);
        command.arg(format!("{}/mcp", guarded.issuer));
        let mut client = Client::start(command);
        client.say("call user-auth_get_capabilities");
        let address = client.wait_for_line(&format!("{}/authorize?", guarded.issuer));
        let answer = guarded.sign_in(&address);
        let (before, iss) = answer
            .split_once("&iss=")
            .expect("an answer names its issuer");
        let changed = format!("{before}{}", change(iss));
        client.say(&changed);
        client.wait_for(refusal);
        let user = guarded.operate("get_user", &json!({"username": "alice"}));
        let alice = json!({"user_id": user["user_id"]});
        let listed = guarded.operate("list_grants", &alice);
        assert_eq!(listed["grants"], json!([]), "{changed}");
    }
}

#[test]
fn attack_a11_version_2_of_the_typescript_sdk_refuses_a_changed_answer() {
    refuses_a_changed_answer("authorization response (RFC 9207)", |guarded| {
        let mut command = script(node(), "typescript_sign_in.mjs", guarded.home.path());
        command.arg("2");
        command
    });
}

#[test]
fn attack_a11_version_2_of_the_python_sdk_refuses_a_changed_answer() {
    refuses_a_changed_answer("Authorization response", |guarded| {
        let python = client(".venv/bin/python");
        script(python, "python_sign_in.py", guarded.home.path())
    });
}

#[test]
fn attack_a11_openid_client_refuses_a_changed_answer() {
    refuses_a_changed_answer("\"iss\"", |guarded| {
        let input = json!({"client_name": "Desk", "redirect_uris": [REDIRECT]});
        let registered = guarded.operate("create_client", &input);
        let mut command = script(node(), "openid_client.mjs", guarded.home.path());
        command.env("CLIENT_ID", registered["client_id"].as_str().unwrap());
        command
    });
}
