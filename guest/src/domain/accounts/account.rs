//! Accounts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::email::{self, Email};
use super::role::RoleName;
use super::username::Username;
use crate::domain::audit::{Chain, Head};
use crate::domain::context::Context;
use crate::domain::credentials::password::PasswordRecord;
use crate::domain::credentials::second_factor::{Enrolment, SecondFactor};
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::Batch;
use crate::storage::ground::{self, Ground};
use crate::storage::record::{self, Found};
use crate::types::id::Id;
use crate::types::mac;
use crate::types::time::Timestamp;

/// As many as the store takes (`wit/store.wit`).
const MAX_KEY_BYTES: usize = 512;

/// An account, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The `sub` of its tokens; never changes.
    pub user_id: Id,
    /// The name to log in with.
    pub username: Username,
    /// Where its owner may be reached.
    #[serde(default, deserialize_with = "email::stored")]
    pub email: Option<Email>,
    /// Its owner has shown that the address is theirs; it is no other account's.
    #[serde(default)]
    pub email_verified: bool,
    /// How its owner is known.
    pub password: PasswordRecord,
    /// Counts the passwords that it has had before: guesses at one of them say nothing
    /// of the next. The same password hashed once more is no other.
    #[serde(default)]
    pub password_epoch: u64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Whether it may be used.
    pub status: Status,
    /// What it may do.
    pub roles: Vec<RoleName>,
    /// Counts the times that all its sessions were ended: those begun before are
    /// over, however many there are.
    pub session_epoch: u64,
    /// What a login takes beside the password.
    pub second_factor: Option<SecondFactor>,
    /// What shall become the second factor, once its owner has confirmed it.
    pub enrolment: Option<Enrolment>,
    /// Of an account that was imported, the fingerprint of what it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
}

impl Ground for Account {
    fn record_key(&self) -> String {
        Account::key(self.user_id)
    }

    /// Whether it may be used, what it may do, and which of its sessions are alive.
    fn basis(&self) -> String {
        ground::digest(&(self.status, &self.roles, self.session_epoch))
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It may.
    Active,
    /// Somebody who may do so has stopped it.
    Disabled,
}

/// Which account a user name belongs to. That this record is there at most once
/// is what makes user names unique.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsernameRecord {
    /// Whose it is.
    pub user_id: Id,
}

/// Which account a verified address belongs to. That this record is there at most
/// once is what makes verified addresses unique.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailRecord {
    /// Whose it is.
    pub user_id: Id,
}

impl Account {
    /// An account that nobody has used yet.
    pub fn new(username: Username, password: PasswordRecord, context: &Context) -> Result<Account> {
        Ok(Account {
            user_id: context.ports.random.id()?,
            username,
            email: None,
            email_verified: false,
            password,
            password_epoch: 0,
            created_at: context.now(),
            status: Status::Active,
            roles: Vec::new(),
            session_epoch: 0,
            second_factor: None,
            enrolment: None,
            imported: None,
        })
    }

    /// Replaces its password with another.
    pub fn set_password(&mut self, password: PasswordRecord) {
        self.password = password;
        self.password_epoch = self.password_epoch.saturating_add(1);
    }

    /// The address, if its owner has shown that it is theirs.
    pub fn verified_email(&self) -> Option<&Email> {
        self.email.as_ref().filter(|_| self.email_verified)
    }

    /// Whether it may be used.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// All accounts.
    pub const PREFIX: &'static str = "account/";

    /// Where an account is stored.
    pub fn key(user_id: Id) -> String {
        format!("{}{user_id}", Account::PREFIX)
    }

    /// The records of all user names.
    pub const USERNAME_PREFIX: &'static str = "username/";

    /// Where it is stored whose a user name is. Names are not all ASCII, keys are; and of
    /// a name that is too long for a key there is its SHA-256, after a dot, which is no
    /// digit of base64.
    pub fn username_key(username: &Username) -> String {
        let prefix = Account::USERNAME_PREFIX;
        let name = username.as_str();
        let key = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(name));
        match key.len() {
            0..=MAX_KEY_BYTES => key,
            _ => format!("{prefix}.{}", URL_SAFE_NO_PAD.encode(Sha256::digest(name))),
        }
    }

    /// Whose the user name is.
    pub fn id_of(username: &Username, ports: &Ports) -> Result<Option<Id>> {
        let record = record::read::<UsernameRecord>(Account::username_key(username), ports)?;
        Ok(record.map(|record| record.value.user_id))
    }

    /// Where it is stored whose a verified address is. The store need not tell
    /// which addresses there are.
    pub fn email_key(email: &Email, context: &Context) -> Result<String> {
        let pseudonym = mac::pseudonym(&["email", &email.canonical()], &context.ports)?;
        Ok(format!("email/{}", mac::to_hex(&pseudonym)))
    }

    /// Whose the verified address is.
    pub fn id_of_email(email: &Email, context: &Context) -> Result<Option<Id>> {
        let key = Account::email_key(email, context)?;
        let record = record::read::<EmailRecord>(key, &context.ports)?;
        Ok(record.map(|record| record.value.user_id))
    }

    /// Gives the verified address free, in the batch of a change of the account.
    pub fn release_email(&self, batch: &mut Batch, context: &Context) -> Result<()> {
        if let Some(email) = self.verified_email() {
            batch.delete(Account::email_key(email, context)?, Expect::Any);
        }
        Ok(())
    }

    /// An account and the head of its audit chain, as one snapshot.
    pub fn read(user_id: Id, ports: &Ports) -> Result<(Found<Account>, Found<Head>)> {
        record::read_both([Account::key(user_id), Chain::head_key(user_id)], ports)
    }
}
