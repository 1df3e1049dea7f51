//! The URLs that may be fetched.

use url::{Host, Url};

use super::FetchError;

/// The only port on the public web.
const HTTPS_PORT: u16 = 443;
/// The name of this machine.
const LOCALHOST: &str = "localhost";

/// The place of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The name of the host, in lower case.
    pub(super) host: String,
    pub(super) port: u16,
    /// The path and the query.
    pub(super) path: String,
    /// Whether it is on this machine, where that is allowed.
    pub(super) is_loopback: bool,
}

impl Target {
    /// Parses a URL. Texts that are not in the normal form are refused, which includes dot
    /// segments, the forms of addresses that programs read differently, and names that are
    /// not in their ASCII form.
    pub(super) fn parse(text: &str, is_loopback_allowed: bool) -> Result<Self, FetchError> {
        let unusable = |problem| Err(FetchError::Unusable(problem));
        let Ok(url) = Url::parse(text) else {
            return unusable("the URL cannot be parsed");
        };
        if url.as_str() != text {
            return unusable("the URL is not in its normal form");
        }
        if url.scheme() != "https" {
            return unusable("the URL is not https");
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return unusable("the URL has a user name or a fragment");
        }
        let Some(Host::Domain(host)) = url.host() else {
            return unusable("the URL does not name its host");
        };
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !host.bytes().all(is_of_name) || host.ends_with('.') {
            return unusable("the host of the URL is not a plain name");
        }
        let is_loopback = host == LOCALHOST && is_loopback_allowed;
        if !is_loopback && !host.contains('.') {
            return unusable("the host of the URL is not a name on the public web");
        }
        if !is_loopback && url.port().is_some() {
            return unusable("the URL has a port");
        }
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(HTTPS_PORT),
            path,
            is_loopback,
        })
    }

    /// Returns the value of the header `Host`, which tells origins apart.
    pub(super) fn origin(&self) -> String {
        match self.port {
            HTTPS_PORT => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

/// Returns whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == LOCALHOST,
        None => false,
    }
}

/// Returns the host and the port of a URL.
pub(super) fn host_and_port(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_on_the_public_web_by_its_name() {
        let target = Target::parse("https://app.example.com/a/client.json?x", false).unwrap();
        assert_eq!(target.origin(), "app.example.com");
        assert_eq!(
            (target.port, target.path.as_str()),
            (443, "/a/client.json?x")
        );
        assert!(!target.is_loopback);
    }

    #[test]
    fn attack_a18_all_other_urls_are_refused() {
        for text in [
            "",
            "app.example.com/client",
            "http://app.example.com/client",
            "ftp://app.example.com/client",
            "file:///etc/passwd",
            "https://app.example.com",
            "https://app.example.com:443/client",
            "https://app.example.com:8443/client",
            "https://me@app.example.com/client",
            "https://:secret@app.example.com/client",
            "https://app.example.com/client#x",
            "https://app.example.com/client#",
            "https://app.example.com/a/../client",
            "https://app.example.com/./client",
            "https://app.example.com/%2e%2e/client",
            "https://app.example.com\\client",
            "https://app.example.com/a b",
            "https:/app.example.com/client",
            " https://app.example.com/client",
            "https://app.example.com/\tclient",
            "https://App.example.com/client",
            "https://app.example.com./client",
            "https://m\u{fc}ller.example/client",
            "https://app%2eexample.com/client",
            "https://intranet/client",
            "https://localhost/client",
            "https://localhost:8443/client",
            "https://localhost./client",
            "https://127.0.0.1/client",
            "https://127.1/client",
            "https://2130706433/client",
            "https://0x7f000001/client",
            "https://0177.0.0.1/client",
            "https://169.254.169.254/latest/meta-data",
            "https://8.8.8.8/client",
            "https://[::1]/client",
            "https://[::ffff:127.0.0.1]/client",
            "https://[64:ff9b::7f00:1]/client",
            "https://\u{ff11}27.0.0.1/client",
        ] {
            assert!(Target::parse(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn documents_on_this_machine_have_to_be_allowed() {
        let text = "https://localhost:8443/client";
        let target = Target::parse(text, true).unwrap();
        assert!(target.is_loopback);
        assert_eq!(target.origin(), "localhost:8443");
        for text in [
            "http://localhost:8443/client",
            "https://127.0.0.1:8443/client",
            "https://localhost.:8443/client",
            "https://localhost.example.com:8443/client",
        ] {
            assert!(Target::parse(text, true).is_err(), "{text}");
        }
    }
}
