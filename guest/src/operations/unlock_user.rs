use schemars::JsonSchema;
use serde::Deserialize;

use super::get_user::UserView;
use super::{Effect, Operation, Toolset};
use crate::dispatch::target::Target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::USERS_WRITE;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::throttle::{self, Authenticator};
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Clears the failed attempts to guess a user's password or second factor, so that both
/// can be tried again.
///
/// They can be tried from anywhere. Returns the user. Requires `user-auth:users:write`.
/// Callers cannot unlock themselves or a user with permissions that they lack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlockUser {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
}

impl Operation for UnlockUser {
    const NAME: &'static str = "unlock_user";
    const TITLE: &'static str = "Unlock a user";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(call, |call| unlock(&target, call))?;
        Ok(UserView::from(account))
    }
}

fn unlock(target: &Target, call: &ActorCall) -> Result<Race<Account>> {
    let ports = &call.ports;
    let governed = target.read_governed(call)?;
    let account = governed.account.value.clone();
    let mut batch = Batch::new();
    let password = Authenticator::password_of(&account);
    let totp = Authenticator::totp_of(&account);
    let recovery_code = Authenticator::RecoveryCode(account.user_id);
    for authenticator in [Some(password), totp, Some(recovery_code)]
        .into_iter()
        .flatten()
    {
        throttle::forget(authenticator, &mut batch, ports)?;
    }
    let event = Event::success(UnlockUser::NAME);
    Chain::at(account.user_id, governed.head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(account))
}
