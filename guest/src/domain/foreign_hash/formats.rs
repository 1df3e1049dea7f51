//! The forms in which other systems write password hashes down:
//!
//! - bcrypt: `$2a$10$…`, `$2b$…`, `$2y$…`, in Django with `bcrypt$` before it;
//! - the PHC strings `$argon2id$v=19$m=…,t=…,p=…$salt$hash` (in Django with
//!   `argon2` before it), `$scrypt$ln=…,r=…,p=…$salt$hash` and
//!   `$pbkdf2-sha256$i=…[,l=…]$salt$hash`;
//! - passlib: `$pbkdf2-sha256$600000$salt$hash`;
//! - Django: `pbkdf2_sha256$600000$salt$hash`, `scrypt$16384$salt$8$5$hash`;
//! - Werkzeug: `pbkdf2:sha256:600000$salt$hash`, `scrypt:32768:8:1$salt$hash`.

use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD, STANDARD_NO_PAD};
use base64::engine::{Engine, GeneralPurpose};

use super::{Cost, ForeignHash};
use crate::ports::{HashParameters, ScryptParameters};

pub(super) const EXPECTED: &str = "expected a password hash: bcrypt ($2b$…), Argon2id \
     ($argon2id$v=19$…), scrypt ($scrypt$ln=…) or PBKDF2-SHA256 ($pbkdf2-sha256$i=…)";

/// 16 bytes take 128 bits of 22 digits, and there are writers that leave something
/// in the four bits beyond.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    NO_PAD.with_decode_allow_trailing_bits(true),
);
const BCRYPT_SALT_DIGITS: usize = 22;
const BCRYPT_HASH_DIGITS: usize = 31;

/// The hash, if the text has one of the forms. Of its cost nothing is known yet.
pub(super) fn parse(text: &str) -> Result<ForeignHash, &'static str> {
    if text.starts_with("$2x$") {
        return Err("a bcrypt hash of the kind $2x$ is of a broken implementation");
    }
    read(text).ok_or(EXPECTED)
}

fn read(text: &str) -> Option<ForeignHash> {
    let text = text.strip_prefix("bcrypt$").unwrap_or(text);
    for kind in ["$2a$", "$2b$", "$2y$"] {
        if let Some(rest) = text.strip_prefix(kind) {
            return bcrypt(rest);
        }
    }
    if let Some(rest) = text.strip_prefix("$argon2id$") {
        return argon2id(rest);
    }
    if let Some(rest) = text.strip_prefix("argon2$argon2id$") {
        return argon2id(rest);
    }
    if let Some(rest) = text.strip_prefix("$scrypt$") {
        return scrypt(rest);
    }
    if let Some(rest) = text.strip_prefix("$pbkdf2-sha256$") {
        return pbkdf2(rest);
    }
    if let Some(rest) = text.strip_prefix("pbkdf2_sha256$") {
        return django_pbkdf2(rest);
    }
    if let Some(rest) = text.strip_prefix("scrypt$") {
        return django_scrypt(rest);
    }
    if let Some(rest) = text.strip_prefix("pbkdf2:sha256:") {
        return werkzeug_pbkdf2(rest);
    }
    werkzeug_scrypt(text.strip_prefix("scrypt:")?)
}

fn bcrypt(rest: &str) -> Option<ForeignHash> {
    let (cost, rest) = rest.split_once('$')?;
    if cost.len() != 2 || rest.len() != BCRYPT_SALT_DIGITS + BCRYPT_HASH_DIGITS {
        return None;
    }
    let (salt, hash) = rest.split_at_checked(BCRYPT_SALT_DIGITS)?;
    let cost = number(cost.strip_prefix('0').unwrap_or(cost))?;
    Some(ForeignHash {
        cost: Cost::Bcrypt { cost },
        salt: BCRYPT_BASE64.decode(salt).ok()?,
        hash: BCRYPT_BASE64.decode(hash).ok()?,
    })
}

fn argon2id(rest: &str) -> Option<ForeignHash> {
    let [version, parameters, salt, hash] = parts(rest, '$')?;
    let [memory_kib, iterations, parallelism] = named(parameters, ["m", "t", "p"])?;
    let hash = phc_bytes(hash)?;
    let parameters = HashParameters {
        memory_kib,
        iterations,
        parallelism,
        output_length: length(&hash)?,
    };
    (version == "v=19").then_some(ForeignHash {
        cost: Cost::Argon2id(parameters),
        salt: phc_bytes(salt)?,
        hash,
    })
}

