use schemars::JsonSchema;
use serde::Deserialize;

use super::get_user::UserView;
use super::target::Target;
use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::audit::{Chain, Event};
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::permission::USERS_WRITE;
use crate::domain::records::{self, Batch};
use crate::domain::username::Username;
use crate::error::Result;

/// Ends all sessions of a user at once and for good; they may log in again. API
/// keys go on. Nobody can do so to a user who may do more than they.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeUserSessions {
    /// Whose to end; or give the username.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// Whose to end; or give the user_id.
    #[serde(default)]
    pub username: Option<Username>,
}

impl Operation for RevokeUserSessions {
    const NAME: &'static str = "revoke_user_sessions";
    const TITLE: &'static str = "End all sessions of a user";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, context: &Context) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = records::settle(|| {
            let governed = target.read_governed(context)?;
            let found = &governed.account;
            let account = Account {
                session_epoch: found.value.session_epoch.saturating_add(1),
                ..found.value.clone()
            };
            let mut batch = Batch::new();
            batch.replace(Account::key(account.user_id), &found.version, &account);
            governed.hold_governor(&mut batch);
            let event = Event::success(Self::NAME);
            Chain::at(account.user_id, governed.head).append(event, &mut batch, context)?;
            Ok(batch.commit(context)?.then_some(account))
        })?;
        Ok(UserView::from(account))
    }
}
