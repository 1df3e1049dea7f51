//! The authority of an actor, and the records that it depends on.
//!
//! An operation decides based on records that others may change while it runs: the actor's
//! account, its session or API key, and the roles that permit the action. The authority
//! notes the marker key of each record that a decision depended on, and every batch of the
//! actor expects that nothing is stored under these keys ([`crate::storage::ground`]): a
//! change that stops the actor writes a marker there.
//!
//! [`authorize`] creates an authority, [`retry_on_conflict`] creates another for each new
//! attempt, and [`Batch::commit`](crate::storage::batch::Batch::commit) checks it for every
//! batch. An operation that loops by itself instead of calling [`retry_on_conflict`] cannot
//! bypass it: once its actor has been stopped, none of its batches is committed.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::rc::Rc;

use super::actor::{self, Actor, Requirement};
use super::agent::Agent;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{Grant, Permission};
use crate::domain::accounts::role::{self, Granted, RoleName};
use crate::domain::accounts::scopes::Scopes;
use crate::domain::actor_id::ActorId;
use crate::domain::call::{Call, Standing};
use crate::domain::caller::Principal;
use crate::domain::credentials::api_key::ApiKey;
use crate::domain::env::Env;
use crate::domain::resources::resource;
use crate::domain::sessions::bearer::{self, LiveSession};
use crate::domain::sessions::session;
use crate::domain::sessions::signing_key;
use crate::error::{AuthError, Cause, ErrorKind, FieldError, Result};
use crate::ports::{Expect, Mutation, Ports};
use crate::storage::batch::CommitGuard;
use crate::storage::ground::AuthoritySource;
use crate::storage::retry::{self, Race};
use crate::types::id::Id;

/// An actor, the requirement that it had to meet, and the records that this depended on.
pub struct Authority {
    requirement: Requirement,
    actor: Actor,
    /// The agent that the actor is, unless it acts for itself.
    agent: Option<Agent>,
    power: Power,
    /// The account that acts, unless no account does.
    account: Option<Account>,
    /// The session of the actor's token, unless it has none.
    session: Option<TokenSession>,
    /// The roles that decisions have depended on.
    roles: RefCell<Vec<Granted>>,
}

/// The session that an access token is of, and the key that signed the token.
struct TokenSession {
    session_id: Id,
    kid: Id,
}

impl TokenSession {
    fn of(live: &LiveSession) -> TokenSession {
        TokenSession {
            session_id: live.session.value.session_id,
            kid: live.kid,
        }
    }
}

/// The permissions of an actor.
enum Power {
    Nothing,
    Everything,
    OfRoles {
        roles: Vec<RoleName>,
        /// The definitions of the roles, read when first needed.
        granted: OnceCell<Vec<Granted>>,
        /// The upper bound set by an API key; `None` for a session.
        scopes: Option<Scopes>,
    },
}

impl Default for Authority {
    /// Returns the authority of an anonymous caller.
    fn default() -> Authority {
        Authority::without_account(Requirement::Nothing, Actor::Anonymous, Power::Nothing)
    }
}

impl Authority {
    fn without_account(requirement: Requirement, actor: Actor, power: Power) -> Authority {
        Authority {
            requirement,
            actor,
            agent: None,
            power,
            account: None,
            session: None,
            roles: RefCell::default(),
        }
    }

    fn of_session(requirement: Requirement, live: LiveSession) -> Authority {
        let agent = Agent::of_session(&live.session.value);
        let session = Some(TokenSession::of(&live));
        let actor = Actor::User(Box::new(live.session.value));
        Authority {
            agent,
            session,
            ..Authority::of_account(requirement, actor, live.account.value, None)
        }
    }

    /// Returns the authority of a client that acts for the owner of an account. It may do
    /// what both its scopes and the account's roles permit, as with an API key.
    fn of_delegation(
        requirement: Requirement,
        live: LiveSession,
        scopes: Vec<Permission>,
    ) -> Authority {
        let agent = Agent::of_session(&live.session.value);
        let session = Some(TokenSession::of(&live));
        let actor = Actor::Bearer(Box::new(live.claims));
        let scopes = Some(Scopes::of_permissions(scopes));
        Authority {
            agent,
            session,
            ..Authority::of_account(requirement, actor, live.account.value, scopes)
        }
    }

