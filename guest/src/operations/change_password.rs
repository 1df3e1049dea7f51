use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorContext};
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
use crate::error::{AuthError, Kind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::types::id::Id;

/// Changes the password of the account that calls, and ends all its other
/// sessions, API keys that these may have made, and the codes that were sent for it.
/// Takes the current password, and a session that began lately, with the second factor
/// if the account has one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password as it is.
    pub current_password: TypedPassword,
    /// The password as it shall be.
    pub new_password: Password,
    /// Which API keys end as well: `recent` (the default) those that another session
    /// made or rotated while it can still have been alive, by default within 30 days;
    /// `all` of the account; `none`.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

/// That the password is changed.
#[derive(Serialize, JsonSchema)]
pub struct ChangedPassword {
    /// The one session that goes on.
    pub session_id: Id,
    /// The API keys that have ended with it; not there: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_api_keys: Vec<Id>,
}

impl Operation for ChangePassword {
    const NAME: &'static str = "change_password";
    const TITLE: &'static str = "Change one's password";
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = ChangedPassword;

    fn run(self, context: &ActorContext) -> Result<ChangedPassword> {
        let account = read(context)?.account.value;
        let owner = Owner {
            username: &account.username,
            email: account.email.as_ref(),
        };
        password::check_policy("new_password", &self.new_password, &owner, context.settings)?;
        // A stolen token must not be a way around the throttle of logins.
        let attempt = Attempt::admit(Authenticator::password_of(&account), context)?;
        HashCosts::learn_own(context)?;
        // Both hashes before the count: without either there is no verdict.
        let new = PasswordRecord::create(&self.new_password, context.settings, &context.ports)?;
        let mut verdict = Verdict::on(account.password, &self.current_password, context)?;
        attempt.count(context)?;
        authority::retry_on_conflict(context, |context| {
            self.exchange(&mut verdict, &new, context)
        })
    }
}

/// Whose password is to be changed, and in which session.
fn read(context: &ActorContext) -> Result<CurrentLogin> {
    CurrentLogin::read(context)
}

/// Whether what was given is the password that this record keeps.
struct Verdict {
    password: PasswordRecord,
    is_right: bool,
}

impl Verdict {
    fn on(
        password: PasswordRecord,
        given: &TypedPassword,
        context: &ActorContext,
    ) -> Result<Verdict> {
        let is_right = password.verify(given, &context.ports)?;
        Ok(Verdict { password, is_right })
    }
}

impl ChangePassword {
    /// `None`: something happened to the account meanwhile.
    fn exchange(
        &self,
        verdict: &mut Verdict,
        new: &PasswordRecord,
        context: &ActorContext,
    ) -> Result<Option<ChangedPassword>> {
        let CurrentLogin {
            session,
            account,
            head,
        } = read(context)?;
        // A login may have hashed it once more meanwhile.
        if verdict.password != account.value.password {
            let password = account.value.password.clone();
            *verdict = Verdict::on(password, &self.current_password, context)?;
        }
        if !verdict.is_right {
            throttle::count_failure(context)?;
            let event = Event::refused(Self::NAME, "invalid_credentials");
            let whom = AuditSubject::Account(account.value.user_id);
            audit::record_refusal(event, whom, context)?;
            return Err(AuthError::new(
                Kind::Authentication,
                "The current password is not right",
            ));
        }
        let mut batch = Batch::new();
        hash_costs::release(&account.value.password, &mut batch, &context.ports)?;
        let change = |account: &mut Account| account.set_password(new.clone());
        let mut changed = account.value.clone();
        change(&mut changed);
        // Guesses at the old password are none at this one, and the sources that the old
        // one came from are strange, but for this one.
        throttle::know_source(Authenticator::password_of(&changed), &mut batch, context)?;
        let keys = self.end_api_keys;
        let ended = session::end_all_but(&session, &account, keys, change, &mut batch, context)?;
        email_code::end_all(account.value.user_id, &mut batch);
        let event = Event::success(Self::NAME).with_ended_keys(&ended);
        Chain::at(account.value.user_id, head).append(event, &mut batch, context)?;
        notify::queue_notice(MessageKind::PasswordChanged, &account.value, &mut batch);
        Ok(context.commit(batch)?.then_some(ChangedPassword {
            session_id: session.value.session_id,
            ended_api_keys: ended,
        }))
    }
}
