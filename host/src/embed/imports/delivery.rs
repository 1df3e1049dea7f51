//! The interface `delivery`, which fills the queue of messages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::warn;
use zeroize::Zeroizing;

use crate::delivery::{self, MessageKind};
use crate::embed::bindings::user_auth::plugin::delivery::{Host, Kind, Message};
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;

/// Suggested delay when the queue is full: long enough for a few messages to be sent.
const RETRY_AFTER_MS: u32 = 5_000;

/// All but the unreserved characters of RFC 3986 section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Host for UserAuthCtx {
    fn deliver(&mut self, message: Message) -> wasmtime::Result<Result<(), Unavailable>> {
        self.count_host_call()?;
        let mut id = [0; 16];
        let queued = getrandom::fill(&mut id)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                let id = base16ct::lower::encode_string(&id);
                let shared = self.shared();
                let message = queued(id, message, shared.pages_url.as_deref());
                shared
                    .outbox
                    .enqueue(message)
                    .map_err(|refused| refused.to_string())
            });
        Ok(queued.map_err(|reason| {
            if self.may_log(reason.len()) {
                warn!(reason, "a message to an account owner was refused");
            }
            Unavailable {
                reason,
                retry_after_ms: Some(RETRY_AFTER_MS),
            }
        }))
    }
}

fn queued(id: String, message: Message, pages_url: Option<&str>) -> delivery::Message {
    let page = match message.kind {
        Kind::PasswordReset => Some("new-password"),
        Kind::EmailVerification | Kind::EmailChange => Some("verify-email"),
        _ => None,
    };
    let link = match (pages_url, page, &message.code) {
        (Some(url), Some(page), Some(code)) => {
            // Other components may make other codes.
            let code = utf8_percent_encode(code, ENCODED);
            Some(Zeroizing::new(format!("{url}/{page}?code={code}")))
        }
        _ => None,
    };
    delivery::Message {
        id,
        link,
        kind: match message.kind {
            Kind::PasswordReset => MessageKind::PasswordReset,
            Kind::EmailVerification => MessageKind::EmailVerification,
            Kind::EmailChange => MessageKind::EmailChange,
            Kind::PasswordChanged => MessageKind::PasswordChanged,
            Kind::EmailChangeRequested => MessageKind::EmailChangeRequested,
            Kind::EmailChanged => MessageKind::EmailChanged,
            Kind::SecondFactorChanged => MessageKind::SecondFactorChanged,
            Kind::LoginFromNewSource => MessageKind::LoginFromNewSource,
            Kind::ApiKeyCreated => MessageKind::ApiKeyCreated,
        },
        to: message.to,
        username: message.username,
        user_id: message.user_id,
        code: message.code.map(Zeroizing::new),
        expires_at: message.expires_at,
    }
}
