//! The authorization server through the built program: pages, tokens and what survives a
//! restart.

mod agents;
mod appearance;
mod approvals;
mod browser;
mod checkers;
mod chromium;
mod client_keys;
mod examples;
mod kills;
pub(crate) mod matrix;
mod metadata_documents;
mod mix_up;
mod processes;
mod real_clients;
mod secrets;
mod transcript;
mod web_application;

use std::collections::BTreeSet;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

use browser::{Browser, encode};
pub(crate) use real_clients::free_port;

/// The public URL, which is not where the tests reach the server.
const ISSUER: &str = "http://localhost:8000";
const FILES: &str = "https://files.example.com/mcp";
const REDIRECT: &str = "https://desk.example.com/cb";
const VERIFIER: &str = "a verifier of 43 characters, but with dots.";

/// A server with a client, a resource server and a user.
struct Scene {
    home: TempDir,
    server: Server,
    client_id: String,
    verifier: String,
}

/// Runs an operation as the operator.
fn operate(home: &TempDir, operation: &str, input: &Value) -> Value {
    operate_with(&[], home, operation, input)
}

/// Runs an operation as the operator, with these environment variables.
fn operate_with(
    environment: &[(&str, &str)],
    home: &TempDir,
    operation: &str,
    input: &Value,
) -> Value {
    let mut command = command(home.path());
    command.envs(environment.iter().copied());
    command.args(["call", operation, "--yes", "--json", &input.to_string()]);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{operation}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn start(home: &TempDir) -> Server {
    Options::new()
        .home(home.path())
        .env("USER_AUTH_PUBLIC_URL", ISSUER)
        .env("USER_AUTH_OAUTH_ENABLED", "true")
        .start()
}

impl Scene {
    fn start() -> Scene {
        let home = folder();
        let server = start(&home);
        server.new_session("alice");
        let scopes = json!([{"scope": "files:read", "description": "Read your files"}]);
        let resource = json!({"resource": FILES, "resource_name": "Files", "scopes": scopes});
        operate(&home, "define_resource", &resource);
        let client = json!({"client_name": "Desk", "redirect_uris": [REDIRECT]});
        let client = operate(&home, "create_client", &client);
        Scene {
            home,
            server,
            client_id: client["client_id"].as_str().unwrap().to_owned(),
            verifier: VERIFIER.replace([' ', ','], "-"),
        }
    }

    fn target(&self) -> String {
        self.target_for(FILES, "")
    }

    /// Returns the address at which a client asks for these scopes of a resource server, or for
    /// all if there are none.
    fn target_for(&self, resource: &str, scope: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", REDIRECT),
            ("state", "x&y"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", resource),
            ("scope", scope),
        ];
        query.retain(|(_, value)| !value.is_empty());
        format!("/authorize?{}", encode(&query))
    }

    /// Returns the tokens of a client whose user signs in and agrees.
    fn tokens(&self) -> Value {
        let browser = Browser::new(&self.server);
        let page = browser.get(&self.target());
        let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
        assert_eq!(page.status, 303, "{}", page.text);
        let page = browser.get(page.header("location").unwrap());
        assert!(page.text.contains("Read your files"), "{}", page.text);
        let page = browser.submit(&page, &[("decision", "allow")]);
        let location = page.header("location").unwrap();
        assert!(location.starts_with(REDIRECT), "{location}");
        assert!(
            location.contains("state=x%26y") && location.contains("iss=http%3A%2F%2Flocalhost")
        );
        let (_, code) = location.split_once("code=").unwrap();
        let code = code.split('&').next().unwrap();
        let answer = self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &self.verifier),
            ("redirect_uri", REDIRECT),
        ]);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.json()
    }

    fn token(&self, fields: &[(&str, &str)]) -> user_auth_tests::Answer {
        let fields = [&[("client_id", self.client_id.as_str())], fields].concat();
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.server.post_to("/token", &[form], encode(&fields))
    }

    fn refresh(&self, refresh_token: &str) -> user_auth_tests::Answer {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ])
    }
}

