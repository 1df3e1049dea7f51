//! Authorization codes: what a client exchanges for its first tokens (RFC 6749 section
//! 4.1). A code works once, and only a keyed hash of it is stored.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::code_challenge::CodeChallenge;
use super::delegation::Delegation;
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::redirect_uri::RedirectUri;
use crate::domain::env::Env;
use crate::domain::sessions::session::Session;
use crate::error::Result;
use crate::ports::{Expect, Ports, Version};
use crate::storage::batch::Batch;
use crate::storage::record::{self, Found, Stored};
use crate::types::id::Id;
use crate::types::mac;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// Lets secret scanners identify the code.
const PREFIX: &str = "uac_";
/// How long a code can be exchanged.
pub const TTL: Duration = Duration::from_secs(60);
/// How long the end of a code is remembered, so that a later use is noticed.
const USED_TTL: Duration = Duration::from_secs(600);

/// What a code stands for, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorizationCode {
    /// What the user lets the client do.
    pub delegation: Delegation,
    /// Where the code was sent.
    pub redirect_uri: RedirectUri,
    /// The challenge, whose verifier the client has to show.
    pub challenge: CodeChallenge,
    /// The user.
    pub user_id: Id,
    /// The session epoch of the account when the user decided.
    pub epoch: u64,
    /// When the user authenticated.
    pub auth_time: Timestamp,
    /// The methods that the user authenticated with (RFC 8176).
    pub amr: Vec<String>,
    /// What the client wants to find in the id token (OpenID Connect Core 1.0 section
    /// 3.1.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    expires_at: Timestamp,
}

/// A code that was issued here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeState {
    /// It has not been shown yet.
    Unused(Box<AuthorizationCode>),
    /// It has begun a session.
    Used {
        /// The session.
        session_id: Id,
        /// The challenge, whose verifier only the client has.
        challenge: CodeChallenge,
    },
}

impl AuthorizationCode {
    /// Creates a code of the owner of a session who has just decided.
    pub fn new(
        session: &Session,
        delegation: Delegation,
        redirect_uri: RedirectUri,
        challenge: CodeChallenge,
        nonce: Option<String>,
    ) -> AuthorizationCode {
        AuthorizationCode {
            expires_at: delegation.granted_at + TTL,
            delegation,
            redirect_uri,
            challenge,
            nonce,
            user_id: session.user_id,
            epoch: session.epoch,
            auth_time: session.auth_time,
            amr: session.amr.clone(),
        }
    }

    /// Stores the code, and returns its text for the client.
    pub fn store(self, batch: &mut Batch, env: &Env) -> Result<Secret> {
        let mut bytes = Zeroizing::new([0; 32]);
        env.ports.random.fill(bytes.as_mut_slice())?;
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let text = Secret::new(format!("{PREFIX}{}", *encoded));
        let key = key(text.expose(), &env.ports)?;
        let state = CodeState::Unused(Box::new(self));
        batch.put(key, Expect::Absent, &state, ttl_ms(TTL));
        Ok(text)
    }

    /// Reports whether the code can no longer be exchanged.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// Reports whether the user has taken the access of the client away since agreeing.
    pub fn is_revoked(&self, ports: &Ports) -> Result<bool> {
        let key = revoked_key(self.user_id, &self.delegation.client_id);
        let revoked_at = record::read::<Timestamp>(key, ports)?;
        Ok(revoked_at.is_some_and(|revoked_at| self.delegation.granted_at <= revoked_at.value))
    }
}

/// Ends all codes that the client has got from this user so far.
pub fn revoke_all(user_id: Id, client_id: &ClientId, now: Timestamp, batch: &mut Batch) {
    let key = revoked_key(user_id, client_id);
    batch.put(key, Expect::Any, &now, ttl_ms(USED_TTL));
}

/// Returns the state of a code, or `None` if it was not issued here or is forgotten.
pub fn read(text: &str, ports: &Ports) -> Result<Found<CodeState>> {
    record::read(key(text, ports)?, ports)
}

/// Notes that the code has begun a session, in the batch that begins it. Of two uses at the
/// same time, the batch of one is refused.
pub fn use_up(
    text: &str,
    version: &Version,
    code: &AuthorizationCode,
    session_id: Id,
    batch: &mut Batch,
    ports: &Ports,
) -> Result<()> {
    let used = CodeState::Used {
        session_id,
        challenge: code.challenge.clone(),
    };
    let expect = Expect::At(version.clone());
    batch.put(key(text, ports)?, expect, &used, ttl_ms(USED_TTL));
    Ok(())
}

/// Revokes a code that was presented without the right to exchange it.
pub fn revoke(
    text: &str,
    state: &Stored<CodeState>,
    batch: &mut Batch,
    ports: &Ports,
) -> Result<()> {
    let expect = Expect::At(state.version.clone());
    batch.delete(key(text, ports)?, expect);
    Ok(())
}

fn revoked_key(user_id: Id, client_id: &ClientId) -> String {
    let client = client_id.record_name();
    format!("authorization-codes-revoked/{user_id}/{client}")
}

fn key(text: &str, ports: &Ports) -> Result<String> {
    let hash = mac::of("authorization-code", text.as_bytes(), ports)?;
    Ok(format!("authorization-code/{}", mac::to_hex(&hash)))
}

fn ttl_ms(ttl: Duration) -> Option<u64> {
    u64::try_from(ttl.as_millis()).ok()
}
