use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key::EndApiKeys;
use crate::domain::sessions::session::{self, CurrentLogin};
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::types::id::Id;

/// Ends all sessions of the caller's account except the current one, and the API keys
/// that they may have created.
///
/// They end permanently and at once. Requires a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeOtherSessions {
    /// API keys to end too: the `recent` ones (the default), `all` or `none`.
    ///
    /// Recent are those that another session created or rotated within a session's
    /// maximum lifetime, 30 days by default.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

/// The result of ending the other sessions.
#[derive(Serialize, JsonSchema)]
pub struct RevokedOthers {
    /// The only session that continues.
    pub session_id: Id,
    /// The API keys that were ended; absent if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_api_keys: Vec<Id>,
}

impl Operation for RevokeOtherSessions {
    const NAME: &'static str = "revoke_other_sessions";
    const TITLE: &'static str = "End all your other sessions";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = RevokedOthers;

    fn run(self, call: &ActorCall) -> Result<RevokedOthers> {
        authority::retry_on_conflict(call, |call| {
            let CurrentLogin {
                session,
                account,
                head,
            } = CurrentLogin::read(call)?;
            let mut batch = Batch::new();
            let keys = self.end_api_keys;
            let ended = session::end_all_but(&session, &account, keys, |_| {}, &mut batch, call)?;
            let event = Event::success(Self::NAME).with_ended_keys(&ended);
            Chain::at(account.value.user_id, head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(RevokedOthers {
                session_id: session.value.session_id,
                ended_api_keys: ended,
            }))
        })
    }
}
