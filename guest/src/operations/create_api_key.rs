use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::{self, Actor, Requirement};
use crate::domain::api_key::{self, ApiKey, Days, KeyName, Scopes};
use crate::domain::audit::{Chain, Event};
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::permission::{API_KEYS_WRITE, Grant};
use crate::domain::records::{self, Batch};
use crate::domain::secret::Secret;
use crate::error::{AuthError, Kind, Result};

/// Makes an API key, which acts for its account (`X-API-Key`) and may do what
/// both its scopes and the account's roles permit. For one's own account this
/// takes a session that began lately; for another's a permission, and then neither
/// the scopes nor the roles of that account go beyond what the maker may do. The
/// key itself is shown this once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What to call it.
    pub name: KeyName,
    /// What it may do at the most, such as `billing:read` or `billing:*`; nothing
    /// unless given.
    #[serde(default)]
    pub scopes: Scopes,
    /// How long it is good; for good unless given.
    #[serde(default)]
    pub expires_in_days: Option<Days>,
    /// Whom it acts for, if not for who calls.
    #[serde(default)]
    pub user_id: Option<Id>,
}

/// A key that has just been made.
#[derive(Serialize, JsonSchema)]
pub struct NewApiKey {
    /// The key itself, which is not shown again. Keep it secret.
    pub api_key: Secret,
    /// Identifies the key; no secret.
    pub key_id: Id,
    /// What it is called.
    pub name: KeyName,
    /// What it may do at the most.
    pub scopes: Vec<Grant>,
    /// When it ends (RFC 3339); not there: not by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl Operation for CreateApiKey {
    const NAME: &'static str = "create_api_key";
    const TITLE: &'static str = "Create an API key";
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::FreshSessionOr(API_KEYS_WRITE);
    type Output = NewApiKey;

    fn run(self, context: &Context) -> Result<NewApiKey> {
        let user_id = actor::subject(self.user_id, API_KEYS_WRITE, context)?;
        require_scopes(user_id, &self.scopes, context)?;
        let ports = &context.ports;
        let (key, secret) = ApiKey::create(
            Id::random(ports.random)?,
            user_id,
            self.name,
            self.scopes,
            self.expires_in_days.map(|days| days.after(context.now())),
            ports,
        )?;
        records::settle(|| {
            let (account, head) = Account::read(user_id, ports)?;
            let Some(account) = account else {
                return Err(AuthError::new(Kind::Application, "There is no such user")
                    .detail("user_id", user_id.to_string()));
            };
            actor::require_still(user_id, context)?;
            actor::require_governed(&account.value, context)?;
            if !account.value.is_active() {
                return Err(AuthError::new(Kind::Application, "The user is disabled")
                    .detail("action", "enable the user first, with enable_user"));
            }
            if api_key::ids_of(user_id, ports)?.len() >= api_key::MAX_PER_ACCOUNT as usize {
                return Err(AuthError::new(
                    Kind::Application,
                    "The account has as many API keys as it can have",
                )
                .detail("max_api_keys", api_key::MAX_PER_ACCOUNT)
                .detail("action", "revoke some with revoke_api_key"));
            }
            let mut batch = Batch::new();
            batch.create(ApiKey::key(key.key_id), &key);
            batch.create(ApiKey::index_key(user_id, key.key_id), &json!({}));
            let event = Event::success(Self::NAME).detail("key_id", key.key_id.to_string());
            Chain::at(user_id, head).append(event, &mut batch, context)?;
            Ok(batch.commit(context)?.then_some(()))
        })?;
        Ok(NewApiKey::new(key, secret))
    }
}

impl NewApiKey {
    pub(super) fn new(key: ApiKey, secret: Secret) -> NewApiKey {
        NewApiKey {
            api_key: secret,
            key_id: key.key_id,
            name: key.name,
            scopes: key.scopes.into(),
            expires_at: key.expires_at.map(|moment| moment.to_rfc3339()),
        }
    }
}

/// Who gets a key for another's account into their hands, or with a key of few
/// scopes one of more, must not be able to do more than before. One's own session
/// can do all that a key of one's own ever could.
pub(super) fn require_scopes(user_id: Id, scopes: &Scopes, context: &Context) -> Result<()> {
    match &context.actor {
        Actor::User(session) if session.user_id == user_id => Ok(()),
        actor => actor::require_covered(actor, scopes.as_slice(), context),
    }
}
