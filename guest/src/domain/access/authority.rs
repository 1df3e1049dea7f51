//! What an actor's power rests on, as it was read.
//!
//! An operation decides by records that others may change while it runs: the actor's
//! account, its session or API key, the roles that permit what it does. The authority
//! notes the mark of each that a decision rested on, and every batch of the actor expects
//! that nothing is stored under these marks ([`crate::storage::ground`]): what stops the actor
//! stores something there.
//!
//! [`authorize`] begins an authority, [`settle`] begins another for each new attempt,
//! and [`Batch::commit`](crate::storage::batch::Batch::commit) takes it into account for every
//! batch. An operation that loops by itself instead of calling [`settle`] does not get
//! around it: once its actor has been stopped, none of its batches is committed.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::rc::Rc;

use super::actor::{self, Actor, Requirement};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{Grant, Permission};
use crate::domain::accounts::role::{self, Granted, RoleName};
use crate::domain::actor_id::ActorId;
use crate::domain::context::{Context, Principal, Standing};
use crate::domain::credentials::api_key::{ApiKey, Scopes};
use crate::domain::sessions::bearer::{self, Live};
use crate::domain::sessions::session;
use crate::domain::sessions::signing_key;
use crate::error::{AuthError, FieldError, Kind, Result};
use crate::ports::{Expect, Mutation, Ports};
use crate::storage::batch::CommitGuard;
use crate::storage::ground::Ground;
use crate::storage::retry;
use crate::types::id::Id;

/// Who acts, what they were required to show, and the records that this rested on.
pub struct Authority {
    requirement: Requirement,
    actor: Actor,
    power: Power,
    /// Store keys under which nothing may be stored when something is committed.
    absent: RefCell<BTreeSet<String>>,
}

/// What an actor may do.
enum Power {
    Nothing,
    Everything,
    OfRoles {
        roles: Vec<RoleName>,
        /// What the roles are defined as; read when it is first asked for.
        granted: OnceCell<Vec<Granted>>,
        /// What an API key may do at most; `None` for a session.
        scopes: Option<Scopes>,
    },
}

impl Default for Authority {
    /// The authority of an anonymous caller.
    fn default() -> Authority {
        Authority::without_account(Requirement::Nothing, Actor::Anonymous, Power::Nothing)
    }
}

impl Authority {
    fn without_account(requirement: Requirement, actor: Actor, power: Power) -> Authority {
        Authority {
            requirement,
            actor,
            power,
            absent: RefCell::default(),
        }
    }

    fn of_session(requirement: Requirement, live: Live) -> Authority {
        let session = live.session.value;
        let account = live.account.value;
        let absent = [
            session.mark(),
            account.mark(),
            signing_key::ended_key(live.kid, session.session_id),
        ];
        Authority {
            requirement,
            actor: Actor::User(Box::new(session)),
            power: Power::of(account.roles, None),
            absent: RefCell::new(absent.into()),
        }
    }

    fn of_api_key(requirement: Requirement, key: ApiKey, account: Account) -> Authority {
        let absent = [key.mark(), account.mark()];
        Authority {
            requirement,
            power: Power::of(account.roles, Some(key.scopes.clone())),
            actor: Actor::ApiKey(Box::new(key)),
            absent: RefCell::new(absent.into()),
        }
    }

    /// The authority of an actor that is not the one who calls, to ask what they may
    /// do.
    pub(crate) fn of_another(account: &Account, scopes: Option<&Scopes>) -> Authority {
        let power = Power::of(account.roles.clone(), scopes.cloned());
        Authority::without_account(Requirement::Nothing, Actor::Anonymous, power)
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether the actor may do everything, by the built-in role, whatever roles are
    /// defined as.
    fn is_unlimited(&self) -> bool {
        match &self.power {
            Power::Nothing => false,
            Power::Everything => true,
            Power::OfRoles { roles, scopes, .. } => {
                let everything = Grant::everything();
                roles.iter().any(RoleName::is_admin)
                    && scopes
                        .as_ref()
                        .is_none_or(|scopes| scopes.as_slice().contains(&everything))
            }
        }
    }

    /// Whether one of the actor's grants is enough, within the scopes of an API key.
    /// From then on the authority rests on the role that grants it.
    pub(crate) fn allows(&self, is_enough: &dyn Fn(&Grant) -> bool, ports: &Ports) -> Result<bool> {
        let (roles, granted, scopes) = match &self.power {
            Power::Nothing => return Ok(false),
            Power::Everything => return Ok(true),
            Power::OfRoles {
                roles,
                granted,
                scopes,
            } => (roles, granted, scopes),
        };
        let in_scope = |scopes: &Scopes| scopes.as_slice().iter().any(is_enough);
        if !scopes.as_ref().is_none_or(in_scope) {
            return Ok(false);
        }
        if roles.iter().any(RoleName::is_admin) {
            return Ok(true);
        }
        if granted.get().is_none() {
            // It is empty, so that this cannot fail.
            let _ = granted.set(role::granted(roles, ports)?);
        }
        let mut granted = granted.get().into_iter().flatten();
        let role = granted.find(|role| role.permissions.iter().any(is_enough));
        if let Some(role) = role {
            self.rest_on(role);
        }
        Ok(role.is_some())
    }

    /// From then on the authority rests on what this role is defined as, or on that it
    /// is not defined.
    fn rest_on(&self, role: &Granted) {
        self.absent.borrow_mut().extend(role.mark());
    }
}

impl CommitGuard for Authority {
    /// Whether it rests on what has this mark.
    fn rests_on(&self, mark: &str) -> bool {
        self.absent.borrow().contains(mark)
    }

