//! The reference model: users, sessions, tokens, keys and roles in the plainest form,
//! without a store, races or cryptography.

use std::collections::BTreeSet;

/// All times are in seconds.
const ACCESS_TOKEN: u64 = 15 * 60;
const FRESH: u64 = 5 * 60;
const DAY: u64 = 24 * 60 * 60;
const IDLE: u64 = 14 * DAY;
const ABSOLUTE: u64 = 30 * DAY;
/// The most generations between a replaced token and the current one that it leads to.
const GENERATIONS: usize = 32;

pub const USERS: usize = 3;
pub const ROLES: usize = 2;

const APPLICATION: i32 = -32000;
const AUTHENTICATION: i32 = -32001;

/// The expected outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Ok,
    Fails(i32),
    /// A session that has ended but has not been swept may or may not be found.
    OkOrNotFound,
}

#[derive(Default)]
pub struct Model {
    pub now: u64,
    /// How long a replaced refresh token still leads to the current one.
    grace: u64,
    names: [Option<usize>; USERS],
    accounts: Vec<Account>,
    pub sessions: Vec<Session>,
    pub tokens: Vec<Token>,
    pub keys: Vec<Key>,
    roles: [Option<Vec<&'static str>>; ROLES],
}

struct Account {
    is_active: bool,
    password: u8,
    roles: BTreeSet<usize>,
}

pub struct Session {
    account: usize,
    began: u64,
    refreshed: u64,
    /// When each of its refresh tokens but the current one was replaced.
    replaced: Vec<u64>,
    /// Ended by itself: its record is deleted.
    is_ended: bool,
    /// Ended together with other sessions.
    is_cut_off: bool,
}

/// A pair of access token and refresh token.
pub struct Token {
    pub session: usize,
    issued: u64,
    /// The number of refresh tokens of its session before this one.
    pub generation: usize,
}

pub struct Key {
    account: usize,
    scopes: Vec<&'static str>,
    expires: Option<u64>,
    lifetime: Option<u64>,
    is_ended: bool,
    /// Number of secrets that were issued: only the latest is valid.
    pub secrets: usize,
    /// The session that issued the latest secret, and the time.
    maker: usize,
    made: u64,
}

impl Model {
    pub fn with_grace(seconds: u64) -> Model {
        Model {
            grace: seconds,
            ..Model::default()
        }
    }

    pub fn register(&mut self, user: usize, password: u8) -> Expected {
        if self.names[user].is_some() {
            return Expected::Fails(APPLICATION);
        }
        self.names[user] = Some(self.accounts.len());
        self.accounts.push(Account {
            is_active: true,
            password,
            roles: BTreeSet::new(),
        });
        Expected::Ok
    }

    pub fn login(&mut self, user: usize, password: u8) -> Expected {
        let Some(account) = self.names[user].filter(|account| {
            let account = &self.accounts[*account];
            account.is_active && account.password == password
        }) else {
            return Expected::Fails(AUTHENTICATION);
        };
        self.sessions.push(Session {
            account,
            began: self.now,
            refreshed: self.now,
            replaced: Vec::new(),
            is_ended: false,
            is_cut_off: false,
        });
        self.tokens.push(Token {
            session: self.sessions.len() - 1,
            issued: self.now,
            generation: 0,
        });
        Expected::Ok
    }

    pub fn refresh(&mut self, token: usize) -> Expected {
        let number = self.tokens[token].session;
        let (is_current, leads) = (self.is_current(token), self.leads_to_current(token));
        if !is_current && !leads {
            self.sessions[number].is_ended = true;
        }
        if !self.is_alive(number) {
            return Expected::Fails(AUTHENTICATION);
        }
        let session = &mut self.sessions[number];
        if is_current {
            session.refreshed = self.now;
            session.replaced.push(self.now);
        }
        self.tokens.push(Token {
            session: number,
            issued: self.now,
            generation: session.replaced.len(),
        });
        Expected::Ok
    }

    pub fn logout(&mut self, token: usize) -> Expected {
        self.sessions[self.tokens[token].session].is_ended = true;
        Expected::Ok
    }

