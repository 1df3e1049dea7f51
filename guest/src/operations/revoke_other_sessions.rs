use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::actor::Requirement;
use crate::domain::audit::{Chain, Event};
use crate::domain::context::Context;
use crate::domain::records::{self, Batch};
use crate::domain::session::{self, Own};
use crate::error::Result;

/// Ends all sessions of the account that calls but the one that calls, at once
/// and for good.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeOtherSessions {}

/// That they are over.
#[derive(Serialize, JsonSchema)]
pub struct RevokedOthers {
    /// The one session that goes on.
    pub session_id: crate::domain::id::Id,
}

impl Operation for RevokeOtherSessions {
    const NAME: &'static str = "revoke_other_sessions";
    const TITLE: &'static str = "End all of one's other sessions";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = RevokedOthers;

    fn run(self, context: &Context) -> Result<RevokedOthers> {
        let own = context.actor.session()?;
        records::settle(|| {
            let Own {
                session,
                account,
                head,
            } = Own::read(context)?;
            let mut batch = Batch::new();
            session::end_all_but(&session, &account, |_| {}, &mut batch);
            let event = Event::success(Self::NAME);
            Chain::at(own.user_id, head).append(event, &mut batch, context)?;
            Ok(batch.commit(context)?.then_some(()))
        })?;
        Ok(RevokedOthers {
            session_id: own.session_id,
        })
    }
}
