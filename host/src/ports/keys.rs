//! `keys`: derived from the master secret, which stays here.

use crate::bindings::user_auth::plugin::keys::Host;
use crate::bindings::user_auth::plugin::types::Unavailable;
use crate::ctx::UserAuthCtx;

/// The longest label of a key: they name what the key is for.
const LABEL_BYTES: usize = 512;

impl Host for UserAuthCtx {
    fn derive(&mut self, label: String) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        self.count_host_call()?;
        if label.len() > LABEL_BYTES {
            return Ok(Err(refused(format!(
                "a label has {} bytes, of at most {LABEL_BYTES}",
                label.len()
            ))));
        }
        let key = self.shared().keys.derive_for_component(&label);
        Ok(key
            .map(|key| key.to_vec())
            .ok_or_else(|| refused(format!("the label {label:?} is not the component's"))))
    }
}

fn refused(reason: String) -> Unavailable {
    Unavailable {
        reason,
        retry_after_ms: 0,
    }
}
