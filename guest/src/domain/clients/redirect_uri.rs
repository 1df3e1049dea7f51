//! Redirect URIs: where a client receives the answer to a request for access
//! (RFC 6749 section 3.1.2).

use std::ops::Range;

use fluent_uri::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::http_uri::HttpUri;

const MAX_BYTES: usize = 2_000;
const MAX_REDIRECT_URIS: usize = 10;

/// Schemes that no program has to itself. Browsers run or open such a URI themselves, or
/// hand it to a program that sends it on; `urn` is the copied code that OAuth 2.0 has given
/// up (`urn:ietf:wg:oauth:2.0:oob`).
const REFUSED_SCHEMES: [&str; 14] = [
    "about",
    "blob",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "javascript",
    "mailto",
    "urn",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// Schemes without a dot that clients of MCP use.
const KNOWN_SCHEMES: [&str; 1] = ["cursor"];

/// A redirect URI: `https`, `http` on this machine, or a scheme that a program has
/// registered for itself (RFC 8252 section 7). It has no fragment, no user name and no
/// wildcard, and at most 2,000 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri", "maxLength" = MAX_BYTES))]
pub struct RedirectUri {
    text: String,
    /// The place of the port with its colon, empty if there is none, where clients receive
    /// the answer on any port.
    any_port: Option<Range<usize>>,
}

/// What receives the answer at a redirect URI, for people who decide about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver<'a> {
    /// The website with this host, and its port if there is one.
    Website(&'a str),
    /// A program on the user's own machine.
    ThisMachine,
    /// The program that has registered this scheme.
    Scheme(&'a str),
}

impl RedirectUri {
    /// Returns the URI as it was registered, byte by byte.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reports whether a program on the user's own machine receives the answer by HTTP.
    pub fn is_loopback(&self) -> bool {
        self.any_port.is_some()
    }

    /// Returns what receives the answer.
    pub fn receiver(&self) -> Receiver<'_> {
        if self.is_loopback() {
            return Receiver::ThisMachine;
        }
        let (scheme, rest) = self.text.split_once(':').unwrap_or((&self.text, ""));
        if !scheme.eq_ignore_ascii_case("https") {
            return Receiver::Scheme(scheme);
        }
        let rest = rest.trim_start_matches('/');
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        Receiver::Website(&rest[..end])
    }

    /// Reports whether a client that registers itself may have this URI. A private-use scheme
    /// must be a domain name in reverse order (RFC 8252 section 7.1) or well known: others
    /// open websites, or tools of the operating system.
    pub fn is_allowed_for_dynamic_clients(&self) -> bool {
        match self.receiver() {
            Receiver::Scheme(scheme) => scheme.contains('.') || KNOWN_SCHEMES.contains(&scheme),
            Receiver::Website(_) | Receiver::ThisMachine => true,
        }
    }

    /// Returns the URI with parameters, which are encoded already, added to its query
    /// (RFC 6749 section 4.1.2).
    pub fn with_query(&self, parameters: &str) -> String {
        let separator = match self.text.contains('?') {
            true if self.text.ends_with(['?', '&']) => "",
            true => "&",
            false => "?",
        };
        format!("{}{separator}{parameters}", self.text)
    }

    /// Reports whether this registered URI permits the one of a request. Both are the same
    /// text (RFC 9700 section 4.1.3), except for the port on the user's own machine, which
    /// a program learns only as it starts (RFC 8252 section 7.3). `localhost` has any port
    /// as well: clients register it without one.
    pub fn permits(&self, requested: &RedirectUri) -> bool {
        match (self.without_port(), requested.without_port()) {
            (Some(own), Some(requested)) => own == requested,
            _ => self.text == requested.text,
        }
    }

    /// Returns what is before and after the port, where any port is permitted.
    fn without_port(&self) -> Option<(&str, &str)> {
        let port = self.any_port.as_ref()?;
        Some((&self.text[..port.start], &self.text[port.end..]))
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = &'static str;

    fn try_from(text: String) -> Result<RedirectUri, Self::Error> {
        if text.len() > MAX_BYTES {
            return Err("expected at most 2000 bytes");
        }
        if text.contains('*') {
            return Err("expected no wildcard; list each redirect URI");
        }
        let any_port = {
            let uri = Uri::parse(text.as_str())
                .map_err(|_| "expected an absolute URI such as https://app.example.com/callback")?;
            if uri.has_fragment() {
                return Err("expected no fragment");
            }
            match HttpUri::of(&uri) {
                Some(parts) => place_of_any_port(&uri, &parts?)?,
                None => {
                    require_private_use(&uri)?;
                    None
                }
            }
        };
        Ok(RedirectUri { text, any_port })
    }
}

fn place_of_any_port(
    uri: &Uri<&str>,
    parts: &HttpUri,
) -> Result<Option<Range<usize>>, &'static str> {
    if parts.is_secure {
        return Ok(None);
    }
    if !parts.is_loopback {
        return Err("expected https, or http on localhost, 127.0.0.1 or [::1]");
    }
    let start = uri.scheme().as_str().len() + "://".len() + parts.host.len();
    let rest = &uri.as_str()[start..];
    let len = rest.find(['/', '?']).unwrap_or(rest.len());
    Ok(Some(start..start + len))
}

fn require_private_use(uri: &Uri<&str>) -> Result<(), &'static str> {
    let scheme = uri.scheme().as_str();
    if scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("expected a scheme in lower case");
    }
    if REFUSED_SCHEMES.contains(&scheme) {
        return Err("expected https, or a scheme of the program's own such as com.example.app");
    }
    if uri.authority().is_some_and(|it| it.has_userinfo()) {
        return Err("expected no user name and no password");
    }
    Ok(())
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> String {
        uri.text
    }
}

