//! A46: no secret of a sign-in leaves through the log, the metrics, the store or the address
//! of a page.

use serde_json::{Value, json};
use user_auth_tests::PASSWORD;

use super::browser::{Browser, encode};
use super::processes::{FORM, environment, refresh_token, scene};
use super::{REDIRECT, Scene};
use crate::secrets::{contains, walk};

#[test]
fn attack_a46_no_secret_of_a_sign_in_appears_in_log_metrics_store_or_addresses() {
    let mut environment = environment(None);
    environment.push(("LOG_LEVEL", "DEBUG"));
    let mut scene = scene(&environment);
    let body = json!({"client_name": "Site", "redirect_uris": [REDIRECT]}).to_string();
    let client = scene.server.post_to("/register", &[], body).json();
    let member = |name: &str| client[name].as_str().unwrap().to_owned();
    scene.client_id = member("client_id");
    let secret = member("client_secret");
    let token = member("registration_access_token");
    let target = format!("/register?client_id={}", scene.client_id);
    let bearer = format!("Bearer {token}");
    let read = scene.server.get(&target, &[("authorization", &bearer)]);
    assert_eq!(read.status, 200, "{}", read.text);

    let browser = Browser::new(&scene.server);
    let page = browser.get("/sign-in");
    let wrong = "a wrong password of hers";
    let form_token = hidden(&page.text, "form_token");
    let refused = browser.submit(&page, &[("username", "alice"), ("password", wrong)]);
    assert_ne!(refused.status, 303, "{}", refused.text);
    let page = browser.get("/sign-in");
    let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
    let mut addresses = page.header("location").unwrap().to_owned();
    let asked = scene.target_for(super::FILES, "openid files:read");
    let page = browser.get(&asked);
    let consent_token = hidden(&page.text, "consent_token");
    let page = browser.submit(&page, &[("decision", "allow"), ("scope", "files:read")]);
    let location = page.header("location").unwrap();
    let (_, code) = location.split_once("code=").unwrap();
    let code = code.split('&').next().unwrap().to_owned();
    addresses.push_str(&location.replace(&code, ""));
    let with_secret = |form: String, secret: &str| {
        let form = format!("{form}&{}", encode(&[("client_secret", secret)]));
        scene.server.post_to("/token", &[FORM], form)
    };
    assert_eq!(
        with_secret(scene.code_form(&code), "uas_a_guess").status,
        401
    );
    let first = with_secret(scene.code_form(&code), &secret);
    let renewed = with_secret(scene.refresh_form(&refresh_token(&first)), &secret);
    let mut secrets = vec![
        PASSWORD.to_owned(),
        wrong.to_owned(),
        "uas_a_guess".to_owned(),
        "uar_unknown".to_owned(),
        form_token,
        consent_token,
        scene.verifier.clone(),
        secret.clone(),
        token,
        code.clone(),
    ];
    secrets.extend(browser.cookies().into_values());
    for (answer, names) in [
        (&first, &["access_token", "refresh_token", "id_token"][..]),
        (&renewed, &["access_token", "refresh_token"]),
    ] {
        let tokens: Value = answer.json();
        secrets.extend(
            names
                .iter()
                .map(|name| tokens[name].as_str().expect(name).to_owned()),
        );
    }
    let unknown = encode(&[("token", "uar_unknown")]);
    scene.server.post_to("/revoke", &[FORM], unknown);
    // The second use ends what the first began.
    assert_eq!(with_secret(scene.code_form(&code), &secret).status, 400);

    let metrics = scene.server.resource("mcp://user-auth/metrics").to_string();
    let Scene { server, home, .. } = scene;
    let (_, log) = server.stop();
    assert!(
        log.contains("exchange_code"),
        "the log has lines about it: {log}"
    );
    let files = walk(home.path())
        .into_iter()
        .map(|file| std::fs::read(file).unwrap());
    let stored = files.collect::<Vec<_>>().concat();
    assert!(
        contains(&stored, b"authorization-code/"),
        "the store has been read"
    );
    for secret in secrets {
        assert!(!log.contains(&secret), "in the log: {secret}");
        assert!(!metrics.contains(&secret), "in the metrics: {secret}");
        assert!(!addresses.contains(&secret), "in an address: {secret}");
        assert!(
            !contains(&stored, secret.as_bytes()),
            "in the store: {secret}"
        );
    }
}

/// Returns the value of a hidden field.
fn hidden(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("name=\"{name}\"")).expect(text);
    let (_, value) = rest.split_once("value=\"").unwrap();
    value.split('"').next().unwrap().to_owned()
}