    fn of_api_key(requirement: Requirement, key: ApiKey, account: Account) -> Authority {
        let scopes = key.scopes.clone();
        let actor = Actor::ApiKey(Box::new(key));
        Authority::of_account(requirement, actor, account, Some(scopes))
    }

    fn of_account(
        requirement: Requirement,
        actor: Actor,
        account: Account,
        scopes: Option<Scopes>,
    ) -> Authority {
        let power = Power::of(account.roles.clone(), scopes);
        Authority {
            account: Some(account),
            ..Authority::without_account(requirement, actor, power)
        }
    }

    /// Returns the authority of an actor other than the caller, to check what that actor
    /// may do.
    pub(crate) fn of_another(account: &Account, scopes: Option<&Scopes>) -> Authority {
        let power = Power::of(account.roles.clone(), scopes.cloned());
        Authority::without_account(Requirement::Nothing, Actor::Anonymous, power)
    }

    /// Returns the actor.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Reports whether the actor may do everything through the built-in role, regardless
    /// of how other roles are defined.
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

    /// Reports whether one of the scopes of the actor's credential is enough. A session has
    /// no scopes that could limit it.
    fn is_in_scope(&self, is_enough: &dyn Fn(&Grant) -> bool) -> bool {
        match &self.power {
            Power::OfRoles {
                scopes: Some(scopes),
                ..
            } => scopes.as_slice().iter().any(is_enough),
            _ => true,
        }
    }

    /// Reports whether one of the actor's grants is enough, within the scopes of an API
    /// key. From then on the authority depends on the role with that grant.
    pub(crate) fn allows(&self, is_enough: &dyn Fn(&Grant) -> bool, ports: &Ports) -> Result<bool> {
        let (roles, granted) = match &self.power {
            Power::Nothing => return Ok(false),
            Power::Everything => return Ok(true),
            Power::OfRoles { roles, granted, .. } => (roles, granted),
        };
        if !self.is_in_scope(is_enough) {
            return Ok(false);
        }
        if roles.iter().any(RoleName::is_admin) {
            return Ok(true);
        }
        if granted.get().is_none() {
            // The cell is empty, so this cannot fail.
            let _ = granted.set(role::granted(roles, ports)?);
        }
        let mut granted = granted.get().into_iter().flatten();
        let role = granted.find(|role| role.permissions.iter().any(is_enough));
        if let Some(role) = role {
            self.rest_on(role);
        }
        Ok(role.is_some())
    }

    /// Makes the authority depend on the definition of this role, or on its absence.
    fn rest_on(&self, role: &Granted) {
        let mut roles = self.roles.borrow_mut();
        if !roles.contains(role) {
            roles.push(role.clone());
        }
    }

    /// Returns the store keys that must be absent when a batch is committed. Most calls commit
    /// none, so the keys are made when there is a batch.
    fn absent(&self) -> BTreeSet<String> {
        let mut absent: BTreeSet<_> = self.account.iter().map(Account::mark).collect();
        if let Some(TokenSession { session_id, kid }) = self.session {
            absent.insert(session::mark(session_id));
            absent.insert(signing_key::ended_key(kid, session_id));
        }
        if let Actor::ApiKey(key) = &self.actor {
            absent.insert(key.mark());
        }
        absent.extend(self.roles.borrow().iter().filter_map(Granted::mark));
        absent
    }
}

impl CommitGuard for Authority {
    /// Reports whether the authority depends on the record with this marker.
    fn rests_on(&self, mark: &str) -> bool {
        self.absent().contains(mark)
    }

