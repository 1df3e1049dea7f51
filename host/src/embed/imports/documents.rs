//! The interface `documents`, which fetches within the limits of all calls together.

use crate::documents;
use crate::embed::bindings::user_auth::plugin::documents::{Document, FetchError, Host};
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;

impl Host for UserAuthCtx {
    async fn get(
        &mut self,
        url: String,
        max_bytes: u32,
    ) -> wasmtime::Result<Result<Document, FetchError>> {
        self.count_host_call()?;
        let host = self.host().clone();
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let fetch = host.shared().documents.get(&url, max_bytes);
        let fetched = self.wait(fetch).await;
        Ok(match fetched {
            Ok(documents::Document { body, fresh_for }) => Ok(Document { body, fresh_for }),
            Err(error) => Err(error.into()),
        })
    }
}

impl From<documents::FetchError> for FetchError {
    fn from(error: documents::FetchError) -> Self {
        let reason = error.to_string();
        match error {
            documents::FetchError::Unusable(_) => FetchError::Unusable(reason),
            documents::FetchError::Unavailable { retry_after, .. } => {
                let retry_after_ms = retry_after.map(|wait| wait.as_millis());
                FetchError::Unavailable(Unavailable {
                    reason,
                    retry_after_ms: retry_after_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)),
                })
            }
        }
    }
}
