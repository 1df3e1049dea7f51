//! The interface `password-hash`, implemented by the pool of native threads.

use std::time::Duration;

use tracing::{debug, warn};
use zeroize::Zeroizing;

use crate::embed::bindings::user_auth::plugin::password_hash::{
    self as wit, Argon2Parameters, Host, Pbkdf2Parameters,
};
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;
use crate::hasher::{Argon2Kind, Digest, Function, HashError, HashRequest};
use crate::keys::label::{Label, LabelError};
use crate::keys::store_keys::StoreKeys;

/// Suggested delay when a retry will not help until the settings are changed.
const REFUSED_RETRY: Duration = Duration::from_secs(60);
/// Suggested delay when the right one is unknown.
const UNKNOWN_RETRY: Duration = Duration::from_secs(1);

impl Host for UserAuthCtx {
    async fn hash(
        &mut self,
        function: wit::Function,
        password: Vec<u8>,
        salt: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        self.count_host_call()?;
        let password = Zeroizing::new(password);
        let function = match hash_function(function, &self.shared().keys) {
            Ok(function) => function,
            Err(error) => return Ok(Err(error.into())),
        };
        let request = HashRequest {
            password,
            salt,
            function,
        };
        let (hasher, source) = (self.shared().hasher.clone(), self.source());
        let hashed = self.wait(hasher.hash(request, source)).await;
        Ok(hashed.map_err(|error| {
            let unavailable = unavailable(&error);
            match error {
                // A flood can cause any number of these.
                HashError::Full { .. } => debug!(%error, "a password was not hashed"),
                _ if self.may_log(unavailable.reason.len()) => {
                    warn!(%error, "a password was not hashed");
                }
                _ => {}
            }
            unavailable
        }))
    }
}

/// Returns the function with the pepper that its label names. Fails if the component may
/// not use that label.
fn hash_function(function: wit::Function, keys: &StoreKeys) -> Result<Function, LabelError> {
    Ok(match function {
        wit::Function::Argon2id(parameters) => argon2(Argon2Kind::Id, parameters, keys)?,
        wit::Function::Argon2i(parameters) => argon2(Argon2Kind::I, parameters, keys)?,
        wit::Function::Bcrypt(cost) => Function::Bcrypt { cost },
        wit::Function::Scrypt(parameters) => Function::Scrypt {
            log_n: parameters.log_n,
            block_size: parameters.block_size,
            parallelism: parameters.parallelism,
            output_length: parameters.output_length,
        },
        wit::Function::Pbkdf2Sha256(parameters) => pbkdf2(Digest::Sha256, parameters),
        wit::Function::Pbkdf2Sha512(parameters) => pbkdf2(Digest::Sha512, parameters),
        wit::Function::Pbkdf2Sha1(parameters) => pbkdf2(Digest::Sha1, parameters),
    })
}

fn argon2(
    kind: Argon2Kind,
    parameters: Argon2Parameters,
    keys: &StoreKeys,
) -> Result<Function, LabelError> {
    let secret = match &parameters.pepper {
        Some(label) => Zeroizing::new(keys.of_component(Label::parse(label)?).to_vec()),
        None => Zeroizing::default(),
    };
    Ok(Function::Argon2 {
        kind,
        secret,
        memory_kib: parameters.memory_kib,
        iterations: parameters.iterations,
        parallelism: parameters.parallelism,
        output_length: parameters.output_length,
    })
}

const fn pbkdf2(digest: Digest, parameters: Pbkdf2Parameters) -> Function {
    Function::Pbkdf2 {
        digest,
        iterations: parameters.iterations,
        output_length: parameters.output_length,
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
        retry_after_ms: Some(u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX)),
    }
}
