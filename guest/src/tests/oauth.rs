//! The authorization server through its routes: sign-in and consent pages, and the token
//! endpoint.

mod grants;
mod registration;

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::second_factor::shown;
use crate::domain::caller::Principal;
use crate::http::{self, Request};
use crate::mcp::Response;
use crate::oauth::parameters::{Parameters, encode};
use crate::settings::Settings;
use crate::testing::World;

const ISSUER: &str = "https://auth.example";
const FILES: &str = "https://files.example/mcp";
const REDIRECT: &str = "https://desk.example/cb";
const PASSWORD: &str = "correct horse battery staple";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A world with an authorization server, a resource server, a client and a user.
struct Scene {
    world: World,
    client_id: String,
}

fn operator(world: &World, operation: &str, input: Value) -> Value {
    world.run_as(Principal::Operator, operation, input).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Scene {
    fn new() -> Scene {
        let mut world = World::new();
        let variables = [
            ("USER_AUTH_PUBLIC_URL", ISSUER),
            ("USER_AUTH_OAUTH_ENABLED", "true"),
            ("USER_AUTH_OAUTH_SERVICE_NAME", "Acme"),
        ];
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        world.settings = Settings::from_variables(owned).unwrap();
        let resource = json!({"resource": FILES, "resource_name": "Files", "scopes": [
            {"scope": "files:read", "description": "Read your files"},
            {"scope": "files:write", "description": "Change your files"},
            {"scope": "files:admin", "description": "Manage all files", "restricted": true},
        ]});
        operator(&world, "define_resource", resource);
        let client =
            json!({"client_name": "Desk <b>", "redirect_uris": [REDIRECT, "http://127.0.0.1/cb"]});
        let client_id = text(&operator(&world, "create_client", client)["client_id"]);
        let alice = json!({"username": "alice", "password": PASSWORD});
        world.run("register", alice).unwrap();
        Scene { world, client_id }
    }

    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter();
        let request = Request {
            method: method.to_owned(),
            target: target.to_owned(),
            authority: Some("auth.example".to_owned()),
            tls: true,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            api_key_header: "X-API-Key".to_owned(),
            peer: Some("192.0.2.1".to_owned()),
        };
        let body = body.as_bytes().to_vec();
        http::answer(
            &request,
            || Some(body),
            &self.world.settings,
            self.world.ports(),
        )
    }

    /// Returns the query of an authorization request with these parameters changed; an empty
    /// one is left out.
    fn query(&self, changes: &[(&str, &str)]) -> String {
        let mut all = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", REDIRECT),
            ("state", "a state"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", FILES),
        ]);
        all.extend(changes.iter().copied());
        all.retain(|_, value| !value.is_empty());
        encode(&all.into_iter().collect::<Vec<_>>())
    }

    fn token(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        self.token_with(fields, &[])
    }

    fn token_with(&self, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> (u16, Value) {
        let response = self.send("POST", "/token", headers, &encode(fields));
        let body = serde_json::from_slice(&response.body.unwrap()).unwrap();
        (response.status, body)
    }

    fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let mut all = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("resource", FILES),
        ]);
        all.extend(changes.iter().copied());
        all.retain(|_, value| !value.is_empty());
        self.token(&all.into_iter().collect::<Vec<_>>())
    }

    fn refresh(&self, refresh_token: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let mut all = BTreeMap::from([
            ("grant_type", "refresh_token"),
            ("client_id", self.client_id.as_str()),
            ("refresh_token", refresh_token),
        ]);
        all.extend(changes.iter().copied());
        self.token(&all.into_iter().collect::<Vec<_>>())
    }

    /// Returns the tokens of a new delegation.
    fn tokens(&self) -> Value {
        let browser = Browser::signed_in(self);
        let code = browser.code(&self.query(&[]));
        let (status, tokens) = self.exchange(&code, &[]);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

/// A browser with its cookies.
struct Browser<'a> {
    scene: &'a Scene,
    cookies: RefCell<BTreeMap<String, String>>,
    language: &'static str,
}

/// A page, or a redirect.
struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns the value of an input.
    fn field(&self, name: &str) -> String {
        let (_, rest) = self
            .body
            .split_once(&format!("name=\"{name}\" value=\""))
            .unwrap();
        let value = rest.split('"').next().unwrap();
        value
            .replace("&#38;", "&")
            .replace("&#61;", "=")
            .replace("&amp;", "&")
    }

    /// Returns the parameters of the redirect to the client.
    fn answer(&self) -> Parameters {
        assert_eq!(self.status, 303, "{}", self.body);
        let query = self.header("location").split_once('?').unwrap().1;
        Parameters::parse(query.as_bytes()).unwrap()
    }
}

