use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::accounts::username::Username;
use crate::domain::sessions::bearer::Bearer;
use crate::error::Result;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Tells whether an access token is good: issued here, not expired, and its
/// session alive. Of anything else it says only `{"active": false}` (RFC 7662
/// section 2.2).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyToken {
    /// The access token.
    pub token: Secret,
    /// Whom it has to be for, if not this service.
    #[serde(default)]
    pub audience: Option<String>,
}

/// What the token says, if it is good.
#[derive(Default, Serialize, JsonSchema)]
pub struct Verification {
    /// Whether the token is good. If not, nothing else is told.
    pub active: bool,
    /// The user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<Id>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// Who issued the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Until when it is good, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// When it was issued, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Identifies the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<Id>,
    /// The session that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<Id>,
    /// What its owner may do now, separated by blanks: `self`, and what their roles
    /// grant, without what a broader grant covers. Of more than 1,024 bytes whole roles
    /// are left out, the largest first; `check_permission` knows all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// When its owner proved who they are, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
    /// How surely they did: `aal1`, or with a second factor `aal2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// How they did (RFC 8176).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
}

impl Operation for VerifyToken {
    const NAME: &'static str = "verify_token";
    const TITLE: &'static str = "Verify an access token";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Verification;

    fn run(self, context: &ActorContext) -> Result<Verification> {
        let own = context.settings.audience.as_str();
        let audience = self.audience.as_deref().unwrap_or(own);
        let bearer = Bearer::of(audience, self.token.expose(), context)?;
        Ok(bearer.map_or_else(Verification::default, Verification::active))
    }
}

impl Verification {
    /// How its owner proved who they are, is told of the session as it is: that may
    /// have got a second factor since the token was issued.
    pub(super) fn active(bearer: Bearer) -> Verification {
        let Bearer { claims, session } = bearer;
        let (auth_time, acr, amr) = match session {
            Some(session) => (
                session.auth_time.seconds(),
                session.acr().to_owned(),
                session.amr,
            ),
            None => (claims.auth_time, claims.acr, claims.amr),
        };
        Verification {
            active: true,
            sub: Some(claims.sub),
            username: Some(claims.username),
            iss: Some(claims.iss),
            aud: Some(claims.aud),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            jti: Some(claims.jti),
            sid: Some(claims.sid),
            scope: Some(claims.scope),
            auth_time: Some(auth_time),
            acr: Some(acr),
            amr: Some(amr),
        }
    }
}
