//! `delivery`: the delivery of messages to account owners.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The delivery of messages to account owners. Secrets are in the environment
/// (`USER_AUTH_SMTP_PASSWORD`, `USER_AUTH_WEBHOOK_SECRET`) or in files of their own,
/// never here.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Delivery {
    /// `log`, `none`, the https:// URL of a webhook (or http:// on this machine),
    /// `smtp://USER@HOST:PORT` (with STARTTLS, or unencrypted on this machine) or
    /// `smtps://USER@HOST:PORT`. Default: `log`, including codes, or `none` on an
    /// address that other machines can reach.
    #[schemars(extend("x-env" = "USER_AUTH_DELIVERY", "x-secret" = true))]
    pub(crate) method: Option<String>,
    /// The sender of mail, such as `Accounts <accounts@example.com>`.
    #[schemars(extend("x-env" = "USER_AUTH_MAIL_FROM"))]
    pub(crate) mail_from: Option<String>,
    /// The file with the password for the mail server; ignored if
    /// `USER_AUTH_SMTP_PASSWORD` is set.
    #[schemars(extend("x-env" = "USER_AUTH_SMTP_PASSWORD_FILE"))]
    pub(crate) smtp_password_file: Option<PathBuf>,
    /// The file with the secret that signs webhook requests; ignored if
    /// `USER_AUTH_WEBHOOK_SECRET` is set.
    #[schemars(extend("x-env" = "USER_AUTH_WEBHOOK_SECRET_FILE"))]
    pub(crate) webhook_secret_file: Option<PathBuf>,
}
