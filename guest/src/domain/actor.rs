//! Who acts, and whether they may: each operation says what it requires, and is
//! run only when that has been shown.

use std::time::Duration;

use super::access_token::Claims;
use super::account::Account;
use super::api_key::ApiKey;
use super::context::{Context, Principal};
use super::id::Id;
use super::permission::{Grant, Permission};
use super::records::{self, Batch};
use super::role;
use super::secret::Secret;
use super::session::{self, Session};
use crate::error::{AuthError, FieldError, Kind, Result};

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
    /// A session for what concerns one's own account, this permission for what
    /// concerns others; which of them it is, [`subject`] decides.
    SessionOr(&'static str),
    /// The same, and a session has to have begun lately in either case.
    FreshSessionOr(&'static str),
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
    /// How audit records call them.
    pub fn name(&self) -> String {
        match self {
            Actor::Anonymous => "anonymous".to_owned(),
            Actor::User(session) => session.user_id.to_string(),
            Actor::Bearer(claims) => claims.sub.to_string(),
            Actor::ApiKey(key) => format!("api-key/{}", key.key_id),
            Actor::Operator => "operator".to_owned(),
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
            _ => Err(session_required()),
        }
    }
}

/// Verifies who calls, and that they may do what requires this.
pub fn authorize(requirement: Requirement, context: &Context) -> Result<Actor> {
    match requirement {
        // Who calls is worth looking at only where it counts.
        Requirement::Nothing => {
            let actor = match context.caller.principal {
                Principal::Operator => Actor::Operator,
                _ => Actor::Anonymous,
            };
            context.trail.acts(&actor);
            Ok(actor)
        }
        Requirement::Session => with_session(context),
        Requirement::FreshSession => {
            let actor = with_session(context)?;
            require_fresh(actor.session()?, context)?;
            Ok(actor)
        }
        Requirement::Permission(name) => {
            let actor = authenticate(context)?;
            require_permission(&actor, name, context)?;
            Ok(actor)
        }
        Requirement::SessionOr(name) | Requirement::FreshSessionOr(name) => {
            let actor = authenticate(context)?;
            match &actor {
                Actor::User(session) if requirement == Requirement::FreshSessionOr(name) => {
                    require_fresh(session, context)?;
                }
                Actor::User(_) => {}
                _ => require_permission(&actor, name, context)?,
            }
            Ok(actor)
        }
    }
}

/// The account that an operation is about which requires a session or else a
/// permission: one's own, or the `named` one for who has the permission.
pub fn subject(named: Option<Id>, permission: &'static str, context: &Context) -> Result<Id> {
    let actor = &context.actor;
    let own = actor.user_id();
    if let Actor::User(session) = actor
        && named.is_none_or(|named| named == session.user_id)
    {
        context.trail.concerns(session.user_id);
        return Ok(session.user_id);
    }
    require_permission(actor, permission, context)?;
    if let Some(named) = named {
        context.trail.concerns(named);
    }
    named.or(own).ok_or_else(|| {
        let problem = "is missing: who calls has no account of their own";
        AuthError::invalid(vec![FieldError::new("user_id", problem)])
    })
}

/// Fails with -32002 unless the actor has the permission.
pub fn require_permission(actor: &Actor, name: &'static str, context: &Context) -> Result<()> {
    if may(actor, &Permission::own(name), context)? {
        return Ok(());
    }
    Err(AuthError::new(Kind::Authorization, "Not permitted").detail("permission", name))
}

/// Fails with -32002 unless the actor may itself do all that these grants
/// permit: who could hand out more than that, would have more than that.
pub fn require_covered(actor: &Actor, grants: &[Grant], context: &Context) -> Result<()> {
    let (user_id, scopes) = match actor {
        Actor::Operator => return Ok(()),
        Actor::Anonymous | Actor::Bearer(_) => {
            return Err(AuthError::new(Kind::Authorization, "Not permitted"));
        }
        Actor::User(session) => (session.user_id, None),
        Actor::ApiKey(key) => (key.user_id, Some(&key.scopes)),
    };
    let (account, _) = Account::read(user_id, &context.ports)?;
    let roles = account.map_or_else(Vec::new, |account| account.value.roles);
    let granted = role::granted(&roles, &context.ports)?;
    let is_covered = |grant: &Grant| {
        let mut own = granted.iter().flat_map(|granted| &granted.permissions);
        own.any(|own| own.covers(grant))
            && scopes.is_none_or(|scopes| scopes.as_slice().iter().any(|scope| scope.covers(grant)))
    };
    match grants.iter().find(|grant| !is_covered(grant)) {
        None => Ok(()),
        Some(beyond) => Err(AuthError::new(
            Kind::Authorization,
            "Not permitted: more than you may do yourself",
        )
        .detail("permission", beyond.as_str())),
    }
}

/// Fails with -32002 when this is another's account, and its roles permit more
/// than the actor may do. To be asked of an account that was read with the head of
/// its audit chain: whoever then commits on that head knew of its roles as they
/// were.
pub fn require_governed(account: &Account, context: &Context) -> Result<()> {
    if context.actor.user_id() == Some(account.user_id) {
        return Ok(());
    }
    let granted = role::granted(&account.roles, &context.ports)?;
    require_covered(&context.actor, &role::all_grants(granted), context)
}

/// Fails with -32001 when who acts on the own account has been logged out since
/// they were authorised. To be asked after the head of the account's audit chain
/// was read: whoever then commits on that head was logged in as they did.
pub fn require_still(user_id: Id, context: &Context) -> Result<()> {
    match &context.actor {
        Actor::User(own) if own.user_id == user_id => {
            match session::read_alive(own.session_id, context)? {
                Some(_) => Ok(()),
                None => Err(AuthError::invalid_token()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether this actor has a permission.
pub fn may(actor: &Actor, permission: &Permission, context: &Context) -> Result<bool> {
    let (user_id, scopes) = match actor {
        Actor::Operator => return Ok(true),
        Actor::Anonymous => return Ok(false),
        Actor::Bearer(claims) => return Ok(claims.permits(permission)),
        Actor::User(session) => (session.user_id, None),
        Actor::ApiKey(key) => (key.user_id, Some(&key.scopes)),
    };
    let in_scope = scopes.is_none_or(|scopes| {
        let mut scopes = scopes.as_slice().iter();
        scopes.any(|scope| scope.permits(permission))
    });
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
            let actor = Actor::User(Box::new(session));
            context.trail.acts(&actor);
            Ok(actor)
        }
        _ => Err(session_required()),
    }
}

fn authenticate(context: &Context) -> Result<Actor> {
    let actor = verify(context)?;
    context.trail.acts(&actor);
    Ok(actor)
}

fn verify(context: &Context) -> Result<Actor> {
    match &context.caller.principal {
        Principal::Operator => Ok(Actor::Operator),
        Principal::AccessToken(_) => with_session(context),
        Principal::ApiKey(secret) => match api_key(secret, context)? {
            Some(key) => Ok(Actor::ApiKey(Box::new(key))),
            None => Err(AuthError::new(
                Kind::Authentication,
                "The API key is not valid",
            )),
        },
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

/// The API key with this secret, if it is good and its account is active; it is
/// noted as used.
pub fn api_key(secret: &Secret, context: &Context) -> Result<Option<ApiKey>> {
    let Some(found) = ApiKey::authenticate(secret.expose(), &context.ports)? else {
        return Ok(None);
    };
    let (account, _) = Account::read(found.value.user_id, &context.ports)?;
    if !account.is_some_and(|account| account.value.is_active()) {
        return Ok(None);
    }
    note_use(&found, context)?;
    Ok(Some(found.value))
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
