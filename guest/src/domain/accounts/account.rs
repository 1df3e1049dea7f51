//! Accounts, and the records that map user names and verified addresses to them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::email::{self, Email};
use super::role::RoleName;
use super::username::Username;
use crate::domain::audit::{Chain, Head};
use crate::domain::credentials::password::PasswordRecord;
use crate::domain::credentials::second_factor::{Enrolment, SecondFactor};
use crate::domain::env::Env;
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::Batch;
use crate::storage::ground::{self, AuthoritySource};
use crate::storage::record::{self, Found};
use crate::types::id::Id;
use crate::types::mac;
use crate::types::time::Timestamp;

/// The longest key that the store accepts (`wit/store.wit`).
const MAX_KEY_BYTES: usize = 512;

/// An account, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The `sub` of the account's tokens; never changes.
    pub user_id: Id,
    /// The name to log in with.
    pub username: Username,
    /// The owner's email address.
    #[serde(default, deserialize_with = "email::stored")]
    pub email: Option<Email>,
    /// Whether the owner has proved that the address is theirs. A verified address belongs
    /// to no other account.
    #[serde(default)]
    pub email_verified: bool,
    /// The stored form of the password.
    pub password: PasswordRecord,
    /// The number of passwords that the account had before: guesses at an earlier password
    /// say nothing about the current one. Hashing the same password again does not count.
    #[serde(default)]
    pub password_epoch: u64,
    /// When the account was registered.
    pub created_at: Timestamp,
    /// Whether the account may be used.
    pub status: Status,
    /// The roles of the account.
    pub roles: Vec<RoleName>,
    /// The number of times that all sessions of the account were ended: sessions with an
    /// earlier epoch are over, however many there are.
    pub session_epoch: u64,
    /// The second factor that a login requires in addition to the password.
    pub second_factor: Option<SecondFactor>,
    /// An enrolment that becomes the second factor once the owner has confirmed it.
    pub enrolment: Option<Enrolment>,
    /// The fingerprint of the data that an imported account was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
}

impl AuthoritySource for Account {
    fn record_key(&self) -> String {
        Account::key(self.user_id)
    }

    /// Whether the account may be used, which roles it has, and which of its sessions are
    /// alive.
    fn basis(&self) -> String {
        ground::digest(&(self.status, &self.roles, self.session_epoch))
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The account may be used.
    Active,
    /// An administrator has disabled the account.
    Disabled,
}

/// The record that maps a user name to its account. Because at most one such record exists
/// per name, user names are unique.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsernameRecord {
    /// The account with this user name.
    pub user_id: Id,
}

/// The record that maps a verified address to its account. Because at most one such record
/// exists per address, verified addresses are unique.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailRecord {
    /// The account with this address.
    pub user_id: Id,
}

impl Account {
    /// Creates an account that has not been used yet.
    pub fn new(username: Username, password: PasswordRecord, env: &Env) -> Result<Account> {
        Ok(Account {
            user_id: env.ports.random.id()?,
            username,
            email: None,
            email_verified: false,
            password,
            password_epoch: 0,
            created_at: env.now(),
            status: Status::Active,
            roles: Vec::new(),
            session_epoch: 0,
            second_factor: None,
            enrolment: None,
            imported: None,
        })
    }

    /// Replaces the password.
    pub fn set_password(&mut self, password: PasswordRecord) {
        self.password = password;
        self.password_epoch = self.password_epoch.saturating_add(1);
    }

    /// Returns the address if the owner has proved that it is theirs.
    pub fn verified_email(&self) -> Option<&Email> {
        self.email.as_ref().filter(|_| self.email_verified)
    }

    /// Returns the names with which the owner can log in: the user name and, if it is
    /// verified, the address, with the domain as it is sent and as people read it.
    pub fn login_names(&self) -> Vec<Username> {
        let mut names = vec![self.username.clone()];
        if let Some(email) = self.verified_email() {
            let (local, domain) = email.parts();
            let read = email.domain_as_read();
            let spellings = [domain, &*read].map(|domain| format!("{local}@{domain}"));
            // An address that is no user name cannot be typed as one.
            names.extend(spellings.into_iter().filter_map(|it| it.try_into().ok()));
        }
        names
    }

