//! Elicitation in URL mode: a client that can open pages shows the page of a sign-in or of an
//! approval to its user, instead of leaving a link to the model.
//!
//! Clients of 2026-07-28 get the page as a question in the place of the result, and send the
//! request again with the decision of their user. Clients of 2025-11-25 get the error -32042.
//! No request is held open, and nothing is kept between requests.

use serde_json::{Value, json};

use super::era::{CLIENT_CAPABILITIES, Era};
use super::error::RpcError;
use super::method_request::MethodRequest;
use super::protocol::Request;
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::json::{self, Fields, JsonText, Node};
use crate::operations::{BeginSignIn, CompleteSignIn, Definition, Operation, begun};
use crate::ports::Ports;

/// What the client calls the only question.
const QUESTION: &str = "page";
/// The header field with the id of a session.
const SESSION: &str = "mcp-session-id";
/// The prefix of the session ids of clients that can open pages. A forged id changes nothing but
/// the form in which its sender gets links.
const OPENS_PAGES: &str = "opens-pages.";

/// A page that the user of a client has to open.
struct Page {
    url: String,
    message: String,
    /// What the client sends again, if anything.
    state: Option<String>,
}

impl Page {
    /// Returns the page of a sign-in that waits for its user, from the output of the operation
    /// that has begun it.
    fn of_sign_in(begun: &Node) -> Option<Page> {
        let text = |name: &str| begun.get(name).and_then(Node::as_str);
        let code = text("user_code")?;
        Some(Page {
            url: text("verification_uri")?.to_owned(),
            message: format!("Sign in on the page that opens. It has to show this code: {code}"),
            // As hard to forge as any state with a MAC: it is good for this caller, for this
            // sign-in, and for ten minutes.
            state: text("sign_in_id").map(str::to_owned),
        })
    }

    /// Returns the page on which the user approves the call that has failed.
    fn of_approval(error: &AuthError) -> Option<Page> {
        if error.cause != Some(Cause::NotApproved) {
            return None;
        }
        let details = error.details();
        Some(Page {
            url: details.get("approval_uri")?.as_str()?.to_owned(),
            message: "Approve or deny on the page that opens what the agent asks for".to_owned(),
            // The arguments of the request determine what was approved.
            state: None,
        })
    }

    /// Returns the result with the question (2026-07-28).
    fn question(self) -> Value {
        let params = json!({"mode": "url", "message": self.message, "url": self.url});
        let mut questions = json!({});
        questions[QUESTION] = json!({"method": "elicitation/create", "params": params});
        let mut result = json!({"resultType": "input_required", "inputRequests": questions});
        if let Some(state) = self.state {
            result["requestState"] = state.into();
        }
        result
    }

    /// Returns the id of what the page is about, which is part of its URL.
    fn id(&self) -> &str {
        self.url.split_once("id=").map_or("", |(_, id)| id)
    }

    /// Returns the error that says that a page has to be opened first (2025-11-25).
    fn required(self) -> RpcError {
        let page = json!({
            "mode": "url",
            "elicitationId": self.id(),
            "url": self.url,
            "message": self.message,
        });
        RpcError::new(-32042, &self.message, 200).data(json!({"elicitations": [page]}))
    }
}

/// What a client gets in the place of a result or of an error.
pub enum Ask {
    /// A result with a question.
    Question(Value),
    /// The error -32042.
    Required(RpcError),
}

/// Returns what a client that can open pages gets in the place of this output, if there is a
/// page to open.
pub fn instead_of_output(
    request: &MethodRequest,
    operation: &Definition,
    output: &JsonText,
) -> Option<Ask> {
    if !request.opens_pages {
        return None;
    }
    let output = output.node();
    match (request.era, operation.name) {
        (Era::Modern, BeginSignIn::NAME) => {
            Some(Ask::Question(Page::of_sign_in(&output)?.question()))
        }
        // With a second call of `begin_sign_in` the client would open a second page.
        (Era::Handshake(_), CompleteSignIn::NAME) => {
            let begun = begun(request.pending.as_deref()?, &request.call).ok()?;
            let page = Page::of_sign_in(&JsonText::of(&begun).node())?;
            if output.get("status").and_then(Node::as_str) == Some("pending") {
                return Some(Ask::Required(page.required()));
            }
            note_complete(&page, request);
            None
        }
        _ => None,
    }
}

/// Tells a client that its user is done with a page (2025-11-25), so that it can close it.
fn note_complete(page: &Page, request: &MethodRequest) {
    let notification = json!({
        "jsonrpc": "2.0",
        "method": "notifications/elicitation/complete",
        "params": {"elicitationId": page.id()},
    });
    let client = request.call.ports.client;
    client.notify(&json::text(&notification));
}

/// Returns what a client that can open pages gets in the place of this error, if its user can
/// mend it on a page. A client that has asked its user gets the error itself.
pub fn instead_of_error(request: &MethodRequest, error: &AuthError) -> Option<Ask> {
    if !request.opens_pages || action(request).is_some() {
        return None;
    }
    let page = Page::of_approval(error)?;
    Some(match request.era {
        Era::Modern => Ask::Question(page.question()),
        Era::Handshake(_) => Ask::Required(page.required()),
    })
}

/// Returns the output of a tool whose question the client has put to its user, or `None` if
/// the tool has to run, because it has not run before or because the user may have approved it.
pub fn resume(request: &MethodRequest, operation: &Definition) -> Option<Result<JsonText>> {
    let action = action(request)?;
    if action != "accept" {
        let kind = match operation.name {
            BeginSignIn::NAME => ErrorKind::Authentication,
            _ => ErrorKind::Authorization,
        };
        return Some(Err(AuthError::new(kind, "The user did not open the page")));
    }
    if operation.name != BeginSignIn::NAME {
        return None;
    }
    let state = request.params.get("requestState").and_then(Node::as_str)?;
    Some(begun(state, &request.call).map(|output| JsonText::of(&output)))
}

/// Returns what the user of a client has decided about opening a page.
fn action<'a>(request: &'a MethodRequest) -> Option<&'a str> {
    if request.era != Era::Modern {
        return None;
    }
    let response = request.params.get("inputResponses")?.get(QUESTION)?;
    Some(response.get("action").and_then(Node::as_str).unwrap_or(""))
}

/// Reports whether a client has declared that it can open pages: in the request (2026-07-28),
/// or in the one that began its session.
pub fn opens_pages(params: &Fields, era: Era, request: &Request) -> bool {
    match era {
        Era::Modern => {
            let meta = params.get("_meta");
            declares(meta.and_then(|meta| meta.get(CLIENT_CAPABILITIES)))
        }
        Era::Handshake(_) => {
            let session = request.header(SESSION);
            session.is_some_and(|session| session.starts_with(OPENS_PAGES))
        }
    }
}

/// Returns the header field that begins the session of a client that can open pages. Other
/// clients need no session.
pub fn session(params: &Fields, ports: Ports) -> Option<(String, String)> {
    if !declares(params.get("capabilities")) {
        return None;
    }
    let id = ports.random.id().ok()?;
    Some((SESSION.to_owned(), format!("{OPENS_PAGES}{id}")))
}

fn declares(capabilities: Option<&Node>) -> bool {
    let elicitation = capabilities.and_then(|capabilities| capabilities.get("elicitation"));
    let url = elicitation.and_then(|elicitation| elicitation.get("url"));
    url.is_some_and(Node::has_fields)
}
