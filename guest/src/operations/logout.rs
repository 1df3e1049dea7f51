use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset, check_permission};
use crate::dispatch::input;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::audit::Event;
use crate::domain::caller::Principal;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::refresh_token::RefreshToken;
use crate::domain::sessions::session::{self, Session};
use crate::error::{AuthError, Result};
use crate::storage::retry::{self, Race};
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Ends the session of an access token or a refresh token, and with it all tokens of the
/// session. Without a field, it ends the session of the caller's access token.
///
/// The session ends permanently. Expired tokens and tokens of ended sessions are
/// accepted. Returns the id of the session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// The access token; leave it out if you send a refresh token, or if it is in the
    /// header.
    #[serde(default)]
    pub access_token: Option<Secret>,
    /// The refresh token; leave it out if you send an access token.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// In the place of a token: a sign-in that you began, and whose session stays here.
    #[serde(default)]
    pub sign_in_id: Option<Secret>,
}

/// The session that has ended.
#[derive(Serialize, JsonSchema)]
pub struct LoggedOut {
    /// The id of the session.
    pub session_id: Id,
}

impl Operation for Logout {
    const NAME: &'static str = "logout";
    const TITLE: &'static str = "Log out";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = LoggedOut;

    fn run(self, call: &ActorCall) -> Result<LoggedOut> {
        let Some(session_id) = self.session_id(call)? else {
            return Err(AuthError::invalid_token());
        };
        retry::retry_on_conflict(|| {
            let Some(session) = Session::read(session_id, &call.ports)? else {
                return Ok(Race::Won(()));
            };
            let event = Event::success(Self::NAME).by(session.value.user_id);
            session::end(&session, event, call)
        })?;
        Ok(LoggedOut { session_id })
    }
}

impl Logout {
    /// Returns the session of a token that was issued here, even if it has expired or
    /// been used: anyone who ever held a token of the session may end it.
    fn session_id(&self, call: &ActorCall) -> Result<Option<Id>> {
        if let Some(sign_in_id) = &self.sign_in_id {
            if self.access_token.is_some() || self.refresh_token.is_some() {
                return Err(input::not_one_of("sign_in_id", "a token"));
            }
            let kept = check_permission::kept_token(sign_in_id, call)?;
            let token = kept.ok_or_else(AuthError::invalid_token)?;
            return AccessToken::session_id(token.expose(), call);
        }
        let access_token = match (&self.access_token, &self.refresh_token) {
            (Some(token), None) => token,
            (None, Some(token)) => {
                let token = RefreshToken::parse(token.expose(), &call.ports)?;
                return Ok(token.map(|token| token.session_id()));
            }
            (None, None) => match &call.caller.principal {
                Principal::AccessToken(token) => token,
                _ => return Err(input::not_one_of("access_token", "refresh_token")),
            },
            (Some(_), Some(_)) => {
                return Err(input::not_one_of("access_token", "refresh_token"));
            }
        };
        AccessToken::session_id(access_token.expose(), call)
    }
}
