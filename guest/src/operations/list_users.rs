use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::get_user::UserView;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::{Account, UsernameRecord};
use crate::domain::accounts::permission::USERS_READ;
use crate::error::{AuthError, FieldError, Result};
use crate::ports::{Entry, Ports};
use crate::storage::record;
use crate::types::id::Id;
use crate::unicode::{trimmed, username_case_mapped};

/// Maximum number of names that a search examines for one page, which takes a tenth of a
/// call's processor time.
const MAX_EXAMINED: usize = 100_000;
/// Number of names read at a time, which is the maximum that the store allows.
const CHUNK: usize = 1_000;
/// Maximum bytes of a key after the prefix (`wit/store.wit`).
const MAX_POSITION_BYTES: usize = 512 - Account::USERNAME_PREFIX.len();
/// Maximum length of a user name.
const MAX_SEARCH_CHARS: usize = 254;

/// Lists users page by page, all of them or those whose user name contains `search`. If
/// there are more, `next` is present: pass it as `after`.
///
/// Only in a search among more than 100,000 users may a page with a `next` have fewer
/// than `limit` users. Requires `user-auth:users:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListUsers {
    /// A part of the user name, in upper or lower case.
    #[serde(default)]
    pub search: Option<Search>,
    /// The `next` of the previous page of the same search.
    #[serde(default)]
    pub after: Option<String>,
    /// The maximum number of users, 1 to 100; 50 by default.
    #[serde(default)]
    pub limit: Limit,
}

/// A part of a user name: 1 to 254 characters, in the form of user names.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = MAX_SEARCH_CHARS))]
pub struct Search(String);

/// The size of a page.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(with = "u64", extend("minimum" = 1, "maximum" = 100))]
pub struct Limit(usize);

/// A page of users.
#[derive(Serialize, JsonSchema)]
pub struct Users {
    /// The users in the order of their ids or, in a search, in another stable order.
    pub users: Vec<UserView>,
    /// The `after` of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Operation for ListUsers {
    const NAME: &'static str = "list_users";
    const TITLE: &'static str = "List the users";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(USERS_READ);
    type Output = Users;

    fn run(self, call: &ActorCall) -> Result<Users> {
        match &self.search {
            None => self.list(&call.ports),
            Some(search) => self.find(search, &call.ports),
        }
    }
}

impl ListUsers {
    /// Lists by id, which is the order of the accounts' keys.
    fn list(&self, ports: &Ports) -> Result<Users> {
        let mut after = match &self.after {
            None => None,
            Some(id) => {
                let id = Id::try_from(id.clone()).map_err(|_| not_a_page())?;
                Some(Account::key(id))
            }
        };
        let mut users: Vec<UserView> = Vec::new();
        loop {
            let room = (self.limit.0 - users.len()) as u32;
            let page = ports.store.scan(Account::PREFIX, after.as_deref(), room)?;
            for entry in page.entries {
                users.extend(account(Some(entry), ports)?.map(UserView::from));
            }
            after = page.next;
            if after.is_none() || users.len() == self.limit.0 {
                let last = users.last().filter(|_| after.is_some());
                let next = last.map(|last| last.user_id.to_string());
                return Ok(Users { users, next });
            }
        }
    }

    /// Searches the records of the names in their order, since these are small and have
    /// the names in their keys.
    fn find(&self, search: &Search, ports: &Ports) -> Result<Users> {
        let mut after = match &self.after {
            None => None,
            Some(position) => Some(key_of_position(position)?),
        };
        let mut users = Vec::new();
        let mut examined = 0;
        loop {
            let chunk = CHUNK.min(MAX_EXAMINED - examined) as u32;
            let prefix = Account::USERNAME_PREFIX;
            let page = ports.store.scan(prefix, after.as_deref(), chunk)?;
            let room = self.limit.0 - users.len();
            let mut found = Vec::new();
            let mut entries = page.entries.into_iter().peekable();
            while let Some(entry) = entries.next_if(|_| found.len() < room) {
                examined += 1;
                after = Some(entry.key.clone());
                if search.may_be_in(&entry) {
                    found.extend(record::parse::<UsernameRecord>(Some(entry), ports)?);
                }
            }
            let ids = found.iter().map(|record| record.value.user_id);
            let keys: Vec<String> = ids.map(Account::key).collect();
            for entry in ports.store.get(&keys)? {
                let account = account(entry, ports)?;
                let matching = account.filter(|it| it.username.as_str().contains(&search.0));
                users.extend(matching.map(UserView::from));
            }
            if page.next.is_none() && entries.peek().is_none() {
                return Ok(Users { users, next: None });
            }
            if users.len() == self.limit.0 || examined == MAX_EXAMINED {
                let next = after.as_deref().and_then(position_in_key);
                return Ok(Users {
                    users,
                    next: next.map(str::to_owned),
                });
            }
        }
    }
}

impl Search {
    /// Returns whether the name in the key of this record contains the text, or cannot be
    /// read from the key.
    fn may_be_in(&self, entry: &Entry) -> bool {
        let encoded = position_in_key(&entry.key);
        let name = encoded.and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
        let name = name.and_then(|name| String::from_utf8(name).ok());
        name.is_none_or(|name| name.contains(&self.0))
    }
}

fn account(entry: Option<Entry>, ports: &Ports) -> Result<Option<Account>> {
    Ok(record::parse::<Account>(entry, ports)?.map(|account| account.value))
}

/// Returns the position of a search, which is the end of the key of a name's record.
fn position_in_key(key: &str) -> Option<&str> {
    key.strip_prefix(Account::USERNAME_PREFIX)
}

fn key_of_position(position: &str) -> Result<String> {
    // A dot precedes the hash of a name that is too long for a key.
    let digits = position.strip_prefix('.').unwrap_or(position);
    let is_one = (1..=MAX_POSITION_BYTES).contains(&position.len())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    match is_one {
        true => Ok(format!("{}{position}", Account::USERNAME_PREFIX)),
        false => Err(not_a_page()),
    }
}

fn not_a_page() -> AuthError {
    let problem = "expected the `next` of the previous page";
    AuthError::invalid(vec![FieldError::new("after", problem)])
}

impl TryFrom<String> for Search {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Search, Self::Error> {
        // User names have no blanks.
        let text = trimmed(&text);
        if text.is_empty() || text.chars().count() > MAX_SEARCH_CHARS {
            return Err("expected 1 to 254 characters");
        }
        // A part of a name need not be a valid name.
        let canonical = username_case_mapped(text);
        Ok(Search(canonical.unwrap_or_else(|_| text.to_lowercase())))
    }
}

impl TryFrom<u64> for Limit {
    type Error = &'static str;

    fn try_from(limit: u64) -> std::result::Result<Limit, Self::Error> {
        match usize::try_from(limit) {
            Ok(limit @ 1..=100) => Ok(Limit(limit)),
            _ => Err("expected 1 to 100"),
        }
    }
}

impl Default for Limit {
    fn default() -> Limit {
        Limit(50)
    }
}
