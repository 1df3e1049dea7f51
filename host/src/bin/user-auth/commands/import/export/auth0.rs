//! Auth0: users with their password hashes, as its support exports them (`passwordHash`),
//! or in the form of its own bulk import (`password_hash`, `custom_password_hash`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::fields::{User, first_text, is_true, text};
use super::{Converted, Record};

/// With `=` at the end or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn user(record: &Record) -> Converted {
    let hash = match record.get("custom_password_hash") {
        Some(Value::Object(custom)) => Some(custom_hash(custom)?),
        _ => first_text(record, &["passwordHash", "password_hash"]).map(str::to_owned),
    };
    let user = User::named(record, &["username", "email"])?
        .with_email(record, is_true(record, "email_verified"))
        .with_hash(hash.as_deref())
        .disabled(is_true(record, "blocked"))
        .created_at(record, "created_at");
    Ok(Some(user.done()))
}

/// A hash that another system made for Auth0.
fn custom_hash(custom: &Record) -> Result<String, String> {
    let missing = |name: &str| format!("custom_password_hash: has no {name}");
    let algorithm = text(custom, "algorithm").ok_or_else(|| missing("algorithm"))?;
    match algorithm {
        // The text of these hashes has all parameters.
        "bcrypt" | "argon2" | "pbkdf2" => {
            let hash = custom.get("hash").and_then(|hash| hash["value"].as_str());
            hash.map(str::to_owned).ok_or_else(|| missing("hash.value"))
        }
        "scrypt" => scrypt(custom).ok_or_else(|| {
            "custom_password_hash: expected hash and salt with value and encoding, and cost (a \
             power of two), blockSize and parallelization"
                .to_owned()
        }),
        other => Err(format!(
            "custom_password_hash: is a hash of {other}, which is not supported; without it the \
             user can be imported, and can then reset the password"
        )),
    }
}

fn scrypt(custom: &Record) -> Option<String> {
    // Missing parameters have the defaults of Node.js.
    let number = |name: &str, otherwise| custom.get(name).map_or(Some(otherwise), Value::as_u64);
    let cost = number("cost", 16_384).filter(|cost| cost.is_power_of_two())?;
    let (block_size, lanes) = (number("blockSize", 8)?, number("parallelization", 1)?);
    let hash = bytes(custom.get("hash")?)?;
    let salt = bytes(custom.get("salt")?)?;
    Some(format!(
        "$scrypt$ln={},r={block_size},p={lanes}${}${}",
        cost.trailing_zeros(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    ))
}

/// Decodes a value.
fn bytes(encoded: &Value) -> Option<Vec<u8>> {
    let value = encoded["value"].as_str()?;
    match encoded["encoding"].as_str() {
        Some("hex") => base16ct::mixed::decode_vec(value).ok(),
        Some("base64") => BASE64.decode(value).ok(),
        Some("utf8") | None => Some(value.as_bytes().to_vec()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Export, users};

    #[test]
    fn users_of_auth0_become_users() {
        let lines = [
            json!({"_id": {"$oid": "60425dc43519d90068f82973"}, "email": "ann@example.com",
                "email_verified": true, "passwordHash": "$2b$10$abc", "tenant": "shop",
                "password_set_date": {"$date": "2024-01-02T03:04:05.678Z"},
                "connection": "Username-Password-Authentication", "_tmp_is_unique": true}),
            json!({"user_id": "auth0|1", "username": "ben", "email": "ben@example.com",
                "email_verified": false, "blocked": true,
                "created_at": "2024-01-02T03:04:05.678Z", "password_hash": "$2a$10$abc"}),
            json!({"email": "cat@example.com", "custom_password_hash": {"algorithm": "pbkdf2",
                "hash": {"value": "$pbkdf2-sha512$i=100000,l=64$a$b", "encoding": "utf8"}}}),
            json!({"email": "dan@example.com", "custom_password_hash": {"algorithm": "scrypt",
                "hash": {"value": "6861", "encoding": "hex"},
                "salt": {"value": "c2E=", "encoding": "base64"},
                "keylen": 2, "cost": 1024, "blockSize": 8, "parallelization": 2}}),
            json!({"email": "eve@example.com", "custom_password_hash": {"algorithm": "md5",
                "hash": {"value": "hunter2", "encoding": "hex"}}}),
            json!({"email": "fay@example.com", "custom_password_hash": {"algorithm": "scrypt",
                "hash": {"value": "hunter2", "encoding": "hex"}}}),
            json!({"phone_number": "+15555550100"}),
        ];
        let lines = lines.map(|line| line.to_string()).join("\n");
        let users = users(&Export::Auth0, &lines).unwrap();
        assert_eq!(
            users[..2],
            [
                Ok(
                    json!({"username": "ann@example.com", "email": "ann@example.com",
                    "email_verified": true, "password_hash": "$2b$10$abc"})
                ),
                Ok(
                    json!({"username": "ben", "email": "ben@example.com", "disabled": true,
                    "created_at": "2024-01-02T03:04:05.678Z", "password_hash": "$2a$10$abc"})
                ),
            ]
        );
        let hash = |number: usize| users[number].as_ref().unwrap()["password_hash"].clone();
        assert_eq!(hash(2), "$pbkdf2-sha512$i=100000,l=64$a$b");
        assert_eq!(hash(3), "$scrypt$ln=10,r=8,p=2$c2E$aGE");
        for (number, expected) in [(4, "hash of md5"), (5, "expected hash"), (6, "no username")] {
            let problem = users[number].as_ref().unwrap_err();
            assert!(problem.contains(expected), "{problem}");
            assert!(!problem.contains("hunter2"));
        }
    }
}
