//! One user of another system.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::account::{Account, Status};
use crate::domain::context::Context;
use crate::domain::email::Email;
use crate::domain::foreign_hash::{Cost, ForeignHash};
use crate::domain::mac;
use crate::domain::moment::Moment;
use crate::domain::password::PasswordRecord;
use crate::domain::role::RoleName;
use crate::domain::time::Timestamp;
use crate::domain::username::Username;
use crate::error::{FieldError, Result};
use crate::operations::assign_role::MAX_ROLES;
use crate::ports::Ports;

/// One user of another system.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name to log in with.
    pub username: Username,
    /// The password as the other system hashed it. Without it nobody can log in
    /// with a password.
    #[serde(default)]
    pub password_hash: Option<ForeignHash>,
    /// Where the user may be reached.
    #[serde(default)]
    pub email: Option<Email>,
    /// Whether the user has shown that the address is theirs.
    #[serde(default)]
    pub email_verified: bool,
    /// What the user may do; takes the permission for assign_role.
    #[serde(default)]
    pub roles: Roles,
    /// Whether the account is not to be used for now.
    #[serde(default)]
    pub disabled: bool,
    /// When the account was created, if not now.
    #[serde(default)]
    pub created_at: Option<Moment>,
}

/// The names of at most 32 roles, each once.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<RoleName>")]
#[schemars(with = "Vec<RoleName>", extend("maxItems" = MAX_ROLES))]
pub struct Roles(Vec<RoleName>);

impl TryFrom<Vec<RoleName>> for Roles {
    type Error = &'static str;

    fn try_from(mut roles: Vec<RoleName>) -> std::result::Result<Roles, Self::Error> {
        roles.sort_unstable();
        roles.dedup();
        match roles.len() {
            0..=MAX_ROLES => Ok(Roles(roles)),
            _ => Err("a user has at most 32 roles"),
        }
    }
}

impl<'a> IntoIterator for &'a Roles {
    type Item = &'a RoleName;
    type IntoIter = std::slice::Iter<'a, RoleName>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Entry {
    /// What tells this entry from any other, and nothing else: the password hash
    /// in it cannot be had from it.
    pub fn fingerprint(&self, ports: &Ports) -> Result<String> {
        let hash = self.password_hash.as_ref();
        let text = serde_json::to_vec(&(
            &self.username,
            hash.map(|hash| (hash.cost, &hash.salt, &hash.hash)),
            &self.email,
            self.email_verified,
            &self.roles.0,
            self.disabled,
            self.created_at(),
        ));
        // Only maps with keys that are no strings fail.
        let mac = mac::of("import-fingerprint", &text.unwrap_or_default(), ports)?;
        Ok(mac::to_hex(&mac))
    }

    /// The account that it becomes.
    pub fn account(&self, fingerprint: &str, context: &Context) -> Result<Account> {
        let ports = &context.ports;
        let password = match &self.password_hash {
            Some(hash) => PasswordRecord::import(hash, ports)?,
            None => PasswordRecord::unusable(context.settings, ports)?,
        };
        let account = Account::new(self.username.clone(), password, context)?;
        Ok(Account {
            email: self.email.clone(),
            email_verified: self.email_verified,
            roles: self.roles.0.clone(),
            status: match self.disabled {
                true => Status::Disabled,
                false => Status::Active,
            },
            created_at: self.created_at().unwrap_or(account.created_at),
            imported: Some(fingerprint.to_owned()),
            ..account
        })
    }

    /// When it was created, if it says so.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created_at.map(Moment::timestamp)
    }

    /// What its password hash costs, if it has one.
    pub fn cost(&self) -> Option<Cost> {
        self.password_hash.as_ref().map(|hash| hash.cost)
    }
}

/// All that is wrong with an entry, on one line.
pub fn problem(errors: &[FieldError]) -> String {
    let problems = errors.iter().map(|error| {
        let path = error.path.trim_start_matches("$.");
        format!("{path}: {}", error.problem)
    });
    problems.collect::<Vec<_>>().join("; ")
}