    /// Makes a batch expect that nothing is stored where nothing may be. Returns `false`
    /// when the batch itself expects something there.
    fn join(&self, mutations: &mut Vec<Mutation>) -> bool {
        for key in &*self.absent.borrow() {
            // A key stands in a batch once.
            match mutations.iter_mut().find(|mutation| mutation.key == *key) {
                Some(own) if own.expect == Expect::Any => own.expect = Expect::Absent,
                Some(own) if own.expect == Expect::Absent => {}
                Some(_) => return false,
                None => mutations.push(Mutation {
                    key: key.clone(),
                    expect: Expect::Absent,
                    put: None,
                    ttl_ms: None,
                }),
            }
        }
        true
    }
}

impl Standing for Authority {
    fn actor_id(&self) -> ActorId {
        self.actor.id()
    }

    fn renew(&self, context: &Context) -> Result<Rc<dyn Standing>> {
        Ok(again(self.requirement, context)?.authority)
    }
}

/// What an operation runs with: its context, in which the actor is verified.
#[derive(Clone)]
pub struct ActorContext<'a> {
    context: Context<'a>,
    /// Who acts, and what their power rests on.
    authority: Rc<Authority>,
}

impl<'a> ActorContext<'a> {
    fn new(authority: Authority, context: &Context<'a>) -> ActorContext<'a> {
        let authority = Rc::new(authority);
        let context = Context {
            standing: Some(authority.clone()),
            ..context.clone()
        };
        ActorContext { context, authority }
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        self.authority.actor()
    }

    /// Whether both have the authority of one and the same verification.
    pub fn is_of_same_authority(&self, other: &ActorContext) -> bool {
        Rc::ptr_eq(&self.authority, &other.authority)
    }
}

impl<'a> Deref for ActorContext<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Context<'a> {
        &self.context
    }
}

impl Power {
    fn of(roles: Vec<RoleName>, scopes: Option<Scopes>) -> Power {
        Power::OfRoles {
            roles,
            granted: OnceCell::new(),
            scopes,
        }
    }
}

/// Verifies who calls, and that they may do what requires this. Returns the context to
/// do it in.
pub fn authorize<'a>(requirement: Requirement, context: &Context<'a>) -> Result<ActorContext<'a>> {
    let authority = match requirement {
        // Who calls is worth looking at only where it counts.
        Requirement::Nothing => match context.caller.principal {
            Principal::Operator => operator(requirement),
            _ => Authority::default(),
        },
        Requirement::Session | Requirement::RecentLogin => {
            let Principal::AccessToken(token) = &context.caller.principal else {
                return Err(session::session_required());
            };
            of_token(token.expose(), requirement, context)?
        }
        Requirement::Permission(_) | Requirement::SessionOr(_) | Requirement::RecentLoginOr(_) => {
            authenticate(requirement, context)?
        }
    };
    context.trail.acts(authority.actor().id());
    let acting = ActorContext::new(authority, context);
    match (requirement, acting.actor()) {
        (Requirement::Permission(name), _) => require_permission(name, &acting)?,
        (Requirement::SessionOr(_) | Requirement::RecentLoginOr(_), Actor::User(_)) => {}
        (Requirement::SessionOr(name) | Requirement::RecentLoginOr(name), _) => {
            require_permission(name, &acting)?;
        }
        (Requirement::Nothing | Requirement::Session | Requirement::RecentLogin, _) => {}
    }
    Ok(acting)
}

fn operator(requirement: Requirement) -> Authority {
    Authority::without_account(requirement, Actor::Operator, Power::Everything)
}

