//! Who acts, and what each operation requires of them.

use std::time::Duration;

use crate::domain::accounts::account::Account;
use crate::domain::actor_id::ActorId;
use crate::domain::context::Context;
use crate::domain::credentials::api_key::{ApiKey, Origin};
use crate::domain::sessions::access_token::Claims;
use crate::domain::sessions::bearer::Bearer;
use crate::domain::sessions::session::{self, Session};
use crate::error::{AuthError, Kind, Result};
use crate::storage::batch::Batch;
use crate::storage::record::Stored;
use crate::types::id::Id;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// `last_used_at` of an API key is kept to this, to spare a write for every use.
const LAST_USED_EVERY: Duration = Duration::from_secs(60);

/// What an operation requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing: what counts is in the input.
    Nothing,
    /// A session, of the account that the operation is about.
    Session,
    /// The same, begun so lately that its owner must be there (ASVS 7.5.1), with the
    /// second factor if the account has one.
    RecentLogin,
    /// This permission.
    Permission(&'static str),
    /// A session for what concerns one's own account, this permission for what
    /// concerns others; which of them it is, [`super::authority::subject`] decides.
    SessionOr(&'static str),
    /// The same, and a session has to be fresh in either case.
    RecentLoginOr(&'static str),
}

impl Requirement {
    /// Whether a session has to be fresh.
    pub fn is_of_a_fresh_session(self) -> bool {
        matches!(
            self,
            Requirement::RecentLogin | Requirement::RecentLoginOr(_)
        )
    }
}

/// Who acts, once that has been verified.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Nobody in particular.
    Anonymous,
    /// The owner of a session.
    User(Box<Session>),
    /// The owner of an access token, by its own word: there is no store to ask.
    Bearer(Box<Claims>),
    /// The account of an API key.
    ApiKey(Box<ApiKey>),
    /// Who runs the host.
    Operator,
}

impl Actor {
    /// The ids of it.
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

    /// What a key goes back to that the actor is about to make for this account.
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

    /// Whose account acts.
    pub fn user_id(&self) -> Option<Id> {
        match self {
            Actor::User(session) => Some(session.user_id),
            Actor::Bearer(claims) => Some(claims.sub),
            Actor::ApiKey(key) => Some(key.user_id),
            Actor::Anonymous | Actor::Operator => None,
        }
    }

    /// The session of who acts; operations that require one have one.
    pub fn session(&self) -> Result<&Session> {
        match self {
            Actor::User(session) => Ok(session),
            _ => Err(session::session_required()),
        }
    }
}

impl From<Bearer> for Actor {
    /// Who acts with it.
    fn from(bearer: Bearer) -> Actor {
        match bearer.session {
            Some(session) => Actor::User(Box::new(session)),
            None => Actor::Bearer(Box::new(bearer.claims)),
        }
    }
}

/// Fails with -32001 unless the session began recently.
pub(crate) fn require_fresh(session: &Session, context: &Context) -> Result<()> {
    if context.now().since(session.auth_time) <= context.settings.fresh_session {
        return Ok(());
    }
    Err(AuthError::new(
        Kind::Authentication,
        "This takes a session that began lately",
    )
    .detail(
        "action",
        "log in again, and repeat the call with the new access token",
    )
    .detail("max_age_seconds", context.settings.fresh_session.as_secs()))
}

/// The API key with this secret and its account, if the key is good and the account is
/// active; the key is noted as used.
pub fn api_key(
    secret: &Secret,
    context: &Context,
) -> Result<Option<(Stored<ApiKey>, Stored<Account>)>> {
    let Some(found) = ApiKey::authenticate(secret.expose(), &context.ports)? else {
        return Ok(None);
    };
    let (account, _) = Account::read(found.value.user_id, &context.ports)?;
    let Some(account) = account.filter(|account| account.value.is_active()) else {
        return Ok(None);
    };
    note_use(&found, context)?;
    Ok(Some((found, account)))
}

/// A lost race means that the key was noted as used, or is gone.
fn note_use(key: &Stored<ApiKey>, context: &Context) -> Result<()> {
    let now = context.now();
    let noted = key.value.last_used_at;
    if noted.is_some_and(|noted| now.since(noted) < LAST_USED_EVERY) {
        return Ok(());
    }
    let mut used = key.value.clone();
    used.last_used_at = Some(now);
    let mut batch = Batch::new();
    batch.change(key, &used);
    context.commit(batch)?;
    Ok(())
}
