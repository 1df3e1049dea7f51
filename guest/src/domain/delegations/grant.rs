//! Grants: the delegations of an account that are alive, each a session of its client. They
//! are what the owner sees as the access of an app, and can take away.

use super::authorization_code;
use super::delegation::Delegation;
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event};
use crate::domain::call::Call;
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::domain::env::Env;
use crate::domain::resources::resource::Resource;
use crate::domain::sessions::session::{self, Session};
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::Batch;
use crate::storage::record::Stored;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// The most grants that one batch ends, which bounds its audit record.
pub const MAX_REVOKED_AT_ONCE: usize = 100;

/// A grant.
pub struct Grant {
    /// The session of the client, whose id is that of the grant.
    pub session: Session,
    /// What the user lets the client do.
    pub delegation: Delegation,
    /// The client, as it is now.
    pub client: Client,
    /// The resource server.
    pub resource: Resource,
}

/// One page of the grants of an account.
pub struct GrantPage {
    /// The grants.
    pub grants: Vec<Grant>,
    /// The start of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// Returns a page of an account's grants, after the grant id `after`.
pub fn list(user_id: Id, after: Option<&str>, env: &Env) -> Result<GrantPage> {
    let page = session::list_delegated(user_id, after, env)?;
    let mut grants = Vec::new();
    for session in page.sessions {
        let session = session.value;
        let Some(delegation) = session.delegation.clone() else {
            continue;
        };
        if let Some(parties) = delegation.parties(env)? {
            grants.push(Grant {
                session,
                delegation,
                client: parties.client,
                resource: parties.resource,
            });
        }
    }
    Ok(GrantPage {
        grants,
        next: page.next,
    })
}

/// Selects grants of an account.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// The grant with this id.
    One(Id),
    /// All grants of this client.
    OfClient(&'a ClientId),
}

impl Selection<'_> {
    fn includes(self, session: &Session) -> bool {
        match self {
            Selection::One(grant_id) => session.session_id == grant_id,
            Selection::OfClient(client_id) => {
                let delegation = session.delegation.as_ref();
                delegation.is_some_and(|delegation| delegation.client_id == *client_id)
            }
        }
    }
}

/// Ends up to [`MAX_REVOKED_AT_ONCE`] of the selected grants of an account permanently, and
/// with a client's grants the codes that it has not exchanged yet. One batch also records
/// the event. Returns the ids of the grants: none if the account has no such grant.
///
/// `require` fails unless the actor may do this to the account. The head of the audit chain is
/// read before the grants: if another grant begins meanwhile, the batch is not committed.
pub fn revoke(
    user_id: Id,
    selection: Selection,
    event: Event,
    require: impl FnOnce(&Account) -> Result<()>,
    call: &Call,
) -> Result<Race<Vec<Id>>> {
    let (account, head) = Account::read(user_id, &call.ports)?;
    let Some(account) = account else {
        return Ok(Race::Won(Vec::new()));
    };
    require(&account.value)?;
    let selected = select(user_id, selection, call)?;
    let client_id = match selection {
        Selection::OfClient(client_id) => client_id,
        Selection::One(_) => match selected.iter().find_map(|it| it.value.delegation.as_ref()) {
            Some(delegation) => &delegation.client_id,
            None => return Ok(Race::Won(Vec::new())),
        },
    };
    let grant_ids: Vec<Id> = selected.iter().map(|it| it.value.session_id).collect();
    let mut batch = Batch::new();
    for session in &selected {
        batch.end(session);
        batch.delete(session.value.index_key(), Expect::Any);
    }
    if let Selection::OfClient(_) = selection {
        authorization_code::revoke_all(user_id, client_id, call.now(), &mut batch);
    }
    let ids = grant_ids.iter().map(Id::to_string);
    let event = event
        .detail("client_id", client_id.to_string())
        .detail("resources", resources(&selected))
        .detail("grant_ids", ids.collect::<Vec<_>>());
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(grant_ids))
}

/// Dead ones are left to the sweep: they have ended already.
fn select(user_id: Id, selection: Selection, env: &Env) -> Result<Vec<Stored<Session>>> {
    let mut selected = Vec::new();
    let mut after = None;
    loop {
        let page = session::list_delegated(user_id, after.as_deref(), env)?;
        let sessions = page.sessions.into_iter();
        selected.extend(sessions.filter(|session| selection.includes(&session.value)));
        after = page.next;
        if after.is_none() || selected.len() >= MAX_REVOKED_AT_ONCE {
            selected.truncate(MAX_REVOKED_AT_ONCE);
            return Ok(selected);
        }
    }
}

/// Returns the URLs of the resource servers, each once.
fn resources(sessions: &[Stored<Session>]) -> Vec<String> {
    let delegations = sessions
        .iter()
        .filter_map(|it| it.value.delegation.as_ref());
    let mut urls: Vec<String> = delegations
        .map(|delegation| delegation.resource.as_str().to_owned())
        .collect();
    urls.sort_unstable();
    urls.dedup();
    urls
}
