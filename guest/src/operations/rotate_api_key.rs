use schemars::JsonSchema;
use serde::Deserialize;

use super::create_api_key::{NewApiKey, require_scopes};
use super::revoke_api_key::find;
use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::{self, Requirement};
use crate::domain::api_key::ApiKey;
use crate::domain::audit::{Chain, Event};
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::permission::API_KEYS_WRITE;
use crate::domain::records::{self, Batch};
use crate::error::Result;

/// Makes an API key anew, with the same id, name and scopes: the old one is dead
/// at once. One that ends by itself is good for as long again as it was at first.
/// Takes what `create_api_key` takes; the new key is shown this once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateApiKey {
    /// Which key, as `list_api_keys` shows it.
    pub key_id: Id,
}

impl Operation for RotateApiKey {
    const NAME: &'static str = "rotate_api_key";
    const TITLE: &'static str = "Rotate an API key";
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::FreshSessionOr(API_KEYS_WRITE);
    type Output = NewApiKey;

    fn run(self, context: &Context) -> Result<NewApiKey> {
        let ports = &context.ports;
        records::settle(|| {
            let user_id = find(self.key_id, context)?.value.user_id;
            let (account, head) = Account::read(user_id, ports)?;
            if let Some(account) = &account {
                actor::require_governed(&account.value, context)?;
            }
            actor::require_still(user_id, context)?;
            // Read again, now that the head settles what comes between.
            let old = find(self.key_id, context)?;
            require_scopes(user_id, &old.value.scopes, context)?;
            let lifetime = old
                .value
                .expires_at
                .map(|expires_at| expires_at.since(old.value.created_at));
            let (key, secret) = ApiKey::create(
                self.key_id,
                user_id,
                old.value.name,
                old.value.scopes,
                lifetime.map(|lifetime| context.now() + lifetime),
                ports,
            )?;
            let mut batch = Batch::new();
            batch.replace(ApiKey::key(self.key_id), &old.version, &key);
            let event = Event::success(Self::NAME).detail("key_id", self.key_id.to_string());
            Chain::at(user_id, head).append(event, &mut batch, context)?;
            let new = NewApiKey::new(key, secret);
            Ok(batch.commit(context)?.then_some(new))
        })
    }
}
