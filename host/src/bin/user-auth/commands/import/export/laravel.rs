//! Laravel: the table `users`, as CSV or JSON. The password is bcrypt (`$2y$`) or, by a
//! setting, Argon2i or Argon2id.

use super::fields::{User, has, text};
use super::{Converted, Record};

pub(super) fn user(record: &Record) -> Converted {
    let user = User::named(record, &["username", "email"])?
        .with_email(record, has(record, "email_verified_at"))
        .with_hash(text(record, "password"))
        // Eloquent keeps deleted rows, and marks them.
        .disabled(has(record, "deleted_at"))
        .created_at(record, "created_at");
    Ok(Some(user.done()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Export, users};

    #[test]
    fn a_table_of_laravel_becomes_users() {
        let csv = "id,name,email,email_verified_at,password,remember_token,created_at,updated_at,deleted_at\n\
            1,Ann,ann@example.com,2024-02-03 04:05:06,$2y$12$abc,x,2024-01-02 03:04:05,NULL,NULL\n\
            2,Ben,ben@example.com,NULL,NULL,NULL,NULL,NULL,2024-05-06 07:08:09\n\
            3,,,NULL,$2y$12$abc,NULL,NULL,NULL,NULL\n";
        let users = users(&Export::Laravel, csv).unwrap();
        assert_eq!(
            users[..2],
            [
                Ok(json!({
                    "username": "ann@example.com",
                    "email": "ann@example.com",
                    "email_verified": true,
                    "password_hash": "$2y$12$abc",
                    "created_at": "2024-01-02T03:04:05Z",
                })),
                Ok(json!({
                    "username": "ben@example.com",
                    "email": "ben@example.com",
                    "disabled": true,
                })),
            ]
        );
        let problem = users[2].as_ref().unwrap_err();
        assert!(
            problem.starts_with("the user has no username and no email"),
            "{problem}"
        );
    }
}
