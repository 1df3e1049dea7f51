//! The interface `keys`, which derives keys from the master secret; that stays in the
//! host.

use crate::embed::bindings::user_auth::plugin::keys::Host;
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;

/// Maximum length of a label, which names the purpose of a key.
const LABEL_BYTES: usize = 512;

impl Host for UserAuthCtx {
    fn derive(&mut self, label: String) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        self.count_host_call()?;
        if label.len() > LABEL_BYTES {
            return Ok(Err(refused(format!(
                "a label has {} bytes; at most {LABEL_BYTES} are allowed",
                label.len()
            ))));
        }
        let key = self.shared().keys.derive_for_component(&label);
        Ok(key
            .map(|key| key.to_vec())
            .ok_or_else(|| refused(format!("the label {label:?} is reserved for the host"))))
    }
}

fn refused(reason: String) -> Unavailable {
    Unavailable {
        reason,
        retry_after_ms: None,
    }
}
