//! The formats in which other systems write password hashes:
//!
//! - bcrypt: `$2a$10$…`, `$2b$…`, `$2y$…`; Django writes `bcrypt$` before it, or
//!   `bcrypt_sha256$` for bcrypt over the SHA-256 of the password;
//! - PHC strings: `$argon2id$v=19$m=…,t=…,p=…$salt$hash` and `$argon2i$…` (with `argon2`
//!   before it in Django), `$scrypt$ln=…,r=…,p=…$salt$hash` and
//!   `$pbkdf2-sha256$i=…[,l=…]$salt$hash`;
//! - passlib: `$pbkdf2-sha256$600000$salt$hash`, and `$pbkdf2$…` for SHA-1;
//! - Django: `pbkdf2_sha256$600000$salt$hash`, `scrypt$16384$salt$8$5$hash`;
//! - Werkzeug: `pbkdf2:sha256:600000$salt$hash`, `scrypt:32768:8:1$salt$hash`;
//! - Firebase, as Supabase writes it:
//!   `$fbscrypt$v=1,n=14,r=8,p=1,ss=separator,sk=key of the project$salt$hash`.
//!
//! PBKDF2 may also use SHA-1 or SHA-512. A format that begins with `$` may be preceded by
//! the name of its encoder in braces, as Spring Security and LDAP write it:
//! `{bcrypt}$2b$…`. Base64 may or may not be padded with `=`.

use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, PAD};
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose};

use super::{Cost, ForeignHash};
use crate::ports::{HashParameters, Pbkdf2Parameters, ScryptParameters};

pub(super) const EXPECTED: &str = "expected a password hash: bcrypt ($2b$…), Argon2id \
     ($argon2id$v=19$…), scrypt ($scrypt$ln=…) or PBKDF2 ($pbkdf2-sha256$i=…)";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Accepts trailing bits: 16 bytes take 128 bits of 22 digits, and some writers leave data
/// in the four remaining bits.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    NO_PAD.with_decode_allow_trailing_bits(true),
);
const BCRYPT_SALT_DIGITS: usize = 22;
const BCRYPT_HASH_DIGITS: usize = 31;

/// Parses a hash in any of these formats. Its cost has not been checked yet.
pub(super) fn parse(text: &str) -> Result<ForeignHash, &'static str> {
    if text.starts_with("$2x$") {
        return Err("a bcrypt hash of the kind $2x$ comes from a broken implementation");
    }
    read(without_encoder(text)).ok_or(EXPECTED)
}

/// Removes the name of an encoder before a format that identifies itself.
fn without_encoder(text: &str) -> &str {
    let rest = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    match rest {
        Some((_, rest)) if rest.starts_with('$') => rest,
        _ => text,
    }
}