/// The redirect URIs of a client: 1 to 10 different ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<RedirectUri>", into = "Vec<RedirectUri>")]
#[schemars(
    with = "Vec<RedirectUri>",
    extend("minItems" = 1, "maxItems" = MAX_REDIRECT_URIS)
)]
pub struct RedirectUris(Vec<RedirectUri>);

impl RedirectUris {
    /// The most redirect URIs of a client.
    pub const MAX: usize = MAX_REDIRECT_URIS;

    /// Returns the URIs in the order in which they were registered.
    pub fn as_slice(&self) -> &[RedirectUri] {
        &self.0
    }

    /// Reports whether one of the URIs permits the one of a request.
    pub fn permit(&self, requested: &RedirectUri) -> bool {
        self.0.iter().any(|uri| uri.permits(requested))
    }
}

impl TryFrom<Vec<RedirectUri>> for RedirectUris {
    type Error = &'static str;

    fn try_from(uris: Vec<RedirectUri>) -> Result<RedirectUris, Self::Error> {
        // Before the comparison of each with each.
        if uris.is_empty() || uris.len() > MAX_REDIRECT_URIS {
            return Err("expected 1 to 10 redirect URIs");
        }
        let mut distinct: Vec<RedirectUri> = Vec::with_capacity(uris.len());
        for uri in uris {
            if !distinct.contains(&uri) {
                distinct.push(uri);
            }
        }
        Ok(RedirectUris(distinct))
    }
}

impl From<RedirectUris> for Vec<RedirectUri> {
    fn from(uris: RedirectUris) -> Vec<RedirectUri> {
        uris.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<RedirectUri, &'static str> {
        RedirectUri::try_from(text.to_owned())
    }

