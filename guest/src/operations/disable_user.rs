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
use crate::domain::credentials::api_key;
use crate::domain::credentials::email_code;
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Disables a user, who cannot log in until `enable_user`, and ends all their sessions
/// and API keys.
///
/// They end permanently and at once. Logins then fail as with a wrong password. Requires
/// `user-auth:users:write`. Callers cannot disable themselves or a user with permissions
/// that they lack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableUser {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
}

impl Operation for DisableUser {
    const NAME: &'static str = "disable_user";
    const TITLE: &'static str = "Disable a user";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(call, |call| {
            let governed = target.read_governed(call)?;
            let found = &governed.account;
            if !found.value.is_active() {
                return Ok(Race::Won(found.value.clone()));
            }
            let account = Account {
                status: Status::Disabled,
                session_epoch: found.value.session_epoch.saturating_add(1),
                ..found.value.clone()
            };
            let mut batch = Batch::new();
            batch.change(found, &account);
            api_key::end_all(account.user_id, &mut batch, &call.ports)?;
            email_code::end_all(account.user_id, &mut batch);
            let event = Event::success(Self::NAME);
            Chain::at(account.user_id, governed.head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(account))
        })?;
        Ok(UserView::from(account))
    }
}
