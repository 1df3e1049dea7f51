//! Message authentication codes, by the import `keys`.

use zeroize::Zeroizing;

use super::Host;
use crate::component::contract::imports::keys;
use crate::ports::{Keys, Unavailable};

impl Keys for Host {
    fn mac(&self, label: &str, message: &[u8]) -> Result<[u8; 32], Unavailable> {
        let mac = Zeroizing::new(keys::mac(label, message)?);
        mac.as_slice().try_into().map_err(|_| Unavailable {
            reason: "a message authentication code does not have 32 bytes".to_owned(),
            retry_after_ms: Some(1000),
        })
    }
}
