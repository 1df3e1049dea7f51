use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::email::Email;
use crate::domain::audit::{Chain, Event, Head};
use crate::domain::credentials::email_code::{Code, Purpose};
use crate::domain::notify;
use crate::domain::throttle;
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::{Batch, Commit};
use crate::storage::record::Found;
use crate::storage::retry::Race;

/// Sends a code for `confirm_email` to the email address of the caller's account.
///
/// Only a verified address can be used, such as to reset the password. Returns the
/// lifetime of the code. Requires a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestEmailVerification {}

/// The confirmation that a code is on its way.
#[derive(Serialize, JsonSchema)]
pub struct CodeSent {
    /// The address that it is sent to.
    pub email: Email,
    /// The lifetime of the code in seconds.
    pub expires_in: u64,
}

impl Operation for RequestEmailVerification {
    const NAME: &'static str = "request_email_verification";
    const TITLE: &'static str = "Request a code to verify the email address";
    const TOOLSET: Option<Toolset> = Some(Toolset::Account);
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Session;
    type Output = CodeSent;

    fn run(self, call: &ActorCall) -> Result<CodeSent> {
        let own = call.actor().session()?;
        let account = Account::find(own.user_id, &call.ports)?;
        let account = account.ok_or_else(AuthError::invalid_token)?.value;
        let email = account.email.filter(Email::is_deliverable);
        let email = email.ok_or_else(no_address)?;
        send(Self::NAME, MessageKind::EmailVerification, &email, call)
    }
}

fn no_address() -> AuthError {
    AuthError::new(
        ErrorKind::Application,
        "The account has no address that messages can be sent to",
    )
    .detail("action", "set one with request_email_change")
}

/// Stores a code for this address with the caller's account, and sends it. Whether the
/// address belongs to another account is not revealed here, but only to a caller that can
/// read messages to the address.
///
/// Fails with -32003 if too many codes were sent, and with -32004 if messages cannot be
/// sent.
pub(super) fn send(
    operation: &str,
    kind: MessageKind,
    email: &Email,
    call: &ActorCall,
) -> Result<CodeSent> {
    let user_id = call.actor().session()?.user_id;
    // Calls that are rejected anyway do not count.
    recipient(kind, email, call)?;
    let user = user_id.to_string();
    let address = email.canonical();
    let quotas = [["email-codes", user.as_str()], ["address-codes", &address]];
    for quota in &quotas {
        if !throttle::may_send_code(quota, call)? {
            return Err(AuthError::too_many(throttle::CODES_WINDOW));
        }
    }
    authority::retry_on_conflict(call, |call| {
        let (account, head) = recipient(kind, email, call)?;
        let (code, slot) = Code::create(Purpose::Email, user_id, Some(email), call)?;
        let mut batch = Batch::new();
        slot.put(Purpose::Email, user_id, &mut batch, call);
        Chain::at(user_id, head).append(Event::success(operation), &mut batch, call)?;
        if kind == MessageKind::EmailChange {
            notify::queue_notice(MessageKind::EmailChangeRequested, &account, &mut batch);
        }
        if call.commit(batch)? == Commit::Conflict {
            return Ok(Race::Lost);
        }
        if let Err(error) = notify::send_code(kind, &account, email, (&code, &slot), call) {
            // Codes that were not sent do not count.
            for quota in &quotas {
                throttle::give_code_back(quota, call)?;
            }
            return Err(error.into());
        }
        Ok(Race::Won(CodeSent {
            email: email.clone(),
            expires_in: call.settings.code_ttl.as_secs(),
        }))
    })
}

/// Returns the caller's account and the head of its audit chain, if the account may be
/// sent a code to this address.
fn recipient(kind: MessageKind, email: &Email, call: &ActorCall) -> Result<(Account, Found<Head>)> {
    let user_id = call.actor().session()?.user_id;
    let (account, head) = Account::read(user_id, &call.ports)?;
    let account = account.ok_or_else(AuthError::invalid_token)?.value;
    if kind == MessageKind::EmailVerification && account.email.as_ref() != Some(email) {
        return Err(AuthError::new(
            ErrorKind::Application,
            "The address of the account has changed in the meantime",
        ));
    }
    if account.verified_email() == Some(email) {
        return Err(AuthError::new(
            ErrorKind::Application,
            "The address is verified already",
        ));
    }
    Ok((account, head))
}
