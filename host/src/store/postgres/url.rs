//! The URL of a PostgreSQL database, in the form that its own tools use.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::{Roots, Tls, Verify};

/// Maximum number of open connections per process. Four processes leave some of the
/// hundred that a server accepts by default.
const POOL_SIZE: usize = 16;
const MAX_POOL_SIZE: usize = 1000;

/// Keep-alive: a silent connection is probed after this time, at this interval.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or `postgresql://…`.
///
/// Supported parameters after `?`:
/// - `sslmode`: `disable`, `prefer`, `require`, `verify-ca` or `verify-full`. The
///   default is `verify-full`, or `prefer` for a server on this machine.
/// - `sslrootcert`: a PEM file of root certificates, or `system`, the default.
/// - `pool_size`: maximum number of open connections, 16 by default.
/// - the parameters of [`tokio_postgres::Config`]: `application_name`,
///   `connect_timeout`, `target_session_attrs`, `channel_binding` and so on.
///
/// Its display form omits the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    config: Config,
    tls: Tls,
    pool_size: usize,
}

/// Error for an invalid [`PostgresUrl`]. It quotes no part of the text, which may
/// contain a password anywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PostgresUrlError(String);

impl PostgresUrl {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    pub(super) fn pool_size(&self) -> usize {
        self.pool_size
    }
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(text: &str) -> Result<Self, PostgresUrlError> {
        let (rest, own) = Own::take_from(text)?;
        // The library would read it as part of the last name.
        if rest.contains('#') {
            return Err(wrong("it has a `#`, but a database URL has no fragment"));
        }
        let mut config = Config::from_str(&rest).map_err(|error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            wrong(&reason.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("it names no host"));
        }
        // The library ends a password at the first `@`, and would show the rest of it as a
        // host or a database.
        let behind = rest.split_once('@').map_or("", |(_, behind)| behind);
        let place = behind.split('?').next().unwrap_or_default();
        if place.contains('@') {
            return Err(wrong(
                "it has more than one `@`; write one of a password as `%40`",
            ));
        }
        let (ssl_mode, tls) = protection(&config, own.ssl_mode.as_deref(), own.roots)?;
        config.ssl_mode(ssl_mode);
        if config.get_application_name().is_none() {
            config.application_name("user-auth");
        }
        if !rest.contains("keepalives") {
            config.keepalives_idle(KEEPALIVE_IDLE);
            config.keepalives_interval(KEEPALIVE_INTERVAL);
            config.keepalives_retries(KEEPALIVE_RETRIES);
        }
        Ok(Self {
            config,
            tls,
            pool_size: own.pool_size.unwrap_or(POOL_SIZE),
        })
    }
}

/// The parameters that are handled here instead of in the library.
#[derive(Default)]
struct Own {
    ssl_mode: Option<String>,
    roots: Option<Roots>,
    pool_size: Option<usize>,
}

impl Own {
    /// Removes these parameters from the URL and returns them.
    fn take_from(url: &str) -> Result<(String, Self), PostgresUrlError> {
        // As in the library: everything before the first `@` is user and password.
        let behind_credentials = url.find('@').unwrap_or_default();
        let Some(mark) = url[behind_credentials..].find('?') else {
            return Ok((url.to_owned(), Self::default()));
        };
        let (mut rest, parameters) = (
            url[..behind_credentials + mark].to_owned(),
            &url[behind_credentials + mark + 1..],
        );
        let mut own = Self::default();
        let mut separator = '?';
        let mut seen = HashSet::new();
        for parameter in parameters.split('&') {
            let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
            // Few people know which of two values would count.
            if !seen.insert(name) {
                return Err(wrong("a parameter occurs twice"));
            }
            if !own.take(parameter)? {
                rest.push(separator);
                rest.push_str(parameter);
                separator = '&';
            }
        }
        Ok((rest, own))
    }