impl<'a> Browser<'a> {
    fn new(scene: &'a Scene) -> Browser<'a> {
        Browser {
            scene,
            cookies: RefCell::default(),
            language: "en",
        }
    }

    fn signed_in(scene: &'a Scene) -> Browser<'a> {
        let browser = Browser::new(scene);
        let page = browser.get("/sign-in");
        let page = browser.sign_in(&page, "alice", PASSWORD);
        assert_eq!(page.status, 303, "{}", page.body);
        browser
    }

    fn get(&self, target: &str) -> Page {
        self.request("GET", target, &[("sec-fetch-site", "none")], "")
    }

    fn post(&self, target: &str, fields: &[(&str, &str)]) -> Page {
        let headers = [("sec-fetch-site", "same-origin"), ("origin", "null")];
        self.request("POST", target, &headers, &encode(fields))
    }

    fn request(&self, method: &str, target: &str, more: &[(&str, &str)], body: &str) -> Page {
        let cookies: Vec<String> = self
            .cookies
            .borrow()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![
            ("cookie", cookies.as_str()),
            ("accept-language", self.language),
        ];
        headers.extend(more);
        let response = self.scene.send(method, target, &headers, body);
        for (name, value) in &response.headers {
            if name == "set-cookie" {
                let (pair, attributes) = value.split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                assert!(
                    name.starts_with("__Host-") && attributes.contains("Secure"),
                    "{pair}"
                );
                let mut cookies = self.cookies.borrow_mut();
                match attributes.contains("Max-Age=0") {
                    true => cookies.remove(name),
                    false => cookies.insert(name.to_owned(), value.to_owned()),
                };
            }
        }
        Page {
            status: response.status,
            headers: response.headers,
            body: String::from_utf8(response.body.unwrap_or_default()).unwrap(),
        }
    }

    fn sign_in(&self, page: &Page, username: &str, password: &str) -> Page {
        let fields = [
            ("form_token", &*page.field("form_token")),
            ("return_to", &page.field("return_to")),
            ("username", username),
            ("password", password),
        ];
        self.post("/sign-in", &fields)
    }

    fn decide(&self, page: &Page, decision: &str, scopes: &[&str]) -> Page {
        let (request, token) = (page.field("request"), page.field("consent_token"));
        let mut fields = vec![
            ("request", request.as_str()),
            ("consent_token", token.as_str()),
            ("decision", decision),
        ];
        fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
        self.post("/consent", &fields)
    }

    fn code(&self, query: &str) -> String {
        let page = self.get(&format!("/authorize?{query}"));
        assert_eq!(page.status, 200, "{}", page.body);
        let page = self.decide(&page, "allow", &["files:read"]);
        page.answer().first("code").unwrap().to_owned()
    }
}

fn claims(token: &Value) -> Value {
    let token = token.as_str().unwrap();
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[test]
fn a_client_gets_tokens_once_its_user_has_signed_in_and_agreed() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    let query = scene.query(&[]);
    let page = browser.get(&format!("/authorize?{query}"));
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Sign in") && page.body.contains("Acme"));
    assert_eq!(page.field("return_to"), format!("/authorize?{query}"));

    let page = browser.sign_in(&page, "Alice", PASSWORD);
    assert_eq!(page.status, 303);
    let page = browser.get(page.header("location"));
    assert_eq!(page.status, 200);
    for shown in [
        "Files",
        FILES,
        "alice",
        "desk.example",
        "Read your files",
        "files:write",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(
        !page.body.contains("files:admin"),
        "her roles do not permit it"
    );
    assert!(!page.body.contains("Desk <b>"), "{}", page.body);

    let page = browser.decide(&page, "allow", &["files:read", "files:admin"]);
    let answer = page.answer();
    assert!(page.header("location").starts_with(REDIRECT));
    assert_eq!(answer.first("state"), Some("a state"));
    assert_eq!(answer.first("iss"), Some(ISSUER));
    let (status, tokens) = scene.exchange(answer.first("code").unwrap(), &[]);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert_eq!(
        tokens["scope"], "files:read",
        "what she has ticked and may delegate"
    );
    let claims = claims(&tokens["access_token"]);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], FILES);
    assert_eq!(claims["client_id"], scene.client_id.as_str());
    assert_eq!(claims["scope"], "files:read");

    let verify = json!({"token": tokens["access_token"], "audience": FILES});
    let verified = scene.world.run("verify_token", verify).unwrap();
    assert_eq!(verified["active"], true);
    assert_eq!(verified["scope"], "files:read");
}

/// A29.
#[test]
fn a_delegated_token_never_acts_here_as_its_user() {
    let scene = Scene::new();
    let tokens = scene.tokens();
    let access = Principal::AccessToken(crate::types::secret::Secret::new(text(
        &tokens["access_token"],
    )));
    for (operation, input) in [
        ("get_session", json!({})),
        ("issue_token", json!({"audience": FILES})),
        ("list_sessions", json!({})),
    ] {
        let answer = scene.world.run_as(access.clone(), operation, input);
        assert_eq!(answer, Err(-32001), "{operation}");
    }
    let input = json!({"refresh_token": tokens["refresh_token"]});
    assert_eq!(scene.world.run("refresh_token", input), Err(-32001));
    // Nor as a browser.
    let cookie = format!(
        "__Host-user-auth-session={}",
        text(&tokens["refresh_token"])
    );
    let target = format!("/authorize?{}", scene.query(&[]));
    let response = scene.send("GET", &target, &[("cookie", &cookie)], "");
    let body = String::from_utf8(response.body.unwrap()).unwrap();
    assert!(body.contains("name=\"password\""));
    // And it is still good for its client.
    let (status, _) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    assert_eq!(status, 200);
}

/// A01.
#[test]
fn requests_without_a_sha256_challenge_get_no_code() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    for changes in [
        &[("code_challenge", "")][..],
        &[("code_challenge_method", "")],
        &[("code_challenge_method", "plain")],
        &[("code_challenge", "short")],
        &[
            ("code_challenge", VERIFIER),
            ("code_challenge_method", "plain"),
        ],
    ] {
        let page = browser.get(&format!("/authorize?{}", scene.query(changes)));
        let answer = page.answer();
        assert_eq!(
            answer.first("error"),
            Some("invalid_request"),
            "{changes:?}"
        );
        assert_eq!(answer.first("iss"), Some(ISSUER));
        assert_eq!(answer.first("state"), Some("a state"));
        assert_eq!(answer.first("code"), None);
    }
}

