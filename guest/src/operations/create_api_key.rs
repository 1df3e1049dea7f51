use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Operation};
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{API_KEYS_WRITE, Grant};
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key::{self, ApiKey, Days, KeyName, Scopes};
use crate::domain::notify;
use crate::error::{AuthError, Kind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Makes an API key, which acts for its account (`X-API-Key`) and may do what
/// both its scopes and the account's roles permit. For one's own account this
/// takes a session that began lately, with the second factor if the account has one;
/// for another's a permission, and then neither the scopes nor the roles of that
/// account go beyond what the maker may do. The owner of the account is notified at
/// its verified address. The key itself is shown this once.
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
    const EFFECT: Effect = Effect::Widens;
    const REQUIRES: Requirement = Requirement::RecentLoginOr(API_KEYS_WRITE);
    type Output = NewApiKey;

    fn run(self, context: &ActorContext) -> Result<NewApiKey> {
        authority::retry_on_conflict(context, |context| self.create(context))
    }
}

impl CreateApiKey {
    /// Returns `None` when a race was lost.
    fn create(&self, context: &ActorContext) -> Result<Option<NewApiKey>> {
        let ports = &context.ports;
        let user_id = authority::subject(self.user_id, API_KEYS_WRITE, context)?;
        require_scopes(user_id, &self.scopes, context)?;
        let (account, head) = Account::read(user_id, ports)?;
        let Some(account) = account.map(|account| account.value) else {
            return Err(AuthError::new(Kind::Application, "There is no such user")
                .detail("user_id", user_id.to_string()));
        };
        require_owner_governed(&account, context)?;
        if !account.is_active() {
            return Err(AuthError::new(Kind::Application, "The user is disabled")
                .detail("action", "enable the user first, with enable_user"));
        }
        let places = places(user_id, context);
        if api_key::ids_of(user_id, ports)?.len() >= places as usize {
            return Err(AuthError::new(
                Kind::Application,
                "The account has as many API keys as it can have",
            )
            .detail("max_api_keys", places)
            .detail("action", "revoke some with revoke_api_key"));
        }
        let (key, secret) = ApiKey::create(
            ports.random.id()?,
            user_id,
            self.name.clone(),
            self.scopes.clone(),
            self.expires_in_days.map(|days| days.after(context.now())),
            context.actor().origin_of_new_key(user_id, context.now()),
            &context.ports,
        )?;
        let mut batch = Batch::new();
        batch.create(ApiKey::key(key.key_id), &key);
        batch.create(ApiKey::index_key(user_id, key.key_id), &json!({}));
        let event = Event::success(Self::NAME).detail("key_id", key.key_id.to_string());
        Chain::at(user_id, head).append(event, &mut batch, context)?;
        notify::queue_notice(MessageKind::ApiKeyCreated, &account, &mut batch);
        let new = NewApiKey::new(key, secret);
        Ok(context.commit(batch)?.then_some(new))
    }
}

/// How many keys the account can have when the actor makes one more.
fn places(user_id: Id, context: &ActorContext) -> u32 {
    match context.actor() {
        Actor::ApiKey(own) if own.user_id == user_id => {
            api_key::MAX_PER_ACCOUNT - api_key::RESERVED_FOR_SESSIONS
        }
        _ => api_key::MAX_PER_ACCOUNT,
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

/// Fails with -32002 when the scopes go beyond what the actor may do, unless it is
/// logged in to the account: a session can do all that a key of its account ever could.
/// Any other actor could do more with the key than before.
pub(super) fn require_scopes(user_id: Id, scopes: &Scopes, context: &ActorContext) -> Result<()> {
    match context.actor() {
        Actor::User(session) if session.user_id == user_id => Ok(()),
        _ => authority::require_covered(scopes.as_slice(), context),
    }
}

/// Fails with -32002 when this is the account of another that may do more than the
/// actor. Of its own account an API key reaches the keys that [`is_in_reach`] says.
pub(super) fn require_owner_governed(account: &Account, context: &ActorContext) -> Result<()> {
    if context.actor().user_id() == Some(account.user_id) {
        return Ok(());
    }
    authority::require_governed(account, context)
}

/// Whether the actor may see and end this key, as far as its own account is concerned:
/// with a session any, with an API key that one and those that it could make itself.
pub(super) fn is_in_reach(key: &ApiKey, context: &ActorContext) -> Result<bool> {
    let Actor::ApiKey(own) = context.actor() else {
        return Ok(true);
    };
    if own.user_id != key.user_id || own.key_id == key.key_id {
        return Ok(true);
    }
    for scope in key.scopes.as_slice() {
        if !authority::covers(scope, context)? {
            return Ok(false);
        }
    }
    Ok(true)
}
