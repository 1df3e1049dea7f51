//! Masks the secrets in values.

use serde_json::Value;
use url::Url;

use crate::config::registry::ConfigOption;
use crate::options::StoreLocation;

const MASK: &str = "***";

/// Returns the value in the form in which it may be shown.
pub(crate) fn masked(key: &ConfigOption, value: &Value) -> Value {
    match value {
        Value::String(text) => masked_text(text, key.secret).into(),
        Value::Array(elements) => elements.iter().map(|one| masked(key, one)).collect(),
        other => other.clone(),
    }
}

/// Masks passwords in URLs, wherever they stand. Everything in the URL of a webhook but
/// its host may be secret, and so may be anything after a question mark.
fn masked_text(text: &str, is_secret: bool) -> String {
    // The parser of the URL knows best where the password is.
    if is_secret && let Ok(StoreLocation::Postgres(url)) = text.parse() {
        return url.to_string();
    }
    let Ok(mut url) = text.parse::<Url>() else {
        return if is_secret && text.contains("://") {
            MASK.to_owned()
        } else {
            text.to_owned()
        };
    };
    // A bare `/` in a password ends the host, and the rest of it counts as the path.
    if is_secret && url.path().contains('@') {
        return MASK.to_owned();
    }
    if url.password().is_some() {
        // The URL has a host, otherwise it could not have a password.
        let _ = url.set_password(Some(MASK));
    } else if !is_secret || !url.has_host() {
        return text.to_owned();
    }
    if is_secret && matches!(url.scheme(), "http" | "https") && url.path() != "/" {
        url.set_path(MASK);
    }
    if is_secret && url.query().is_some() {
        url.set_query(Some(MASK));
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        for (text, is_secret, shown) in [
            ("sqlite:/var/lib/a.db", true, "sqlite:/var/lib/a.db"),
            ("memory", true, "memory"),
            (
                "postgres://me:hunter2@db/users?sslmode=require&password=hunter2",
                true,
                "postgres://me:***@db:5432/users",
            ),
            (
                "postgres://me:hunter2@db1:5432,db2:5433/x",
                true,
                "postgres://me:***@db1:5432,db2:5433/x",
            ),
            (
                "postgres://me:123/@db/x",
                true,
                "postgres://me:***@db:5432/x",
            ),
            (
                "postgres://me:a@hunter2@db/x",
                true,
                "postgres://me:***@db/x",
            ),
            (
                "postgresql://me:hunter2@/x?host=db",
                true,
                "postgres://me:***@db/x",
            ),
            ("postgres://me:a@hun/ter2@db/x", true, "***"),
            ("smtp://me:hun?ter2@mail", true, "***"),
            ("smtp://me:1/hunter2@mail", true, "***"),
            (
                "https://hooks.example.com/T0/hunter2",
                true,
                "https://hooks.example.com/***",
            ),
            (
                "smtp://me@mail.example.com:587",
                true,
                "smtp://me@mail.example.com:587",
            ),
            (
                "http://u:hunter2@127.0.0.1:4318/v1",
                false,
                "http://u:***@127.0.0.1:4318/v1",
            ),
            ("https://app.example.com", false, "https://app.example.com"),
        ] {
            assert_eq!(masked_text(text, is_secret), shown);
        }
    }
}
