//! Clients that prove who they are with a key of their own (`private_key_jwt`).

mod documents;
mod registered;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use super::{Browser, FILES, ISSUER, REDIRECT, Scene, encode, operator, text};
use crate::domain::caller::Principal;
use crate::oauth::client_assertion::TYPE;
use crate::ports::{Entry, Mutation, Outcome, Page, Ports, Store, Unavailable};
use crate::testing::World;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const INVALID_CLIENT: (u16, &str) = (401, "invalid_client");
/// The client is authenticated: only then the refresh token is looked at.
const ACCEPTED: (u16, &str) = (400, "invalid_grant");

fn coded(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn es256(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn jwk(kid: &str, key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": coded(x), "y": coded(y)})
}

fn input(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        coded(header.to_string()),
        coded(claims.to_string())
    )
}

/// Signs with S in the lower half of its range, or else in the upper one. Libraries do both.
fn signed_as(key: &SigningKey, header: &Value, claims: &Value, is_low: bool) -> String {
    let input = input(header, claims);
    let signature: Signature = key.sign(input.as_bytes());
    let low = signature.normalize_s();
    let (r, s) = low.split_scalars();
    let high = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let signature = if is_low { low } else { high };
    format!("{input}.{}", coded(signature.to_bytes()))
}

fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    signed_as(key, header, claims, true)
}

fn proof(assertion: &str) -> [(&str, &str); 2] {
    [
        ("client_assertion", assertion),
        ("client_assertion_type", TYPE),
    ]
}

/// A scene whose client has this key.
fn with_key(jwk: &Value) -> Scene {
    let mut scene = Scene::new();
    let client = json!({
        "client_name": "Desk",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [jwk]},
    });
    let client = operator(&scene.world, "create_client", client);
    assert_eq!(client.get("client_secret"), None);
    scene.client_id = text(&client["client_id"]);
    scene
}

impl Scene {
    fn seconds(&self) -> u64 {
        self.world.now_ms.get() / 1000
    }

    fn assertion_claims(&self, id: &str) -> Value {
        let now = self.seconds();
        json!({
            "iss": self.client_id, "sub": self.client_id, "aud": ISSUER,
            "jti": id, "iat": now, "exp": now + 60,
        })
    }

    /// Returns a good assertion by the key `a`.
    fn assertion(&self, id: &str) -> String {
        self.assertion_by("a", &es256(9), id)
    }

    fn assertion_by(&self, kid: &str, key: &SigningKey, id: &str) -> String {
        let header = json!({"alg": "ES256", "kid": kid, "typ": "JWT"});
        signed(key, &header, &self.assertion_claims(id))
    }

    /// Has a user let the client read files, and returns its refresh token.
    fn grant(&self, id: &str, key: &str, seed: u8) -> String {
        let code = Browser::signed_in(self).code(&self.query(&[]));
        let assertion = self.assertion_by(key, &es256(seed), id);
        let (status, tokens) = self.exchange(&code, &proof(&assertion));
        assert_eq!(status, 200, "{tokens}");
        text(&tokens["refresh_token"])
    }

    /// Returns the answer to a refresh token that nobody has.
    fn answer(&self, fields: &[(&str, &str)]) -> (u16, String) {
        self.answer_over(self.world.ports(), fields)
    }

    fn answer_over(&self, ports: Ports, fields: &[(&str, &str)]) -> (u16, String) {
        let grant = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "uar_unknown"),
        ];
        let body = encode(&[&grant, fields].concat());
        let response = self.send_over(ports, "POST", "/token", &[FORM], &body);
        let body: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        (response.status, text(&body["error"]))
    }

    fn shows(&self, assertion: &str) -> (u16, String) {
        self.answer(&proof(assertion))
    }

    #[track_caller]
    fn accepts(&self, assertion: &str) {
        assert_eq!(self.shows(assertion), of(ACCEPTED));
    }

    #[track_caller]
    fn rejects(&self, assertion: &str, why: &str) {
        assert_eq!(self.shows(assertion), of(INVALID_CLIENT), "{why}");
    }
}

