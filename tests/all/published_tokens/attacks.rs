//! Attacks on tokens for other services: on this service, which verifies them too, and on
//! libraries that verify them by the published keys alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use p256::{NonZeroScalar, PublicKey};
use serde_json::{Value, json};

use super::issuer::{Issuer, OTHER_SERVICE, SERVICE, decode, encode, hmac};
use super::libraries::Library;

struct Attacked {
    issuer: Issuer,
    token: String,
    header: Value,
    claims: Value,
}

impl Attacked {
    fn start() -> Attacked {
        let issuer = Issuer::start("+0", &[]);
        let token = issuer.issue(SERVICE);
        let (header, claims) = decode(&token);
        let attacked = Attacked {
            issuer,
            token,
            header,
            claims,
        };
        // Rejections below are caused by the change alone.
        let same = attacked.issuer.sign(&attacked.header, &attacked.claims);
        assert!(attacked.is_active(&same));
        for library in &mut Library::all(&attacked.issuer) {
            assert!(library.verify(&same, SERVICE).is_ok(), "{}", library.name);
        }
        attacked
    }

    fn is_active(&self, token: &str) -> bool {
        self.issuer.verify(token, SERVICE)["active"] == true
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        header[name] = value;
        self.issuer.sign(&header, &self.claims)
    }

    /// Asserts that the service reveals nothing about the token and that no operation accepts
    /// it.
    fn assert_refused(&self, token: &str) {
        for audience in [SERVICE, OTHER_SERVICE, "user-auth"] {
            let verified = self.issuer.verify(token, audience);
            assert_eq!(verified, json!({"active": false}), "{token} for {audience}");
        }
        self.assert_useless_here(token);
    }

    /// Asserts that the service does not take the token as a credential.
    fn assert_useless_here(&self, token: &str) {
        let server = &self.issuer.server;
        let error = server.call("get_session", json!({"access_token": token}));
        assert_eq!(error.unwrap_err()["code"], -32001, "{token}");
        let bearer = format!("Bearer {token}");
        let answer = server.get("/verify", &[("authorization", &bearer)]);
        assert_eq!(answer.status, 401, "{token}: {answer:?}");
        // Not even to end the session that it names.
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = server.post_to("/revoke", &form, format!("token={token}"));
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{token}");
        let session = json!({"token": self.issuer.session["access_token"]});
        let verified = server.call("verify_token", session).unwrap();
        assert_eq!(verified["active"], true, "{token}");
    }

    fn assert_libraries_refuse(&self, tokens: &[(String, &str)]) {
        for library in &mut Library::all(&self.issuer) {
            for (token, audience) in tokens {
                let claims = library.verify(token, audience);
                assert!(claims.is_err(), "{}: {token}", library.name);
            }
        }
    }
}

#[test]
fn attack_56_a_token_for_one_service_is_refused_by_another_and_under_other_spellings() {
    let attacked = Attacked::start();
    let others = [
        OTHER_SERVICE,
        "https://files.example.com/",
        "https://FILES.example.com",
        "HTTPS://files.example.com",
        "https://files.example.com:443",
        "user-auth",
        "",
    ];
    for audience in others {
        let verified = attacked.issuer.verify(&attacked.token, audience);
        assert_eq!(verified, json!({"active": false}), "{audience}");
    }
    attacked.assert_useless_here(&attacked.token);
    for audience in [
        json!([SERVICE]),
        json!([OTHER_SERVICE, SERVICE]),
        json!("https://files.example.com/"),
        json!("https://FILES.example.com"),
    ] {
        let mut claims = attacked.claims.clone();
        claims["aud"] = audience;
        let forged = attacked.issuer.sign(&attacked.header, &claims);
        attacked.assert_refused(&forged);
    }
    let asked = others.map(|audience| (attacked.token.clone(), audience));
    attacked.assert_libraries_refuse(&asked);
}

#[test]
fn attack_57_no_kind_of_token_passes_for_another() {
    let attacked = Attacked::start();
    let issuer = &attacked.issuer;
    let own = issuer.session["access_token"].as_str().unwrap();
    let key = json!({"name": "k", "access_token": own});
    let key = issuer.server.call("create_api_key", key).unwrap();
    let mut elsewhere = Vec::new();

    // Other kinds under the key that signs access tokens.
    for kind in [
        "JWT",
        "oauth-id-jag+jwt",
        "client-authentication+jwt",
        "dpop+jwt",
        "logout+jwt",
        "token-introspection+jwt",
        "",
    ] {
        elsewhere.push(attacked.with_header("typ", json!(kind)));
    }
    let mut untyped = attacked.header.clone();
    untyped.as_object_mut().unwrap().remove("typ");
    elsewhere.push(issuer.sign(&untyped, &attacked.claims));
    for forged in &elsewhere {
        attacked.assert_refused(forged);
    }

    // Tokens and keys of the service itself.
    for credential in [
        own,
        issuer.session["refresh_token"].as_str().unwrap(),
        key["api_key"].as_str().unwrap(),
    ] {
        assert_eq!(
            issuer.verify(credential, SERVICE),
            json!({"active": false}),
            "{credential}"
        );
        elsewhere.push(credential.to_owned());
    }
    let elsewhere: Vec<_> = elsewhere.into_iter().map(|it| (it, SERVICE)).collect();
    attacked.assert_libraries_refuse(&elsewhere);

    // The claims of one kind under the key of the other, for either audience.
    let (own_header, own_claims) = decode(own);
    for audience in ["user-auth", SERVICE] {
        for claims in [&own_claims, &attacked.claims] {
            let mut claims = claims.clone();
            claims["aud"] = audience.into();
            let own_kind = claims["username"].is_string() && audience == "user-auth";
            let published_kind = claims["username"].is_null() && audience == SERVICE;
            if !published_kind {
                attacked.assert_refused(&issuer.sign(&attacked.header, &claims));
            }
            if !own_kind {
                let signed = format!("{}.{}", encode(&own_header), encode(&claims));
                let label = format!("access-token/{}", own_header["kid"].as_str().unwrap());
                let mac = hmac(&hmac(&[7; 32], label.as_bytes()), signed.as_bytes());
                let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
                attacked.assert_refused(&forged);
            }
        }
    }
    attacked.assert_useless_here(&attacked.token);
}

