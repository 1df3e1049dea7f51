//! The origins that a server lists.

use std::fmt;

use crate::origin::{Origin, Origins};

/// The listed origins of web pages and programs that may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    origins: Vec<Origins>,
    /// Whether `*` lists the origins of all web pages.
    all: bool,
}

/// An entry of the list that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not an origin that can be allowed: write `https://app.example.com`, with no \
             path, `https://*.example.com` for all names with one more label, the origin of a \
             program such as `tauri://localhost`, `null`, or * for all web pages",
            self.0
        )
    }
}

impl std::error::Error for InvalidOrigin {}

impl Allowed {
    /// Parses a comma-separated list. Fails if one entry is not an origin.
    pub fn parse(list: &str) -> Result<Self, InvalidOrigin> {
        let mut allowed = Self::default();
        let listed = list.split(',').map(str::trim);
        for origin in listed.filter(|origin| !origin.is_empty()) {
            allowed.add(origin)?;
        }
        Ok(allowed)
    }

    /// Adds an origin (RFC 6454), as browsers send it. `*` stands for the origins of all
    /// web pages, and `https://*.example.com` for those of all names with exactly one label
    /// in place of the `*`. Origins of programs, such as `tauri://localhost`, and `null`
    /// must be named explicitly.
    pub fn add(&mut self, origin: &str) -> Result<(), InvalidOrigin> {
        if origin == "*" {
            self.all = true;
            return Ok(());
        }
        let parsed = Origins::parse(origin);
        self.origins
            .push(parsed.ok_or_else(|| InvalidOrigin(origin.to_owned()))?);
        Ok(())
    }

    /// Returns whether all web pages are listed.
    pub fn has_all_pages(&self) -> bool {
        self.all
    }

    /// Returns whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty() && !self.all
    }

    /// Returns whether this origin is listed.
    pub fn admits(&self, origin: &Origin) -> bool {
        let is_of_all = self.all && matches!(origin, Origin::Web(_));
        is_of_all || self.origins.iter().any(|listed| listed.contain(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(list: &str, origin: &str) -> bool {
        let origin = Origin::parse(origin).unwrap();
        Allowed::parse(list).unwrap().admits(&origin)
    }

    #[test]
    fn only_listed_origins_are_admitted() {
        let list = " https://a.example:443,,tauri://localhost, null ";
        for origin in [
            "https://a.example",
            "HTTPS://A.example",
            "tauri://localhost",
            "null",
        ] {
            assert!(admits(list, origin), "{origin}");
        }
        for origin in ["https://b.example", "http://a.example", "tauri://evil"] {
            assert!(!admits(list, origin), "{origin}");
        }
        assert!(!admits("", "https://a.example"));
        assert!(Allowed::parse(" ,").unwrap().is_empty());
        for list in [
            "https://*",
            "https://a.example,b.example",
            "https://a.example/",
        ] {
            assert!(Allowed::parse(list).is_err(), "{list}");
        }
    }

    #[test]
    fn a_wildcard_admits_only_web_pages() {
        assert!(admits("*", "https://evil.example"));
        assert!(!admits("*", "null") && !admits("*", "tauri://localhost"));
        assert!(admits("*, null", "null"));
    }
}
