//! `keys`: derived from the master secret, which stays here.

use crate::bindings::user_auth::plugin::keys::Host;
use crate::bindings::user_auth::plugin::types::Unavailable;
use crate::ctx::UserAuthCtx;

impl Host for UserAuthCtx {
    fn derive(&mut self, label: String) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        self.count_host_call()?;
        let key = self.shared().keys.derive_for_component(&label);
        Ok(key.map(|key| key.to_vec()).ok_or_else(|| Unavailable {
            reason: format!("the label {label:?} is not the component's"),
            retry_after_ms: 0,
        }))
    }
}
