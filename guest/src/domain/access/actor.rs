//! Actors, and what each operation requires of them.

use std::time::Duration;

use crate::domain::accounts::account::Account;
use crate::domain::actor_id::ActorId;
use crate::domain::credentials::api_key::{ApiKey, Origin};
use crate::domain::env::Env;
use crate::domain::sessions::access_token::Claims;
use crate::domain::sessions::bearer::Bearer;
use crate::domain::sessions::session::{self, Session};
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::storage::batch::{Batch, Commit};
use crate::storage::record::Stored;
use crate::types::id::Id;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// The precision of an API key's `last_used_at`, which avoids a write for every use.
const LAST_USED_EVERY: Duration = Duration::from_secs(60);

/// The requirement of an operation on its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing: the operation depends only on its input.
    Nothing,
    /// A session of the account that the operation is about.
    Session,
    /// A session that began so recently that its owner must be present (ASVS 7.5.1), with
    /// the second factor if the account has one.
    RecentLogin,
    /// This permission.
    Permission(&'static str),
    /// A session for operations on the caller's own account, or this permission for
    /// operations on other accounts; [`super::authority::subject`] decides which applies.
    SessionOr(&'static str),
    /// The same, and a session has to be recent in either case.
    RecentLoginOr(&'static str),
}

impl Requirement {
    /// Returns the permission that it names. With `SessionOr` and `RecentLoginOr`, sessions can
    /// do without it.
    pub fn permission(self) -> Option<&'static str> {
        match self {
            Requirement::Permission(name)
            | Requirement::SessionOr(name)
            | Requirement::RecentLoginOr(name) => Some(name),
            Requirement::Nothing | Requirement::Session | Requirement::RecentLogin => None,
        }
    }

    /// Reports whether a session has to be recent.
    pub fn is_of_a_fresh_session(self) -> bool {
        matches!(
            self,
            Requirement::RecentLogin | Requirement::RecentLoginOr(_)
        )
    }
}

/// The verified actor of an operation.
#[derive(Clone, Debug)]
pub enum Actor {
    /// An unauthenticated caller.
    Anonymous,
    /// The owner of a session.
    User(Box<Session>),
    /// The subject of an access token, with no more power than the token says: that of a
    /// client, or any where there is no store to know more from.
    Bearer(Box<Claims>),
    /// The account of an API key.
    ApiKey(Box<ApiKey>),
    /// The operator who runs the host.
    Operator,
}

impl Actor {
    /// Returns the identity of the actor.
    pub fn id(&self) -> ActorId {
        match self {
            Actor::Anonymous => ActorId::Anonymous,
            Actor::User(session) => ActorId::User {
                user_id: session.user_id,
                session_id: session.session_id,
            },
            Actor::Bearer(claims) => ActorId::User {
                user_id: claims.sub,
                session_id: claims.sid,
            },
            Actor::ApiKey(key) => ActorId::ApiKey(key.key_id),
            Actor::Operator => ActorId::Operator,
        }
    }

    /// Returns the origin of a key that the actor is about to create for this account.
    pub fn origin_of_new_key(&self, user_id: Id, now: Timestamp) -> Origin {
        match self {
            Actor::User(session) if session.user_id == user_id => Origin::Account {
                session_id: Some(session.session_id),
                at: now,
            },
            Actor::ApiKey(maker) if maker.user_id == user_id => maker.origin(),
            _ => Origin::Another,
        }
    }

    /// Returns the account that acts, if there is one.
    pub fn user_id(&self) -> Option<Id> {
        match self {
            Actor::User(session) => Some(session.user_id),
            Actor::Bearer(claims) => Some(claims.sub),
            Actor::ApiKey(key) => Some(key.user_id),
            Actor::Anonymous | Actor::Operator => None,
        }
    }

    /// Returns the session of the actor; operations that require a session have one.
    pub fn session(&self) -> Result<&Session> {
        match self {
            Actor::User(session) => Ok(session),
            _ => Err(session::session_required()),
        }
    }
}

impl From<Bearer> for Actor {
    /// Returns the actor that the token authenticates.
    fn from(bearer: Bearer) -> Actor {
        match bearer.session {
            Some(session) if session.delegation.is_none() => Actor::User(Box::new(session)),
            _ => Actor::Bearer(Box::new(bearer.claims)),
        }
    }
}

/// Fails with -32001 unless the session began recently, with its owner present.
pub(crate) fn require_fresh(session: &Session, env: &Env) -> Result<()> {
    let age = env.now().since(session.auth_time);
    if age <= env.settings.fresh_session && session.agent_name.is_none() {
        return Ok(());
    }
    Err(AuthError::new(
        ErrorKind::Authentication,
        "A session that began recently is required",
    )
    .because(Cause::WeakSession)
    .detail(
        "action",
        "log in again, and repeat the call with the new access token",
    )
    .detail("max_age_seconds", env.settings.fresh_session.as_secs()))
}

/// Returns the API key with this secret and its account, or `None` unless the key is valid
/// and the account is active. Records the use of the key.
pub fn api_key(secret: &Secret, env: &Env) -> Result<Option<(Stored<ApiKey>, Stored<Account>)>> {
    let Some(found) = ApiKey::authenticate(secret.expose(), &env.ports)? else {
        return Ok(None);
    };
    let account = Account::find(found.value.user_id, &env.ports)?;
    let Some(account) = account.filter(|account| account.value.is_active()) else {
        return Ok(None);
    };
    note_use(&found, env)?;
    Ok(Some((found, account)))
}

/// Records the use of a key. If the write loses a race, another call has recorded its use
/// or the key is gone.
fn note_use(key: &Stored<ApiKey>, env: &Env) -> Result<()> {
    let now = env.now();
    let noted = key.value.last_used_at;
    if noted.is_some_and(|noted| now.since(noted) < LAST_USED_EVERY) {
        return Ok(());
    }
    let mut used = key.value.clone();
    used.last_used_at = Some(now);
    let mut batch = Batch::new();
    batch.change(key, &used);
    match batch.commit(None, &env.ports)? {
        Commit::Done | Commit::Conflict => Ok(()),
    }
}