fn scrypt(rest: &str) -> Option<ForeignHash> {
    let [parameters, salt, hash] = parts(rest, '$')?;
    let [log_n, block_size, parallelism] = named(parameters, ["ln", "r", "p"])?;
    let log_n = u8::try_from(log_n).ok()?;
    let (salt, hash) = (phc_bytes(salt)?, phc_bytes(hash)?);
    of_scrypt(log_n, block_size, parallelism, salt, hash)
}

fn pbkdf2(rest: &str) -> Option<ForeignHash> {
    let [parameters, salt, hash] = parts(rest, '$')?;
    // Passlib writes '.' for '+'.
    let salt = phc_bytes(&salt.replace('.', "+"))?;
    let hash = phc_bytes(&hash.replace('.', "+"))?;
    let iterations = match named(parameters, ["i", "l"]) {
        Some([iterations, said]) if said == length(&hash)? => iterations,
        Some(_) => return None,
        None => number(parameters.strip_prefix("i=").unwrap_or(parameters))?,
    };
    of_pbkdf2(iterations, salt, hash)
}

fn django_pbkdf2(rest: &str) -> Option<ForeignHash> {
    let [iterations, salt, hash] = parts(rest, '$')?;
    of_pbkdf2(
        number(iterations)?,
        salt.into(),
        STANDARD.decode(hash).ok()?,
    )
}

fn django_scrypt(rest: &str) -> Option<ForeignHash> {
    let [n, salt, block_size, parallelism, hash] = parts(rest, '$')?;
    let hash = STANDARD.decode(hash).ok()?;
    let (block_size, parallelism) = (number(block_size)?, number(parallelism)?);
    of_scrypt(logarithm(n)?, block_size, parallelism, salt.into(), hash)
}

fn werkzeug_pbkdf2(rest: &str) -> Option<ForeignHash> {
    let [iterations, salt, hash] = parts(rest, '$')?;
    of_pbkdf2(number(iterations)?, salt.into(), hex(hash)?)
}

fn werkzeug_scrypt(rest: &str) -> Option<ForeignHash> {
    let [parameters, salt, hash] = parts(rest, '$')?;
    let [n, block_size, parallelism] = parts(parameters, ':')?;
    let (block_size, parallelism) = (number(block_size)?, number(parallelism)?);
    of_scrypt(
        logarithm(n)?,
        block_size,
        parallelism,
        salt.into(),
        hex(hash)?,
    )
}

fn of_scrypt(
    log_n: u8,
    block_size: u32,
    parallelism: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
) -> Option<ForeignHash> {
    let parameters = ScryptParameters {
        log_n,
        block_size,
        parallelism,
        output_length: length(&hash)?,
    };
    Some(ForeignHash {
        cost: Cost::Scrypt(parameters),
        salt,
        hash,
    })
}

fn of_pbkdf2(iterations: u32, salt: Vec<u8>, hash: Vec<u8>) -> Option<ForeignHash> {
    let cost = Cost::Pbkdf2Sha256 {
        iterations,
        output_length: length(&hash)?,
    };
    Some(ForeignHash { cost, salt, hash })
}

/// Exactly so many parts.
fn parts<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    parts.try_into().ok()
}

/// The numbers of `a=1,b=2`, with exactly these names in this order.
fn named<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let parts: [&str; N] = parts(text, ',')?;
    for ((part, name), value) in parts.into_iter().zip(names).zip(&mut numbers) {
        *value = number(part.strip_prefix(name)?.strip_prefix('=')?)?;
    }
    Some(numbers)
}

/// A number in its one spelling: no sign, no zeros before it.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    (is_plain && !has_zeros)
        .then(|| text.parse().ok())
        .flatten()
}

/// The binary logarithm of a power of two.
fn logarithm(text: &str) -> Option<u8> {
    let n = number(text)?;
    n.is_power_of_two().then(|| n.trailing_zeros() as u8)
}

fn length(hash: &[u8]) -> Option<u32> {
    u32::try_from(hash.len()).ok()
}

fn phc_bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    Some(pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}
