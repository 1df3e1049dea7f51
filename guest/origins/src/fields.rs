//! The header fields that tell browsers what they may do with a response.

use std::borrow::Cow;

/// A header field.
pub type Field<'a> = (&'static str, Cow<'a, str>);

/// The fields of every response: browsers must not treat it as a page, must not send its
/// URL as a referrer, and must not cache it (it may hold tokens: RFC 6749 section 5.1).
/// Pages have a `content-security-policy` of their own, and what may be kept has a
/// `cache-control` of its own.
pub const SECURITY: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// The headers that pages send to what is public, and read there.
const SENT_TO_ALL: &str = "accept,authorization,content-type,mcp-protocol-version";
const READ_BY_ALL: &str = "retry-after,www-authenticate";

/// How long a browser may cache the response to a preflight request, in seconds.
const MAX_AGE: &str = "600";

/// The headers that pages send, besides that of API keys: those of MCP, and those of W3C
/// Trace Context and W3C Baggage, which tracing libraries add.
const SENT: &str = "accept,authorization,content-type,mcp-protocol-version,mcp-method,\
    mcp-name,mcp-session-id,last-event-id,x-mcp-toolsets,x-mcp-readonly,traceparent,tracestate,\
    baggage";
/// The headers that pages read.
const READ: &str = "retry-after,www-authenticate,mcp-protocol-version,mcp-method,mcp-name,\
    mcp-session-id,last-event-id";

/// The web pages that may read a response (the CORS protocol of the Fetch standard).
/// Browsers never add credentials of their own: the cookies are for pages of this service
/// alone.
#[derive(Clone, Copy, Debug)]
pub enum Readers<'a> {
    /// All pages.
    All,
    /// The pages of the origin that the request names, which must be allowed, or of no
    /// origin if it names none.
    Origin(Option<&'a str>),
}

impl<'a> Readers<'a> {
    /// Returns the fields of the response to a preflight request, the method `OPTIONS`.
    /// `key_header` is the name of the header of API keys.
    pub fn preflight(self, key_header: &str) -> Vec<Field<'a>> {
        let mut fields = self.admitted();
        fields.push(("access-control-max-age", MAX_AGE.into()));
        let sent = match self {
            Readers::All => SENT_TO_ALL.into(),
            Readers::Origin(_) => format!("{SENT},{}", key_header.to_ascii_lowercase()).into(),
        };
        fields.push(("access-control-allow-headers", sent));
        fields.push(("access-control-allow-methods", "GET,POST".into()));
        fields
    }

    /// Returns the fields of any other response.
    pub fn response(self) -> Vec<Field<'a>> {
        let mut fields = self.admitted();
        let read = match self {
            Readers::All => READ_BY_ALL,
            Readers::Origin(_) => READ,
        };
        fields.push(("access-control-expose-headers", read.into()));
        fields
    }

    fn admitted(self) -> Vec<Field<'a>> {
        let name = "access-control-allow-origin";
        match self {
            Readers::All => vec![(name, "*".into())],
            // A cache must not give the response for one origin to another.
            Readers::Origin(origin) => {
                let admitted = origin.map(|origin| (name, origin.into()));
                let varies = ("vary", "origin".into());
                admitted.into_iter().chain([varies]).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: Vec<Field<'_>>) -> Vec<&'static str> {
        let mut names: Vec<_> = fields.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn only_the_origin_of_the_request_may_read() {
        let page = Readers::Origin(Some("https://a.example"));
        for fields in [page.preflight("X-Team-Key"), page.response()] {
            let admitted = ("access-control-allow-origin", "https://a.example".into());
            assert!(fields.contains(&admitted), "{fields:?}");
        }
        let sent = page.preflight("X-Team-Key");
        let sent = sent
            .iter()
            .find(|(name, _)| name.ends_with("allow-headers"));
        assert!(sent.unwrap().1.split(',').any(|name| name == "x-team-key"));
        let no_page = Readers::Origin(None);
        let expected = ["access-control-expose-headers", "vary"];
        assert_eq!(names(no_page.response()), expected);
    }

    #[test]
    fn all_pages_may_use_what_is_public_without_api_keys() {
        let expected = [
            "access-control-allow-headers",
            "access-control-allow-methods",
            "access-control-allow-origin",
            "access-control-max-age",
        ];
        assert_eq!(names(Readers::All.preflight("x-api-key")), expected);
        let sent = Readers::All.preflight("x-api-key");
        assert!(sent.iter().all(|(_, value)| !value.contains("api-key")));
        let expected = [
            "access-control-allow-origin",
            "access-control-expose-headers",
        ];
        assert_eq!(names(Readers::All.response()), expected);
    }
}