#[test]
fn a_token_from_the_sign_in_page_is_good_at_its_resource_server_alone() {
    let scene = Scene::start();
    let tokens = scene.tokens();
    let token = tokens["access_token"].as_str().unwrap();
    let header = decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let keys: JwkSet = serde_json::from_str(&scene.server.get("/jwks", &[]).text).unwrap();
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let key = DecodingKey::from_jwk(key).unwrap();
    let verify = |audience: &str| {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        decode::<Value>(token, &key, &validation).map(|data| data.claims)
    };
    let claims = verify(FILES).unwrap();
    assert_eq!(claims["client_id"], scene.client_id.as_str());
    assert_eq!(claims["scope"], "files:read");
    assert!(verify("https://mail.example.com").is_err());

    // This service itself takes it for no caller.
    let bearer = format!("Bearer {token}");
    let answer = scene
        .server
        .post_to("/api/get_session", &[("authorization", &bearer)], "{}");
    assert_eq!(answer.status, 401);
    let audience = json!({"token": token, "audience": FILES});
    let verified = scene.server.call("verify_token", audience.clone()).unwrap();
    assert_eq!(verified["active"], true);
    let input = json!({"client_id": scene.client_id});
    operate(&scene.home, "delete_client", &input);
    let verified = scene.server.call("verify_token", audience).unwrap();
    assert_eq!(verified["active"], false);
}

