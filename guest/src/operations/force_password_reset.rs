use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::target::{Governed, Target};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::USERS_WRITE;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::api_key;
use crate::domain::credentials::email_code::{Code, Purpose};
use crate::domain::credentials::hash_costs::{self, HashCosts};
use crate::domain::credentials::password::PasswordRecord;
use crate::domain::notify;
use crate::error::Result;
use crate::ports::{Expect, MessageKind};
use crate::storage::batch::{Batch, Commit};
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Invalidates the password of a user, and ends all their sessions and API keys at once.
/// A code for `confirm_password_reset` goes to the user's verified address, if there is
/// one.
///
/// No other person sees the code. Returns whether it was sent. Requires
/// `user-auth:users:write`. Callers cannot do this to themselves or to a user with
/// permissions that they lack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForcePasswordReset {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
}

/// The account whose password was invalidated.
#[derive(Serialize, JsonSchema)]
pub struct ForcedReset {
    /// The id of the account.
    pub user_id: Id,
    /// The user name of the account.
    pub username: Username,
    /// Whether a code is on its way. If not, the account has no verified address or is
    /// disabled, or messages cannot be sent.
    pub delivered: bool,
}

impl Operation for ForcePasswordReset {
    const NAME: &'static str = "force_password_reset";
    const TITLE: &'static str = "Make a user reset their password";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = ForcedReset;

    fn run(self, call: &ActorCall) -> Result<ForcedReset> {
        let target = Target::new(self.user_id, self.username)?;
        authority::retry_on_conflict(call, |call| reset(target.read_governed(call)?, call))
    }
}

/// Returns [`Race::Lost`] if the account changed concurrently.
fn reset(governed: Governed, call: &ActorCall) -> Result<Race<ForcedReset>> {
    let old = &governed.account.value;
    let user_id = old.user_id;
    let mut account = Account {
        session_epoch: old.session_epoch.saturating_add(1),
        ..old.clone()
    };
    HashCosts::learn_own(call)?;
    account.set_password(PasswordRecord::unusable(call.settings, &call.ports)?);
    let recipient = account.verified_email().filter(|_| account.is_active());

    let mut batch = Batch::new();
    batch.change(&governed.account, &account);
    api_key::end_all(user_id, &mut batch, &call.ports)?;
    batch.delete(Purpose::Email.key(user_id), Expect::Any);
    hash_costs::release(&old.password, &mut batch, &call.ports)?;
    let code = match recipient {
        None => {
            batch.delete(Purpose::PasswordReset.key(user_id), Expect::Any);
            None
        }
        Some(email) => {
            let made = Code::create(Purpose::PasswordReset, user_id, Some(email), call)?;
            made.1
                .put(Purpose::PasswordReset, user_id, &mut batch, call);
            Some((email, made))
        }
    };
    let event = Event::success(ForcePasswordReset::NAME);
    Chain::at(user_id, governed.head).append(event, &mut batch, call)?;
    if call.commit(batch)? == Commit::Conflict {
        return Ok(Race::Lost);
    }
    let delivered = code.is_some_and(|(email, (code, slot))| {
        let kind = MessageKind::PasswordReset;
        notify::send_code(kind, &account, email, (&code, &slot), call).is_ok()
    });
    Ok(Race::Won(ForcedReset {
        user_id,
        username: account.username.clone(),
        delivered,
    }))
}
