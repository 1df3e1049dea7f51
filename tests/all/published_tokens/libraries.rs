//! Libraries that verify tokens by the published keys alone: jose, PyJWT, Authlib and
//! jsonwebtoken. Each keeps the keys as its users do.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use user_auth_tests::folder;

use super::issuer::{ISSUER, Issuer};
use crate::clients::{client, node, script};

/// A library, which keeps the keys that it has fetched.
pub struct Library {
    pub name: &'static str,
    implementation: Implementation,
}

enum Implementation {
    Script(Script),
    Jsonwebtoken(Jsonwebtoken),
}

/// A program that reads tokens and writes what it thinks of each.
struct Script {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

struct Jsonwebtoken {
    url: String,
    keys: JwkSet,
}

impl Library {
    /// Starts all libraries.
    pub fn all(issuer: &Issuer) -> Vec<Library> {
        let python = client(".venv/bin/python");
        let mut libraries = vec![Library {
            name: "jsonwebtoken",
            implementation: Implementation::Jsonwebtoken(Jsonwebtoken {
                url: issuer.jwks_url(),
                keys: JwkSet { keys: Vec::new() },
            }),
        }];
        for (name, program, file) in [
            ("jose", &node(), "verify_jose.mjs"),
            ("PyJWT", &python, "verify_pyjwt.py"),
            ("Authlib", &python, "verify_authlib.py"),
        ] {
            let script = Script::start(program, file, issuer);
            libraries.push(Library {
                name,
                implementation: Implementation::Script(script),
            });
        }
        libraries
    }

    /// Verifies a token as the service with this name, and returns its claims, or why it was
    /// refused.
    pub fn verify(&mut self, token: &str, audience: &str) -> Result<Value, String> {
        match &mut self.implementation {
            Implementation::Script(script) => script.verify(token, audience),
            Implementation::Jsonwebtoken(library) => library
                .verify(token, audience)
                .map_err(|error| error.to_string()),
        }
    }
}

impl Script {
    fn start(program: &Path, file: &str, issuer: &Issuer) -> Script {
        let home = folder();
        let mut child = script(program, file, home.path())
            .args([&issuer.jwks_url(), ISSUER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Script {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn verify(&mut self, token: &str, audience: &str) -> Result<Value, String> {
        let asked = json!({"token": token, "audience": audience});
        writeln!(self.input, "{asked}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).expect("its error is above");
        match answer["refused"].as_str() {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(answer["claims"].take()),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Jsonwebtoken {
    fn verify(&mut self, token: &str, audience: &str) -> Result<Value, Box<dyn std::error::Error>> {
        let header = decode_header(token)?;
        // The library leaves the kind of a token to its callers (RFC 9068 section 4).
        if header.typ.as_deref() != Some("at+jwt") {
            return Err("the typ is not at+jwt".into());
        }
        let key = self.key(&header.kid.ok_or("there is no kid")?)?;
        let algorithm = key.common.key_algorithm.ok_or("a key without alg")?;
        let mut validation = Validation::new(Algorithm::try_from(algorithm)?);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        let token = decode::<Value>(token, &DecodingKey::from_jwk(&key)?, &validation)?;
        Ok(token.claims)
    }

    fn key(&mut self, kid: &str) -> Result<Jwk, &'static str> {
        if self.keys.find(kid).is_none() {
            let mut answer = ureq::get(&self.url).call().expect("the server answers");
            let text = answer.body_mut().read_to_string().unwrap();
            self.keys = serde_json::from_str(&text).unwrap();
        }
        self.keys.find(kid).cloned().ok_or("the key is unknown")
    }
}
