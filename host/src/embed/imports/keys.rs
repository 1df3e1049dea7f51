//! The interface `keys`, which computes message authentication codes. The master secret
//! and the keys derived from it stay in the host.

use zeroize::Zeroizing;

use crate::embed::bindings::user_auth::plugin::keys::Host;
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;
use crate::keys::label::{Label, LabelError};

/// Maximum length of a message.
const MESSAGE_BYTES: usize = 64 * 1024;

// Not asynchronous: a code takes microseconds, and each verification of a token needs one.
impl Host for UserAuthCtx {
    fn mac(
        &mut self,
        label: String,
        message: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        self.count_host_call()?;
        // Some messages are secrets themselves, such as an API key that is to be hashed.
        let message = Zeroizing::new(message);
        if message.len() > MESSAGE_BYTES {
            return Ok(Err(refused(format!(
                "a message to authenticate has {} bytes; at most {MESSAGE_BYTES} are allowed",
                message.len()
            ))));
        }
        Ok(match Label::parse(&label) {
            Ok(label) => Ok(self.shared().keys.mac(label, &message).to_vec()),
            Err(error) => Err(error.into()),
        })
    }
}

impl From<LabelError> for Unavailable {
    fn from(error: LabelError) -> Self {
        refused(error.to_string())
    }
}

fn refused(reason: String) -> Unavailable {
    Unavailable {
        reason,
        retry_after_ms: None,
    }
}