fn of((status, code): (u16, &str)) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn a_client_gets_introspects_and_revokes_tokens_by_its_key_alone() {
    let scene = with_key(&jwk("a", &es256(9)));
    let code = Browser::signed_in(&scene).code(&scene.query(&[]));
    let assertion = scene.assertion("1");
    // The assertion names the client.
    let fields = [&proof(&assertion)[..], &[("client_id", "")]].concat();
    let (status, tokens) = scene.exchange(&code, &fields);
    assert_eq!(status, 200, "{tokens}");
    let refresh = text(&tokens["refresh_token"]);
    assert_eq!(scene.refresh(&refresh, &[]).0, 401);
    let (status, tokens) = scene.refresh(&refresh, &proof(&scene.assertion("2")));
    assert_eq!(status, 200, "{tokens}");

    let ask = |path: &str, assertion: &str| {
        let token = text(&tokens["access_token"]);
        let fields = [&proof(assertion)[..], &[("token", token.as_str())]].concat();
        let response = scene.send("POST", path, &[FORM], &encode(&fields));
        let body: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        (response.status, body)
    };
    let (status, answer) = ask("/introspect", &scene.assertion("3"));
    assert_eq!((status, &answer["active"]), (200, &json!(true)), "{answer}");
    assert_eq!(answer["aud"], FILES);
    for path in ["/introspect", "/revoke"] {
        let (status, answer) = ask(path, &scene.assertion("3"));
        assert_eq!(
            (status, &answer["error"]),
            (401, &json!("invalid_client")),
            "{path}: it was shown before"
        );
    }
    assert_eq!(ask("/revoke", &scene.assertion("4")), (200, json!({})));
    let (_, answer) = ask("/introspect", &scene.assertion("5"));
    assert_eq!(answer["active"], false);
}

#[test]
fn both_forms_of_a_signature_and_each_algorithm_are_accepted() {
    let scene = with_key(&jwk("a", &es256(9)));
    let header = json!({"alg": "ES256"});
    for (id, is_low) in [("1", true), ("2", false)] {
        let claims = scene.assertion_claims(id);
        scene.accepts(&signed_as(&es256(9), &header, &claims, is_low));
    }
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let x = coded(key.verifying_key().as_bytes());
    let scene = with_key(&json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x}));
    for name in ["EdDSA", "Ed25519"] {
        let header = json!({"alg": name, "typ": "client-authentication+jwt"});
        let input = input(&header, &scene.assertion_claims(name));
        let signature = key.sign(input.as_bytes()).to_bytes();
        scene.accepts(&format!("{input}.{}", coded(signature)));
    }
}

#[test]
fn attack_a31_an_assertion_is_by_its_client_for_this_service_and_for_now() {
    let scene = with_key(&jwk("a", &es256(9)));
    let now = scene.seconds();
    let header = json!({"alg": "ES256", "kid": "a"});
    let changed = |name: &str, value: Value| {
        let mut claims = scene.assertion_claims("1");
        claims[name] = value;
        signed(&es256(9), &header, &claims)
    };
    let other = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    for (name, value) in [
        ("aud", json!(format!("{ISSUER}/token"))),
        ("aud", json!(format!("{ISSUER}/"))),
        ("aud", json!("https://other.example")),
        ("aud", json!("https://other.example/token")),
        ("aud", json!([ISSUER])),
        ("aud", json!([ISSUER, "https://other.example"])),
        ("aud", Value::Null),
        ("iss", json!(other)),
        ("iss", Value::Null),
        ("sub", json!(other)),
        ("sub", json!("alice")),
        ("exp", json!(now - 30)),
        ("exp", json!(now + 331)),
        ("exp", json!(1e300)),
        ("exp", json!("soon")),
        ("exp", Value::Null),
        ("iat", json!(now + 31)),
        ("nbf", json!(now + 31)),
        ("nbf", json!("now")),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!(1)),
    ] {
        scene.rejects(&changed(name, value.clone()), &format!("{name} {value}"));
    }
    let claims = scene.assertion_claims("1");
    let stranger = es256(8);
    scene.rejects(&signed(&stranger, &header, &claims), "another key");
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("EdDSA")),
        ("alg", Value::Null),
        ("kid", json!("b")),
        ("typ", json!("at+jwt")),
        ("typ", json!(1)),
        ("jwk", jwk("a", &stranger)),
        ("jku", json!("https://desk.example/jwks.json")),
        ("crit", json!(["x"])),
        ("x5c", json!([])),
        ("x5u", json!("https://desk.example/x")),
    ] {
        let mut header = header.clone();
        header[name] = value.clone();
        let assertion = signed(&es256(9), &header, &claims);
        scene.rejects(&assertion, &format!("{name} {value}"));
    }
    let good = signed(&es256(9), &header, &claims);
    let (input, _) = good.rsplit_once('.').unwrap();
    let zero = format!("{input}.{}", coded([0; 64]));
    let unsigned = format!("{input}.");
    let mut claims = scene.assertion_claims("1");
    claims["x"] = json!("y".repeat(6 << 10));
    let long = signed(&es256(9), &header, &claims);
    assert!(long.len() > 8 << 10);
    for wrong in [
        "x",
        "a.b.c",
        "..",
        input,
        &zero,
        &unsigned,
        &good[1..],
        &long,
    ] {
        scene.rejects(wrong, wrong);
    }
    // None of these has used up the id.
    scene.accepts(&good);
    // Clocks differ.
    let at = |id: &str, name: &str, value: u64| {
        let mut claims = scene.assertion_claims(id);
        claims[name] = json!(value);
        signed(&es256(9), &header, &claims)
    };
    scene.accepts(&at("2", "exp", now - 29));
    scene.accepts(&at("3", "exp", now + 330));
    scene.accepts(&at("4", "iat", now + 30));
}

