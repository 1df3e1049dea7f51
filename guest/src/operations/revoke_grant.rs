use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::{input, target};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::USERS_WRITE;
use crate::domain::accounts::username::Username;
use crate::domain::audit::Event;
use crate::domain::clients::client_id::ClientId;
use crate::domain::delegations::grant::{self, MAX_REVOKED_AT_ONCE, Selection};
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::types::id::Id;

/// Takes access away from a client: one grant, or all that the account has given to the
/// client. Their tokens stop working at once.
///
/// Access ends permanently, but a resource server that verifies access tokens by itself
/// accepts them until they expire. The caller's own grants require a session. Those of
/// another account require `user-auth:users:write`, and the account must not have
/// permissions that the caller lacks. A grant that has ended or belongs to another
/// account is reported as not found. With `client_id`, a code that the client has not
/// exchanged yet stops working too, even if it has no grant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeGrant {
    /// The grant to end, as listed by `list_grants`; or use `client_id`.
    #[serde(default)]
    pub grant_id: Option<Id>,
    /// The client whose grants to end, all of them; or use `grant_id`.
    #[serde(default)]
    pub client_id: Option<ClientId>,
    /// The account that has the grants, by id; the caller's own by default.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The account that has the grants, by user name; the caller's own by default.
    #[serde(default)]
    pub username: Option<Username>,
}

/// The grants that have ended.
#[derive(Serialize, JsonSchema)]
pub struct RevokedGrants {
    /// The ids of the grants; none if the client had no grant.
    pub grant_ids: Vec<Id>,
}

impl Operation for RevokeGrant {
    const NAME: &'static str = "revoke_grant";
    const TITLE: &'static str = "Take access away from a client";
    const TOOLSET: Option<Toolset> = Some(Toolset::Clients);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::SessionOr(USERS_WRITE);
    type Output = RevokedGrants;

    fn run(self, call: &ActorCall) -> Result<RevokedGrants> {
        let selection = match (self.grant_id, &self.client_id) {
            (Some(grant_id), None) => Selection::One(grant_id),
            (None, Some(client_id)) => Selection::OfClient(client_id),
            _ => return Err(input::not_one_of("grant_id", "client_id")),
        };
        let mut grant_ids = Vec::new();
        loop {
            let revoked = authority::retry_on_conflict(call, |call| {
                let username = self.username.as_ref();
                let user_id = target::subject(self.user_id, username, USERS_WRITE, call)?;
                let event = Event::success(Self::NAME);
                let require = |account: &_| authority::require_governed(account, call);
                grant::revoke(user_id, selection, event, require, call)
            })?;
            let may_be_more = revoked.len() == MAX_REVOKED_AT_ONCE;
            grant_ids.extend(revoked);
            if !may_be_more {
                break;
            }
        }
        // Of a client without a grant, at most a code has ended.
        if grant_ids.is_empty() && self.grant_id.is_some() {
            return Err(
                AuthError::new(ErrorKind::Application, "There is no such grant")
                    .because(Cause::UnknownGrant)
                    .detail("action", "list the grants with list_grants"),
            );
        }
        Ok(RevokedGrants { grant_ids })
    }
}
