//! The names of clients, as people read them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unicode::printable::problem_of_line;

const MAX_CHARS: usize = 100;

/// The name of a client or of a resource server: 1 to 100 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = MAX_CHARS))]
pub struct ClientName(String);

impl ClientName {
    /// Returns the name of this service.
    pub fn own() -> ClientName {
        ClientName("UserAuth".to_owned())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<ClientName, Self::Error> {
        if text.trim().is_empty() || text.chars().count() > MAX_CHARS {
            return Err("expected 1 to 100 characters");
        }
        problem_of_line(&text).map_or(Ok(ClientName(text)), Err)
    }
}

impl From<ClientName> for String {
    fn from(name: ClientName) -> String {
        name.0
    }
}
