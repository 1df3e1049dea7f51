//! Scopes about the user (OpenID Connect Core 1.0 sections 3.1.2.1 and 5.4), which let a
//! client know who has signed in. They belong to no resource server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::resources::scope::Scope;

/// A scope about the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentityScope {
    /// An id that is always the same, and when and how the user has signed in.
    Openid,
    /// The user name.
    Profile,
    /// The email address, and whether it is verified.
    Email,
}

impl IdentityScope {
    /// All of them, in the order in which they are shown.
    pub const ALL: [IdentityScope; 3] = [
        IdentityScope::Openid,
        IdentityScope::Profile,
        IdentityScope::Email,
    ];

    /// Returns the name of the scope.
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityScope::Openid => "openid",
            IdentityScope::Profile => "profile",
            IdentityScope::Email => "email",
        }
    }

    /// Returns the scopes about the user among these names: none unless `openid` is one, which
    /// is what makes a request one of OpenID Connect.
    pub fn among<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<IdentityScope> {
        let is_named = |scope: &IdentityScope| names.clone().any(|name| name == scope.as_str());
        match is_named(&IdentityScope::Openid) {
            true => IdentityScope::ALL.into_iter().filter(is_named).collect(),
            false => Vec::new(),
        }
    }

    /// Returns the scopes about the user that a client asks for.
    pub fn asked(scope: &Scope) -> Vec<IdentityScope> {
        IdentityScope::among(scope.tokens().collect::<Vec<_>>().into_iter())
    }
}
