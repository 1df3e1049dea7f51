use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::target::Target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::USERS_WRITE;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key;
use crate::domain::credentials::email_code;
use crate::domain::credentials::hash_costs;
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::Batch;
use crate::types::id::Id;

/// Deletes a user permanently, and ends all their sessions and API keys at once.
///
/// The user name and the email address can then be used for another account; the audit
/// trail remains. Requires `user-auth:users:write`. Callers cannot delete themselves or a
/// user with permissions that they lack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteUser {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
}

/// The deleted user.
#[derive(Serialize, JsonSchema)]
pub struct DeletedUser {
    /// The id, which is never used again.
    pub user_id: Id,
    /// The user name, which is available again.
    pub username: Username,
}

impl Operation for DeleteUser {
    const NAME: &'static str = "delete_user";
    const TITLE: &'static str = "Delete a user";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = DeletedUser;

    fn run(self, call: &ActorCall) -> Result<DeletedUser> {
        let target = Target::new(self.user_id, self.username)?;
        authority::retry_on_conflict(call, |call| {
            let governed = target.read_governed(call)?;
            let Account {
                user_id, username, ..
            } = governed.account.value.clone();
            // Sessions are worthless without their account; the sweep removes them.
            let mut batch = Batch::new();
            api_key::end_all(user_id, &mut batch, &call.ports)?;
            batch.end(&governed.account);
            batch.delete(Account::username_key(&username), Expect::Any);
            email_code::end_all(user_id, &mut batch);
            let password = &governed.account.value.password;
            hash_costs::release(password, &mut batch, &call.ports)?;
            governed.account.value.release_email(&mut batch, call)?;
            let event = Event::success(Self::NAME).detail("username", username.as_str());
            Chain::at(user_id, governed.head).append(event, &mut batch, call)?;
            let deleted = DeletedUser { user_id, username };
            Ok(call.commit(batch)?.then(deleted))
        })
    }
}
