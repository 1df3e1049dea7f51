//! Which web pages may call, and what their browsers are told of it (the CORS protocol
//! of the Fetch standard).

use crate::mcp::Response;

/// The headers of MCP that clients send and read.
const MCP: &str = "mcp-protocol-version,mcp-method,mcp-name,mcp-session-id,last-event-id";

/// The origins of web pages that may call; `*` are those of all.
#[derive(Default)]
pub struct Allowed(Vec<String>);

impl Allowed {
    /// Of a list separated by commas, as in `USER_AUTH_ALLOWED_ORIGINS`.
    pub fn parse(list: &str) -> Allowed {
        let origins = list.split(',').map(str::trim);
        Allowed(
            origins
                .filter(|origin| !origin.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// Whether pages of this origin may call, as browsers send it.
    pub fn admits(&self, origin: &str) -> bool {
        let is_listed = |listed: &String| {
            listed.eq_ignore_ascii_case(origin) || (listed == "*" && origin != "null")
        };
        self.0.iter().any(is_listed)
    }

    /// The answer to a browser that asks whether a page may call, if it does.
    pub fn preflight(&self, method: &str) -> Option<Response> {
        if method != "OPTIONS" || self.0.is_empty() {
            return None;
        }
        let sent = format!("accept,authorization,content-type,x-api-key,{MCP}");
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

    /// Adds to an answer what lets the page read it; `origin` is one that is admitted.
    pub fn tell(&self, origin: Option<&str>, response: &mut Response) {
        if self.0.is_empty() {
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

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