#[test]
fn the_client_learns_what_is_wrong_with_its_request() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    for (changes, expected) in [
        (
            &[("response_type", "token")][..],
            "unsupported_response_type",
        ),
        (&[("response_type", "")], "invalid_request"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("scope", "mail:read")], "invalid_scope"),
        (&[("scope", "files:admin")], "invalid_scope"),
        (&[("resource", "https://other.example")], "invalid_target"),
        (
            &[("resource", "https://files.example/mcp#x")],
            "invalid_target",
        ),
        (&[("prompt", "none")], "interaction_required"),
        (&[("request", "x")], "request_not_supported"),
    ] {
        let page = browser.get(&format!("/authorize?{}", scene.query(changes)));
        assert_eq!(page.answer().first("error"), Some(expected), "{changes:?}");
    }
    let twice = format!("{}&{}", scene.query(&[]), encode(&[("resource", FILES)]));
    let page = browser.get(&format!("/authorize?{twice}"));
    assert_eq!(page.answer().first("error"), Some("invalid_target"));
    let long = "s".repeat(2049);
    let page = browser.get(&format!("/authorize?{}", scene.query(&[("state", &long)])));
    assert_eq!(page.answer().first("error"), Some("invalid_request"));
}

/// A06, A09, A10.
#[test]
fn nobody_is_sent_where_the_client_is_not_known_to_be() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let status = |query: String| {
        let page = browser.get(&format!("/authorize?{query}"));
        assert_eq!(page.header("location"), "", "{query}");
        page.status
    };
    for uri in [
        "https://desk.example/cb/",
        "https://desk.example/CB",
        "https://desk.example/x/%2e%2e/cb",
        "https://desk.example/cb?x",
        "https://desk.example/cb#x",
        "https://desk.example@evil.example/cb",
        "https://desk.example:8443/cb",
        "https://desk.example.evil/cb",
        "https://desk.example\\@evil.example/cb",
        "http://desk.example/cb",
        "http://127.0.0.1.evil/cb",
        "http://localhost/cb",
        "javascript:alert(1)",
    ] {
        assert_eq!(status(scene.query(&[("redirect_uri", uri)])), 400, "{uri}");
    }
    let unknown = format!("client_{}", "0".repeat(32));
    for id in ["", "x", &unknown] {
        assert_eq!(status(scene.query(&[("client_id", id)])), 400, "{id}");
    }
    assert_eq!(
        status(scene.query(&[("redirect_uri", "")])),
        400,
        "it has two"
    );
    let twice = encode(&[("redirect_uri", REDIRECT)]);
    assert_eq!(status(format!("{}&{twice}", scene.query(&[]))), 400);
}

/// A07.
#[test]
fn a_program_on_this_computer_may_use_any_port() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let uri = "http://127.0.0.1:4711/cb";
    let page = browser.get(&format!(
        "/authorize?{}",
        scene.query(&[("redirect_uri", uri)])
    ));
    assert!(page.body.contains("class=\"warning\""), "{}", page.body);
    let page = browser.decide(&page, "allow", &["files:read"]);
    assert!(page.header("location").starts_with(uri));
    let code = page.answer().first("code").unwrap().to_owned();
    let (status, _) = scene.exchange(&code, &[("redirect_uri", uri)]);
    assert_eq!(status, 200);
}

/// A02, A05.
#[test]
fn a_code_that_is_shown_wrongly_is_burnt() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let other = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    let wrong = "a".repeat(43);
    for (changes, expected) in [
        (&[("code_verifier", wrong.as_str())][..], "invalid_grant"),
        (&[("client_id", &other)], "invalid_grant"),
        (&[("redirect_uri", "http://127.0.0.1/cb")], "invalid_grant"),
        (&[("resource", "https://other.example")], "invalid_target"),
    ] {
        let code = browser.code(&scene.query(&[]));
        let (status, refused) = scene.exchange(&code, changes);
        assert_eq!(
            (status, &refused["error"]),
            (400, &json!(expected)),
            "{changes:?}"
        );
        let (status, refused) = scene.exchange(&code, &[]);
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    }
    // A mistake in the form is not a wrong code.
    let code = browser.code(&scene.query(&[]));
    let (_, refused) = scene.exchange(&code, &[("code_verifier", "")]);
    assert_eq!(refused["error"], "invalid_request");
    assert_eq!(
        scene
            .exchange(&code, &[("redirect_uri", ""), ("resource", "")])
            .0,
        200
    );
    scene.world.pass(1);
    let code = browser.code(&scene.query(&[]));
    scene.world.pass(60);
    assert_eq!(scene.exchange(&code, &[]).1["error"], "invalid_grant");
}

