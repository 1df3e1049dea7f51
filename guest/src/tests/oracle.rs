//! Compares the service's HS256 with `jsonwebtoken`, a widely used library: it accepts the
//! tokens of the service, and the service accepts its tokens if their claims are valid.
//!
//! The service is never the laxer one. Where the library accepts a token that the service
//! refuses, it leaves the check to its caller, or reads the claim more generously:
//! - `exp` and `nbf` as fractions or in exponent form, which it rounds;
//! - `nbf` that is null, and claims that it does not know (`sid`, `jti`, `iat`,
//!   `scope`, `username`), missing or of any type;
//! - `iss` and `aud` as lists that contain the service's own;
//! - claims, and parts of the header, that the service never writes;
//! - duplicate claims, of which it reads one;
//! - `typ` and `kid` (RFC 9068 section 4, RFC 8725 section 3.11), and `crit`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;
use signature::{Error, Signer, Verifier};

use crate::component::builtin::hmac_sha256;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::signing_key::SigningKeys;
use crate::testing::World;

const KEY_ID: &str = "0123456789abcdef0123456789abcdef";
const HOUR: u64 = 60 * 60;

/// The HMAC of the oracle. The oracle adds the form, the header and the claims. (HMAC has
/// its own test vectors.)
struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(
        algorithm: &Algorithm,
        family: AlgorithmFamily,
        key: &[u8],
    ) -> jsonwebtoken::errors::Result<Box<Hs256>> {
        if *algorithm != Algorithm::HS256 || family != AlgorithmFamily::Hmac {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let mac = Hmac::<Sha256>::new_from_slice(key);
        Ok(Box::new(Hs256(
            mac.map_err(|_| ErrorKind::InvalidKeyFormat)?,
        )))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mac = self.0.clone().chain_update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(signature).map_err(|_| Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Hs256::new(algorithm, key.family(), key.as_bytes())?),
    verifier_factory: |algorithm, key| {
        Ok(Hs256::new(
            algorithm,
            key.family(),
            key.try_get_as_bytes()?,
        )?)
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Returns a world with the time of the system, which the oracle uses.
fn world() -> World {
    // Another test may have installed it already.
    let _ = PROVIDER.install_default();
    let world = World::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    world.now_ms.set(now.as_secs() * 1000);
    let keys = json!([{"kid": KEY_ID, "created_at": 0, "retires_at": null}]);
    world.tamper(SigningKeys::KEY, Some(keys.to_string().into_bytes()));
    world
}

fn key(world: &World) -> [u8; 32] {
    world.key(&format!("access-token/{KEY_ID}"))
}

fn header() -> Header {
    Header {
        typ: Some("at+jwt".to_owned()),
        kid: Some(KEY_ID.to_owned()),
        ..Header::new(Algorithm::HS256)
    }
}

/// Returns the header and claims that the oracle accepts with its strictest settings.
fn oracle(world: &World, token: &str) -> Option<(Header, Value)> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_issuer(&[&world.settings.issuer]);
    validation.set_audience(&[&world.settings.audience]);
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    let key = DecodingKey::from_secret(&key(world)).unwrap();
    let data = decode::<Value>(token, &key, &validation).ok()?;
    Some((data.header, data.claims))
}

/// Returns the claims that the component accepts.
fn ours(world: &World, token: &str) -> Option<Value> {
    let call = world.call();
    let audience = &world.settings.audience;
    let signed = AccessToken::verify(token, audience, &call).unwrap()?;
    let keys = SigningKeys::load(&call).unwrap();
    let username = "alice".to_owned().try_into().unwrap();
    let claims = signed.verify(&keys, &username, call.now())?;
    Some(serde_json::to_value(claims).unwrap())
}

/// Signs this header and these claims, unchanged, with our own key.
fn signed(world: &World, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let mac = hmac_sha256(&key(world), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// Returns valid claims.
fn claims(world: &World) -> Value {
    let now = world.now_ms.get() / 1000;
    json!({
        "iss": world.settings.issuer, "aud": world.settings.audience,
        "sub": "0123456789abcdef0123456789abcdef", "sid": "f".repeat(32), "jti": "0".repeat(32),
        "iat": now, "nbf": now, "exp": now + HOUR, "scope": "self", "username": "alice",
        "auth_time": now, "acr": "aal1", "amr": ["pwd"],
    })
}

/// Returns the values that can replace a claim, and whether each of them is valid; `None`
/// removes the claim.
fn alternatives(name: &str, now: u64) -> Vec<(Option<Value>, bool)> {
    let mut alternatives = vec![
        (None, false),
        (Some(Value::Null), false),
        (Some(json!(true)), false),
        (Some(json!([])), false),
        (Some(json!({})), false),
        (Some(json!(-1)), false),
        (Some(json!(1.5)), false),
    ];
    let more = match name {
        "iss" | "aud" => vec![
            (json!("user-auth2"), false),
            (json!("User-Auth"), false),
            (json!(""), false),
            (json!(["user-auth"]), false),
        ],
        "sub" | "sid" | "jti" => vec![
            (json!("f".repeat(31)), false),
            (json!("f".repeat(33)), false),
            (json!("F".repeat(32)), false),
            (json!("e".repeat(32)), true),
        ],
        "iat" => vec![
            (json!(now.to_string()), false),
            (json!(0), true),
            (json!(u64::MAX), true),
            (json!(1.0e30), false),
        ],
        "nbf" => vec![
            (json!(now.to_string()), false),
            (json!(now + HOUR), false),
            (json!(u64::MAX), false),
            (json!(now as f64 - 0.5), false),
            (json!(0), true),
        ],
        "exp" => vec![
            (json!((now + HOUR).to_string()), false),
            (json!((now + HOUR) as f64 + 0.5), false),
            (json!((now + HOUR) as f64), false),
            (json!(1.0e18), false),
            (json!(1.0e30), false),
            (json!(i64::MIN), false),
            (json!(0), false),
            (json!(now - HOUR), false),
            (json!(1_u64 << 63), true),
            (json!(u64::MAX), true),
        ],
        "scope" => vec![(json!(""), true), (json!(0), false)],
        "username" => vec![
            (json!(""), false),
            (json!("two words"), false),
            (json!("bob"), true),
        ],
        "auth_time" => vec![(json!(now.to_string()), false), (json!(0), true)],
        "acr" => vec![(json!(0), false), (json!("aal2"), true)],
        "amr" => vec![
            (json!("pwd"), false),
            (json!([1]), false),
            (json!(["pwd", "mfa"]), true),
        ],
        // A claim that we never issue.
        _ => vec![(json!("admin"), false)],
    };
    alternatives.extend(more.into_iter().map(|(value, good)| (Some(value), good)));
    match name {
        "extra" => alternatives[0].1 = true,
        "amr" => alternatives[3].1 = true,
        _ => {}
    }
    alternatives
}

const NAMES: [&str; 14] = [
    "iss",
    "aud",
    "sub",
    "sid",
    "jti",
    "iat",
    "nbf",
    "exp",
    "scope",
    "username",
    "auth_time",
    "acr",
    "amr",
    "extra",
];

/// Chooses an alternative for each claim; `None`, the most frequent choice, leaves the
/// valid value.
fn choices() -> impl Strategy<Value = Vec<Option<prop::sample::Index>>> {
    prop::collection::vec(
        prop::option::weighted(0.15, any::<prop::sample::Index>()),
        NAMES.len(),
    )
}

fn choose(world: &World, choices: &[Option<prop::sample::Index>]) -> (Value, bool) {
    let now = world.now_ms.get() / 1000;
    let mut claims = claims(world);
    let mut all_good = true;
    for (name, choice) in NAMES.into_iter().zip(choices) {
        let Some(choice) = choice else { continue };
        let alternatives = alternatives(name, now);
        let (value, good) = choice.get(&alternatives);
        all_good &= good;
        match value {
            Some(value) => claims[name] = value.clone(),
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
    }
    (claims, all_good)
}

proptest! {
    #[test]
    fn the_oracle_accepts_our_tokens_and_reads_the_same_claims(
        username in "[a-z][a-z0-9._-]{0,30}|[а-я]{1,20}|[一-丟]{1,20}",
        issuer in "[!-~]{1,60}|\\PC{1,40}",
        audience in "[!-~]{1,60}|\\PC{1,40}",
        hours in 1..24_u64,
    ) {
        let mut world = world();
        world.settings.issuer = issuer;
        world.settings.audience = audience;
        world.settings.access_token_ttl = std::time::Duration::from_secs(hours * HOUR);
        let credentials = json!({"username": username, "password": "correct horse battery staple"});
        prop_assume!(world.run("register", credentials.clone()).is_ok());
        let tokens = world.run("login", credentials).unwrap();
        let token = tokens["access_token"].as_str().unwrap();

        let (read, claims) = oracle(&world, token).expect("a good token");
        prop_assert_eq!(&read, &header());
        prop_assert_eq!(ours(&world, token), Some(claims.clone()));
        prop_assert_eq!(claims["exp"].as_u64(), Some(world.now_ms.get() / 1000 + hours * HOUR));
        prop_assert_eq!(&claims["sid"], &tokens["session_id"]);
    }

    #[test]
    fn tokens_of_the_oracle_are_accepted_exactly_when_their_claims_are_valid(choices in choices()) {
        let world = world();
        let (claims, good) = choose(&world, &choices);
        let key = EncodingKey::from_secret(&key(&world)).unwrap();
        let token = encode(&header(), &claims, &key).unwrap();

        let read = ours(&world, &token);
        prop_assert_eq!(read.is_some(), good, "{}", claims);
        if good {
            prop_assert_eq!(read.as_ref(), Some(&claims));
            prop_assert!(oracle(&world, &token).is_some(), "{}", claims);
        }
    }

    #[test]
    fn tokens_with_any_byte_changed_are_rejected_by_both(
        at in any::<prop::sample::Index>(),
        byte in 0..128_u8,
    ) {
        let world = world();
        let tokens = world.alice();
        let token = tokens["access_token"].as_str().unwrap();
        let at = at.index(token.len());
        let mut bytes = token.as_bytes().to_vec();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(ours(&world, &changed), None);
        prop_assert!(oracle(&world, &changed).is_none());
    }

    #[test]
    fn tokens_with_bytes_inserted_or_removed_are_rejected_by_both(
        at in any::<prop::sample::Index>(),
        removed in 0..4_usize,
        put_in in "[A-Za-z0-9_=.+/ \\-\\n]{0,4}",
    ) {
        let world = world();
        let tokens = world.alice();
        let token = tokens["access_token"].as_str().unwrap();
        let at = at.index(token.len());
        let end = (at + removed).min(token.len());
        let changed = format!("{}{put_in}{}", &token[..at], &token[end..]);
        prop_assume!(changed != token);
        prop_assert_eq!(ours(&world, &changed), None);
        prop_assert!(oracle(&world, &changed).is_none());
    }
}

/// Each token has valid claims and a valid signature with our own key.
#[test]
fn invalid_headers_are_rejected_and_the_oracle_accepts_only_known_exceptions() {
    let world = world();
    let claims = claims(&world).to_string();
    let good = r#"{"alg":"HS256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#;
    let good = signed(&world, good, &claims);
    assert!(ours(&world, &good).is_some() && oracle(&world, &good).is_some());
    for (header, oracle_takes_it) in [
        (
            r#"{"alg":"none","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (
            r#"{"alg":"hs256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (
            r#"{"alg":"HS384","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (
            r#"{"alg":"HS512","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (
            r#"{"alg":"RS256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (
            r#"{"alg":null,"typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (
            r#"{"typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (
            r#"{"alg":"HS256","alg":"HS256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#,
            false,
        ),
        (r#"["HS256","at+jwt","1"]"#, false),
        ("{}", false),
        ("", false),
        (
            r#"{"alg":"HS256","typ":"JWT","kid":"0123456789abcdef0123456789abcdef"}"#,
            true,
        ),
        (
            r#"{"alg":"HS256","typ":"AT+JWT","kid":"0123456789abcdef0123456789abcdef"}"#,
            true,
        ),
        (
            r#"{"alg":"HS256","kid":"0123456789abcdef0123456789abcdef"}"#,
            true,
        ),
        (
            r#"{"alg":"HS256","typ":"at+jwt","kid":"1123456789abcdef0123456789abcdef"}"#,
            true,
        ),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, true),
        (
            r#"{"alg":"HS256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef","crit":["b64"],"b64":true}"#,
            true,
        ),
        (
            r#"{"alg":"HS256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef","jku":"https://example.com"}"#,
            true,
        ),
    ] {
        let token = signed(&world, header, &claims);
        assert_eq!(ours(&world, &token), None, "{header}");
        assert_eq!(
            oracle(&world, &token).is_some(),
            oracle_takes_it,
            "{header}"
        );
    }
}

/// Parsers differ in which of two claims of the same name they use (RFC 8725 section
/// 2.7); we accept neither.
#[test]
fn tokens_with_a_duplicate_claim_are_rejected() {
    let world = world();
    let header = r#"{"alg":"HS256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#;
    let claims = claims(&world);
    for (name, value) in claims.as_object().unwrap() {
        let first = claims
            .to_string()
            .replacen('{', &format!("{{\"{name}\":{value},"), 1);
        let last = claims.to_string();
        let last = format!("{},\"{name}\":{value}}}", &last[..last.len() - 1]);
        for twice in [first, last] {
            assert_eq!(
                ours(&world, &signed(&world, header, &twice)),
                None,
                "{name}"
            );
        }
    }
}

/// RFC 7519 section 7.2: header and claims must be JSON objects.
#[test]
fn claims_in_the_form_of_a_list_are_rejected() {
    let world = world();
    let header = r#"{"alg":"HS256","typ":"at+jwt","kid":"0123456789abcdef0123456789abcdef"}"#;
    let claims = claims(&world);
    let order = [
        "iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "scope", "username",
    ];
    let list: Vec<&Value> = order.iter().map(|name| &claims[*name]).collect();
    let token = signed(&world, header, &json!(list).to_string());
    assert_eq!(ours(&world, &token), None);
}
