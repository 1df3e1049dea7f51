//! The second factor of an account: an app that shows one-time passwords, and recovery
//! codes for when the app is lost.
//!
//! A code is used up by the write that stores the remaining state. That write expects the
//! account as it was read, so only one of two concurrent uses of a code succeeds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::recovery_code::{self, RecoveryCode, RecoveryCodeHash};
use super::totp::{TotpCode, TotpSecret};
use crate::domain::env::Env;
use crate::domain::sessions::auth_method::AuthMethod;
use crate::error::Result;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// The names of the methods that a challenge offers.
const TOTP: &str = "totp";
const RECOVERY_CODE: &str = "recovery_code";

/// A confirmed second factor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecondFactor {
    nonce: Id,
    last_step: u64,
    recovery_codes: Vec<RecoveryCodeHash>,
}

/// A second factor whose owner has yet to prove that their app has the secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    nonce: Id,
}

/// The answer to a challenge: the six digits that the app shows, or a recovery code.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "Zeroizing<String>")]
#[schemars(with = "String", extend("format" = "password", "writeOnly" = true))]
pub enum Code {
    /// A one-time password of the app.
    Totp(TotpCode),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl TryFrom<Zeroizing<String>> for Code {
    type Error = &'static str;

    fn try_from(text: Zeroizing<String>) -> std::result::Result<Code, Self::Error> {
        let totp = TotpCode::parse(&text).map(Code::Totp);
        totp.or_else(|| RecoveryCode::parse(&text).map(Code::Recovery))
            .ok_or("expected the six digits that the app shows, or a recovery code")
    }
}

impl Enrolment {
    /// Returns the id that the app will have.
    pub fn app(&self) -> Id {
        self.nonce
    }

    /// Begins an enrolment, and returns the secret for the owner's app.
    pub fn begin(user_id: Id, env: &Env) -> Result<(Enrolment, TotpSecret)> {
        let nonce = env.ports.random.id()?;
        let secret = TotpSecret::derive(user_id, nonce, &env.ports)?;
        Ok((Enrolment { nonce }, secret))
    }

    /// Returns the factor, and its recovery codes to be shown once, or `None` if the app
    /// does not show this code now.
    pub fn confirm(
        &self,
        code: &TotpCode,
        user_id: Id,
        env: &Env,
    ) -> Result<Option<(SecondFactor, Vec<Secret>)>> {
        let secret = TotpSecret::derive(user_id, self.nonce, &env.ports)?;
        let Some(last_step) = secret.step_of(code, None, env.now()) else {
            return Ok(None);
        };
        let (codes, recovery_codes) = recovery_code::new_set(user_id, &env.ports)?;
        let factor = SecondFactor {
            nonce: self.nonce,
            last_step,
            recovery_codes,
        };
        Ok(Some((factor, codes)))
    }
}

impl SecondFactor {
    /// Returns the id of the app, which distinguishes it from earlier apps of the account.
    pub fn app(&self) -> Id {
        self.nonce
    }

    /// Returns the method that the code proves, and the factor with that code used up, or
    /// `None` if the code is not valid or no longer valid.
    pub fn accept(
        &self,
        code: &Code,
        user_id: Id,
        env: &Env,
    ) -> Result<Option<(SecondFactor, AuthMethod)>> {
        let mut used = self.clone();
        match code {
            Code::Totp(code) => {
                let secret = TotpSecret::derive(user_id, self.nonce, &env.ports)?;
                let step = secret.step_of(code, Some(self.last_step), env.now());
                let Some(step) = step else {
                    return Ok(None);
                };
                used.last_step = step;
                Ok(Some((used, AuthMethod::Totp)))
            }
            Code::Recovery(code) => {
                let set = &self.recovery_codes;
                let rest = recovery_code::without(code, set, user_id, &env.ports)?;
                let Some(rest) = rest else {
                    return Ok(None);
                };
                used.recovery_codes = rest;
                Ok(Some((used, AuthMethod::RecoveryCode)))
            }
        }
    }

    /// Returns the factor with a new set of recovery codes, to be shown once, which
    /// replaces the old set.
    pub fn with_new_codes(&self, user_id: Id, env: &Env) -> Result<(SecondFactor, Vec<Secret>)> {
        let (codes, recovery_codes) = recovery_code::new_set(user_id, &env.ports)?;
        let renewed = SecondFactor {
            recovery_codes,
            ..self.clone()
        };
        Ok((renewed, codes))
    }

    /// Returns the methods that can answer a challenge.
    pub fn methods(&self) -> Vec<&'static str> {
        match self.recovery_codes.is_empty() {
            true => vec![TOTP],
            false => vec![TOTP, RECOVERY_CODE],
        }
    }
}
