//! Scopes, as clients ask for them.

use std::fmt;

use crate::domain::accounts::permission::{MAX_SCOPE_BYTES, Permission};

/// Scopes with a meaning of their own (OpenID Connect Core 1.0 sections 3.1.2.1, 5.4
/// and 11).
pub const OF_OPENID: [&str; 6] = [
    "address",
    "email",
    "offline_access",
    "openid",
    "phone",
    "profile",
];

/// A scope of RFC 6749 section 3.3: one or more different scope tokens, at most 1,024
/// bytes. It says what a client asks for, whether or not there is such a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(Vec<String>);

impl Scope {
    /// Parses the scope tokens, which are separated by one space each.
    pub fn parse(text: &str) -> Result<Scope, &'static str> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err("expected at most 1024 bytes");
        }
        let mut tokens: Vec<String> = Vec::new();
        for token in text.split(' ') {
            if token.is_empty() || !token.bytes().all(is_of_a_token) {
                return Err(
                    "expected scope tokens of ASCII characters without \" and \\, \
                            separated by one space each",
                );
            }
            if !tokens.iter().any(|known| known == token) {
                tokens.push(token.to_owned());
            }
        }
        Ok(Scope(tokens))
    }

    /// Returns the scope tokens in the order in which they were asked for.
    pub fn tokens(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(String::as_str)
    }

    /// Returns what is asked of a resource server, or `None` if that is nothing: the scopes
    /// of OpenID Connect are about the user, and some clients always ask for them.
    pub fn of_resource(&self) -> Option<Scope> {
        let tokens = self.tokens().filter(|token| !OF_OPENID.contains(token));
        let tokens: Vec<String> = tokens.map(str::to_owned).collect();
        (!tokens.is_empty()).then_some(Scope(tokens))
    }

    /// Returns the scope tokens that are names of permissions.
    pub fn permissions(&self) -> impl Iterator<Item = Permission> {
        let tokens = self.0.iter().cloned();
        tokens.filter_map(|token| Permission::try_from(token).ok())
    }
}

/// RFC 6749 section 3.3: `%x21 / %x23-5B / %x5D-7E`.
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scope_tokens_are_kept_in_their_order_and_once() {
        let scope = Scope::parse("openid mail:read ! mail:read MAIL:READ").unwrap();
        assert_eq!(scope.to_string(), "openid mail:read ! MAIL:READ");
        let permissions: Vec<String> = scope.permissions().map(String::from).collect();
        assert_eq!(permissions, ["openid", "mail:read"]);
    }

    #[test]
    fn scopes_of_openid_ask_nothing_of_a_resource_server() {
        let of_resource = |text| Scope::parse(text).unwrap().of_resource();
        assert_eq!(of_resource("openid profile email offline_access"), None);
        let mail = of_resource("openid mail:read profile").unwrap();
        assert_eq!(mail.to_string(), "mail:read");
    }

    #[test]
    fn anything_but_scope_tokens_is_rejected() {
        for text in [
            "", " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\"b", "a\\b", "\u{e4}", "a\u{7f}",
        ] {
            assert!(Scope::parse(text).is_err(), "{text:?}");
        }
        assert!(Scope::parse(&"a".repeat(1024)).is_ok());
        assert!(Scope::parse(&"a".repeat(1025)).is_err());
    }

    proptest! {
        #[test]
        fn a_scope_is_read_as_it_is_written(text in "[ -~]{1,40}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
            }
        }
    }
}
