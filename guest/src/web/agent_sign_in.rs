//! The page on which a user signs in for an agent: the other half of the operations
//! `begin_sign_in` and `complete_sign_in`.

use askama::Template;

use super::form::Form;
use super::page::{self, Forms, Frame, MessagePage};
use super::visit::Visit;
use super::{AGENT_SIGN_IN, RESET_PASSWORD, SIGN_IN, SIGN_UP, VERIFY_EMAIL};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event, event_name};
use crate::domain::sessions::session::Session;
use crate::domain::sessions::sign_in_request::{self, Deliver, Purpose, SignInRequest, State};
use crate::error::{ErrorKind, Result};
use crate::mcp::Response;
use crate::oauth::parameters::Parameters;
use crate::operations::{Operation, RequestEmailVerification};
use crate::settings::PublicUrl;
use crate::storage::batch::{Batch, Commit};
use crate::storage::record::{Found, Stored};
use crate::types::id::Id;

/// The parameter that says that the user was asked to verify the address already.
const ASKED: &str = "asked";
/// The decision of a user who wants to verify the address first.
const SEND_CODE: &str = "send_code";
/// How often a decision is tried again because something else happened to the account.
const MAX_ATTEMPTS: usize = 10;

#[derive(Template)]
#[template(path = "agent.html")]
struct AgentPage<'a> {
    frame: Frame<'a>,
    client: &'a str,
    user_code: &'a str,
    username: &'a str,
    /// What the agent can do then.
    permits: &'a str,
    action: &'a str,
    /// The address at which another account can be used.
    another: &'a str,
    form_token: &'a str,
    request_id: &'a str,
}

/// Returns the URL of the page for a request.
pub fn url(request: &SignInRequest, public_url: &PublicUrl) -> String {
    format!(
        "{}{AGENT_SIGN_IN}?id={}",
        public_url.as_str(),
        request.request_id
    )
}

/// Shows the page to a user who is signed in, and else sends the user to sign in first.
pub fn show(visit: &Visit) -> Result<Response> {
    let query = Parameters::parse(visit.query.as_bytes()).unwrap_or_default();
    let Some(request) = waiting(query.first("id").unwrap_or_default(), visit)? else {
        return Ok(page::error(400, visit.frame(), visit.texts().link_is_over));
    };
    let request = request.value;
    let request_id = request.request_id.to_string();
    let own = visit.link(AGENT_SIGN_IN, "");
    let here = here(&request, visit);
    let Some(session) = visit.session()? else {
        let first = match request.purpose {
            Purpose::SignUp if visit.oauth.sign_up => SIGN_UP,
            Purpose::NewPassword if visit.oauth.has_delivery => RESET_PASSWORD,
            _ => SIGN_IN,
        };
        return Ok(page::see_other(visit.link(first, &here)));
    };
    // Once: whoever wants to verify the address later goes on.
    let is_first = query.first(ASKED).is_none();
    if request.purpose == Purpose::VerifyEmail && is_first && can_verify(&session, visit)? {
        return offer_code(&request, visit);
    }
    let texts = visit.texts();
    let (form_token, set_cookie) = visit.form_token()?;
    let page = AgentPage {
        frame: visit.frame(),
        client: request.client_name.as_str(),
        user_code: &request.user_code,
        username: session.username.as_str(),
        permits: match request.deliver {
            Deliver::Session => texts.agent_knows_you,
            Deliver::Tokens => texts.agent_acts,
        },
        action: &own,
        another: &visit.link(SIGN_IN, &here),
        form_token: &form_token,
        request_id: &request_id,
    };
    let mut response = page::respond(200, &page, Forms::Own);
    response.headers.extend(set_cookie);
    Ok(response)
}

/// Returns the address of the page for a request, on this server.
fn here(request: &SignInRequest, visit: &Visit) -> String {
    let own = visit.link(AGENT_SIGN_IN, "");
    format!("{own}?id={}", request.request_id)
}

/// Returns the address of the page for a user who was asked to verify the address already.
fn after_asking(request: &SignInRequest, visit: &Visit) -> String {
    format!("{}&{ASKED}=1", here(request, visit))
}

/// Reports whether the account has an address that is not verified, and a code can be sent.
fn can_verify(session: &Session, visit: &Visit) -> Result<bool> {
    let account = Account::find(session.user_id, &visit.call.ports)?;
    let is_unverified = account
        .is_some_and(|account| account.value.email.is_some() && !account.value.email_verified);
    Ok(is_unverified && visit.oauth.has_delivery)
}

