use schemars::JsonSchema;
use serde::Deserialize;

use super::request_email_verification::{self, CodeSent};
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::email::Email;
use crate::error::Result;
use crate::ports::MessageKind;

/// Sends a code for `confirm_email` to a new email address for the caller's account,
/// which keeps its current address until then. Requires a recent login.
///
/// The current verified address is notified of the request. Returns the lifetime of the
/// code. If the account has a second factor, the login must have used it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestEmailChange {
    /// The new address.
    pub email: Email,
}

impl Operation for RequestEmailChange {
    const NAME: &'static str = "request_email_change";
    const TITLE: &'static str = "Request a code to change the email address";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = CodeSent;

    fn run(self, call: &ActorCall) -> Result<CodeSent> {
        let kind = MessageKind::EmailChange;
        request_email_verification::send(Self::NAME, kind, &self.email, call)
    }
}