    /// Makes a batch expect that no marker exists. Returns `false` if the batch itself
    /// expects a record there.
    fn join(&self, mutations: &mut Vec<Mutation>) -> bool {
        for key in self.absent() {
            // A key may occur only once in a batch.
            match mutations.iter_mut().find(|mutation| mutation.key == key) {
                Some(own) if own.expect == Expect::Any => own.expect = Expect::Absent,
                Some(own) if own.expect == Expect::Absent => {}
                Some(_) => return false,
                None => mutations.push(Mutation {
                    key,
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

    fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    fn renew(&self, call: &Call) -> Result<Rc<dyn Standing>> {
        Ok(again(self.requirement, call)?.authority)
    }
}

/// The call of an operation with its verified actor.
#[derive(Clone)]
pub struct ActorCall<'a> {
    call: Call<'a>,
    /// The verified actor, and what its authority depends on.
    authority: Rc<Authority>,
}

impl<'a> ActorCall<'a> {
    fn new(authority: Authority, call: &Call<'a>) -> ActorCall<'a> {
        let authority = Rc::new(authority);
        let call = Call {
            standing: Some(authority.clone()),
            ..call.clone()
        };
        ActorCall { call, authority }
    }

    /// Returns the actor.
    pub fn actor(&self) -> &Actor {
        self.authority.actor()
    }

    /// Returns the agent that the actor is, unless it acts for itself.
    pub fn agent(&self) -> Option<&Agent> {
        self.authority.agent.as_ref()
    }

    /// Returns the same call with the approval that it has been given.
    pub fn approved(mut self, approval_id: Id) -> ActorCall<'a> {
        self.call.approval_id = Some(approval_id);
        self
    }

    /// Reports whether the authority of both calls comes from the same verification.
    pub fn is_of_same_authority(&self, other: &ActorCall) -> bool {
        Rc::ptr_eq(&self.authority, &other.authority)
    }
}

impl<'a> Deref for ActorCall<'a> {
    type Target = Call<'a>;

    fn deref(&self) -> &Call<'a> {
        &self.call
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

/// Authenticates the caller, and checks that it meets the requirement. Returns the call
/// of the verified actor.
// One copy of this in each of the operations would be a tenth of the component.
#[inline(never)]
pub fn authorize<'a>(requirement: Requirement, call: &Call<'a>) -> Result<ActorCall<'a>> {
    let authority = match requirement {
        // The caller is only verified where it matters.
        Requirement::Nothing => match call.caller.principal {
            Principal::Operator => operator(requirement),
            _ => Authority::default(),
        },
        Requirement::Session | Requirement::RecentLogin => {
            let Principal::AccessToken(token) = &call.caller.principal else {
                return Err(session::session_required());
            };
            of_token(token.expose(), requirement, call)?
        }
        Requirement::Permission(_) | Requirement::SessionOr(_) | Requirement::RecentLoginOr(_) => {
            authenticate(requirement, call)?
        }
    };
    call.record_actor(authority.actor().id());
    let acting = ActorCall::new(authority, call);
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

/// Returns the call of the actor that the caller's credential authenticates, or `None` if it
/// has no valid one. The actor has met no requirement.
pub fn identify<'a>(call: &Call<'a>) -> Result<Option<ActorCall<'a>>> {
    if matches!(call.caller.principal, Principal::Anonymous) {
        return Ok(None);
    }
    match authenticate(Requirement::Nothing, call) {
        Ok(authority) => Ok(Some(ActorCall::new(authority, call))),
        Err(error) if error.kind == ErrorKind::Authentication => Ok(None),
        Err(error) => Err(error),
    }
}

fn operator(requirement: Requirement) -> Authority {
    Authority::without_account(requirement, Actor::Operator, Power::Everything)
}

fn authenticate(requirement: Requirement, call: &Call) -> Result<Authority> {
    match &call.caller.principal {
        Principal::Operator => Ok(operator(requirement)),
        Principal::AccessToken(token) => of_token(token.expose(), requirement, call),
        Principal::ApiKey(secret) => match actor::api_key(secret, call)? {
            Some((key, account)) => {
                Ok(Authority::of_api_key(requirement, key.value, account.value))
            }
            None => Err(AuthError::new(
                ErrorKind::Authentication,
                "The API key is not valid",
            )),
        },
        Principal::Anonymous => Err(AuthError::new(
            ErrorKind::Authentication,
            "An access token or an API key is required",
        )
        .because(Cause::NoSession)
        .detail(
            "expected",
            "the header Authorization: Bearer, the header X-API-Key, or the field access_token",
        )),
    }
}

/// A session that is required to be recent must also have begun with the second factor, if
/// the account has one: both prove that its owner is present.
fn of_token(token: &str, requirement: Requirement, call: &Call) -> Result<Authority> {
    let audience = &call.settings.audience;
    let live = bearer::live(audience, token, call)?;
    let Some(live) = live else {
        return of_client_token(token, requirement, call);
    };
    if requirement.is_of_a_fresh_session() {
        // The audit log names the actor that was refused.
        let actor = Actor::User(Box::new(live.session.value.clone()));
        call.record_actor(actor.id());
        actor::require_fresh(&live.session.value, call)?;
        session::require_second_factor(&live.account.value, &live.session.value)?;
    }
    Ok(Authority::of_session(requirement, live))
}

/// The token of a client is for this service under its URL, and never stands for a login of
/// the user.
fn of_client_token(token: &str, requirement: Requirement, call: &Call) -> Result<Authority> {
    let Some(own) = resource::own_url(call.settings) else {
        return Err(AuthError::invalid_token());
    };
    let live = bearer::live(own.as_str(), token, call)?;
    let live = live.ok_or_else(AuthError::invalid_token)?;
    let Some(delegation) = &live.session.value.delegation else {
        return Err(AuthError::invalid_token());
    };
    // What a client makes must end with its access, and a key would not.
    if requirement == Requirement::Session || requirement.is_of_a_fresh_session() {
        return Err(session::session_required());
    }
    // The token may have fewer scopes than the delegation.
    let scopes = delegation.scopes.iter();
    let scopes = scopes
        .filter(|scope| live.claims.permits(scope))
        .cloned()
        .collect();
    Ok(Authority::of_delegation(requirement, live, scopes))
}

/// Repeats an attempt until it wins its race. Each further attempt begins with
/// [`authorize`], and receives the call of the actor at that time.
pub fn retry_on_conflict<'a, T>(
    call: &ActorCall<'a>,
    mut attempt: impl FnMut(&ActorCall<'a>) -> Result<Race<T>>,
) -> Result<T> {
    let mut acting = call.clone();
    retry::retry_on_conflict(|| {
        let ended = attempt(&acting)?;
        if !ended.is_won() {
            acting = again(call.authority.requirement, call)?;
        }
        Ok(ended)
    })
}

fn again<'a>(requirement: Requirement, call: &Call<'a>) -> Result<ActorCall<'a>> {
    let afresh = Call {
        standing: None,
        ..call.clone()
    };
    authorize(requirement, &afresh)
}

