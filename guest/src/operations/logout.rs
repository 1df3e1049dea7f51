use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::dispatch::input;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::audit::Event;
use crate::domain::context::Principal;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::refresh_token::RefreshToken;
use crate::domain::sessions::session::{self, Session};
use crate::error::{AuthError, Result};
use crate::storage::retry;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Ends the session of an access token or of a refresh token, for good: all
/// tokens of the session are worthless from then on. A token that has expired
/// will do, and so will one whose session is over already. Without either field it
/// ends the session of the access token in the header.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// The access token; leave it out when there is a refresh token, or where a header
    /// says who calls.
    #[serde(default)]
    pub access_token: Option<Secret>,
    /// The refresh token; leave it out when there is an access token.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
}

/// The session that is over.
#[derive(Serialize, JsonSchema)]
pub struct LoggedOut {
    /// Its id.
    pub session_id: Id,
}

impl Operation for Logout {
    const NAME: &'static str = "logout";
    const TITLE: &'static str = "Log out";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = LoggedOut;

    fn run(self, context: &ActorContext) -> Result<LoggedOut> {
        let Some(session_id) = self.session_id(context)? else {
            return Err(AuthError::invalid_token());
        };
        retry::retry_on_conflict(|| {
            let Some(session) = Session::read(session_id, &context.ports)? else {
                return Ok(Some(()));
            };
            let event = Event::success(Self::NAME).by(session.value.user_id);
            Ok(session::end(&session, event, context)?.then_some(()))
        })?;
        Ok(LoggedOut { session_id })
    }
}

impl Logout {
    /// The session of a token that was issued here, be it expired or used up: to
    /// end a session is safe for whoever has ever held its token.
    fn session_id(&self, context: &ActorContext) -> Result<Option<Id>> {
        let access_token = match (&self.access_token, &self.refresh_token) {
            (Some(token), None) => token,
            (None, Some(token)) => {
                let token = RefreshToken::parse(token.expose(), &context.ports)?;
                return Ok(token.map(|token| token.session_id()));
            }
            (None, None) => match &context.caller.principal {
                Principal::AccessToken(token) => token,
                _ => return Err(input::not_one_of("access_token", "refresh_token")),
            },
            (Some(_), Some(_)) => {
                return Err(input::not_one_of("access_token", "refresh_token"));
            }
        };
        AccessToken::session_id(access_token.expose(), context)
    }
}
