use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::confirm_password_reset::{begin, refuse};
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::{Account, EmailRecord};
use crate::domain::accounts::email::Email;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::email_code::{self, Code, Purpose};
use crate::domain::notify;
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Verifies an email address of the caller's account with the code that was sent to it.
///
/// It becomes the verified address of this account and of no other one. The previously
/// verified address is notified of the change. Requires a session of the account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmEmail {
    /// The code. It works once, and only until a newer one is sent.
    pub code: Secret,
}

/// The verified address.
#[derive(Serialize, JsonSchema)]
pub struct ConfirmedEmail {
    /// The account that owns the address.
    pub user_id: Id,
    /// The address.
    pub email: Email,
}

impl Operation for ConfirmEmail {
    const NAME: &'static str = "confirm_email";
    const TITLE: &'static str = "Verify an address with a code";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = ConfirmedEmail;

    fn run(self, call: &ActorCall) -> Result<ConfirmedEmail> {
        let code = begin(&self.code, call)?;
        // The code alone is not enough: a person who got it by the owner's mistake, or
        // had it sent from a session that has ended, is not the owner.
        if code.user_id() != call.actor().session()?.user_id {
            return Err(refuse(Self::NAME, &code, call)?);
        }
        authority::retry_on_conflict(call, |call| confirm(&code, call))
    }
}

/// Returns [`Race::Lost`] if the account or the address changed concurrently.
fn confirm(code: &Code, call: &ActorCall) -> Result<Race<ConfirmedEmail>> {
    let (account, head) = Account::read(code.user_id(), &call.ports)?;
    let slot = code.find(Purpose::Email, call)?;
    let (Some(found), Some(slot)) = (account.filter(|found| found.value.is_active()), slot) else {
        return Err(refuse(ConfirmEmail::NAME, code, call)?);
    };
    let Some(email) = slot.value.email.clone() else {
        return Err(refuse(ConfirmEmail::NAME, code, call)?);
    };
    let old = &found.value;
    let user_id = old.user_id;
    let account = Account {
        email: Some(email.clone()),
        email_verified: true,
        ..old.clone()
    };
    let mut batch = Batch::new();
    batch.change(&found, &account);
    // A change in spelling alone leaves the address record as it is.
    let held = old.verified_email().map(Email::canonical);
    if held != Some(email.canonical()) {
        if Account::id_of_email(&email, call)?.is_some() {
            return Err(taken());
        }
        old.release_email(&mut batch, call)?;
        let record = EmailRecord { user_id };
        batch.create(Account::email_key(&email, call)?, &record);
    }
    email_code::use_up(Purpose::Email, user_id, &slot, &mut batch);
    let event = Event::success(ConfirmEmail::NAME);
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    if old.verified_email() != Some(&email) {
        notify::queue_notice(MessageKind::EmailChanged, old, &mut batch);
    }
    let confirmed = ConfirmedEmail { user_id, email };
    Ok(call.commit(batch)?.then(confirmed))
}

/// Only a caller that can read messages to the address receives this error.
fn taken() -> AuthError {
    AuthError::new(
        ErrorKind::Application,
        "The address is the verified address of another account",
    )
    .detail("action", "use another address, or that account")
}
