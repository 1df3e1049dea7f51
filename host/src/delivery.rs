//! Messages to the owners of accounts, such as codes to reset a password: their texts,
//! and the ways to deliver them. Who gets a message, and when, is up to the component.
//!
//! A [`Plugin`](crate::Plugin) puts messages into a bounded queue in memory and
//! delivers them in the background, with several attempts each. Messages still in the
//! queue when the process ends are lost: users can request another code.

mod log;
mod outbox;
mod smtp;
mod text;
mod webhook;

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

pub use log::LogDelivery;
pub(crate) use outbox::{Outbox, OutboxMetrics};
pub use smtp::{SmtpDelivery, SmtpOptions, SmtpSecurity};
pub use webhook::WebhookDelivery;

/// RFC 5321 section 4.5.3.1.3 limits an address to this size.
const MAX_ADDRESS_BYTES: usize = 254;

/// The subject of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A code for `confirm_password_reset`.
    PasswordReset,
    /// A code for `confirm_email`, to verify the address of an account.
    EmailVerification,
    /// A code for `confirm_email`, to verify the new address of an account.
    EmailChange,
    /// A notice without a code: the password was changed.
    PasswordChanged,
    /// A notice without a code, to the current address: a change to another was
    /// requested.
    EmailChangeRequested,
    /// A notice without a code, to the previous address: the address was changed.
    EmailChanged,
    /// A notice without a code: the second factor or the recovery codes were changed or
    /// removed.
    SecondFactorChanged,
    /// A notice without a code: the right password was used from a source that was
    /// never used before.
    LoginFromNewSource,
    /// A notice without a code: an API key was created for the account, or one of its
    /// keys was rotated.
    ApiKeyCreated,
}

impl MessageKind {
    /// Returns the name of the kind in `wit/delivery.wit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password-reset",
            Self::EmailVerification => "email-verification",
            Self::EmailChange => "email-change",
            Self::PasswordChanged => "password-changed",
            Self::EmailChangeRequested => "email-change-requested",
            Self::EmailChanged => "email-changed",
            Self::SecondFactorChanged => "second-factor-changed",
            Self::LoginFromNewSource => "login-from-new-source",
            Self::ApiKeyCreated => "api-key-created",
        }
    }

    /// Returns whether such messages go only to verified addresses. All others can go
    /// to any address that anyone enters.
    pub fn has_verified_address(self) -> bool {
        !matches!(self, Self::EmailVerification | Self::EmailChange)
    }
}

/// A message to one person. `Debug` does not show its code.
#[derive(Clone)]
pub struct Message {
    /// Identifies the message across attempts; not secret.
    pub id: String,
    /// The kind of the message.
    pub kind: MessageKind,
    /// The email address, in its canonical form: printable ASCII, the domain in
    /// A-labels, no quotes and no comments. It can be used without parsing.
    pub to: String,
    /// User name of the account, chosen by its owner. Do not show it at an unverified
    /// address ([`MessageKind::has_verified_address`]), which may belong to anyone.
    pub username: String,
    /// User id of the account.
    pub user_id: String,
    /// The code. It is secret: its holder can do what the message is about.
    pub code: Option<Zeroizing<String>>,
    /// Expiry time of the code in RFC 3339.
    pub expires_at: Option<String>,
    /// The address of the page that takes the code, with the code in it, where the service
    /// has such pages. It is as secret as the code.
    pub link: Option<Zeroizing<String>>,
}

impl Message {
    /// Returns the subject line.
    pub fn subject(&self) -> &'static str {
        text::subject(self.kind)
    }

    /// Returns whether the address has the canonical form. Our component creates no
    /// others; a component by another author could craft one that mail programs
    /// misread.
    pub(crate) fn has_plain_address(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !br#""(),:;<>[\]"#.contains(&byte);
        let Some((local, domain)) = self.to.split_once('@') else {
            return false;
        };
        self.to.len() <= MAX_ADDRESS_BYTES
            && self.to.bytes().all(is_plain)
            && !domain.contains('@')
            && !domain.is_empty()
            && local.starts_with(|first| !matches!(first, '-' | '/' | '|' | '.'))
    }

    /// Returns the size of the message.
    pub(crate) fn bytes(&self) -> usize {
        let optional = |text: Option<&str>| text.map_or(0, str::len);
        self.to.len()
            + self.username.len()
            + self.user_id.len()
            + optional(self.code.as_ref().map(|code| code.as_str()))
            + optional(self.expires_at.as_deref())
            + optional(self.link.as_ref().map(|link| link.as_str()))
    }

    /// Returns the message as plain text, including its code.
    pub fn text(&self) -> Zeroizing<String> {
        text::body(self)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// Reasons why a message was not delivered. The texts are for the log and contain
/// neither the code nor an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// A retry may succeed.
    #[error("{0}")]
    Temporary(String),
    /// A retry of this message will not succeed.
    #[error("{0}")]
    Permanent(String),
}

/// A way to deliver messages.
#[async_trait]
pub trait Delivery: Send + Sync + 'static {
    /// Returns the kind of delivery for metrics and messages: `smtp`, `webhook`, ….
    fn kind(&self) -> &'static str;

    /// Delivers one message; called again later after a temporary failure. The future
    /// is dropped if it takes longer than
    /// [`Limits::delivery_timeout`](crate::Limits::delivery_timeout).
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ambiguous_address_is_rejected() {
        let is_plain = |to: &str| {
            let message = Message {
                id: "1".to_owned(),
                kind: MessageKind::PasswordReset,
                to: to.to_owned(),
                username: "alice".to_owned(),
                user_id: "2".to_owned(),
                code: None,
                expires_at: None,
                link: None,
            };
            message.has_plain_address()
        };
        for to in ["a@example.com", "o'b+c=1@xn--mller-kva.example"] {
            assert!(is_plain(to), "{to}");
        }
        let long = format!("a@{}.example", "b".repeat(250));
        for to in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b@example.com",
            "victim,attacker@example.com",
            "a@example.com,b@example.com",
            "A <a@example.com>",
            "\"a b\"@example.com",
            "-oQ/tmp@example.com",
            "|id@example.com",
            "a b@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "info@m\u{fc}ller.example",
            "a@b.c\u{202e}moc",
            &long,
        ] {
            assert!(!is_plain(to), "{to:?}");
        }
    }
}