/// A03.
#[test]
fn a_code_that_is_used_twice_ends_what_it_began() {
    let scene = Scene::new();
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let (_, tokens) = scene.exchange(&code, &[]);
    let (status, refused) = scene.exchange(&code, &[]);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    let (_, refused) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    assert_eq!(refused["error"], "invalid_grant");
    let verify = json!({"token": tokens["access_token"], "audience": FILES});
    assert_eq!(
        scene.world.run("verify_token", verify).unwrap()["active"],
        false
    );
    let audited = scene.world.audited.borrow();
    let reused =
        |record: &Value| record["operation"] == "exchange_code" && record["outcome"] == "reused";
    assert!(audited.iter().any(reused));
}

/// A04: the store decides between two exchanges of one code.
#[test]
fn an_overtaken_exchange_gets_nothing() {
    let scene = Scene::new();
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let key = scene
        .world
        .entries()
        .into_iter()
        .find(|(key, _)| key.starts_with("authorization-code/"));
    let (key, _) = key.unwrap();
    let used = json!({"used": {"session_id": "0".repeat(32)}});
    let used = serde_json::to_vec(&used).unwrap();
    scene.world.overtaken_by.borrow_mut().push((key, used));
    let (status, refused) = scene.exchange(&code, &[]);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    let sessions = scene.world.entries();
    let delegated = sessions.iter().filter(|(key, value)| {
        key.starts_with("session/") && String::from_utf8_lossy(value).contains("delegation")
    });
    assert_eq!(delegated.count(), 0);
}