fn read(text: &str) -> Option<ForeignHash> {
    let text = text.strip_prefix("bcrypt$").unwrap_or(text);
    for kind in ["$2a$", "$2b$", "$2y$"] {
        if let Some(rest) = text.strip_prefix(kind) {
            return bcrypt(rest);
        }
    }
    // Django writes `bcrypt_sha256$$2b$…`.
    if let Some(rest) = text.strip_prefix("bcrypt_sha256$$2b$") {
        return bcrypt_sha256(rest);
    }
    // Django writes `argon2$argon2id$…`.
    let phc = text
        .strip_prefix("argon2")
        .filter(|rest| rest.starts_with("$argon2"));
    let phc = phc.unwrap_or(text);
    if let Some(rest) = phc.strip_prefix("$argon2id$") {
        return argon2(rest, Cost::Argon2id);
    }
    if let Some(rest) = phc.strip_prefix("$argon2i$") {
        return argon2(rest, Cost::Argon2i);
    }
    if let Some(rest) = text.strip_prefix("$fbscrypt$") {
        return firebase(rest);
    }
    if let Some(rest) = text.strip_prefix("$scrypt$") {
        return scrypt(rest);
    }
    for (name, prf) in [
        ("$pbkdf2-sha256$", Prf::Sha256),
        ("$pbkdf2-sha512$", Prf::Sha512),
        ("$pbkdf2-sha1$", Prf::Sha1),
        ("$pbkdf2$", Prf::Sha1),
    ] {
        if let Some(rest) = text.strip_prefix(name) {
            return pbkdf2(rest, prf);
        }
    }
    for (name, prf) in [
        ("pbkdf2_sha256$", Prf::Sha256),
        ("pbkdf2_sha512$", Prf::Sha512),
        ("pbkdf2_sha1$", Prf::Sha1),
    ] {
        if let Some(rest) = text.strip_prefix(name) {
            return django_pbkdf2(rest, prf);
        }
    }
    if let Some(rest) = text.strip_prefix("scrypt$") {
        return django_scrypt(rest);
    }
    for (name, prf) in [
        ("pbkdf2:sha256:", Prf::Sha256),
        ("pbkdf2:sha512:", Prf::Sha512),
        ("pbkdf2:sha1:", Prf::Sha1),
    ] {
        if let Some(rest) = text.strip_prefix(name) {
            return werkzeug_pbkdf2(rest, prf);
        }
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

fn bcrypt_sha256(rest: &str) -> Option<ForeignHash> {
    let foreign = bcrypt(rest)?;
    let Cost::Bcrypt { cost } = foreign.cost else {
        return None;
    };
    Some(ForeignHash {
        cost: Cost::BcryptSha256 { cost },
        ..foreign
    })
}

fn argon2(rest: &str, kind: fn(HashParameters) -> Cost) -> Option<ForeignHash> {
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
        cost: kind(parameters),
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

fn pbkdf2(rest: &str, prf: Prf) -> Option<ForeignHash> {
    let [parameters, salt, hash] = parts(rest, '$')?;
    // Passlib writes '.' instead of '+'.
    let salt = phc_bytes(&salt.replace('.', "+"))?;
    let hash = phc_bytes(&hash.replace('.', "+"))?;
    let iterations = match named(parameters, ["i", "l"]) {
        Some([iterations, said]) if said == length(&hash)? => iterations,
        Some(_) => return None,
        None => number(parameters.strip_prefix("i=").unwrap_or(parameters))?,
    };
    prf.of(iterations, salt, hash)
}

fn django_pbkdf2(rest: &str, prf: Prf) -> Option<ForeignHash> {
    let [iterations, salt, hash] = parts(rest, '$')?;
    prf.of(number(iterations)?, salt.into(), phc_bytes(hash)?)
}

fn django_scrypt(rest: &str) -> Option<ForeignHash> {
    let [n, salt, block_size, parallelism, hash] = parts(rest, '$')?;
    let hash = phc_bytes(hash)?;
    let (block_size, parallelism) = (number(block_size)?, number(parallelism)?);
    of_scrypt(logarithm(n)?, block_size, parallelism, salt.into(), hash)
}

fn werkzeug_pbkdf2(rest: &str, prf: Prf) -> Option<ForeignHash> {
    let [iterations, salt, hash] = parts(rest, '$')?;
    prf.of(number(iterations)?, salt.into(), hex(hash)?)
}

/// Parses Firebase's format: the salt gets its separator appended, and the hash loses the
/// project's key.
fn firebase(rest: &str) -> Option<ForeignHash> {
    let [parameters, salt, hash] = parts(rest, '$')?;
    let [version, log_n, block_size, parallelism, separator, key] = parts(parameters, ',')?;
    if version != "v=1" {
        return None;
    }
    let [log_n] = named(log_n, ["n"])?;
    let [block_size] = named(block_size, ["r"])?;
    let [parallelism] = named(parallelism, ["p"])?;
    let mut salt = phc_bytes(salt)?;
    salt.extend(phc_bytes(separator.strip_prefix("ss=")?)?);
    let key = phc_bytes(key.strip_prefix("sk=")?)?;
    let hash = phc_bytes(hash)?;
    if key.len() != hash.len() {
        return None;
    }
    let stream = key
        .iter()
        .zip(&hash)
        .map(|(key, hash)| key ^ hash)
        .collect();
    let log_n = u8::try_from(log_n).ok()?;
    let foreign = of_scrypt(log_n, block_size, parallelism, salt, stream)?;
    let Cost::Scrypt(parameters) = foreign.cost else {
        return None;
    };
    Some(ForeignHash {
        cost: Cost::FirebaseScrypt(parameters),
        ..foreign
    })
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

/// The pseudorandom function of PBKDF2.
#[derive(Clone, Copy)]
enum Prf {
    Sha1,
    Sha256,
    Sha512,
}

impl Prf {
    fn of(self, iterations: u32, salt: Vec<u8>, hash: Vec<u8>) -> Option<ForeignHash> {
        let parameters = Pbkdf2Parameters {
            iterations,
            output_length: length(&hash)?,
        };
        let cost = match self {
            Prf::Sha1 => Cost::Pbkdf2Sha1(parameters),
            Prf::Sha256 => Cost::Pbkdf2Sha256(parameters),
            Prf::Sha512 => Cost::Pbkdf2Sha512(parameters),
        };
        Some(ForeignHash { cost, salt, hash })
    }
}

/// Splits a text into exactly `N` parts.
fn parts<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    parts.try_into().ok()
}

/// Parses the numbers of `a=1,b=2`, with exactly these names in this order.
fn named<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let parts: [&str; N] = parts(text, ',')?;
    for ((part, name), value) in parts.into_iter().zip(names).zip(&mut numbers) {
        *value = number(part.strip_prefix(name)?.strip_prefix('=')?)?;
    }
    Some(numbers)
}

/// Parses a number in its only spelling: without a sign or leading zeros.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    (is_plain && !has_zeros)
        .then(|| text.parse().ok())
        .flatten()
}

/// Returns the binary logarithm of a power of two.
fn logarithm(text: &str) -> Option<u8> {
    let n = number(text)?;
    n.is_power_of_two().then(|| n.trailing_zeros() as u8)
}

fn length(hash: &[u8]) -> Option<u32> {
    u32::try_from(hash.len()).ok()
}

fn phc_bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    base16ct::mixed::decode_vec(text).ok()
}
