//! The ids of clients.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::display_text::DisplayText;
use crate::types::id::Id;

/// Keeps the id of a client different from that of every user, since a token can have
/// either as its subject (RFC 9068 section 5).
const PREFIX: &str = "client-";

/// The id of a client (RFC 6749 section 2.2), which is not secret: `client-` and 128 random
/// bits as 32 lower-case hexadecimal digits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^client-[0-9a-f]{32}$"))]
pub struct ClientId(Id);

impl ClientId {
    /// Creates the id from random bits.
    pub fn new(random: Id) -> ClientId {
        ClientId(random)
    }

    /// Returns the id as a name for people.
    #[expect(clippy::expect_used, reason = "an id is a short line of ASCII")]
    pub fn to_display_text(self) -> DisplayText {
        DisplayText::try_from(self.to_string()).expect("an id is a short line of ASCII")
    }

    /// Returns the random bits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<ClientId, Self::Error> {
        let digits = text.strip_prefix(PREFIX);
        let id = digits.and_then(|digits| Id::try_from(digits.to_owned()).ok());
        id.map(ClientId)
            .ok_or("expected client- and 32 lower-case hexadecimal digits")
    }
}

impl From<ClientId> for String {
    fn from(client_id: ClientId) -> String {
        client_id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_clients_are_accepted() {
        let digits = "0123456789abcdef0123456789abcdef";
        let good = format!("client-{digits}");
        let parsed = ClientId::try_from(good.clone()).unwrap();
        assert_eq!(parsed.to_string(), good);
        for wrong in [
            "",
            "client-",
            digits,
            &format!("Client-{digits}"),
            &format!("client-{}", digits.to_uppercase()),
            &format!("client-{digits}0"),
            &format!(" client-{digits}"),
            "https://example.com/client.json",
        ] {
            assert!(ClientId::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
