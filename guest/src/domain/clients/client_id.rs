//! The ids of clients.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::document_url::DocumentUrl;
use crate::domain::display_text::DisplayText;
use crate::types::id::Id;
use crate::types::mac;

/// Keeps the id of a client different from that of every user, since a token can have
/// either as its subject (RFC 9068 section 5).
const PREFIX: &str = "client-";

/// The id of a client (RFC 6749 section 2.2), which is not secret: `client-` and 128 random
/// bits as 32 lower-case hexadecimal digits, or the URL of its metadata document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    extend("pattern" = "^(client-[0-9a-f]{32}|https://.+)$")
)]
pub enum ClientId {
    /// The client was registered, and got this id.
    Issued(Id),
    /// The client identifies itself by this URL.
    Document(DocumentUrl),
}

impl ClientId {
    /// Returns the id as a name for people: that of a document is its host.
    #[expect(clippy::expect_used, reason = "an id is a short line of ASCII")]
    pub fn to_display_text(&self) -> DisplayText {
        let text = match self {
            ClientId::Issued(_) => self.to_string(),
            ClientId::Document(url) => url.host().chars().take(DisplayText::MAX_CHARS).collect(),
        };
        DisplayText::try_from(text).expect("an id is a short line of ASCII")
    }

    /// Returns the host of the metadata document, if the client has one.
    pub fn document_host(&self) -> Option<&str> {
        match self {
            ClientId::Issued(_) => None,
            ClientId::Document(url) => Some(url.host()),
        }
    }

    /// Returns the part of store keys that stands for the client. URLs are hashed: they can
    /// be too long for a key.
    pub fn record_name(&self) -> String {
        match self {
            ClientId::Issued(_) => self.to_string(),
            ClientId::Document(url) => {
                format!("document-{}", mac::to_hex(&Sha256::digest(url.as_str())))
            }
        }
    }

    /// Returns what tells the client from others in hashes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            ClientId::Issued(id) => id.as_bytes(),
            ClientId::Document(url) => url.as_str().as_bytes(),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientId::Issued(id) => write!(f, "{PREFIX}{id}"),
            ClientId::Document(url) => f.write_str(url.as_str()),
        }
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<ClientId, Self::Error> {
        let Some(digits) = text.strip_prefix(PREFIX) else {
            let url = DocumentUrl::try_from(text);
            return url.map(ClientId::Document).map_err(|_| EXPECTED);
        };
        let id = Id::try_from(digits.to_owned());
        id.map(ClientId::Issued).map_err(|_| EXPECTED)
    }
}

const EXPECTED: &str = "expected client- and 32 lower-case hexadecimal digits, or the https URL \
    of a metadata document";

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
        assert_eq!(parsed.record_name(), good);
        let url = "https://example.com/client.json";
        let parsed = ClientId::try_from(url.to_owned()).unwrap();
        assert_eq!(parsed.to_string(), url);
        assert_eq!(parsed.to_display_text().as_str(), "example.com");
        // Different from every id that was issued, and fit for a key.
        assert!(parsed.record_name().starts_with("document-"));
        assert_eq!(parsed.record_name().len(), "document-".len() + 64);
        for wrong in [
            "",
            "client-",
            digits,
            &format!("Client-{digits}"),
            &format!("client-{}", digits.to_uppercase()),
            &format!("client-{digits}0"),
            &format!(" client-{digits}"),
            "https://example.com",
        ] {
            assert!(ClientId::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
