use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Operation, Toolset};
use crate::dispatch::target;
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{API_KEYS_WRITE, Grant};
use crate::domain::accounts::scopes::{InputScopes, Scopes};
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key::{self, ApiKey, Days};
use crate::domain::display_text::DisplayText;
use crate::domain::notify;
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Creates an API key that acts for an account in the header `X-API-Key`, within its
/// scopes. Returns the key, which is shown only once. Requires a recent login.
///
/// The key may do what both its scopes and the account's roles permit. The owner is
/// notified at the verified address. If the account has a second factor, the login must
/// have used it. A key for another account also requires `user-auth:api-keys:write`, and
/// neither its scopes nor the roles of that account may exceed what the caller may do.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// A name for the key.
    pub name: DisplayText,
    /// The most that the key may do, such as `billing:read` or `billing:*`; nothing by
    /// default.
    #[serde(default)]
    pub scopes: InputScopes,
    /// The lifetime of the key in days, 1 to 3,650; unlimited by default.
    #[serde(default)]
    pub expires_in_days: Option<Days>,
    /// The account that the key acts for, by id; the caller's own by default.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The account that the key acts for, by user name; the caller's own by default.
    #[serde(default)]
    pub username: Option<Username>,
}

/// A newly created key.
#[derive(Serialize, JsonSchema)]
pub struct NewApiKey {
    /// The key itself, which is not shown again. Keep it secret.
    pub api_key: Secret,
    /// The id of the key, which is not secret.
    pub key_id: Id,
    /// The name of the key.
    pub name: DisplayText,
    /// The most that the key may do.
    pub scopes: Vec<Grant>,
    /// The time at which it expires (RFC 3339); absent if it does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl Operation for CreateApiKey {
    const NAME: &'static str = "create_api_key";
    const TITLE: &'static str = "Create an API key";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Widens;
    const REQUIRES: Requirement = Requirement::RecentLoginOr(API_KEYS_WRITE);
    type Output = NewApiKey;

    fn run(self, call: &ActorCall) -> Result<NewApiKey> {
        authority::retry_on_conflict(call, |call| self.create(call))
    }
}

impl CreateApiKey {
    fn create(&self, call: &ActorCall) -> Result<Race<NewApiKey>> {
        let ports = &call.ports;
        let InputScopes(scopes) = &self.scopes;
        let username = self.username.as_ref();
        let user_id = target::subject(self.user_id, username, API_KEYS_WRITE, call)?;
        require_scopes(user_id, scopes, call)?;
        let (account, head) = Account::read(user_id, ports)?;
        let Some(account) = account.map(|account| account.value) else {
            return Err(
                AuthError::new(ErrorKind::Application, "There is no such user")
                    .because(Cause::UnknownUser)
                    .detail("user_id", user_id.to_string()),
            );
        };
        require_owner_governed(&account, call)?;
        if !account.is_active() {
            return Err(
                AuthError::new(ErrorKind::Application, "The user is disabled")
                    .detail("action", "enable the user first, with enable_user"),
            );
        }
        let places = places(user_id, call);
        if api_key::ids_of(user_id, ports)?.len() >= places as usize {
            return Err(AuthError::new(
                ErrorKind::Application,
                "The account has reached its maximum number of API keys",
            )
            .detail("max_api_keys", places)
            .detail("action", "revoke some with revoke_api_key"));
        }
        let (key, secret) = ApiKey::create(
            ports.random.id()?,
            user_id,
            self.name.clone(),
            scopes.clone(),
            self.expires_in_days.map(|days| days.after(call.now())),
            call.actor().origin_of_new_key(user_id, call.now()),
            &call.ports,
        )?;
        let mut batch = Batch::new();
        batch.create(ApiKey::key(key.key_id), &key);
        batch.create(ApiKey::index_key(user_id, key.key_id), &json!({}));
        let event = Event::success(Self::NAME).detail("key_id", key.key_id.to_string());
        Chain::at(user_id, head).append(event, &mut batch, call)?;
        notify::queue_notice(MessageKind::ApiKeyCreated, &account, &mut batch);
        let new = NewApiKey::new(key, secret);
        Ok(call.commit(batch)?.then(new))
    }
}

/// Returns the number of keys that the account may reach by this actor creating one.
fn places(user_id: Id, call: &ActorCall) -> u32 {
    match call.actor() {
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

/// Fails with -32002 if the scopes exceed what the actor may do, unless it is logged in
/// to the account: a session can already do all that any key of its account ever could.
/// Any other actor could do more with the key than before.
pub(super) fn require_scopes(user_id: Id, scopes: &Scopes, call: &ActorCall) -> Result<()> {
    match call.actor() {
        Actor::User(session) if session.user_id == user_id => Ok(()),
        _ => authority::require_covered(scopes.as_slice(), call),
    }
}

/// Fails with -32002 if the account is another's and has permissions that the actor
/// lacks. Which keys of its own account an API key reaches is up to [`is_in_reach`].
pub(super) fn require_owner_governed(account: &Account, call: &ActorCall) -> Result<()> {
    if call.actor().user_id() == Some(account.user_id) {
        return Ok(());
    }
    authority::require_governed(account, call)
}

/// Returns whether the actor may see and end this key, as far as its own account is
/// concerned: a session reaches every key, and an API key itself and those that it could
/// create.
pub(super) fn is_in_reach(key: &ApiKey, call: &ActorCall) -> Result<bool> {
    let Actor::ApiKey(own) = call.actor() else {
        return Ok(true);
    };
    if own.user_id != key.user_id || own.key_id == key.key_id {
        return Ok(true);
    }
    for scope in key.scopes.as_slice() {
        if !authority::covers(scope, call)? {
            return Ok(false);
        }
    }
    Ok(true)
}
