//! Computes password hashes in the sandbox.

use std::cell::Cell;

use argon2::{Algorithm, Argon2, Params, Version};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::MasterKey;
use crate::ports::{
    Function, HashParameters, PasswordHash, Pbkdf2Parameters, ScryptParameters, Unavailable,
};

/// The most memory that one hash may use, the same as the bundled host's default.
const MAX_MEMORY_KIB: u64 = 128 * 1024;
/// The most memory that scrypt may fill over all lanes, which run one after the other.
const MAX_SCRYPT_FILLED_KIB: u64 = 512 * 1024;
const MAX_ITERATIONS: u32 = 16;
const MAX_PARALLELISM: u32 = 16;
const MAX_OUTPUT_BYTES: u32 = 1024;
const MAX_BCRYPT_COST: u32 = 14;
const MAX_PBKDF2_ITERATIONS: u64 = 5_000_000;
/// bcrypt's output has 24 bytes, of which its strings hold 23.
const BCRYPT_BYTES: usize = 23;
/// bcrypt ignores the bytes of a password after these.
const BCRYPT_PASSWORD_BYTES: usize = 72;

thread_local! {
    static COMPLETED: Cell<u64> = const { Cell::new(0) };
}

/// Computes hashes synchronously: the caller waits.
pub struct Hash;

/// Returns how many hashes this instance has computed.
pub fn completed() -> u64 {
    COMPLETED.get()
}

impl PasswordHash for Hash {
    fn hash(
        &self,
        function: Function,
        password: &[u8],
        salt: &[u8],
    ) -> Result<Vec<u8>, Unavailable> {
        let hash = match function {
            Function::Argon2id { parameters, pepper } => {
                let pepper = pepper.map(MasterKey::derive).transpose()?;
                let secret = pepper.as_ref().map_or(&[][..], |pepper| pepper.as_slice());
                argon2(Algorithm::Argon2id, password, salt, secret, parameters)
            }
            Function::Argon2i(parameters) => {
                argon2(Algorithm::Argon2i, password, salt, &[], parameters)
            }
            Function::Bcrypt { cost } => bcrypt(password, salt, cost),
            Function::Scrypt(parameters) => scrypt(password, salt, parameters),
            Function::Pbkdf2Sha256(parameters) => {
                pbkdf2(pbkdf2_hmac::<Sha256>, 32, password, salt, parameters)
            }
            Function::Pbkdf2Sha512(parameters) => {
                pbkdf2(pbkdf2_hmac::<Sha512>, 64, password, salt, parameters)
            }
            Function::Pbkdf2Sha1(parameters) => {
                pbkdf2(pbkdf2_hmac::<Sha1>, 20, password, salt, parameters)
            }
        }?;
        COMPLETED.set(COMPLETED.get() + 1);
        Ok(hash)
    }
}

fn argon2(
    algorithm: Algorithm,
    password: &[u8],
    salt: &[u8],
    secret: &[u8],
    parameters: HashParameters,
) -> Result<Vec<u8>, Unavailable> {
    let HashParameters {
        memory_kib,
        iterations,
        parallelism,
        output_length,
    } = parameters;
    let is_admitted = u64::from(memory_kib) <= MAX_MEMORY_KIB
        && iterations <= MAX_ITERATIONS
        && parallelism <= MAX_PARALLELISM;
    admit(is_admitted && output_length <= MAX_OUTPUT_BYTES)?;
    let length = output_length as usize;
    let params = Params::new(memory_kib, iterations, parallelism, Some(length)).map_err(refused)?;
    let argon2 =
        Argon2::new_with_secret(secret, algorithm, Version::V0x13, params).map_err(refused)?;
    let mut hash = vec![0; length];
    argon2
        .hash_password_into(password, salt, &mut hash)
        .map_err(refused)?;
    Ok(hash)
}

fn bcrypt(password: &[u8], salt: &[u8], cost: u32) -> Result<Vec<u8>, Unavailable> {
    admit((4..=MAX_BCRYPT_COST).contains(&cost))?;
    let salt: [u8; 16] = salt.try_into().map_err(refused)?;
    let mut key = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    key.extend_from_slice(password);
    key.push(0);
    key.truncate(BCRYPT_PASSWORD_BYTES);
    let hash = bcrypt::bcrypt(cost, salt, &key);
    Ok(hash[..BCRYPT_BYTES].to_vec())
}

fn scrypt(
    password: &[u8],
    salt: &[u8],
    parameters: ScryptParameters,
) -> Result<Vec<u8>, Unavailable> {
    let ScryptParameters {
        log_n,
        block_size,
        parallelism,
        output_length,
    } = parameters;
    let block = u64::from(block_size).saturating_mul(128);
    let memory = block.saturating_mul(1 << log_n.min(63));
    let lanes = block.saturating_mul(parallelism.into());
    let filled = memory.saturating_mul(parallelism.into());
    let is_admitted =
        memory.max(lanes) <= MAX_MEMORY_KIB * 1024 && filled <= MAX_SCRYPT_FILLED_KIB * 1024;
    admit(is_admitted && output_length <= MAX_OUTPUT_BYTES)?;
    let params = scrypt::Params::new(log_n, block_size, parallelism).map_err(refused)?;
    let mut hash = vec![0; output_length as usize];
    scrypt::scrypt(password, salt, &params, &mut hash).map_err(refused)?;
    Ok(hash)
}

/// Computes PBKDF2 with the given function, whose HMAC returns blocks of this many bytes.
/// Each block of output repeats all the work.
fn pbkdf2(
    function: fn(&[u8], &[u8], u32, &mut [u8]),
    block: u32,
    password: &[u8],
    salt: &[u8],
    parameters: Pbkdf2Parameters,
) -> Result<Vec<u8>, Unavailable> {
    let Pbkdf2Parameters {
        iterations,
        output_length,
    } = parameters;
    let work = u64::from(iterations) * u64::from(output_length.div_ceil(block));
    admit((1..=MAX_PBKDF2_ITERATIONS).contains(&work) && output_length <= MAX_OUTPUT_BYTES)?;
    let mut hash = vec![0; output_length as usize];
    function(password, salt, iterations, &mut hash);
    Ok(hash)
}

fn admit(is_admitted: bool) -> Result<(), Unavailable> {
    match is_admitted {
        true => Ok(()),
        false => Err(refused("its parameters exceed the limits of this build")),
    }
}

fn refused(reason: impl ToString) -> Unavailable {
    Unavailable {
        reason: format!("the password hash was refused: {}", reason.to_string()),
        retry_after_ms: Some(1000),
    }
}
