//! The operations that a caller gets to see: those that its door offers and, where lists
//! depend on that, those that it has the permission for. What it may do is checked again
//! when it calls one.

use super::definition::Definition;
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::access::toolset::Offer;
use crate::domain::accounts::permission::Permission;
use crate::domain::call::Call;
use crate::error::Result;
use crate::operations::{BeginSignIn, CompleteSignIn, Operation};
use crate::settings::Settings;

/// What of all operations a caller gets to see.
pub struct Offered<'a> {
    offer: Offer,
    has_pages: bool,
    viewer: Viewer<'a>,
}

/// What only a service with pages can do.
const ON_PAGES: [&str; 2] = [BeginSignIn::NAME, CompleteSignIn::NAME];

/// The caller for whom a list is made.
enum Viewer<'a> {
    /// One whose permissions do not matter.
    Any,
    /// One without a valid credential.
    Anonymous,
    /// One with a credential that has been verified.
    Actor(Box<ActorCall<'a>>),
}

impl<'a> Offered<'a> {
    /// Returns what the caller gets to see. A caller without a credential costs no access to
    /// the store.
    pub fn to(call: &Call<'a>) -> Result<Offered<'a>> {
        let viewer = match call.offer.lists_by_permission {
            false => Viewer::Any,
            // Without a store nothing is known of any credential.
            true if !call.ports.store.is_there() => Viewer::Anonymous,
            true => match authority::identify(call)? {
                Some(actor) => Viewer::Actor(Box::new(actor)),
                None => Viewer::Anonymous,
            },
        };
        Ok(Offered {
            offer: call.offer,
            has_pages: call.settings.oauth.is_some(),
            viewer,
        })
    }

    /// Reports whether the caller gets to see this operation.
    pub fn has(&self, operation: &Definition) -> Result<bool> {
        if !is_there(operation, self.offer, self.has_pages) {
            return Ok(false);
        }
        match (&self.viewer, operation.requires) {
            (Viewer::Any, _) | (_, Requirement::Nothing) => Ok(true),
            (Viewer::Anonymous, requires) => Ok(takes_session(requires)),
            (Viewer::Actor(call), requires) => is_for(requires, call),
        }
    }
}

/// Reports whether callers over MCP without a credential get to see this operation.
pub fn is_for_anyone(operation: &Definition, settings: &Settings) -> bool {
    let has_pages = settings.oauth.is_some();
    is_there(operation, settings.offer_over_mcp(), has_pages) && takes_session(operation.requires)
}

fn is_there(operation: &Definition, offer: Offer, has_pages: bool) -> bool {
    operation.withheld(offer).is_none() && (has_pages || !ON_PAGES.contains(&operation.name))
}

/// Reports whether an access token of a user suffices, which any caller can pass as an
/// argument.
fn takes_session(requires: Requirement) -> bool {
    !matches!(requires, Requirement::Permission(_))
}

fn is_for(requires: Requirement, call: &ActorCall) -> Result<bool> {
    let is_client = matches!(call.actor(), Actor::Bearer(_));
    match requires {
        // An agent that acts for a user has to stay within what the user has agreed to.
        Requirement::Session | Requirement::RecentLogin | Requirement::RecentLoginOr(_)
            if is_client =>
        {
            Ok(false)
        }
        Requirement::SessionOr(_) if !is_client => Ok(true),
        Requirement::Permission(name) | Requirement::SessionOr(name) => {
            authority::may(&Permission::own(name), call)
        }
        Requirement::Nothing
        | Requirement::Session
        | Requirement::RecentLogin
        | Requirement::RecentLoginOr(_) => Ok(true),
    }
}