    /// Returns whether `parameter` is one of them, and stores it if so.
    fn take(&mut self, parameter: &str) -> Result<bool, PostgresUrlError> {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| wrong("a parameter is not UTF-8"))?;
        match name {
            "sslmode" => self.ssl_mode = Some(value.into_owned()),
            "sslrootcert" if value == "system" => self.roots = Some(Roots::System),
            "sslrootcert" if value.is_empty() => return Err(wrong("sslrootcert is empty")),
            "sslrootcert" => self.roots = Some(Roots::File(value.into_owned().into())),
            "pool_size" => self.pool_size = Some(pool_size(&value)?),
            "sslcert" | "sslkey" | "sslcrl" | "sslpassword" => {
                return Err(wrong(&format!("{name} is not supported")));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn pool_size(text: &str) -> Result<usize, PostgresUrlError> {
    text.parse()
        .ok()
        .filter(|size| (1..=MAX_POOL_SIZE).contains(size))
        .ok_or_else(|| {
            wrong(&format!(
                "pool_size must be a number from 1 to {MAX_POOL_SIZE}"
            ))
        })
}

/// Returns the library's TLS mode and the certificate checks.
fn protection(
    config: &Config,
    ssl_mode: Option<&str>,
    roots: Option<Roots>,
) -> Result<(SslMode, Tls), PostgresUrlError> {
    let local = is_local(config);
    // Connections over a Unix socket stay on this machine.
    if config
        .get_hosts()
        .iter()
        .any(|host| !matches!(host, Host::Tcp(_)))
    {
        return match (local, ssl_mode) {
            (true, None | Some("disable" | "prefer")) => Ok((SslMode::Disable, None)),
            _ => Err(wrong("TLS is not available over a Unix socket")),
        };
    }
    let named_roots = roots.is_some();
    let roots = roots.unwrap_or(Roots::System);
    Ok(match ssl_mode {
        Some("disable") => (SslMode::Disable, None),
        Some("prefer") => (SslMode::Prefer, Some((Verify::Nothing, roots))),
        None if local && !named_roots => (SslMode::Prefer, Some((Verify::Nothing, roots))),
        // As in libpq: naming roots means that they have to be checked.
        Some("require") if !named_roots => (SslMode::Require, Some((Verify::Nothing, roots))),
        Some("require" | "verify-ca") => (SslMode::Require, Some((Verify::Chain, roots))),
        Some("verify-full") | None => (SslMode::Require, Some((Verify::Full, roots))),
        Some(_) => {
            return Err(wrong(
                "sslmode must be disable, prefer, require, verify-ca or verify-full",
            ));
        }
    })
}

/// Returns whether all servers are on this machine.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        _ => true,
    }) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn wrong(reason: &str) -> PostgresUrlError {
    PostgresUrlError(format!(
        "{reason}; write `postgres://USER:PASSWORD@HOST:5432/DATABASE`, with a `%` and two \
         hexadecimal digits for characters like `@`, `/` and `?` in the password"
    ))
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            let password = self.config.get_password().map_or("", |_| ":***");
            write!(f, "{user}{password}@")?;
        }
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) if name.contains(':') => write!(f, "{separator}[{name}]")?,
                Host::Tcp(name) => write!(f, "{separator}{name}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{separator}{}", path.display())?,
            }
            if let Some(port) = self.config.get_ports().get(index) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PostgresUrl {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn mode(text: &str) -> (SslMode, Option<Verify>) {
        let url = url(text);
        let verify = url.tls.as_ref().map(|(verify, _)| *verify);
        (url.config.get_ssl_mode(), verify)
    }

    #[test]
    fn a_remote_server_is_authenticated_unless_the_url_disables_it() {
        let full = (SslMode::Require, Some(Verify::Full));
        let chain = (SslMode::Require, Some(Verify::Chain));
        let any = (SslMode::Require, Some(Verify::Nothing));
        let prefer = (SslMode::Prefer, Some(Verify::Nothing));
        let clear = (SslMode::Disable, None);
        for (text, expected) in [
            ("postgres://db.example/x", full),
            ("postgresql://127.0.0.1,db.example/x", full),
            ("postgres://localhost/x?hostaddr=192.0.2.1", full),
            ("postgres://db.example/x?sslmode=verify-full", full),
            ("postgres://db.example/x?sslmode=verify-ca", chain),
            ("postgres://db.example/x?sslmode=require", any),
            (
                "postgres://db.example/x?sslmode=require&sslrootcert=/ca",
                chain,
            ),
            ("postgres://db.example/x?sslmode=prefer", prefer),
            ("postgres://db.example/x?sslmode=disable", clear),
            ("postgres://127.0.0.1/x", prefer),
            ("postgres://[::1]/x", prefer),
            ("postgres://LOCALHOST/x", prefer),
            ("postgres://localhost/x?sslrootcert=%2Fca", full),
            ("postgres://%2Frun%2Fpostgresql/x", clear),
        ] {
            assert_eq!(mode(text), expected, "{text}");
        }
        let named = url("postgres://db.example/x?sslrootcert=%2Fmy%20ca");
        assert_eq!(named.tls.unwrap().1, Roots::File("/my ca".into()));
    }

    #[test]
    fn the_password_of_a_url_is_never_shown() {
        let password = "p?a@s/s".replace('@', "%40");
        let good = url(&format!(
            "postgres://me:{password}@db.example:5433/x?pool_size=3"
        ));
        assert_eq!(good.to_string(), "postgres://me:***@db.example:5433/x");
        assert!(!format!("{good:?}").contains("p?a"));
        assert_eq!(good.config.get_password(), Some(b"p?a@s/s".as_slice()));
        assert_eq!(good.pool_size, 3);
        for wrong in [
            "postgres://me:secret@db.example:port/x",
            "postgres://me:a@secret@db.example/x",
            "postgres://me:a@b/secret@db.example/x",
            "postgres://me:a@b:1/secret@db.example/x?sslmode=disable",
            "postgres://me:secret@[::1/x",
            "postgres://me:secret@/x",
            "postgres://me:secret@db.example/x?sslmode=secret",
            "postgres://me:secret@db.example/x?sslmode=disable&sslmode=require",
            "postgres://me:secret@db.example/x?mode=secret",
            "postgres://me:secret@db.example/x?sslmod=secret",
            "postgres://me:secret@db.example/x?pool_size",
            "postgres://me:secret@db.example/x#secret",
            "postgres://me:secret@db.example/x?application_name=a#secret",
            "postgres://me:secret@db.example/x?pool_size=secret",
            "postgres://me:secret@db.example/x?pool_size=0",
            "postgres://me:secret@db.example/x?connect_timeout=secret",
            "postgres://me:secret@db.example/x?sslkey=secret",
            "postgres://me:secret@db.example/x?sslrootcert=",
            "postgres://me:secret@%2Frun/x?sslmode=verify-full",
            "postgres://me:secret@%2Frun,db.example/x",
            "postgres://me:%FFsecret@db.example/%FF",
        ] {
            let error = wrong.parse::<PostgresUrl>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains("postgres://USER"), "{error}");
        }
    }
}
