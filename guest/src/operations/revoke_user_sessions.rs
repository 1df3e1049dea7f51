use schemars::JsonSchema;
use serde::Deserialize;

use super::get_user::UserView;
use super::{Effect, Operation};
use crate::dispatch::target::Target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::USERS_WRITE;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key::{self, EndApiKeys, EndedSessions};
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::types::id::Id;

/// Ends all sessions of a user, and API keys that these may have made, at once and for
/// good; they may log in again. Nobody can do so to a user who may do more than they.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeUserSessions {
    /// Whose to end; or give the username.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// Whose to end; or give the user_id.
    #[serde(default)]
    pub username: Option<Username>,
    /// Which API keys end as well: `recent` (the default) those that a session of the
    /// user made or rotated while it can still have been alive, by default within 30
    /// days; `all` of the user; `none`.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

impl Operation for RevokeUserSessions {
    const NAME: &'static str = "revoke_user_sessions";
    const TITLE: &'static str = "End all sessions of a user";
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, context: &ActorContext) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(context, |context| {
            let governed = target.read_governed(context)?;
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
                context,
            )?;
            let event = Event::success(Self::NAME).with_ended_keys(&ended);
            Chain::at(account.user_id, governed.head).append(event, &mut batch, context)?;
            Ok(context.commit(batch)?.then_some(account))
        })?;
        Ok(UserView::from(account))
    }
}
