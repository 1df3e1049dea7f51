//! Roles: named sets of permissions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::permission::Grant;
use crate::domain::audit::{Chain, Head};
use crate::error::Result;
use crate::ports::Ports;
use crate::storage::ground::{self, AuthoritySource};
use crate::storage::record::{self, Found};
use crate::types::time::Timestamp;
use crate::unicode::printable::problem_of_line;

/// The built-in role, which permits everything.
pub const ADMIN: &str = "admin";

/// The name of a role: 1 to 64 lower-case letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z0-9_-]{1,64}$"))]
pub struct RoleName(String);

impl RoleName {
    /// Returns the name of the built-in role.
    pub fn admin() -> RoleName {
        RoleName(ADMIN.to_owned())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports whether this is the built-in role.
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

/// The description of a role: at most 256 characters on one line.
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

/// A role, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// The name of the role.
    pub role: RoleName,
    /// The grants of the role.
    pub permissions: Vec<Grant>,
    /// The purpose of the role.
    pub description: Description,
    /// When the role was last defined.
    pub defined_at: Timestamp,
}

impl Role {
    /// The prefix of all stored roles.
    pub const PREFIX: &'static str = "role/";

    /// Returns the store key of a role.
    pub fn key(name: &RoleName) -> String {
        format!("{}{}", Role::PREFIX, name.as_str())
    }

    /// Reads a role and the head of the chain that records its changes, as one snapshot.
    pub fn read(name: &RoleName, ports: &Ports) -> Result<(Found<Role>, Found<Head>)> {
        record::read_both([Role::key(name), Chain::head_key(Chain::shared())], ports)
    }
}

impl AuthoritySource for Role {
    fn record_key(&self) -> String {
        Role::key(&self.role)
    }

    fn basis(&self) -> String {
        basis(&self.permissions)
    }
}

/// The authority that a role confers depends only on its grants.
fn basis(permissions: &[Grant]) -> String {
    ground::digest(&permissions)
}

/// The grants that one role confers on its holder.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// The name of the role.
    pub role: RoleName,
    /// The grants of the role; empty if the role is no longer defined.
    pub permissions: Vec<Grant>,
    /// Whether the role is defined.
    pub is_defined: bool,
}

impl Granted {
    /// Returns the store key that receives a record when the definition of the role
    /// changes: the marker of the definition or, for an undefined role, the key of the
    /// role itself. The built-in role has none.
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

/// Returns the grants of these roles, role by role.
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
