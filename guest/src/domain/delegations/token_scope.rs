//! The scope of a token that a client gets.

use super::identity_scope::IdentityScope;
use crate::domain::accounts::permission::Permission;

/// The scope of a token: what the client learns of the user, and what it may do at the
/// resource server.
#[derive(Clone, Debug, Default)]
pub struct TokenScope {
    /// What the client learns of the user.
    pub identity: Vec<IdentityScope>,
    /// What the client may do.
    pub permissions: Vec<Permission>,
}

impl TokenScope {
    /// Returns the names of the scopes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let identity = self.identity.iter().map(|scope| scope.as_str());
        identity.chain(self.permissions.iter().map(Permission::as_str))
    }

    /// Returns the scope as one text (RFC 6749 section 3.3).
    pub fn to_text(&self) -> String {
        self.names().collect::<Vec<_>>().join(" ")
    }

    /// Reports whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.identity.is_empty() && self.permissions.is_empty()
    }

    /// Returns the part of it that has one of these names.
    pub fn kept<'a>(mut self, names: impl Iterator<Item = &'a str> + Clone) -> TokenScope {
        let named = IdentityScope::among(names.clone());
        self.identity.retain(|scope| named.contains(scope));
        self.permissions
            .retain(|scope| names.clone().any(|name| name == scope.as_str()));
        self
    }
}
