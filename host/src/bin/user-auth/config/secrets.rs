//! Environment variables other than keys: secrets, and the path of the configuration.

/// Secrets, which are in the environment or in files of their own.
pub(crate) const SECRETS: &[&str] = &[
    "USER_AUTH_MASTER_KEY",
    "USER_AUTH_SMTP_PASSWORD",
    "USER_AUTH_WEBHOOK_SECRET",
];

/// The variable that names the configuration file.
pub(crate) const FILE: &str = "USER_AUTH_CONFIG";

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SECRETS.iter().copied().chain([FILE])
}

pub(crate) fn is_known(name: &str) -> bool {
    names().any(|known| known == name)
}
