use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create_api_key::{is_in_reach, require_owner_governed};
use super::{Effect, Operation};
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{API_KEYS_WRITE, Permission};
use crate::domain::audit::Event;
use crate::domain::credentials::api_key::{self, ApiKey};
use crate::error::{AuthError, Kind, Result};
use crate::storage::record::{self, Stored};
use crate::types::id::Id;

/// Ends an API key for good: one's own with a session, another's with a
/// permission. One that is not there, or is not yours to end, is not found. Nobody
/// can end a key of a user who may do more than they, and of the keys of its own
/// account an API key can end those that it could make itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeApiKey {
    /// Which key, as `list_api_keys` shows it.
    pub key_id: Id,
}

/// The key that is no more.
#[derive(Serialize, JsonSchema)]
pub struct RevokedApiKey {
    /// Its id.
    pub key_id: Id,
}

impl Operation for RevokeApiKey {
    const NAME: &'static str = "revoke_api_key";
    const TITLE: &'static str = "Revoke an API key";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::SessionOr(API_KEYS_WRITE);
    type Output = RevokedApiKey;

    fn run(self, context: &ActorContext) -> Result<RevokedApiKey> {
        authority::retry_on_conflict(context, |context| {
            let key = find(self.key_id, context)?;
            let (account, head) = Account::read(key.value.user_id, &context.ports)?;
            if let Some(account) = &account {
                require_owner_governed(&account.value, context)?;
            }
            let event = Event::success(Self::NAME);
            Ok(api_key::end(&key, head, event, context)?.then_some(()))
        })?;
        Ok(RevokedApiKey {
            key_id: self.key_id,
        })
    }
}

/// The key with this id, if it is the actor's own or they may deal with those of
/// others. If not, the work and the answer are those for a key that is not there.
pub(super) fn find(key_id: Id, context: &ActorContext) -> Result<Stored<ApiKey>> {
    let found = record::read::<ApiKey>(ApiKey::key(key_id), &context.ports)?;
    let is_own = |key: &Stored<ApiKey>| match context.actor() {
        Actor::User(session) => session.user_id == key.value.user_id,
        _ => false,
    };
    if let Some(key) = found.as_ref().filter(|key| is_own(key)) {
        return Ok(key.clone());
    }
    let may = authority::may(&Permission::own(API_KEYS_WRITE), context)?;
    if let Some(key) = found.filter(|_| may)
        && is_in_reach(&key.value, context)?
    {
        return Ok(key);
    }
    Err(
        AuthError::new(Kind::Application, "There is no such API key")
            .detail("action", "list the keys with list_api_keys"),
    )
}
