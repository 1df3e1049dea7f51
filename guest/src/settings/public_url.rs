//! The URL of this service.

use crate::domain::resources::resource_url::ResourceUrl;

/// What a public URL has to be.
pub const EXPECTED: &str = "the URL of this service as its clients write it, such as \
    https://auth.example.com: https, or http on this machine, in lower case up to the path, \
    without a slash at the end, the segments . and .., escapes, a query, a fragment, a password \
    and the port that the scheme implies, and with at most 252 bytes";

/// With the path of an endpoint it is still short enough for the URL of a resource server.
const MAX_BYTES: usize = 252;

/// Where clients reach this service. They compare it byte by byte (RFC 8414 section 3.3),
/// so it is kept in the spelling of the operator, and never taken from a request. That is
/// also the spelling of browsers, whose `Origin` is compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Parses the URL.
    pub fn parse(text: &str) -> Option<PublicUrl> {
        let url = ResourceUrl::try_from(text.to_owned()).ok()?;
        let is_good = url.as_str() == text && text.len() <= MAX_BYTES && !text.contains('%');
        is_good.then(|| PublicUrl(text.to_owned()))
    }

    /// Returns the origin, as browsers name it.
    pub fn origin(&self) -> &str {
        self.0.strip_suffix(self.path()).unwrap_or(&self.0)
    }

    /// Returns the path, which is empty or begins with a slash and does not end with one.
    pub fn path(&self) -> &str {
        let host_at = self.0.find("://").map_or(0, |at| at + 3);
        let path_at = self.0[host_at..].find('/').map(|at| host_at + at);
        path_at.map_or("", |at| &self.0[at..])
    }

    /// Reports whether browsers come by TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Returns the URL as it was set.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_urls_that_clients_can_compare_byte_by_byte_are_accepted() {
        for good in [
            "https://auth.example.com",
            "https://auth.example.com:8443/tenant/1",
            "https://[2001:db8::1]",
            "http://localhost:8000",
            "http://127.0.0.1:8000/auth",
            "http://[::1]:8000",
        ] {
            let url = PublicUrl::parse(good).unwrap();
            assert_eq!(url.as_str(), good);
            assert_eq!(format!("{}{}", url.origin(), url.path()), good);
        }
        let url = PublicUrl::parse("https://a.example:8443/tenant/1").unwrap();
        assert_eq!(
            (url.origin(), url.path()),
            ("https://a.example:8443", "/tenant/1")
        );
        assert_eq!(PublicUrl::parse("http://localhost").unwrap().path(), "");
        for wrong in [
            "",
            "auth.example.com",
            "https://",
            "https:///x",
            "http://auth.example.com",
            "http://localhost.example.com",
            "https://auth.example.com/",
            "https://auth.example.com/x/",
            "https://auth.example.com//x",
            "https://auth.example.com/x/../y",
            "https://auth.example.com/.",
            "https://auth.example.com?x",
            "https://auth.example.com/x?y",
            "https://auth.example.com#x",
            "https://me:secret@auth.example.com",
            "https://Auth.example.com",
            "HTTPS://auth.example.com",
            "https://auth.example.com:x",
            "https://auth.example.com:99999",
            "https://auth.example.com:+8443",
            "https://auth.example.com:443",
            "https://auth.example.com:08443",
            "https://auth.example.com:",
            "https://.",
            "https://./a",
            "https://1.2.3.256",
            "https://xn--a",
            "https://[0:0:0:0:0:0:0:1]",
            "https://auth.example.com/%61",
            "https://auth.example.com/a b",
            "https://auth.example.com/\u{e4}",
            " https://auth.example.com",
            "ftp://localhost",
        ] {
            assert_eq!(PublicUrl::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn its_endpoint_is_not_too_long_for_the_url_of_a_resource_server() {
        let longest = format!("{:a<252}", "https://auth.example.com/");
        assert!(PublicUrl::parse(&longest).is_some());
        assert!(ResourceUrl::try_from(format!("{longest}/mcp")).is_ok());
        assert_eq!(PublicUrl::parse(&format!("{longest}a")), None);
    }

    proptest! {
        #[test]
        fn its_endpoint_is_the_url_of_a_resource_server_and_its_origin_that_of_browsers(
            text in "(https|http)://(localhost|127(\\.[0-9]{1,3}){0,3}|\\[[0-9a-f:]{2,9}\\]|(xn--)?[a-z0-9._-]{1,9})(:[0-9]{0,5})?[/.a~!$&'()*+,;=:@_-]{0,8}a{0,250}"
        ) {
            if let Some(public) = PublicUrl::parse(&text) {
                let endpoint = ResourceUrl::try_from(format!("{text}/mcp"));
                prop_assert!(endpoint.is_ok(), "{}", text);
                let browser = url::Url::parse(&text).expect("browsers take it for a URL");
                prop_assert_eq!(public.origin(), browser.origin().ascii_serialization());
                prop_assert_eq!(public.path(), browser.path().trim_end_matches('/'));
            }
        }
    }
}