    pub fn revoke_session(&mut self, by: usize, target: usize) -> Expected {
        let Some(own) = self.caller(by) else {
            return Expected::Fails(AUTHENTICATION);
        };
        let is_alive = self.is_alive(target);
        let own_account = self.sessions[own].account;
        let session = &mut self.sessions[target];
        if session.account != own_account || session.is_ended {
            return Expected::Fails(APPLICATION);
        }
        session.is_ended = true;
        if !is_alive {
            return Expected::OkOrNotFound;
        }
        self.end_keys_of(|session| session == target);
        Expected::Ok
    }

    pub fn revoke_other_sessions(&mut self, by: usize) -> Expected {
        let Some(own) = self.caller(by) else {
            return Expected::Fails(AUTHENTICATION);
        };
        self.cut_off(self.sessions[own].account, Some(own));
        self.end_keys_of_others(own);
        Expected::Ok
    }

    pub fn change_password(&mut self, by: usize, current: u8, new: u8) -> Expected {
        let Some(own) = self.fresh_caller(by) else {
            return Expected::Fails(AUTHENTICATION);
        };
        let number = self.sessions[own].account;
        let account = &mut self.accounts[number];
        if account.password != current {
            return Expected::Fails(AUTHENTICATION);
        }
        account.password = new;
        self.cut_off(number, Some(own));
        self.end_keys_of_others(own);
        Expected::Ok
    }

    pub fn disable(&mut self, user: usize) -> Expected {
        let Some(account) = self.names[user] else {
            return Expected::Fails(APPLICATION);
        };
        self.accounts[account].is_active = false;
        self.cut_off(account, None);
        self.end_keys(account);
        Expected::Ok
    }

    pub fn enable(&mut self, user: usize) -> Expected {
        let Some(account) = self.names[user] else {
            return Expected::Fails(APPLICATION);
        };
        self.accounts[account].is_active = true;
        Expected::Ok
    }

    pub fn delete(&mut self, user: usize) -> Expected {
        let expected = self.disable(user);
        self.names[user] = None;
        expected
    }

    pub fn define_role(&mut self, role: usize, grants: Vec<&'static str>) -> Expected {
        self.roles[role] = Some(grants);
        Expected::Ok
    }

    pub fn delete_role(&mut self, role: usize) -> Expected {
        match self.roles[role].take() {
            Some(_) => Expected::Ok,
            None => Expected::Fails(APPLICATION),
        }
    }

    pub fn assign_role(&mut self, user: usize, role: usize) -> Expected {
        let (Some(account), Some(_)) = (self.names[user], &self.roles[role]) else {
            return Expected::Fails(APPLICATION);
        };
        self.accounts[account].roles.insert(role);
        Expected::Ok
    }

    pub fn revoke_role(&mut self, user: usize, role: usize) -> Expected {
        let Some(account) = self.names[user] else {
            return Expected::Fails(APPLICATION);
        };
        let was_held = self.accounts[account].roles.remove(&role);
        match was_held || self.roles[role].is_some() {
            true => Expected::Ok,
            false => Expected::Fails(APPLICATION),
        }
    }

    pub fn create_key(
        &mut self,
        by: usize,
        scopes: Vec<&'static str>,
        days: Option<u64>,
    ) -> Expected {
        let Some(own) = self.fresh_caller(by) else {
            return Expected::Fails(AUTHENTICATION);
        };
        let lifetime = days.map(|days| days * DAY);
        self.keys.push(Key {
            account: self.sessions[own].account,
            scopes,
            expires: lifetime.map(|lifetime| self.now + lifetime),
            lifetime,
            is_ended: false,
            secrets: 1,
            maker: own,
            made: self.now,
        });
        Expected::Ok
    }

    pub fn rotate_key(&mut self, by: usize, key: usize) -> Expected {
        let Some(own) = self.fresh_caller(by) else {
            return Expected::Fails(AUTHENTICATION);
        };
        let now = self.now;
        let Some(key) = self.own_key(own, key) else {
            return Expected::Fails(APPLICATION);
        };
        key.secrets += 1;
        (key.maker, key.made) = (own, now);
        key.expires = key.lifetime.map(|lifetime| now + lifetime);
        Expected::Ok
    }

    pub fn revoke_key(&mut self, by: usize, key: usize) -> Expected {
        let Some(own) = self.caller(by) else {
            return Expected::Fails(AUTHENTICATION);
        };
        let Some(key) = self.own_key(own, key) else {
            return Expected::Fails(APPLICATION);
        };
        key.is_ended = true;
        Expected::Ok
    }

