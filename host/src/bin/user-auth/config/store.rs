//! `store`: the store of all records.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::options::StoreLocation;

/// The store of all records.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// `sqlite:PATH`, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or `memory`, which
    /// lasts as long as the process. Default:
    /// `sqlite:~/.local/share/user-auth/user-auth.db`.
    #[serde(deserialize_with = "location")]
    #[schemars(extend("x-env" = "USER_AUTH_STORE", "x-secret" = true))]
    pub(crate) url: Option<String>,
}

/// Deserializes a text that names a store.
fn location<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = Deserialize::deserialize(input)?;
    if let Some(text) = &text {
        text.parse::<StoreLocation>().map_err(de::Error::custom)?;
    }
    Ok(text)
}
