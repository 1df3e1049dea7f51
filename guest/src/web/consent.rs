//! The consent page: the user decides what the client may do. It is shown each time.

use super::SIGN_IN;
use super::authorize::{explain, tell_client};
use super::form_token::{ConsentToken, TTL};
use super::page::{self, ConsentPage, Forms, ScopeRow, Unverified};
use super::visit::Visit;
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event, event_name};
use crate::domain::clients::redirect_uri::Receiver;
use crate::domain::delegations::authorization_code::AuthorizationCode;
use crate::domain::delegations::delegation::{self, Delegation};
use crate::domain::delegations::token_scope::TokenScope;
use crate::domain::sessions::session::{self, Session};
use crate::error::Result;
use crate::mcp::Response;
use crate::oauth::authorization_request::{AuthorizationRequest, DocumentState};
use crate::oauth::error::OAuthError;
use crate::oauth::metadata::AUTHORIZE;
use crate::oauth::parameters;
use crate::ports::Expect;
use crate::storage::batch::{Batch, Commit};
use crate::types::secret::Secret;

/// How often a decision is tried again because something else happened to the account.
const MAX_ATTEMPTS: usize = 10;

/// Shows the page to the owner of a session.
pub fn show(request: &AuthorizationRequest, session: &Session, visit: &Visit) -> Result<Response> {
    let ports = &visit.call.ports;
    let account = Account::find(session.user_id, ports)?;
    let Some(account) = account else {
        return Ok(page::error(400, visit.frame(), visit.texts().form_expired));
    };
    let available =
        delegation::available(&request.client, &request.resource, &account.value, ports)?;
    let Some(scopes) = request.scopes_of(available) else {
        return Ok(tell_client(&request.answer_to, &no_scopes(), visit));
    };
    let token = ConsentToken::new(&visit.call)?;
    let receiver = request.answer_to.redirect_uri.receiver();
    let base = visit.oauth.public_url.path();
    let return_to = format!("{base}{AUTHORIZE}?{}", visit.query);
    let another = parameters::encode(&[("return_to", &return_to)]);
    let texts = visit.texts();
    let identity = request.identity.iter().map(|scope| ScopeRow {
        name: scope.as_str(),
        description: texts.of_identity(*scope),
    });
    let permissions = scopes.iter().map(|scope| ScopeRow {
        name: scope.scope.as_str(),
        description: scope.description.as_str(),
    });
    let page = ConsentPage {
        frame: visit.frame(),
        client: request.client.client_name.as_str(),
        unverified: Unverified::about(
            request.client.registration_kind(),
            &request.client.client_id,
        ),
        resource_name: request.resource.resource_name.as_str(),
        resource: request.resource.resource.as_str(),
        username: session.username.as_str(),
        // The whole of a URI with a scheme of its own: it may look like a host, or hide one.
        receiver: match receiver {
            Receiver::Website(host) => host,
            Receiver::Scheme(_) => request.answer_to.redirect_uri.as_str(),
            Receiver::ThisMachine => "",
        },
        is_this_computer: !matches!(receiver, Receiver::Website(_)),
        scopes: identity.chain(permissions).collect(),
        request: visit.query,
        another: &format!("{base}{SIGN_IN}?{another}"),
        consent_token: &token.text(session.session_id, &terms(request, visit.query), ports)?,
    };
    Ok(page::respond(200, &page, Forms::Redirected))
}

/// Takes the decision.
pub fn submit(visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    let expired = || page::error(403, visit.frame(), texts.form_expired);
    let typed = |name: &str| visit.form.first(name).unwrap_or_default();
    let query = typed("request");
    let Some(session) = visit.session()?.filter(|_| visit.is_of_own_page()) else {
        return Ok(expired());
    };
    // Read again: the client may have been changed or deleted while the page was shown.
    let request = match AuthorizationRequest::read(query, DocumentState::Known, &visit.call) {
        Ok(request) => request,
        Err(unfit) => return Ok(explain(unfit, visit)),
    };
    let token = ConsentToken::parse(
        typed("consent_token"),
        session.session_id,
        &terms(&request, query),
        &visit.call,
    )?;
    let Some(token) = token else {
        return Ok(expired());
    };
    let is_allowed = typed("decision") == "allow";
    for _ in 0..MAX_ATTEMPTS {
        match decide(&request, &token, is_allowed, &session, visit)? {
            Decided::Allowed(code) => return Ok(page::see_other(request.answer_to.code(&code))),
            Decided::Denied(error) => return Ok(tell_client(&request.answer_to, &error, visit)),
            Decided::SessionIsOver => return Ok(expired()),
            Decided::Before => {
                return Ok(page::error(400, visit.frame(), texts.already_decided));
            }
            Decided::Overtaken => {}
        }
    }
    Ok(page::error(503, visit.frame(), texts.unavailable))
}

