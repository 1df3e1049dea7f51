use schemars::JsonSchema;
use serde::Deserialize;

use super::get_user::UserView;
use super::{Effect, Operation, Toolset};
use crate::dispatch::target::Target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::{Account, Status};
use crate::domain::accounts::permission::USERS_WRITE;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Enables a disabled user, who can then log in again.
///
/// Sessions and API keys that were ended stay ended. Requires `user-auth:users:write`.
/// Callers cannot enable a user with permissions that they lack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableUser {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
}

impl Operation for EnableUser {
    const NAME: &'static str = "enable_user";
    const TITLE: &'static str = "Enable a user";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Widens;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(call, |call| {
            let governed = target.read_governed(call)?;
            let found = &governed.account;
            if found.value.is_active() {
                return Ok(Race::Won(found.value.clone()));
            }
            let account = Account {
                status: Status::Active,
                ..found.value.clone()
            };
            let mut batch = Batch::new();
            batch.change(found, &account);
            let event = Event::success(Self::NAME);
            Chain::at(account.user_id, governed.head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(account))
        })?;
        Ok(UserView::from(account))
    }
}