fn authenticate(requirement: Requirement, context: &Context) -> Result<Authority> {
    match &context.caller.principal {
        Principal::Operator => Ok(operator(requirement)),
        Principal::AccessToken(token) => of_token(token.expose(), requirement, context),
        Principal::ApiKey(secret) => match actor::api_key(secret, context)? {
            Some((key, account)) => {
                Ok(Authority::of_api_key(requirement, key.value, account.value))
            }
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

/// A session that is required to be fresh is also required to have begun with the
/// second factor, if the account has one: each is a proof that its owner is there.
fn of_token(token: &str, requirement: Requirement, context: &Context) -> Result<Authority> {
    let audience = &context.settings.audience;
    let live = bearer::live(audience, token, context)?;
    let live = live.ok_or_else(AuthError::invalid_token)?;
    if requirement.is_of_a_fresh_session() {
        // The audit log names who was refused.
        let actor = Actor::User(Box::new(live.session.value.clone()));
        context.trail.acts(actor.id());
        actor::require_fresh(&live.session.value, context)?;
        session::require_second_factor(&live.account.value, &live.session.value)?;
    }
    Ok(Authority::of_session(requirement, live))
}

/// Tries until an attempt is not overtaken: `None` says that it lost a race. Each new
/// attempt begins with [`authorize`], and gets the context to act in.
pub fn settle<'a, T>(
    context: &ActorContext<'a>,
    mut attempt: impl FnMut(&ActorContext<'a>) -> Result<Option<T>>,
) -> Result<T> {
    let mut acting = context.clone();
    retry::retry_on_conflict(|| {
        let settled = attempt(&acting)?;
        if settled.is_none() {
            acting = again(context.authority.requirement, context)?;
        }
        Ok(settled)
    })
}

fn again<'a>(requirement: Requirement, context: &Context<'a>) -> Result<ActorContext<'a>> {
    let afresh = Context {
        standing: None,
        ..context.clone()
    };
    authorize(requirement, &afresh)
}

/// Whether the actor has a permission.
pub fn may(permission: &Permission, context: &ActorContext) -> Result<bool> {
    let is_enough = |grant: &Grant| grant.permits(permission);
    context.authority.allows(&is_enough, &context.ports)
}

/// Whether an actor has a permission. Of an account other than the caller's it is
/// read afresh; what is asked of the caller is [`may`].
pub fn is_permitted(actor: &Actor, permission: &Permission, context: &Context) -> Result<bool> {
    let (user_id, scopes) = match actor {
        Actor::Operator => return Ok(true),
        Actor::Anonymous => return Ok(false),
        Actor::Bearer(claims) => return Ok(claims.permits(permission)),
        Actor::User(session) => (session.user_id, None),
        Actor::ApiKey(key) => (key.user_id, Some(&key.scopes)),
    };
    let (account, _) = Account::read(user_id, &context.ports)?;
    let Some(account) = account.filter(|account| account.value.is_active()) else {
        return Ok(false);
    };
    let authority = Authority::of_another(&account.value, scopes);
    authority.allows(&|grant| grant.permits(permission), &context.ports)
}

/// Fails with -32002 unless the actor has the permission.
pub fn require_permission(name: &'static str, context: &ActorContext) -> Result<()> {
    if may(&Permission::own(name), context)? {
        return Ok(());
    }
    Err(AuthError::new(Kind::Authorization, "Not permitted").detail("permission", name))
}

/// Whether the actor may itself do all that this grant permits.
pub fn covers(grant: &Grant, context: &ActorContext) -> Result<bool> {
    let is_enough = |own: &Grant| own.covers(grant);
    context.authority.allows(&is_enough, &context.ports)
}

/// Fails with -32002 unless the actor may itself do all that these grants permit: an
/// actor that could hand out more than it has, would have more than it has.
pub fn require_covered(grants: &[Grant], context: &ActorContext) -> Result<()> {
    for grant in grants {
        if !covers(grant, context)? {
            return Err(AuthError::new(
                Kind::Authorization,
                "Not permitted: more than you may do yourself",
            )
            .detail("permission", grant.as_str()));
        }
    }
    Ok(())
}

/// Fails with -32002 when the roles of this account permit more than the actor may do,
/// unless the actor is logged in to the account. An API key may do less than its
/// account, and has no power over it for being its own.
///
/// Call it with an account that was read together with the head of its audit chain:
/// committing on that head shows that its roles have not changed since.
pub fn require_governed(account: &Account, context: &ActorContext) -> Result<()> {
    let is_own = matches!(context.actor(), Actor::User(own) if own.user_id == account.user_id);
    if is_own || context.authority.is_unlimited() {
        return Ok(());
    }
    for role in role::granted(&account.roles, &context.ports)? {
        require_covered(&role.permissions, context)?;
        context.authority.rest_on(&role);
    }
    Ok(())
}

/// What a role that is to be given or taken grants, or `None` if it is not defined.
///
/// Fails with -32002 when it permits more than the actor may do.
pub fn require_role(role: &RoleName, context: &ActorContext) -> Result<Option<Vec<Grant>>> {
    let mut granted = role::granted(std::slice::from_ref(role), &context.ports)?;
    let Some(role) = granted.pop() else {
        return Ok(None);
    };
    require_covered(&role.permissions, context)?;
    if !context.authority.is_unlimited() {
        context.authority.rest_on(&role);
    }
    let is_defined = role.is_defined;
    Ok(is_defined.then_some(role.permissions))
}

/// The account that an operation is about which requires a session or else a
/// permission: one's own, or the `named` one for an actor that has the permission.
pub fn subject(named: Option<Id>, permission: &'static str, context: &ActorContext) -> Result<Id> {
    let actor = context.actor();
    if let Actor::User(session) = actor
        && named.is_none_or(|named| named == session.user_id)
    {
        context.trail.concerns(session.user_id);
        return Ok(session.user_id);
    }
    require_permission(permission, context)?;
    if let Some(named) = named {
        context.trail.concerns(named);
    }
    named.or(actor.user_id()).ok_or_else(|| {
        let problem = "is missing: the caller has no account of its own";
        AuthError::invalid(vec![FieldError::new("user_id", problem)])
    })
}
