//! Messages to the owners of accounts, sent to their email addresses.

use super::accounts::account::Account;
use super::accounts::email::Email;
use super::credentials::email_code::{Code, Slot};
use super::env::Env;
use crate::json;
use crate::ports::{Message, MessageKind, Ports, Severity, Unavailable};
use crate::storage::batch::Batch;

/// Sends a code after its record has been committed.
pub fn send_code(
    kind: MessageKind,
    account: &Account,
    to: &Email,
    (code, slot): (&Code, &Slot),
    env: &Env,
) -> Result<(), Unavailable> {
    if !to.is_deliverable() {
        return Err(Unavailable::for_good(
            "messages cannot be sent to the stored address of the account",
        ));
    }
    let code = Some((code.to_secret(), slot.expires_at));
    deliver(message(kind, account, to, code), &env.ports)
}

/// Adds a notice to the batch that tells the owner about the change, regardless of who
/// made it (ASVS 5.0 section 6.3.7). It is sent to the account's address after the batch is
/// committed, and only if that address is verified.
pub fn queue_notice(kind: MessageKind, account: &Account, batch: &mut Batch) {
    if let Some(email) = account
        .verified_email()
        .filter(|email| email.is_deliverable())
    {
        let notice = message(kind, account, email, None);
        batch.after_commit(move |ports| {
            // The change is committed even if the message fails.
            let _ = deliver(notice, ports);
        });
    }
}

fn message(
    kind: MessageKind,
    account: &Account,
    to: &Email,
    code: Option<(crate::types::secret::Secret, crate::types::time::Timestamp)>,
) -> Message {
    Message {
        kind,
        to: to.as_str().to_owned(),
        username: account.username.to_string(),
        user_id: account.user_id,
        code,
    }
}

/// Hands a message to the host, and logs a warning if the host does not accept it.
fn deliver(message: Message, ports: &Ports) -> Result<(), Unavailable> {
    let delivered = ports.delivery.deliver(&message);
    delivered.inspect_err(|unavailable| {
        let fields = json::fields([
            ("reason", unavailable.reason.as_str().into()),
            ("kind", format!("{:?}", message.kind).into()),
            ("user_id", message.user_id.to_string().into()),
        ]);
        let text = "a message was not accepted for delivery";
        ports.telemetry.log(Severity::Warn, text, &fields);
    })
}
