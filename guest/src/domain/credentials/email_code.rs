//! Codes that are sent to an account's address. Entering a code proves that the user can
//! read messages sent there. Each code is valid for one use and for a few minutes.
//!
//! An account has one record for each purpose, so a newer code replaces the previous one.
//! Using a code deletes its record as it was read, so the store allows only one of several
//! concurrent uses.

use serde::{Deserialize, Serialize};

use crate::domain::accounts::email::Email;
use crate::domain::env::Env;
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::Batch;
use crate::storage::record::{self, Stored};
use crate::types::id::Id;
use crate::types::record_secret::RecordSecret;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

const PREFIX: &str = "uac_";

/// The purpose of a code, which is not valid for any other purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Setting a new password.
    PasswordReset,
    /// Verifying an address.
    Email,
}

/// A code as its owner receives it: the account, and 256 random bits.
pub struct Code(RecordSecret);

/// The stored form of a code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// The address that the code was sent to.
    pub email: Option<Email>,
    /// When the code expires.
    pub expires_at: Timestamp,
    /// The keyed hash of the code.
    hash: String,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::PasswordReset => "password-reset",
            Purpose::Email => "email",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Purpose::PasswordReset => "password-reset-code-hash",
            Purpose::Email => "email-code-hash",
        }
    }

    /// Returns the store key of an account's code for this purpose.
    pub fn key(self, user_id: Id) -> String {
        format!("code/{}/{user_id}", self.name())
    }
}

impl Code {
    /// Creates a code for an account, and the record to store.
    pub fn create(
        purpose: Purpose,
        user_id: Id,
        email: Option<&Email>,
        env: &Env,
    ) -> Result<(Code, Slot)> {
        let code = RecordSecret::create(user_id, &env.ports)?;
        let slot = Slot {
            email: email.cloned(),
            expires_at: env.now() + env.settings.code_ttl,
            hash: code.hash(purpose.label(), &env.ports)?,
        };
        Ok((Code(code), slot))
    }

    /// Parses a text that has the form of a code.
    pub fn parse(text: &str) -> Option<Code> {
        RecordSecret::parse(text, PREFIX).map(Code)
    }

    /// Returns the account that the code claims to be for.
    pub fn user_id(&self) -> Id {
        self.0.id()
    }

    /// Returns the record of the code, or `None` unless the code matches it and is still
    /// valid.
    pub fn find(&self, purpose: Purpose, env: &Env) -> Result<Option<Stored<Slot>>> {
        let key = purpose.key(self.user_id());
        match record::read::<Slot>(key, &env.ports)? {
            Some(slot)
                if env.now() < slot.value.expires_at
                    && self
                        .0
                        .has_hash(&slot.value.hash, purpose.label(), &env.ports)? =>
            {
                Ok(Some(slot))
            }
            _ => Ok(None),
        }
    }

    /// Returns the text that the owner receives.
    pub fn to_secret(&self) -> Secret {
        self.0.to_secret(PREFIX)
    }
}

impl Slot {
    /// Replaces any earlier code with this one, in the batch of the request for it.
    pub fn put(&self, purpose: Purpose, user_id: Id, batch: &mut Batch, env: &Env) {
        let ttl_ms = u64::try_from(env.settings.code_ttl.as_millis()).unwrap_or(u64::MAX);
        batch.put(purpose.key(user_id), Expect::Any, self, Some(ttl_ms));
    }
}

/// Uses up a code and ends the account's other code, in the batch of the change that the
/// code permits.
pub fn use_up(purpose: Purpose, user_id: Id, slot: &Stored<Slot>, batch: &mut Batch) {
    batch.delete(purpose.key(user_id), Expect::At(slot.version.clone()));
    let other = match purpose {
        Purpose::PasswordReset => Purpose::Email,
        Purpose::Email => Purpose::PasswordReset,
    };
    batch.delete(other.key(user_id), Expect::Any);
}

/// Ends all codes of an account, in the batch of a change to its password, address or
/// status that invalidates them.
pub fn end_all(user_id: Id, batch: &mut Batch) {
    for purpose in [Purpose::PasswordReset, Purpose::Email] {
        batch.delete(purpose.key(user_id), Expect::Any);
    }
}
