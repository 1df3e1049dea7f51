//! Password hashes, by the import `password-hash`.

use super::Host;
use crate::component::contract::imports::password_hash as wit;
use crate::ports::{
    Function, HashParameters, PasswordHash, Pbkdf2Parameters, ScryptParameters, Unavailable,
};

impl PasswordHash for Host {
    fn hash(
        &self,
        function: Function,
        password: &[u8],
        salt: &[u8],
    ) -> Result<Vec<u8>, Unavailable> {
        let function = match function {
            Function::Argon2id { parameters, pepper } => {
                wit::Function::Argon2id(argon2(parameters, pepper))
            }
            Function::Argon2i(parameters) => wit::Function::Argon2i(argon2(parameters, None)),
            Function::Bcrypt { cost } => wit::Function::Bcrypt(cost),
            Function::Scrypt(parameters) => wit::Function::Scrypt(parameters.into()),
            Function::Pbkdf2Sha256(parameters) => wit::Function::Pbkdf2Sha256(parameters.into()),
            Function::Pbkdf2Sha512(parameters) => wit::Function::Pbkdf2Sha512(parameters.into()),
            Function::Pbkdf2Sha1(parameters) => wit::Function::Pbkdf2Sha1(parameters.into()),
        };
        Ok(wit::hash(&function, password, salt)?)
    }
}

fn argon2(parameters: HashParameters, pepper: Option<&str>) -> wit::Argon2Parameters {
    wit::Argon2Parameters {
        memory_kib: parameters.memory_kib,
        iterations: parameters.iterations,
        parallelism: parameters.parallelism,
        output_length: parameters.output_length,
        pepper: pepper.map(str::to_owned),
    }
}

impl From<ScryptParameters> for wit::ScryptParameters {
    fn from(parameters: ScryptParameters) -> wit::ScryptParameters {
        wit::ScryptParameters {
            log_n: parameters.log_n,
            block_size: parameters.block_size,
            parallelism: parameters.parallelism,
            output_length: parameters.output_length,
        }
    }
}

impl From<Pbkdf2Parameters> for wit::Pbkdf2Parameters {
    fn from(parameters: Pbkdf2Parameters) -> wit::Pbkdf2Parameters {
        wit::Pbkdf2Parameters {
            iterations: parameters.iterations,
            output_length: parameters.output_length,
        }
    }
}
