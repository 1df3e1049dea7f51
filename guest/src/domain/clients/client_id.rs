//! The ids of clients.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ports::Ports;

/// Tells the id of a client from that of a user, which tokens have as `sub` (RFC 9068
/// section 5).
const PREFIX: &str = "client_";
const DIGITS: usize = 32;

/// The id of a client: `client_` and 128 random bits as 32 lower-case hexadecimal digits,
/// which no encoding of forms and headers changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^client_[0-9a-f]{32}$"))]
pub struct ClientId(String);

impl ClientId {
    /// Creates the id of a new client.
    pub fn random(ports: &Ports) -> Result<ClientId> {
        Ok(ClientId(format!("{PREFIX}{}", ports.random.id()?)))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<ClientId, Self::Error> {
        let digits = text.strip_prefix(PREFIX).unwrap_or_default();
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != DIGITS || !digits.bytes().all(is_digit) {
            return Err("expected client_ and 32 lower-case hexadecimal digits");
        }
        Ok(ClientId(text))
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> String {
        id.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
