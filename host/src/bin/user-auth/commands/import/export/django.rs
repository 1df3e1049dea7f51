//! Django: `manage.py dumpdata` of `auth.user`, or of another model of users. Records of
//! other models have no password.

use serde_json::Value;

use super::fields::{User, is_false, text};
use super::{Converted, Record};

pub(super) fn user(record: &Record) -> Converted {
    // Rows of the table itself have no `fields`.
    let fields = match record.get("fields") {
        Some(Value::Object(fields)) => fields,
        _ => record,
    };
    if !fields.contains_key("password") {
        return Ok(None);
    }
    let hash = text(fields, "password");
    // UNUSABLE_PASSWORD_PREFIX marks a user without a password.
    let hash = hash.filter(|hash| !hash.starts_with('!'));
    let user = User::named(fields, &["username", "email"])?
        .with_email(fields, false)
        .with_hash(hash)
        .disabled(is_false(fields, "is_active"))
        .created_at(fields, "date_joined");
    Ok(Some(user.done()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Export, users};

    #[test]
    fn users_of_dumpdata_become_users_and_other_models_do_not() {
        let dump = r#"[
            {"model": "contenttypes.contenttype", "pk": 1, "fields": {"app_label": "auth"}},
            {"model": "auth.user", "pk": 1, "fields": {"password": "pbkdf2_sha256$1$a$b",
             "last_login": null, "is_superuser": true, "username": "ann", "first_name": "",
             "email": "ann@example.com", "is_staff": true, "is_active": true,
             "date_joined": "2024-01-02T03:04:05.123Z", "groups": [1], "user_permissions": []}},
            {"model": "accounts.user", "pk": 2, "fields": {"password": "!x9Yk",
             "email": "ben@example.com", "is_active": false, "date_joined": "2024-01-02T03:04:05"}}
        ]"#;
        assert_eq!(
            users(&Export::Django, dump).unwrap(),
            [
                Ok(json!({
                    "username": "ann",
                    "email": "ann@example.com",
                    "password_hash": "pbkdf2_sha256$1$a$b",
                    "created_at": "2024-01-02T03:04:05.123Z",
                })),
                Ok(json!({
                    "username": "ben@example.com",
                    "email": "ben@example.com",
                    "disabled": true,
                    "created_at": "2024-01-02T03:04:05Z",
                })),
            ]
        );
        let none = users(
            &Export::Django,
            r#"[{"model": "sites.site", "fields": {}}]"#,
        );
        assert!(none.unwrap_err().contains("manage.py dumpdata"));
    }
}
