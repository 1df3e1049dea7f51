//! The pages as HTML, and the header fields that go with them.

use askama::Template;

use super::texts::Texts;
use crate::domain::clients::client::RegistrationKind;
use crate::domain::clients::client_id::ClientId;
use crate::error::{AuthError, ErrorKind};
use crate::mcp::Response;

/// What all pages have in common.
pub struct Frame<'a> {
    /// The words.
    pub texts: &'static Texts,
    /// The name of the service.
    pub service: &'a str,
    /// The path of the service, which addresses begin with.
    pub base: &'a str,
    /// Whether the service has a logo.
    pub has_logo: bool,
}

/// A scope on the consent page.
pub struct ScopeRow<'a> {
    /// The name of the scope.
    pub name: &'a str,
    /// What it permits, in words.
    pub description: &'a str,
}

/// The page on which a user decides what a client may do.
#[derive(Template)]
#[template(path = "consent.html")]
pub struct ConsentPage<'a> {
    /// What all pages have in common.
    pub frame: Frame<'a>,
    /// The name of the client.
    pub client: &'a str,
    /// Why this name may be wrong.
    pub unverified: Option<Unverified<'a>>,
    /// The name of the resource server.
    pub resource_name: &'a str,
    /// The URL of the resource server.
    pub resource: &'a str,
    /// The user.
    pub username: &'a str,
    /// The host, or the URI with a scheme of its own, that gets the answer.
    pub receiver: &'a str,
    /// Whether a program on the computer of the browser gets the answer, by a loopback
    /// address or by a scheme.
    pub is_this_computer: bool,
    /// The scopes to choose from.
    pub scopes: Vec<ScopeRow<'a>>,
    /// The query of the request.
    pub request: &'a str,
    /// The address at which another user can sign in for the same request.
    pub another: &'a str,
    /// The token of the form.
    pub consent_token: &'a str,
}

/// Why the name of a client may be wrong: no administrator vouches for it.
pub enum Unverified<'a> {
    /// The client has registered itself.
    SelfRegistered,
    /// The name comes from a metadata document at this host.
    DocumentAt(&'a str),
}

impl<'a> Unverified<'a> {
    /// Returns why the name of a client is unverified, or `None` if an administrator vouches
    /// for it.
    pub fn about(
        registration: RegistrationKind,
        client_id: &'a ClientId,
    ) -> Option<Unverified<'a>> {
        if registration.is_verified() {
            return None;
        }
        let document = client_id.document_host().map(Unverified::DocumentAt);
        Some(document.unwrap_or(Unverified::SelfRegistered))
    }
}

/// What an app may do at one service.
pub struct ServiceRow<'a> {
    /// The name of the resource server.
    pub name: &'a str,
    /// The URL of the resource server.
    pub resource: &'a str,
    /// What the app may do there, in words.
    pub scopes: Vec<&'a str>,
    /// The time at which the user agreed first, in RFC 3339.
    pub since: &'a str,
    /// The time of the last use, in RFC 3339.
    pub last_used: &'a str,
}

/// An app that has access.
pub struct AppRow<'a> {
    /// The name of the client.
    pub name: &'a str,
    /// The id of the client.
    pub client_id: String,
    /// Why this name may be wrong.
    pub unverified: Option<Unverified<'a>>,
    /// What it has access to.
    pub services: Vec<ServiceRow<'a>>,
}

/// An agent that the user has signed in for.
pub struct AgentRow {
    /// The name that it has given itself.
    pub name: String,
    /// The id of its session.
    pub session_id: String,
    /// The time at which the user signed in, in RFC 3339.
    pub since: String,
    /// The time of the last refresh, in RFC 3339.
    pub last_used: String,
}

/// The page on which a user sees which apps have access, and takes it away.
#[derive(Template)]
#[template(path = "apps.html")]
pub struct AppsPage<'a> {
    /// What all pages have in common.
    pub frame: Frame<'a>,
    /// The user.
    pub username: &'a str,
    /// The apps.
    pub apps: Vec<AppRow<'a>>,
    /// The agents.
    pub agents: Vec<AgentRow>,
    /// The address of the next page, if there is one.
    pub next: Option<&'a str>,
    /// The token of the forms.
    pub form_token: &'a str,
}

