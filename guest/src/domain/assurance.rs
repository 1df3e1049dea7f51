//! The assurance level of a session: which methods its owner authenticated with.

use super::account::Account;
use super::session::Session;
use crate::error::{AuthError, Kind, Result};

/// One factor (NIST SP 800-63B-4 section 2.1).
const AAL1: &str = "aal1";
/// Two different factors (section 2.2).
const AAL2: &str = "aal2";
/// RFC 8176: more than one factor was used.
const MFA: &str = "mfa";

/// How the owner of an account authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// With the password.
    Password,
    /// With the password and a one-time password.
    Totp,
    /// With the password and a recovery code.
    RecoveryCode,
}

impl AuthMethod {
    /// Returns the authentication method references of RFC 8176. The RFC has no name for a
    /// recovery code (`otp` is a one-time password of RFC 4226 or 6238), so a recovery
    /// code appears only as multiple factors.
    pub fn amr(self) -> Vec<String> {
        let names: &[&str] = match self {
            AuthMethod::Password => &["pwd"],
            AuthMethod::Totp => &["pwd", "otp", MFA],
            AuthMethod::RecoveryCode => &["pwd", MFA],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// Returns the authentication context class (`acr`) of a session with these methods.
pub fn acr(amr: &[String]) -> &'static str {
    match amr.iter().any(|method| method == MFA) {
        true => AAL2,
        false => AAL1,
    }
}

/// Fails with -32001 if the account has a second factor and the session did not begin with
/// one: the first factor alone must not be enough to remove the second or to change the
/// first (ASVS 7.5.1). RFC 9470 calls such a session's authentication insufficient.
pub fn require(account: &Account, session: &Session) -> Result<()> {
    if account.second_factor.is_none() || session.acr() == AAL2 {
        return Ok(());
    }
    Err(AuthError::new(
        Kind::Authentication,
        "A session that began with a second factor is required",
    )
    .detail(
        "action",
        "log in again with the second factor, and repeat the call with the new access token",
    )
    .detail("acr_values", AAL2))
}
