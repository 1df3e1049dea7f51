//! Who acts, and whether they may: each operation says what it requires, and is
//! run only when that has been shown.

use std::time::Duration;

use super::account::Account;
use super::api_key::ApiKey;
use super::context::{Context, Principal};
use super::id::Id;
use super::permission::Permission;
use super::records::{self, Batch};
use super::role;
use super::session::{self, Session};
use crate::error::{AuthError, Kind, Result};

/// `last_used_at` of an API key is kept to this, to spare a write for every use.
const LAST_USED_EVERY: Duration = Duration::from_secs(60);

/// What an operation requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing: what counts is in the input.
    Nothing,
    /// A session, of the account that the operation is about.
    Session,
    /// The same, begun so lately that its owner must be there (ASVS 7.5.1).
    FreshSession,
    /// This permission.
    Permission(&'static str),
}

/// Who acts, once that has been verified.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Nobody in particular.
    Anonymous,
    /// The owner of a session.
    User(Box<Session>),
    /// The account of an API key.
    ApiKey(Box<ApiKey>),
    /// Who runs the host.
    Operator,
}

impl Actor {
    /// How audit records call them.
    pub fn name(&self) -> String {
        match self {
            Actor::Anonymous => "anonymous".to_owned(),
            Actor::User(session) => session.user_id.to_string(),
            Actor::ApiKey(key) => format!("api-key/{}", key.key_id),
            Actor::Operator => "operator".to_owned(),
        }
    }

    /// Whose account acts.
    pub fn user_id(&self) -> Option<Id> {
        match self {
            Actor::User(session) => Some(session.user_id),
            Actor::ApiKey(key) => Some(key.user_id),
            Actor::Anonymous | Actor::Operator => None,
        }
    }

    /// The session of who acts; operations that require one have one.
    pub fn session(&self) -> Result<&Session> {
        match self {
            Actor::User(session) => Ok(session),
            _ => Err(session_required()),
        }
    }
}

/// Verifies who calls, and that they may do what requires this.
pub fn authorize(requirement: Requirement, context: &Context) -> Result<Actor> {
    match requirement {
        // Who calls is worth looking at only where it counts.
        Requirement::Nothing => Ok(match context.caller.principal {
            Principal::Operator => Actor::Operator,
            _ => Actor::Anonymous,
        }),
        Requirement::Session => with_session(context),
        Requirement::FreshSession => {
            let actor = with_session(context)?;
            require_fresh(actor.session()?, context)?;
            Ok(actor)
        }
        Requirement::Permission(name) => {
            let actor = authenticate(context)?;
            if may(&actor, &Permission::own(name), context)? {
                return Ok(actor);
            }
            Err(AuthError::new(Kind::Authorization, "Not permitted").detail("permission", name))
        }
    }
}

/// Whether this actor has a permission.
pub fn may(actor: &Actor, permission: &Permission, context: &Context) -> Result<bool> {
    let (user_id, scopes) = match actor {
        Actor::Operator => return Ok(true),
        Actor::Anonymous => return Ok(false),
        Actor::User(session) => (session.user_id, None),
        Actor::ApiKey(key) => (key.user_id, Some(&key.scopes)),
    };
    let in_scope = scopes.is_none_or(|scopes| scopes.iter().any(|scope| scope.permits(permission)));
    let (account, _) = Account::read(user_id, &context.ports)?;
    let Some(account) = account.filter(|account| account.value.is_active() && in_scope) else {
        return Ok(false);
    };
    let granted = role::granted(&account.value.roles, &context.ports)?;
    Ok(role::permits(&granted, permission))
}

/// Fails with -32001 unless the session began lately.
pub fn require_fresh(session: &Session, context: &Context) -> Result<()> {
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

fn with_session(context: &Context) -> Result<Actor> {
    match &context.caller.principal {
        Principal::AccessToken(token) => {
            let session = session::require(token.expose(), context)?;
            Ok(Actor::User(Box::new(session)))
        }
        _ => Err(session_required()),
    }
}

fn authenticate(context: &Context) -> Result<Actor> {
    match &context.caller.principal {
        Principal::Operator => Ok(Actor::Operator),
        Principal::AccessToken(_) => with_session(context),
        Principal::ApiKey(secret) => {
            let Some(found) = ApiKey::authenticate(secret.expose(), &context.ports)? else {
                return Err(AuthError::new(
                    Kind::Authentication,
                    "The API key is not valid",
                ));
            };
            let (account, _) = Account::read(found.value.user_id, &context.ports)?;
            if !account.is_some_and(|account| account.value.is_active()) {
                return Err(AuthError::new(
                    Kind::Authentication,
                    "The API key is not valid",
                ));
            }
            note_use(&found, context)?;
            Ok(Actor::ApiKey(Box::new(found.value)))
        }
        Principal::Anonymous => Err(AuthError::new(
            Kind::Authentication,
            "This takes an access token or an API key",
        )
        .detail(
            "expected",
            "the header Authorization: Bearer, the header X-API-Key, or the field access_token",
        )),
    }
}

/// A lost race means that the key was noted as used, or is gone.
fn note_use(key: &records::Stored<ApiKey>, context: &Context) -> Result<()> {
    let now = context.now();
    let noted = key.value.last_used_at;
    if noted.is_some_and(|noted| now.since(noted) < LAST_USED_EVERY) {
        return Ok(());
    }
    let mut used = key.value.clone();
    used.last_used_at = Some(now);
    let mut batch = Batch::new();
    batch.replace(ApiKey::key(used.key_id), &key.version, &used);
    batch.commit(context)?;
    Ok(())
}

fn session_required() -> AuthError {
    AuthError::new(Kind::Authentication, "This takes an access token").detail(
        "expected",
        "the header Authorization: Bearer, or the field access_token",
    )
}
