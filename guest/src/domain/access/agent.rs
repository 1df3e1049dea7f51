//! Agents: programs that act for the owner of an account, with a session of their own.

use crate::domain::clients::client_id::ClientId;
use crate::domain::display_text::DisplayText;
use crate::domain::sessions::session::Session;
use crate::types::id::Id;

/// A program that acts for the owner of an account.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The owner of the account.
    pub user_id: Id,
    /// The session of the agent.
    pub session_id: Id,
    /// Its name, which may be unverified.
    pub name: DisplayText,
    /// The OAuth client that it is; `None` for one whose user signed in by `begin_sign_in`.
    pub client_id: Option<ClientId>,
}

impl Agent {
    /// Returns the agent whose session this is, or `None` if it is the owner's.
    pub fn of_session(session: &Session) -> Option<Agent> {
        let (name, client_id) = match &session.delegation {
            Some(delegation) => (
                delegation.client_name.clone(),
                Some(delegation.client_id.clone()),
            ),
            None => (session.agent_name.clone()?, None),
        };
        Some(Agent {
            user_id: session.user_id,
            session_id: session.session_id,
            name,
            client_id,
        })
    }
}
