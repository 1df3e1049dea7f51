//! How surely a session is its owner's: what they proved when it began.

/// One factor (NIST SP 800-63B-4 section 2.1).
const AAL1: &str = "aal1";
/// Two different ones (section 2.2).
pub const AAL2: &str = "aal2";
/// RFC 8176: more than one factor was used.
const MFA: &str = "mfa";

/// How the owner of an account proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// With the password.
    Password,
    /// With that and a one-time password.
    Totp,
    /// With that and a recovery code.
    RecoveryCode,
}

impl AuthMethod {
    /// The authentication method references of RFC 8176. That has no name for a
    /// recovery code (`otp` is a one-time password of RFC 4226 or 6238), so of
    /// one is told only that it was a second factor.
    pub fn amr(self) -> Vec<String> {
        let names: &[&str] = match self {
            AuthMethod::Password => &["pwd"],
            AuthMethod::Totp => &["pwd", "otp", MFA],
            AuthMethod::RecoveryCode => &["pwd", MFA],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// The authentication context class (`acr`) of a session with these methods.
pub fn acr(amr: &[String]) -> &'static str {
    match amr.iter().any(|method| method == MFA) {
        true => AAL2,
        false => AAL1,
    }
}
