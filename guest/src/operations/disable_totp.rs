use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key::EndApiKeys;
use crate::domain::notify;
use crate::domain::sessions::session::{self, CurrentLogin};
use crate::error::{AuthError, Kind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::types::id::Id;

/// Removes the second factor of the account that calls, recovery codes included,
/// and ends all its other sessions and API keys that these may have made. Takes a
/// session that began lately with that second factor.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableTotp {
    /// Which API keys end as well: `recent` (the default) those that another session
    /// made or rotated while it can still have been alive, by default within 30 days;
    /// `all` of the account; `none`.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

/// That there is no second factor any more.
#[derive(Serialize, JsonSchema)]
pub struct DisabledTotp {
    /// The one session that goes on.
    pub session_id: Id,
    /// The API keys that have ended with it; not there: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_api_keys: Vec<Id>,
}

impl Operation for DisableTotp {
    const NAME: &'static str = "disable_totp";
    const TITLE: &'static str = "Remove one's authenticator app";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = DisabledTotp;

    fn run(self, context: &ActorContext) -> Result<DisabledTotp> {
        authority::retry_on_conflict(context, |context| disable(self.end_api_keys, context))
    }
}

/// `None`: a race was lost.
fn disable(keys: EndApiKeys, context: &ActorContext) -> Result<Option<DisabledTotp>> {
    let CurrentLogin {
        session,
        account,
        head,
    } = CurrentLogin::read(context)?;
    if account.value.second_factor.is_none() {
        return Err(none());
    }
    let mut batch = Batch::new();
    let change = |account: &mut Account| {
        account.second_factor = None;
        account.enrolment = None;
    };
    let ended = session::end_all_but(&session, &account, keys, change, &mut batch, context)?;
    let event = Event::success(DisableTotp::NAME).with_ended_keys(&ended);
    Chain::at(account.value.user_id, head).append(event, &mut batch, context)?;
    notify::queue_notice(MessageKind::SecondFactorChanged, &account.value, &mut batch);
    Ok(context.commit(batch)?.then_some(DisabledTotp {
        session_id: session.value.session_id,
        ended_api_keys: ended,
    }))
}

/// The account has nothing of the kind. Only its owner learns that.
pub(super) fn none() -> AuthError {
    AuthError::new(Kind::Application, "The account has no second factor")
        .detail("action", "set one up with enroll_totp and confirm_totp")
}