#[test]
fn attack_a31_what_another_client_has_signed_is_no_proof() {
    let scene = with_key(&jwk("a", &es256(9)));
    let other = json!({
        "client_name": "Other",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [jwk("a", &es256(8))]},
    });
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    scene.rejects(
        &scene.assertion_by("a", &es256(8), "1"),
        "the key of the other",
    );
    // And the other way round.
    let own = scene.assertion("2");
    let fields = [&proof(&own)[..], &[("client_id", &other)]].concat();
    assert_eq!(scene.answer(&fields), of(INVALID_CLIENT));
    scene.accepts(&own);
}

#[test]
fn attack_a31_an_assertion_counts_once() {
    let scene = with_key(&jwk("a", &es256(9)));
    let first = scene.assertion("1");
    scene.accepts(&first);
    scene.rejects(&first, "again");
    // The other form of the signature is the same assertion.
    let header = json!({"alg": "ES256", "kid": "a", "typ": "JWT"});
    let other_form = signed_as(&es256(9), &header, &scene.assertion_claims("1"), false);
    scene.rejects(&other_form, "in the other form");
    // As long as it would be good.
    scene.world.pass(89);
    scene.rejects(&first, "at the end of its life");
    scene.accepts(&scene.assertion("2"));
    // The ids of two clients have nothing to do with each other.
    let other = with_key(&jwk("a", &es256(9)));
    other.accepts(&other.assertion("2"));
}

/// The store decides: the other one is committed after this one was found to be good.
#[test]
fn attack_a31_of_two_that_are_shown_at_once_one_counts() {
    let scene = with_key(&jwk("a", &es256(9)));
    let twin = scene.world.fork();
    let assertion = scene.assertion("1");
    scene.accepts(&assertion);
    let mark = scene.world.entries().into_iter();
    let mark = mark.filter(|(key, _)| key.starts_with("client-assertion/"));
    let mark: Vec<_> = mark.collect();
    assert_eq!(mark.len(), 1);
    let scene = Scene {
        world: twin,
        client_id: scene.client_id.clone(),
    };
    scene.world.overtaken_by.replace(mark);
    scene.rejects(&assertion, "overtaken");
}

