//! Whom the server answers: a web page in somebody's browser must not reach it
//! by letting its own name point to our address (DNS rebinding), nor by asking
//! from another origin.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri};

/// The hosts and origins that requests may name, beside this machine's own.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    hosts: Vec<Authority>,
    origins: Vec<Uri>,
    /// The web pages of everybody.
    pub(super) any_origin: bool,
    listening: Option<SocketAddr>,
}

/// A host or origin of the wrong form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    /// Not a host name or address with or without a port.
    #[error("'{0}' is no host: write `auth.example.com` or `auth.example.com:8443`")]
    Host(String),
    /// Not a scheme, a host and perhaps a port.
    #[error("'{0}' is no origin: write `https://app.example.com`, with no path, or * for all")]
    Origin(String),
}

impl Allowed {
    /// Adds a host: with a port it is allowed with that port only.
    pub fn host(mut self, host: &str) -> Result<Self, AllowedError> {
        let authority = authority(host).ok_or_else(|| AllowedError::Host(host.to_owned()))?;
        self.hosts.push(authority);
        Ok(self)
    }

    /// Adds an origin (RFC 6454), as browsers send it; `*` are those of all web
    /// pages that have one.
    pub fn origin(mut self, origin: &str) -> Result<Self, AllowedError> {
        if origin == "*" {
            self.any_origin = true;
            return Ok(self);
        }
        let uri = parse_origin(origin).ok_or_else(|| AllowedError::Origin(origin.to_owned()))?;
        self.origins.push(uri);
        Ok(self)
    }

    /// The address that clients may name, because it is the one they reach.
    pub(super) fn listening_on(mut self, address: SocketAddr) -> Self {
        self.listening = Some(address);
        self
    }

    /// `Err` says what was wrong with a request, and what to do.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        self.check_host(uri, headers)?;
        self.check_origin(headers)
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let named = match (uri.authority(), one(headers, &HOST)?) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => host,
            (None, None) => return Err("the Host header is missing".into()),
        };
        if authority(named).is_some_and(|host| self.admits_host(&host)) {
            return Ok(());
        }
        let advice = advice("--allowed-host", named, authority(named).is_some());
        Err(format!(
            "the Host '{named}' is not one that this server answers to{advice}"
        ))
    }

    fn admits_host(&self, host: &Authority) -> bool {
        is_loopback(host.host()) || self.is_own_address(host) || self.is_listed(host)
    }

    fn is_own_address(&self, host: &Authority) -> bool {
        let (Some(own), Some(named)) = (self.listening, address(host.host())) else {
            return false;
        };
        // Rebinding takes a name, and this is none: on all addresses, any
        // address will do.
        own.ip().is_unspecified() || own.ip() == named
    }

    fn is_listed(&self, host: &Authority) -> bool {
        self.hosts.iter().any(|listed| {
            listed.host().eq_ignore_ascii_case(host.host())
                && listed
                    .port_u16()
                    .is_none_or(|port| host.port_u16() == Some(port))
        })
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), String> {
        let Some(named) = one(headers, &ORIGIN)? else {
            return Ok(());
        };
        let advice = advice("--allowed-origin", named, parse_origin(named).is_some());
        if self.admits_page_of(named) {
            return Ok(());
        }
        Err(format!(
            "the Origin '{named}' may not use this server{advice}"
        ))
    }

    /// Whether web pages of this origin, as browsers send it, may call.
    pub(super) fn admits_page_of(&self, origin: &str) -> bool {
        parse_origin(origin).is_some_and(|origin| self.admits_origin(&origin))
    }

    fn admits_origin(&self, origin: &Uri) -> bool {
        let same = |listed: &Uri| {
            listed.scheme() == origin.scheme()
                && listed.port_u16() == origin.port_u16()
                && listed
                    .host()
                    .zip(origin.host())
                    .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        self.any_origin || origin.host().is_some_and(is_loopback) || self.origins.iter().any(same)
    }
}

/// What to do about a name, if it is one that can be allowed.
fn advice(option: &str, named: &str, can_be_allowed: bool) -> String {
    match can_be_allowed {
        true => format!("; start it with `{option} {named}` if it should"),
        false => String::new(),
    }
}

/// The one value of a header. Two would let one part of the way see another
/// host than the next.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!("there is more than one {name} header"));
    }
    match value.to_str() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(format!("the {name} header is not plain text")),
    }
}

/// A host with or without a port, and nothing else.
fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let has_user = authority.as_str().contains('@');
    (!has_user && !authority.host().is_empty()).then_some(authority)
}

/// A scheme and an authority, and nothing else.
fn parse_origin(text: &str) -> Option<Uri> {
    let (scheme, rest) = text.split_once("://")?;
    let known = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    authority(rest)?;
    if !known {
        return None;
    }
    text.parse().ok()
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.to_canonical().is_loopback())
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &Allowed, fields: &[(&str, &str)]) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        allowed.check(&Uri::from_static("/mcp"), &headers)
    }

    fn local() -> Allowed {
        Allowed::default().listening_on("127.0.0.1:8000".parse().unwrap())
    }

    #[test]
    fn this_machine_may_be_named_in_every_way() {
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
    fn only_what_can_be_allowed_is_advised() {
        let told = |fields: &[(&str, &str)]| check(&local(), fields).unwrap_err();
        assert!(told(&[("host", "a.example")]).contains("--allowed-host a.example"));
        assert!(!told(&[("host", "a@b.example")]).contains("--allowed"));
        let origin = |origin| told(&[("host", "localhost"), ("origin", origin)]);
        assert!(origin("https://a.example").contains("--allowed-origin https://a.example"));
        assert!(!origin("null").contains("--allowed"));
    }

    #[test]
    fn what_is_listed_is_allowed() {
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
    fn the_pages_of_everybody_can_be_allowed() {
        let all = local().origin("*").unwrap();
        let of = |origin| check(&all, &[("host", "localhost"), ("origin", origin)]);
        assert!(of("https://evil.example").is_ok());
        assert!(
            of("null").is_err(),
            "what has no origin is no page of anybody"
        );
        assert!(check(&all, &[("host", "evil.example")]).is_err());
    }

    #[test]
    fn the_address_of_the_socket_may_be_named() {
        let one = Allowed::default().listening_on("192.168.1.5:8000".parse().unwrap());
        assert!(check(&one, &[("host", "192.168.1.5:8000")]).is_ok());
        assert!(check(&one, &[("host", "192.168.1.6:8000")]).is_err());
        let all = Allowed::default().listening_on("0.0.0.0:8000".parse().unwrap());
        assert!(check(&all, &[("host", "192.168.1.6:8000")]).is_ok());
        assert!(check(&all, &[("host", "evil.example")]).is_err());
    }

    #[test]
    fn nonsense_cannot_be_allowed() {
        assert!(Allowed::default().host("https://a.example").is_err());
        assert!(Allowed::default().origin("a.example").is_err());
        assert!(Allowed::default().origin("https://a.example/path").is_err());
    }
}
