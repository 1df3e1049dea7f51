use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, input};
use crate::domain::access_token::AccessToken;
use crate::domain::actor::Requirement;
use crate::domain::audit::Event;
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::records;
use crate::domain::refresh_token::RefreshToken;
use crate::domain::secret::Secret;
use crate::domain::session::{self, Session};
use crate::error::{AuthError, Result};

/// Ends the session of an access token or of a refresh token, for good: all
/// tokens of the session are worthless from then on. A token that has expired
/// will do, and so will one whose session is over already.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// The access token; leave it out when there is a refresh token.
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

    fn run(self, context: &Context) -> Result<LoggedOut> {
        let Some(session_id) = self.session_id(context)? else {
            return Err(AuthError::invalid_token());
        };
        records::settle(|| {
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
    fn session_id(&self, context: &Context) -> Result<Option<Id>> {
        match (&self.access_token, &self.refresh_token) {
            (Some(token), None) => AccessToken::session_id(token.expose(), context),
            (None, Some(token)) => {
                let token = RefreshToken::parse(token.expose(), &context.ports)?;
                Ok(token.map(|token| token.session_id()))
            }
            _ => Err(input::not_one_of("access_token", "refresh_token")),
        }
    }
}
