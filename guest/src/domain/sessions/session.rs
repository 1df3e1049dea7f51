//! Sessions, which a login begins and a logout ends. Ending a session deletes its record,
//! so it can never be revived.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::auth_method::{self, AuthMethod};
use super::refresh_token::{RefreshToken, RefreshTokenHash};
use super::rotation::Rotations;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::username::Username;
use crate::domain::actor_id::ActorId;
use crate::domain::audit::{Chain, Event, Head, event_name};
use crate::domain::call::Call;
use crate::domain::credentials::api_key::{self, EndApiKeys, EndedSessions};
use crate::domain::delegations::authorization_code::AuthorizationCode;
use crate::domain::delegations::delegation::Delegation;
use crate::domain::display_text::DisplayText;
use crate::domain::env::Env;
use crate::error::{AuthError, Cause, ErrorKind, FieldError, Result};
use crate::ports::{Expect, Ports};
use crate::settings::Settings;
use crate::storage::batch::Batch;
use crate::storage::ground::{self, AuthoritySource};
use crate::storage::record::{self, Found, Stored};
use crate::storage::retry::Race;
use crate::types::id::Id;
use crate::types::time::{CLOCK_TOLERANCE, Timestamp};

/// The number of sessions on one page of a list.
const PAGE: u32 = 100;

/// A session, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The `sid` of the session's tokens.
    pub session_id: Id,
    /// The account of the session.
    pub user_id: Id,
    /// The user name of the account, which never changes.
    pub username: Username,
    /// The session epoch of the account when the session began.
    pub epoch: u64,
    /// When the session began, which is when its owner authenticated (`auth_time`).
    pub auth_time: Timestamp,
    /// The methods that the owner authenticated with (RFC 8176).
    pub amr: Vec<String>,
    /// When the session's tokens were last refreshed.
    pub refreshed_at: Timestamp,
    /// When the session ends unless it is refreshed before.
    pub idle_expires_at: Timestamp,
    /// When the session ends in any case.
    pub expires_at: Timestamp,
    /// The number of rotations: the generation of the current refresh token.
    pub generation: u32,
    /// The keyed hash of that refresh token.
    pub refresh_token: RefreshTokenHash,
    /// The refresh tokens before it that are still answered.
    #[serde(default, skip_serializing_if = "Rotations::is_empty")]
    pub rotations: Rotations,
    /// The name of the agent that the user signed in for, if the session is that of one. Such
    /// a session never counts as a recent login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<DisplayText>,
    /// What the user lets a client do, if the session is not the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<Delegation>,
}

impl Session {
    /// The prefix of all sessions.
    pub const PREFIX: &'static str = "session/";

    /// Returns the store key of a session.
    pub fn key(session_id: Id) -> String {
        format!("{}{session_id}", Session::PREFIX)
    }

    /// Returns the prefix of the index entries of an account's own sessions.
    pub fn index_prefix(user_id: Id) -> String {
        format!("account-session/{user_id}/")
    }

    /// Returns the prefix of the index entries of the sessions that an account has delegated
    /// to clients. They are listed apart: an account that logs in often has few of them.
    pub fn grant_prefix(user_id: Id) -> String {
        format!("account-grant/{user_id}/")
    }

    /// Returns the store key of the index entry that lists this session under its account.
    pub fn index_key(&self) -> String {
        let prefix = match self.delegation {
            None => Session::index_prefix(self.user_id),
            Some(_) => Session::grant_prefix(self.user_id),
        };
        format!("{prefix}{}", self.session_id)
    }

    /// Begins a session of an account whose owner has just authenticated, with its first
    /// refresh token.
    pub fn begin(
        account: &Account,
        proof: AuthMethod,
        env: &Env,
    ) -> Result<(Session, RefreshToken)> {
        let now = env.now();
        let session_id = env.ports.random.id()?;
        let refresh_token = RefreshToken::create(session_id, &env.ports)?;
        let expires_at = now + env.settings.session_absolute;
        let session = Session {
            session_id,
            user_id: account.user_id,
            username: account.username.clone(),
            epoch: account.session_epoch,
            auth_time: now,
            amr: proof.amr(),
            refreshed_at: now,
            idle_expires_at: idle_expiry(now, expires_at, env.settings),
            expires_at,
            generation: 0,
            refresh_token: refresh_token.hash(&env.ports)?,
            rotations: Rotations::default(),
            agent_name: None,
            delegation: None,
        };
        Ok((session, refresh_token))
    }

