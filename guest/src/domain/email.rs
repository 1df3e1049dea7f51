//! E-mail addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// RFC 5321 section 4.5.3.1.3 leaves 254 characters for an address.
const MAX_BYTES: usize = 254;

/// Something that could be an address. Whether it is one, only a message that
/// arrives can show, so the check here is for slips, not for RFC 5322.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "email", "maxLength" = 254))]
pub struct Email(String);

impl Email {
    /// The part before the `@`, and the domain.
    pub fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or((&self.0, ""))
    }

    /// As it was written: where messages go.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is the same for two ways to write one address. RFC 5321 section 2.4
    /// lets a host tell the cases of a local part apart; next to none does, and
    /// messages go to the address as its owner wrote it in any case. Only ASCII
    /// letters have cases here: no other letter can be taken for one of those, as
    /// the Kelvin sign for a k.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Email, Self::Error> {
        const EXPECTED: &str = "expected an e-mail address such as name@example.com";
        let plain =
            text.len() <= MAX_BYTES && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        let Some((local, domain)) = text.rsplit_once('@') else {
            return Err(EXPECTED);
        };
        if !plain || local.is_empty() || local.contains('@') || !is_domain(domain) {
            return Err(EXPECTED);
        }
        Ok(Email(text))
    }
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0
    }
}

fn is_domain(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    labels.len() > 1
        && labels
            .iter()
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::Email;

    #[test]
    fn the_ways_to_write_one_address_are_one() {
        let canonical = |text: &str| Email::try_from(text.to_owned()).unwrap().canonical();
        assert_eq!(
            canonical("Alice@Example.COM"),
            canonical("alice@example.com")
        );
        assert_ne!(
            canonical("\u{212a}@example.com"),
            canonical("k@example.com")
        );
        assert_ne!(canonical("\u{131}@example.com"), canonical("i@example.com"));
    }

    #[test]
    fn addresses_are_told_from_slips() {
        for good in ["a@example.com", "a.b+c@sub.example.org", "ü@müller.example"] {
            assert!(Email::try_from(good.to_owned()).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "",
            "a",
            "a@b",
            "@example.com",
            "a@b@c.d",
            "a b@c.d",
            "a@c.d\r\nX: y",
            "a@.d",
            &long,
        ] {
            assert!(Email::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
