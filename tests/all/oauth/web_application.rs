//! Web applications that others wrote, which want to know who their user is (OpenID Connect).

use serde_json::{Value, json};

use super::real_clients::{Client, Guarded};
use crate::clients::{node, script};

#[test]
fn openid_client_learns_who_has_signed_in() {
    let guarded = Guarded::start("/tenant");
    let input = json!({
        "client_name": "Wiki",
        "redirect_uris": ["http://127.0.0.1:33418/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let wiki = guarded.operate("create_client", &input);
    let mut command = script(node(), "openid_sign_in.mjs", guarded.home.path());
    command.arg(&guarded.issuer);
    command.env("CLIENT_ID", wiki["client_id"].as_str().unwrap());
    command.env("CLIENT_SECRET", wiki["client_secret"].as_str().unwrap());
    let mut client = Client::start(command);
    let address = client.wait_for_line(&format!("{}/authorize?", guarded.issuer));
    client.say(&guarded.sign_in(&address));
    let told: Value = serde_json::from_str(&client.wait_for_line("{")).unwrap();
    let user = guarded.operate("get_user", &json!({"username": "alice"}));
    let expected = json!({"sub": user["user_id"], "preferred_username": "alice"});
    assert_eq!(told, expected);
}
