//! The page on which a user approves one call of an agent.

use askama::Template;

use super::page::{self, Forms, Frame, MessagePage};
use super::visit::Visit;
use super::{APPROVE, SIGN_IN};
use crate::domain::access::actor;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::Grant;
use crate::domain::accounts::role::{self, RoleName};
use crate::domain::audit::{Chain, Event, event_name};
use crate::domain::delegations::approval::{self, Approval};
use crate::domain::sessions::session::{self, Session};
use crate::error::Result;
use crate::json::{self, Node};
use crate::mcp::Response;
use crate::oauth::parameters::Parameters;
use crate::operations::{self, DefineRole, Operation};
use crate::storage::batch::{Batch, Commit};
use crate::storage::record::{Found, Stored};
use crate::storage::retry::{self, Race};
use crate::types::id::Id;

#[derive(Template)]
#[template(path = "approve.html")]
struct ApprovePage<'a> {
    frame: Frame<'a>,
    approval: &'a Approval,
    /// The arguments, each with its value as JSON, and what it stands for.
    arguments: Vec<Row>,
    approval_id: &'a str,
    nonce: &'a str,
    /// The operation in words.
    title: &'a str,
    username: &'a str,
    action: &'a str,
    form_token: &'a str,
}

/// An argument.
struct Row {
    name: String,
    /// The value as JSON.
    value: String,
    /// The user name of a user id, or the permissions of a role; else empty.
    meaning: String,
}

/// Shows the page to the owner of the account, if signed in recently. Refuses other users, and
/// sends all other visitors to sign in.
pub fn show(visit: &Visit) -> Result<Response> {
    let query = Parameters::parse(visit.query.as_bytes()).unwrap_or_default();
    let Some(approval) = waiting(query.first("id").unwrap_or_default(), visit)? else {
        return Ok(page::error(400, visit.frame(), visit.texts().link_is_over));
    };
    let approval = approval.value;
    let session = match visit.session()? {
        Some(session) if session.user_id != approval.user_id => return Ok(of_another(visit)),
        Some(session) if is_recent(&session, visit)? => session,
        _ => return Ok(sign_in_first(&approval, visit)),
    };
    let (form_token, set_cookie) = visit.form_token()?;
    let page = ApprovePage {
        frame: visit.frame(),
        approval: &approval,
        arguments: rows(&approval, visit)?,
        approval_id: &approval.approval_id.to_string(),
        nonce: &approval.nonce.to_string(),
        title: operations::find(&approval.operation).map_or("", |operation| operation.title),
        username: session.username.as_str(),
        action: &visit.link(APPROVE, ""),
        form_token: &form_token,
    };
    let mut response = page::respond(200, &page, Forms::Own);
    response.headers.extend(set_cookie);
    Ok(response)
}

/// Takes the decision about what the page has shown. Only a refusal needs no recent login.
pub fn submit(visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    let expired = || page::error(403, visit.frame(), texts.form_expired);
    if !visit.is_of_own_form()? {
        return Ok(expired());
    }
    let is_allowed = visit.typed("decision") == "allow";
    retry::retry_on_conflict(|| {
        let Some(session) = visit.session()? else {
            return Ok(Race::Won(expired()));
        };
        let Some(approval) = waiting(visit.typed("id"), visit)? else {
            let over = page::error(400, visit.frame(), texts.link_is_over);
            return Ok(Race::Won(over));
        };
        if session.user_id != approval.value.user_id {
            return Ok(Race::Won(of_another(visit)));
        }
        // The same call may have been approved and have asked again since the page was shown.
        if visit.typed("nonce") != approval.value.nonce.to_string() {
            return Ok(Race::Won(expired()));
        }
        if is_allowed && !is_recent(&session, visit)? {
            return Ok(Race::Won(sign_in_first(&approval.value, visit)));
        }
        let committed = decide(&approval, is_allowed, &session, visit)?;
        let page = MessagePage {
            frame: visit.frame(),
            heading: match is_allowed {
                true => texts.approval_allowed,
                false => texts.denied,
            },
            text: texts.back_to_agent,
            link: None,
        };
        Ok(committed.then(page::respond(200, &page, Forms::Own)))
    })
}

