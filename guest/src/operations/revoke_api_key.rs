use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create_api_key::{is_in_reach, require_owner_governed};
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{API_KEYS_WRITE, Permission};
use crate::domain::audit::Event;
use crate::domain::credentials::api_key::{self, ApiKey};
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::storage::record::{self, Stored};
use crate::types::id::Id;

/// Ends an API key permanently, such as after a leak. It stops working at once.
///
/// The caller's own keys require a session. Those of another account require
/// `user-auth:api-keys:write`, and the account must not have permissions that the caller
/// lacks. An API key can end itself and those keys of its account that it could create. A
/// key that does not exist or that the caller may not end is reported as not found.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeApiKey {
    /// The id of the key, as listed by `list_api_keys`.
    pub key_id: Id,
}

/// The key that has ended.
#[derive(Serialize, JsonSchema)]
pub struct RevokedApiKey {
    /// The id of the key.
    pub key_id: Id,
}

impl Operation for RevokeApiKey {
    const NAME: &'static str = "revoke_api_key";
    const TITLE: &'static str = "Revoke an API key";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::SessionOr(API_KEYS_WRITE);
    type Output = RevokedApiKey;

    fn run(self, call: &ActorCall) -> Result<RevokedApiKey> {
        authority::retry_on_conflict(call, |call| {
            let key = find(self.key_id, call)?;
            let (account, head) = Account::read(key.value.user_id, &call.ports)?;
            if let Some(account) = &account {
                require_owner_governed(&account.value, call)?;
            }
            let event = Event::success(Self::NAME);
            api_key::end(&key, head, event, call)
        })?;
        Ok(RevokedApiKey {
            key_id: self.key_id,
        })
    }
}

/// Returns the key with this id if it is the actor's own, or if the actor may manage
/// those of others. Otherwise the work and the error are those for a key that does not
/// exist.
pub(super) fn find(key_id: Id, call: &ActorCall) -> Result<Stored<ApiKey>> {
    let found = record::read::<ApiKey>(ApiKey::key(key_id), &call.ports)?;
    let is_own = |key: &Stored<ApiKey>| match call.actor() {
        Actor::User(session) => session.user_id == key.value.user_id,
        _ => false,
    };
    if let Some(key) = found.as_ref().filter(|key| is_own(key)) {
        return Ok(key.clone());
    }
    let may = authority::may(&Permission::own(API_KEYS_WRITE), call)?;
    if let Some(key) = found.filter(|_| may)
        && is_in_reach(&key.value, call)?
    {
        return Ok(key);
    }
    Err(
        AuthError::new(ErrorKind::Application, "There is no such API key")
            .because(Cause::UnknownApiKey)
            .detail("action", "list the keys with list_api_keys"),
    )
}
