use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::audit::Event;
use crate::domain::credentials::api_key::EndApiKeys;
use crate::domain::sessions::session::{self, Session};
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::types::id::Id;

/// Ends one session of the caller's account, and the API keys that it created.
///
/// It ends permanently. A session that has ended or belongs to another account is
/// reported as not found. Requires a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeSession {
    /// The session to end, as listed by `list_sessions`.
    pub session_id: Id,
    /// API keys to end too: the `recent` ones (the default), `all` or `none`.
    ///
    /// Recent are those that this session created or rotated; all are those of the
    /// account.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

/// The session that has ended.
#[derive(Serialize, JsonSchema)]
pub struct RevokedSession {
    /// The id of the session.
    pub session_id: Id,
    /// The API keys that were ended; absent if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_api_keys: Vec<Id>,
}

impl Operation for RevokeSession {
    const NAME: &'static str = "revoke_session";
    const TITLE: &'static str = "End one of your sessions";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = RevokedSession;

    fn run(self, call: &ActorCall) -> Result<RevokedSession> {
        let user_id = call.actor().session()?.user_id;
        authority::retry_on_conflict(call, |call| {
            let session = Session::read(self.session_id, &call.ports)?;
            let Some(session) = session.filter(|session| session.value.user_id == user_id) else {
                return Err(
                    AuthError::new(ErrorKind::Application, "There is no such session")
                        .because(Cause::UnknownSession)
                        .detail("action", "list the sessions with list_sessions"),
                );
            };
            let event = Event::success(Self::NAME);
            let ended = session::end_with_keys(&session, self.end_api_keys, event, call)?;
            Ok(ended.map(|ended_api_keys| RevokedSession {
                session_id: self.session_id,
                ended_api_keys,
            }))
        })
    }
}
