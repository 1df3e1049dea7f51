//! Requests by HTTP, and what is checked before anything of them is used.

use crate::mcp::{self, Refusal};

/// Maximum size of a body in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// The media type of JSON.
pub const JSON: &str = "application/json";
/// The media type of forms.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A request.
pub struct Request {
    /// Its method, such as `POST`.
    pub method: String,
    /// Its path and its query.
    pub target: String,
    /// The host and the port that the client named, which have been checked.
    pub authority: Option<String>,
    /// Whether the client came by TLS.
    pub tls: bool,
    /// Its header fields, their names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The name of the header for API keys.
    pub api_key_header: String,
    /// The IP address that it came from.
    pub peer: Option<String>,
}

impl Request {
    /// Returns the path, without the query.
    pub fn path(&self) -> &str {
        let target = self.target.as_str();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// Returns the query, which may be empty.
    pub fn query(&self) -> &str {
        let parts = self.target.split_once('?');
        parts.map_or("", |(_, query)| query)
    }

    /// Requires one of these methods.
    pub fn require_method(&self, allowed: &[&str]) -> Result<(), Refusal> {
        if allowed.contains(&self.method.as_str()) {
            return Ok(());
        }
        let allow = allowed.join(", ");
        let mut refusal = Refusal::new(405, &format!("method not allowed; use {allow}"));
        refusal.headers.push(("allow".to_owned(), allow));
        Err(refusal)
    }

    /// Requires that the target has no query: what is in it would decide nothing, and its
    /// sender may have meant that it does.
    pub fn require_no_query(&self) -> Result<(), Refusal> {
        match self.query() {
            "" => Ok(()),
            _ => Err(Refusal::new(
                400,
                "the address has a query; all parameters belong into the body",
            )),
        }
    }

    /// Returns the message of this request, with the credentials of its caller and without
    /// its body.
    pub fn message(&self) -> Result<mcp::Request, Refusal> {
        Ok(mcp::Request {
            transport: mcp::Transport::Http,
            headers: fields(self)?,
            peer: self.peer.clone(),
            body: Vec::new(),
        })
    }

    /// Requires a body that is declared as this media type, if its type is declared at all,
    /// and that has no content coding.
    pub fn require_content(&self, media_type: &str) -> Result<(), Refusal> {
        let content_type =
            only(&self.headers, "content-type").map_err(|Repeated| repeated("content-type"))?;
        if let Some(other) = content_type.and_then(|value| other_type(value, media_type)) {
            let message = format!("the Content-Type is '{other}' and must be {media_type}");
            return Err(Refusal::new(415, &message));
        }
        let is_coding = |(name, value): &&(String, Vec<u8>)| {
            name == "content-encoding" && !value.eq_ignore_ascii_case(b"identity")
        };
        if let Some((_, coding)) = self.headers.iter().find(is_coding) {
            let coding = String::from_utf8_lossy(coding);
            let message =
                format!("the Content-Encoding is '{coding}'; send the body as it is, without any");
            let mut refusal = Refusal::new(415, &message);
            // RFC 9110 section 15.5.16: the codings that are accepted.
            let identity = ("accept-encoding".to_owned(), "identity".to_owned());
            refusal.headers.push(identity);
            return Err(refusal);
        }
        Ok(())
    }
}

/// Returns the body that `body` returns, unless that is too large.
pub fn read(body: impl FnOnce() -> Option<Vec<u8>>) -> Result<Vec<u8>, Refusal> {
    body().ok_or_else(|| {
        let message = format!("a message may have at most {MAX_BODY_BYTES} bytes");
        Refusal::new(413, &message)
    })
}

/// Returns the header fields with credentials and those of MCP, each of which may occur
/// only once.
fn fields(request: &Request) -> Result<Vec<(String, String)>, Refusal> {
    let is_wanted =
        |name: &str| name == "authorization" || name == "x-api-key" || name.starts_with("mcp-");
    let fields = request.headers.iter();
    fields
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, value)| {
            // Hosts pass the header for keys under one name, whatever it is called.
            let shown = match name.as_str() {
                "x-api-key" => request.api_key_header.to_ascii_lowercase(),
                name => name.to_owned(),
            };
            only(&request.headers, name).map_err(|Repeated| repeated(&shown))?;
            match String::from_utf8(value.clone()) {
                Ok(value) => Ok((name.clone(), value)),
                Err(_) => {
                    let message = format!("the header {shown} is not UTF-8");
                    Err(Refusal::new(400, &message))
                }
            }
        })
        .collect()
}

/// The header occurs more than once.
pub struct Repeated;

/// Returns the only value of a header. Two values are rejected: an intermediary could
/// have read the other one.
pub fn only<'a>(
    headers: &'a [(String, Vec<u8>)],
    name: &str,
) -> Result<Option<&'a [u8]>, Repeated> {
    let mut fields = headers.iter().filter(|(field, _)| field == name);
    let value = fields.next().map(|(_, value)| value.as_slice());
    match fields.next() {
        None => Ok(value),
        Some(_) => Err(Repeated),
    }
}

/// Returns the refusal of a request with this header twice.
pub fn repeated(name: &str) -> Refusal {
    Refusal::new(400, &format!("there is more than one {name} header"))
}

/// Returns the media type if it is another one.
fn other_type(value: &[u8], media_type: &str) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let essence = text.split_once(';').map_or(&*text, |(essence, _)| essence);
    let essence = essence.trim();
    (!essence.eq_ignore_ascii_case(media_type)).then(|| essence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter();
        Request {
            method: "POST".to_owned(),
            target: "/mcp?a".to_owned(),
            authority: None,
            tls: false,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            api_key_header: "X-Team-Key".to_owned(),
            peer: None,
        }
    }

    #[test]
    fn repeated_credential_and_routing_headers_are_rejected() {
        for (name, shown) in [
            ("authorization", "authorization"),
            ("x-api-key", "x-team-key"),
            ("mcp-method", "mcp-method"),
        ] {
            assert!(fields(&request(&[(name, "x")])).is_ok());
            let refused = fields(&request(&[(name, "x"), (name, "x")])).unwrap_err();
            assert_eq!(refused.status, 400, "{name}");
            let expected = format!("there is more than one {shown} header");
            assert_eq!(refused.error["message"], expected);
        }
    }

    #[test]
    fn the_body_is_json_as_it_is() {
        let status = |headers: &[(&str, &str)]| {
            let refused = request(headers).require_content(JSON);
            refused.err().map(|refusal| refusal.status)
        };
        for accepted in [
            &[][..],
            &[("content-type", "Application/JSON; charset=utf-8")],
            &[("content-encoding", "Identity")],
        ] {
            assert_eq!(status(accepted), None, "{accepted:?}");
        }
        assert_eq!(status(&[("content-type", "text/plain; x=y")]), Some(415));
        for coding in ["gzip", "identity, br", ""] {
            assert_eq!(
                status(&[("content-encoding", coding)]),
                Some(415),
                "{coding}"
            );
        }
        let json = ("content-type", "application/json");
        assert_eq!(status(&[json, ("content-encoding", "br")]), Some(415));
        assert_eq!(status(&[json, json]), Some(400));
    }
}
