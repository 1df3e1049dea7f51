use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, SessionView, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::sessions::session;
use crate::error::Result;

/// Lists the live sessions of the caller's account, so that its owner can spot one that
/// is not theirs.
///
/// What the owner lets clients do is listed by `list_grants` instead. Requires a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSessions {
    /// The `next` of the previous page.
    #[serde(default)]
    pub after: Option<String>,
}

/// A page of sessions.
#[derive(Serialize, JsonSchema)]
pub struct Sessions {
    /// The sessions, in no particular order.
    pub sessions: Vec<ListedSession>,
    /// The `after` of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A session, and whether it is the caller's.
#[derive(Serialize, JsonSchema)]
pub struct ListedSession {
    /// Whether this is the session of the caller's access token.
    pub current: bool,
    /// The session.
    #[serde(flatten)]
    pub session: SessionView,
}

impl Operation for ListSessions {
    const NAME: &'static str = "list_sessions";
    const TITLE: &'static str = "List your sessions";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = Sessions;

    fn run(self, call: &ActorCall) -> Result<Sessions> {
        let own = call.actor().session()?;
        let page = session::list(own.user_id, self.after.as_deref(), call)?;
        let sessions = page.sessions.into_iter().map(|session| ListedSession {
            current: session.value.session_id == own.session_id,
            session: SessionView::from(session.value),
        });
        Ok(Sessions {
            sessions: sessions.collect(),
            next: page.next,
        })
    }
}