#[test]
fn a_confidential_client_shows_its_secret_in_the_form_or_as_basic() {
    let scene = Scene::new();
    let client = json!({"client_name": "Site", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"});
    let client = operator(&scene.world, "create_client", client);
    let (id, secret) = (text(&client["client_id"]), text(&client["client_secret"]));
    let browser = Browser::signed_in(&scene);
    let exchange = |fields: &[(&str, &str)], headers: &[(&str, &str)]| {
        let code = browser.code(&scene.query(&[("client_id", &id)]));
        let mut all = vec![
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("code_verifier", VERIFIER),
        ];
        all.extend(fields);
        let (status, body) = scene.token_with(&all, headers);
        (
            status,
            body["error"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let good = (200, String::new());
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let basic = [("authorization", basic.as_str())];
    assert_eq!(
        exchange(&[("client_id", &id), ("client_secret", &secret)], &[]),
        good
    );
    assert_eq!(exchange(&[], &basic), good);
    assert_eq!(exchange(&[("client_id", &id)], &basic), good);
    let refused = (401, "invalid_client".to_owned());
    assert_eq!(exchange(&[("client_id", &id)], &[]), refused);
    assert_eq!(
        exchange(&[("client_id", &id), ("client_secret", "uas_x")], &[]),
        refused
    );
    let public = [
        ("client_id", scene.client_id.as_str()),
        ("client_secret", "x"),
    ];
    assert_eq!(exchange(&public, &[]), refused);
    let (status, _) = exchange(&[("client_id", "other")], &basic);
    assert_eq!(status, 400);
}

/// A25, A26.
#[test]
fn a_refresh_token_that_was_used_leads_to_the_same_successor_for_two_minutes() {
    let scene = Scene::new();
    let first = text(&scene.tokens()["refresh_token"]);
    let (status, tokens) = scene.refresh(&first, &[]);
    assert_eq!(status, 200, "{tokens}");
    let second = text(&tokens["refresh_token"]);
    assert_ne!(first, second);
    scene.world.pass(100);
    let third = text(&scene.refresh(&second, &[]).1["refresh_token"]);
    for earlier in [&first, &second, &first] {
        let (status, tokens) = scene.refresh(earlier, &[]);
        assert_eq!(status, 200, "{tokens}");
        assert_eq!(tokens["refresh_token"], third.as_str());
    }
    let other = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    let (_, refused) = scene.refresh(&third, &[("client_id", &other)]);
    assert_eq!(refused["error"], "invalid_grant");
    // The window counts from the first use of a token, and a late use ends everything.
    scene.world.pass(30);
    assert_eq!(scene.refresh(&second, &[]).0, 200);
    let (_, refused) = scene.refresh(&first, &[]);
    assert_eq!(refused["error"], "invalid_grant");
    assert_eq!(scene.refresh(&third, &[]).1["error"], "invalid_grant");
}

/// A25, A28.
#[test]
fn a_refresh_never_gives_more_than_was_granted() {
    let scene = Scene::new();
    let token = text(&scene.tokens()["refresh_token"]);
    let (_, refused) = scene.refresh(&token, &[("scope", "files:read files:write")]);
    assert_eq!(refused["error"], "invalid_scope");
    let (_, refused) = scene.refresh(&token, &[("resource", "https://other.example")]);
    assert_eq!(refused["error"], "invalid_target");
    let (status, tokens) = scene.refresh(&token, &[("scope", "files:read"), ("resource", FILES)]);
    assert_eq!((status, &tokens["scope"]), (200, &json!("files:read")));
    let token = text(&tokens["refresh_token"]);
    let resource = json!({"resource": FILES, "resource_name": "Files", "scopes": []});
    operator(&scene.world, "define_resource", resource);
    let (status, tokens) = scene.refresh(&token, &[]);
    assert_eq!(
        (status, &tokens["scope"]),
        (200, &json!("")),
        "the scope is gone"
    );
}

#[test]
fn what_ends_a_client_an_account_or_a_resource_ends_its_tokens() {
    type End = fn(&Scene);
    let ends: [(&str, End, &str); 4] = [
        (
            "delete_client",
            |scene| {
                let input = json!({"client_id": scene.client_id});
                operator(&scene.world, "delete_client", input);
            },
            "invalid_client",
        ),
        (
            "disable_user",
            |scene| {
                operator(&scene.world, "disable_user", json!({"username": "alice"}));
            },
            "invalid_grant",
        ),
        (
            "revoke_user_sessions",
            |scene| {
                operator(
                    &scene.world,
                    "revoke_user_sessions",
                    json!({"username": "alice"}),
                );
            },
            "invalid_grant",
        ),
        (
            "delete_resource",
            |scene| {
                operator(&scene.world, "delete_resource", json!({"resource": FILES}));
            },
            "invalid_grant",
        ),
    ];
    for (name, end, expected) in ends {
        let scene = Scene::new();
        let tokens = scene.tokens();
        end(&scene);
        let verify = json!({"token": tokens["access_token"], "audience": FILES});
        let verified = scene.world.run("verify_token", verify).unwrap();
        assert_eq!(verified["active"], false, "{name}");
        let (_, refused) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
        assert_eq!(refused["error"], expected, "{name}");
    }
}

/// A12, A13.
#[test]
fn forms_are_taken_only_from_the_page_and_the_browser_that_they_were_shown_in() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    let page = browser.get("/sign-in");
    let token = page.field("form_token");
    let credentials = [("username", "alice"), ("password", PASSWORD)];
    let with = |token: &str| encode(&[&[("form_token", token)], &credentials[..]].concat());
    let post = |browser: &Browser, form: &str| {
        let headers = [("sec-fetch-site", "same-origin")];
        browser.request("POST", "/sign-in", &headers, form).status
    };
    let foreign = Browser::new(&scene);
    foreign.get("/sign-in");
    assert_eq!(post(&foreign, &with(&token)), 403, "another browser");
    assert_eq!(post(&Browser::new(&scene), &with(&token)), 403);
    assert_eq!(post(&browser, &encode(&credentials)), 403, "no token");
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", ISSUER)],
        &[("origin", "https://evil.example")],
    ] {
        let page = browser.request("POST", "/sign-in", headers, &with(&token));
        assert_eq!(page.status, 403, "{headers:?}");
    }
    assert_eq!(post(&browser, &with(&token)), 303);
}

/// A13, A16.
#[test]
fn a_decision_is_of_one_user_about_one_request_and_counts_once() {
    let scene = Scene::new();
    let bob = json!({"username": "bob", "password": PASSWORD});
    scene.world.run("register", bob).unwrap();
    let browser = Browser::signed_in(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    let page = browser.get(&target);
    let fields = |page: &Page| {
        [
            ("request", page.field("request")),
            ("consent_token", page.field("consent_token")),
        ]
    };
    let [request, token] = fields(&page);
    let body = encode(&[
        (request.0, &request.1),
        (token.0, &token.1),
        ("decision", "allow"),
        ("scope", "files:read"),
    ]);
    for headers in [
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example")],
    ] {
        let page = browser.request("POST", "/consent", headers, &body);
        assert_eq!(page.status, 403, "{headers:?}");
    }
    let other = scene.query(&[("state", "other")]);
    let swapped = [
        ("request", &*other),
        ("consent_token", &token.1),
        ("decision", "allow"),
    ];
    assert_eq!(
        browser.post("/consent", &swapped).status,
        403,
        "of another request"
    );
    let none = [("request", &*request.1), ("decision", "allow")];
    assert_eq!(browser.post("/consent", &none).status, 403);

    let again = browser.get(&format!("/sign-in?{}", encode(&[("return_to", &target)])));
    assert_eq!(browser.sign_in(&again, "bob", PASSWORD).status, 303);
    let late = browser.decide(&page, "allow", &["files:read"]);
    assert_eq!(
        late.status, 403,
        "Bob is not asked for what Alice was shown"
    );

    let page = browser.get(&target);
    assert!(page.body.contains("bob"));
    let first = browser.decide(&page, "allow", &["files:read"]);
    assert!(first.answer().first("code").is_some());
    let second = browser.decide(&page, "allow", &["files:read"]);
    assert_eq!((second.status, second.header("location")), (400, ""));
    let page = browser.get(&target);
    scene.world.pass(601);
    assert_eq!(
        browser.decide(&page, "allow", &["files:read"]).status,
        403,
        "too late"
    );
}

#[test]
fn the_user_can_deny_all_or_some_of_it() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    for (decision, scopes) in [
        ("deny", &["files:read"][..]),
        ("", &["files:read"]),
        ("allow", &[]),
    ] {
        let page = browser.get(&target);
        let answer = browser.decide(&page, decision, scopes).answer();
        assert_eq!(answer.first("error"), Some("access_denied"));
        assert_eq!(answer.first("iss"), Some(ISSUER));
        assert_eq!(answer.first("state"), Some("a state"));
    }
    let audited = scene.world.audited.borrow();
    let denials = audited.iter().filter(|record| {
        record["operation"] == "authorize_client" && record["outcome"] == "access_denied"
    });
    assert_eq!(denials.count(), 3);
}

/// A17.
#[test]
fn each_sign_in_begins_a_new_session_and_ends_the_one_before() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let before = browser.cookies.borrow()["__Host-user-auth-session"].clone();
    let page = browser.get("/sign-in?return_to=%2Fauthorize%3Fx");
    assert_eq!(browser.sign_in(&page, "alice", PASSWORD).status, 303);
    let after = browser.cookies.borrow()["__Host-user-auth-session"].clone();
    assert_ne!(before, after);
    let old = Browser::new(&scene);
    let name = "__Host-user-auth-session".to_owned();
    old.cookies.borrow_mut().insert(name, before);
    assert!(old.get("/sign-in").body.contains("name=\"password\""));
    assert!(browser.get("/sign-in").body.contains("You are signed in"));
}

#[test]
fn wrong_passwords_are_throttled_and_recorded_as_those_of_the_tool() {
    let scene = Scene::new();
    let browser = Browser::new(&scene);
    for _ in 0..10 {
        let page = browser.get("/sign-in");
        let page = browser.sign_in(&page, "alice", "wrong");
        assert_eq!(page.status, 400);
        assert!(page.body.contains("password is wrong") && !page.body.contains("value=\"wrong\""));
    }
    let page = browser.get("/sign-in");
    let page = browser.sign_in(&page, "alice", PASSWORD);
    assert_eq!(page.status, 429);
    assert_eq!(page.header("retry-after"), "900");
    let credentials = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(
        scene.world.run("login", credentials),
        Err(-32003),
        "one count for both"
    );
    let audited = scene.world.audited.borrow();
    assert!(
        audited
            .iter()
            .any(|record| record["outcome"] == "invalid_credentials")
    );
}

#[test]
fn a_second_factor_is_asked_for_and_counts() {
    let scene = Scene::new();
    let world = &scene.world;
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let session = world.run("login", credentials).unwrap();
    let by_alice = |operation: &str, input: Value| {
        let token = crate::types::secret::Secret::new(text(&session["access_token"]));
        world
            .run_as(Principal::AccessToken(token), operation, input)
            .unwrap()
    };
    let app = text(&by_alice("enroll_totp", json!({}))["secret"]);
    let step = || world.now_ms.get() / 30_000;
    by_alice("confirm_totp", json!({"code": shown(&app, step())}));
    world.pass(30);

    let browser = Browser::new(&scene);
    let target = format!("/authorize?{}", scene.query(&[]));
    let page = browser.get(&target);
    let page = browser.sign_in(&page, "alice", PASSWORD);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("one-time-code"));
    assert!(
        browser.get("/sign-in").body.contains("name=\"password\""),
        "not yet"
    );
    let second = |code: &str| {
        let (form_token, return_to) = (page.field("form_token"), page.field("return_to"));
        let challenge = page.field("challenge");
        let fields = [
            ("form_token", form_token.as_str()),
            ("return_to", return_to.as_str()),
            ("challenge", challenge.as_str()),
            ("code", code),
        ];
        browser.post("/sign-in/second", &fields)
    };
    let wrong = second("000000");
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("does not work"));
    let right = second(&shown(&app, step()));
    assert_eq!((right.status, right.header("location")), (303, &*target));
    let code = browser.code(&scene.query(&[]));
    let (_, tokens) = scene.exchange(&code, &[]);
    assert_eq!(claims(&tokens["access_token"])["acr"], "aal2");
}

