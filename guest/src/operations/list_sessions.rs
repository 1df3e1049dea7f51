use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, SessionView};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::sessions::session;
use crate::error::Result;

/// Lists the live sessions of the account that calls, so that its owner can see
/// one that is not theirs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSessions {
    /// Where to go on: `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// One page of sessions.
#[derive(Serialize, JsonSchema)]
pub struct Sessions {
    /// The sessions, in no meaningful order.
    pub sessions: Vec<ListedSession>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A session, and whether it is the one that asks.
#[derive(Serialize, JsonSchema)]
pub struct ListedSession {
    /// Whether it is the session of the access token that this call came with.
    pub current: bool,
    /// The session.
    #[serde(flatten)]
    pub session: SessionView,
}

impl Operation for ListSessions {
    const NAME: &'static str = "list_sessions";
    const TITLE: &'static str = "List one's sessions";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = Sessions;

    fn run(self, context: &ActorContext) -> Result<Sessions> {
        let own = context.actor().session()?;
        let page = session::list(own.user_id, self.after.as_deref(), context)?;
        let sessions = page.sessions.into_iter().map(|session| ListedSession {
            current: session.session_id == own.session_id,
            session: SessionView::from(session),
        });
        Ok(Sessions {
            sessions: sessions.collect(),
            next: page.next,
        })
    }
}
