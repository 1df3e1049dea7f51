use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::SIGNING_KEYS_WRITE;
use crate::domain::sessions::signing_key::{SigningKey, SigningKeys};
use crate::error::Result;
use crate::types::id::Id;
use crate::types::time::Timestamp;

/// Lists the keys that sign access tokens, with their ids and ages. The keys themselves
/// never leave the host. Requires `user-auth:signing-keys:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSigningKeys {}

/// The signing keys.
#[derive(Serialize, JsonSchema)]
pub struct SigningKeyList {
    /// The current signing key, then the previous ones, newest first.
    pub signing_keys: Vec<SigningKeyView>,
}

/// A signing key.
#[derive(Serialize, JsonSchema)]
pub struct SigningKeyView {
    /// The key id in tokens (RFC 7515 section 4.1.4).
    pub kid: Id,
    /// Whether the key signs new tokens, only verifies older ones, or does neither.
    pub status: KeyStatus,
    /// The time at which it was created (RFC 3339).
    pub created_at: String,
    /// The age of the key in seconds.
    pub age_seconds: u64,
    /// The time until which tokens that it signed are valid (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<String>,
}

/// The use of a signing key.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It signs and verifies.
    Signing,
    /// It only verifies tokens that it has signed.
    Verifying,
    /// It does neither.
    Retired,
}

impl Operation for ListSigningKeys {
    const NAME: &'static str = "list_signing_keys";
    const TITLE: &'static str = "List the signing keys";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(SIGNING_KEYS_WRITE);
    type Output = SigningKeyList;

    fn run(self, call: &ActorCall) -> Result<SigningKeyList> {
        let keys = SigningKeys::load(call)?;
        Ok(SigningKeyList::new(&keys, call.now()))
    }
}

impl SigningKeyList {
    /// Returns the keys with their status at this time.
    pub fn new(keys: &SigningKeys, now: Timestamp) -> SigningKeyList {
        let newest_first = keys.as_slice().iter().rev();
        SigningKeyList {
            signing_keys: newest_first
                .map(|key| SigningKeyView::new(key, now))
                .collect(),
        }
    }
}

impl SigningKeyView {
    fn new(key: &SigningKey, now: Timestamp) -> SigningKeyView {
        SigningKeyView {
            kid: key.kid,
            status: match key.retires_at {
                None => KeyStatus::Signing,
                Some(end) if now < end => KeyStatus::Verifying,
                Some(_) => KeyStatus::Retired,
            },
            created_at: key.created_at.to_rfc3339(),
            age_seconds: now.since(key.created_at).as_secs(),
            retires_at: key.retires_at.map(Timestamp::to_rfc3339),
        }
    }
}
