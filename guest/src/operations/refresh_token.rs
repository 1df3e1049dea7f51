use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Effect, Operation, Tokens};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::audit::{Chain, Event};
use crate::domain::sessions::refresh_token;
use crate::domain::sessions::session::{self, Session};
use crate::error::{AuthError, Result};
use crate::ports::LogLevel;
use crate::storage::batch::Batch;
use crate::storage::retry::{self, Race};
use crate::types::secret::Secret;

/// Exchanges a refresh token for new tokens of its session. Keep the new refresh token,
/// which replaces the old one. For `refresh_grace_seconds` after its first use, the old one
/// still returns the same new one; after that its use ends the session at once, because
/// one of its two users is not the owner (RFC 9700 section 4.14.2).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// The refresh token of the last login or refresh.
    pub refresh_token: Secret,
}

enum Settled {
    Refreshed(Tokens),
    Reused,
}

impl Operation for RefreshToken {
    const NAME: &'static str = "refresh_token";
    const TITLE: &'static str = "Refresh the tokens of a session";
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Tokens;

    fn run(self, call: &ActorCall) -> Result<Tokens> {
        let text = self.refresh_token.expose();
        let Some(token) = refresh_token::RefreshToken::parse(text, &call.ports)? else {
            return Err(AuthError::invalid_token());
        };
        match retry::retry_on_conflict(|| refresh(&token, call))? {
            Settled::Refreshed(tokens) => Ok(tokens),
            Settled::Reused => {
                call.reporter.log(
                    LogLevel::Warning,
                    json!({"event": "refresh_token_reused", "session_id": token.session_id()}),
                );
                Err(AuthError::invalid_token())
            }
        }
    }
}

fn refresh(token: &refresh_token::RefreshToken, call: &ActorCall) -> Result<Race<Settled>> {
    let ports = &call.ports;
    let Some(session) = Session::read(token.session_id(), ports)? else {
        return Err(AuthError::invalid_token());
    };
    let user_id = session.value.user_id;
    let (session, account, head) = session::read_with_account(token.session_id(), user_id, ports)?;
    let Some(session) = session else {
        return Err(AuthError::invalid_token());
    };
    let now = call.now();
    let is_alive = account.is_some_and(|account| session.value.is_alive(&account.value, now));
    let event = Event::success(RefreshToken::NAME);
    let (refreshed, event) = if session.value.is_current(token, ports)? {
        (session.value.rotated(token, call)?, event)
    } else if let Some(replayed) = session.value.replayed(token, call)? {
        (replayed, event.detail("replayed", true))
    } else {
        // The actor is left out: which of the two users this is, is unknown.
        let event = Event::refused(RefreshToken::NAME, "reused");
        let ended = session::end(&session, event, call)?;
        return Ok(ended.map(|()| Settled::Reused));
    };
    if !is_alive {
        return Err(AuthError::invalid_token());
    }
    let (refreshed, refresh_token) = refreshed;
    let tokens = Tokens::new(&refreshed, &refresh_token, call)?;
    let event = event
        .by(user_id)
        .detail("session_id", refreshed.session_id.to_string());
    let mut batch = Batch::new();
    batch.change(&session, &refreshed);
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(Settled::Refreshed(tokens)))
}
