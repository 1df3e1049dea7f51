//! `keys`: derived from the master secret, which stays here.

use crate::bindings::user_auth::plugin::keys::Host;
use crate::bindings::user_auth::plugin::types::Unavailable;
use crate::instance::State;

impl Host for State {
    fn derive(&mut self, label: String) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        self.count_host_call()?;
        Ok(Ok(self.host().keys.derive(&label).to_vec()))
    }
}
