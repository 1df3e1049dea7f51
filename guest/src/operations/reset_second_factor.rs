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
use crate::domain::notify;
use crate::domain::throttle::{self, Authenticator};
use crate::error::Result;
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Removes the second factor of a user who has lost both the app and the recovery codes,
/// and ends all their sessions. First make sure that the request really comes from the
/// user.
///
/// The API keys that the sessions may have created end too; from then on the password
/// alone is enough. Requires `user-auth:users:write`. Callers cannot do this to
/// themselves or to a user with permissions that they lack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetSecondFactor {
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

impl Operation for ResetSecondFactor {
    const NAME: &'static str = "reset_second_factor";
    const TITLE: &'static str = "Remove a user's second factor";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(call, |call| {
            let governed = target.read_governed(call)?;
            let found = &governed.account;
            if found.value.second_factor.is_none() && found.value.enrolment.is_none() {
                return Ok(Race::Won(found.value.clone()));
            }
            let account = Account {
                second_factor: None,
                enrolment: None,
                session_epoch: found.value.session_epoch.saturating_add(1),
                ..found.value.clone()
            };
            let mut batch = Batch::new();
            batch.change(found, &account);
            // The attempts on the app's codes are dropped with the app.
            let recovery_codes = Authenticator::RecoveryCode(account.user_id);
            throttle::forget(recovery_codes, &mut batch, &call.ports)?;
            let ended = api_key::end_with_sessions(
                self.end_api_keys,
                EndedSessions::All,
                account.user_id,
                &mut batch,
                call,
            )?;
            let event = Event::success(Self::NAME).with_ended_keys(&ended);
            Chain::at(account.user_id, governed.head).append(event, &mut batch, call)?;
            notify::queue_notice(MessageKind::SecondFactorChanged, &account, &mut batch);
            Ok(call.commit(batch)?.then(account))
        })?;
        Ok(UserView::from(account))
    }
}
