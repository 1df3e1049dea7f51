use schemars::JsonSchema;
use serde::Deserialize;

use super::register::username_taken;
use super::{Effect, Operation, Registered, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::{Account, UsernameRecord};
use crate::domain::accounts::permission::API_KEYS_WRITE;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::hash_costs::HashCosts;
use crate::domain::credentials::password::PasswordRecord;
use crate::error::Result;
use crate::storage::batch::Batch;

/// Creates an account for a program. It has no password and is used only by its API keys;
/// create those with `create_api_key`.
///
/// Requires `user-auth:api-keys:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateServiceAccount {
    /// The name of the program, unique among all user names.
    pub username: Username,
}

impl Operation for CreateServiceAccount {
    const NAME: &'static str = "create_service_account";
    const TITLE: &'static str = "Create a service account";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Permission(API_KEYS_WRITE);
    type Output = Registered;

    fn run(self, call: &ActorCall) -> Result<Registered> {
        let ports = &call.ports;
        HashCosts::learn_own(call)?;
        let password = PasswordRecord::unusable(call.settings, ports)?;
        let account = Account::new(self.username, password, call)?;
        let username_record = UsernameRecord {
            user_id: account.user_id,
        };
        authority::retry_on_conflict(call, |call| {
            if Account::id_of(&account.username, ports)?.is_some() {
                return Err(username_taken());
            }
            let mut batch = Batch::new();
            batch.create(Account::username_key(&account.username), &username_record);
            batch.create(Account::key(account.user_id), &account);
            let event = Event::success(Self::NAME);
            Chain::new(account.user_id).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(Registered {
            user_id: account.user_id,
            username: account.username,
            created_at: account.created_at.to_rfc3339(),
        })
    }
}
