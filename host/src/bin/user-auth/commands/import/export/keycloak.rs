//! Keycloak: a realm with its users, as `kc.sh export` writes it. Before version 8 the
//! hash was in fields of the credential itself, and not in `secretData` and
//! `credentialData`.

use serde_json::Value;

use super::fields::{User, is_false, is_true, text};
use super::{Converted, Record};

pub(super) fn user(record: &Record) -> Converted {
    if let Some(client) = text(record, "serviceAccountClientId") {
        return Err(format!(
            "is the service account of the client {client}; create one with \
             create_service_account"
        ));
    }
    let user = User::named(record, &["username", "email"])?
        .with_email(record, is_true(record, "emailVerified"))
        .with_hash(hash(record)?.as_deref())
        .disabled(is_false(record, "enabled"))
        .created_at(record, "createdTimestamp");
    Ok(Some(user.done()))
}

/// Returns the hash of the password, if there is one.
fn hash(user: &Record) -> Result<Option<String>, String> {
    let credentials = user.get("credentials").and_then(Value::as_array);
    let password = credentials
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .find(|credential| text(credential, "type") == Some("password"));
    let Some(credential) = password else {
        return Ok(None);
    };
    if text(credential, "value").is_some() {
        return Err(
            "credentials: the password is in plain text, and only hashes are imported; without \
             it the user can be imported, and can then reset the password"
                .to_owned(),
        );
    }
    let (secret, data) = match (
        inner(credential, "secretData"),
        inner(credential, "credentialData"),
    ) {
        (Some(secret), Some(data)) => (secret, data),
        _ => (credential.clone(), credential.clone()),
    };
    let value = text(&secret, "value").or_else(|| text(&secret, "hashedSaltedValue"));
    let (Some(value), Some(salt)) = (value, text(&secret, "salt")) else {
        return Err("credentials: the password has no hash and salt".to_owned());
    };
    phc(&data, salt, value).map(Some)
}

/// Returns a field that is an object, or has one as text in JSON.
fn inner(credential: &Record, name: &str) -> Option<Record> {
    match credential.get(name)? {
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Object(fields) => Some(fields.clone()),
        _ => None,
    }
}

/// Returns the hash in PHC form, with the parameters that `data` states.
fn phc(data: &Record, salt: &str, value: &str) -> Result<String, String> {
    let iterations = data.get("hashIterations").and_then(Value::as_u64);
    let iterations = iterations.ok_or("credentials: the password has no hashIterations")?;
    // Older versions omit it.
    let algorithm = text(data, "algorithm").unwrap_or("pbkdf2");
    match algorithm {
        "pbkdf2-sha256" | "pbkdf2-sha512" => {
            Ok(format!("${algorithm}$i={iterations}${salt}${value}"))
        }
        "pbkdf2" => Ok(format!("$pbkdf2-sha1$i={iterations}${salt}${value}")),
        "argon2" => argon2(data, iterations, salt, value),
        other => Err(format!(
            "credentials: the password is hashed by {other}, which is not supported; without \
             it the user can be imported, and can then reset the password"
        )),
    }
}

fn argon2(data: &Record, passes: u64, salt: &str, value: &str) -> Result<String, String> {
    let parameters = data.get("additionalParameters");
    // Each is a list of texts.
    let parameter = |name: &str| {
        let value = parameters.and_then(|parameters| parameters[name][0].as_str());
        value.ok_or_else(|| format!("credentials: the password has no parameter {name} of argon2"))
    };
    let (kind, version) = (parameter("type")?, parameter("version")?);
    if !matches!(kind, "i" | "id") || version != "1.3" {
        return Err(format!(
            "credentials: the password is hashed by argon2 of type {kind} and version {version}, \
             and only i and id of version 1.3 are imported"
        ));
    }
    let (memory, lanes) = (parameter("memory")?, parameter("parallelism")?);
    Ok(format!(
        "$argon2{kind}$v=19$m={memory},t={passes},p={lanes}${salt}${value}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Export, users};
    use super::*;

    #[test]
    fn users_of_a_realm_become_users() {
        let credential = |algorithm: &str, iterations: u32, more: &Value| {
            json!([
                {"type": "otp", "secretData": "{}", "credentialData": "{}"},
                {
                    "id": "c", "type": "password", "createdDate": 1_704_164_645_000_u64,
                    "secretData": json!({"value": "aGFzaA==", "salt": "c2FsdA==",
                        "additionalParameters": {}}).to_string(),
                    "credentialData": json!({"hashIterations": iterations,
                        "algorithm": algorithm, "additionalParameters": more}).to_string(),
                },
            ])
        };
        let none = json!({});
        let argon2 = json!({"hashLength": ["32"], "memory": ["7168"], "type": ["id"],
            "version": ["1.3"], "parallelism": ["1"]});
        let of = |username: &str, credentials: Value| {
            json!({"id": "x", "username": username, "enabled": true,
                "emailVerified": false, "credentials": credentials,
                "realmRoles": ["default-roles-shop"], "groups": []})
        };
        let realm = json!({"realm": "shop", "enabled": true, "users": [
            {"username": "ann", "email": "ann@example.com", "emailVerified": true,
             "enabled": false, "createdTimestamp": 1_704_164_645_000_u64,
             "credentials": credential("argon2", 5, &argon2)},
            of("ben", credential("pbkdf2-sha512", 210_000, &none)),
            of("cat", credential("pbkdf2-sha256", 27_500, &none)),
            of("dan", json!([{"type": "password", "hashedSaltedValue": "aGFzaA==",
                "salt": "c2FsdA==", "hashIterations": 20000, "algorithm": "pbkdf2"}])),
            of("eve", json!([])),
            of("fay", credential("bcrypt", 10, &none)),
            of("gus", json!([{"type": "password", "value": "hunter2"}])),
            {"username": "service-account-shop", "serviceAccountClientId": "shop"},
            of("hal", credential("argon2", 5, &json!({"type": ["d"], "version": ["1.3"]}))),
        ]});
        let users = users(&Export::Keycloak, &realm.to_string()).unwrap();
        assert_eq!(
            users[0],
            Ok(json!({
                "username": "ann", "email": "ann@example.com", "email_verified": true,
                "disabled": true, "created_at": 1_704_164_645_000_u64,
                "password_hash": "$argon2id$v=19$m=7168,t=5,p=1$c2FsdA==$aGFzaA==",
            }))
        );
        let hashes = users[1..5]
            .iter()
            .map(|user| &user.as_ref().unwrap()["password_hash"]);
        assert_eq!(
            hashes.cloned().collect::<Vec<_>>(),
            [
                json!("$pbkdf2-sha512$i=210000$c2FsdA==$aGFzaA=="),
                json!("$pbkdf2-sha256$i=27500$c2FsdA==$aGFzaA=="),
                json!("$pbkdf2-sha1$i=20000$c2FsdA==$aGFzaA=="),
                Value::Null,
            ]
        );
        for (number, expected) in [
            (5, "hashed by bcrypt"),
            (6, "plain text"),
            (7, "create_service_account"),
            (8, "only i and id"),
        ] {
            let problem = users[number].as_ref().unwrap_err();
            assert!(problem.contains(expected), "{problem}");
            assert!(!problem.contains("hunter2"));
        }
    }

    #[test]
    fn the_error_about_a_realm_without_users_says_how_to_export_them() {
        let error = users(&Export::Keycloak, r#"{"realm": "shop"}"#).unwrap_err();
        assert!(error.contains("kc.sh export"), "{error}");
    }
}
