//! Devise: the table of users, as CSV or JSON. The password is bcrypt. If Devise adds a
//! pepper, which is not in the table, the passwords cannot be verified here.

use super::fields::{User, has, text};
use super::{Converted, Record};

pub(super) fn user(record: &Record) -> Converted {
    let hash = text(record, "encrypted_password");
    // The salt is that of devise-encryptable, which does not hash with bcrypt.
    if hash.is_some() && has(record, "password_salt") {
        return Err(
            "encrypted_password: is a hash of devise-encryptable, which is not supported; \
             without it the user can be imported, and can then reset the password"
                .to_owned(),
        );
    }
    let user = User::named(record, &["username", "login", "email"])?
        .with_email(record, has(record, "confirmed_at"))
        .with_hash(hash)
        .disabled(has(record, "deleted_at"))
        .created_at(record, "created_at");
    Ok(Some(user.done()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Export, users};

    #[test]
    fn a_table_of_devise_becomes_users() {
        let lines = r#"
            {"id": 1, "email": "ann@example.com", "encrypted_password": "$2a$12$abc",
             "confirmed_at": "2024-02-03T04:05:06.000Z", "sign_in_count": 3,
             "created_at": "2024-01-02T03:04:05.123Z"}
            {"id": 2, "email": "ben@example.com", "encrypted_password": "",
             "confirmed_at": null, "deleted_at": "2024-05-06 07:08:09"}
            {"id": 3, "email": "eve@example.com", "encrypted_password": "ab12",
             "password_salt": "x"}"#;
        let users = users(&Export::Devise, lines).unwrap();
        assert_eq!(
            users[..2],
            [
                Ok(json!({
                    "username": "ann@example.com",
                    "email": "ann@example.com",
                    "email_verified": true,
                    "password_hash": "$2a$12$abc",
                    "created_at": "2024-01-02T03:04:05.123Z",
                })),
                Ok(json!({
                    "username": "ben@example.com",
                    "email": "ben@example.com",
                    "disabled": true,
                })),
            ]
        );
        assert!(
            users[2]
                .as_ref()
                .unwrap_err()
                .contains("devise-encryptable")
        );
    }
}
