//! Public documents on the web, through the import `documents`.

use std::time::Duration;

use super::Host;
use crate::component::contract::imports::documents as wit;
use crate::ports::{Document, Documents, FetchError};

impl Documents for Host {
    fn get(&self, url: &str, max_bytes: u32) -> Result<Document, FetchError> {
        let document = wit::get(url, max_bytes).map_err(|error| match error {
            wit::FetchError::Unusable(reason) => FetchError::Unusable(reason),
            wit::FetchError::Unavailable(unavailable) => {
                FetchError::Unavailable(unavailable.into())
            }
        })?;
        let fresh_for = document.fresh_for.map(u64::from);
        Ok(Document {
            body: document.body,
            fresh_for: fresh_for.map(Duration::from_secs),
        })
    }
}
