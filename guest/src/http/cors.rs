//! The web pages that may call, and the headers that tell their browsers so (the CORS
//! protocol of the Fetch standard).

use std::fmt;

use super::origin::Origin;
use crate::mcp::Response;

/// MCP headers that clients send and read.
const MCP: &str = "mcp-protocol-version,mcp-method,mcp-name,mcp-session-id,last-event-id";
/// Headers of W3C Trace Context and W3C Baggage, which tracing libraries add to the
/// requests of a page.
const TRACE: &str = "traceparent,tracestate,baggage";

/// The origins of web pages that may call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    origins: Vec<Origin>,
    /// Whether `*` in the list admits the origins of all web pages.
    all: bool,
}

/// An entry of the list that is not an origin.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidOrigin(String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not an origin that can be allowed: write https://app.example.com, with no \
             path, https://*.example.com for all names with one more label, the origin of a \
             program such as tauri://localhost, null, or * for all web pages",
            self.0
        )
    }
}

impl Allowed {
    /// Parses a comma-separated list, as in `USER_AUTH_ALLOWED_ORIGINS`.
    pub fn parse(list: &str) -> Result<Allowed, InvalidOrigin> {
        let mut allowed = Allowed::default();
        let listed = list.split(',').map(str::trim);
        for origin in listed.filter(|origin| !origin.is_empty()) {
            match Origin::parse_listed(origin) {
                Some(origin) => allowed.origins.push(origin),
                None if origin == "*" => allowed.all = true,
                None => return Err(InvalidOrigin(origin.to_owned())),
            }
        }
        Ok(allowed)
    }

    /// Returns whether pages of this origin, as browsers send it, may call.
    pub fn admits(&self, origin: &str) -> bool {
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        let is_of_all = self.all && matches!(origin, Origin::Web { .. });
        is_of_all || self.origins.iter().any(|listed| listed.contains(&origin))
    }

    fn is_empty(&self) -> bool {
        self.origins.is_empty() && !self.all
    }

    /// Returns the response to a preflight request, or `None` if this is not one or no
    /// page may call.
    pub fn preflight(&self, method: &str) -> Option<Response> {
        if method != "OPTIONS" || self.is_empty() {
            return None;
        }
        let sent = format!("accept,authorization,content-type,x-api-key,{MCP},{TRACE}");
        let headers = [
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-headers", &sent),
            ("access-control-max-age", "600"),
        ];
        Some(Response {
            status: 200,
            headers: headers.map(|(name, value)| field(name, value)).into(),
            body: None,
        })
    }

    /// Adds the headers that let the page read a response. `origin` must be admitted.
    pub fn tell(&self, origin: Option<&str>, response: &mut Response) {
        if self.is_empty() {
            return;
        }
        let headers = &mut response.headers;
        let is_preflight = headers
            .iter()
            .any(|(name, _)| name == "access-control-allow-methods");
        headers.push(field("vary", "origin"));
        if let Some(origin) = origin {
            headers.push(field("access-control-allow-origin", origin));
        }
        if !is_preflight {
            let read = format!("retry-after,www-authenticate,{MCP}");
            headers.push(field("access-control-expose-headers", &read));
        }
    }
}

/// Returns the response to a preflight request for what all pages may read, or `None` if
/// this is not one.
pub fn public_preflight(method: &str) -> Option<Response> {
    let headers = [
        ("access-control-allow-methods", "GET,POST"),
        (
            "access-control-allow-headers",
            "accept,authorization,content-type,mcp-protocol-version",
        ),
        ("access-control-max-age", "600"),
    ];
    (method == "OPTIONS").then(|| Response {
        status: 200,
        headers: headers.map(|(name, value)| field(name, value)).into(),
        body: None,
    })
}

/// Adds the headers that let all pages read a response.
pub fn tell_all(response: &mut Response) {
    let all = field("access-control-allow-origin", "*");
    response.headers.push(all);
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_are_allowed() {
        let allowed = Allowed::parse(" https://a.example:443,,tauri://localhost, null ").unwrap();
        for origin in [
            "https://a.example",
            "HTTPS://A.example",
            "tauri://localhost",
            "null",
        ] {
            assert!(allowed.admits(origin), "{origin}");
        }
        for origin in [
            "https://b.example",
            "http://a.example",
            "tauri://evil",
            "https://a.example:evil",
            "",
        ] {
            assert!(!allowed.admits(origin), "{origin}");
        }
        assert_eq!(Allowed::parse(""), Ok(Allowed::default()));
        for list in [
            "https://*",
            "https://a.example,b.example",
            "https://a.example/",
        ] {
            assert!(Allowed::parse(list).is_err(), "{list}");
        }
    }

    #[test]
    fn a_wildcard_list_allows_only_web_origins() {
        let all = Allowed::parse("*").unwrap();
        assert!(all.admits("https://evil.example"));
        assert!(!all.admits("null") && !all.admits("tauri://localhost"));
        assert!(!all.admits("https://evil.example:x"));
    }
}