/// Offers to send a code. Only the form sends it: opening a link must not send messages, or
/// make an earlier code worthless.
fn offer_code(request: &SignInRequest, visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    let request_id = request.request_id.to_string();
    let form = Form {
        heading: texts.verify_email,
        text: Some(texts.verify_by_code),
        client: None,
        problem: None,
        action: AGENT_SIGN_IN,
        hidden: vec![("id", &request_id), ("decision", SEND_CODE)],
        fields: Vec::new(),
        button: texts.send_code,
        links: vec![(after_asking(request, visit), texts.verify_later)],
    };
    form.respond(200, visit)
}

/// Sends a code to the address of the account, and leads to the page that takes it. If no code
/// may be sent any more, one from before is good as well.
fn send_code(request: &SignInRequest, session: &Session, visit: &Visit) -> Result<Response> {
    let return_to = after_asking(request, visit);
    if !can_verify(session, visit)? {
        return Ok(page::see_other(return_to));
    }
    match visit.invoke(RequestEmailVerification::NAME, &[], Some(session)) {
        Err(error) if matches!(error.kind, ErrorKind::ResourceUnavailable { .. }) => Err(error),
        Ok(()) | Err(_) => Ok(page::see_other(visit.link(VERIFY_EMAIL, &return_to))),
    }
}

/// Takes the decision.
pub fn submit(visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    let expired = || page::error(403, visit.frame(), texts.form_expired);
    if !visit.is_of_own_form()? {
        return Ok(expired());
    }
    let Some(session) = visit.session()? else {
        return Ok(expired());
    };
    if visit.typed("decision") == SEND_CODE {
        return match waiting(visit.typed("id"), visit)? {
            Some(request) => send_code(&request.value, &session, visit),
            None => Ok(page::error(400, visit.frame(), texts.link_is_over)),
        };
    }
    let is_allowed = visit.typed("decision") == "allow";
    let mut is_decided = false;
    for _ in 0..MAX_ATTEMPTS {
        let Some(request) = waiting(visit.typed("id"), visit)? else {
            return Ok(page::error(400, visit.frame(), texts.link_is_over));
        };
        if decide(&request, is_allowed, &session, visit)? == Commit::Done {
            is_decided = true;
            break;
        }
    }
    if !is_decided {
        return Ok(page::error(503, visit.frame(), texts.unavailable));
    }
    let page = MessagePage {
        frame: visit.frame(),
        heading: match is_allowed {
            true => texts.agent_allowed,
            false => texts.denied,
        },
        text: texts.back_to_agent,
        link: None,
    };
    Ok(page::respond(200, &page, Forms::Own))
}

/// Commits the decision and its record. A conflict means that the request was answered, or
/// that something else has happened to the account.
fn decide(
    request: &Stored<SignInRequest>,
    is_allowed: bool,
    session: &Session,
    visit: &Visit,
) -> Result<Commit> {
    let (state, event) = match is_allowed {
        true => (
            State::Allowed,
            Event::success(event_name::SIGN_IN_FOR_AGENT),
        ),
        false => (
            State::Denied,
            Event::refused(event_name::SIGN_IN_FOR_AGENT, "access_denied"),
        ),
    };
    let call = &visit.call;
    let (_, head) = Account::read(session.user_id, &call.ports)?;
    let mut batch = Batch::new();
    sign_in_request::change(request, state, session, &mut batch, call);
    let deliver = match request.value.deliver {
        Deliver::Session => "session",
        Deliver::Tokens => "tokens",
    };
    let event = event
        .by(session.user_id)
        .detail("request_id", request.value.request_id.to_string())
        .detail("caller", request.value.caller.as_str())
        .detail("deliver", deliver)
        .detail("client_name", request.value.client_name.as_str());
    Chain::at(session.user_id, head).append(event, &mut batch, call)?;
    call.commit(batch)
}

/// Returns the request with this id, if its user can still answer.
fn waiting(id: &str, visit: &Visit) -> Result<Found<SignInRequest>> {
    let Ok(id) = Id::try_from(id.to_owned()) else {
        return Ok(None);
    };
    let found = SignInRequest::read(id, &visit.call.ports)?;
    Ok(found.filter(|found| found.value.is_waiting(visit.call.now())))
}
