use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::get_user::UserView;
use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::permission::USERS_READ;
use crate::domain::records;
use crate::error::Result;

/// However few of them match a search, a page looks at no more accounts.
const MAX_EXAMINED: usize = 500;
/// How many are read at a time.
const CHUNK: usize = 100;

/// Lists users, page by page: with `next` there are more, to be asked for with
/// `after`. A page of a search may hold fewer than `limit`, or none, and still
/// have a next one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListUsers {
    /// A part of the user name, in upper or lower case.
    #[serde(default)]
    pub search: Option<Search>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<Id>,
    /// How many users at the most, 1 to 100; 50 if it is left out.
    #[serde(default)]
    pub limit: Limit,
}

/// A part of a user name: 1 to 64 characters, in lower case, as names are.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 64))]
pub struct Search(String);

/// The size of a page.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(with = "u64", extend("minimum" = 1, "maximum" = 100))]
pub struct Limit(usize);

/// A page of users.
#[derive(Serialize, JsonSchema)]
pub struct Users {
    /// In the order of their ids.
    pub users: Vec<UserView>,
    /// Where to go on; none: that was all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Id>,
}

impl Operation for ListUsers {
    const NAME: &'static str = "list_users";
    const TITLE: &'static str = "List the users";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(USERS_READ);
    type Output = Users;

    fn run(self, context: &Context) -> Result<Users> {
        let ports = &context.ports;
        let mut after = self.after.map(Account::key);
        let mut users = Vec::new();
        let mut examined = 0;
        loop {
            let chunk = match self.search {
                Some(_) => CHUNK.min(MAX_EXAMINED - examined),
                None => self.limit.0 - users.len(),
            };
            let page = ports
                .store
                .scan(Account::PREFIX, after.as_deref(), chunk as u32)?;
            let mut entries = page.entries.into_iter().peekable();
            while let Some(entry) = entries.next() {
                examined += 1;
                let Some(account) = records::parse::<Account>(Some(entry), ports)? else {
                    continue;
                };
                let account = account.value;
                let last = account.user_id;
                if self.matches(&account) {
                    users.push(UserView::from(account));
                }
                let is_full = users.len() == self.limit.0 || examined == MAX_EXAMINED;
                let is_all = page.next.is_none() && entries.peek().is_none();
                if is_full && !is_all {
                    let next = Some(last);
                    return Ok(Users { users, next });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(Users { users, next: None });
            }
        }
    }
}

impl ListUsers {
    fn matches(&self, account: &Account) -> bool {
        let search = self.search.as_ref();
        search.is_none_or(|search| account.username.as_str().contains(&search.0))
    }
}

impl TryFrom<String> for Search {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Search, Self::Error> {
        if text.is_empty() || text.chars().count() > 64 {
            return Err("expected 1 to 64 characters");
        }
        Ok(Search(text.to_lowercase()))
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
