use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::SIGNING_KEYS_WRITE;
use crate::domain::env::Env;
use crate::domain::sessions::signing_key::{Published, SigningKey, SigningKeys};
use crate::error::Result;
use crate::types::time::Timestamp;

/// Lists the keys that sign access tokens, with their ids, algorithms and ages.
///
/// The private keys never leave the host; the public ones are at `/jwks`. Requires
/// `user-auth:signing-keys:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSigningKeys {}

/// The signing keys.
#[derive(Serialize, JsonSchema)]
pub struct SigningKeyList {
    /// All signing keys, newest first.
    pub signing_keys: Vec<SigningKeyView>,
}

/// A signing key.
#[derive(Serialize, JsonSchema)]
pub struct SigningKeyView {
    /// The key id in tokens (RFC 7515 section 4.1.4).
    pub kid: String,
    /// The algorithm of its signatures: `HS256` for tokens for this service itself, which
    /// only this service can verify; `ES256`, `EdDSA` or `RS256` for tokens for other
    /// services, which verify them by the public key.
    pub alg: &'static str,
    /// Whether the key signs new tokens, or will, only verifies older ones, or does neither.
    pub status: KeyStatus,
    /// The time at which it was created (RFC 3339).
    pub created_at: String,
    /// The time from which it signs, if other services have to learn its public key before
    /// (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signs_from: Option<String>,
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
    /// Its public key is published, and it will sign.
    Next,
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
    const TOOLSET: Option<Toolset> = Some(Toolset::Service);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(SIGNING_KEYS_WRITE);
    type Output = SigningKeyList;

    fn run(self, call: &ActorCall) -> Result<SigningKeyList> {
        let keys = SigningKeys::load_published(call)?;
        Ok(SigningKeyList::new(&keys, call))
    }
}

impl SigningKeyList {
    /// Returns the keys with their status now.
    pub fn new(keys: &SigningKeys, env: &Env) -> SigningKeyList {
        let now = env.now();
        let own = keys.current().map(|key| key.kid);
        let algorithm = env.settings.signing_algorithm;
        let published = keys.current_published(algorithm, now);
        let signing = [own, published.map(|(key, _)| key.kid)];
        let newest_first = keys.as_slice().iter().rev();
        SigningKeyList {
            signing_keys: newest_first
                .map(|key| SigningKeyView::new(key, signing.contains(&Some(key.kid)), now))
                .collect(),
        }
    }
}

impl SigningKeyView {
    fn new(key: &SigningKey, is_signing: bool, now: Timestamp) -> SigningKeyView {
        let published = key.published.as_ref();
        let signs_from = published.map(|published| published.signs_from);
        let status = match key.retires_at {
            Some(end) if now >= end => KeyStatus::Retired,
            _ if is_signing => KeyStatus::Signing,
            _ if signs_from.is_some_and(|begin| now < begin) => KeyStatus::Next,
            _ => KeyStatus::Verifying,
        };
        let (kid, alg) = match published {
            None => (key.kid.to_string(), "HS256"),
            Some(Published {
                thumbprint,
                algorithm,
                ..
            }) => (thumbprint.clone(), algorithm.name()),
        };
        SigningKeyView {
            kid,
            alg,
            status,
            created_at: key.created_at.to_rfc3339(),
            signs_from: signs_from.map(Timestamp::to_rfc3339),
            age_seconds: now.since(key.created_at).as_secs(),
            retires_at: key.retires_at.map(Timestamp::to_rfc3339),
        }
    }
}
