//! The URLs of metadata documents, by which clients identify themselves.

use fluent_uri::Uri;

use crate::types::http_uri::HttpUri;

/// Far longer than those in use. A client id is a part of every access token.
const MAX_BYTES: usize = 512;

/// The URL of the metadata document of a client, which is its id
/// (draft-ietf-oauth-client-id-metadata-document-02 section 3): `https`, the name of a host
/// in lower case, and a path without dot segments, in at most 512 bytes. It has no user
/// name, no query and no fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentUrl(String);

impl DocumentUrl {
    /// Returns the URL, byte by byte as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host, and the port if there is one.
    pub fn host(&self) -> &str {
        let rest = self.0.strip_prefix("https://").unwrap_or(&self.0);
        rest.split('/').next().unwrap_or(rest)
    }
}

impl TryFrom<String> for DocumentUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<DocumentUrl, Self::Error> {
        if text.len() > MAX_BYTES {
            return Err("expected at most 512 bytes");
        }
        let uri = Uri::parse(text.as_str()).map_err(|_| "expected an absolute URL")?;
        let parts = HttpUri::of(&uri).ok_or("expected https")??;
        if !text.starts_with("https://") {
            return Err("expected https");
        }
        if uri.has_query() || uri.has_fragment() {
            return Err("expected no query and no fragment");
        }
        let is_address =
            parts.host.starts_with('[') || parts.host.parse::<std::net::Ipv4Addr>().is_ok();
        if is_address || parts.host.ends_with('.') {
            return Err("expected the name of a host");
        }
        // A capital I looks like a small L to the person who is asked.
        if parts.host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err("expected a host in lower case");
        }
        let path = uri.path().as_str();
        if path.is_empty() {
            return Err("expected a path");
        }
        if path.split('/').any(is_dot_segment) {
            return Err("expected no dot segments");
        }
        Ok(DocumentUrl(text))
    }
}

/// Reports whether programs take a segment for this folder or the one above it (RFC 3986
/// section 5.2.4), encoded or not.
fn is_dot_segment(segment: &str) -> bool {
    let decoded = segment.replace("%2e", ".").replace("%2E", ".");
    matches!(decoded.as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_document_is_kept_as_it_is() {
        for (text, host) in [
            ("https://app.example.com/client.json", "app.example.com"),
            ("https://app.example.com/", "app.example.com"),
            (
                "https://app.example.com:8443/a/b.c/..d/",
                "app.example.com:8443",
            ),
            ("https://localhost:8443/client.json", "localhost:8443"),
            (
                "https://xn--bcher-kva.example/client",
                "xn--bcher-kva.example",
            ),
        ] {
            let url = DocumentUrl::try_from(text.to_owned()).unwrap();
            assert_eq!((url.as_str(), url.host()), (text, host));
        }
    }

    /// A18, of which the host of the component refuses the rest.
    #[test]
    fn attack_a18_other_urls_are_rejected() {
        for text in [
            "",
            "client-0123456789abcdef0123456789abcdef",
            "https://app.example.com",
            "http://app.example.com/client",
            "HTTPS://app.example.com/client",
            "ftp://app.example.com/client",
            "//app.example.com/client",
            "https:///client",
            "https://app.example.com/client?x",
            "https://app.example.com/client?",
            "https://app.example.com/client#x",
            "https://app.example.com/client#",
            "https://me@app.example.com/client",
            "https://app.example.com@evil.example/client",
            "https://app.example.com\\@evil.example/client",
            "https://app.example.com/./client",
            "https://app.example.com/a/../client",
            "https://app.example.com/..",
            "https://app.example.com/a/%2e%2E/client",
            "https://app.example.com/.%2e/client",
            "https://App.example.com/client",
            "https://app.example.com./client",
            "https://localhost./client",
            "https://127.0.0.1/client",
            "https://10.0.0.1:8443/client",
            "https://[::1]/client",
            "https://[::ffff:127.0.0.1]/client",
            "https://127.1/client",
            "https://2130706433/client",
            "https://0x7f000001/client",
            "https://0177.0.0.1/client",
            "https://app.example.com/a b",
            "https://app.example.com/\n",
            "https://m\u{fc}ller.example/client",
        ] {
            assert!(DocumentUrl::try_from(text.to_owned()).is_err(), "{text}");
        }
        let longest = format!("https://app.example.com/{}", "a".repeat(MAX_BYTES - 24));
        assert!(DocumentUrl::try_from(longest.clone()).is_ok());
        assert!(DocumentUrl::try_from(longest + "a").is_err());
    }
}