    /// Reports whether the access token is valid.
    pub fn is_active(&self, token: usize) -> bool {
        let Token {
            session, issued, ..
        } = self.tokens[token];
        let ends = (issued + ACCESS_TOKEN).min(self.sessions[session].began + ABSOLUTE);
        self.is_alive(session) && self.now < ends
    }

    /// Reports whether the refresh token is valid.
    pub fn is_refreshable(&self, token: usize) -> bool {
        self.is_alive(self.tokens[token].session)
            && (self.is_current(token) || self.leads_to_current(token))
    }

    /// Reports whether no other refresh token has replaced this one.
    pub fn is_current(&self, token: usize) -> bool {
        let token = &self.tokens[token];
        self.sessions[token.session].replaced.len() == token.generation
    }

    fn leads_to_current(&self, token: usize) -> bool {
        let token = &self.tokens[token];
        let replaced = &self.sessions[token.session].replaced;
        replaced.get(token.generation).is_some_and(|at| {
            self.now - at < self.grace && replaced.len() - token.generation <= GENERATIONS
        })
    }

    pub fn may(&self, token: usize, permission: &str) -> bool {
        let account = self.sessions[self.tokens[token].session].account;
        self.is_active(token) && self.account_may(account, permission)
    }

    pub fn is_good_key(&self, key: usize, secret: usize) -> bool {
        let key = &self.keys[key];
        !key.is_ended
            && key.secrets == secret + 1
            && key.expires.is_none_or(|expires| self.now < expires)
    }

    pub fn key_may(&self, key: usize, secret: usize, permission: &str) -> bool {
        let Key {
            scopes, account, ..
        } = &self.keys[key];
        self.is_good_key(key, secret)
            && scopes.iter().any(|scope| permits(scope, permission))
            && self.account_may(*account, permission)
    }

    /// Returns the index of the user who owns the token.
    pub fn user_of(&self, token: usize) -> Option<usize> {
        let account = self.sessions[self.tokens[token].session].account;
        self.names.iter().position(|name| *name == Some(account))
    }

    fn account_may(&self, account: usize, permission: &str) -> bool {
        let account = &self.accounts[account];
        let mut grants = account.roles.iter().flat_map(|role| &self.roles[*role]);
        account.is_active && grants.any(|grants| grants.iter().any(|g| permits(g, permission)))
    }

    pub fn is_alive(&self, session: usize) -> bool {
        let session = &self.sessions[session];
        !session.is_ended
            && !session.is_cut_off
            && self.accounts[session.account].is_active
            && self.now < session.refreshed + IDLE
            && self.now < session.began + ABSOLUTE
    }

    fn caller(&self, token: usize) -> Option<usize> {
        self.is_active(token).then(|| self.tokens[token].session)
    }

    fn fresh_caller(&self, token: usize) -> Option<usize> {
        self.caller(token)
            .filter(|session| self.now - self.sessions[*session].began <= FRESH)
    }

    fn own_key(&mut self, session: usize, key: usize) -> Option<&mut Key> {
        let account = self.sessions[session].account;
        Some(&mut self.keys[key]).filter(|key| key.account == account && !key.is_ended)
    }

    fn cut_off(&mut self, account: usize, kept: Option<usize>) {
        for (number, session) in self.sessions.iter_mut().enumerate() {
            session.is_cut_off |= session.account == account && Some(number) != kept;
        }
    }

    fn end_keys_of_others(&mut self, own: usize) {
        let sessions = self.sessions.iter();
        let accounts: Vec<usize> = sessions.map(|session| session.account).collect();
        self.end_keys_of(|session| session != own && accounts[session] == accounts[own]);
    }

    /// Ends the keys that one of these sessions created, if it may have been alive still.
    fn end_keys_of(&mut self, is_one: impl Fn(usize) -> bool) {
        for key in &mut self.keys {
            key.is_ended |= is_one(key.maker) && self.now - key.made <= ABSOLUTE;
        }
    }

    fn end_keys(&mut self, account: usize) {
        for key in &mut self.keys {
            key.is_ended |= key.account == account;
        }
    }
}

fn permits(grant: &str, permission: &str) -> bool {
    match grant.strip_suffix(":*") {
        Some(parent) => {
            let below = permission.strip_prefix(parent);
            below.is_some_and(|rest| rest.starts_with(':'))
        }
        None => grant == permission,
    }
}
