use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::dispatch::target::Target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorContext};
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

/// Deletes a user for good: all sessions and API keys are dead at once, and the
/// name and the address are free for another. What happened to the account stays in the audit
/// trail. Nobody can delete themselves, or a user who may do more than they.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteUser {
    /// Whom to delete; or give the username.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// Whom to delete; or give the user_id.
    #[serde(default)]
    pub username: Option<Username>,
}

/// The user who is gone.
#[derive(Serialize, JsonSchema)]
pub struct DeletedUser {
    /// The id, which nobody will ever have again.
    pub user_id: Id,
    /// The name, which is free.
    pub username: Username,
}

impl Operation for DeleteUser {
    const NAME: &'static str = "delete_user";
    const TITLE: &'static str = "Delete a user";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = DeletedUser;

    fn run(self, context: &ActorContext) -> Result<DeletedUser> {
        let target = Target::new(self.user_id, self.username)?;
        authority::retry_on_conflict(context, |context| {
            let governed = target.read_governed(context)?;
            let Account {
                user_id, username, ..
            } = governed.account.value.clone();
            // Sessions are nothing without the account; the sweep takes them away.
            let mut batch = Batch::new();
            api_key::end_all(user_id, &mut batch, &context.ports)?;
            batch.end(&governed.account);
            batch.delete(Account::username_key(&username), Expect::Any);
            email_code::end_all(user_id, &mut batch);
            let password = &governed.account.value.password;
            hash_costs::release(password, &mut batch, &context.ports)?;
            governed.account.value.release_email(&mut batch, context)?;
            let event = Event::success(Self::NAME).detail("username", username.as_str());
            Chain::at(user_id, governed.head).append(event, &mut batch, context)?;
            let deleted = DeletedUser { user_id, username };
            Ok(context.commit(batch)?.then_some(deleted))
        })
    }
}
