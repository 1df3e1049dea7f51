use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::audit::{self, AuditSubject, Chain, Event, Head, UnknownAccount};
use crate::domain::credentials::api_key;
use crate::domain::credentials::blocklist::Owner;
use crate::domain::credentials::email_code::{self, Code, Purpose, Slot};
use crate::domain::credentials::hash_costs::{self, HashCosts};
use crate::domain::credentials::password::{self, Password, PasswordRecord};
use crate::domain::notify;
use crate::domain::throttle::{self, Authenticator};
use crate::error::{AuthError, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::record::{Found, Stored};
use crate::storage::retry::{self, Race};
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Sets a new password with the code that `request_password_reset` or
/// `force_password_reset` sent. Ends all sessions and API keys of the account; log in
/// with the new password then.
///
/// The code was sent to the account's verified address. No session begins.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmPasswordReset {
    /// The code. It works once, and only until a newer one is sent.
    pub code: Secret,
    /// The new password.
    pub new_password: Password,
}

/// The account with the new password.
#[derive(Serialize, JsonSchema)]
pub struct PasswordReset {
    /// The id of the account.
    pub user_id: Id,
}

impl Operation for ConfirmPasswordReset {
    const NAME: &'static str = "confirm_password_reset";
    const TITLE: &'static str = "Reset a password with a code";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const TAKES_PASSWORD: bool = true;
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = PasswordReset;

    fn run(self, call: &ActorCall) -> Result<PasswordReset> {
        let code = begin(&self.code, call)?;
        // Checked before the hash, which is expensive; the batch below decides.
        let Some(redeemable) = Redeemable::read(&code, call)? else {
            return Err(refuse(Self::NAME, &code, call)?);
        };
        let account = &redeemable.account.value;
        let owner = Owner {
            username: &account.username,
            email: account.email.as_ref(),
        };
        password::check_policy("new_password", &self.new_password, &owner, call.settings)?;
        HashCosts::learn_own(call)?;
        let new = PasswordRecord::create(&self.new_password, call.settings, &call.ports)?;
        retry::retry_on_conflict(|| match Redeemable::read(&code, call)? {
            Some(redeemable) => redeemable.reset(new.clone(), call),
            None => Err(refuse(Self::NAME, &code, call)?),
        })
    }
}

/// Parses a code from a source that may still try one.
///
/// Fails with -32001 if it is malformed, and with -32003 if the source has failed too
/// often.
pub(super) fn begin(code: &Secret, call: &ActorCall) -> Result<Code> {
    throttle::check_source(call)?;
    match Code::parse(code.expose()) {
        Some(code) => Ok(code),
        None => {
            throttle::count_failure(call)?;
            Err(AuthError::invalid_code())
        }
    }
}

/// Counts and records an invalid code, and returns the error for it.
pub(super) fn refuse(operation: &str, code: &Code, call: &ActorCall) -> Result<AuthError> {
    throttle::count_failure(call)?;
    let user_id = code.user_id();
    let unknown = UnknownAccount::new("code", &user_id.to_string(), &call.ports)?;
    let account = Account::find(user_id, &call.ports)?;
    let whom = match account {
        Some(account) => AuditSubject::Account(account.value.user_id),
        None => AuditSubject::Unknown(unknown),
    };
    audit::record_refusal(Event::refused(operation, "invalid_code"), whom, call)?;
    Ok(AuthError::invalid_code())
}

/// A valid code, with the account it was sent for.
struct Redeemable {
    account: Stored<Account>,
    head: Found<Head>,
    slot: Stored<Slot>,
}

impl Redeemable {
    /// Returns `None` if the code is invalid, or if the address it was sent to is no
    /// longer the account's verified address.
    fn read(code: &Code, call: &ActorCall) -> Result<Option<Redeemable>> {
        let (account, head) = Account::read(code.user_id(), &call.ports)?;
        let slot = code.find(Purpose::PasswordReset, call)?;
        let (Some(account), Some(slot)) = (account, slot) else {
            return Ok(None);
        };
        let sent_to = slot.value.email.as_ref();
        let is_good = account.value.is_active()
            && sent_to.is_some()
            && account.value.verified_email() == sent_to;
        Ok(is_good.then_some(Redeemable {
            account,
            head,
            slot,
        }))
    }

    /// Returns [`Race::Lost`] if the account changed concurrently.
    fn reset(self, new: PasswordRecord, call: &ActorCall) -> Result<Race<PasswordReset>> {
        let old = &self.account.value;
        let mut account = Account {
            session_epoch: old.session_epoch.saturating_add(1),
            ..old.clone()
        };
        // Guesses at the old password do not count for the new one, and sources known by
        // the old password become unknown, except this one.
        account.set_password(new);
        let user_id = account.user_id;
        let mut batch = Batch::new();
        hash_costs::release(&old.password, &mut batch, &call.ports)?;
        throttle::know_source(Authenticator::password_of(&account), &mut batch, call)?;
        batch.change(&self.account, &account);
        api_key::end_all(user_id, &mut batch, &call.ports)?;
        email_code::use_up(Purpose::PasswordReset, user_id, &self.slot, &mut batch);
        let event = Event::success(ConfirmPasswordReset::NAME).by(user_id);
        Chain::at(user_id, self.head).append(event, &mut batch, call)?;
        notify::queue_notice(MessageKind::PasswordChanged, &account, &mut batch);
        Ok(call.commit(batch)?.then(PasswordReset { user_id }))
    }
}
