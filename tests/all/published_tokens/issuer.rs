//! A server that issues tokens for other services, whose private key the tests know.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use user_auth_tests::{Clock, Options, Server, command, folder};

/// The master key of servers whose keys the tests know.
pub const MASTER_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
/// The public URL of the server, which is not where the tests reach it.
pub const ISSUER: &str = "https://auth.example.com/team";
/// The service that tokens are for.
pub const SERVICE: &str = "https://files.example.com";
/// Another service.
pub const OTHER_SERVICE: &str = "https://mail.example.com";

/// The server, and a session of one user.
pub struct Issuer {
    pub home: TempDir,
    pub settings: Vec<(String, String)>,
    pub server: Server,
    pub session: Value,
    pub clock: Clock,
}

impl Issuer {
    /// Starts a server whose clock has this offset from the real time.
    pub fn start(offset: &str, settings: &[(&str, &str)]) -> Issuer {
        let home = folder();
        let clock = Clock::new(home.path());
        clock.set(offset);
        let audiences = format!("{SERVICE}, {OTHER_SERVICE}");
        let of_all = [
            ("USER_AUTH_MASTER_KEY", MASTER_KEY),
            ("USER_AUTH_PUBLIC_URL", ISSUER),
            ("USER_AUTH_OTHER_AUDIENCES", &audiences),
        ];
        let settings = of_all.iter().chain(settings);
        let settings: Vec<_> = settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let server = serve(home.path(), &clock, &settings);
        let session = server.new_session("alice");
        Issuer {
            home,
            settings,
            server,
            session,
            clock,
        }
    }

    /// Stops the server, and starts another one in an empty folder with a restored backup of
    /// its store.
    pub fn restore(self) -> Issuer {
        let file = self.home.path().join("backup");
        let file = file.to_str().unwrap();
        self.run(self.home.path(), &["backup", file]);
        let home = folder();
        self.run(home.path(), &["restore", file]);
        let clock = Clock::new(home.path());
        Issuer {
            server: serve(home.path(), &clock, &self.settings),
            home,
            clock,
            ..self
        }
    }

    /// Returns where the public keys are.
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.server.url)
    }

    /// Returns the public keys.
    pub fn keys(&self) -> Vec<Value> {
        let answer = self.server.get("/jwks", &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["keys"].as_array().unwrap().clone()
    }

    /// Issues a token for a service.
    pub fn issue(&self, audience: &str) -> String {
        let input = json!({"audience": audience, "access_token": self.session["access_token"]});
        let issued = self.server.call("issue_token", input).unwrap();
        issued["access_token"].as_str().unwrap().to_owned()
    }

    /// Verifies a token by the server, as the service with this name.
    pub fn verify(&self, token: &str, audience: &str) -> Value {
        let input = json!({"token": token, "audience": audience});
        self.server.call("verify_token", input).unwrap()
    }

    /// Runs an operation as the operator of the machine.
    pub fn operate(&self, arguments: &[&str]) -> Value {
        let output = self.run(self.home.path(), &[&["call"], arguments].concat());
        serde_json::from_slice(&output).unwrap()
    }

    /// Runs the program with its files in this folder, and returns its output.
    fn run(&self, home: &Path, arguments: &[&str]) -> Vec<u8> {
        let mut command = command(home);
        command
            .envs(self.settings.iter().cloned())
            .envs(self.clock.environment());
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// Signs a header and claims as this server would.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        sign(self.home.path(), header, claims)
    }
}

/// Signs a header and claims with the published key that the header names, or else with the
/// first one, of the server with this home and `MASTER_KEY`. The key is derived from the master
/// key and the record in the store.
pub fn sign(home: &Path, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let key = private_key(home, &header["kid"]);
    let signature: p256::ecdsa::Signature = key.sign(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.normalize_s().to_bytes());
    format!("{signed}.{signature}")
}

fn private_key(home: &Path, kid: &Value) -> SigningKey {
    let database = home.join(".local/share/user-auth/user-auth.db");
    let query = "SELECT value FROM entries WHERE key = 'signing-keys'";
    let value: Vec<u8> = Connection::open(database)
        .and_then(|database| database.query_row(query, [], |row| row.get(0)))
        .unwrap();
    let keys: Vec<Value> = serde_json::from_slice(&value).unwrap();
    let published = || keys.iter().filter(|key| key["published"].is_object());
    let named = published().find(|key| key["published"]["thumbprint"] == *kid);
    let id = named.or_else(|| published().next()).unwrap()["kid"].as_str();
    let label = format!("host/signing/ES256/access-token/{}", id.unwrap());
    let seed = hmac(&hmac(&[7; 32], label.as_bytes()), &[0]);
    SigningKey::from_slice(&seed).unwrap()
}

fn serve(home: &Path, clock: &Clock, settings: &[(String, String)]) -> Server {
    let options = Options::new().home(home).clock(clock);
    let settings = settings.iter();
    let options = settings.fold(options, |options, (name, value)| options.env(name, value));
    options.start()
}

/// Returns a JSON value as a part of a token.
pub fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Returns a token with other claims and the same signature.
pub fn with_claims(token: &str, claims: &Value) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    format!("{header}.{}.{signature}", encode(claims))
}

/// Returns the header and the claims of a token.
pub fn decode(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

/// Returns the HMAC-SHA256 of a message.
pub fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}
