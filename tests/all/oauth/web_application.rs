//! Web applications that others wrote, which want to know who their user is (OpenID Connect).

use std::fs;

use serde_json::{Value, json};
use user_auth_tests::folder;

use super::Browser;
use super::real_clients::{Client, Guarded, free_port};
use crate::apache;
use crate::clients::{node, script};
use crate::elsewhere::repository;

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

#[test]
fn apache_learns_who_has_signed_in() {
    let guarded = Guarded::start("/tenant");
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let input = json!({
        "client_name": "Wiki",
        "redirect_uris": [format!("{url}/signed-in")],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let wiki = guarded.operate("create_client", &input);
    let example = repository().join("host/examples/services/apache-sign-in.conf");
    let example = fs::read_to_string(example).unwrap();
    let configuration = example
        .replace("https://auth.example.com", &guarded.issuer)
        .replace("https://wiki.example.com", &url)
        .replace("CLIENT_ID", wiki["client_id"].as_str().unwrap())
        .replace("CLIENT_SECRET", wiki["client_secret"].as_str().unwrap())
        .replace("PASSPHRASE", "of-this-test");
    let home = folder();
    let modules = ["authz_user", "include", "auth_openidc"];
    let page = "You are <!--#echo var=\"REMOTE_USER\" -->, \
                <!--#echo var=\"OIDC_CLAIM_sub\" -->.";
    let _running = apache::start(home.path(), port, &modules, page, &configuration);

    let browser = Browser::at(&url);
    let page = browser.get("/whoami.html");
    assert_eq!(page.status, 302, "{}", page.text);
    let answer = guarded.sign_in(page.header("location").unwrap());
    let stranger = Browser::at(&url);
    stranger.get(answer.strip_prefix(&url).unwrap());
    assert_eq!(stranger.get("/whoami.html").status, 302);
    let page = browser.get(answer.strip_prefix(&url).unwrap());
    assert_eq!(page.status, 302, "{}", page.text);
    let back = page.header("location").unwrap();
    assert_eq!(back, format!("{url}/whoami.html"));
    let page = browser.get("/whoami.html");
    let user = guarded.operate("get_user", &json!({"username": "alice"}));
    let expected = format!("You are alice, {}.", user["user_id"].as_str().unwrap());
    assert_eq!((page.status, page.text.as_str()), (200, expected.as_str()));
    assert_eq!(Browser::at(&url).get("/whoami.html").status, 302);
}