/// Returns a time in RFC 3339 to the minute, as people read it.
fn minute(time: &str) -> String {
    let minute = time.rsplit_once(':').map_or(time, |(minute, _)| minute);
    format!("{} UTC", minute.replacen('T', " ", 1))
}

/// The page of a user who is signed in and has come for nothing else.
#[derive(Template)]
#[template(path = "start.html")]
pub struct StartPage<'a> {
    /// What all pages have in common.
    pub frame: Frame<'a>,
    /// The user.
    pub username: &'a str,
    /// The token of the form.
    pub form_token: &'a str,
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "message.html")]
pub struct MessagePage<'a> {
    /// What all pages have in common.
    pub frame: Frame<'a>,
    /// The heading.
    pub heading: &'a str,
    /// What it says.
    pub text: &'a str,
    /// Where to go next, and the words for it.
    pub link: Option<(&'a str, &'a str)>,
}

/// Where the forms of a page may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forms {
    /// Only to this service.
    Own,
    /// To this service, which answers with a redirect to a client. Some browsers apply the
    /// rule for forms to all redirects that follow, which lead where this service cannot
    /// know: to the scheme of a program, for example.
    Redirected,
}

const SECURITY: [(&str, &str); 7] = [
    ("content-type", "text/html; charset=utf-8"),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Returns a page as a response.
#[expect(
    clippy::expect_used,
    reason = "no template calls anything that can fail"
)]
pub fn respond(status: u16, page: &impl Template, forms: Forms) -> Response {
    let body = page.render().expect("text is written to memory");
    let mut headers: Vec<(String, String)> = SECURITY.map(owned).into();
    let form_action = match forms {
        Forms::Own => "; form-action 'self'",
        Forms::Redirected => "",
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'{form_action}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    headers.push(("content-security-policy".to_owned(), policy));
    Response {
        status,
        headers,
        body: Some(body.into_bytes()),
    }
}

/// Returns a page that only says something.
pub fn message(status: u16, frame: Frame, heading: &str, text: &str) -> Response {
    let page = MessagePage {
        frame,
        heading,
        text,
        link: None,
    };
    respond(status, &page, Forms::Own)
}

/// Returns the page for something that did not work.
pub fn error(status: u16, frame: Frame, text: &str) -> Response {
    let heading = frame.texts.error;
    message(status, frame, heading, text)
}

/// Returns the page for a failure that the user can do nothing about but wait.
pub fn failure(failed: &AuthError, frame: Frame) -> Response {
    let text = words(failed, frame.texts);
    let mut response = error(status(failed), frame, text);
    response.headers.extend(retry_after(failed));
    response
}

/// Returns the status of a page that reports a failure.
pub fn status(failed: &AuthError) -> u16 {
    match failed.kind {
        ErrorKind::RateLimit { .. } => 429,
        ErrorKind::ResourceUnavailable { .. } => 503,
        _ => 400,
    }
}

/// Returns the words for a failure that is not the fault of what was typed.
pub fn words(failed: &AuthError, texts: &'static Texts) -> &'static str {
    match failed.kind {
        ErrorKind::RateLimit { .. } => texts.too_many,
        ErrorKind::ResourceUnavailable { .. } => texts.unavailable,
        _ => texts.form_expired,
    }
}

/// Returns the header field that says when to try again.
pub fn retry_after(failed: &AuthError) -> Option<(String, String)> {
    let wait = failed.kind.retry_after()?;
    Some(("retry-after".to_owned(), wait.as_secs().to_string()))
}

/// Returns a redirect that the browser follows with GET.
pub fn see_other(location: String) -> Response {
    let field = |name: &str, value: String| (name.to_owned(), value);
    Response {
        status: 303,
        headers: vec![
            field("location", location),
            field("referrer-policy", "no-referrer".to_owned()),
            field("cache-control", "no-store".to_owned()),
        ],
        body: None,
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
