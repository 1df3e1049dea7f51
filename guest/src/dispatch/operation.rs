//! What an operation is: the trait that each implements.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::error::Result;

/// One operation. The type itself is its input.
pub trait Operation: DeserializeOwned + JsonSchema {
    /// Its name: `user-auth_<name>` is the tool.
    const NAME: &'static str;
    /// Its name for people.
    const TITLE: &'static str;
    /// What it does to the world.
    const EFFECT: Effect;
    /// What it requires of its caller.
    const REQUIRES: Requirement;
    /// What it gives.
    type Output: Serialize + JsonSchema;

    /// Does it.
    fn run(self, context: &ActorContext) -> Result<Self::Output>;
}

/// What an operation does to the world: the hints of an MCP tool. An operation is
/// called destructive if it ends or replaces something, or lets an account or a key do
/// more than before: a client should ask its user first. No operation reaches beyond
/// this service and the owners of its accounts (`openWorldHint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Reads,
    /// It adds something at each call, and no account or key can do more than before.
    Adds,
    /// It lets an account do more than before, or makes a credential that acts for one.
    Widens,
    /// It ends or replaces something, each time anew.
    Replaces,
    /// It ends something; doing so twice is doing so once.
    Ends,
}

impl Effect {
    /// As the annotations of an MCP tool.
    pub fn annotations(self, title: &str) -> Value {
        json!({
            "title": title,
            "readOnlyHint": self == Effect::Reads,
            "destructiveHint": !matches!(self, Effect::Reads | Effect::Adds),
            "idempotentHint": matches!(self, Effect::Reads | Effect::Ends),
            "openWorldHint": false,
        })
    }
}
