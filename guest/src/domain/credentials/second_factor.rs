//! The second factor of an account: an app that shows one-time passwords, and
//! recovery codes for when it is lost.
//!
//! A code is used up by the write that stores what is left after it. That write
//! holds on to the account as it was read, so of two who use one code at once
//! only one succeeds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::recovery_code::{self, RecoveryCode, RecoveryCodeHash};
use super::totp::{TotpCode, TotpSecret};
use crate::domain::context::Context;
use crate::domain::sessions::auth_method::AuthMethod;
use crate::error::Result;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// The names of the methods, as a challenge offers them.
const TOTP: &str = "totp";
const RECOVERY_CODE: &str = "recovery_code";

/// A second factor that counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecondFactor {
    nonce: Id,
    last_step: u64,
    recovery_codes: Vec<RecoveryCodeHash>,
}

/// One whose owner has yet to show that their app has the secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    nonce: Id,
}

/// What answers a challenge: the six digits that the app shows, or a recovery
/// code.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "Zeroizing<String>")]
#[schemars(with = "String", extend("format" = "password", "writeOnly" = true))]
pub enum Code {
    /// Of the app.
    Totp(TotpCode),
    /// Of the drawer.
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
    /// Which app it is to become.
    pub fn app(&self) -> Id {
        self.nonce
    }

    /// Begins one, with the secret for its owner's app.
    pub fn begin(user_id: Id, context: &Context) -> Result<(Enrolment, TotpSecret)> {
        let nonce = context.ports.random.id()?;
        let secret = TotpSecret::derive(user_id, nonce, &context.ports)?;
        Ok((Enrolment { nonce }, secret))
    }

    /// The factor, and its recovery codes to be shown once, if the code is one
    /// that the app shows now.
    pub fn confirm(
        &self,
        code: &TotpCode,
        user_id: Id,
        context: &Context,
    ) -> Result<Option<(SecondFactor, Vec<Secret>)>> {
        let secret = TotpSecret::derive(user_id, self.nonce, &context.ports)?;
        let Some(last_step) = secret.step_of(code, None, context.now()) else {
            return Ok(None);
        };
        let (codes, recovery_codes) = recovery_code::new_set(user_id, &context.ports)?;
        let factor = SecondFactor {
            nonce: self.nonce,
            last_step,
            recovery_codes,
        };
        Ok(Some((factor, codes)))
    }
}

impl SecondFactor {
    /// Which app it is, of those that the account has had.
    pub fn app(&self) -> Id {
        self.nonce
    }

    /// What the code proves, and the factor once that code has been used up;
    /// `None`: it is not good, or not any more.
    pub fn accept(
        &self,
        code: &Code,
        user_id: Id,
        context: &Context,
    ) -> Result<Option<(SecondFactor, AuthMethod)>> {
        let mut used = self.clone();
        match code {
            Code::Totp(code) => {
                let secret = TotpSecret::derive(user_id, self.nonce, &context.ports)?;
                let step = secret.step_of(code, Some(self.last_step), context.now());
                let Some(step) = step else {
                    return Ok(None);
                };
                used.last_step = step;
                Ok(Some((used, AuthMethod::Totp)))
            }
            Code::Recovery(code) => {
                let set = &self.recovery_codes;
                let rest = recovery_code::without(code, set, user_id, &context.ports)?;
                let Some(rest) = rest else {
                    return Ok(None);
                };
                used.recovery_codes = rest;
                Ok(Some((used, AuthMethod::RecoveryCode)))
            }
        }
    }

    /// With a new set of recovery codes, to be shown once, in the place of the
    /// old one.
    pub fn with_new_codes(
        &self,
        user_id: Id,
        context: &Context,
    ) -> Result<(SecondFactor, Vec<Secret>)> {
        let (codes, recovery_codes) = recovery_code::new_set(user_id, &context.ports)?;
        let renewed = SecondFactor {
            recovery_codes,
            ..self.clone()
        };
        Ok((renewed, codes))
    }

    /// What a challenge can be answered with.
    pub fn methods(&self) -> Vec<&'static str> {
        match self.recovery_codes.is_empty() {
            true => vec![TOTP],
            false => vec![TOTP, RECOVERY_CODE],
        }
    }
}
