//! Password hashes of other systems, for imported users: bcrypt, scrypt, PBKDF2 and
//! Argon2. This service creates none of them, and replaces each with its own hash at the
//! first login with the correct password.

mod firebase;
mod formats;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::ports::{Function, HashParameters, Pbkdf2Parameters, Ports, ScryptParameters};
use crate::settings;

/// No supported format is longer.
pub const MAX_BYTES: usize = 512;

// Verifying one hash takes at most two seconds and the memory that the host allows for one
// hash; otherwise a line of an imported file could be used to keep the host busy. The host
// has its own limits (`wit/password-hash.wit`).
const MAX_BCRYPT_COST: u32 = 14;
const MAX_PBKDF2_ITERATIONS: u64 = 5_000_000;
const MAX_MEMORY_KIB: u64 = 128 * 1024;
const MAX_SCRYPT_FILLED_KIB: u64 = 512 * 1024;
const MAX_SCRYPT_BLOCK_SIZE: u32 = 32;
const MAX_ARGON2_ITERATIONS: u32 = 16;
const MAX_PARALLELISM: u32 = 16;

// The recommendations of OWASP's Password Storage Cheat Sheet. Those for Argon2id are in
// the settings.
const GOOD_BCRYPT_COST: u32 = 10;
const GOOD_PBKDF2_SHA256_ITERATIONS: u32 = 600_000;
const GOOD_PBKDF2_SHA512_ITERATIONS: u32 = 210_000;
const GOOD_PBKDF2_SHA1_ITERATIONS: u32 = 1_300_000;
/// N = 2^17, r = 8, p = 1, and equivalent choices.
const GOOD_SCRYPT_WORK: u64 = 8 << 17;

/// A password hash of another system, in one of the formats that `import_users` accepts.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("writeOnly" = true, "maxLength" = MAX_BYTES))]
pub struct ForeignHash {
    /// The algorithm and the cost of the hash.
    pub cost: Cost,
    /// The salt.
    pub salt: Vec<u8>,
    /// The hash itself.
    pub hash: Vec<u8>,
}

/// The algorithm and the cost of a hash: everything that its time depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// bcrypt.
    Bcrypt {
        /// The binary logarithm of the number of rounds.
        cost: u32,
    },
    /// scrypt.
    Scrypt(ScryptParameters),
    /// PBKDF2 with HMAC-SHA256.
    Pbkdf2Sha256(Pbkdf2Parameters),
    /// Argon2id without this service's pepper.
    Argon2id(HashParameters),
    /// PBKDF2 with HMAC-SHA512.
    Pbkdf2Sha512(Pbkdf2Parameters),
    /// PBKDF2 with HMAC-SHA1.
    Pbkdf2Sha1(Pbkdf2Parameters),
    /// Argon2i.
    Argon2i(HashParameters),
    /// bcrypt of the SHA-256 of the password in hexadecimal, as in Django.
    BcryptSha256 {
        /// The binary logarithm of the number of rounds.
        cost: u32,
    },
    /// Firebase's scrypt, whose hash `firebase.rs` computes.
    FirebaseScrypt(ScryptParameters),
}

impl ForeignHash {
    /// Parses a hash in any of the formats that `foreign_hash/formats.rs` lists. The
    /// result can be verified within the limits above.
    ///
    /// Fails with what was expected; the message never contains any of the text.
    pub fn parse(text: &str) -> std::result::Result<ForeignHash, &'static str> {
        let text = text.trim_ascii();
        if text.len() > MAX_BYTES || !text.is_ascii() {
            return Err(formats::EXPECTED);
        }
        let foreign = formats::parse(text)?;
        // With a very short hash, wrong passwords soon match; with an empty one, every
        // password does.
        if !(16..=64).contains(&foreign.hash.len()) {
            return Err("a password hash has 16 to 64 bytes");
        }
        if !(8..=64).contains(&foreign.salt.len()) {
            return Err("the salt of a password hash has 8 to 64 bytes");
        }
        foreign.cost.check()?;
        Ok(foreign)
    }
}

impl TryFrom<String> for ForeignHash {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<ForeignHash, Self::Error> {
        ForeignHash::parse(&text)
    }
}

impl fmt::Debug for ForeignHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForeignHash({:?}, …)", self.cost)
    }
}