/// Reports whether the actor has a permission.
pub fn may(permission: &Permission, call: &ActorCall) -> Result<bool> {
    let is_enough = |grant: &Grant| grant.permits(permission);
    call.authority.allows(&is_enough, &call.ports)
}

/// Reports whether an actor has a permission. This reads the account again; to check the
/// actor of the current call, use [`may`].
pub fn is_permitted(actor: &Actor, permission: &Permission, env: &Env) -> Result<bool> {
    let (user_id, scopes) = match actor {
        Actor::Operator => return Ok(true),
        Actor::Anonymous => return Ok(false),
        Actor::Bearer(claims) => return Ok(claims.permits(permission)),
        Actor::User(session) => (session.user_id, None),
        Actor::ApiKey(key) => (key.user_id, Some(&key.scopes)),
    };
    let account = Account::find(user_id, &env.ports)?;
    let Some(account) = account.filter(|account| account.value.is_active()) else {
        return Ok(false);
    };
    let authority = Authority::of_another(&account.value, scopes);
    authority.allows(&|grant| grant.permits(permission), &env.ports)
}

/// Fails with -32002 unless the actor has the permission.
pub fn require_permission(name: &'static str, call: &ActorCall) -> Result<()> {
    let permission = Permission::own(name);
    if may(&permission, call)? {
        return Ok(());
    }
    let is_enough = |grant: &Grant| grant.permits(&permission);
    Err(not_permitted("Not permitted", name, &is_enough, call))
}

