use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{self, AuditSubject, Chain, Event};
use crate::domain::credentials::api_key::EndApiKeys;
use crate::domain::credentials::blocklist::Owner;
use crate::domain::credentials::email_code;
use crate::domain::credentials::hash_costs::{self, HashCosts};
use crate::domain::credentials::password::{self, Password, PasswordRecord, TypedPassword};
use crate::domain::notify;
use crate::domain::sessions::session::{self, CurrentLogin};
use crate::domain::throttle::{self, Attempt, Authenticator};
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Changes the caller's password. Ends all other sessions of the account, and the API
/// keys that they may have created. Requires the current password and a recent login.
///
/// All codes sent for the account end too. If the account has a second factor, the login
/// must have used it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The current password.
    pub current_password: TypedPassword,
    /// The new password.
    pub new_password: Password,
    /// API keys to end too: the `recent` ones (the default), `all` or `none`.
    ///
    /// Recent are those that another session created or rotated within a session's
    /// maximum lifetime, 30 days by default.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

/// The result of a password change.
#[derive(Serialize, JsonSchema)]
pub struct ChangedPassword {
    /// The only session that continues.
    pub session_id: Id,
    /// The API keys that were ended; absent if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_api_keys: Vec<Id>,
}

impl Operation for ChangePassword {
    const NAME: &'static str = "change_password";
    const TITLE: &'static str = "Change the password";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const TAKES_PASSWORD: bool = true;
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = ChangedPassword;

    fn run(self, call: &ActorCall) -> Result<ChangedPassword> {
        let account = read(call)?.account.value;
        let owner = Owner {
            username: &account.username,
            email: account.email.as_ref(),
        };
        password::check_policy("new_password", &self.new_password, &owner, call.settings)?;
        // Without throttling, a stolen token would be a way to guess the password without
        // limit.
        let authenticator = Authenticator::password_of(&account);
        let attempt = Attempt::admit_password(authenticator, &account.username, call)?;
        HashCosts::learn_own(call)?;
        // Both hashes come before the count: if either fails, there is no verdict to
        // count.
        let new = PasswordRecord::create(&self.new_password, call.settings, &call.ports)?;
        let mut verdict = Verdict::on(account.password, &self.current_password, call)?;
        attempt.count(call)?;
        authority::retry_on_conflict(call, |call| self.exchange(&mut verdict, &new, call))
    }
}

/// Reads the account and the session in which the password is changed.
fn read(call: &ActorCall) -> Result<CurrentLogin> {
    CurrentLogin::read(call)
}

/// Whether the password that was sent matches this record.
struct Verdict {
    password: PasswordRecord,
    is_right: bool,
}

impl Verdict {
    fn on(password: PasswordRecord, given: &TypedPassword, call: &ActorCall) -> Result<Verdict> {
        let is_right = password.verify(given, &call.ports)?;
        Ok(Verdict { password, is_right })
    }
}

impl ChangePassword {
    /// Returns [`Race::Lost`] if the account changed concurrently.
    fn exchange(
        &self,
        verdict: &mut Verdict,
        new: &PasswordRecord,
        call: &ActorCall,
    ) -> Result<Race<ChangedPassword>> {
        let CurrentLogin {
            session,
            account,
            head,
        } = read(call)?;
        // A concurrent login may have rehashed the password.
        if verdict.password != account.value.password {
            let password = account.value.password.clone();
            *verdict = Verdict::on(password, &self.current_password, call)?;
        }
        if !verdict.is_right {
            throttle::count_failure(call)?;
            let event = Event::refused(Self::NAME, "invalid_credentials");
            let whom = AuditSubject::Account(account.value.user_id);
            audit::record_refusal(event, whom, call)?;
            return Err(AuthError::new(
                ErrorKind::Authentication,
                "The current password is wrong",
            ));
        }
        let mut batch = Batch::new();
        hash_costs::release(&account.value.password, &mut batch, &call.ports)?;
        let change = |account: &mut Account| account.set_password(new.clone());
        let mut changed = account.value.clone();
        change(&mut changed);
        // Guesses at the old password do not count for the new one, and sources known by
        // the old password become unknown, except this one.
        throttle::know_source(Authenticator::password_of(&changed), &mut batch, call)?;
        let keys = self.end_api_keys;
        let ended = session::end_all_but(&session, &account, keys, change, &mut batch, call)?;
        email_code::end_all(account.value.user_id, &mut batch);
        let event = Event::success(Self::NAME).with_ended_keys(&ended);
        Chain::at(account.value.user_id, head).append(event, &mut batch, call)?;
        notify::queue_notice(MessageKind::PasswordChanged, &account.value, &mut batch);
        Ok(call.commit(batch)?.then(ChangedPassword {
            session_id: session.value.session_id,
            ended_api_keys: ended,
        }))
    }
}