    /// Begins the session of a client to which the user of a code has delegated something.
    /// When and how the user authenticated stays as it was.
    pub fn begin_delegated(
        account: &Account,
        code: &AuthorizationCode,
        env: &Env,
    ) -> Result<(Session, RefreshToken)> {
        let (session, refresh_token) = Session::begin(account, AuthMethod::Password, env)?;
        let session = Session {
            auth_time: code.auth_time,
            amr: code.amr.clone(),
            delegation: Some(code.delegation.clone()),
            ..session
        };
        Ok((session, refresh_token))
    }

    /// Begins a session of the account of this one, for the agent with this name. When and how
    /// the user authenticated stays as it was.
    pub fn begin_for_agent(
        &self,
        agent_name: &DisplayText,
        account: &Account,
        env: &Env,
    ) -> Result<(Session, RefreshToken)> {
        let (session, refresh_token) = Session::begin(account, AuthMethod::Password, env)?;
        let session = Session {
            auth_time: self.auth_time,
            amr: self.amr.clone(),
            agent_name: Some(agent_name.clone()),
            ..session
        };
        Ok((session, refresh_token))
    }

    /// Reports whether this is the current refresh token of the session.
    pub fn is_current(&self, token: &RefreshToken, ports: &Ports) -> Result<bool> {
        Ok(token.generation() == self.generation && token.matches(&self.refresh_token, ports)?)
    }

    /// Returns the session after the first use of its current refresh token, with the token
    /// that replaces it.
    pub fn rotated(&self, current: &RefreshToken, env: &Env) -> Result<(Session, RefreshToken)> {
        let now = env.now();
        let next = current.successor(&env.ports)?;
        let session = Session {
            refreshed_at: now,
            idle_expires_at: idle_expiry(now, self.expires_at, env.settings),
            generation: next.generation(),
            refresh_token: next.hash(&env.ports)?,
            rotations: self.rotations.with(current.generation(), env),
            ..self.clone()
        };
        Ok((session, next))
    }

    /// Returns the session after another use of a replaced refresh token, with its current
    /// token, or `None` if the replaced token is not answered any more. The session does
    /// not live longer for it.
    pub fn replayed(
        &self,
        replaced: &RefreshToken,
        env: &Env,
    ) -> Result<Option<(Session, RefreshToken)>> {
        let Some(rotations) = self.rotations.replayed(replaced.generation(), env) else {
            return Ok(None);
        };
        let mut token = replaced.successor(&env.ports)?;
        while token.generation() < self.generation {
            token = token.successor(&env.ports)?;
        }
        if !self.is_current(&token, &env.ports)? {
            return Ok(None);
        }
        let session = Session {
            rotations,
            ..self.clone()
        };
        Ok(Some((session, token)))
    }

    /// Returns the session after a use by its browser, which keeps its token.
    pub fn touched(&self, env: &Env) -> Session {
        let now = env.now();
        Session {
            refreshed_at: now,
            idle_expires_at: idle_expiry(now, self.expires_at, env.settings),
            ..self.clone()
        }
    }

    /// Stores a session that has just begun, in the batch of the event that begins it.
    pub fn store(&self, batch: &mut Batch) {
        batch.create(Session::key(self.session_id), self);
        batch.create(self.index_key(), &json!({}));
    }

    /// Returns the authentication context class (`acr`): `aal1`, or `aal2` with a second
    /// factor.
    pub fn acr(&self) -> &'static str {
        auth_method::acr(&self.amr)
    }

    /// Reports whether the session has expired, or the clock is so far before its
    /// beginning that its state cannot be judged.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.idle_expires_at
            || now >= self.expires_at
            || now + CLOCK_TOLERANCE < self.auth_time
    }

    /// Reads the session with this id, expired or not.
    pub fn read(session_id: Id, ports: &Ports) -> Result<Found<Session>> {
        record::read(Session::key(session_id), ports)
    }

    /// Reports whether this is a usable session of this account.
    pub fn is_alive(&self, account: &Account, now: Timestamp) -> bool {
        !self.is_over(now)
            && account.is_active()
            && self.user_id == account.user_id
            && self.epoch == account.session_epoch
    }
}

impl AuthoritySource for Session {
    fn record_key(&self) -> String {
        Session::key(self.session_id)
    }

