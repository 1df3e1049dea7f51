//! Password hashes, by the import `password-hash`.

use super::Host;
use crate::component::contract::imports::password_hash;
use crate::ports::{HashParameters, PasswordHash, ScryptParameters, Unavailable};

impl PasswordHash for Host {
    fn argon2id(
        &self,
        password: &[u8],
        salt: &[u8],
        secret: &[u8],
        parameters: HashParameters,
    ) -> Result<Vec<u8>, Unavailable> {
        Ok(password_hash::argon2id(
            password,
            salt,
            secret,
            wit(parameters),
        )?)
    }

    fn bcrypt(&self, password: &[u8], salt: &[u8], cost: u32) -> Result<Vec<u8>, Unavailable> {
        Ok(password_hash::bcrypt(password, salt, cost)?)
    }

    fn scrypt(
        &self,
        password: &[u8],
        salt: &[u8],
        parameters: ScryptParameters,
    ) -> Result<Vec<u8>, Unavailable> {
        let parameters = password_hash::ScryptParameters {
            log_n: parameters.log_n,
            block_size: parameters.block_size,
            parallelism: parameters.parallelism,
            output_length: parameters.output_length,
        };
        Ok(password_hash::scrypt(password, salt, parameters)?)
    }

    fn pbkdf2_sha256(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable> {
        let hash = password_hash::pbkdf2_sha256(password, salt, iterations, output_length)?;
        Ok(hash)
    }

    fn pbkdf2_sha512(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable> {
        let hash = password_hash::pbkdf2_sha512(password, salt, iterations, output_length)?;
        Ok(hash)
    }

    fn pbkdf2_sha1(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable> {
        let hash = password_hash::pbkdf2_sha1(password, salt, iterations, output_length)?;
        Ok(hash)
    }

    fn argon2i(
        &self,
        password: &[u8],
        salt: &[u8],
        parameters: HashParameters,
    ) -> Result<Vec<u8>, Unavailable> {
        Ok(password_hash::argon2i(password, salt, wit(parameters))?)
    }
}

fn wit(parameters: HashParameters) -> password_hash::Parameters {
    password_hash::Parameters {
        memory_kib: parameters.memory_kib,
        iterations: parameters.iterations,
        parallelism: parameters.parallelism,
        output_length: parameters.output_length,
    }
}
