use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::permission::Permission;
use crate::domain::context::Principal;
use crate::domain::credentials::api_key::ApiKey;
use crate::domain::sessions::bearer::Bearer;
use crate::error::{AuthError, FieldError, Result};
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Tells whether the owner of an access token may do something; without a token,
/// whether the caller may. A token that is not valid permits nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPermission {
    /// What they would do, such as `billing:invoices:read`.
    pub permission: Permission,
    /// The access token of who would do it; leave it out to ask for yourself.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Whom that token has to be for, if not this service: a service that was shown
    /// one of `issue_token` names itself here.
    #[serde(default)]
    pub audience: Option<String>,
}

/// Whether they may.
#[derive(Serialize, JsonSchema)]
pub struct Decision {
    /// Whether they may.
    pub allowed: bool,
    /// The user id of who would do it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<Id>,
}

impl Operation for CheckPermission {
    const NAME: &'static str = "check_permission";
    const TITLE: &'static str = "Check a permission";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Decision;

    fn run(self, context: &ActorContext) -> Result<Decision> {
        let actor = match &self.token {
            Some(token) => owner_of(token, self.audience.as_deref(), context)?,
            // What a caller shows for itself is good for this service alone.
            None if self.audience.is_some() => return Err(audience_of_nothing()),
            None => caller(context)?,
        };
        Ok(Decision {
            allowed: authority::is_permitted(&actor, &self.permission, context)?,
            sub: actor.user_id(),
        })
    }
}

/// Whoever calls: nobody in particular, if what they show is worth nothing.
fn caller(context: &ActorContext) -> Result<Actor> {
    match &context.caller.principal {
        Principal::Anonymous => Ok(Actor::Anonymous),
        Principal::AccessToken(token) => owner_of(token, None, context),
        Principal::ApiKey(secret) => {
            let key = ApiKey::authenticate(secret.expose(), &context.ports)?;
            Ok(key.map_or(Actor::Anonymous, |key| Actor::ApiKey(Box::new(key.value))))
        }
        Principal::Operator => Ok(Actor::Operator),
    }
}

fn audience_of_nothing() -> AuthError {
    let problem = "is missing: an audience is that of a token";
    AuthError::invalid(vec![FieldError::new("token", problem)])
}

fn owner_of(token: &Secret, audience: Option<&str>, context: &ActorContext) -> Result<Actor> {
    let audience = audience.unwrap_or(&context.settings.audience);
    let bearer = Bearer::of(audience, token.expose(), context)?;
    Ok(bearer.map_or(Actor::Anonymous, Actor::from))
}
