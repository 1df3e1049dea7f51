//! The assurance level of a session: which methods its owner authenticated with.

/// One factor (NIST SP 800-63B-4 section 2.1).
const AAL1: &str = "aal1";
/// Two different factors (section 2.2).
pub const AAL2: &str = "aal2";
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
