//! Elicitation in URL mode (2026-07-28): a client that can open pages shows the page of
//! `begin_sign_in` to its user before the tool returns. The request is not held open: the
//! client sends it again with the decision of its user.

use serde_json::{Value, json};

use super::era::{CLIENT_CAPABILITIES, Era};
use super::method_request::MethodRequest;
use crate::error::{AuthError, ErrorKind, Result};
use crate::json::{JsonText, Node};
use crate::operations::{BeginSignIn, Definition, Operation, begun};

/// What the client calls the only question.
const QUESTION: &str = "sign_in";

/// Returns the question that a client gets in the place of the output of a tool, or `None`
/// unless there is a page to open and the client can do that.
pub fn ask(request: &MethodRequest, operation: &Definition, output: &JsonText) -> Option<Value> {
    if operation.name != BeginSignIn::NAME || !can_open_pages(request) {
        return None;
    }
    let output = output.node();
    let text = |name: &str| output.get(name).and_then(Node::as_str);
    let message = format!(
        "Sign in on the page that opens. It has to show this code: {}",
        text("user_code")?
    );
    let params = json!({"mode": "url", "message": message, "url": text("verification_uri")?});
    let mut questions = json!({});
    questions[QUESTION] = json!({"method": "elicitation/create", "params": params});
    Some(json!({
        "resultType": "input_required",
        "inputRequests": questions,
        // As hard to forge as any state with a MAC: it is good for this caller, for this
        // sign-in, and for ten minutes.
        "requestState": text("sign_in_id")?,
    }))
}

/// Returns the output of a tool whose question the client has put to its user, or `None` if
/// it has not been called before.
pub fn resume(request: &MethodRequest, operation: &Definition) -> Option<Result<JsonText>> {
    let state = request.params.get("requestState").and_then(Node::as_str)?;
    if operation.name != BeginSignIn::NAME || request.era != Era::Modern {
        return None;
    }
    let responses = request.params.get("inputResponses");
    let response = responses.and_then(|responses| responses.get(QUESTION));
    let action = response.and_then(|response| response.get("action"));
    Some(match action.and_then(Node::as_str) {
        Some("accept") => begun(state, &request.call).map(|output| JsonText::of(&output)),
        _ => Err(AuthError::new(
            ErrorKind::Authentication,
            "The user did not open the page",
        )),
    })
}

/// Reports whether the client has declared that it can open pages.
fn can_open_pages(request: &MethodRequest) -> bool {
    let meta = request.params.get("_meta");
    let url = meta
        .and_then(|meta| meta.get(CLIENT_CAPABILITIES))
        .and_then(|capabilities| capabilities.get("elicitation"))
        .and_then(|elicitation| elicitation.get("url"));
    request.era == Era::Modern && url.is_some_and(Node::has_fields)
}
