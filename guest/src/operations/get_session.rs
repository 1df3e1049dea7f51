use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::username::Username;
use crate::domain::display_text::DisplayText;
use crate::domain::sessions::session::Session;
use crate::error::Result;
use crate::types::id::Id;

/// Returns the session of the caller's access token: its user, how and when it began, and
/// when it ends.
///
/// Requires a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSession {}

/// A session as its owner sees it. Times are in RFC 3339.
#[derive(Serialize, JsonSchema)]
pub struct SessionView {
    /// The id of the session (`sid`).
    pub session_id: Id,
    /// The id of its user.
    pub user_id: Id,
    /// The name of its user.
    pub username: Username,
    /// The name of the agent that its user signed in for, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<DisplayText>,
    /// The time at which the user logged in and the session began.
    pub auth_time: String,
    /// The authentication methods of the login (RFC 8176): `pwd` for a password, `otp`
    /// for a code of the app, `mfa` for a second factor of any kind.
    pub amr: Vec<String>,
    /// The authenticator assurance level: `aal1` or, with a second factor, `aal2` (NIST
    /// SP 800-63B).
    pub acr: &'static str,
    /// The time at which its tokens were last refreshed.
    pub refreshed_at: String,
    /// The time at which it ends unless it is refreshed before.
    pub idle_expires_at: String,
    /// The time at which it ends in any case.
    pub expires_at: String,
}

impl Operation for GetSession {
    const NAME: &'static str = "get_session";
    const TITLE: &'static str = "Show a session";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = SessionView;

    fn run(self, call: &ActorCall) -> Result<SessionView> {
        Ok(SessionView::from(call.actor().session()?.clone()))
    }
}

impl From<Session> for SessionView {
    fn from(session: Session) -> SessionView {
        SessionView {
            acr: session.acr(),
            session_id: session.session_id,
            user_id: session.user_id,
            username: session.username,
            agent_name: session.agent_name,
            auth_time: session.auth_time.to_rfc3339(),
            amr: session.amr,
            refreshed_at: session.refreshed_at.to_rfc3339(),
            idle_expires_at: session.idle_expires_at.to_rfc3339(),
            expires_at: session.expires_at.to_rfc3339(),
        }
    }
}
