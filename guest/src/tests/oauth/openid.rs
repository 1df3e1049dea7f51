//! OpenID Connect: clients that want to know who the user is.

use serde_json::{Value, json};

use super::{Browser, FILES, ISSUER, PASSWORD, REDIRECT, Scene, claims, encode, operator, text};

impl Scene {
    fn userinfo(&self, token: &Value) -> (u16, Value) {
        let authorization = format!("Bearer {}", token.as_str().unwrap_or_default());
        let header = [("authorization", authorization.as_str())];
        let response = self.send("GET", "/userinfo", &header, "");
        let body = serde_json::from_slice(&response.body.unwrap()).unwrap();
        (response.status, body)
    }

    /// Returns the tokens of a request whose user has ticked these scopes.
    fn signed_in_with(&self, changes: &[(&str, &str)], ticked: &[&str]) -> Value {
        let browser = Browser::signed_in(self);
        let page = browser.get(&format!("/authorize?{}", self.query(changes)));
        assert_eq!(page.status, 200, "{}", page.body);
        let page = browser.decide(&page, "allow", ticked);
        let (status, tokens) =
            self.exchange(page.answer().first("code").unwrap(), &[("resource", "")]);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    fn with_address(self) -> Scene {
        let alice = json!({"username": "bob", "password": PASSWORD, "email": "bob@example.com"});
        self.world.run("register", alice).unwrap();
        self
    }
}

#[test]
fn a_client_that_asks_for_openid_learns_who_has_signed_in() {
    let scene = Scene::new();
    let asked = [
        ("scope", "openid profile email"),
        ("resource", ""),
        ("nonce", "n-0S6_WzA2Mj"),
    ];
    let browser = Browser::signed_in(&scene);
    let page = browser.get(&format!("/authorize?{}", scene.query(&asked)));
    for shown in [
        "Recognise you",
        "See your user name",
        "See your email address",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains("Read your files"), "{}", page.body);
    let tokens = scene.signed_in_with(&asked, &["openid", "profile", "email"]);
    assert_eq!(tokens["scope"], "openid profile email");

    let about = claims(&tokens["id_token"]);
    let access = claims(&tokens["access_token"]);
    assert_eq!(about["iss"], ISSUER);
    assert_eq!(about["aud"], scene.client_id.as_str());
    assert_eq!(about["sub"], access["sub"]);
    assert_eq!(about["nonce"], "n-0S6_WzA2Mj");
    assert_eq!(about["amr"], json!(["pwd"]));
    let now = scene.world.now_ms.get() / 1000;
    assert_eq!(about["iat"], now);
    assert_eq!(about["exp"], now + 900);
    assert_eq!(about["auth_time"], now);
    assert_eq!(access["aud"], format!("{ISSUER}/mcp"));

    let (status, info) = scene.userinfo(&tokens["access_token"]);
    let expected = json!({"sub": about["sub"], "preferred_username": "alice"});
    assert_eq!((status, info), (200, expected), "she has no address");

    // A refresh says who it is too, and repeats no nonce (OpenID Connect Core 1.0 section
    // 12.2).
    scene.world.pass(60);
    let (_, tokens) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    let again = claims(&tokens["id_token"]);
    assert_eq!(again["auth_time"], about["auth_time"]);
    assert_eq!(again["iat"], now + 60);
    assert_eq!(again.get("nonce"), None);
}

#[test]
fn a_client_learns_only_what_the_user_agrees_to() {
    let scene = Scene::new().with_address();
    let asked = [("scope", "openid profile email files:read")];
    let bob = |ticked: &[&str]| {
        let browser = Browser::new(&scene);
        let page = browser.get("/sign-in");
        browser.sign_in(&page, "bob", PASSWORD);
        let page = browser.get(&format!("/authorize?{}", scene.query(&asked)));
        let page = browser.decide(&page, "allow", ticked);
        let (_, tokens) = scene.exchange(page.answer().first("code").unwrap(), &[]);
        tokens
    };
    let tokens = bob(&["openid", "email", "files:read"]);
    assert_eq!(tokens["scope"], "openid email files:read");
    assert_eq!(claims(&tokens["access_token"])["aud"], FILES);
    let (_, info) = scene.userinfo(&tokens["access_token"]);
    let sub = info["sub"].clone();
    assert_eq!(info, json!({"sub": sub}), "his address is not verified");
    let key = format!("account/{}", text(&sub));
    let mut account: Value = serde_json::from_slice(&scene.world.stored(&key).unwrap()).unwrap();
    account["email_verified"] = json!(true);
    let verified = serde_json::to_vec(&account).unwrap();
    scene.world.tamper(&key, Some(verified));
    let (_, info) = scene.userinfo(&tokens["access_token"]);
    let expected = json!({"sub": sub, "email": "bob@example.com", "email_verified": true});
    assert_eq!(info, expected, "nor has he agreed to tell his name");

    // Without `openid`, nothing at all.
    let tokens = bob(&["profile", "email", "files:read"]);
    assert_eq!(tokens["scope"], "files:read");
    assert_eq!(tokens.get("id_token"), None);
    let (status, refused) = scene.userinfo(&tokens["access_token"]);
    assert_eq!(
        (status, &refused["error"]),
        (403, &json!("insufficient_scope"))
    );

    // A narrower token of the same delegation says less.
    let tokens = bob(&["openid", "email", "files:read"]);
    let narrow = [("scope", "files:read")];
    let (_, tokens) = scene.refresh(&text(&tokens["refresh_token"]), &narrow);
    assert_eq!(tokens.get("id_token"), None);
    assert_eq!(scene.userinfo(&tokens["access_token"]).0, 403);
}

/// A29.
#[test]
fn only_an_access_token_of_a_client_tells_who_the_user_is() {
    let scene = Scene::new();
    let asked = [("scope", "openid"), ("resource", "")];
    let tokens = scene.signed_in_with(&asked, &["openid"]);
    let login = json!({"username": "alice", "password": PASSWORD});
    let login = scene.world.run("login", login).unwrap();
    for wrong in ["id_token", "refresh_token"] {
        let (status, refused) = scene.userinfo(&tokens[wrong]);
        assert_eq!(
            (status, &refused["error"]),
            (401, &json!("invalid_token")),
            "{wrong}"
        );
        let verify = json!({"token": tokens[wrong], "audience": scene.client_id});
        assert_eq!(
            scene.world.run("verify_token", verify).unwrap()["active"],
            false
        );
    }
    assert_eq!(scene.userinfo(&json!("x")).0, 401);
    assert_eq!(scene.userinfo(&login["access_token"]).0, 403);
    scene.asks_for_a_token("GET", "/userinfo");
    assert_eq!(scene.send("DELETE", "/userinfo", &[], "").status, 405);

    let client = json!({"client_id": scene.client_id});
    assert_eq!(scene.userinfo(&tokens["access_token"]).0, 200);
    operator(&scene.world, "delete_client", client);
    assert_eq!(scene.userinfo(&tokens["access_token"]).0, 401);
}

#[test]
fn a_user_who_signed_in_too_long_ago_signs_in_again() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let target = |age: &str| format!("/authorize?{}", scene.query(&[("max_age", age)]));
    scene.world.pass(100);
    assert!(browser.get(&target("100")).body.contains("Read your files"));
    for age in ["99", "0"] {
        let page = browser.get(&target(age));
        assert!(page.body.contains("name=\"password\""), "{age}");
        let page = browser.sign_in(&page, "alice", PASSWORD);
        scene.world.pass(5);
        let page = browser.get(page.header("location"));
        assert!(
            page.body.contains("Read your files"),
            "{age}: {}",
            page.body
        );
        scene.world.pass(100);
    }
    let page = browser.get(&target("soon"));
    assert_eq!(page.answer().first("error"), Some("invalid_request"));
}

