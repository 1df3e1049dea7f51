//! Firebase: `firebase auth:export users.json --format=json`. The passwords are hashed
//! with Firebase's variant of scrypt, which requires the hash parameters of the project.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use user_auth_host::files::{self, Guard};

use super::fields::{User, is_true, text};
use super::{Converted, Record};
use crate::failure::Failure;

/// The text that `firebase auth:export` writes in the place of a hash that it may not
/// read: `REDACTED`, in base64.
const REDACTED: &str = "UkVEQUNURUQ=";

/// The hash parameters of a project.
pub(in crate::commands::import) struct HashConfig {
    signer_key: String,
    salt_separator: String,
    rounds: u32,
    mem_cost: u32,
}

impl HashConfig {
    /// Reads the file, which has the parameters as the Firebase console shows them.
    pub(super) fn read(path: Option<&Path>) -> Result<HashConfig, Failure> {
        let Some(path) = path else {
            return Err(Failure::usage(
                "`--from firebase` requires `--firebase-hash-config FILE`: a file with the hash \
                 parameters of the project, as the Firebase console shows them \
                 (Authentication, Users, Password hash parameters)"
                    .to_owned(),
            ));
        };
        let text = files::read_text(path, Guard::Secret)
            .map_err(|error| Failure::usage(format!("the file {error}")))?;
        HashConfig::parse(&text)
            .map_err(|problem| Failure::usage(format!("the file {} {problem}", path.display())))
    }

    /// Parses one parameter per line, with the punctuation of JSON or without.
    fn parse(text: &str) -> Result<HashConfig, String> {
        let parameter = |name: &str| {
            let value = text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                let bare = |text: &str| text.trim().trim_matches([',', '"']).trim().to_owned();
                (bare(key) == name).then(|| bare(value))
            });
            value.ok_or_else(|| {
                format!("has no line `{name}: …`, as the Firebase console shows the parameters")
            })
        };
        let base64 = |name: &str| {
            let value = parameter(name)?;
            match STANDARD.decode(&value) {
                Ok(_) => Ok(value),
                Err(_) => Err(format!("has a `{name}` that is not base64")),
            }
        };
        let number = |name: &str| {
            let value = parameter(name)?.parse();
            value.map_err(|_| format!("has a `{name}` that is not a number"))
        };
        match parameter("algorithm")?.as_str() {
            "SCRYPT" => {}
            _ => {
                return Err(
                    "has another `algorithm` than SCRYPT, the only one supported".to_owned(),
                );
            }
        }
        Ok(HashConfig {
            signer_key: base64("base64_signer_key")?,
            salt_separator: base64("base64_salt_separator")?,
            rounds: number("rounds")?,
            mem_cost: number("mem_cost")?,
        })
    }

    /// Returns the hash of a user, in the form of the operation `import_users`.
    fn hash(&self, salt: &str, hash: &str) -> String {
        let HashConfig {
            signer_key,
            salt_separator,
            rounds,
            mem_cost,
        } = self;
        format!(
            "$fbscrypt$v=1,n={mem_cost},r={rounds},p=1,ss={salt_separator},sk={signer_key}\
             ${}${}",
            standard(salt),
            standard(hash)
        )
    }
}

/// Converts the base64 alphabet for URLs, which the Admin SDK uses, to the standard one.
fn standard(base64: &str) -> String {
    base64.replace('-', "+").replace('_', "/")
}

pub(super) fn user(record: &Record, config: &HashConfig) -> Converted {
    let hash = match (text(record, "salt"), text(record, "passwordHash")) {
        (_, None) => None,
        (_, Some(REDACTED)) => {
            return Err(
                "passwordHash: is redacted; export as an owner of the project, or with the \
                 permission firebaseauth.configs.getHashConfig"
                    .to_owned(),
            );
        }
        (None, Some(_)) => return Err("salt: is missing beside passwordHash".to_owned()),
        (Some(salt), Some(hash)) => Some(config.hash(salt, hash)),
    };
    let user = User::named(record, &["email"])?
        .with_email(record, is_true(record, "emailVerified"))
        .with_hash(hash.as_deref())
        .disabled(is_true(record, "disabled"))
        .created_at(record, "createdAt");
    Ok(Some(user.done()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Export, users};
    use super::*;

    /// The parameters of the example in <https://github.com/firebase/scrypt>.
    const CONFIG: &str = "hash_config {
  algorithm: SCRYPT,
  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}
";

    #[test]
    fn users_of_firebase_become_users() {
        let export = r#"{"users": [
            {"localId": "a1", "email": "ann@example.com", "emailVerified": true,
             "passwordHash": "lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==",
             "salt": "42xEC-ixf3L2lw==", "lastSignedInAt": "1706702400000",
             "createdAt": "1704164645000", "displayName": "Ann", "providerUserInfo": []},
            {"localId": "b2", "email": "ben@example.com", "emailVerified": false,
             "disabled": true, "providerUserInfo": [{"providerId": "google.com"}]},
            {"localId": "c3", "phoneNumber": "+15555550100"},
            {"localId": "d4", "email": "d@example.com", "passwordHash": "UkVEQUNURUQ=",
             "salt": "42xEC-ixf3L2lw=="}]}"#;
        let config = HashConfig::parse(CONFIG).unwrap();
        let users = users(&Export::Firebase(config), export).unwrap();
        assert_eq!(
            users[..2],
            [
                Ok(json!({
                    "username": "ann@example.com",
                    "email": "ann@example.com",
                    "email_verified": true,
                    "password_hash": "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,\
                        sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
                        $42xEC+ixf3L2lw==\
                        $lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==",
                    "created_at": "1704164645000",
                })),
                Ok(json!({
                    "username": "ben@example.com",
                    "email": "ben@example.com",
                    "disabled": true,
                })),
            ]
        );
        assert!(users[2].as_ref().unwrap_err().contains("no email"));
        assert!(users[3].as_ref().unwrap_err().contains("redacted"));
    }

    #[test]
    fn the_hash_parameters_are_read_as_shown_and_as_json() {
        let json = r#"{"algorithm": "SCRYPT",
            "base64_signer_key": "AAAA",
            "base64_salt_separator": "Bw==",
            "rounds": 8,
            "mem_cost": 14}"#;
        let lines = json.replace(['{', '}'], "\n");
        assert_eq!(HashConfig::parse(&lines).unwrap().signer_key, "AAAA");
        for (from, to, problem) in [
            ("rounds: 8", "rounds: many", "`rounds` that is not a number"),
            ("rounds: 8,", "", "no line `rounds: …`"),
            ("SCRYPT", "STANDARD_SCRYPT", "another `algorithm`"),
            ("Bw==", "B*", "`base64_salt_separator` that is not base64"),
        ] {
            let error = HashConfig::parse(&CONFIG.replace(from, to)).err().unwrap();
            assert!(error.contains(problem), "{error}");
            assert!(!error.contains("jxspr8Ki"));
        }
    }
}
