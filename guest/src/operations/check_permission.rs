use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::input;
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::Permission;
use crate::domain::call::Call;
use crate::domain::caller::Principal;
use crate::domain::credentials::api_key::ApiKey;
use crate::domain::resources::resource;
use crate::domain::sessions::bearer::Bearer;
use crate::domain::sessions::sign_in_request;
use crate::error::{AuthError, FieldError, Result};
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Checks whether the owner of an access token has a permission or, without a token,
/// whether the caller has it.
///
/// Returns `allowed` and, if known, the user id. An invalid token has no permissions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPermission {
    /// The permission to check, such as `billing:invoices:read`.
    pub permission: Permission,
    /// The access token to check; leave it out to check the caller.
    #[serde(default)]
    pub token: Option<Secret>,
    /// In the place of a token: a sign-in that you began, and whose session stays here.
    #[serde(default)]
    pub sign_in_id: Option<Secret>,
    /// The audience that the token must have, if not this service.
    ///
    /// A service that received a token made by `issue_token` names itself here.
    #[serde(default)]
    pub audience: Option<String>,
}

/// The outcome of a permission check.
#[derive(Serialize, JsonSchema)]
pub struct Decision {
    /// Whether the permission is granted.
    pub allowed: bool,
    /// The user id that was checked, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<Id>,
}

impl Operation for CheckPermission {
    const NAME: &'static str = "check_permission";
    const TITLE: &'static str = "Check a permission";
    const TOOLSET: Option<Toolset> = Some(Toolset::Tokens);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Decision;

    fn run(self, call: &ActorCall) -> Result<Decision> {
        let actor = match (&self.token, &self.sign_in_id) {
            (Some(token), None) => owner_of(token, self.audience.as_deref(), call)?,
            (Some(_), Some(_)) => return Err(input::not_one_of("token", "sign_in_id")),
            // All else is valid for this service only.
            (None, _) if self.audience.is_some() => return Err(audience_of_nothing()),
            (None, Some(sign_in_id)) => match kept_token(sign_in_id, call)? {
                Some(token) => owner_of(&token, None, call)?,
                None => Actor::Anonymous,
            },
            (None, None) => caller(call)?,
        };
        Ok(Decision {
            allowed: authority::is_permitted(&actor, &self.permission, call)?,
            sub: actor.user_id(),
        })
    }
}

/// Returns the caller, which is anonymous if its credential is invalid.
pub(super) fn caller(call: &Call) -> Result<Actor> {
    match &call.caller.principal {
        Principal::Anonymous => Ok(Actor::Anonymous),
        Principal::AccessToken(token) => of_token(token, call),
        Principal::ApiKey(secret) => {
            let key = ApiKey::authenticate(secret.expose(), &call.ports)?;
            Ok(key.map_or(Actor::Anonymous, |key| Actor::ApiKey(Box::new(key.value))))
        }
        Principal::Operator => Ok(Actor::Operator),
    }
}

/// Returns the caller with this token, as other operations do: the owner of a session, or a
/// client, whose token is for this service under its URL and permits its scopes only.
fn of_token(token: &Secret, call: &Call) -> Result<Actor> {
    match (
        owner_of(token, None, call)?,
        resource::own_url(call.settings),
    ) {
        (Actor::Anonymous, Some(own)) => owner_of(token, Some(own.as_str()), call),
        (actor, _) => Ok(actor),
    }
}

fn audience_of_nothing() -> AuthError {
    let problem = "is missing; it is required if `audience` is set";
    AuthError::invalid(vec![FieldError::new("token", problem)])
}

fn owner_of(token: &Secret, audience: Option<&str>, call: &Call) -> Result<Actor> {
    let audience = audience.unwrap_or(&call.settings.audience);
    let bearer = Bearer::of(audience, token.expose(), call)?;
    Ok(bearer.map_or(Actor::Anonymous, Actor::from))
}

/// Returns the name of the caller that a sign-in is bound to. A client has one of its own for
/// each grant: it must not get what its user or another client has begun, and loses what it
/// has begun together with its access.
pub(super) fn name_for_sign_ins(caller: &Actor) -> String {
    match caller {
        Actor::Bearer(claims) => format!("{}/{}", claims.sub, claims.sid),
        _ => caller.id().name(),
    }
}

/// Returns an access token of the session that a sign-in of the caller keeps here. It has a
/// field of its own: a service that verifies what its clients send must not take a sign-in for
/// a token.
pub(super) fn kept_token(sign_in_id: &Secret, call: &Call) -> Result<Option<Secret>> {
    let caller = name_for_sign_ins(&caller(call)?);
    sign_in_request::access_token(sign_in_id.expose(), &caller, call)
}
