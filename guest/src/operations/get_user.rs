use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::target::Target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::{Account, Status};
use crate::domain::accounts::email::Email;
use crate::domain::accounts::permission::USERS_READ;
use crate::domain::accounts::role::RoleName;
use crate::domain::accounts::username::Username;
use crate::domain::sessions::session::Session;
use crate::domain::throttle::{self, Authenticator};
use crate::error::Result;
use crate::storage::record;
use crate::types::id::Id;

/// The maximum number of sessions counted.
const MAX_COUNTED: u32 = 100;
/// The maximum number of sessions examined, including those that have ended but are not
/// yet swept.
const MAX_EXAMINED: u32 = 500;

/// Returns a user: name, address, status, roles, whether a second factor is set up, and
/// how many sessions are alive.
///
/// Requires `user-auth:users:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetUser {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
}

/// A user as administrators see them.
#[derive(Serialize, JsonSchema)]
pub struct UserView {
    /// The id of the account, which never changes.
    pub user_id: Id,
    /// The name to log in with.
    pub username: Username,
    /// The email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Whether the user has proved that the address is theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Whether the account is active or disabled.
    pub status: Status,
    /// The roles of the user.
    pub roles: Vec<RoleName>,
    /// Whether a login requires a second factor.
    pub second_factor: bool,
    /// The time of registration (RFC 3339).
    pub created_at: String,
    /// Whether too many guesses at the password or the codes of the app have failed. If
    /// so, attempts are accepted only from where the user has logged in before. Only
    /// `get_user` returns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// The number of live sessions, counted up to 100. Only `get_user` returns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
}

impl Operation for GetUser {
    const NAME: &'static str = "get_user";
    const TITLE: &'static str = "Show a user";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(USERS_READ);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let (account, _) = target.read(&call.ports)?;
        let sessions = live_sessions(&account.value, call)?;
        let password = Authenticator::password_of(&account.value);
        let totp = Authenticator::totp_of(&account.value);
        let mut locked = throttle::is_locked(password, call)?;
        if let Some(totp) = totp {
            locked = locked || throttle::is_locked(totp, call)?;
        }
        Ok(UserView {
            locked: Some(locked),
            sessions: Some(sessions),
            ..UserView::from(account.value)
        })
    }
}

impl From<Account> for UserView {
    fn from(account: Account) -> UserView {
        UserView {
            user_id: account.user_id,
            username: account.username,
            email_verified: account.email.as_ref().map(|_| account.email_verified),
            email: account.email,
            status: account.status,
            roles: account.roles,
            second_factor: account.second_factor.is_some(),
            created_at: account.created_at.to_rfc3339(),
            locked: None,
            sessions: None,
        }
    }
}

fn live_sessions(account: &Account, call: &ActorCall) -> Result<u32> {
    let ports = &call.ports;
    let prefix = Session::index_prefix(account.user_id);
    let index = ports.store.scan(&prefix, None, MAX_EXAMINED)?;
    let ids = index.entries.iter().filter_map(|entry| {
        let id = entry.key.strip_prefix(&prefix)?.to_owned();
        Id::try_from(id).ok()
    });
    let keys: Vec<String> = ids.map(Session::key).collect();
    let mut alive = 0;
    for entry in ports.store.get(&keys)? {
        let session = record::parse::<Session>(entry, ports)?;
        let is_alive = session.is_some_and(|it| it.value.is_alive(account, call.now()));
        alive += u32::from(is_alive);
    }
    Ok(alive.min(MAX_COUNTED))
}
