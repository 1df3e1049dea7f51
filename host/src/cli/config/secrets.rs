//! Variables that are no keys: secrets, and what says where the keys are.

/// Secrets, which stand in the environment or in files of their own.
pub(in crate::cli) const SECRETS: &[&str] = &[
    "USER_AUTH_MASTER_KEY",
    "USER_AUTH_SMTP_PASSWORD",
    "USER_AUTH_WEBHOOK_SECRET",
];

/// Names the configuration file.
pub(super) const FILE: &str = "USER_AUTH_CONFIG";

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SECRETS.iter().copied().chain([FILE])
}

pub(super) fn is_known(name: &str) -> bool {
    names().any(|known| known == name)
}
