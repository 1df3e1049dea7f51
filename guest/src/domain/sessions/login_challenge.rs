//! Login challenges: the step between the password and the session of an account with a
//! second factor.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::accounts::account::Account;
use crate::domain::env::Env;
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::Batch;
use crate::storage::record::{self, Found, Stored};
use crate::types::id::Id;
use crate::types::record_secret::RecordSecret;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

const PREFIX: &str = "uax_";
/// The label of the key that challenges are hashed under.
const LABEL: &str = "login-challenge";
/// How long a challenge can be answered.
pub const TTL: Duration = Duration::from_secs(300);
/// The number of codes that may be tried on one challenge.
pub const MAX_CODES: i64 = 5;

/// A challenge, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginChallenge {
    /// The id of the challenge, which is not secret.
    pub challenge_id: Id,
    /// The account whose password was correct.
    pub user_id: Id,
    /// The session epoch of the account at that time. It changes with every new password,
    /// every change of the second factor, and when all sessions end.
    epoch: u64,
    expires_at: Timestamp,
    hash: String,
}

impl LoginChallenge {
    /// Creates a challenge for the account, and the text that its owner receives.
    pub fn create(account: &Account, env: &Env) -> Result<(LoginChallenge, Secret)> {
        let challenge_id = env.ports.random.id()?;
        let secret = RecordSecret::create(challenge_id, &env.ports)?;
        let challenge = LoginChallenge {
            challenge_id,
            user_id: account.user_id,
            epoch: account.session_epoch,
            expires_at: env.now() + TTL,
            hash: secret.hash(LABEL, &env.ports)?,
        };
        Ok((challenge, secret.to_secret(PREFIX)))
    }

    /// Stores the challenge, in the batch of the login that returns it.
    pub fn store(&self, batch: &mut Batch) {
        batch.put(self.key(), Expect::Absent, self, Some(ttl_ms()));
    }

    /// Returns the challenge with this text, or `None` unless this service issued it and
    /// it has not been answered.
    pub fn read(text: &str, ports: &Ports) -> Result<Found<LoginChallenge>> {
        let Some(secret) = RecordSecret::parse(text, PREFIX) else {
            return Ok(None);
        };
        match record::read::<LoginChallenge>(key(secret.id()), ports)? {
            Some(found) if secret.has_hash(&found.value.hash, LABEL, ports)? => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// Reports whether the challenge may still be answered, given the state of the
    /// account.
    pub fn is_alive(&self, account: &Account, now: Timestamp) -> bool {
        now < self.expires_at
            && account.is_active()
            && self.user_id == account.user_id
            && self.epoch == account.session_epoch
    }

    /// Counts a code that is about to be tried; returns `false` if it is one too many.
    pub fn count_code(&self, ports: &Ports) -> Result<bool> {
        let tried = ports.store.add(&self.counter_key(), 1, Some(ttl_ms()))?;
        Ok(tried <= MAX_CODES)
    }

    fn key(&self) -> String {
        key(self.challenge_id)
    }

    fn counter_key(&self) -> String {
        format!("login-challenge-codes/{}", self.challenge_id)
    }
}

/// Uses up the challenge, in the batch of the login that it completes.
pub fn use_up(challenge: &Stored<LoginChallenge>, batch: &mut Batch) {
    let expect = Expect::At(challenge.version.clone());
    batch.delete(challenge.value.key(), expect);
    batch.delete(challenge.value.counter_key(), Expect::Any);
}

fn key(challenge_id: Id) -> String {
    format!("login-challenge/{challenge_id}")
}

fn ttl_ms() -> u64 {
    TTL.as_secs() * 1000
}