#[test]
fn a_user_can_sign_out() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let cookie = browser.cookies.borrow()["__Host-user-auth-session"].clone();
    let page = browser.get("/sign-in");
    assert_eq!(
        browser.post("/sign-out", &[("form_token", "x")]).status,
        403
    );
    let page = browser.post("/sign-out", &[("form_token", &page.field("form_token"))]);
    assert_eq!((page.status, page.header("location")), (303, "/sign-out"));
    assert!(browser.get("/sign-out").body.contains("You are signed out"));
    let name = "__Host-user-auth-session".to_owned();
    browser.cookies.borrow_mut().insert(name, cookie);
    assert!(
        browser.get("/sign-in").body.contains("name=\"password\""),
        "the session is over"
    );
}

/// A43.
#[test]
fn signing_in_leads_only_to_pages_of_this_service() {
    let scene = Scene::new();
    for target in [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "https://evil.example/authorize?x",
        "/sign-out",
        "/authorize",
        "/authorize?x\\y",
        "/authorizeevil?x",
        "/apps/",
        "/apps?after=x",
        "/apps.evil.example",
    ] {
        let browser = Browser::new(&scene);
        let page = browser.get(&format!("/sign-in?{}", encode(&[("return_to", target)])));
        let fields = [
            ("form_token", &*page.field("form_token")),
            ("return_to", target),
            ("username", "alice"),
            ("password", PASSWORD),
        ];
        let page = browser.post("/sign-in", &fields);
        assert_eq!(
            (page.status, page.header("location")),
            (303, "/sign-in"),
            "{target}"
        );
    }
}

/// A14, A45, AS-23b.
#[test]
fn pages_cannot_be_framed_cached_or_read_by_others() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let consent = format!("/authorize?{}", scene.query(&[]));
    for (target, has_form_action) in [
        ("/sign-in", true),
        ("/sign-in?return_to=%2Fauthorize%3Fx", true),
        ("/authorize?client_id=x", true),
        (consent.as_str(), false),
    ] {
        let page = browser.get(target);
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{target}");
        assert!(policy.contains("frame-ancestors 'none'"), "{target}");
        assert_eq!(
            policy.contains("form-action 'self'"),
            has_form_action,
            "{target}"
        );
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        let is_cors = |(name, _): &(String, String)| name.starts_with("access-control");
        assert!(!page.headers.iter().any(is_cors));
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(!page.body.contains("<script") && page.body.len() < 30 << 10);
    }
}

