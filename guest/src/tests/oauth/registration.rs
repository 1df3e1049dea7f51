//! Clients that register themselves: what they can register.

mod life_cycle;
mod management;
mod pages;
mod shapes;

use serde_json::{Value, json};

use super::{Browser, ISSUER, Scene, VERIFIER, text};

const SITE: &str = "https://site.example/cb";
const LOCAL: &str = "http://127.0.0.1:3118/callback";

impl Scene {
    fn register_text(&self, body: &str) -> (u16, Value) {
        let response = self.send("POST", "/register", &[], body);
        let text = response.body.unwrap();
        (response.status, serde_json::from_slice(&text).unwrap())
    }

    fn register(&self, metadata: &Value) -> (u16, Value) {
        self.register_text(&metadata.to_string())
    }

    /// Returns a newly registered client.
    fn registered(&self, metadata: &Value) -> Value {
        let (status, client) = self.register(metadata);
        assert_eq!(status, 201, "{client}");
        client
    }

    fn refused(&self, metadata: &Value) -> (String, String) {
        let (status, error) = self.register(metadata);
        assert_eq!(status, 400, "{error}");
        (text(&error["error"]), text(&error["error_description"]))
    }

    /// Sends a request of a client about its registration.
    fn manage(&self, method: &str, client: &Value, token: &Value, body: &str) -> (u16, Value) {
        let uri = text(&client["registration_client_uri"]);
        let target = uri.strip_prefix(ISSUER).unwrap();
        let bearer = format!("Bearer {}", token.as_str().unwrap());
        let response = self.send(method, target, &[("authorization", &bearer)], body);
        let body = response.body.unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        (response.status, body)
    }

    fn count(&self, prefix: &str) -> usize {
        let entries = self.world.entries();
        let found = entries.iter().filter(|(key, _)| key.starts_with(prefix));
        found.count()
    }

    fn of_client(&self, client: &Value, redirect_uri: &str, changes: &[(&str, &str)]) -> String {
        let client_id = text(&client["client_id"]);
        let own = [
            ("client_id", client_id.as_str()),
            ("redirect_uri", redirect_uri),
        ];
        let query = self.query(&[&own, changes].concat());
        format!("/authorize?{query}")
    }
}

fn public(redirect_uri: &str) -> Value {
    json!({
        "client_name": "Pad",
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    })
}

fn confidential() -> Value {
    json!({"client_name": "Site", "redirect_uris": [SITE]})
}