    /// Empty: authority depends only on the session's existence, which a refresh does not
    /// affect.
    fn basis(&self) -> String {
        String::new()
    }

    fn mark(&self) -> String {
        mark(self.session_id)
    }
}

/// Returns the marker key of a session, for which its id is enough.
pub fn mark(session_id: Id) -> String {
    ground::mark(&Session::key(session_id), "")
}

/// The session and the account of the actor, to be changed together.
pub struct CurrentLogin {
    /// The session.
    pub session: Stored<Session>,
    /// The account.
    pub account: Stored<Account>,
    /// The head of the account's audit chain.
    pub head: Found<Head>,
}

impl CurrentLogin {
    /// Reads all three as one snapshot. Committing on this head proves that the session
    /// was still alive at that time.
    ///
    /// Fails with -32001 if the session has ended.
    pub fn read(call: &Call) -> Result<CurrentLogin> {
        let ActorId::User {
            user_id,
            session_id,
        } = call.actor_id()
        else {
            return Err(session_required());
        };
        let (session, account, head) = read_with_account(session_id, user_id, &call.ports)?;
        let (Some(account), Some(session)) = (account, session) else {
            return Err(AuthError::invalid_token());
        };
        if !session.value.is_alive(&account.value, call.now()) {
            return Err(AuthError::invalid_token());
        }
        Ok(CurrentLogin {
            session,
            account,
            head,
        })
    }
}

/// Reads a session, its account and the head of the account's audit chain as one snapshot.
/// If they were read one after the other, they could belong to two epochs, when the
/// session itself changes the password in between: it continues, but would appear to be
/// over.
pub fn read_with_account(
    session_id: Id,
    user_id: Id,
    ports: &Ports,
) -> Result<(Found<Session>, Found<Account>, Found<Head>)> {
    let keys = [
        Session::key(session_id),
        Account::key(user_id),
        Chain::head_key(user_id),
    ];
    record::read_three(keys, ports)
}

/// Ends a session permanently: one batch deletes the session and its index entry and
/// records the event.
pub fn end(session: &Stored<Session>, event: Event, call: &Call) -> Result<Race<()>> {
    let ended = end_with_keys(session, EndApiKeys::None, event, call)?;
    Ok(ended.map(|_| ()))
}

/// Ends a session together with the API keys that it created. Returns the ids of the keys.
pub fn end_with_keys(
    session: &Stored<Session>,
    keys: EndApiKeys,
    event: Event,
    call: &Call,
) -> Result<Race<Vec<Id>>> {
    let Session {
        user_id,
        session_id,
        ..
    } = session.value;
    let head = record::read::<Head>(Chain::head_key(user_id), &call.ports)?;
    let mut batch = Batch::new();
    let ended = EndedSessions::Only(session_id);
    let ended_keys = api_key::end_with_sessions(keys, ended, user_id, &mut batch, call)?;
    let event = event
        .detail("session_id", session_id.to_string())
        .with_ended_keys(&ended_keys);
    batch.end(session);
    batch.delete(session.value.index_key(), Expect::Any);
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(ended_keys))
}

/// Ends all sessions of an account but one, and the API keys that end with them, in the
/// batch of a change to the account: the account gets a new epoch, and only the kept
/// session moves to it. Returns the ids of the keys.
pub fn end_all_but(
    kept: &Stored<Session>,
    account: &Stored<Account>,
    keys: EndApiKeys,
    change: impl FnOnce(&mut Account),
    batch: &mut Batch,
    env: &Env,
) -> Result<Vec<Id>> {
    let mut changed = account.value.clone();
    changed.session_epoch = changed.session_epoch.saturating_add(1);
    change(&mut changed);
    let mut session = kept.value.clone();
    session.epoch = changed.session_epoch;
    batch.change(account, &changed);
    batch.change(kept, &session);
    let ended = EndedSessions::AllBut(session.session_id);
    api_key::end_with_sessions(keys, ended, changed.user_id, batch, env)
}

/// One page of an account's live sessions.
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Stored<Session>>,
    /// The start of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// Returns a page of the account's own live sessions, after the session id `after`.
pub fn list(user_id: Id, after: Option<&str>, env: &Env) -> Result<SessionPage> {
    list_below(&Session::index_prefix(user_id), user_id, after, env)
}

