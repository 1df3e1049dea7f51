//! The interface `password-hash`, implemented by the pool of native threads.

use std::time::Duration;

use tracing::{debug, warn};
use zeroize::Zeroizing;

use crate::embed::bindings::user_auth::plugin::password_hash::{
    Host, Parameters, ScryptParameters,
};
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;
use crate::hasher::{Argon2Kind, Digest, Function, HashError, HashRequest};

/// Suggested delay when a retry will not help until the settings are changed.
const REFUSED_RETRY: Duration = Duration::from_secs(60);
/// Suggested delay when the right one is unknown.
const UNKNOWN_RETRY: Duration = Duration::from_secs(1);

/// The result for the component: the hash, or when to retry.
type Hashed = wasmtime::Result<Result<Vec<u8>, Unavailable>>;

impl Host for UserAuthCtx {
    async fn argon2id(
        &mut self,
        password: Vec<u8>,
        salt: Vec<u8>,
        secret: Vec<u8>,
        parameters: Parameters,
    ) -> Hashed {
        let function = argon2(Argon2Kind::Id, secret, parameters);
        hash(self, password, salt, function).await
    }

    async fn bcrypt(&mut self, password: Vec<u8>, salt: Vec<u8>, cost: u32) -> Hashed {
        hash(self, password, salt, Function::Bcrypt { cost }).await
    }

    async fn scrypt(
        &mut self,
        password: Vec<u8>,
        salt: Vec<u8>,
        parameters: ScryptParameters,
    ) -> Hashed {
        let function = Function::Scrypt {
            log_n: parameters.log_n,
            block_size: parameters.block_size,
            parallelism: parameters.parallelism,
            output_length: parameters.output_length,
        };
        hash(self, password, salt, function).await
    }

    async fn pbkdf2_sha256(
        &mut self,
        password: Vec<u8>,
        salt: Vec<u8>,
        iterations: u32,
        output_length: u32,
    ) -> Hashed {
        let function = pbkdf2(Digest::Sha256, iterations, output_length);
        hash(self, password, salt, function).await
    }

    async fn pbkdf2_sha512(
        &mut self,
        password: Vec<u8>,
        salt: Vec<u8>,
        iterations: u32,
        output_length: u32,
    ) -> Hashed {
        let function = pbkdf2(Digest::Sha512, iterations, output_length);
        hash(self, password, salt, function).await
    }

    async fn pbkdf2_sha1(
        &mut self,
        password: Vec<u8>,
        salt: Vec<u8>,
        iterations: u32,
        output_length: u32,
    ) -> Hashed {
        let function = pbkdf2(Digest::Sha1, iterations, output_length);
        hash(self, password, salt, function).await
    }

    async fn argon2i(
        &mut self,
        password: Vec<u8>,
        salt: Vec<u8>,
        parameters: Parameters,
    ) -> Hashed {
        let function = argon2(Argon2Kind::I, Vec::new(), parameters);
        hash(self, password, salt, function).await
    }
}

fn argon2(kind: Argon2Kind, secret: Vec<u8>, parameters: Parameters) -> Function {
    Function::Argon2 {
        kind,
        secret: Zeroizing::new(secret),
        memory_kib: parameters.memory_kib,
        iterations: parameters.iterations,
        parallelism: parameters.parallelism,
        output_length: parameters.output_length,
    }
}

const fn pbkdf2(digest: Digest, iterations: u32, output_length: u32) -> Function {
    Function::Pbkdf2 {
        digest,
        iterations,
        output_length,
    }
}

async fn hash(
    ctx: &mut UserAuthCtx,
    password: Vec<u8>,
    salt: Vec<u8>,
    function: Function,
) -> Hashed {
    let request = HashRequest {
        password: Zeroizing::new(password),
        salt,
        function,
    };
    ctx.count_host_call()?;
    let (hasher, source) = (ctx.shared().hasher.clone(), ctx.source());
    let hashed = ctx.wait(hasher.hash(request, source)).await;
    Ok(hashed.map_err(|error| {
        let unavailable = unavailable(&error);
        match error {
            // A flood can cause any number of these.
            HashError::Full { .. } => debug!(%error, "a password was not hashed"),
            _ if ctx.may_log(unavailable.reason.len()) => {
                warn!(%error, "a password was not hashed");
            }
            _ => {}
        }
        unavailable
    }))
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
