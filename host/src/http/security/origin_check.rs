//! Checks of the Host and Origin headers: a web page in a user's browser must not reach
//! the server by pointing its own name at our address (DNS rebinding), nor by calling
//! from another origin.

use std::net::SocketAddr;

use http::HeaderMap;
use http::header::ORIGIN;

use user_auth_origins::authority::{Authority, Host, Hosts};
use user_auth_origins::{Allowed, InvalidOrigin, Origin};

use super::authority::only;

/// The hosts and origins that requests may name, in addition to this machine's own.
#[derive(Clone, Debug, Default)]
pub struct HostPolicy {
    hosts: Vec<(Hosts, Option<u16>)>,
    origins: Allowed,
    listening: Option<SocketAddr>,
}

/// Error for a malformed host or origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPolicyError {
    /// The text is not a host name or address with an optional port.
    #[error(
        "'{0}' is not a host that can be allowed: write `auth.example.com` or \
         `auth.example.com:8443`, or `*.example.com` for all names with one more label"
    )]
    Host(String),
    /// The text is not an origin.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
}

impl HostPolicy {
    /// Adds a host. A host with a port is allowed with that port only; a request may
    /// omit a default port of HTTP or HTTPS. `*.example.com` stands for all names with
    /// exactly one label in place of the `*`.
    pub fn host(mut self, host: &str) -> Result<Self, HostPolicyError> {
        let parsed = Hosts::parse_with_port(host);
        self.hosts
            .push(parsed.ok_or_else(|| HostPolicyError::Host(host.to_owned()))?);
        Ok(self)
    }

    /// Adds an origin (RFC 6454), as browsers send it. `*` stands for the origins of
    /// all web pages, and `https://*.example.com` for those of all names with exactly
    /// one label in place of the `*`. Origins of programs, such as `tauri://localhost`,
    /// and `null` must be named explicitly.
    pub fn origin(mut self, origin: &str) -> Result<Self, HostPolicyError> {
        self.origins.add(origin)?;
        Ok(self)
    }

    /// Returns whether all web pages may call.
    pub(crate) fn admits_all_pages(&self) -> bool {
        self.origins.has_all_pages()
    }

    /// Returns whether pages without an origin may call. Any web page can embed such a
    /// page.
    pub fn admits_null(&self) -> bool {
        self.admits_origin(&Origin::Null)
    }

    /// Sets the address that the server listens on, which clients may name.
    pub(crate) fn listening_on(mut self, address: SocketAddr) -> Self {
        self.listening = Some(address);
        self
    }

    /// Checks the host and origin of a request. `Err` says what was wrong and what to
    /// do.
    pub(crate) fn check(
        &self,
        named: Option<&Authority>,
        headers: &HeaderMap,
    ) -> Result<(), String> {
        self.check_host(named)?;
        self.check_origin(headers)
    }

    fn check_host(&self, named: Option<&Authority>) -> Result<(), String> {
        let Some(named) = named else {
            return Err("the Host header is missing".into());
        };
        if self.admits_host(named) {
            return Ok(());
        }
        Err(format!(
            "the Host '{named}' is not allowed on this server; start it with \
             `--allowed-host {named}` if it should"
        ))
    }

    fn admits_host(&self, named: &Authority) -> bool {
        named.host.is_loopback() || self.is_own_address(&named.host) || self.is_listed(named)
    }

    fn is_own_address(&self, host: &Host) -> bool {
        let (Some(own), Host::Address(named)) = (self.listening, host) else {
            return false;
        };
        // DNS rebinding requires a name, and this is an address: a server that listens
        // on all addresses accepts any of them.
        own.ip().is_unspecified() || own.ip() == *named
    }

    fn is_listed(&self, named: &Authority) -> bool {
        // A client that uses the default port does not name it. Behind a proxy the
        // server does not know whether that is the port of HTTP or HTTPS, and it is the
        // same host.
        let is_port = |listed: u16| match named.port {
            Some(port) => port == listed,
            None => listed == 80 || listed == 443,
        };
        self.hosts
            .iter()
            .any(|(hosts, port)| port.is_none_or(is_port) && hosts.contain(&named.host))
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), String> {
        let Some(named) = only(headers, &ORIGIN)? else {
            return Ok(());
        };
        let origin = Origin::parse(named);
        if origin.as_ref().is_some_and(|it| self.admits_origin(it)) {
            return Ok(());
        }
        let advice = match origin {
            // Allowing `null` would allow every page there is.
            None | Some(Origin::Null) => String::new(),
            Some(_) => format!("; start it with `--allowed-origin {named}` if it should"),
        };
        Err(format!(
            "the Origin '{named}' may not use this server{advice}"
        ))
    }

