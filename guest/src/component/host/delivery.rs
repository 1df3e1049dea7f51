//! Messages to the owners of accounts, through the import `delivery`.

use super::Host;
use crate::component::contract::imports::delivery;
use crate::ports::{Delivery, Message, MessageKind, Unavailable};

impl Delivery for Host {
    fn deliver(&self, message: &Message) -> Result<(), Unavailable> {
        let (code, expires_at) = match &message.code {
            Some((code, ends)) => (Some(code.expose().to_owned()), Some(ends.to_rfc3339())),
            None => (None, None),
        };
        delivery::deliver(&delivery::Message {
            kind: match message.kind {
                MessageKind::PasswordReset => delivery::Kind::PasswordReset,
                MessageKind::EmailVerification => delivery::Kind::EmailVerification,
                MessageKind::EmailChange => delivery::Kind::EmailChange,
                MessageKind::PasswordChanged => delivery::Kind::PasswordChanged,
                MessageKind::EmailChangeRequested => delivery::Kind::EmailChangeRequested,
                MessageKind::EmailChanged => delivery::Kind::EmailChanged,
                MessageKind::SecondFactorChanged => delivery::Kind::SecondFactorChanged,
                MessageKind::LoginFromNewSource => delivery::Kind::LoginFromNewSource,
                MessageKind::ApiKeyCreated => delivery::Kind::ApiKeyCreated,
            },
            to: message.to.clone(),
            username: message.username.clone(),
            user_id: message.user_id.to_string(),
            code,
            expires_at,
        })?;
        Ok(())
    }
}