/// Returns the tokens of a client at a redirect URI, with the secret that it may have.
fn tokens(scene: &Scene, client: &Value, redirect_uri: &str) -> (u16, Value) {
    let browser = Browser::signed_in(scene);
    let page = browser.get(&scene.of_client(client, redirect_uri, &[]));
    let page = browser.decide(&page, "allow", &["files:read"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let client_id = text(&client["client_id"]);
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("client_id", client_id.as_str()),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    fields.extend(
        client["client_secret"]
            .as_str()
            .map(|it| ("client_secret", it)),
    );
    scene.token(&fields)
}

#[test]
fn a_client_registers_itself_and_gets_tokens() {
    let scene = Scene::new();
    let response = scene.send("POST", "/register", &[], &public(LOCAL).to_string());
    assert_eq!(response.status, 201);
    let no_store = ("cache-control".to_owned(), "no-store".to_owned());
    assert!(response.headers.contains(&no_store));
    let client: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
    let expected = json!({
        "client_id": client["client_id"],
        "client_id_issued_at": scene.world.now_ms.get() / 1000,
        "client_name": "Pad",
        "redirect_uris": [LOCAL],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    });
    assert_eq!(client, expected);
    // AS-05: any port.
    let (status, tokens) = tokens(&scene, &client, "http://127.0.0.1:50000/callback");
    assert_eq!(status, 200, "{tokens}");
    let client_id = text(&client["client_id"]);
    let (status, _) = scene.refresh(
        &text(&tokens["refresh_token"]),
        &[("client_id", &client_id)],
    );
    assert_eq!(status, 200);
}

#[test]
fn a_client_authenticates_as_it_has_registered() {
    let scene = Scene::new();
    let with = |member: &str, value: Value| {
        let mut metadata = confidential();
        metadata[member] = value;
        scene.registered(&metadata)
    };
    for (client, expected) in [
        (scene.registered(&confidential()), "client_secret_basic"),
        (
            with("application_type", json!("web")),
            "client_secret_basic",
        ),
        (with("application_type", json!("native")), "none"),
        (with("token_endpoint_auth_method", json!("none")), "none"),
        (
            with("token_endpoint_auth_method", json!("client_secret_post")),
            "client_secret_post",
        ),
    ] {
        assert_eq!(client["token_endpoint_auth_method"], expected);
        let has_secret = expected != "none";
        assert_eq!(client["client_secret"].is_string(), has_secret, "{client}");
        assert_eq!(client.get("client_secret_expires_at").is_some(), has_secret);
        let (status, answer) = tokens(&scene, &client, SITE);
        assert_eq!(status, 200, "{answer}");
        if has_secret {
            let mut without = client.clone();
            without["client_secret"] = Value::Null;
            let (status, answer) = tokens(&scene, &without, SITE);
            assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
            let secret = &text(&client["client_secret"])["uas_".len()..];
            assert!(!scene.world.dump("").contains(secret));
        }
    }
}

#[test]
fn members_that_mean_nothing_here_are_not_registered() {
    let scene = Scene::new();
    let mut metadata = public(LOCAL);
    for (member, value) in [
        (
            "grant_types",
            json!([
                "authorization_code",
                "urn:ietf:params:oauth:grant-type:device_code"
            ]),
        ),
        ("response_types", json!(["code", "token"])),
        ("scope", json!("openid email profile")),
        ("logo_uri", json!("javascript:alert(1)")),
        ("policy_uri", json!("data:text/html,x")),
        ("contacts", json!(["a@b.example"])),
        ("client_id", json!("mine")),
        ("client_secret", json!("mine")),
        ("software_version", json!(null)),
        ("com.example.private", json!({"x": [1]})),
    ] {
        metadata[member] = value;
    }
    let client = scene.registered(&metadata);
    let plain = scene.registered(&public(LOCAL));
    assert_eq!(client, plain, "the same as without them");
    metadata["scope"] = json!("");
    assert_eq!(scene.registered(&metadata), plain);
    // A scope that was not registered can be asked for all the same (AS-26).
    let browser = Browser::signed_in(&scene);
    let scope = [("scope", "files:read openid")];
    let page = browser.get(&scene.of_client(&client, LOCAL, &scope));
    assert_eq!(page.status, 200);
    assert!(page.body.contains("files:read") && !page.body.contains("files:write"));
}

/// A08.
#[test]
fn redirect_uris_that_are_wrong_are_named_each() {
    let scene = Scene::new();
    let uris = [
        "javascript:alert(1)",
        SITE,
        "data:text/html,x",
        "microsoft-edge:https://evil.example/cb",
        "search-ms:query",
        "file:///etc/passwd",
        "http://site.example/cb",
        "https://*.site.example/cb",
        "https://site.example/cb#x",
        "https://good.example@evil.example/cb",
    ];
    let (code, description) = scene.refused(&json!({"redirect_uris": uris}));
    assert_eq!(code, "invalid_redirect_uri");
    for (index, uri) in uris.iter().enumerate() {
        let is_named = description.contains(&format!("redirect_uris[{index}]"));
        assert_eq!(is_named, *uri != SITE, "{uri}: {description}");
    }
    for wrong in [
        json!([]),
        json!(SITE),
        json!([1]),
        json!(null),
        json!(vec![SITE; 11]),
    ] {
        let (code, _) = scene.refused(&json!({"redirect_uris": wrong}));
        assert_eq!(code, "invalid_redirect_uri", "{wrong}");
    }
    assert_eq!(scene.refused(&json!({})).0, "invalid_redirect_uri");
    assert_eq!(scene.count("client-by-registration/dynamic/"), 0);
}

#[test]
fn metadata_that_cannot_be_registered_is_named() {
    let scene = Scene::new();
    for (member, value) in [
        ("token_endpoint_auth_method", json!("client_secret_jwt")),
        ("token_endpoint_auth_method", json!(1)),
        ("grant_types", json!(["client_credentials"])),
        ("grant_types", json!("authorization_code")),
        ("response_types", json!(["token"])),
        ("response_types", json!([])),
        ("application_type", json!("desktop")),
        ("client_name", json!(["x"])),
    ] {
        let mut metadata = public(LOCAL);
        metadata[member] = value;
        let (code, description) = scene.refused(&metadata);
        assert_eq!(code, "invalid_client_metadata");
        assert!(description.contains(member), "{description}");
    }
}

/// A24.
#[test]
fn bodies_that_are_no_metadata_are_rejected() {
    let scene = Scene::new();
    let many = json!({"redirect_uris": (0..1000).map(|n| format!("https://a.example/{n}")).collect::<Vec<_>>()});
    let long = json!({"redirect_uris": [SITE], "x": "y".repeat(16 << 10)});
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = format!("{{\"redirect_uris\":[\"{SITE}\"],\"x\":{nested}}}");
    let deeper = format!(
        "{{\"redirect_uris\":[\"{SITE}\"],\"x\":{}}}",
        &nested[8_000..12_000]
    );
    let twice = format!("{{\"redirect_uris\":[\"{SITE}\"],\"redirect_uris\":[\"{LOCAL}\"]}}");
    for body in [
        &many.to_string(),
        &long.to_string(),
        &deep,
        &deeper,
        &twice,
        "",
        "[]",
        "{",
        "null",
        "redirect_uris=x",
    ] {
        let (status, error) = scene.register_text(body);
        assert_eq!(status, 400, "{}", &body[..body.len().min(100)]);
        let code = text(&error["error"]);
        assert!(["invalid_client_metadata", "invalid_redirect_uri"].contains(&code.as_str()));
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(scene.send("POST", "/register", &form, "{}").status, 415);
    assert_eq!(scene.count("client-by-registration/dynamic/"), 0);
}

#[test]
fn registration_can_be_switched_off() {
    let mut scene = Scene::new();
    let metadata = "/.well-known/oauth-authorization-server";
    let endpoint = |scene: &Scene| {
        let response = scene.send("GET", metadata, &[], "");
        let document: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        document.get("registration_endpoint").cloned()
    };
    let expected = format!("{ISSUER}/register");
    assert_eq!(endpoint(&scene), Some(json!(expected)));
    let oauth = scene.world.settings.oauth.as_mut().unwrap();
    oauth.registration = crate::settings::ClientRegistration::Off;
    assert_eq!(endpoint(&scene), None);
    let response = scene.send("POST", "/register", &[], &public(LOCAL).to_string());
    assert_eq!(response.status, 404);
}

/// A47.
#[test]
fn a_registration_without_a_store_can_be_tried_again() {
    let scene = Scene::new();
    scene.world.additions.set(Some(0));
    let (status, error) = scene.register(&public(LOCAL));
    assert_eq!(
        (status, &error["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    assert_eq!(scene.count("client-by-registration/dynamic/"), 0);
}

#[test]
fn a_registration_is_recorded_without_its_secrets() {
    let scene = Scene::new();
    let client = scene.registered(&confidential());
    let token = &client["registration_access_token"];
    scene.manage("DELETE", &client, token, "");
    let audited = scene.world.audited.borrow();
    for operation in ["register_client", "delete_registration"] {
        let is_of_it = |record: &&Value| {
            record["operation"] == operation
                && record["details"]["client_id"] == client["client_id"]
        };
        assert_eq!(audited.iter().filter(is_of_it).count(), 1, "{operation}");
    }
    let all = serde_json::to_string(&*audited).unwrap();
    for secret in [token, &client["client_secret"]] {
        assert!(!all.contains(&text(secret)[4..]));
    }
}
