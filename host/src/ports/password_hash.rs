//! `password-hash`: to the pool of native threads.

use std::time::Duration;

use tracing::warn;
use zeroize::Zeroizing;

use crate::bindings::user_auth::plugin::password_hash::{Host, Parameters};
use crate::bindings::user_auth::plugin::types::Unavailable;
use crate::hasher::{HashError, HashRequest};
use crate::instance::State;

/// What is advised when another try will not help until somebody changes the
/// settings.
const REFUSED_RETRY: Duration = Duration::from_secs(60);
/// What is advised when there is no telling.
const UNKNOWN_RETRY: Duration = Duration::from_secs(1);

impl Host for State {
    async fn argon2id(
        &mut self,
        password: Vec<u8>,
        salt: Vec<u8>,
        secret: Vec<u8>,
        parameters: Parameters,
    ) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        let request = HashRequest {
            password: Zeroizing::new(password),
            salt,
            secret: Zeroizing::new(secret),
            memory_kib: parameters.memory_kib,
            iterations: parameters.iterations,
            parallelism: parameters.parallelism,
            output_length: parameters.output_length,
        };
        self.count_host_call()?;
        let hasher = self.host().hasher.clone();
        let hashed = self.wait(hasher.hash(request)).await;
        Ok(hashed.map_err(|error| {
            warn!(%error, "a password was not hashed");
            unavailable(&error)
        }))
    }
}

fn unavailable(error: &HashError) -> Unavailable {
    let retry_after = match error {
        HashError::Full { retry_after, .. } => *retry_after,
        HashError::Refused(_) => REFUSED_RETRY,
        HashError::Abandoned => UNKNOWN_RETRY,
    };
    Unavailable {
        reason: error.to_string(),
        retry_after_ms: u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX),
    }
}