/// Commits the decision and its record. A conflict means that the other half of a double click
/// was quicker, or that something else has happened to the account.
fn decide(
    approval: &Stored<Approval>,
    is_allowed: bool,
    session: &Session,
    visit: &Visit,
) -> Result<Commit> {
    let call = &visit.call;
    let (session_id, user_id) = (session.session_id, session.user_id);
    let (session, account, head) = session::read_with_account(session_id, user_id, &call.ports)?;
    // The session may have ended since it was read.
    let is_alive = session
        .zip(account)
        .is_some_and(|(session, account)| session.value.is_alive(&account.value, call.now()));
    if !is_alive {
        return Ok(Commit::Conflict);
    }
    let event = match is_allowed {
        true => Event::success(event_name::APPROVE_CALL),
        false => Event::refused(event_name::APPROVE_CALL, "access_denied"),
    };
    let asked = &approval.value;
    let event = event
        .by(user_id)
        .detail("approval_id", asked.approval_id.to_string())
        .detail("operation", asked.operation.as_str())
        .detail("agent_name", asked.agent_name.as_str())
        .detail("agent_client_id", asked.client_id.as_str())
        .detail("agent_session_id", asked.session_id.to_string())
        .detail("session_id", session_id.to_string());
    let mut batch = Batch::new();
    approval::decide(approval, is_allowed, &mut batch);
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    call.commit(batch)
}

/// Returns the fields of an object of arguments, and a row for each item of a list.
fn rows(approval: &Approval, visit: &Visit) -> Result<Vec<Row>> {
    let Ok(Node::Object(fields)) = json::parse(approval.arguments.as_bytes()) else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
    for (name, value) in fields.as_slice() {
        let items = match value {
            Node::List(items) if !items.is_empty() => items.as_slice(),
            value => std::slice::from_ref(value),
        };
        for item in items {
            rows.push(Row {
                name: name.to_string(),
                value: json::text(item),
                meaning: match &*approval.operation {
                    // What the role permits now is about to be replaced.
                    DefineRole::NAME => String::new(),
                    _ => meaning(name, item.as_str().unwrap_or_default(), visit)?,
                },
            });
        }
    }
    Ok(rows)
}

/// Returns what an argument stands for, as it is now: ids tell a user nothing.
fn meaning(name: &str, value: &str, visit: &Visit) -> Result<String> {
    let ports = &visit.call.ports;
    let value = value.to_owned();
    match name {
        "user_id" => {
            let Ok(user_id) = Id::try_from(value) else {
                return Ok(String::new());
            };
            let account = Account::find(user_id, ports)?;
            Ok(account.map_or_else(String::new, |it| it.value.username.to_string()))
        }
        "role" => {
            let Ok(role) = RoleName::try_from(value) else {
                return Ok(String::new());
            };
            let granted = role::granted(&[role], ports)?;
            let grants = granted.iter().flat_map(|role| &role.permissions);
            Ok(grants.map(Grant::as_str).collect::<Vec<_>>().join(" "))
        }
        _ => Ok(String::new()),
    }
}

/// Returns the approval with this id if its user has yet to decide.
fn waiting(id: &str, visit: &Visit) -> Result<Found<Approval>> {
    let Ok(id) = Id::try_from(id.to_owned()) else {
        return Ok(None);
    };
    let found = Approval::read(id, &visit.call)?;
    Ok(found.filter(|found| found.value.is_allowed.is_none()))
}

/// Reports whether the user has signed in recently, with the second factor if there is one: both
/// prove that the user is present.
fn is_recent(session: &Session, visit: &Visit) -> Result<bool> {
    let account = Account::find(session.user_id, &visit.call.ports)?;
    Ok(account.is_some_and(|account| {
        actor::require_fresh(session, &visit.call).is_ok()
            && session::require_second_factor(&account.value, session).is_ok()
    }))
}

fn sign_in_first(approval: &Approval, visit: &Visit) -> Response {
    let here = format!("{}?id={}", visit.link(APPROVE, ""), approval.approval_id);
    page::see_other(visit.link(SIGN_IN, &here))
}

fn of_another(visit: &Visit) -> Response {
    page::error(403, visit.frame(), visit.texts().approval_of_another)
}