#[test]
fn attack_a32_a_client_with_a_key_cannot_come_without_it() {
    let scene = with_key(&jwk("a", &es256(9)));
    let id = scene.client_id.as_str();
    let assertion = scene.assertion("1");
    for fields in [
        &[("client_id", id)][..],
        &[("client_id", id), ("client_secret", "uas_x")],
    ] {
        assert_eq!(scene.answer(fields), of(INVALID_CLIENT), "{fields:?}");
    }
    let named = [("client_id", id)];
    for (proof, more) in [
        // RFC 6749 section 2.3: one method only.
        (&proof(&assertion)[..], &[("client_secret", "x")][..]),
        (&proof(&assertion)[1..], &named),
        (&proof(&assertion)[..1], &named),
        (&proof(&assertion)[..1], &[("client_assertion_type", "x")]),
        // Section 3.2: no parameter twice.
        (&proof(&assertion), &proof(&assertion)[..1]),
        (&proof(&assertion), &proof(&assertion)[1..]),
        (&proof(&assertion), &[("client_id", id), ("client_id", id)]),
    ] {
        let fields = [proof, more].concat();
        let expected = of((400, "invalid_request"));
        assert_eq!(scene.answer(&fields), expected, "{more:?}");
    }
    let grant = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "uar_unknown"),
    ];
    let fields = [&grant, &proof(&assertion)[..]].concat();
    let (status, error) = scene.token_with(&fields, &[("authorization", "Basic YTpi")]);
    assert_eq!((status, &error["error"]), (400, &json!("invalid_request")));
    scene.accepts(&assertion);
    // A client without a key cannot come with one.
    let public = Scene::new();
    public.rejects(&public.assertion("1"), "it has no key");
    let secret = json!({
        "client_name": "Site",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let secret = operator(&public.world, "create_client", secret);
    let client_id = text(&secret["client_id"]);
    let other = Scene {
        client_id,
        ..public
    };
    other.rejects(&other.assertion("1"), "it has a secret");
}

#[test]
fn an_administrator_changes_the_keys_of_a_client() {
    let scene = with_key(&jwk("a", &es256(9)));
    let change = |jwks: Value| {
        let input = json!({"client_id": scene.client_id, "jwks": jwks});
        scene
            .world
            .run_as(Principal::Operator, "update_client", input)
    };
    for wrong in [json!({}), json!({"keys": []}), json!("x")] {
        assert_eq!(change(wrong.clone()), Err(-32000), "{wrong}");
    }
    let changed = change(json!({"keys": [jwk("b", &es256(8))]})).unwrap();
    assert_eq!(changed["token_endpoint_auth_method"], "private_key_jwt");
    scene.rejects(&scene.assertion("1"), "the key of before");
    scene.accepts(&scene.assertion_by("b", &es256(8), "2"));
    // What is left out stays.
    let input = json!({"client_id": scene.client_id, "client_name": "Other"});
    operator(&scene.world, "update_client", input);
    scene.accepts(&scene.assertion_by("b", &es256(8), "3"));
    // It never has a secret.
    let input = json!({"client_id": scene.client_id});
    let rotated = scene
        .world
        .run_as(Principal::Operator, "rotate_client_secret", input);
    assert_eq!(rotated, Err(-32000));
    scene.accepts(&scene.assertion_by("b", &es256(8), "4"));
}

#[test]
fn only_a_client_with_that_method_has_keys() {
    let scene = Scene::new();
    let create = |changes: Value| {
        let mut input = json!({"client_name": "Desk", "redirect_uris": [REDIRECT]});
        for (name, value) in changes.as_object().unwrap() {
            input[name] = value.clone();
        }
        scene
            .world
            .run_as(Principal::Operator, "create_client", input)
    };
    let jwks = json!({"keys": [jwk("a", &es256(9))]});
    let mut private = jwks.clone();
    private["keys"][0]["d"] = json!("secret");
    for wrong in [
        json!({"token_endpoint_auth_method": "private_key_jwt"}),
        json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": private}),
        json!({"token_endpoint_auth_method": "client_secret_basic", "jwks": jwks}),
        json!({"jwks": jwks}),
    ] {
        assert_eq!(create(wrong.clone()), Err(-32000), "{wrong}");
    }
    let input = json!({"client_id": scene.client_id, "jwks": jwks});
    let changed = scene
        .world
        .run_as(Principal::Operator, "update_client", input);
    assert_eq!(changed, Err(-32000));
    // What was wrong is not in the log either.
    let ended = json!(*scene.world.ended.borrow());
    assert!(!ended.to_string().contains("secret\""), "{ended}");
}

/// A store that does not remember assertions now.
struct Forgetful<'a>(&'a World);

impl Store for Forgetful<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        self.0.get(keys)
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        match batch[0].key.starts_with("client-assertion/") {
            true => Err(Unavailable {
                reason: "full".to_owned(),
                retry_after_ms: Some(1000),
            }),
            false => self.0.commit(batch),
        }
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        self.0.add(key, delta, ttl_ms)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        self.0.scan(prefix, after, limit)
    }
}

/// A client that hears `invalid_client` forgets its grant, so trouble is told from it.
#[test]
fn trouble_of_the_store_is_not_the_fault_of_the_client() {
    let scene = with_key(&jwk("a", &es256(9)));
    let assertion = scene.assertion("1");
    let store = Forgetful(&scene.world);
    let ports = Ports {
        store: &store,
        ..scene.world.ports()
    };
    let answer = scene.answer_over(ports, &proof(&assertion));
    assert_eq!(answer, of((503, "temporarily_unavailable")));
    scene.accepts(&assertion);
}
