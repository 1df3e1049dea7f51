use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::{Account, UsernameRecord};
use crate::domain::accounts::email::Email;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::blocklist::Owner;
use crate::domain::credentials::hash_costs::HashCosts;
use crate::domain::credentials::password::{self, Password, PasswordRecord};
use crate::domain::throttle::{self, Authenticator};
use crate::error::{AuthError, ErrorKind, Result};
use crate::storage::batch::{Batch, Commit};
use crate::types::id::Id;

/// Creates an account with a user name and a password, which must have at least 15
/// characters by default and must not be common. Returns the user id.
///
/// User names are unique, regardless of case and of different encodings of the same
/// letters; the canonical form is returned. The password must not be built from the names
/// of its owner or this service either. The number of accounts that one source may create
/// is limited.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The name to log in with: 1 to 254 characters without blanks; an email address is
    /// allowed.
    pub username: Username,
    /// The password.
    pub password: Password,
    /// The owner's email address, to be verified with `request_email_verification`.
    ///
    /// It has no effect before that. Whether another account uses it is not revealed
    /// here.
    #[serde(default)]
    pub email: Option<Email>,
}

/// The new account.
#[derive(Serialize, JsonSchema)]
pub struct Registered {
    /// The id of the account, which never changes.
    pub user_id: Id,
    /// The user name in its canonical form.
    pub username: Username,
    /// The time at which the account was created (RFC 3339).
    pub created_at: String,
}

impl Operation for Register {
    const NAME: &'static str = "register";
    const TITLE: &'static str = "Register a user";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const TAKES_PASSWORD: bool = true;
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Registered;

    fn run(self, call: &ActorCall) -> Result<Registered> {
        let ports = &call.ports;
        throttle::admit_registration(call)?;
        let owner = Owner {
            username: &self.username,
            email: self.email.as_ref(),
        };
        password::check_policy("password", &self.password, &owner, call.settings)?;
        // Saves the hash; the batch below decides. Who has the verified address of another as
        // a user name cannot log in.
        if Account::id_of_login(&self.username, call)?.is_some() {
            return Err(taken(call)?);
        }
        call.reporter.progress(0, 2, "hashing the password");
        HashCosts::learn_own(call)?;
        let password = PasswordRecord::create(&self.password, call.settings, ports)?;
        let account = Account {
            email: self.email,
            ..Account::new(self.username, password, call)?
        };
        throttle::count_registration(call)?;
        call.reporter.progress(1, 2, "creating the account");

        let username_record = UsernameRecord {
            user_id: account.user_id,
        };
        let mut batch = Batch::new();
        batch.create(Account::username_key(&account.username), &username_record);
        batch.create(Account::key(account.user_id), &account);
        throttle::know_source(Authenticator::password_of(&account), &mut batch, call)?;
        let event = Event::success(Self::NAME).by(account.user_id);
        Chain::new(account.user_id).append(event, &mut batch, call)?;
        // All other keys derive from the new random id, so a lost race is one for the
        // name.
        if call.commit(batch)? == Commit::Conflict {
            return Err(taken(call)?);
        }
        call.reporter.progress(2, 2, "done");
        Ok(Registered {
            user_id: account.user_id,
            username: account.username,
            created_at: account.created_at.to_rfc3339(),
        })
    }
}

/// Registration has to reveal that a name is taken; a source that asks for many is
/// throttled.
fn taken(call: &ActorCall) -> Result<AuthError> {
    throttle::count_failure(call)?;
    Ok(username_taken())
}

/// Returns the error for a new account with a user name that is taken.
pub(super) fn username_taken() -> AuthError {
    AuthError::new(ErrorKind::Application, "The user name is taken")
        .detail("action", "choose another user name")
}
