use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::accounts::username::Username;
use crate::domain::sessions::session::Session;
use crate::error::Result;
use crate::types::id::Id;

/// Shows the session of an access token: whose it is, how and when it began, and
/// when it ends.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSession {}

/// A session as its owner sees it. Times are in RFC 3339.
#[derive(Serialize, JsonSchema)]
pub struct SessionView {
    /// Identifies the session (`sid`).
    pub session_id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// Whose it is.
    pub username: Username,
    /// When it began, and its owner proved who they are.
    pub auth_time: String,
    /// How they did (RFC 8176): `pwd` with a password, `otp` with a code of their
    /// app, `mfa` with a second factor of any kind.
    pub amr: Vec<String>,
    /// How surely they did: `aal1`, or with a second factor `aal2` (NIST SP 800-63B).
    pub acr: &'static str,
    /// When its tokens were last refreshed.
    pub refreshed_at: String,
    /// When it ends if it is not refreshed before.
    pub idle_expires_at: String,
    /// When it ends in any case.
    pub expires_at: String,
}

impl Operation for GetSession {
    const NAME: &'static str = "get_session";
    const TITLE: &'static str = "Show a session";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = SessionView;

    fn run(self, context: &ActorContext) -> Result<SessionView> {
        Ok(SessionView::from(context.actor().session()?.clone()))
    }
}

impl From<Session> for SessionView {
    fn from(session: Session) -> SessionView {
        SessionView {
            acr: session.acr(),
            session_id: session.session_id,
            user_id: session.user_id,
            username: session.username,
            auth_time: session.auth_time.to_rfc3339(),
            amr: session.amr,
            refreshed_at: session.refreshed_at.to_rfc3339(),
            idle_expires_at: session.idle_expires_at.to_rfc3339(),
            expires_at: session.expires_at.to_rfc3339(),
        }
    }
}
