//! Derived keys, by the import `keys`.

use super::Host;
use crate::component::contract::imports::keys;
use crate::ports::{Keys, Unavailable};

impl Keys for Host {
    fn derive(&self, label: &str) -> Result<[u8; 32], Unavailable> {
        let key = keys::derive(label)?;
        key.try_into().map_err(|_| Unavailable {
            reason: "a derived key does not have 32 bytes".to_owned(),
            retry_after_ms: Some(1000),
        })
    }
}
