//! Roles: named sets of permissions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::permission::Grant;
use crate::domain::audit::{Chain, Head};
use crate::error::Result;
use crate::ports::Ports;
use crate::storage::ground::{self, Ground};
use crate::storage::record::{self, Found};
use crate::types::time::Timestamp;
use crate::unicode::printable::problem_of_line;

/// The role that is always there: it may do everything.
pub const ADMIN: &str = "admin";

/// The name of a role: 1 to 64 lower-case letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z0-9_-]{1,64}$"))]
pub struct RoleName(String);

impl RoleName {
    /// The role that is always there.
    pub fn admin() -> RoleName {
        RoleName(ADMIN.to_owned())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the role that is always there.
    pub fn is_admin(&self) -> bool {
        self.0 == ADMIN
    }
}

impl TryFrom<String> for RoleName {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<RoleName, Self::Error> {
        let is_named = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        if text.is_empty() || text.len() > 64 || !is_named {
            return Err("expected 1 to 64 lower-case letters, digits, '-' and '_'");
        }
        Ok(RoleName(text))
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> String {
        name.0
    }
}

/// What a role is for: at most 256 characters on one line.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = 256))]
pub struct Description(String);

impl TryFrom<String> for Description {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Description, Self::Error> {
        if text.chars().count() > 256 {
            return Err("expected at most 256 characters");
        }
        problem_of_line(&text).map_or(Ok(Description(text)), Err)
    }
}

impl From<Description> for String {
    fn from(description: Description) -> String {
        description.0
    }
}

/// A role, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub role: RoleName,
    /// What it grants.
    pub permissions: Vec<Grant>,
    /// What it is for.
    pub description: Description,
    /// When it was defined last.
    pub defined_at: Timestamp,
}

impl Role {
    /// All stored roles.
    pub const PREFIX: &'static str = "role/";

    /// Where a role is stored.
    pub fn key(name: &RoleName) -> String {
        format!("{}{}", Role::PREFIX, name.as_str())
    }

    /// A role and the head of the chain that records its changes, as one snapshot.
    pub fn read(name: &RoleName, ports: &Ports) -> Result<(Found<Role>, Found<Head>)> {
        record::read_both([Role::key(name), Chain::head_key(Chain::shared())], ports)
    }
}

impl Ground for Role {
    fn record_key(&self) -> String {
        Role::key(&self.role)
    }

    fn basis(&self) -> String {
        basis(&self.permissions)
    }
}

/// Power rests on what a role grants, and on nothing else of it.
fn basis(permissions: &[Grant]) -> String {
    ground::digest(&permissions)
}

/// What one role grants to its holder.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The role.
    pub role: RoleName,
    /// What it grants; empty when the role is not defined any more.
    pub permissions: Vec<Grant>,
    /// Whether the role is defined.
    pub is_defined: bool,
}

impl Granted {
    /// Store key under which something is stored once the role is defined as something
    /// else: the mark of the definition, or if there is none the role itself. The role
    /// that is always there has none.
    pub(crate) fn mark(&self) -> Option<String> {
        if self.role.is_admin() {
            return None;
        }
        Some(match self.is_defined {
            true => ground::mark(&Role::key(&self.role), &basis(&self.permissions)),
            false => Role::key(&self.role),
        })
    }
}

/// What these roles grant, role by role.
pub fn granted(roles: &[RoleName], ports: &Ports) -> Result<Vec<Granted>> {
    let keys: Vec<String> = roles.iter().map(Role::key).collect();
    let entries = ports.store.get(&keys)?;
    let mut granted = Vec::with_capacity(roles.len());
    for (role, entry) in roles.iter().zip(entries) {
        let defined = record::parse::<Role>(entry, ports)?;
        let (is_defined, permissions) = match defined {
            _ if role.is_admin() => (true, vec![Grant::everything()]),
            Some(defined) => (true, defined.value.permissions),
            None => (false, Vec::new()),
        };
        granted.push(Granted {
            role: role.clone(),
            permissions,
            is_defined,
        });
    }
    Ok(granted)
}
