//! The upper bound of what a credential or a client may do, whatever the roles of its
//! account grant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::permission::{Grant, InputGrant, Permission};

const MAX_SCOPES: usize = 64;

/// An upper bound of permissions: at most 64 different grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Grant>", into = "Vec<Grant>")]
#[schemars(with = "Vec<Grant>", extend("maxItems" = MAX_SCOPES))]
pub struct Scopes(Vec<Grant>);

/// Scopes as input, of grants that pass as input.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<InputGrant>")]
#[schemars(with = "Scopes")]
pub struct InputScopes(pub Scopes);

impl InputScopes {
    /// Returns the bound that permits everything.
    pub fn everything() -> InputScopes {
        InputScopes(Scopes::everything())
    }
}

impl Scopes {
    /// Returns the bound that permits everything.
    pub fn everything() -> Scopes {
        Scopes(vec![Grant::everything()])
    }

    /// Returns the bound that permits these permissions and nothing else.
    pub fn of_permissions(permissions: Vec<Permission>) -> Scopes {
        Scopes(permissions.into_iter().map(Grant::of).collect())
    }

    /// Returns the grants as a slice.
    pub fn as_slice(&self) -> &[Grant] {
        &self.0
    }
}

impl TryFrom<Vec<Grant>> for Scopes {
    type Error = &'static str;

    fn try_from(mut grants: Vec<Grant>) -> std::result::Result<Scopes, Self::Error> {
        if grants.len() > MAX_SCOPES {
            return Err("expected at most 64 scopes");
        }
        grants.sort_unstable();
        grants.dedup();
        Ok(Scopes(grants))
    }
}

impl TryFrom<Vec<InputGrant>> for InputScopes {
    type Error = &'static str;

    fn try_from(grants: Vec<InputGrant>) -> std::result::Result<InputScopes, Self::Error> {
        let grants: Vec<Grant> = grants.into_iter().map(|InputGrant(grant)| grant).collect();
        Scopes::try_from(grants).map(InputScopes)
    }
}

impl From<Scopes> for Vec<Grant> {
    fn from(scopes: Scopes) -> Vec<Grant> {
        scopes.0
    }
}
