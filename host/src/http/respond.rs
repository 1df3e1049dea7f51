//! The forms of responses: those of the component, errors, and the host's own documents.
//! The callers decide what to answer.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tracing::warn;

use super::body::{Body, Response};
use crate::api::{ErrorForm, Field, McpResponse};
use crate::error::{CallError, error_object, invalid_request};
use crate::outcome::ErrorCode;

/// How the host words the errors that it answers by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wording {
    /// The form of the route, or `None` for requests that the host answers itself.
    form: Option<Arc<ErrorForm>>,
    /// The id in the body of the request, or `null`.
    id: Value,
}

/// A call to which the component produced no response, and how the host words that.
pub(crate) struct Failed {
    pub(crate) wording: Wording,
    pub(crate) error: CallError,
}

/// About as many fields as the host adds to a response.
const OWN_FIELDS: usize = 8;

/// The form of errors where no route of the component has another one.
const OWN: &str = r#"{"error":$error}"#;

impl Wording {
    /// Returns the wording of a route, for a request whose id is not known.
    pub(crate) fn of(form: Arc<ErrorForm>) -> Self {
        Self {
            form: Some(form),
            id: Value::Null,
        }
    }

    /// Returns the same wording for the request with this id.
    pub(crate) fn with_id(mut self, id: Option<Value>) -> Self {
        self.id = id.unwrap_or_default();
        self
    }

    /// Returns the response to a request that has to be changed.
    pub(crate) fn refuse(&self, status: StatusCode, message: &str) -> Response {
        let template = self.form.as_ref().map_or(OWN, |form| &form.refused);
        json_text(status, self.fill(template, &invalid_request(message)))
    }

    /// Returns the response to a method that the host does not have at this path.
    pub(crate) fn method_not_allowed(&self, allow: &'static str) -> Response {
        let message = format!("method not allowed; use {allow}");
        let mut response = self.refuse(StatusCode::METHOD_NOT_ALLOWED, &message);
        let allow = HeaderValue::from_static(allow);
        response.headers_mut().insert("allow", allow);
        response
    }

    /// Returns the response to a caller that may not do this.
    pub(crate) fn forbidden(&self, details: Value) -> Response {
        let error = error_object(ErrorCode::Authorization, self.operation(), details);
        let template = self.form.as_ref().map_or(OWN, |form| &form.refused);
        json_text(StatusCode::FORBIDDEN, self.fill(template, &error))
    }

    /// Returns the response to a caller over its rate limit.
    pub(crate) fn limited(&self, seconds: u64) -> Response {
        let details = json!({ "retry_after_seconds": seconds });
        let error = error_object(ErrorCode::RateLimit, self.operation(), details);
        let body = self.fill(self.unavailable_form(), &error);
        retry_after(json_text(StatusCode::TOO_MANY_REQUESTS, body), seconds)
    }

    /// Returns the response for a call to which the component produced none.
    pub(crate) fn unavailable(&self, error: &CallError) -> Response {
        let response = json_text(StatusCode::SERVICE_UNAVAILABLE, self.failure(error));
        retry_after(response, error.retry_after().as_secs())
    }

    /// Returns the body of that response.
    pub(crate) fn failure(&self, error: &CallError) -> String {
        self.fill(self.unavailable_form(), &error.to_object(self.operation()))
    }

    fn unavailable_form(&self) -> &str {
        self.form.as_ref().map_or(OWN, |form| &form.unavailable)
    }

    fn operation(&self) -> &str {
        self.form.as_ref().map_or("mcp", |form| &form.operation)
    }

    /// Replaces the names in a form by the JSON that they stand for. That is not searched
    /// for names in turn.
    fn fill(&self, form: &str, error: &Value) -> String {
        let mut filled = String::new();
        let mut rest = form;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let names = [
                ("$error", error),
                ("$message", &error["message"]),
                ("$id", &self.id),
            ];
            let named = names.into_iter().find_map(|(name, value)| {
                let rest = rest.strip_prefix(name)?;
                Some((Cow::Owned(value.to_string()), rest))
            });
            let (text, after) = named.unwrap_or((Cow::Borrowed("$"), &rest[1..]));
            filled.push_str(&text);
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// Returns the answer to a call as one JSON document.
pub(crate) fn plain(answered: Result<McpResponse, Failed>) -> Response {
    match answered {
        Ok(response) => finish(response),
        Err(Failed { wording, error }) => wording.unavailable(&error),
    }
}

pub(super) fn retry_after(mut response: Response, seconds: u64) -> Response {
    let seconds = HeaderValue::from(seconds);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

pub(super) fn respond(status: StatusCode, body: &Value) -> Response {
    json_text(status, body.to_string())
}

fn json_text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the response of the component.
pub(crate) fn finish(answer: McpResponse) -> Response {
    let has_body = answer.body.is_some();
    let mut response = Response::new(Body::from(answer.body.unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.reserve(answer.headers.len() + OWN_FIELDS);
    for field in answer.headers {
        insert(headers, field);
    }
    if has_body {
        let json = HeaderValue::from_static("application/json");
        headers.entry(CONTENT_TYPE).or_insert(json);
    }
    response
}

/// Adds a header of the component, unless it is one that frames the message.
fn insert(headers: &mut HeaderMap, field: Field) {
    let name = HeaderName::try_from(field.name);
    let value = HeaderValue::try_from(field.value);
    let (Ok(name), Ok(value)) = (name, value) else {
        warn!("the component sent an invalid header field, which is left out");
        return;
    };
    match name.as_str() {
        "connection" | "content-length" | "transfer-encoding" | "upgrade" | "trailer" => {
            warn!(%name, "the component may not set this header; it is left out");
        }
        // Each cookie is a field of its own (RFC 6265 §3).
        "set-cookie" => {
            headers.append(name, value);
        }
        _ => {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_once() {
        let form = |text: &str| {
            let form = ErrorForm {
                operation: "login".to_owned(),
                refused: text.to_owned(),
                unavailable: String::new(),
            };
            Wording::of(Arc::new(form))
        };
        let error = json!({"message": "$id $error", "code": 7});
        let fill = |wording: Wording, text: &str| wording.fill(text, &error);
        let text = r#"[$id,$message,"$","$other",$error]"#;
        assert_eq!(
            fill(form(text).with_id(Some("$message".into())), text),
            r#"["$message","$id $error","$","$other",{"code":7,"message":"$id $error"}]"#
        );
        assert_eq!(fill(Wording::default(), "$id"), "null");
    }

    #[test]
    fn an_error_names_the_operation_of_its_route() {
        let form = ErrorForm {
            operation: "login".to_owned(),
            refused: String::new(),
            unavailable: "$error".to_owned(),
        };
        let failure = Wording::of(Arc::new(form)).failure(&CallError::Busy);
        let failure: Value = serde_json::from_str(&failure).unwrap();
        assert_eq!(failure["data"]["operation"], "login");
    }

    #[test]
    fn the_component_cannot_frame_the_message() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-length", "1"),
            ("x y", "1"),
            ("x-z", "a\nb"),
            ("x-ok", "1"),
        ] {
            insert(
                &mut headers,
                Field {
                    name: name.into(),
                    value: value.into(),
                },
            );
        }
        assert_eq!(headers.len(), 1);
    }
}