/// Returns what the page says that somebody else could change while it is shown: a client
/// that registered itself can change its name and its addresses.
fn terms(request: &AuthorizationRequest, query: &str) -> String {
    let shown = [
        request.client.client_name.as_str(),
        request.answer_to.redirect_uri.as_str(),
        request.resource.resource_name.as_str(),
    ];
    // None of them contains a line break.
    format!("{query}\n{}", shown.join("\n"))
}

/// How one attempt to decide has ended.
enum Decided {
    /// The client gets this code.
    Allowed(Secret),
    /// The client gets this error.
    Denied(OAuthError),
    /// The session has ended since the form was sent.
    SessionIsOver,
    /// The form has been sent before.
    Before,
    /// Something else has happened to the account.
    Overtaken,
}

/// Commits the decision: its record, the mark that the form was used, and the code.
fn decide(
    request: &AuthorizationRequest,
    token: &ConsentToken,
    is_allowed: bool,
    session: &Session,
    visit: &Visit,
) -> Result<Decided> {
    let call = &visit.call;
    let ports = &call.ports;
    let user_id = session.user_id;
    let (session, account, head) = session::read_with_account(session.session_id, user_id, ports)?;
    let (Some(session), Some(account)) = (session, account) else {
        return Ok(Decided::SessionIsOver);
    };
    let (session, account) = (session.value, account.value);
    if !session.is_alive(&account, call.now()) {
        return Ok(Decided::SessionIsOver);
    }
    let used = ports.store.get(&[token.used_key()])?.pop().flatten();
    if used.is_some() {
        return Ok(Decided::Before);
    }
    let available = delegation::available(&request.client, &request.resource, &account, ports)?;
    let offered = request.scopes_of(available);
    let offered = offered.map(|scopes| TokenScope {
        identity: request.identity.clone(),
        permissions: scopes.into_iter().map(|it| it.scope.clone()).collect(),
    });
    let is_choice = offered.as_ref().is_some_and(|offered| !offered.is_empty());
    let ticked: Vec<&str> = visit.form.all("scope").collect();
    let chosen = offered.map(|offered| offered.kept(ticked.iter().copied()));
    let refused = match &chosen {
        _ if !is_allowed => Some(denied()),
        None => Some(no_scopes()),
        // Allowing nothing at all is a denial.
        Some(chosen) if chosen.is_empty() && is_choice => Some(denied()),
        Some(_) => None,
    };
    let chosen = chosen.unwrap_or_default();
    let event = match &refused {
        None => Event::success(event_name::AUTHORIZE_CLIENT).detail("scope", chosen.to_text()),
        Some(error) => Event::refused(event_name::AUTHORIZE_CLIENT, error.code),
    };
    let event = event
        .by(user_id)
        .detail("client_id", request.client.client_id.to_string())
        .detail("resource", request.resource.resource.as_str());
    let mut batch = Batch::new();
    let ttl_ms = u64::try_from(TTL.as_millis()).ok();
    batch.put(token.used_key(), Expect::Absent, &(), ttl_ms);
    let decided = match refused {
        Some(error) => Decided::Denied(error),
        None => {
            let delegation = Delegation {
                client_id: request.client.client_id.clone(),
                client_name: request.client.client_name.clone(),
                resource: request.resource.resource.clone(),
                scopes: chosen.permissions,
                identity: chosen.identity,
                granted_at: call.now(),
            };
            let code = AuthorizationCode::new(
                &session,
                delegation,
                request.answer_to.redirect_uri.clone(),
                request.challenge.clone(),
                request.nonce.clone(),
            );
            Decided::Allowed(code.store(&mut batch, call)?)
        }
    };
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    Ok(match call.commit(batch)? {
        Commit::Done => decided,
        Commit::Conflict => Decided::Overtaken,
    })
}

fn denied() -> OAuthError {
    OAuthError::new("access_denied", "the user has denied the request")
}

fn no_scopes() -> OAuthError {
    OAuthError::new("invalid_scope", "the user has none of these scopes")
}
