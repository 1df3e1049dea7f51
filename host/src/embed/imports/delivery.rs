//! The interface `delivery`, which fills the queue of messages.

use tracing::warn;
use zeroize::Zeroizing;

use crate::delivery::{self, MessageKind};
use crate::embed::bindings::user_auth::plugin::delivery::{Host, Kind, Message};
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;

/// Suggested delay when the queue is full: long enough for a few messages to be sent.
const RETRY_AFTER_MS: u32 = 5_000;

impl Host for UserAuthCtx {
    fn deliver(&mut self, message: Message) -> wasmtime::Result<Result<(), Unavailable>> {
        self.count_host_call()?;
        let mut id = [0; 16];
        let queued = getrandom::fill(&mut id)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                let message = queued(base16ct::lower::encode_string(&id), message);
                self.shared()
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

fn queued(id: String, message: Message) -> delivery::Message {
    delivery::Message {
        id,
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
