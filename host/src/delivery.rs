//! Messages to the owners of accounts, such as a code to reset a password: what
//! they say, and the ways to deliver them.
//!
//! A [`Plugin`](crate::Plugin) takes messages into a bounded queue in memory and
//! delivers them in the background, with some tries for each. What is still in
//! the queue when the process ends is lost: whoever waits for a code asks for
//! another.

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

/// RFC 5321 section 4.5.3.1.3 leaves so many for an address.
const MAX_ADDRESS_BYTES: usize = 254;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A code for `confirm_password_reset`.
    PasswordReset,
    /// A code for `confirm_email`, to verify the address of an account.
    EmailVerification,
    /// A code for `confirm_email`, to verify the address that an account is to
    /// have.
    EmailChange,
    /// No code: the account has a new password.
    PasswordChanged,
    /// No code, to the address as it is: another was asked for.
    EmailChangeRequested,
    /// No code, to the address as it was: the account has another.
    EmailChanged,
    /// No code: the account has another second factor, other recovery codes, or
    /// none.
    SecondFactorChanged,
    /// No code: the right password came from a source that it never came from
    /// before.
    LoginFromNewSource,
    /// No code: an API key was made for the account, or one of its keys was
    /// rotated.
    ApiKeyCreated,
}

impl MessageKind {
    /// Its name in `wit/delivery.wit`.
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

    /// Whether such messages go only to addresses whose owners have shown that they
    /// are theirs. All others can go to anybody, at anybody's word.
    pub fn has_verified_address(self) -> bool {
        !matches!(self, Self::EmailVerification | Self::EmailChange)
    }
}

/// A message to one person. `Debug` does not show its code.
#[derive(Clone)]
pub struct Message {
    /// Identifies the message, for every try of it; no secret.
    pub id: String,
    /// What it is about.
    pub kind: MessageKind,
    /// The e-mail address, in the one form in which it is sent: printable ASCII, a
    /// domain in A-labels, no quotes and no comments. Nothing needs to be parsed in it.
    pub to: String,
    /// Whose account it is about, in words that its owner chose: not to be shown at
    /// an address that nobody has verified
    /// ([`MessageKind::has_verified_address`]), which may be anybody's.
    pub username: String,
    /// Whose account it is about.
    pub user_id: String,
    /// A secret: whoever has it can do what the message is about.
    pub code: Option<Zeroizing<String>>,
    /// When the code ends, in RFC 3339.
    pub expires_at: Option<String>,
}

impl Message {
    /// A line that says what it is about.
    pub fn subject(&self) -> &'static str {
        text::subject(self.kind)
    }

    /// Whether it goes to one address in that form. The component makes no others; one
    /// of another author may have mail programs read what it likes.
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

    /// How much it holds.
    pub(crate) fn bytes(&self) -> usize {
        let optional = |text: Option<&str>| text.map_or(0, str::len);
        self.to.len()
            + self.username.len()
            + self.user_id.len()
            + optional(self.code.as_ref().map(|code| code.as_str()))
            + optional(self.expires_at.as_deref())
    }

    /// The message in plain text, its code included.
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

/// Why a message was not delivered. The texts are for the log: they hold neither
/// the code nor an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Another try may go through.
    #[error("{0}")]
    Temporary(String),
    /// No other try of this message will.
    #[error("{0}")]
    Permanent(String),
}

/// A way to deliver messages.
#[async_trait]
pub trait Delivery: Send + Sync + 'static {
    /// `smtp`, `webhook`, …: for metrics and messages.
    fn kind(&self) -> &'static str;

    /// Delivers one message; called again after a while when that failed for the
    /// time being. The future is dropped when it takes longer than
    /// [`Limits::delivery_timeout`](crate::Limits::delivery_timeout).
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_mail_programs_could_read_otherwise_is_none() {
        let is_plain = |to: &str| {
            let message = Message {
                id: "1".to_owned(),
                kind: MessageKind::PasswordReset,
                to: to.to_owned(),
                username: "alice".to_owned(),
                user_id: "2".to_owned(),
                code: None,
                expires_at: None,
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