/// Returns a page of the live sessions that the account has delegated to clients, after the
/// session id `after`.
pub fn list_delegated(user_id: Id, after: Option<&str>, env: &Env) -> Result<SessionPage> {
    list_below(&Session::grant_prefix(user_id), user_id, after, env)
}

fn list_below(prefix: &str, user_id: Id, after: Option<&str>, env: &Env) -> Result<SessionPage> {
    let ports = &env.ports;
    let after = after
        .map(|after| Id::try_from(after.to_owned()))
        .transpose()
        .map_err(|problem| AuthError::invalid(vec![FieldError::new("after", problem)]))?
        .map(|after| format!("{prefix}{after}"));
    let page = ports.store.scan(prefix, after.as_deref(), PAGE)?;
    let ids = page.entries.iter().map(|entry| &entry.key[prefix.len()..]);
    let keys: Vec<String> = ids.map(|id| format!("{}{id}", Session::PREFIX)).collect();
    let account = Account::find(user_id, ports)?;
    let mut sessions = Vec::new();
    for entry in ports.store.get(&keys)? {
        let session = record::parse::<Session>(entry, ports)?;
        let alive = session
            .zip(account.as_ref())
            .filter(|(session, account)| session.value.is_alive(&account.value, env.now()));
        sessions.extend(alive.map(|(session, _)| session));
    }
    Ok(SessionPage {
        sessions,
        next: page.next.map(|key| key[prefix.len()..].to_owned()),
    })
}

/// Returns the session with this id if it is alive.
pub fn read_alive(session_id: Id, env: &Env) -> Result<Option<Session>> {
    let Some(session) = Session::read(session_id, &env.ports)? else {
        return Ok(None);
    };
    let session = session.value;
    Ok((!is_dead(&session, env)?).then_some(session))
}

/// Fails with -32001 if the account has a second factor and the session did not begin with
/// one: the first factor alone must not be enough to remove the second or to change the
/// first (ASVS 7.5.1). RFC 9470 calls such a session's authentication insufficient.
pub fn require_second_factor(account: &Account, session: &Session) -> Result<()> {
    if account.second_factor.is_none() || session.acr() == auth_method::AAL2 {
        return Ok(());
    }
    Err(AuthError::new(
        ErrorKind::Authentication,
        "A session that began with a second factor is required",
    )
    .because(Cause::WeakSession)
    .detail(
        "action",
        "log in again with the second factor, and repeat the call with the new access token",
    )
    .detail("acr_values", auth_method::AAL2))
}

/// Returns the error for a caller without a session, where one is required.
pub fn session_required() -> AuthError {
    AuthError::new(ErrorKind::Authentication, "An access token is required")
        .because(Cause::NoSession)
        .detail(
            "expected",
            "the header Authorization: Bearer, or the field access_token",
        )
}

fn idle_expiry(now: Timestamp, expires_at: Timestamp, settings: &Settings) -> Timestamp {
    (now + settings.session_idle).min(expires_at)
}

fn is_dead(session: &Session, env: &Env) -> Result<bool> {
    let now = env.now();
    if session.is_over(now) {
        return Ok(true);
    }
    let account = record::read::<Account>(Account::key(session.user_id), &env.ports)?;
    Ok(!account.is_some_and(|account| session.is_alive(&account.value, now)))
}

/// The result of one call of [`sweep`].
pub struct Swept {
    /// The number of sessions that were examined.
    pub examined: u32,
    /// The number of expired sessions that were deleted.
    pub deleted: u32,
    /// The key to continue after; `None` if all sessions have been examined.
    pub next: Option<String>,
}

/// Deletes the expired sessions among the first `limit` after the key `after`. Sessions
/// that cannot be read or have changed in the meantime are left for the next sweep.
pub fn sweep(after: Option<&str>, limit: u32, call: &Call) -> Result<Swept> {
    let ports = &call.ports;
    let page = ports.store.scan(Session::PREFIX, after, limit)?;
    let mut swept = Swept {
        examined: 0,
        deleted: 0,
        next: page.next,
    };
    for entry in page.entries {
        swept.examined += 1;
        let Ok(session) = record::parse::<Session>(Some(entry), ports) else {
            continue;
        };
        if let Some(session) = session
            && is_dead(&session.value, call)?
        {
            let event = Event::success(event_name::SESSION_EXPIRY);
            swept.deleted += u32::from(end(&session, event, call)?.is_won());
        }
    }
    Ok(swept)
}