/// A44.
#[test]
fn what_a_client_sends_cannot_break_out_of_the_answer() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let state = "x\r\nset-cookie: a=b&code=evil\"<\u{e4}";
    let page = browser.get(&format!("/authorize?{}", scene.query(&[("state", state)])));
    let page = browser.decide(&page, "deny", &[]);
    let location = page.header("location");
    assert!(
        location.bytes().all(|byte| byte.is_ascii_graphic()),
        "{location}"
    );
    assert_eq!(page.answer().first("state"), Some(state));
    assert_eq!(page.answer().first("code"), None);
    let page = browser.get(&format!("/authorize?{}&x=%ff", scene.query(&[])));
    assert_eq!(page.status, 400);
}

#[test]
fn pages_speak_the_language_of_the_browser_or_of_the_client() {
    let scene = Scene::new();
    let mut browser = Browser::new(&scene);
    browser.language = "de-CH,de;q=0.9";
    let page = browser.get("/sign-in");
    assert!(page.body.contains("<html lang=\"de\">") && page.body.contains("Anmelden"));
    let page = browser.get(&format!(
        "/authorize?{}",
        scene.query(&[("ui_locales", "en")])
    ));
    assert!(page.body.contains("<html lang=\"en\">"));
}

#[test]
fn the_metadata_lists_what_works() {
    let scene = Scene::new();
    let target = "/.well-known/oauth-authorization-server";
    let response = scene.send("GET", target, &[], "");
    let document: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
    assert_eq!(document["issuer"], ISSUER);
    assert_eq!(
        document["authorization_endpoint"],
        format!("{ISSUER}/authorize")
    );
    assert_eq!(
        document["code_challenge_methods_supported"],
        json!(["S256"])
    );
    let own = "https://auth.example/mcp";
    assert_eq!(document["protected_resources"], json!([own, FILES]));
    let without = World::new();
    let off = Scene {
        world: without,
        client_id: String::new(),
    };
    for path in [target, "/authorize", "/token", "/sign-in"] {
        assert_eq!(off.send("GET", path, &[], "").status, 404, "{path}");
    }
}

