//! Environment variables other than keys: secrets, and the path of the configuration.

/// Secrets, which are in the environment or in files of their own.
pub(in crate::cli) const SECRETS: &[&str] = &[
    "USER_AUTH_MASTER_KEY",
    "USER_AUTH_SMTP_PASSWORD",
    "USER_AUTH_WEBHOOK_SECRET",
];

/// The variable that names the configuration file.
pub(super) const FILE: &str = "USER_AUTH_CONFIG";

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SECRETS.iter().copied().chain([FILE])
}

pub(super) fn is_known(name: &str) -> bool {
    names().any(|known| known == name)
}
