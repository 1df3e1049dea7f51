use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Effect, Operation, Toolset, check_permission};
use crate::dispatch::input;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::username::Username;
use crate::domain::sessions::access_token::Claims;
use crate::domain::sessions::bearer::Bearer;
use crate::error::Result;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Verifies an access token of this service. Returns the claims of a valid token, and
/// only `{"active": false}` for anything else.
///
/// A token is valid if it was issued here, has not expired, and its session is alive (RFC
/// 7662 section 2.2).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyToken {
    /// The access token.
    #[serde(default)]
    pub token: Option<Secret>,
    /// In the place of a token: a sign-in that you began, and whose session stays here.
    #[serde(default)]
    pub sign_in_id: Option<Secret>,
    /// The audience that the token must have, if not this service.
    #[serde(default)]
    pub audience: Option<String>,
}

/// The claims of a valid token.
#[derive(JsonSchema)]
#[schemars(with = "VerificationView")]
pub enum Verification {
    /// The token is valid, and has these claims.
    Active(Box<Claims>),
    /// The token is anything else.
    Inactive,
}

/// A verification as JSON.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct VerificationView<'a> {
    /// Whether the token is valid. If not, no other field is present.
    pub(super) active: bool,
    /// The user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub: Option<Id>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<&'a Username>,
    /// The issuer of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iss: Option<&'a str>,
    /// The audience of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aud: Option<&'a str>,
    /// The expiry of the token, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<u64>,
    /// The time of issue, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<u64>,
    /// The id of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<Id>,
    /// The id of the session that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sid: Option<Id>,
    /// The current permissions of the owner, separated by blanks: `self`, and what the
    /// roles grant, without grants that a broader one covers. If there are more than
    /// 1,024 bytes, whole roles are left out, the largest first; `check_permission`
    /// considers all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<&'a str>,
    /// The time of the login, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_time: Option<u64>,
    /// The authenticator assurance level: `aal1` or, with a second factor, `aal2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acr: Option<&'a str>,
    /// The authentication methods of the login (RFC 8176).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) amr: Option<&'a [String]>,
}

impl Operation for VerifyToken {
    const NAME: &'static str = "verify_token";
    const TITLE: &'static str = "Verify an access token";
    const TOOLSET: Option<Toolset> = Some(Toolset::Tokens);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Verification;

    fn run(self, call: &ActorCall) -> Result<Verification> {
        let own = call.settings.audience.as_str();
        let audience = self.audience.as_deref().unwrap_or(own);
        let kept;
        let token = match (&self.token, &self.sign_in_id) {
            (Some(token), None) => token,
            (None, Some(sign_in_id)) => {
                kept = check_permission::kept_token(sign_in_id, call)?;
                let Some(token) = &kept else {
                    return Ok(Verification::Inactive);
                };
                token
            }
            _ => return Err(input::not_one_of("token", "sign_in_id")),
        };
        let bearer = Bearer::of(audience, token.expose(), call)?;
        Ok(match bearer {
            Some(bearer) => Verification::Active(Box::new(bearer.current_claims())),
            None => Verification::Inactive,
        })
    }
}

impl Serialize for Verification {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let view = match self {
            Verification::Active(claims) => VerificationView::active(claims),
            Verification::Inactive => VerificationView::default(),
        };
        view.serialize(serializer)
    }
}

impl VerificationView<'_> {
    pub(super) fn active(claims: &Claims) -> VerificationView<'_> {
        VerificationView {
            active: true,
            sub: Some(claims.sub),
            username: Some(&claims.username),
            iss: Some(&claims.iss),
            aud: Some(&claims.aud),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            jti: Some(claims.jti),
            sid: Some(claims.sid),
            scope: Some(&claims.scope),
            auth_time: Some(claims.auth_time),
            acr: Some(&claims.acr),
            amr: Some(&claims.amr),
        }
    }
}
