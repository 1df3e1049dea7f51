//! Delivery to the log, for development.

use async_trait::async_trait;
use tracing::info;

use super::{Delivery, DeliveryError, Message};

/// Writes messages to the log, **including their codes**: anyone who can read the log
/// can take over accounts. Suitable only for development on your own machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogDelivery;

#[async_trait]
impl Delivery for LogDelivery {
    fn kind(&self) -> &'static str {
        "log"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        info!(
            kind = message.kind.name(),
            to = message.to,
            username = message.username,
            user_id = message.user_id,
            code = message.code.as_ref().map(|code| code.as_str()),
            expires_at = message.expires_at,
            link = message.link.as_ref().map(|link| link.as_str()),
            "a message to the owner of an account",
        );
        Ok(())
    }
}