/// A47.
#[test]
fn trouble_of_the_store_is_no_fault_of_the_client() {
    let scene = Scene::new();
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let key = format!("client/{}", scene.client_id);
    let client = scene.world.stored(&key);
    scene.world.tamper(&key, Some(b"not a record".to_vec()));
    let (status, refused) = scene.exchange(&code, &[]);
    assert_eq!(
        (status, &refused["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    let page = Browser::new(&scene).get(&format!("/authorize?{}", scene.query(&[])));
    assert_eq!(page.status, 503);
    scene.world.tamper(&key, client);
    assert_eq!(scene.exchange(&code, &[]).0, 200, "the code is still good");
}

#[test]
fn a_verified_address_is_as_good_as_the_user_name() {
    let scene = Scene::new();
    let carol = json!({"username": "carol", "password": PASSWORD, "email": "Carol@example.com"});
    scene.world.run("register", carol).unwrap();
    let by_address = json!({"username": "carol@example.com", "password": PASSWORD});
    let log_in = || scene.world.run("login", by_address.clone());
    assert_eq!(log_in(), Err(-32001), "not verified yet");
    let credentials = json!({"username": "carol", "password": PASSWORD});
    let session = scene.world.run("login", credentials).unwrap();
    let carol = || {
        Principal::AccessToken(crate::types::secret::Secret::new(text(
            &session["access_token"],
        )))
    };
    scene
        .world
        .run_as(carol(), "request_email_verification", json!({}))
        .unwrap();
    let code = scene
        .world
        .outbox
        .borrow()
        .last()
        .unwrap()
        .code
        .clone()
        .unwrap();
    let code = json!({"code": code.0.expose()});
    scene.world.run_as(carol(), "confirm_email", code).unwrap();
    assert!(log_in().is_ok());
}

/// A scene whose user is an administrator, and where `/mcp` requires a caller.
fn guarded() -> Scene {
    let mut scene = Scene::new();
    scene.world.settings.require_sign_in = true;
    let role = json!({"username": "alice", "role": "admin"});
    operator(&scene.world, "assign_role", role);
    scene
}

fn list_tools() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).to_string()
}

fn call_tool(operation: &str) -> String {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": {}});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

#[test]
fn messages_without_a_valid_credential_are_told_where_to_get_one() {
    let scene = guarded();
    let tokens = scene.tokens();
    let of_files = format!("Bearer {}", text(&tokens["access_token"]));
    for (headers, is_shown) in [
        (&[][..], false),
        (&[("authorization", "Bearer x")], true),
        (&[("authorization", &*of_files)], true),
        (&[("x-api-key", "uak_x")], true),
    ] {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let response = scene.send("POST", "/mcp", &headers, &list_tools());
        assert_eq!(response.status, 401, "{headers:?}");
        let challenge = response
            .headers
            .iter()
            .find(|(name, _)| name == "www-authenticate");
        let challenge = &challenge.unwrap().1;
        let url = "https://auth.example/.well-known/oauth-protected-resource/mcp";
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        assert!(
            challenge.contains(&format!("resource_metadata=\"{url}\"")),
            "{challenge}"
        );
        assert_eq!(
            challenge.contains("error=\"invalid_token\""),
            is_shown,
            "{challenge}"
        );
    }
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
    ] {
        let response = scene.send("GET", path, &[], "");
        let document: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        assert_eq!(document["resource"], "https://auth.example/mcp");
        assert_eq!(document["authorization_servers"], json!([ISSUER]));
    }
}

#[test]
fn a_client_may_do_here_what_both_its_scopes_and_its_user_may() {
    let scene = guarded();
    let browser = Browser::signed_in(&scene);
    let own = "https://auth.example/mcp";
    let query = scene.query(&[
        ("resource", own),
        ("scope", "user-auth:users:read user-auth:roles:read"),
    ]);
    let page = browser.get(&format!("/authorize?{query}"));
    assert!(page.body.contains("Read all accounts") && !page.body.contains("Rotate"));
    let page = browser.decide(&page, "allow", &["user-auth:users:read"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (status, tokens) = scene.exchange(&code, &[("resource", own)]);
    assert_eq!(
        (status, &tokens["scope"]),
        (200, &json!("user-auth:users:read"))
    );
    let bearer = format!("Bearer {}", text(&tokens["access_token"]));
    let headers = [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2025-06-18"),
        ("authorization", &*bearer),
    ];
    let call = |operation: &str| {
        let response = scene.send("POST", "/mcp", &headers, &call_tool(operation));
        assert_eq!(response.status, 200);
        let body: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        body["result"]["structuredContent"]["error"]["code"].clone()
    };
    assert_eq!(call("list_users"), Value::Null);
    assert_eq!(call("list_roles"), -32002, "it was not ticked");
    assert_eq!(call("list_signing_keys"), -32002);
    for operation in ["get_session", "list_sessions", "create_recovery_codes"] {
        assert_eq!(
            call(operation),
            -32001,
            "{operation}: it is no login of hers"
        );
    }
    let role = json!({"username": "alice", "role": "admin"});
    operator(&scene.world, "revoke_role", role);
    assert_eq!(call("list_users"), -32002, "her role is gone");
    operator(
        &scene.world,
        "revoke_user_sessions",
        json!({"username": "alice"}),
    );
    let response = scene.send("POST", "/mcp", &headers, &call_tool("list_users"));
    assert_eq!(response.status, 401);
}

/// A client that could make keys would keep its access after it was taken away.
#[test]
fn a_client_makes_no_api_keys() {
    let scene = guarded();
    let browser = Browser::signed_in(&scene);
    let own = "https://auth.example/mcp";
    let scope = "user-auth:api-keys:write";
    let query = scene.query(&[("resource", own), ("scope", scope)]);
    let page = browser.get(&format!("/authorize?{query}"));
    let page = browser.decide(&page, "allow", &[scope]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (_, tokens) = scene.exchange(&code, &[("resource", own)]);
    assert_eq!(tokens["scope"], scope);
    let bearer = format!("Bearer {}", text(&tokens["access_token"]));
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    let input = json!({"name": "keeps"}).to_string();
    let response = scene.send("POST", "/api/create_api_key", &headers, &input);
    assert_eq!(response.status, 401);
}

/// A50.
#[test]
fn a_client_that_names_no_scopes_gets_none_that_are_restricted() {
    let scene = guarded();
    let browser = Browser::signed_in(&scene);
    let query = scene.query(&[("resource", "https://auth.example/mcp")]);
    let page = browser.get(&format!("/authorize?{query}"));
    assert!(!page.body.contains("type=\"checkbox\""), "{}", page.body);
    let page = browser.decide(&page, "allow", &["user-auth:users:write"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let own = "https://auth.example/mcp";
    let (_, tokens) = scene.exchange(&code, &[("resource", own)]);
    assert_eq!(tokens["scope"], "");
}

#[test]
fn clients_that_ask_for_scopes_of_openid_get_those_of_the_resource_server() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    for scope in ["openid profile email", "offline_access"] {
        let query = scene.query(&[("scope", scope)]);
        let page = browser.get(&format!("/authorize?{query}"));
        assert!(page.body.contains("Read your files"), "{}", page.body);
        assert!(!page.body.contains("Manage all files"), "{}", page.body);
    }
}

/// Clients ask for all scopes that they are told of, whatever they want to use.
#[test]
fn documents_name_no_scopes() {
    let scene = guarded();
    let document = |path: &str| {
        let response = scene.send("GET", path, &[], "");
        assert_eq!(response.status, 200, "{path}");
        serde_json::from_slice::<Value>(&response.body.unwrap()).unwrap()
    };
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        assert_eq!(document(path).get("scopes_supported"), None, "{path}");
    }
}

#[test]
fn an_api_key_is_as_good_as_a_token_where_sign_in_is_required() {
    let scene = guarded();
    let account = json!({"username": "robot"});
    let robot = operator(&scene.world, "create_service_account", account);
    let key = json!({"name": "ci", "user_id": robot["user_id"]});
    let key = text(&operator(&scene.world, "create_api_key", key)["api_key"]);
    let bearer = format!("Bearer {key}");
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let session = scene.world.run("login", credentials).unwrap();
    let session = format!("Bearer {}", text(&session["access_token"]));
    for header in [
        ("x-api-key", key.as_str()),
        ("authorization", bearer.as_str()),
        ("authorization", session.as_str()),
    ] {
        let headers = [("content-type", "application/json"), header];
        let response = scene.send("POST", "/mcp", &headers, &list_tools());
        assert_eq!(response.status, 200, "{header:?}");
    }
}