#[test]
fn the_metadata_for_sign_in_are_where_openid_connect_has_them() {
    let scene = Scene::new();
    let get = |path: &str| {
        let response = scene.send("GET", path, &[], "");
        assert_eq!(response.status, 200, "{path}");
        serde_json::from_slice::<Value>(&response.body.unwrap()).unwrap()
    };
    let document = get("/.well-known/openid-configuration");
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(document["userinfo_endpoint"], format!("{ISSUER}/userinfo"));
    assert_eq!(document["subject_types_supported"], json!(["public"]));
    let algorithms = &document["id_token_signing_alg_values_supported"];
    assert_eq!(*algorithms, json!(["ES256"]));
    assert_eq!(
        document["scopes_supported"],
        json!(["openid", "profile", "email"])
    );
    // Clients of MCP ask for all scopes that they find in the other one.
    let document = get("/.well-known/oauth-authorization-server");
    assert_eq!(document.get("scopes_supported"), None);
}

/// OpenID Connect Core section 3.1.2.1.
#[test]
fn an_authorization_request_may_come_by_post() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let of_a_client = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://app.example"),
    ];
    let form = scene.query(&[("state", "a&b=\"<c>\r\nx: y")]);
    let form = format!("{form}&no%0D%0Ax:%20y%26=1");
    let page = browser.request("POST", "/authorize", &of_a_client, &form);
    assert_eq!(page.status, 303, "{}", page.body);
    assert!(!page.header("location").contains(char::is_whitespace));
    let page = browser.get(page.header("location"));
    let page = browser.decide(&page, "allow", &["files:read"]);
    let answer = page.answer();
    assert_eq!(answer.first("state"), Some("a&b=\"<c>\r\nx: y"));
    assert!(answer.first("code").is_some());
}