#[test]
fn attack_a26_parallel_refreshes_lead_to_one_successor() {
    let scene = Scene::start();
    let tokens = scene.tokens();
    let first = tokens["refresh_token"].as_str().unwrap();
    let successors: BTreeSet<String> = thread::scope(|scope| {
        let refreshes: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let answer = scene.refresh(first);
                    assert_eq!(answer.status, 200, "{}", answer.text);
                    answer.json()["refresh_token"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        let answers = refreshes.into_iter().map(|refresh| refresh.join().unwrap());
        answers.collect()
    });
    assert_eq!(successors.len(), 1);
}

#[test]
fn clients_and_browsers_stay_signed_in_when_the_server_restarts() {
    let mut scene = Scene::start();
    let tokens = scene.tokens();
    let browser = Browser::new(&scene.server);
    let page = browser.get("/sign-in");
    let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(page.header("location"), Some("/sign-in"));
    let cookies = browser.cookies();
    scene.server.stop();
    scene.server = start(&scene.home);
    let answer = scene.refresh(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(answer.status, 200, "{}", answer.text);
    let browser = Browser::with_cookies(&scene.server, cookies);
    assert!(browser.get("/sign-in").text.contains("You are signed in"));
}

#[test]
fn a_user_takes_the_access_of_an_app_away_on_a_page_and_an_administrator_by_operation() {
    let scene = Scene::start();
    let tokens = scene.tokens();
    let browser = Browser::new(&scene.server);
    let page = browser.get("/apps");
    let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(page.header("location"), Some("/apps"));
    let page = browser.get("/apps");
    assert!(page.text.contains("Connected apps") && page.text.contains("Desk"));
    assert!(page.text.contains("Read your files"), "{}", page.text);
    let page = browser.submit(&page, &[]);
    assert_eq!((page.status, page.header("location")), (303, Some("/apps")));
    assert!(!browser.get("/apps").text.contains("Desk"));
    let refused = scene.refresh(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(refused.json()["error"], "invalid_grant");
    let is_active = |tokens: &Value| {
        let input = json!({"token": tokens["access_token"], "audience": FILES});
        operate(&scene.home, "verify_token", &input)["active"].clone()
    };
    assert_eq!(is_active(&tokens), false);

    let tokens = scene.tokens();
    let user = operate(&scene.home, "get_user", &json!({"username": "alice"}));
    let alice = json!({"user_id": user["user_id"]});
    let listed = operate(&scene.home, "list_grants", &alice);
    let grant = &listed["grants"][0];
    assert_eq!(grant["resource"], FILES);
    let input = json!({"grant_id": grant["grant_id"], "user_id": user["user_id"]});
    let revoked = operate(&scene.home, "revoke_grant", &input);
    assert_eq!(revoked["grant_ids"], json!([grant["grant_id"]]));
    assert_eq!(is_active(&tokens), false);
}

#[test]
fn attack_a14_pages_keep_their_own_policy_and_nobody_may_read_them() {
    let scene = Scene::start();
    let page = scene
        .server
        .get("/sign-in", &[("origin", "https://evil.example")]);
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("style-src 'self'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("access-control-allow-origin"), None);
    let style = scene.server.get("/style.css", &[]);
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    // Everything else stays JSON under the strictest policy.
    let metadata = scene
        .server
        .get("/.well-known/oauth-authorization-server", &[]);
    assert_eq!(metadata.header("content-type"), Some("application/json"));
    assert_eq!(metadata.header("access-control-allow-origin"), Some("*"));
    let policy = metadata.header("content-security-policy");
    assert_eq!(policy, Some("default-src 'none'; frame-ancestors 'none'"));
    assert_eq!(metadata.json()["issuer"], ISSUER);
}

#[test]
fn a_client_registers_itself_and_keeps_its_tokens_over_a_restart() {
    let mut scene = Scene::start();
    let metadata = scene
        .server
        .get("/.well-known/oauth-authorization-server", &[]);
    let expected = format!("{ISSUER}/register");
    assert_eq!(metadata.json()["registration_endpoint"], expected.as_str());
    let body = json!({
        "client_name": "Pad",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let page = ("origin", "https://inspector.example");
    let register = |scene: &Scene, body: &str| scene.server.post_to("/register", &[page], body);
    let registered = register(&scene, &body.to_string());
    assert_eq!(registered.status, 201, "{}", registered.text);
    assert_eq!(registered.header("access-control-allow-origin"), Some("*"));
    assert_eq!(registered.header("cache-control"), Some("no-store"));
    let client = registered.json();
    assert_eq!(client["redirect_uris"], json!([REDIRECT]));
    // The client that starts again does not fill the store.
    let again = register(&scene, &body.to_string());
    assert_eq!(again.json()["client_id"], client["client_id"]);

    scene.client_id = client["client_id"].as_str().unwrap().to_owned();
    let tokens = scene.tokens();
    scene.server.stop();
    scene.server = start(&scene.home);
    let refreshed = scene.refresh(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);

    let wrong = json!({"redirect_uris": ["http://desk.example.com/cb", REDIRECT]});
    let refused = register(&scene, &wrong.to_string());
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"], "invalid_redirect_uri");
    let refused = register(&scene, &"x".repeat(2 << 20));
    assert_eq!(refused.status, 413);
    assert_eq!(refused.json()["error"], "invalid_request");
    operate(
        &scene.home,
        "delete_client",
        &json!({"client_id": scene.client_id}),
    );
    let answer = scene.refresh(refreshed.json()["refresh_token"].as_str().unwrap());
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (401, &json!("invalid_client"))
    );
}

#[test]
fn a_client_with_a_secret_manages_its_registration_over_http() {
    let scene = Scene::start();
    let body = json!({"redirect_uris": [REDIRECT]}).to_string();
    let client = scene.server.post_to("/register", &[], body).json();
    let uri = client["registration_client_uri"].as_str().unwrap();
    let target = uri.strip_prefix(ISSUER).unwrap();
    let token = client["registration_access_token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let read = scene.server.get(target, &headers);
    assert_eq!(
        (read.status, &read.json()["client_id"]),
        (200, &client["client_id"])
    );
    assert_eq!(scene.server.get(target, &[]).status, 401);
}
