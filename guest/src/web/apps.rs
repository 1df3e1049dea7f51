//! Connected apps: the operations `list_grants` and `revoke_grant`, as a page. It takes the
//! access of an app away as a whole, which is what people expect of one button. Agents that
//! the user signed in for have sessions, and are there as well.

use serde_json::json;

use super::page::{self, AgentRow, AppRow, AppsPage, Forms, ServiceRow, Unverified};
use super::texts::Texts;
use super::visit::Visit;
use super::{APPS, sign_in};
use crate::domain::sessions::session::{self, Session};
use crate::error::{AuthError, ErrorKind, Result};
use crate::mcp::Response;
use crate::oauth::parameters::{self, Parameters};
use crate::operations::{GrantView, ListGrants, Operation, RevokeGrant, RevokeSession};
use crate::types::id::Id;

/// The most pages of sessions that are searched for those of agents.
const MAX_PAGES: usize = 10;

/// Shows the page, after the user has signed in.
pub fn show(visit: &Visit) -> Result<Response> {
    let path = path(visit);
    let Some(session) = visit.session()? else {
        return sign_in::ask(visit, &path, None);
    };
    let query = Parameters::parse(visit.query.as_bytes()).unwrap_or_default();
    let operation = ListGrants {
        user_id: None,
        username: None,
        after: query.first("after").map(str::to_owned),
    };
    let page = visit.run(operation, &json!({}), &session)?;
    let next = page.next.as_deref();
    let next = next.map(|next| format!("{path}?{}", parameters::encode(&[("after", next)])));
    let (form_token, set_cookie) = visit.form_token()?;
    let page = AppsPage {
        frame: visit.frame(),
        username: session.username.as_str(),
        apps: apps(&page.grants, visit.texts()),
        agents: agents(session.user_id, visit)?,
        next: next.as_deref(),
        form_token: &form_token,
    };
    let mut response = page::respond(200, &page, Forms::Own);
    response.headers.extend(set_cookie);
    Ok(response)
}

/// Takes the form that takes the access of an app away. Without a session the user signs in
/// and decides again.
pub fn submit(visit: &Visit) -> Result<Response> {
    if !visit.is_of_own_form()? {
        let text = visit.texts().form_expired;
        return Ok(page::error(403, visit.frame(), text));
    }
    if let Some(session) = visit.session()? {
        let (operation, field) = match visit.typed("session_id") {
            "" => (RevokeGrant::NAME, "client_id"),
            _ => (RevokeSession::NAME, "session_id"),
        };
        let revoked = visit.invoke(operation, &[(field, visit.typed(field))], Some(&session));
        revoked.or_else(unless_gone)?;
    }
    Ok(page::see_other(path(visit)))
}

fn path(visit: &Visit) -> String {
    format!("{}{APPS}", visit.oauth.public_url.path())
}

/// Accepts that the grant or the session has ended: the page will show it.
fn unless_gone(error: AuthError) -> Result<()> {
    match error.kind {
        ErrorKind::Invalid(_) | ErrorKind::Application | ErrorKind::Authentication => Ok(()),
        _ => Err(error),
    }
}

/// Returns the agents among the first thousand sessions of the user.
fn agents(user_id: Id, visit: &Visit) -> Result<Vec<AgentRow>> {
    let mut agents = Vec::new();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = session::list(user_id, after.as_deref(), &visit.call)?;
        let sessions = page.sessions.into_iter();
        agents.extend(sessions.filter_map(|found| AgentRow::of(found.value)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(agents)
}

impl AgentRow {
    fn of(session: Session) -> Option<AgentRow> {
        Some(AgentRow {
            name: session.agent_name?.into(),
            session_id: session.session_id.to_string(),
            since: session.auth_time.to_rfc3339(),
            last_used: session.refreshed_at.to_rfc3339(),
        })
    }
}

/// Returns the grants by app, in the order of their names, and for each app by service.
fn apps<'a>(grants: &'a [GrantView], texts: &Texts) -> Vec<AppRow<'a>> {
    let mut apps: Vec<AppRow> = Vec::new();
    for grant in grants {
        let service = ServiceRow::of(grant, texts);
        let client_id = grant.client_id.to_string();
        let app = (grant.client_name.as_str(), client_id.as_str());
        let after = apps.partition_point(|known| (known.name, known.client_id.as_str()) < app);
        match apps.get_mut(after) {
            Some(known) if (known.name, known.client_id.as_str()) == app => known.add(service),
            _ => apps.insert(
                after,
                AppRow {
                    name: app.0,
                    client_id,
                    unverified: Unverified::about(grant.client_registration, &grant.client_id),
                    services: vec![service],
                },
            ),
        }
    }
    apps
}

impl<'a> AppRow<'a> {
    /// Adds a grant, in the order of the services.
    fn add(&mut self, service: ServiceRow<'a>) {
        let services = &mut self.services;
        let after = services.partition_point(|known| known.resource < service.resource);
        match services.get_mut(after) {
            Some(known) if known.resource == service.resource => known.join(service),
            _ => services.insert(after, service),
        }
    }
}

impl<'a> ServiceRow<'a> {
    fn of(grant: &'a GrantView, texts: &Texts) -> ServiceRow<'a> {
        let identity = grant.identity.iter().map(|scope| texts.of_identity(*scope));
        let permissions = grant.scopes.iter().map(|granted| {
            let description = granted.description.as_ref();
            description.map_or(granted.scope.as_str(), |words| words.as_str())
        });
        ServiceRow {
            name: grant.resource_name.as_str(),
            resource: grant.resource.as_str(),
            scopes: identity.chain(permissions).collect(),
            since: &grant.granted_at,
            last_used: &grant.refreshed_at,
        }
    }

    /// Adds another grant for the same service.
    fn join(&mut self, other: ServiceRow<'a>) {
        for scope in other.scopes {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        self.since = self.since.min(other.since);
        self.last_used = self.last_used.max(other.last_used);
    }
}
