//! Connected apps: the operations `list_grants` and `revoke_grant`, as a page. It takes the
//! access of an app away as a whole, which is what people expect of one button.

use std::collections::BTreeMap;

use serde_json::json;

use super::page::{self, AppRow, AppsPage, Forms, ServiceRow};
use super::visit::Visit;
use super::{APPS, sign_in};
use crate::domain::clients::client_id::ClientId;
use crate::error::{AuthError, ErrorKind, Result};
use crate::mcp::Response;
use crate::oauth::parameters::{self, Parameters};
use crate::operations::{GrantView, ListGrants, RevokeGrant};

/// Shows the page, after the user has signed in.
pub fn show(visit: &Visit) -> Result<Response> {
    let path = path(visit);
    let Some(session) = visit.session()? else {
        return sign_in::ask(visit, &path, None);
    };
    let query = Parameters::parse(visit.query.as_bytes()).unwrap_or_default();
    let operation = ListGrants {
        user_id: None,
        after: query.first("after").map(str::to_owned),
    };
    let page = visit.run(operation, &json!({}), &session)?;
    let next = page.next.as_deref();
    let next = next.map(|next| format!("{path}?{}", parameters::encode(&[("after", next)])));
    let (form_token, set_cookie) = visit.form_token()?;
    let page = AppsPage {
        frame: visit.frame(),
        username: session.username.as_str(),
        apps: apps(&page.grants),
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
    let typed = visit.form.first("client_id").unwrap_or_default();
    if let Some(session) = visit.session()?
        && let Ok(client_id) = ClientId::try_from(typed.to_owned())
    {
        let shown = json!({"client_id": client_id});
        let operation = RevokeGrant {
            grant_id: None,
            client_id: Some(client_id),
            user_id: None,
        };
        let revoked = visit.run(operation, &shown, &session);
        revoked.map(|_| ()).or_else(unless_gone)?;
    }
    Ok(page::see_other(path(visit)))
}

fn path(visit: &Visit) -> String {
    format!("{}{APPS}", visit.oauth.public_url.path())
}

/// Accepts that the grant or the session has ended: the page will show it.
fn unless_gone(error: AuthError) -> Result<()> {
    match error.kind {
        ErrorKind::Application | ErrorKind::Authentication => Ok(()),
        _ => Err(error),
    }
}

/// Returns the grants by app, in the order of their names, and for each app by service.
fn apps(grants: &[GrantView]) -> Vec<AppRow<'_>> {
    let mut apps: BTreeMap<(&str, &ClientId), BTreeMap<&str, ServiceRow>> = BTreeMap::new();
    for grant in grants {
        let app = (grant.client_name.as_str(), &grant.client_id);
        let services = apps.entry(app).or_default();
        let service = ServiceRow::of(grant);
        match services.get_mut(grant.resource.as_str()) {
            Some(known) => known.join(service),
            None => {
                services.insert(grant.resource.as_str(), service);
            }
        }
    }
    let rows = apps
        .into_iter()
        .map(|((name, client_id), services)| AppRow {
            name,
            client_id: client_id.to_string(),
            services: services.into_values().collect(),
        });
    rows.collect()
}

impl<'a> ServiceRow<'a> {
    fn of(grant: &'a GrantView) -> ServiceRow<'a> {
        let words = grant.scopes.iter().map(|granted| {
            let description = granted.description.as_ref();
            description.map_or(granted.scope.as_str(), |words| words.as_str())
        });
        ServiceRow {
            name: grant.resource_name.as_str(),
            resource: grant.resource.as_str(),
            scopes: words.collect(),
            since: day(&grant.granted_at),
            last_used: day(&grant.refreshed_at),
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

/// Returns the date of a time in RFC 3339, in UTC.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}