#[test]
fn attack_58_forged_headers_and_signatures_are_refused() {
    let attacked = Attacked::start();
    let issuer = &attacked.issuer;
    let jwk = issuer.keys().remove(0);
    let mallory = p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
    let mallorys = |header: &Value| {
        let signed = format!("{}.{}", encode(header), encode(&attacked.claims));
        let signature: p256::ecdsa::Signature = mallory.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    };
    let point = mallory.verifying_key().to_sec1_point(false);
    let [x, y] = [point.x(), point.y()].map(|half| URL_SAFE_NO_PAD.encode(half.unwrap()));
    let mallorys_jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": jwk["kid"]});
    let with = |members: Value| {
        let mut header = attacked.header.clone();
        for (name, value) in members.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let (input, signature) = attacked.token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signed_by = |signature: &[u8]| format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));

    let mut forged = Vec::new();
    for alg in ["none", "None", "NONE", ""] {
        let header = with(json!({"alg": alg}));
        let unsigned = format!("{}.{}.", encode(&header), encode(&attacked.claims));
        forged.push(unsigned);
        forged.push(issuer.sign(&header, &attacked.claims));
    }
    // HS256 with what everybody knows of the key.
    let header = with(json!({"alg": "HS256"}));
    let public = PublicKey::from_sec1_bytes(&uncompressed(&jwk)).unwrap();
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    let der = public.to_public_key_der().unwrap();
    for secret in [
        jwk.to_string().as_bytes(),
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        der.as_bytes(),
        &uncompressed(&jwk),
    ] {
        let signed = format!("{}.{}", encode(&header), encode(&attacked.claims));
        let mac = hmac(secret, signed.as_bytes());
        forged.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac)));
    }
    // Other algorithms and curves.
    for alg in ["ES384", "ES256K", "EdDSA", "RS256", "PS256", "es256"] {
        forged.push(issuer.sign(&with(json!({"alg": alg})), &attacked.claims));
    }
    // Signatures.
    let order = p256_order();
    let der = p256::ecdsa::Signature::from_slice(&signature).unwrap();
    for wrong in [
        &[][..],
        &[0; 64],
        &signature[..63],
        &[&signature[..], &[0]].concat(),
        &[&[0; 32][..], &signature[32..]].concat(),
        &[&signature[..32], &[0; 32][..]].concat(),
        &[order.as_slice(), &order].concat(),
        der.to_der().as_bytes(),
    ] {
        forged.push(signed_by(wrong));
    }
    // Keys of the attacker, and where to find one.
    for members in [
        json!({}),
        json!({"jwk": mallorys_jwk}),
        json!({"jku": "https://mallory.example/jwks"}),
        json!({"x5u": "https://mallory.example/x5u"}),
        json!({"x5c": ["MIIB"]}),
        json!({"kid": "mallory", "jwk": mallorys_jwk}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' UNION SELECT 'mallory"}),
    ] {
        forged.push(mallorys(&with(members)));
    }
    // Extensions that must be understood.
    forged.push(attacked.with_header("crit", json!(["mallory"])));
    forged.push(issuer.sign(
        &with(json!({"crit": ["mallory"], "mallory": 1})),
        &attacked.claims,
    ));
    for forged in &forged {
        attacked.assert_refused(forged);
    }
    let forged: Vec<_> = forged.into_iter().map(|it| (it, SERVICE)).collect();
    attacked.assert_libraries_refuse(&forged);

    // What the libraries ignore, this service does not.
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!("https://mallory.example/jwks")),
        ("x5u", json!("https://mallory.example/x5u")),
        ("x5c", json!(["MIIB"])),
        ("b64", json!(true)),
    ] {
        attacked.assert_refused(&attacked.with_header(name, value));
    }
    let s: [u8; 32] = signature[32..].try_into().unwrap();
    let s = NonZeroScalar::from_repr(s.into()).unwrap();
    let high_s = [&signature[..32], &(-s).to_bytes()].concat();
    attacked.assert_refused(&signed_by(&high_s));
    assert!(attacked.is_active(&attacked.token));
}

/// Returns the point of a public key in the form of SEC 1.
fn uncompressed(jwk: &Value) -> Vec<u8> {
    let half = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    [&[4][..], &half("x"), &half("y")].concat()
}

/// Returns the order of P-256: as R or S it is out of range.
fn p256_order() -> Vec<u8> {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let digits = order.as_bytes().chunks(2);
    let bytes = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16));
    bytes.collect::<Result<_, _>>().unwrap()
}
