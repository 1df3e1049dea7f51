use schemars::JsonSchema;
use serde::Deserialize;

use super::request_email_verification::{self, CodeSent};
use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::accounts::email::Email;
use crate::error::Result;
use crate::ports::MessageKind;

/// Sends a code for `confirm_email` to an address that the account that calls is
/// to have; until it is confirmed, the account keeps the one that it has, and who
/// reads that is told. Takes a session that began lately.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestEmailChange {
    /// The address as it shall be.
    pub email: Email,
}

impl Operation for RequestEmailChange {
    const NAME: &'static str = "request_email_change";
    const TITLE: &'static str = "Ask for a code to change one's address";
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = CodeSent;

    fn run(self, context: &ActorContext) -> Result<CodeSent> {
        let kind = MessageKind::EmailChange;
        request_email_verification::send(Self::NAME, kind, &self.email, context)
    }
}