/// Returns the error for an actor that lacks a permission. It reports which of the two sides
/// lacks it, the scopes of the actor's own credential or the roles of its own account: the
/// next step depends on that.
fn not_permitted(
    message: &str,
    permission: &str,
    is_enough: &dyn Fn(&Grant) -> bool,
    call: &ActorCall,
) -> AuthError {
    let error = AuthError::new(ErrorKind::Authorization, message)
        .because(Cause::NotPermitted)
        .detail("permission", permission);
    let is_in_scope = call.authority.is_in_scope(is_enough);
    let (withheld, action) = match call.actor() {
        Actor::Anonymous | Actor::Operator => return error,
        Actor::ApiKey(_) if !is_in_scope => (
            "the scopes of the API key do not include it",
            "create a key with this scope, with create_api_key; the roles of its account must \
             grant it too",
        ),
        Actor::Bearer(_) if !is_in_scope => (
            "the scope of the access token does not include it",
            "ask the user for a token with this scope",
        ),
        Actor::User(_) | Actor::ApiKey(_) | Actor::Bearer(_) => (
            "no role of the account grants it",
            "ask an administrator for a role that grants it",
        ),
    };
    error.detail("withheld", withheld).detail("action", action)
}

/// Reports whether the actor itself may do everything that this grant permits.
pub fn covers(grant: &Grant, call: &ActorCall) -> Result<bool> {
    let is_enough = |own: &Grant| own.covers(grant);
    call.authority.allows(&is_enough, &call.ports)
}

/// Fails with -32002 unless the actor itself may do everything that these grants permit:
/// an actor that could confer more than it has would effectively have it.
pub fn require_covered(grants: &[Grant], call: &ActorCall) -> Result<()> {
    for grant in grants {
        if !covers(grant, call)? {
            let message = "Not permitted: more than you may do yourself";
            let is_enough = |own: &Grant| own.covers(grant);
            return Err(not_permitted(message, grant.as_str(), &is_enough, call));
        }
    }
    Ok(())
}

/// Fails with -32002 if the roles of this account permit more than the actor may do,
/// unless the actor is logged in to the account. An API key may do less than its account,
/// and gets no authority over its own account.
///
/// Call this with an account that was read together with the head of its audit chain:
/// committing on that head proves that its roles have not changed since.
pub fn require_governed(account: &Account, call: &ActorCall) -> Result<()> {
    let is_own = matches!(call.actor(), Actor::User(own) if own.user_id == account.user_id);
    if is_own || call.authority.is_unlimited() {
        return Ok(());
    }
    for role in role::granted(&account.roles, &call.ports)? {
        require_covered(&role.permissions, call)?;
        call.authority.rest_on(&role);
    }
    Ok(())
}

/// Returns the grants of a role that is to be assigned or removed, or `None` if it is not
/// defined.
///
/// Fails with -32002 if the role permits more than the actor may do.
pub fn require_role(role: &RoleName, call: &ActorCall) -> Result<Option<Vec<Grant>>> {
    let mut granted = role::granted(std::slice::from_ref(role), &call.ports)?;
    let Some(role) = granted.pop() else {
        return Ok(None);
    };
    require_covered(&role.permissions, call)?;
    if !call.authority.is_unlimited() {
        call.authority.rest_on(&role);
    }
    let is_defined = role.is_defined;
    Ok(is_defined.then_some(role.permissions))
}

/// Returns the account that an operation is about when it requires either a session or a
/// permission: the caller's own account, or the `named` one for an actor with the
/// permission.
pub fn subject(named: Option<Id>, permission: &'static str, call: &ActorCall) -> Result<Id> {
    let actor = call.actor();
    if let Actor::User(session) = actor
        && named.is_none_or(|named| named == session.user_id)
    {
        call.record_account(session.user_id);
        return Ok(session.user_id);
    }
    require_permission(permission, call)?;
    if let Some(named) = named {
        call.record_account(named);
    }
    named.or(actor.user_id()).ok_or_else(|| {
        let problem = "is missing, and so is username: the caller has no account of its own";
        AuthError::invalid(vec![FieldError::new("user_id", problem)])
    })
}
