//! Documents on the public web that the component asks for, such as the metadata of clients.
//! Anyone can have the component ask for any URL, so this fetches nothing that only this
//! machine can reach (server-side request forgery): the URL names a host, all addresses of
//! that host are public, and the connection goes to one of the addresses that were checked.

mod address;
mod fetch;
mod quota;
mod target;

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;
use url::Url;

use crate::limits::Limits;
use crate::settings;
use fetch::Fetcher;
use quota::Quota;
use target::Target;

/// Suggested delay when too many documents are being fetched.
const RETRY: Duration = Duration::from_secs(5);

/// A document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) body: Vec<u8>,
    /// How long it may be kept, in seconds; `None` if its server does not say.
    pub(crate) fresh_for: Option<u32>,
}

/// Reasons why there is no document. The texts are for the log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// The URL may not be fetched, or leads to no such document.
    #[error("{0}")]
    Unusable(&'static str),
    /// It cannot be fetched now.
    #[error("{reason}")]
    Unavailable {
        reason: String,
        retry_after: Option<Duration>,
    },
}

/// Fetches documents within the limits.
pub(crate) struct Documents {
    /// The host and the port of this service itself, if it has a public URL.
    own: Option<(String, u16)>,
    /// Whether clients may have documents at all. Otherwise the component has no reason to
    /// fetch any, and no way to send something out by a URL.
    is_enabled: bool,
    /// Whether documents may be on this machine.
    is_loopback_allowed: bool,
    quota: Quota,
    fetcher: Fetcher,
    limits: Limits,
}

impl Documents {
    /// Returns a fetcher for a component with these settings.
    pub(crate) fn new(settings: &[(String, String)], limits: &Limits) -> Self {
        let public_url = settings::last(settings, settings::PUBLIC_URL);
        let public_url = public_url.and_then(|url| Url::parse(url).ok());
        // Draft section 8.6: only if this service is on the same loopback interface.
        let is_on_loopback = public_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "http" && target::is_loopback(url));
        let asked = settings::last(settings, settings::CLIENT_DOCUMENTS);
        Self {
            own: public_url.as_ref().and_then(target::host_and_port),
            is_enabled: settings::last(settings, settings::OAUTH_ENABLED) == Some("true")
                && asked != Some("off"),
            is_loopback_allowed: is_on_loopback && asked == Some("loopback"),
            quota: Quota::new(limits),
            fetcher: Fetcher::new(limits),
            limits: limits.clone(),
        }
    }

    /// Fetches a document of at most `max_bytes`.
    pub(crate) async fn get(&self, url: &str, max_bytes: usize) -> Result<Document, FetchError> {
        if !self.is_enabled {
            return Err(FetchError::Unavailable {
                reason: "the settings permit no documents".to_owned(),
                retry_after: None,
            });
        }
        let target = Target::parse(url, self.is_loopback_allowed)?;
        if self.own.as_ref() == Some(&(target.host.clone(), target.port)) {
            return Err(FetchError::Unusable("the URL is of this service itself"));
        }
        let place = Arc::new(self.quota.begin(&target.origin())?);
        let max_bytes = max_bytes.min(self.limits.document_bytes);
        let fetch = self.fetcher.fetch(&target, max_bytes, &place);
        let fetched = tokio::time::timeout(self.limits.document_timeout, fetch).await;
        let fetched = fetched.unwrap_or(Err(FetchError::Unusable("the server takes too long")));
        debug!(
            host = target.host,
            ok = fetched.is_ok(),
            "fetched a document"
        );
        fetched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(public_url: &str, asked: &str) -> Documents {
        let settings = [
            (settings::PUBLIC_URL, public_url),
            (settings::CLIENT_DOCUMENTS, asked),
            (settings::OAUTH_ENABLED, "true"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Documents::new(&settings, &Limits::default())
    }

    #[test]
    fn this_machine_is_allowed_only_to_a_service_on_it_that_asks_for_that() {
        for (public_url, asked, expected) in [
            ("http://localhost:8000", "loopback", true),
            ("http://127.0.0.1:8000/tenant", "loopback", true),
            ("http://[::1]:8000", "loopback", true),
            ("http://localhost:8000", "public", false),
            ("https://localhost:8000", "loopback", false),
            ("https://auth.example.com", "loopback", false),
            ("http://auth.example.com", "loopback", false),
            ("http://localhost.example.com", "loopback", false),
        ] {
            let documents = documents(public_url, asked);
            assert_eq!(
                documents.is_loopback_allowed, expected,
                "{public_url} {asked}"
            );
        }
        assert!(!Documents::new(&[], &Limits::default()).is_loopback_allowed);
    }

    #[tokio::test]
    async fn nothing_is_fetched_unless_clients_may_have_documents() {
        let off = documents("https://auth.example.com", "off");
        let without_oauth = Documents::new(&[], &Limits::default());
        for documents in [off, without_oauth] {
            let fetched = documents
                .get("https://auth.example.com/client", 1_000)
                .await;
            assert!(
                matches!(fetched, Err(FetchError::Unavailable { .. })),
                "{fetched:?}"
            );
        }
    }

    /// Without a connection: the names are unknown, and what is refused is not resolved.
    #[tokio::test]
    async fn a_service_fetches_nothing_from_itself() {
        let documents = documents("https://auth.example.com", "public");
        let own = documents
            .get("https://auth.example.com/client", 1_000)
            .await;
        assert_eq!(
            own,
            Err(FetchError::Unusable("the URL is of this service itself"))
        );
        let other = documents
            .get("https://auth.example.com:8443/client", 1_000)
            .await;
        assert_eq!(other, Err(FetchError::Unusable("the URL has a port")));
    }
}