impl Cost {
    /// Fails with what was expected if a hash of this cost cannot be verified, or would
    /// take too much time or memory.
    fn check(self) -> std::result::Result<(), &'static str> {
        match self {
            Cost::Bcrypt { cost } | Cost::BcryptSha256 { cost } => match cost {
                4..=MAX_BCRYPT_COST => Ok(()),
                0..4 => Err("the cost of a bcrypt hash is at least 4"),
                _ => Err("the cost of a bcrypt hash is at most 14"),
            },
            Cost::Scrypt(parameters) | Cost::FirebaseScrypt(parameters) => check_scrypt(parameters),
            Cost::Pbkdf2Sha256(parameters) => check_pbkdf2(parameters, 32),
            Cost::Pbkdf2Sha512(parameters) => check_pbkdf2(parameters, 64),
            Cost::Pbkdf2Sha1(parameters) => check_pbkdf2(parameters, 20),
            Cost::Argon2id(parameters) | Cost::Argon2i(parameters) => check_argon2(parameters),
        }
    }

    /// Reports whether OWASP recommends a higher cost.
    pub fn is_weak(self) -> bool {
        match self {
            Cost::Bcrypt { cost } | Cost::BcryptSha256 { cost } => cost < GOOD_BCRYPT_COST,
            Cost::Scrypt(parameters) | Cost::FirebaseScrypt(parameters) => {
                let lanes = u64::from(parameters.block_size) * u64::from(parameters.parallelism);
                lanes << parameters.log_n < GOOD_SCRYPT_WORK
            }
            Cost::Pbkdf2Sha256(parameters) => parameters.iterations < GOOD_PBKDF2_SHA256_ITERATIONS,
            Cost::Pbkdf2Sha512(parameters) => parameters.iterations < GOOD_PBKDF2_SHA512_ITERATIONS,
            Cost::Pbkdf2Sha1(parameters) => parameters.iterations < GOOD_PBKDF2_SHA1_ITERATIONS,
            // OWASP recommends Argon2id instead; there are shortcuts for Argon2i with few
            // passes.
            Cost::Argon2i(_) => true,
            Cost::Argon2id(parameters) => {
                parameters.memory_kib < settings::argon2_floor_kib(parameters.iterations)
            }
        }
    }

    /// Hashes a form of a password as the other system did.
    ///
    /// bcrypt uses only the first 72 bytes of a password, so only they count at the first
    /// login with an imported bcrypt hash. That login hashes the password again, and from
    /// then on all of it counts.
    pub fn hash(self, password: &[u8], salt: &[u8], ports: &Ports) -> Result<Vec<u8>> {
        let hash = |function| ports.password_hash.hash(function, password, salt);
        let hash = match self {
            Cost::Bcrypt { cost } => hash(Function::Bcrypt { cost })?,
            Cost::Scrypt(parameters) => hash(Function::Scrypt(parameters))?,
            Cost::Pbkdf2Sha256(parameters) => hash(Function::Pbkdf2Sha256(parameters))?,
            Cost::Argon2id(parameters) => hash(Function::Argon2id {
                parameters,
                pepper: None,
            })?,
            Cost::Pbkdf2Sha512(parameters) => hash(Function::Pbkdf2Sha512(parameters))?,
            Cost::Pbkdf2Sha1(parameters) => hash(Function::Pbkdf2Sha1(parameters))?,
            Cost::Argon2i(parameters) => hash(Function::Argon2i(parameters))?,
            Cost::BcryptSha256 { cost } => {
                let digest =
                    Zeroizing::new(base16ct::lower::encode_string(&Sha256::digest(password)));
                let function = Function::Bcrypt { cost };
                ports
                    .password_hash
                    .hash(function, digest.as_bytes(), salt)?
            }
            Cost::FirebaseScrypt(parameters) => {
                let of_key = firebase::key_parameters(parameters);
                let key = Zeroizing::new(hash(Function::Scrypt(of_key))?);
                firebase::keystream(&key, parameters.output_length)
            }
        };
        Ok(hash)
    }
}

fn check_scrypt(parameters: ScryptParameters) -> std::result::Result<(), &'static str> {
    let ScryptParameters {
        log_n,
        block_size,
        parallelism,
        ..
    } = parameters;
    let is_known = (1..=30).contains(&log_n)
        && (1..=MAX_SCRYPT_BLOCK_SIZE).contains(&block_size)
        && (1..=MAX_PARALLELISM).contains(&parallelism);
    // 128 * N * r bytes: RFC 7914 section 2.
    let memory_kib = (u64::from(block_size) << log_n.min(30)) / 8;
    if !is_known || memory_kib > MAX_MEMORY_KIB {
        return Err("an scrypt hash takes at most 128 MiB, with r at most 32 and p at most 16");
    }
    if memory_kib * u64::from(parallelism) > MAX_SCRYPT_FILLED_KIB {
        return Err("an scrypt hash fills at most 512 MiB over all its lanes");
    }
    Ok(())
}

/// Checks the cost with an HMAC that returns blocks of this many bytes. Each block of
/// output repeats all the work.
fn check_pbkdf2(parameters: Pbkdf2Parameters, block: u32) -> std::result::Result<(), &'static str> {
    let Pbkdf2Parameters {
        iterations,
        output_length,
    } = parameters;
    let work = u64::from(iterations) * u64::from(output_length.div_ceil(block));
    if iterations == 0 || work > MAX_PBKDF2_ITERATIONS {
        return Err(
            "a PBKDF2 hash has 1 to 5,000,000 iterations, counted for each 32 bytes of its output, \
             of SHA-512 for each 64 and of SHA-1 for each 20",
        );
    }
    Ok(())
}

fn check_argon2(parameters: HashParameters) -> std::result::Result<(), &'static str> {
    let HashParameters {
        memory_kib,
        iterations,
        parallelism,
        ..
    } = parameters;
    let is_known = (1..=MAX_ARGON2_ITERATIONS).contains(&iterations)
        && (1..=MAX_PARALLELISM).contains(&parallelism)
        && memory_kib >= 8 * parallelism;
    if !is_known || u64::from(memory_kib) > MAX_MEMORY_KIB {
        return Err("an Argon2 hash takes at most 128 MiB, 16 passes and 16 lanes");
    }
    Ok(())
}