    /// Reports whether clients may be told the user name. A name that has the form of an email
    /// address has to be the verified address of the account.
    pub fn has_own_username(&self) -> bool {
        let name = self.username.as_str();
        !name.contains('@')
            || self
                .verified_email()
                .is_some_and(|email| email.as_str() == name)
    }

    /// Reports whether the account may be used.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// The prefix of all accounts.
    pub const PREFIX: &'static str = "account/";

    /// Returns the store key of an account.
    pub fn key(user_id: Id) -> String {
        format!("{}{user_id}", Account::PREFIX)
    }

    /// The prefix of the records of all user names.
    pub const USERNAME_PREFIX: &'static str = "username/";

    /// Returns the store key of the record that maps a user name to its account. Keys are
    /// ASCII and names are not, so the name is encoded in base64. A name that is too long
    /// for a key is replaced by its SHA-256 after a dot, which is not a digit of base64.
    pub fn username_key(username: &Username) -> String {
        let prefix = Account::USERNAME_PREFIX;
        let name = username.as_str();
        let key = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(name));
        match key.len() {
            0..=MAX_KEY_BYTES => key,
            _ => format!("{prefix}.{}", URL_SAFE_NO_PAD.encode(Sha256::digest(name))),
        }
    }

    /// Looks up the account with this user name.
    pub fn id_of(username: &Username, ports: &Ports) -> Result<Option<Id>> {
        let record = record::read::<UsernameRecord>(Account::username_key(username), ports)?;
        Ok(record.map(|record| record.value.user_id))
    }

    /// Looks up the account with this verified address or, if no account has that, with this
    /// user name. Anyone can register the address of somebody else as a user name, but only
    /// its owner can verify it. All that may be an address is looked up in one read, whether
    /// there is an account or not.
    pub fn id_of_login(name: &Username, env: &Env) -> Result<Option<Id>> {
        let Ok(email) = Email::try_from(name.as_str().to_owned()) else {
            return Account::id_of(name, &env.ports);
        };
        let keys = [
            Account::username_key(name),
            Account::email_key(&email, env)?,
        ];
        let (of_name, of_email) =
            record::read_both::<UsernameRecord, EmailRecord>(keys, &env.ports)?;
        let of_email = of_email.map(|record| record.value.user_id);
        Ok(of_email.or(of_name.map(|record| record.value.user_id)))
    }

    /// Returns the store key of the record that maps a verified address to its account.
    /// The address is pseudonymised, so that the store does not reveal it.
    pub fn email_key(email: &Email, env: &Env) -> Result<String> {
        let pseudonym = mac::pseudonym(&["email", &email.canonical()], &env.ports)?;
        Ok(format!("email/{}", mac::to_hex(&pseudonym)))
    }

    /// Looks up the account with this verified address.
    pub fn id_of_email(email: &Email, env: &Env) -> Result<Option<Id>> {
        let key = Account::email_key(email, env)?;
        let record = record::read::<EmailRecord>(key, &env.ports)?;
        Ok(record.map(|record| record.value.user_id))
    }

    /// Releases the verified address, in the batch of a change to the account.
    pub fn release_email(&self, batch: &mut Batch, env: &Env) -> Result<()> {
        if let Some(email) = self.verified_email() {
            batch.delete(Account::email_key(email, env)?, Expect::Any);
        }
        Ok(())
    }

    /// Reads an account, to decide without changing it.
    pub fn find(user_id: Id, ports: &Ports) -> Result<Found<Account>> {
        record::read(Account::key(user_id), ports)
    }

    /// Reads an account and the head of its audit chain, as one snapshot.
    pub fn read(user_id: Id, ports: &Ports) -> Result<(Found<Account>, Found<Head>)> {
        record::read_both([Account::key(user_id), Chain::head_key(user_id)], ports)
    }
}
