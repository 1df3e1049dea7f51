//! The trait that every operation implements.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::access::toolset::Toolset;
use crate::error::Result;
use crate::json::WriteJson;

/// Prefix of the name of each MCP tool.
pub const TOOL_PREFIX: &str = "user-auth_";

/// Returns the name of the MCP tool that runs an operation.
pub fn tool_name(operation: &str) -> String {
    format!("{TOOL_PREFIX}{operation}")
}

/// An operation. The implementing type is its input.
pub trait Operation: DeserializeOwned + JsonSchema {
    /// The name; the MCP tool is `user-auth_<name>`.
    const NAME: &'static str;
    /// The name for people.
    const TITLE: &'static str;
    /// The toolset that it belongs to; `None` if it is always there.
    const TOOLSET: Option<Toolset>;
    /// Whether its input has a password, or continues one that had.
    const TAKES_PASSWORD: bool = false;
    /// The effect on stored data.
    const EFFECT: Effect;
    /// The requirement on the caller.
    const REQUIRES: Requirement;
    /// The output.
    type Output: WriteJson + JsonSchema;

    /// Runs the operation.
    fn run(self, call: &ActorCall) -> Result<Self::Output>;
}

/// The effect of an operation, from which the hints of its MCP tool are derived. An
/// operation is destructive if it ends or replaces something, or lets an account or a key
/// do more than before: clients should ask their user first. No operation reaches beyond
/// this service and the owners of its accounts (`openWorldHint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Reads,
    /// Adds something on every call, without letting any account or key do more than
    /// before.
    Adds,
    /// Lets an account do more than before, or creates a credential that acts for an
    /// account.
    Widens,
    /// Ends or replaces something on every call.
    Replaces,
    /// Ends something; repeating the call has no further effect.
    Ends,
}

impl Effect {
    /// Returns the annotations of the MCP tool. Whether a call can be repeated is said only
    /// where it can: that it cannot is the default, and the hint has no meaning for tools
    /// that change nothing.
    pub fn annotations(self) -> Value {
        let mut hints = json!({
            "readOnlyHint": self == Effect::Reads,
            "destructiveHint": !matches!(self, Effect::Reads | Effect::Adds),
            "openWorldHint": false,
        });
        if self == Effect::Ends {
            hints["idempotentHint"] = true.into();
        }
        hints
    }
}
