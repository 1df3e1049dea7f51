use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::audit::Event;
use crate::domain::credentials::api_key::{self, ApiKey};
use crate::domain::delegations::client_token;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::refresh_token::RefreshToken;
use crate::domain::sessions::session::{self, Session};
use crate::error::Result;
use crate::storage::retry::{self, Race};
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Revokes a token: the whole session of an access or refresh token, all access that a
/// client got together with its token, or an API key.
///
/// Possession of the token is the only requirement (RFC 7009). A token that is already
/// invalid is not an error.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// The token.
    pub token: Secret,
}

/// An empty object, which does not reveal what the token was.
#[derive(Serialize, JsonSchema)]
pub struct RevokedToken {}

impl Operation for RevokeToken {
    const NAME: &'static str = "revoke_token";
    const TITLE: &'static str = "Revoke a token";
    const TOOLSET: Option<Toolset> = Some(Toolset::Tokens);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = RevokedToken;

    fn run(self, call: &ActorCall) -> Result<RevokedToken> {
        let token = self.token.expose();
        match session_of(token, call)? {
            Some(session_id) => retry::retry_on_conflict(|| end_session(session_id, call))?,
            None => retry::retry_on_conflict(|| end_api_key(token, call))?,
        }
        Ok(RevokedToken {})
    }
}

/// Returns the session of a token that was issued here, even if it has expired or been
/// used, as in `logout`.
fn session_of(token: &str, call: &ActorCall) -> Result<Option<Id>> {
    if let Some(session_id) = AccessToken::session_id(token, call)? {
        return Ok(Some(session_id));
    }
    if let Some(token) = RefreshToken::parse(token, &call.ports)? {
        return Ok(Some(token.session_id()));
    }
    let delegated = client_token::session(token, call)?;
    Ok(delegated.map(|session| session.value.session_id))
}

fn end_session(session_id: Id, call: &ActorCall) -> Result<Race<()>> {
    let Some(session) = Session::read(session_id, &call.ports)? else {
        return Ok(Race::Won(()));
    };
    let event = Event::success(RevokeToken::NAME).by(session.value.user_id);
    session::end(&session, event, call)
}

fn end_api_key(secret: &str, call: &ActorCall) -> Result<Race<()>> {
    let Some(key) = ApiKey::authenticate(secret, &call.ports)? else {
        return Ok(Race::Won(()));
    };
    let event = Event::success(RevokeToken::NAME).by(key.value.user_id);
    let (_, head) = Account::read(key.value.user_id, &call.ports)?;
    api_key::end(&key, head, event, call)
}
