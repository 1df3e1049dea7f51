//! Reads the fields of a record, and builds a user from them.

use serde_json::Value;

use super::Record;

/// Returns the text of a field, or `None` if it has none or only white space.
pub(super) fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let text = record.get(name)?.as_str()?;
    (!text.trim().is_empty()).then_some(text)
}

/// Returns the text of the first field that has one.
pub(super) fn first_text<'a>(record: &'a Record, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| text(record, name))
}

/// Returns whether a field is true, in the forms of JSON and of exports of databases.
pub(super) fn is_true(record: &Record, name: &str) -> bool {
    match record.get(name) {
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(value)) => value.as_u64() == Some(1),
        Some(Value::String(value)) => {
            let yes = ["1", "t", "true", "y", "yes"];
            yes.contains(&value.to_ascii_lowercase().as_str())
        }
        _ => false,
    }
}

/// Returns whether a field is present and false.
pub(super) fn is_false(record: &Record, name: &str) -> bool {
    let is_given = record.get(name).is_some_and(|value| !value.is_null());
    is_given && !is_true(record, name)
}

/// Returns whether a field has a value, such as the time at which something was done.
pub(super) fn has(record: &Record, name: &str) -> bool {
    match record.get(name) {
        None | Some(Value::Null) => false,
        // MySQL writes a date of zeros for no date.
        Some(Value::String(text)) => !text.trim().is_empty() && !text.starts_with("0000-"),
        Some(_) => true,
    }
}

/// Builds a user.
#[derive(Default)]
pub(super) struct User(Record);

impl User {
    /// Begins a user, named by the first of these fields that has a text.
    pub(super) fn named(record: &Record, names: &[&str]) -> Result<User, String> {
        match first_text(record, names) {
            Some(name) => Ok(User::default().with("username", name)),
            None => Err(format!(
                "the user has no {}, one of which becomes the user name",
                names.join(" and no ")
            )),
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> User {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the address, which is verified if `is_verified`.
    pub(super) fn with_email(self, record: &Record, is_verified: bool) -> User {
        match text(record, "email") {
            None => self,
            Some(email) => {
                if is_verified {
                    self.with("email", email).with("email_verified", true)
                } else {
                    self.with("email", email)
                }
            }
        }
    }

    pub(super) fn with_hash(self, hash: Option<&str>) -> User {
        match hash {
            None => self,
            Some(hash) => self.with("password_hash", hash),
        }
    }

    pub(super) fn disabled(self, is_disabled: bool) -> User {
        if is_disabled {
            self.with("disabled", true)
        } else {
            self
        }
    }

    /// Adds the time of creation: in milliseconds, or as JSON and databases write a time.
    pub(super) fn created_at(self, record: &Record, name: &str) -> User {
        match record.get(name) {
            Some(Value::String(text)) if has(record, name) => self.with("created_at", moment(text)),
            Some(number @ Value::Number(_)) => self.with("created_at", number.clone()),
            _ => self,
        }
    }

    pub(super) fn done(self) -> Record {
        self.0
    }
}

/// Converts a time to RFC 3339. A time that names no zone, such as
/// `2024-01-31 12:00:00.25` from a database, is in UTC, as Rails, Laravel and Django store
/// it. Text of another form is returned unchanged.
fn moment(text: &str) -> String {
    const DATE: usize = "2024-01-31".len();
    let text = text.trim();
    let Some((date, rest)) = text.split_at_checked(DATE).filter(|_| text.is_ascii()) else {
        return text.to_owned();
    };
    let Some(time) = rest.strip_prefix([' ', 'T']) else {
        return text.to_owned();
    };
    let time = time.strip_suffix(" UTC").unwrap_or(time);
    let zone = time.find(['Z', 'z', '+', '-']).map(|at| time.split_at(at));
    match zone {
        None => format!("{date}T{time}Z"),
        // PostgreSQL leaves out minutes of zero.
        Some((time, zone)) => match zone.trim().len() {
            3 => format!("{date}T{}{zone}:00", time.trim_end()),
            5 => format!("{date}T{}{}:{}", time.trim_end(), &zone[..3], &zone[3..]),
            _ => format!("{date}T{}{zone}", time.trim_end()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_databases_become_those_of_rfc_3339() {
        for (text, expected) in [
            ("2024-01-31 12:00:00", "2024-01-31T12:00:00Z"),
            ("2024-01-31 12:00:00.123456", "2024-01-31T12:00:00.123456Z"),
            ("2024-01-31 12:00:00.5+00", "2024-01-31T12:00:00.5+00:00"),
            ("2024-01-31 12:00:00 UTC", "2024-01-31T12:00:00Z"),
            ("2024-01-31T12:00:00", "2024-01-31T12:00:00Z"),
            ("2024-01-31T12:00:00.000Z", "2024-01-31T12:00:00.000Z"),
            ("2024-01-31T12:00:00-0330", "2024-01-31T12:00:00-03:30"),
            ("2024-01-31T12:00:00+02:00", "2024-01-31T12:00:00+02:00"),
            ("1706702400000", "1706702400000"),
            ("é", "é"),
            ("2024-01-31 12:00:00+é", "2024-01-31 12:00:00+é"),
        ] {
            assert_eq!(moment(text), expected);
        }
    }

    #[test]
    fn yes_and_no_are_read_as_json_and_databases_write_them() {
        for (value, expected) in [
            (json!(true), true),
            (json!(1), true),
            (json!("t"), true),
            (json!("TRUE"), true),
            (json!(false), false),
            (json!(0), false),
            (json!("f"), false),
            (json!(null), false),
        ] {
            let is_null = value.is_null();
            let record = Record::from_iter([("a".to_owned(), value)]);
            assert_eq!(is_true(&record, "a"), expected);
            assert_eq!(is_false(&record, "a"), !expected && !is_null);
        }
        assert!(!is_false(&Record::new(), "a"));
    }
}
