use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Effect, Operation, Tokens, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::sessions::refresh::{self, Holder};
use crate::domain::sessions::refresh_token;
use crate::domain::sessions::session::Session;
use crate::error::{AuthError, Result};
use crate::ports::LogLevel;
use crate::types::secret::Secret;

/// Exchanges a refresh token for new tokens of its session. Keep the new refresh token,
/// which replaces the old one.
///
/// For `refresh_grace_seconds` after its first use, the old one still returns the same
/// new one; after that its use ends the session at once, because one of its two users is
/// not the owner (RFC 9700 section 4.14.2).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// The refresh token of the last login or refresh.
    pub refresh_token: Secret,
}

impl Operation for RefreshToken {
    const NAME: &'static str = "refresh_token";
    const TITLE: &'static str = "Refresh the tokens of a session";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Tokens;

    fn run(self, call: &ActorCall) -> Result<Tokens> {
        let text = self.refresh_token.expose();
        let Some(token) = refresh_token::RefreshToken::parse(text, &call.ports)? else {
            return Err(AuthError::invalid_token());
        };
        let issue = |session: &Session, token: &refresh_token::RefreshToken| {
            Tokens::new(session, token, call)
        };
        match refresh::refresh(Self::NAME, &token, Holder::Owner, issue, call)? {
            Some(tokens) => Ok(tokens),
            None => {
                call.reporter.log(
                    LogLevel::Warning,
                    json!({"event": "refresh_token_reused", "session_id": token.session_id()}),
                );
                Err(AuthError::invalid_token())
            }
        }
    }
}
