//! The authorization server through its routes: sign-in and consent pages, and the token
//! endpoint.

mod accounts;
mod agents;
mod approvals;
mod attacks;
mod authorization;
mod client_assertion;
mod grants;
mod metadata_documents;
mod openid;
mod pages;
mod password_tools;
mod registration;
mod resource_server;
mod token;
mod token_management;

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::domain::caller::Principal;
use crate::http::{self, Request};
use crate::mcp::Response;
use crate::oauth::parameters::{Parameters, encode};
use crate::ports::Ports;
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

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Scene {
    fn new() -> Scene {
        let mut world = World::new();
        let variables = [
            ("USER_AUTH_PUBLIC_URL", ISSUER),
            ("USER_AUTH_OAUTH_ENABLED", "true"),
            ("USER_AUTH_OAUTH_SERVICE_NAME", "Acme"),
            ("USER_AUTH_MCP_TOOLSETS", "all"),
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
        self.send_over(self.world.ports(), method, target, headers, body)
    }

    fn send_over(
        &self,
        ports: Ports,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
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
        http::answer(&request, || Some(body), &self.world.settings, ports)
    }

    /// A request without a credential, or with one of another kind, is asked for a bearer
    /// token, and has made no error (RFC 6750 section 3.1).
    fn asks_for_a_token(&self, method: &str, target: &str) {
        let basic = [("authorization", "Basic YWxpY2U6eA==")];
        for headers in [&[][..], &basic] {
            let response = self.send(method, target, headers, "{}");
            assert_eq!((response.status, response.body), (401, None), "{target}");
            let mut fields = response.headers.iter();
            let challenge = fields.find(|(name, _)| name == "www-authenticate").unwrap();
            assert_eq!(challenge.1, "Bearer realm=\"user-auth\"", "{target}");
        }
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

/// A scene whose user is an administrator, and where `/mcp` requires a caller.
fn guarded() -> Scene {
    let mut scene = Scene::new();
    scene.world.settings.require_sign_in = true;
    let role = json!({"username": "alice", "role": "admin"});
    operator(&scene.world, "assign_role", role);
    scene
}
