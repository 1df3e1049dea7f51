use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::sessions::access_token::AccessToken;
use crate::error::{AuthError, FieldError, Result};
use crate::types::secret::Secret;

/// Issues an access token of the caller's session for another service (RFC 9068). This
/// service does not accept it.
///
/// The other service verifies it by the public keys at `/jwks`, or with `verify_token` or
/// `introspect_token` and its own name as the audience, which also notice that the
/// session has ended. As the token is not accepted here, the other service cannot misuse
/// it. The available services are set in the configuration. Requires a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueToken {
    /// The service that the token is for.
    pub audience: String,
}

/// An access token for another service.
#[derive(Serialize, JsonSchema)]
pub struct IssuedToken {
    /// The short-lived access token. Keep it secret.
    pub access_token: Secret,
    /// The type of the token: `Bearer` (RFC 6750).
    pub token_type: &'static str,
    /// The lifetime of the token in seconds.
    pub expires_in: u64,
}

impl Operation for IssueToken {
    const NAME: &'static str = "issue_token";
    const TITLE: &'static str = "Issue a token for another service";
    const TOOLSET: Option<Toolset> = Some(Toolset::Tokens);
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = IssuedToken;

    fn run(self, call: &ActorCall) -> Result<IssuedToken> {
        if !call.settings.other_audiences.contains(&self.audience) {
            let problem = match call.settings.other_audiences.as_slice() {
                [] => "is not known; the operator has listed no other service \
                       (USER_AUTH_OTHER_AUDIENCES). For a resource server, sign in by browser"
                    .to_owned(),
                known => format!("is not known; expected one of: {}", known.join(", ")),
            };
            return Err(AuthError::invalid(vec![FieldError::new(
                "audience", problem,
            )]));
        }
        let session = call.actor().session()?;
        let token = AccessToken::issue(session, &self.audience, call)?;
        Ok(IssuedToken {
            access_token: token.token,
            token_type: "Bearer",
            expires_in: token.expires_in,
        })
    }
}
