use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::assurance;
use crate::domain::audit::{Chain, Event};
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::message;
use crate::domain::records::{self, Batch};
use crate::domain::session::{self, Own};
use crate::error::{AuthError, Kind, Result};
use crate::ports::MessageKind;

/// Removes the second factor of the account that calls, recovery codes included,
/// and ends all its other sessions. Takes a session that began lately with that
/// second factor.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableTotp {}

/// That there is no second factor any more.
#[derive(Serialize, JsonSchema)]
pub struct DisabledTotp {
    /// The one session that goes on.
    pub session_id: Id,
}

impl Operation for DisableTotp {
    const NAME: &'static str = "disable_totp";
    const TITLE: &'static str = "Remove one's authenticator app";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::FreshSession;
    type Output = DisabledTotp;

    fn run(self, context: &Context) -> Result<DisabledTotp> {
        records::settle(|| disable(context))
    }
}

/// `None`: a race was lost.
fn disable(context: &Context) -> Result<Option<DisabledTotp>> {
    let Own {
        session,
        account,
        head,
    } = Own::read(context)?;
    if account.value.second_factor.is_none() {
        return Err(none());
    }
    assurance::require(&account.value, &session.value)?;
    let mut batch = Batch::new();
    let change = |account: &mut Account| {
        account.second_factor = None;
        account.enrolment = None;
    };
    session::end_all_but(&session, &account, change, &mut batch);
    let event = Event::success(DisableTotp::NAME);
    Chain::at(account.value.user_id, head).append(event, &mut batch, context)?;
    message::add_notice(MessageKind::SecondFactorChanged, &account.value, &mut batch);
    Ok(batch.commit(context)?.then_some(DisabledTotp {
        session_id: session.value.session_id,
    }))
}

/// The account has nothing of the kind. Only its owner learns that.
pub(super) fn none() -> AuthError {
    AuthError::new(Kind::Application, "The account has no second factor")
        .detail("action", "set one up with enroll_totp and confirm_totp")
}
