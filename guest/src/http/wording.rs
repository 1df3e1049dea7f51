//! The forms in which routes report errors, for the component itself and for its host.

use serde_json::json;

use crate::json::JsonText;
use crate::mcp::{Refusal, Response};

/// The form of the errors of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An error of JSON-RPC.
    JsonRpc,
    /// An object with the error object alone.
    Plain,
    /// An error of OAuth (RFC 6749 section 5.2).
    OAuth,
}

impl Form {
    /// Returns the response to a request that is refused, for a client that has given no
    /// id.
    pub fn respond(self, refusal: Refusal) -> Response {
        let error = &refusal.error;
        let body = match self {
            Form::JsonRpc => json!({"jsonrpc": "2.0", "id": null, "error": error}),
            Form::Plain => json!({"error": error}),
            Form::OAuth => json!({
                "error": oauth_code(refusal.status),
                "error_description": error["message"],
            }),
        };
        Response {
            status: refusal.status,
            headers: refusal.headers,
            body: Some(JsonText::of(&body).into_bytes()),
        }
    }

    /// Returns the body of an error that a host writes by itself, in response to a request
    /// that has to be changed. `$id`, `$error` and `$message` stand for the JSON of the id
    /// of the request, of the error object and of its message.
    pub fn refused(self) -> &'static str {
        match self {
            Form::JsonRpc => r#"{"error":$error,"id":$id,"jsonrpc":"2.0"}"#,
            Form::Plain => r#"{"error":$error}"#,
            Form::OAuth => r#"{"error":"invalid_request","error_description":$message}"#,
        }
    }

    /// Returns the same for a request that can be sent again later.
    pub fn unavailable(self) -> &'static str {
        match self {
            Form::OAuth => r#"{"error":"temporarily_unavailable","error_description":$message}"#,
            form => form.refused(),
        }
    }
}

/// RFC 6749 sections 4.1.2.1 and 5.2, by the status.
fn oauth_code(status: u16) -> &'static str {
    match status {
        401 => "invalid_client",
        403 => "access_denied",
        429 | 503 => "temporarily_unavailable",
        _ => "invalid_request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_words_an_error_as_the_component_does() {
        for (form, status, template) in [
            (Form::JsonRpc, 400, Form::JsonRpc.refused()),
            (Form::Plain, 429, Form::Plain.unavailable()),
            (Form::OAuth, 413, Form::OAuth.refused()),
            (Form::OAuth, 429, Form::OAuth.unavailable()),
            (Form::OAuth, 503, Form::OAuth.unavailable()),
        ] {
            let refusal = Refusal::new(status, "\"no\"");
            let filled = template
                .replace("$error", &refusal.error.to_string())
                .replace("$message", &refusal.error["message"].to_string())
                .replace("$id", "null");
            let body = String::from_utf8(form.respond(refusal).body.unwrap()).unwrap();
            assert_eq!(filled, body, "{form:?} {status}");
        }
    }
}
