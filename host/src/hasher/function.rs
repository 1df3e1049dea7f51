//! The password hash functions, and the limits of their costs.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use hmac::Hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

use super::{HashError, HashRequest};
use crate::limits::Limits;

/// bcrypt strings contain this many of the 24 bytes of output.
const BCRYPT_BYTES: usize = 23;
/// bcrypt uses at most this many bytes of a password.
const BCRYPT_PASSWORD_BYTES: usize = 72;

/// A hash function with its cost parameters.
pub enum Function {
    /// Argon2, version 0x13 (RFC 9106).
    Argon2 {
        /// Which of its kinds.
        kind: Argon2Kind,
        /// The secret value K: the pepper.
        secret: Zeroizing<Vec<u8>>,
        /// The memory m in KiB.
        memory_kib: u32,
        /// The number of passes t.
        iterations: u32,
        /// The number of lanes p.
        parallelism: u32,
        /// The length T of the hash in bytes.
        output_length: u32,
    },
    /// bcrypt.
    Bcrypt {
        /// The binary logarithm of the number of rounds.
        cost: u32,
    },
    /// scrypt (RFC 7914).
    Scrypt {
        /// The binary logarithm of the cost N.
        log_n: u8,
        /// The block size r.
        block_size: u32,
        /// The parallelisation p.
        parallelism: u32,
        /// The length of the hash in bytes.
        output_length: u32,
    },
    /// PBKDF2 with HMAC (RFC 8018).
    Pbkdf2 {
        /// The hash of HMAC.
        digest: Digest,
        /// The iterations c.
        iterations: u32,
        /// The length of the hash in bytes.
        output_length: u32,
    },
}

/// A kind of Argon2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argon2Kind {
    /// Argon2id.
    Id,
    /// Argon2i.
    I,
}

