use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::email::Email;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event, UnknownAccount};
use crate::domain::credentials::email_code::{Code, Purpose};
use crate::domain::notify;
use crate::domain::throttle;
use crate::error::{AuthError, FieldError, Result};
use crate::ports::MessageKind;
use crate::storage::batch::{Batch, Commit};
use crate::storage::record;
use crate::storage::retry::{self, Race};
use crate::types::id::Id;

/// Sends a code for `confirm_password_reset` to the verified address of an account. The
/// result is the same if there is no such account or address.
///
/// The result is also the same if the account is not active. An account is sent at most
/// three codes an hour for one source and ten for all sources together. Returns the
/// lifetime of the code.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestPasswordReset {
    /// The account, by user name; or use `email`.
    #[serde(default)]
    pub username: Option<Username>,
    /// The account, by its verified address; or use `username`.
    #[serde(default)]
    pub email: Option<Email>,
}

/// The result, which does not reveal whether the account exists.
#[derive(Serialize, JsonSchema)]
pub struct ResetRequested {
    /// The lifetime of the code in seconds, if one is sent.
    pub expires_in: u64,
}

impl Operation for RequestPasswordReset {
    const NAME: &'static str = "request_password_reset";
    const TITLE: &'static str = "Request a code to reset a password";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = ResetRequested;

    fn run(self, call: &ActorCall) -> Result<ResetRequested> {
        let who = Who::new(self.username, self.email)?;
        let name = who.name();
        throttle::count_reset(&name, call)?;
        let unknown = UnknownAccount::new("reset", &name, &call.ports)?;
        let user_id = who.user_id(call)?.unwrap_or(unknown.id());
        let quota = ["reset-codes", &user_id.to_string()];
        let may_send = throttle::may_send_code(&quota, call)?;
        retry::retry_on_conflict(|| send(user_id, unknown, may_send, call))?;
        Ok(ResetRequested {
            expires_in: call.settings.code_ttl.as_secs(),
        })
    }
}

/// Stores a code with the account and sends it. If there is no recipient, the same work
/// is done on the code and the audit chain of the unknown account, where it has no
/// effect.
fn send(
    user_id: Id,
    unknown: UnknownAccount,
    may_send: bool,
    call: &ActorCall,
) -> Result<Race<()>> {
    let ports = &call.ports;
    let (account, head) = Account::read(user_id, ports)?;
    let unknown_head = record::read(Chain::head_key(unknown.id()), ports)?;
    let account = account.map(|account| account.value);
    let recipient = account
        .filter(|account| may_send && account.is_active())
        .and_then(|account| Some((account.verified_email()?.clone(), account)));

    let whose = recipient.as_ref().map_or(unknown.id(), |_| user_id);
    let email = recipient.as_ref().map(|(email, _)| email);
    let (code, slot) = Code::create(Purpose::PasswordReset, whose, email, call)?;
    let mut batch = Batch::new();
    slot.put(Purpose::PasswordReset, whose, &mut batch, call);
    let name = RequestPasswordReset::NAME;
    match recipient {
        Some(_) => Chain::at(user_id, head).append(Event::success(name), &mut batch, call)?,
        None => Chain::of_unknown(unknown, unknown_head).append(
            Event::refused(name, "no_recipient"),
            &mut batch,
            call,
        )?,
    }
    if call.commit(batch)? == Commit::Conflict {
        return Ok(Race::Lost);
    }
    if let Some((email, account)) = &recipient {
        let kind = MessageKind::PasswordReset;
        // A full queue would reveal that there was something to send. The failure is
        // logged.
        let _ = notify::send_code(kind, account, email, (&code, &slot), call);
    }
    Ok(Race::Won(()))
}

/// The input field that names the account.
enum Who {
    Username(Username),
    Email(Email),
}

impl Who {
    fn new(username: Option<Username>, email: Option<Email>) -> Result<Who> {
        match (username, email) {
            (Some(username), None) => Ok(Who::Username(username)),
            (None, Some(email)) => Ok(Who::Email(email)),
            _ => {
                let problem = "expected either username or email";
                Err(AuthError::invalid(vec![
                    FieldError::new("username", problem),
                    FieldError::new("email", problem),
                ]))
            }
        }
    }

    /// Returns the name for counting. The prefix keeps user names that look like
    /// addresses apart from addresses.
    fn name(&self) -> String {
        match self {
            Who::Username(username) => format!("username {username}"),
            Who::Email(email) => format!("email {}", email.canonical()),
        }
    }

    fn user_id(&self, call: &ActorCall) -> Result<Option<Id>> {
        match self {
            Who::Username(username) => Account::id_of(username, &call.ports),
            Who::Email(email) => Account::id_of_email(email, call),
        }
    }
}