    fn uri(text: &str) -> RedirectUri {
        parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    #[test]
    fn addresses_of_web_local_and_private_use_are_accepted_as_they_are() {
        for text in [
            "https://app.example.com",
            "https://app.example.com/callback?tenant=1&x=%2F",
            "https://app.example.com:8443/callback",
            "https://claude.ai/api/mcp/auth_callback",
            "https://[2001:db8::1]/callback",
            "http://localhost/callback",
            "http://localhost:33418",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1?x=1",
            "http://[::1]:8080/callback",
            "com.example.app:/oauth/callback",
            "com.example.app://callback",
            "cursor://anysphere.cursor-retrieval/oauth/user-agent-desktop-callback",
            "vscode://publisher.extension/callback",
        ] {
            assert_eq!(uri(text).as_str(), text);
        }
    }

    #[test]
    fn all_other_addresses_are_rejected() {
        for text in [
            "",
            "callback",
            "/callback",
            "//app.example.com/callback",
            "app.example.com/callback",
            "https://",
            "https:///callback",
            "https:app.example.com",
            "https://app.example.com/callback#",
            "https://app.example.com/callback#x",
            "com.example.app:/callback#x",
            "https://me@app.example.com/callback",
            "https://app.example.com@evil.example/callback",
            "com.example.app://me@callback",
            "https://app.example.com/a b",
            " https://app.example.com/",
            "https://app.example.com/\n",
            "https://app.example.com\\@evil.example/",
            "https://app.example.com/%zz",
            "https://m\u{fc}ller.example/",
            "https://*.example.com/callback",
            "https://app.example.com/*",
            "com.example.app:/*",
            "http://app.example.com/callback",
            "http://localhost.evil.example/callback",
            "http://localhost@evil.example/callback",
            "http://0.0.0.0/callback",
            "http://127.1/callback",
            "http://[::ffff:127.0.0.1]/callback",
            "http://localhost:/callback",
            "http://localhost:99999/callback",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://app.example.com/x",
            "about:blank",
            "urn:ietf:wg:oauth:2.0:oob",
            "ws://localhost/callback",
            "Com.example.app:/callback",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let longest = format!("https://app.example.com/{}", "a".repeat(MAX_BYTES - 24));
        assert!(parse(&longest).is_ok());
        assert!(parse(&(longest + "a")).is_err());
    }

    #[test]
    fn only_the_port_of_the_users_own_machine_may_differ() {
        for (registered, requested, expected) in [
            ("https://a.example/cb", "https://a.example/cb", true),
            ("https://a.example/cb", "https://a.example/cb/", false),
            ("https://a.example/cb", "https://a.example/cb?x", false),
            ("https://a.example/cb", "https://A.example/cb", false),
            ("https://a.example/cb", "https://a.example:443/cb", false),
            ("https://a.example/cb", "https://a.example/c%62", false),
            ("https://a.example/cb", "http://localhost/cb", false),
            ("https://localhost/cb", "https://localhost:1/cb", false),
            ("http://localhost/cb", "http://localhost:5000/cb", true),
            ("http://localhost:1/cb", "http://localhost:5000/cb", true),
            ("http://localhost:1/cb", "http://localhost/cb", true),
            ("http://localhost:1?x", "http://localhost:2?x", true),
            ("http://localhost:1", "http://localhost:2", true),
            ("http://localhost:1", "http://localhost:2/", false),
            ("http://localhost/cb", "http://localhost:5000/other", false),
            ("http://localhost/cb", "http://127.0.0.1/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5000/cb", true),
            ("http://127.0.0.1/cb", "http://127.0.0.2/cb", false),
            ("http://[::1]/cb", "http://[::1]:5000/cb", true),
            ("http://localhost/cb", "https://localhost/cb", false),
            ("com.example:/cb", "com.example:/cb", true),
            ("com.example://h:1/cb", "com.example://h:2/cb", false),
        ] {
            let permits = uri(registered).permits(&uri(requested));
            assert_eq!(permits, expected, "{registered} {requested}");
        }
    }

    #[test]
    fn a_client_has_one_to_ten_different_redirect_uris() {
        let numbered = |count: usize| -> Vec<RedirectUri> {
            let texts = (0..count).map(|n| format!("https://app.example.com/{n}"));
            texts.map(|text| uri(&text)).collect()
        };
        assert!(RedirectUris::try_from(numbered(0)).is_err());
        assert!(RedirectUris::try_from(numbered(11)).is_err());
        let ten = RedirectUris::try_from(numbered(10)).unwrap();
        assert!(ten.permit(&uri("https://app.example.com/9")));
        assert!(!ten.permit(&uri("https://app.example.com/10")));
        let twice = vec![uri("com.b:/"), uri("com.a:/"), uri("com.b:/")];
        let once = RedirectUris::try_from(twice).unwrap();
        assert_eq!(once.as_slice(), [uri("com.b:/"), uri("com.a:/")]);
    }

    proptest! {
        #[test]
        fn an_accepted_uri_is_kept_and_permits_itself(
            text in "[a-z]{1,6}:[/?#\\[\\]@:%*a-zA-Z0-9.\\-]{0,40}"
        ) {
            if let Ok(parsed) = parse(&text) {
                prop_assert_eq!(parsed.as_str(), &text);
                prop_assert!(parsed.permits(&parsed));
            }
        }

        #[test]
        fn no_text_is_accepted_that_could_leave_its_place_in_a_header(text in any::<String>()) {
            let text = format!("https://app.example.com/{text}");
            if let Ok(parsed) = parse(&text) {
                prop_assert!(parsed.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        #[test]
        fn the_port_of_the_users_own_machine_never_matters(
            host in "localhost|127\\.0\\.0\\.1|\\[::1\\]",
            ports in (1..=u16::MAX, 1..=u16::MAX),
            rest in "(/[a-z0-9:]{0,8}){0,3}(\\?[a-z0-9:=/]{0,8})?"
        ) {
            let on = |port| uri(&format!("http://{host}:{port}{rest}"));
            let without = uri(&format!("http://{host}{rest}"));
            prop_assert!(on(ports.0).permits(&on(ports.1)));
            prop_assert!(on(ports.0).permits(&without));
            prop_assert!(without.permits(&on(ports.1)));
            if !rest.is_empty() {
                let longer = uri(&format!("http://{host}:{}{rest}x", ports.1));
                prop_assert!(!on(ports.0).permits(&longer));
            }
        }
    }
}