    fn admits_origin(&self, origin: &Origin) -> bool {
        let is_local = matches!(origin, Origin::Web(web) if web.host.is_loopback());
        is_local || self.origins.admits(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::security::authority::named_by;
    use http::{HeaderName, Uri, Version};

    fn check(allowed: &HostPolicy, fields: &[(&str, &str)]) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let target = Uri::from_static("/mcp");
        let named = named_by(&target, &headers, Version::HTTP_11)?;
        allowed.check(named.as_ref(), &headers)
    }

    fn local() -> HostPolicy {
        HostPolicy::default().listening_on("127.0.0.1:8000".parse().unwrap())
    }

    #[test]
    fn all_names_of_this_machine_are_allowed() {
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:1",
            "[::1]:8000",
            "127.1.2.3",
        ] {
            assert_eq!(check(&local(), &[("host", host)]), Ok(()), "{host}");
        }
        for origin in [
            "http://localhost:5173",
            "https://127.0.0.1",
            "http://[::1]:80",
        ] {
            let fields = [("host", "localhost"), ("origin", origin)];
            assert_eq!(check(&local(), &fields), Ok(()), "{origin}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "192.168.1.5:8000",
            "",
        ] {
            assert!(check(&local(), &[("host", host)]).is_err(), "{host}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "file://localhost",
            "http://localhost/x",
        ] {
            let fields = [("host", "localhost"), ("origin", origin)];
            assert!(check(&local(), &fields).is_err(), "{origin}");
        }
        assert!(check(&local(), &[]).is_err());
        assert!(check(&local(), &[("host", "localhost"), ("host", "evil.example")]).is_err());
    }

    #[test]
    fn only_valid_hosts_and_origins_are_suggested() {
        let told = |fields: &[(&str, &str)]| check(&local(), fields).unwrap_err();
        assert!(told(&[("host", "a.example")]).contains("--allowed-host a.example"));
        assert!(!told(&[("host", "a@b.example")]).contains("--allowed"));
        let origin = |origin| told(&[("host", "localhost"), ("origin", origin)]);
        assert!(origin("https://a.example").contains("--allowed-origin https://a.example"));
        assert!(!origin("null").contains("--allowed"));
    }

    #[test]
    fn listed_hosts_and_origins_are_allowed() {
        let allowed = local()
            .host("auth.example.com")
            .and_then(|allowed| allowed.host("other.example.com:8443"))
            .and_then(|allowed| allowed.origin("https://app.example.com"))
            .unwrap();
        let ok = |fields: &[(&str, &str)]| check(&allowed, fields).is_ok();
        assert!(ok(&[("host", "Auth.Example.com:99")]));
        assert!(ok(&[("host", "other.example.com:8443")]));
        assert!(!ok(&[("host", "other.example.com")]));
        assert!(ok(&[
            ("host", "localhost"),
            ("origin", "https://app.example.com")
        ]));
        assert!(!ok(&[
            ("host", "localhost"),
            ("origin", "http://app.example.com")
        ]));
        assert!(!ok(&[
            ("host", "localhost"),
            ("origin", "https://app.example.com:8443")
        ]));
    }

    #[test]
    fn all_web_pages_can_be_allowed() {
        let all = local().origin("*").unwrap();
        let of = |origin| check(&all, &[("host", "localhost"), ("origin", origin)]);
        assert!(of("https://evil.example").is_ok());
        assert!(
            of("null").is_err(),
            "a page without an origin is not a web page with one"
        );
        assert!(check(&all, &[("host", "evil.example")]).is_err());
    }

    #[test]
    fn the_listen_address_is_allowed() {
        let one = HostPolicy::default().listening_on("192.168.1.5:8000".parse().unwrap());
        assert!(check(&one, &[("host", "192.168.1.5:8000")]).is_ok());
        assert!(check(&one, &[("host", "192.168.1.6:8000")]).is_err());
        let all = HostPolicy::default().listening_on("0.0.0.0:8000".parse().unwrap());
        assert!(check(&all, &[("host", "192.168.1.6:8000")]).is_ok());
        assert!(check(&all, &[("host", "evil.example")]).is_err());
    }

    #[test]
    fn a_default_port_that_is_listed_may_be_left_out() {
        let allowed = local().host("a.example:443").unwrap();
        let allowed = allowed.host("*.b.example:8443").unwrap();
        for (host, expected) in [
            ("a.example", true),
            ("a.example:443", true),
            ("a.example:80", false),
            ("c.b.example:8443", true),
            ("c.b.example", false),
        ] {
            let checked = check(&allowed, &[("host", host)]);
            assert_eq!(checked.is_ok(), expected, "{host}");
        }
    }

    #[test]
    fn program_origins_and_null_are_allowed_by_name() {
        let of = |policy: &HostPolicy, origin| {
            check(policy, &[("host", "localhost"), ("origin", origin)]).is_ok()
        };
        let all = local().origin("*").unwrap();
        assert!(!all.admits_null() && !of(&all, "null") && !of(&all, "tauri://localhost"));
        let named = all.origin("null").unwrap().origin("tauri://localhost");
        let named = named.unwrap();
        assert!(named.admits_null() && of(&named, "null") && of(&named, "tauri://localhost"));
        assert!(!of(&named, "tauri://evil"));
    }

    #[test]
    fn malformed_hosts_and_origins_are_rejected() {
        for host in ["https://a.example", "*", "a.example:evil", "a.example."] {
            assert!(HostPolicy::default().host(host).is_err(), "{host}");
        }
        for origin in ["a.example", "https://a.example/path", "https://*"] {
            assert!(HostPolicy::default().origin(origin).is_err(), "{origin}");
        }
    }
}