#[test]
fn what_a_client_knows_is_listed_with_what_it_may_do() {
    let scene = Scene::new();
    let asked = [("scope", "openid profile files:read")];
    scene.signed_in_with(&asked, &["openid", "profile", "files:read"]);
    let alice = operator(&scene.world, "get_user", json!({"username": "alice"}));
    let input = json!({"user_id": alice["user_id"]});
    let grants = operator(&scene.world, "list_grants", input);
    assert_eq!(
        grants["grants"][0]["identity"],
        json!(["openid", "profile"])
    );
    let page = Browser::signed_in(&scene).get("/apps");
    assert!(page.body.contains("See your user name"), "{}", page.body);
}

/// An access token says no more than its user may still give to the client.
#[test]
fn a_lost_role_shortens_the_scope_of_tokens_that_are_out() {
    let scene = Scene::new();
    let role =
        json!({"role": "keeper", "description": "Keeps files", "permissions": ["files:admin"]});
    operator(&scene.world, "define_role", role);
    let keeper = json!({"username": "alice", "role": "keeper"});
    operator(&scene.world, "assign_role", keeper.clone());
    let asked = [("scope", "files:read files:admin")];
    let tokens = scene.signed_in_with(&asked, &["files:read", "files:admin"]);
    let verify = json!({"token": tokens["access_token"], "audience": FILES});
    let scope = || scene.world.run("verify_token", verify.clone()).unwrap()["scope"].clone();
    assert_eq!(scope(), "files:read files:admin");
    operator(&scene.world, "revoke_role", keeper);
    assert_eq!(scope(), "files:read");
}

#[test]
fn introspection_tells_a_client_no_more_than_userinfo() {
    let mut scene = Scene::new();
    let site = json!({
        "client_name": "Site",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let site = operator(&scene.world, "create_client", site);
    scene.client_id = text(&site["client_id"]);
    let secret = text(&site["client_secret"]);
    let browser = Browser::signed_in(&scene);
    for (ticked, expected) in [
        (&["openid"][..], Value::Null),
        (&["openid", "profile"], json!("alice")),
    ] {
        let asked = [("scope", "openid profile"), ("resource", "")];
        let page = browser.get(&format!("/authorize?{}", scene.query(&asked)));
        let page = browser.decide(&page, "allow", ticked);
        let answer = page.answer();
        let changes = [("resource", ""), ("client_secret", secret.as_str())];
        let (_, tokens) = scene.exchange(answer.first("code").unwrap(), &changes);
        let form = encode(&[
            ("token", &text(&tokens["access_token"])),
            ("client_id", &scene.client_id),
            ("client_secret", &secret),
        ]);
        let response = scene.send("POST", "/introspect", &[], &form);
        let seen: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        assert_eq!(
            (&seen["active"], &seen["username"]),
            (&json!(true), &expected)
        );
    }
}

/// Anyone can register the address of somebody else as a user name.
#[test]
fn a_user_name_that_looks_like_an_address_is_told_only_to_those_who_own_it() {
    let scene = Scene::new();
    let name = "bob@example.com";
    let account = json!({"username": name, "password": PASSWORD, "email": name});
    let id = text(&scene.world.run("register", account).unwrap()["user_id"]);
    let browser = Browser::new(&scene);
    browser.sign_in(&browser.get("/sign-in"), name, PASSWORD);
    let asked = [("scope", "openid profile"), ("resource", "")];
    let page = browser.get(&format!("/authorize?{}", scene.query(&asked)));
    let page = browser.decide(&page, "allow", &["openid", "profile"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (_, tokens) = scene.exchange(&code, &[("resource", "")]);
    let told = || scene.userinfo(&tokens["access_token"]).1["preferred_username"].clone();
    assert_eq!(told(), Value::Null);
    let key = format!("account/{id}");
    let mut account: Value = serde_json::from_slice(&scene.world.stored(&key).unwrap()).unwrap();
    account["email_verified"] = json!(true);
    let verified = serde_json::to_vec(&account).unwrap();
    scene.world.tamper(&key, Some(verified));
    assert_eq!(told(), name);
}
