use schemars::JsonSchema;
use serde::Deserialize;

use super::get_user::UserView;
use super::target::Target;
use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::audit::{Chain, Event};
use crate::domain::authority;
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::permission::USERS_WRITE;
use crate::domain::records::Batch;
use crate::domain::throttle::{self, Authenticator};
use crate::domain::username::Username;
use crate::error::Result;

/// Clears the failed attempts to guess a user's password or second factor, so that both
/// can be tried again from anywhere. Returns the user. Requires `user-auth:users:write`.
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
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, context: &Context) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(context, |context| unlock(&target, context))?;
        Ok(UserView::from(account))
    }
}

/// Returns `None` if a race was lost.
fn unlock(target: &Target, context: &Context) -> Result<Option<Account>> {
    let ports = &context.ports;
    let governed = target.read_governed(context)?;
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
    Chain::at(account.user_id, governed.head).append(event, &mut batch, context)?;
    Ok(batch.commit(context)?.then_some(account))
}