/// A hash that HMAC is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Digest {
    const fn bytes(self) -> u32 {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl HashRequest {
    /// Fails unless the parameters are valid and within the limits.
    pub(super) fn admit(&self, limits: &Limits) -> Result<(), HashError> {
        let most = limits.hash_input_bytes as u64;
        at_most("length of password, salt and secret", self.bytes(), most)?;
        match self.function {
            Function::Argon2 { .. } => self.admit_argon2(limits),
            Function::Bcrypt { cost } => {
                at_most("cost", cost.into(), limits.hash_bcrypt_cost.into())?;
                // The lowest cost that bcrypt strings can express.
                require(cost >= 4, "the cost must be at least 4")?;
                require(self.salt.len() == 16, "the salt must have 16 bytes")
            }
            Function::Scrypt { .. } => self.admit_scrypt(limits),
            Function::Pbkdf2 {
                digest,
                iterations,
                output_length,
            } => {
                admit_length(output_length, limits)?;
                // Each further block of output is all the work once more.
                let blocks = u64::from(output_length.div_ceil(digest.bytes()));
                let work = u64::from(iterations) * blocks;
                at_most("iterations", work, limits.hash_pbkdf2_iterations.into())?;
                require(iterations > 0, "there must be at least one iteration")
            }
        }
    }

    /// Returns the total size of the inputs.
    fn bytes(&self) -> u64 {
        let secret = match &self.function {
            Function::Argon2 { secret, .. } => secret.len(),
            Function::Bcrypt { .. } | Function::Scrypt { .. } | Function::Pbkdf2 { .. } => 0,
        };
        (self.password.len() + self.salt.len() + secret) as u64
    }

    fn admit_argon2(&self, limits: &Limits) -> Result<(), HashError> {
        let Function::Argon2 {
            memory_kib,
            iterations,
            parallelism,
            output_length,
            ..
        } = self.function
        else {
            return Ok(());
        };
        for (name, value, cap) in [
            ("memory in KiB", memory_kib, limits.hash_memory_kib),
            ("iterations", iterations, limits.hash_iterations),
            ("parallelism", parallelism, limits.hash_parallelism),
        ] {
            at_most(name, value.into(), cap.into())?;
        }
        admit_length(output_length, limits)?;
        let reason = format!("the salt needs at least {} bytes", argon2::MIN_SALT_LEN);
        require(self.salt.len() >= argon2::MIN_SALT_LEN, &reason)?;
        argon2_params(memory_kib, iterations, parallelism, output_length).map(drop)
    }

    fn admit_scrypt(&self, limits: &Limits) -> Result<(), HashError> {
        let Function::Scrypt {
            log_n,
            block_size,
            parallelism,
            output_length,
        } = self.function
        else {
            return Ok(());
        };
        admit_length(output_length, limits)?;
        require((1..64).contains(&log_n), "log N must be from 1 to 63")?;
        let block = u64::from(block_size).saturating_mul(128);
        let memory_kib = block.saturating_mul(1 << log_n).div_ceil(1024);
        at_most("memory in KiB", memory_kib, limits.hash_memory_kib.into())?;
        let filled = memory_kib.saturating_mul(parallelism.into());
        let cap = limits.hash_scrypt_filled_kib.into();
        at_most("memory in KiB over all lanes", filled, cap)?;
        // The initial block of each lane takes memory too, however small N is.
        let lanes_kib = block.saturating_mul(parallelism.into()).div_ceil(1024);
        let cap = limits.hash_memory_kib.into();
        at_most("memory in KiB of the lanes", lanes_kib, cap)?;
        scrypt_params(log_n, block_size, parallelism).map(drop)
    }

    /// Computes the hash. `memory` is the buffer of the previous hash, and is kept for
    /// the next.
    pub(super) fn compute(&self, memory: &mut Vec<Block>) -> Result<Vec<u8>, HashError> {
        let mut hash = Zeroizing::new(Vec::new());
        match self.function {
            Function::Argon2 { .. } => self.argon2(memory, &mut hash)?,
            Function::Bcrypt { cost } => *hash = self.bcrypt(cost)?,
            Function::Scrypt {
                log_n,
                block_size,
                parallelism,
                output_length,
            } => {
                // This function allocates its own; a worker must hold the memory of
                // only one hash.
                *memory = Vec::new();
                hash.resize(output_length as usize, 0);
                let params = scrypt_params(log_n, block_size, parallelism)?;
                scrypt::scrypt(&self.password, &self.salt, &params, &mut hash).map_err(refused)?;
            }
            Function::Pbkdf2 {
                digest,
                iterations,
                output_length,
            } => {
                hash.resize(output_length as usize, 0);
                let function = match digest {
                    Digest::Sha1 => pbkdf2::pbkdf2::<Hmac<Sha1>>,
                    Digest::Sha256 => pbkdf2::pbkdf2::<Hmac<Sha256>>,
                    Digest::Sha512 => pbkdf2::pbkdf2::<Hmac<Sha512>>,
                };
                function(&self.password, &self.salt, iterations, &mut hash).map_err(refused)?;
            }
        }
        Ok(std::mem::take(&mut *hash))
    }

    fn argon2(&self, memory: &mut Vec<Block>, hash: &mut Vec<u8>) -> Result<(), HashError> {
        let Function::Argon2 {
            kind,
            ref secret,
            memory_kib,
            iterations,
            parallelism,
            output_length,
        } = self.function
        else {
            return Ok(());
        };
        let params = argon2_params(memory_kib, iterations, parallelism, output_length)?;
        hash.resize(output_length as usize, 0);
        self.argon2_by(kind, params, secret, memory, hash)
    }

    fn argon2_by(
        &self,
        kind: Argon2Kind,
        params: Params,
        secret: &[u8],
        memory: &mut Vec<Block>,
        hash: &mut [u8],
    ) -> Result<(), HashError> {
        let blocks = params.block_count();
        let algorithm = match kind {
            Argon2Kind::Id => Algorithm::Argon2id,
            Argon2Kind::I => Algorithm::Argon2i,
        };
        let argon2 =
            Argon2::new_with_secret(secret, algorithm, Version::V0x13, params).map_err(refused)?;
        if memory.len() < blocks {
            memory.resize(blocks, Block::new());
        }
        let memory = &mut memory[..blocks];
        argon2
            .hash_password_into_with_memory(&self.password, &self.salt, hash, memory)
            .map_err(refused)
    }

    fn bcrypt(&self, cost: u32) -> Result<Vec<u8>, HashError> {
        let salt: [u8; 16] = self.salt[..].try_into().map_err(refused)?;
        let mut key = Zeroizing::new(Vec::with_capacity(self.password.len() + 1));
        key.extend_from_slice(&self.password);
        key.push(0);
        key.truncate(BCRYPT_PASSWORD_BYTES);
        let mut output = bcrypt::bcrypt(cost, salt, &key);
        let hash = output[..BCRYPT_BYTES].to_vec();
        output.zeroize();
        Ok(hash)
    }
}

fn argon2_params(m: u32, t: u32, p: u32, length: u32) -> Result<Params, HashError> {
    Params::new(m, t, p, Some(length as usize)).map_err(refused)
}

fn scrypt_params(log_n: u8, r: u32, p: u32) -> Result<scrypt::Params, HashError> {
    scrypt::Params::new(log_n, r, p).map_err(refused)
}

fn admit_length(output_length: u32, limits: &Limits) -> Result<(), HashError> {
    let cap = limits.hash_output_bytes.into();
    at_most("output length", output_length.into(), cap)?;
    require(
        output_length > 0,
        "there must be at least one byte of output",
    )
}

fn at_most(name: &str, value: u64, cap: u64) -> Result<(), HashError> {
    require(
        value <= cap,
        &format!("{name} is {value}; at most {cap} is allowed"),
    )
}

fn require(holds: bool, reason: &str) -> Result<(), HashError> {
    if holds {
        Ok(())
    } else {
        Err(HashError::Refused(reason.to_owned()))
    }
}

fn refused(error: impl std::fmt::Display) -> HashError {
    HashError::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(password: &[u8], salt: &[u8], function: Function) -> HashRequest {
        HashRequest {
            password: Zeroizing::new(password.to_vec()),
            salt: salt.to_vec(),
            function,
        }
    }

    fn hex(request: &HashRequest) -> String {
        request.admit(&Limits::default()).unwrap();
        let hash = request.compute(&mut Vec::new()).unwrap();
        base16ct::lower::encode_string(&hash)
    }

    fn argon2id(memory_kib: u32, iterations: u32) -> Function {
        Function::Argon2 {
            kind: Argon2Kind::Id,
            secret: Zeroizing::default(),
            memory_kib,
            iterations,
            parallelism: 1,
            output_length: 32,
        }
    }

    fn scrypt(log_n: u8, block_size: u32, parallelism: u32) -> Function {
        Function::Scrypt {
            log_n,
            block_size,
            parallelism,
            output_length: 64,
        }
    }

    fn pbkdf2(iterations: u32, output_length: u32) -> Function {
        pbkdf2_by(Digest::Sha256, iterations, output_length)
    }

    fn pbkdf2_by(digest: Digest, iterations: u32, output_length: u32) -> Function {
        Function::Pbkdf2 {
            digest,
            iterations,
            output_length,
        }
    }

    /// RFC 9106 section 5.3. The vector has associated data, which callers cannot pass,
    /// so the test adds it beside the request; all else is as for any hash.
    #[test]
    fn rfc_9106_argon2id() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .output_len(32)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let tag = [
            0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b,
            0x53, 0xc9, 0xd0, 0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9,
            0x6b, 0x01, 0xe6, 0x59,
        ];
        let mut memory = Vec::new();
        // The second pass reuses the memory of the first.
        for _ in 0..2 {
            let mut hash = [0; 32];
            let request = request(&[1; 32], &[2; 16], argon2id(32, 3));
            request
                .argon2_by(
                    Argon2Kind::Id,
                    params.clone(),
                    &[3; 8],
                    &mut memory,
                    &mut hash,
                )
                .unwrap();
            assert_eq!(hash, tag);
        }
    }

    #[test]
    fn argon2i_and_pbkdf2_with_other_digests_match_published_vectors() {
        // argon2-cffi, and Python's hashlib.
        let argon2i = Function::Argon2 {
            kind: Argon2Kind::I,
            secret: Zeroizing::default(),
            memory_kib: 64,
            iterations: 2,
            parallelism: 1,
            output_length: 16,
        };
        assert_eq!(
            hex(&request(b"password", b"sixteen bytes it", argon2i)),
            "33f295cf6d559c8684fb790b724246b1"
        );
        // RFC 6070.
        let sha1 = pbkdf2_by(Digest::Sha1, 4096, 20);
        assert_eq!(
            hex(&request(b"password", b"salt", sha1)),
            "4b007901b765489abead49d926f721d065a429c1"
        );
        let sha512 = pbkdf2_by(Digest::Sha512, 4096, 20);
        assert_eq!(
            hex(&request(b"password", b"salt", sha512)),
            "d197b1b33db0143e018b12f3d1d1479e6cdebdcc"
        );
    }

    #[test]
    fn scrypt_and_pbkdf2_match_rfc_7914() {
        assert_eq!(
            hex(&request(b"password", b"NaCl", scrypt(10, 8, 16))),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162\
             2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
        );
        assert_eq!(
            hex(&request(b"passwd", b"salt", pbkdf2(1, 64))),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        );
    }

    #[test]
    fn bcrypt_terminates_short_passwords_and_truncates_long_ones() {
        let salt = [
            0x14, 0x4b, 0x3d, 0x69, 0x1a, 0x7b, 0x4e, 0xcf, 0x39, 0xcf, 0x73, 0x5c, 0x7f, 0xa7,
            0xa7, 0x9c,
        ];
        let of = |password: &[u8]| hex(&request(password, &salt, Function::Bcrypt { cost: 6 }));
        // $2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s., the hash of "".
        assert!(of(b"").starts_with("557e94f34bf286e871"), "{}", of(b""));
        let long = [b'x'; 73];
        assert_eq!(of(&long), of(&long[..72]));
        assert_ne!(of(&long), of(&long[..71]));
    }

    #[test]
    fn costs_above_the_limits_are_rejected_with_the_reason() {
        let limits = Limits::default();
        for (function, reason) in [
            (argon2id(limits.hash_memory_kib + 1, 1), "memory in KiB is"),
            (argon2id(64, limits.hash_iterations + 1), "iterations is"),
            (argon2id(64, 0), "time cost"),
            (Function::Bcrypt { cost: 15 }, "cost is 15"),
            (Function::Bcrypt { cost: 31 }, "cost is 31"),
            (Function::Bcrypt { cost: 0 }, "cost must be at least 4"),
            (scrypt(18, 8, 1), "memory in KiB is 262144"),
            (scrypt(63, u32::MAX, u32::MAX), "memory in KiB is"),
            (scrypt(255, 8, 1), "log N"),
            (scrypt(0, 8, 1), "log N"),
            (scrypt(17, 8, 5), "over all lanes is 655360"),
            (scrypt(1, 1, u32::MAX), "over all lanes"),
            (scrypt(10, 0, 1), ""),
            (pbkdf2(limits.hash_pbkdf2_iterations + 1, 32), "iterations"),
            (pbkdf2(limits.hash_pbkdf2_iterations, 33), "iterations"),
            (
                pbkdf2_by(Digest::Sha1, limits.hash_pbkdf2_iterations, 21),
                "iterations",
            ),
            (
                pbkdf2_by(Digest::Sha512, limits.hash_pbkdf2_iterations, 65),
                "iterations",
            ),
            (pbkdf2(0, 32), "one iteration"),
            (pbkdf2(1, 0), "one byte"),
            (pbkdf2(1, 1025), "output length is 1025"),
        ] {
            let refusal = request(b"password", &[2; 16], function).admit(&limits);
            let Err(HashError::Refused(text)) = refusal else {
                panic!("{reason}: {refusal:?}");
            };
            assert!(text.contains(reason), "{reason}: {text}");
        }
        let short = request(b"password", &[2; 15], Function::Bcrypt { cost: 4 });
        assert!(short.admit(&limits).is_err());
    }
}
