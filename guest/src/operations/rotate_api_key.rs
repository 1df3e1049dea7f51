use schemars::JsonSchema;
use serde::Deserialize;

use super::create_api_key::{NewApiKey, require_owner_governed, require_scopes};
use super::revoke_api_key::find;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::API_KEYS_WRITE;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key::ApiKey;
use crate::domain::notify;
use crate::error::Result;
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Replaces an API key by a new one with the same id, name and scopes. The old key stops
/// working at once. Returns the new key, which is shown only once.
///
/// A limited lifetime begins again with its original length. The requirements are those
/// of `create_api_key`, and the owner is notified likewise.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateApiKey {
    /// The id of the key, as listed by `list_api_keys`.
    pub key_id: Id,
}

impl Operation for RotateApiKey {
    const NAME: &'static str = "rotate_api_key";
    const TITLE: &'static str = "Rotate an API key";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::RecentLoginOr(API_KEYS_WRITE);
    type Output = NewApiKey;

    fn run(self, call: &ActorCall) -> Result<NewApiKey> {
        authority::retry_on_conflict(call, |call| rotate(self.key_id, call))
    }
}

fn rotate(key_id: Id, call: &ActorCall) -> Result<Race<NewApiKey>> {
    let user_id = find(key_id, call)?.value.user_id;
    let (account, head) = Account::read(user_id, &call.ports)?;
    if let Some(account) = &account {
        require_owner_governed(&account.value, call)?;
    }
    // Read again after the head, which settles any concurrent change.
    let old = find(key_id, call)?;
    require_scopes(user_id, &old.value.scopes, call)?;
    let lifetime = old
        .value
        .expires_at
        .map(|expires_at| expires_at.since(old.value.created_at));
    let (key, secret) = ApiKey::create(
        key_id,
        user_id,
        old.value.name.clone(),
        old.value.scopes.clone(),
        lifetime.map(|lifetime| call.now() + lifetime),
        call.actor().origin_of_new_key(user_id, call.now()),
        &call.ports,
    )?;
    let mut batch = Batch::new();
    batch.change(&old, &key);
    let event = Event::success(RotateApiKey::NAME).detail("key_id", key_id.to_string());
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    if let Some(account) = &account {
        notify::queue_notice(MessageKind::ApiKeyCreated, &account.value, &mut batch);
    }
    let new = NewApiKey::new(key, secret);
    Ok(call.commit(batch)?.then(new))
}
