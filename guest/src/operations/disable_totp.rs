use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key::EndApiKeys;
use crate::domain::notify;
use crate::domain::sessions::session::{self, CurrentLogin};
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Removes the caller's second factor, including its recovery codes. Ends all other
/// sessions of the account. Requires a recent login with that second factor.
///
/// The API keys that the other sessions may have created end too.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableTotp {
    /// API keys to end too: the `recent` ones (the default), `all` or `none`.
    ///
    /// Recent are those that another session created or rotated within a session's
    /// maximum lifetime, 30 days by default.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

/// The result of removing the second factor.
#[derive(Serialize, JsonSchema)]
pub struct DisabledTotp {
    /// The only session that continues.
    pub session_id: Id,
    /// The API keys that were ended; absent if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_api_keys: Vec<Id>,
}

impl Operation for DisableTotp {
    const NAME: &'static str = "disable_totp";
    const TITLE: &'static str = "Remove the authenticator app";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = DisabledTotp;

    fn run(self, call: &ActorCall) -> Result<DisabledTotp> {
        authority::retry_on_conflict(call, |call| disable(self.end_api_keys, call))
    }
}

fn disable(keys: EndApiKeys, call: &ActorCall) -> Result<Race<DisabledTotp>> {
    let CurrentLogin {
        session,
        account,
        head,
    } = CurrentLogin::read(call)?;
    if account.value.second_factor.is_none() {
        return Err(none());
    }
    let mut batch = Batch::new();
    let change = |account: &mut Account| {
        account.second_factor = None;
        account.enrolment = None;
    };
    let ended = session::end_all_but(&session, &account, keys, change, &mut batch, call)?;
    let event = Event::success(DisableTotp::NAME).with_ended_keys(&ended);
    Chain::at(account.value.user_id, head).append(event, &mut batch, call)?;
    notify::queue_notice(MessageKind::SecondFactorChanged, &account.value, &mut batch);
    Ok(call.commit(batch)?.then(DisabledTotp {
        session_id: session.value.session_id,
        ended_api_keys: ended,
    }))
}

/// Returns the error for an account without a second factor, which only its owner
/// receives.
pub(super) fn none() -> AuthError {
    AuthError::new(ErrorKind::Application, "The account has no second factor")
        .because(Cause::NoSecondFactor)
        .detail("action", "set one up with enroll_totp and confirm_totp")
}
