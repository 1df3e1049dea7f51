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
use crate::domain::credentials::api_key::{self, EndApiKeys, EndedSessions};
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::types::id::Id;

/// Ends all sessions of a user and the API keys that they may have created. The user can
/// log in again.
///
/// They end permanently and at once. Requires `user-auth:users:write`. Callers cannot do
/// this to themselves or to a user with permissions that they lack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeUserSessions {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
    /// API keys to end too: the `recent` ones (the default), `all` or `none`.
    ///
    /// Recent are those that a session of the user created or rotated within a session's
    /// maximum lifetime, 30 days by default.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

impl Operation for RevokeUserSessions {
    const NAME: &'static str = "revoke_user_sessions";
    const TITLE: &'static str = "End all sessions of a user";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(call, |call| {
            let governed = target.read_governed(call)?;
            let found = &governed.account;
            let account = Account {
                session_epoch: found.value.session_epoch.saturating_add(1),
                ..found.value.clone()
            };
            let mut batch = Batch::new();
            batch.change(found, &account);
            let ended = api_key::end_with_sessions(
                self.end_api_keys,
                EndedSessions::All,
                account.user_id,
                &mut batch,
                call,
            )?;
            let event = Event::success(Self::NAME).with_ended_keys(&ended);
            Chain::at(account.user_id, governed.head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(account))
        })?;
        Ok(UserView::from(account))
    }
}
