//! Settings, read from environment variables whose names begin with `USER_AUTH_`: the one
//! configuration channel that every WASI 0.2 runtime has.

mod accent;
mod approvals;
mod public_url;

use std::fmt;
use std::time::Duration;

use crate::domain::access::toolset::{Offer, Toolsets};
use crate::domain::display_text::DisplayText;
use crate::ports::{Algorithm, HashParameters};

pub use accent::AccentColor;
pub use approvals::Approvals;
pub use public_url::PublicUrl;

const DAY: u64 = 24 * 60 * 60;
/// Upper limit by NIST SP 800-63B-4 section 3.2.2.
const MAX_CONSECUTIVE_ATTEMPTS: u64 = 100;

/// All settings of the component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `USER_AUTH_PUBLIC_URL`: where clients reach this service, in exactly this spelling.
    pub public_url: Option<PublicUrl>,
    /// `USER_AUTH_ISSUER`: the `iss` of access tokens, and the name under which
    /// authenticator apps list this service. If it is not set, the public URL.
    pub issuer: String,
    /// `USER_AUTH_AUDIENCE`: the `aud` of access tokens.
    pub audience: String,
    /// `USER_AUTH_OTHER_AUDIENCES`, separated by commas: the services that `issue_token`
    /// issues tokens for.
    pub other_audiences: Vec<String>,
    /// `USER_AUTH_SIGNING_ALGORITHM`, `es256`, `eddsa` or `rs256`: the signatures of tokens
    /// for other services.
    pub signing_algorithm: Algorithm,
    /// `USER_AUTH_ACCESS_TOKEN_TTL_SECONDS`.
    pub access_token_ttl: Duration,
    /// `USER_AUTH_SESSION_IDLE_SECONDS`: a session ends if it is not refreshed for this
    /// long.
    pub session_idle: Duration,
    /// `USER_AUTH_SESSION_ABSOLUTE_SECONDS`: the maximum lifetime of a session.
    pub session_absolute: Duration,
    /// `USER_AUTH_REFRESH_GRACE_SECONDS`: how long a refresh token that was used is still
    /// answered, with the same next token. With 0, its second use ends the session.
    pub refresh_grace: Duration,
    /// `USER_AUTH_FRESH_SESSION_SECONDS`: the maximum age of a login for operations that
    /// require a recent one.
    pub fresh_session: Duration,
    /// `USER_AUTH_PASSWORD_MIN_LENGTH`: the minimum length of a new password, in code
    /// points.
    pub password_min_length: usize,
    /// `USER_AUTH_CODE_TTL_SECONDS`: the lifetime of a code sent to an owner.
    pub code_ttl: Duration,
    /// `USER_AUTH_ARGON2_MEMORY_KIB`.
    pub argon2_memory_kib: u32,
    /// `USER_AUTH_ARGON2_ITERATIONS`.
    pub argon2_iterations: u32,
    /// Limits on guesses and registrations.
    pub throttling: Throttling,
    /// `USER_AUTH_REQUIRE_API_KEY`, `true` or `false`: whether every message over HTTP
    /// requires an API key.
    pub require_api_key: bool,
    /// `USER_AUTH_REQUIRE_SIGN_IN`, `true` or `false`: whether every message over HTTP
    /// requires an access token, or an API key. It needs the authorization server.
    pub require_sign_in: bool,
    /// `USER_AUTH_MCP_TOOL_ERRORS`: `auto`, `result` or `error`.
    pub tool_errors: ToolErrors,
    /// `USER_AUTH_MCP_OUTPUT_SCHEMAS`: whether the list of tools has the schemas of outputs.
    pub output_schemas: bool,
    /// `USER_AUTH_MCP_TOOLSETS`, separated by commas, or `all`: the operations that MCP callers
    /// get. If it is not set, they get [`Toolsets::USUAL`].
    pub toolsets: Option<Toolsets>,
    /// `USER_AUTH_MCP_READ_ONLY`, `true` or `false`: whether MCP callers get only operations
    /// that change nothing.
    pub read_only: bool,
    /// `USER_AUTH_MCP_PASSWORD_TOOLS`, `auto`, `on` or `off`: whether MCP callers get the
    /// operations that take a password.
    pub password_tools: PasswordTools,
    /// The authorization server; `None` unless `USER_AUTH_OAUTH_ENABLED` is `true`.
    pub oauth: Option<OAuth>,
}

/// The settings of the authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// `USER_AUTH_PUBLIC_URL`, which is the issuer.
    pub public_url: PublicUrl,
    /// `USER_AUTH_OAUTH_SERVICE_NAME`: the name on its pages.
    pub service_name: DisplayText,
    /// `USER_AUTH_OAUTH_REGISTRATION`, `open` or `off`: whether clients may register
    /// themselves (RFC 7591). Most clients of MCP can do nothing else, so by default they
    /// may.
    pub registration: ClientRegistration,
    /// `USER_AUTH_OAUTH_SIGN_UP`, `on` or `off`: whether people may create accounts on a
    /// page. By default they may if everyone may call the operation `register`.
    pub sign_up: bool,
    /// `USER_AUTH_HAS_DELIVERY`, `true` or `false`, which the host sets: whether messages
    /// reach the owners of accounts. Without that no page offers to send one.
    pub has_delivery: bool,
    /// `USER_AUTH_OAUTH_ACCENT_COLOR`: the colour of buttons and links.
    pub accent: Option<AccentColor>,
    /// `USER_AUTH_HAS_LOGO`, `true` or `false`, which the host sets: whether it answers
    /// `/logo` with a picture.
    pub has_logo: bool,
    /// `USER_AUTH_OAUTH_CLIENT_ID_METADATA_DOCUMENTS`, `public`, `loopback` or `off`:
    /// whether clients may identify themselves by a metadata document. What may be fetched
    /// is up to the host.
    pub client_documents: ClientDocuments,
    /// `USER_AUTH_OAUTH_APPROVALS`: the calls of agents that their user has to approve one by
    /// one.
    pub approvals: Approvals,
}

/// Whether clients may identify themselves by the URL of a metadata document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDocuments {
    /// By a document on the public web.
    #[default]
    Public,
    /// Also by one on this machine, for the development of clients. The public URL has to be
    /// on this machine as well (section 8.6 of the draft).
    Loopback,
    /// They may not.
    Off,
}

/// Whether clients may register themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientRegistration {
    /// Every client may.
    #[default]
    Open,
    /// Administrators register all clients.
    Off,
}

/// Form of a failed operation for MCP clients before 2026-07-28, a version that has
/// results only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolErrors {
    /// A result if the client names version 2025-03-26 or later, and an error otherwise.
    #[default]
    Auto,
    /// A tool result with `isError`.
    Result,
    /// A JSON-RPC error.
    Error,
}

/// Whether MCP callers get the operations that take a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordTools {
    /// All but clients that can open a page for their user, if there are pages.
    #[default]
    Auto,
    /// All.
    On,
    /// None.
    Off,
}

/// Limits on guesses and registrations. They are always enforced; the settings only
/// choose the thresholds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// `USER_AUTH_THROTTLING_ATTEMPTS_PER_SOURCE`: attempts on one secret from one source
    /// per window.
    pub attempts_per_source: i64,
    /// `USER_AUTH_THROTTLING_FAILURES_PER_SOURCE`: failures of one source per window, on
    /// any secret.
    pub failures_per_source: i64,
    /// `USER_AUTH_THROTTLING_REGISTRATIONS_PER_SOURCE`: accounts that one source may
    /// register per window.
    pub registrations_per_source: i64,
    /// `USER_AUTH_THROTTLING_WINDOW_SECONDS`: the length of the window, counted from the
    /// first attempt.
    pub window: Duration,
    /// `USER_AUTH_THROTTLING_CONSECUTIVE_ATTEMPTS`: attempts on one secret without a
    /// success, from all unknown sources together or from one known source.
    pub consecutive_attempts: i64,
}

impl Default for Throttling {
    fn default() -> Throttling {
        Throttling {
            attempts_per_source: 10,
            failures_per_source: 100,
            registrations_per_source: 100,
            window: Duration::from_secs(15 * 60),
            // The maximum that NIST SP 800-63B-4 section 3.2.2 allows.
            consecutive_attempts: MAX_CONSECUTIVE_ATTEMPTS as i64,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            public_url: None,
            issuer: "user-auth".to_owned(),
            audience: "user-auth".to_owned(),
            other_audiences: Vec::new(),
            // Every library for tokens has it; some lack EdDSA.
            signing_algorithm: Algorithm::Es256,
            access_token_ttl: Duration::from_secs(15 * 60),
            session_idle: Duration::from_secs(14 * DAY),
            session_absolute: Duration::from_secs(30 * DAY),
            // The processes of one client refresh the same token over more than a minute.
            refresh_grace: Duration::from_secs(2 * 60),
            fresh_session: Duration::from_secs(5 * 60),
            // NIST SP 800-63B-4 section 3.1.1.2: minimum for a password that is the only
            // factor.
            password_min_length: 15,
            // NIST SP 800-63B-4 section 3.1.3: at most ten minutes, out of band.
            code_ttl: Duration::from_secs(10 * 60),
            // OWASP's second recommendation: 19 MiB, 2 passes, 1 lane.
            argon2_memory_kib: 19 * 1024,
            argon2_iterations: 2,
            throttling: Throttling::default(),
            require_api_key: false,
            require_sign_in: false,
            tool_errors: ToolErrors::default(),
            output_schemas: false,
            toolsets: None,
            read_only: false,
            password_tools: PasswordTools::default(),
            oauth: None,
        }
    }
}

/// A setting with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    name: String,
    value: String,
    expected: String,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidSetting {
            name,
            value,
            expected,
        } = self;
        write!(f, "{name} is '{value}'; expected {expected}")
    }
}

impl Settings {
    /// Reads the variables. A variable that is not set has its default; an invalid value
    /// is an error, never a guess.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, InvalidSetting> {
        let mut settings = Settings::default();
        let mut issuer = None;
        let mut has_oauth = false;
        let mut service_name = DisplayText::own("UserAuth");
        let mut registration = ClientRegistration::default();
        let mut sign_up = None;
        let (mut has_delivery, mut has_logo) = (false, false);
        let mut accent = None;
        let mut client_documents = ClientDocuments::default();
        let mut approvals = Approvals::default();
        for (name, value) in variables {
            let Some(setting) = name.strip_prefix("USER_AUTH_") else {
                continue;
            };
            let number = |low, high| number(&name, &value, low, high);
            match setting {
                "PUBLIC_URL" => settings.public_url = Some(public_url(&name, &value)?),
                "ISSUER" => issuer = Some(text(&name, &value)?),
                "AUDIENCE" => settings.audience = text(&name, &value)?,
                "OTHER_AUDIENCES" => {
                    let names = value
                        .split(',')
                        .map(|audience| text(&name, audience.trim()));
                    settings.other_audiences = names.collect::<Result<_, _>>()?;
                }
                "SIGNING_ALGORITHM" => {
                    settings.signing_algorithm = signing_algorithm(&name, &value)?;
                }
                "ACCESS_TOKEN_TTL_SECONDS" => {
                    settings.access_token_ttl = Duration::from_secs(number(1, DAY)?);
                }
                "SESSION_IDLE_SECONDS" => {
                    settings.session_idle = Duration::from_secs(number(1, 366 * DAY)?);
                }
                "SESSION_ABSOLUTE_SECONDS" => {
                    settings.session_absolute = Duration::from_secs(number(1, 366 * DAY)?);
                }
                "REFRESH_GRACE_SECONDS" => {
                    settings.refresh_grace = Duration::from_secs(number(0, 10 * 60)?);
                }
                "FRESH_SESSION_SECONDS" => {
                    settings.fresh_session = Duration::from_secs(number(1, DAY)?);
                }
                // NIST SP 800-63B-4: never below 8, even with other factors.
                "PASSWORD_MIN_LENGTH" => settings.password_min_length = number(8, 128)? as usize,
                "CODE_TTL_SECONDS" => {
                    settings.code_ttl = Duration::from_secs(number(1, 10 * 60)?);
                }
                "ARGON2_MEMORY_KIB" => {
                    settings.argon2_memory_kib = number(7 * 1024, 65_536)? as u32
                }
                "ARGON2_ITERATIONS" => settings.argon2_iterations = number(1, 10)? as u32,
                "MCP_TOOL_ERRORS" => settings.tool_errors = tool_errors(&name, &value)?,
                "MCP_TOOLSETS" => settings.toolsets = Some(toolsets(&name, &value)?),
                "MCP_READ_ONLY" => settings.read_only = boolean(&name, &value)?,
                "MCP_PASSWORD_TOOLS" => settings.password_tools = password_tools(&name, &value)?,
                "MCP_OUTPUT_SCHEMAS" => settings.output_schemas = boolean(&name, &value)?,
                "OAUTH_ENABLED" => has_oauth = boolean(&name, &value)?,
                "OAUTH_SERVICE_NAME" => {
                    let parsed = DisplayText::try_from(value.clone());
                    service_name = parsed.map_err(|expected| invalid(&name, &value, expected))?;
                }
                "OAUTH_REGISTRATION" => registration = client_registration(&name, &value)?,
                "OAUTH_SIGN_UP" => sign_up = Some(on_or_off(&name, &value)?),
                "OAUTH_ACCENT_COLOR" => {
                    let parsed = AccentColor::parse(&value);
                    accent = Some(parsed.map_err(|expected| invalid(&name, &value, &expected))?);
                }
                "HAS_LOGO" => has_logo = boolean(&name, &value)?,
                "HAS_DELIVERY" => has_delivery = boolean(&name, &value)?,
                "OAUTH_CLIENT_ID_METADATA_DOCUMENTS" => {
                    client_documents = self::client_documents(&name, &value)?;
                }
                "OAUTH_APPROVALS" => {
                    let parsed = Approvals::parse(&value);
                    approvals =
                        parsed.ok_or_else(|| invalid(&name, &value, Approvals::EXPECTED))?;
                }
                "REQUIRE_SIGN_IN" => settings.require_sign_in = boolean(&name, &value)?,
                "REQUIRE_API_KEY" => settings.require_api_key = boolean(&name, &value)?,
                _ => settings.throttling.read(setting, number)?,
            }
        }
        let public_url = settings.public_url.as_ref();
        if let Some(issuer) = issuer.or_else(|| public_url.map(|url| url.as_str().to_owned())) {
            settings.issuer = issuer;
        }
        if has_oauth {
            let public_url = settings.issuer_url()?;
            if client_documents == ClientDocuments::Loopback && public_url.is_https() {
                let expected = "public or off, unless USER_AUTH_PUBLIC_URL is http on localhost";
                let name = "USER_AUTH_OAUTH_CLIENT_ID_METADATA_DOCUMENTS";
                return Err(invalid(name, "loopback", expected));
            }
            let is_open = settings.is_open();
            settings.oauth = Some(OAuth {
                public_url,
                service_name,
                registration,
                sign_up: sign_up.unwrap_or(is_open),
                has_delivery,
                accent,
                has_logo,
                client_documents,
                approvals,
            });
        }
        if settings.require_sign_in && settings.oauth.is_none() {
            let expected = "false, or USER_AUTH_OAUTH_ENABLED to be true";
            return Err(invalid("USER_AUTH_REQUIRE_SIGN_IN", "true", expected));
        }
        settings.check_argon2()?;
        settings.check_audiences()?;
        Ok(settings)
    }

    /// Returns the URL of the authorization server. Its clients compare the issuer of its
    /// tokens with the URL under which they have found it (RFC 8414 section 3.3).
    fn issuer_url(&self) -> Result<PublicUrl, InvalidSetting> {
        let Some(public_url) = self.public_url.clone() else {
            let expected = "USER_AUTH_PUBLIC_URL to be set as well";
            return Err(invalid("USER_AUTH_OAUTH_ENABLED", "true", expected));
        };
        if self.issuer != public_url.as_str() {
            let expected =
                "no value, or that of USER_AUTH_PUBLIC_URL, with USER_AUTH_OAUTH_ENABLED";
            return Err(invalid("USER_AUTH_ISSUER", &self.issuer, expected));
        }
        Ok(public_url)
    }

    fn check_argon2(&self) -> Result<(), InvalidSetting> {
        let floor_kib = argon2_floor_kib(self.argon2_iterations);
        if self.argon2_memory_kib >= floor_kib {
            return Ok(());
        }
        Err(invalid(
            "USER_AUTH_ARGON2_MEMORY_KIB",
            &self.argon2_memory_kib.to_string(),
            &format!(
                "at least {} with USER_AUTH_ARGON2_ITERATIONS {}",
                floor_kib, self.argon2_iterations
            ),
        ))
    }

    /// Requires distinct audiences. If another service had this service's own name,
    /// tokens issued for it would be accepted here.
    fn check_audiences(&self) -> Result<(), InvalidSetting> {
        let mut others = self.other_audiences.iter().enumerate();
        let is_new = |(index, other): (usize, &String)| {
            *other != self.audience && !self.other_audiences[..index].contains(other)
        };
        if others.all(is_new) {
            return Ok(());
        }
        Err(invalid(
            "USER_AUTH_OTHER_AUDIENCES",
            &self.other_audiences.join(", "),
            &format!(
                "names that differ from each other and from USER_AUTH_AUDIENCE, which is '{}'",
                self.audience
            ),
        ))
    }

    /// Reports whether callers over HTTP need neither an API key nor a sign-in.
    pub fn is_open(&self) -> bool {
        !self.require_api_key && !self.require_sign_in
    }

    /// Reports whether clients that can open a page do without the operations that take a
    /// password.
    pub fn has_pages_for_passwords(&self) -> bool {
        self.oauth.is_some() && self.password_tools == PasswordTools::Auto
    }

    /// Returns the operations that MCP callers get.
    pub fn offer_over_mcp(&self) -> Offer {
        self.offer(Toolsets::USUAL)
    }

    /// Returns the operations that programs get which embed the component: all, unless it is
    /// set which ones there are.
    pub fn offer_to_embedders(&self) -> Offer {
        self.offer(Toolsets::ALL)
    }

    fn offer(&self, usual: Toolsets) -> Offer {
        Offer {
            toolsets: self.toolsets.unwrap_or(usual),
            read_only: self.read_only,
            without_passwords: self.password_tools == PasswordTools::Off,
            ..Offer::EVERYTHING
        }
    }

    /// Returns the cost parameters of a new password hash.
    pub fn argon2_parameters(&self, output_length: u32) -> HashParameters {
        HashParameters {
            memory_kib: self.argon2_memory_kib,
            iterations: self.argon2_iterations,
            parallelism: 1,
            output_length,
        }
    }
}

impl Throttling {
    /// Reads one variable if it is one of these. `number` returns its value within
    /// bounds: the lower bounds still forgive a typing error or two, and the upper bounds
    /// still make guessing pointless.
    fn read(
        &mut self,
        setting: &str,
        number: impl Fn(u64, u64) -> Result<u64, InvalidSetting>,
    ) -> Result<(), InvalidSetting> {
        match setting {
            "THROTTLING_ATTEMPTS_PER_SOURCE" => self.attempts_per_source = number(3, 100)? as i64,
            // Many clients behind an untrusted proxy are one source.
            "THROTTLING_FAILURES_PER_SOURCE" => {
                self.failures_per_source = number(10, 100_000)? as i64;
            }
            "THROTTLING_REGISTRATIONS_PER_SOURCE" => {
                self.registrations_per_source = number(1, 100_000)? as i64;
            }
            "THROTTLING_WINDOW_SECONDS" => {
                self.window = Duration::from_secs(number(60, DAY)?);
            }
            "THROTTLING_CONSECUTIVE_ATTEMPTS" => {
                self.consecutive_attempts = number(10, MAX_CONSECUTIVE_ATTEMPTS)? as i64;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns the least memory of an Argon2id hash with this many passes, in KiB. Less
/// memory needs more passes: OWASP's recommendations are equally strong.
pub fn argon2_floor_kib(iterations: u32) -> u32 {
    let mib = match iterations {
        0 | 1 => 46,
        2 => 19,
        3 => 12,
        4 => 9,
        _ => 7,
    };
    mib * 1024
}

fn text(name: &str, value: &str) -> Result<String, InvalidSetting> {
    if value.is_empty() || value.chars().count() > 256 || value.chars().any(char::is_control) {
        return Err(invalid(name, value, "1 to 256 characters of text"));
    }
    Ok(value.to_owned())
}

fn number(name: &str, value: &str, low: u64, high: u64) -> Result<u64, InvalidSetting> {
    match value.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(invalid(
            name,
            value,
            &format!("a whole number from {low} to {high}"),
        )),
    }
}

fn tool_errors(name: &str, value: &str) -> Result<ToolErrors, InvalidSetting> {
    match value {
        "auto" => Ok(ToolErrors::Auto),
        "result" => Ok(ToolErrors::Result),
        "error" => Ok(ToolErrors::Error),
        _ => Err(invalid(name, value, "auto, result or error")),
    }
}

fn password_tools(name: &str, value: &str) -> Result<PasswordTools, InvalidSetting> {
    match value {
        "auto" => Ok(PasswordTools::Auto),
        "on" => Ok(PasswordTools::On),
        "off" => Ok(PasswordTools::Off),
        _ => Err(invalid(name, value, "auto, on or off")),
    }
}

fn toolsets(name: &str, value: &str) -> Result<Toolsets, InvalidSetting> {
    Toolsets::parse(value).ok_or_else(|| invalid(name, value, Toolsets::EXPECTED))
}

fn client_registration(name: &str, value: &str) -> Result<ClientRegistration, InvalidSetting> {
    match value {
        "open" => Ok(ClientRegistration::Open),
        "off" => Ok(ClientRegistration::Off),
        _ => Err(invalid(name, value, "open or off")),
    }
}

fn on_or_off(name: &str, value: &str) -> Result<bool, InvalidSetting> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(invalid(name, value, "on or off")),
    }
}

fn client_documents(name: &str, value: &str) -> Result<ClientDocuments, InvalidSetting> {
    match value {
        "public" => Ok(ClientDocuments::Public),
        "loopback" => Ok(ClientDocuments::Loopback),
        "off" => Ok(ClientDocuments::Off),
        _ => Err(invalid(name, value, "public, loopback or off")),
    }
}

fn signing_algorithm(name: &str, value: &str) -> Result<Algorithm, InvalidSetting> {
    match value {
        "es256" => Ok(Algorithm::Es256),
        "eddsa" => Ok(Algorithm::Eddsa),
        "rs256" => Ok(Algorithm::Rs256),
        _ => Err(invalid(name, value, "es256, eddsa or rs256")),
    }
}

fn public_url(name: &str, value: &str) -> Result<PublicUrl, InvalidSetting> {
    PublicUrl::parse(value).ok_or_else(|| invalid(name, value, public_url::EXPECTED))
}

fn boolean(name: &str, value: &str) -> Result<bool, InvalidSetting> {
    value
        .parse()
        .map_err(|_| invalid(name, value, "true or false"))
}

fn invalid(name: &str, value: &str, expected: &str) -> InvalidSetting {
    InvalidSetting {
        name: name.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_the_public_url_unless_it_is_set() {
        let url = ("USER_AUTH_PUBLIC_URL", "https://auth.example.com/tenant");
        let issuer = ("USER_AUTH_ISSUER", "another");
        let read = |variables: &[(&str, &str)]| {
            let variables = variables.iter();
            let owned = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Settings::from_variables(owned).unwrap().issuer
        };
        assert_eq!(read(&[url]), url.1);
        for variables in [[url, issuer], [issuer, url]] {
            assert_eq!(read(&variables), "another");
        }
        assert_eq!(read(&[]), "user-auth");
    }

    #[test]
    fn signing_algorithms_are_es256_eddsa_and_rs256() {
        let name = "USER_AUTH_SIGNING_ALGORITHM";
        for (value, algorithm) in [
            ("es256", Algorithm::Es256),
            ("eddsa", Algorithm::Eddsa),
            ("rs256", Algorithm::Rs256),
        ] {
            assert_eq!(read(name, value).unwrap().signing_algorithm, algorithm);
        }
        for wrong in ["", "ES256", "hs256", "none"] {
            assert!(read(name, wrong).is_err(), "{wrong}");
        }
    }

    fn read(name: &str, value: &str) -> Result<Settings, InvalidSetting> {
        Settings::from_variables([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn invalid_values_are_reported_with_what_was_expected() {
        let error = read("USER_AUTH_PASSWORD_MIN_LENGTH", "7").unwrap_err();
        assert_eq!(
            error.to_string(),
            "USER_AUTH_PASSWORD_MIN_LENGTH is '7'; expected a whole number from 8 to 128"
        );
        assert!(read("USER_AUTH_ACCESS_TOKEN_TTL_SECONDS", "15m").is_err());
        assert!(read("USER_AUTH_ISSUER", "").is_err());
        assert!(read("USER_AUTH_CODE_TTL_SECONDS", "601").is_err());
        // A typing error must not disable a protection.
        assert!(read("USER_AUTH_REQUIRE_API_KEY", "yes").is_err());
        assert!(read("USER_AUTH_MCP_TOOL_ERRORS", "results").is_err());
    }

    #[test]
    fn an_unknown_toolset_is_reported_with_the_known_ones() {
        let name = "USER_AUTH_MCP_TOOLSETS";
        let error = read(name, "auth,user").unwrap_err().to_string();
        assert!(error.starts_with("USER_AUTH_MCP_TOOLSETS is 'auth,user'; expected all, or"));
        assert!(
            error.contains("auth, account, tokens, users, roles"),
            "{error}"
        );
        assert!(read(name, "").is_err());
        assert!(read("USER_AUTH_MCP_READ_ONLY", "yes").is_err());
    }

    #[test]
    fn toolsets_that_are_not_set_are_the_usual_ones_for_mcp_and_all_for_embedders() {
        let settings = read("USER_AUTH_MCP_READ_ONLY", "true").unwrap();
        assert_eq!(settings.offer_over_mcp().toolsets, Toolsets::USUAL);
        assert_eq!(settings.offer_to_embedders().toolsets, Toolsets::ALL);
        assert!(settings.offer_over_mcp().read_only && settings.offer_to_embedders().read_only);
        let settings = read("USER_AUTH_MCP_TOOLSETS", "audit").unwrap();
        let audit = Toolsets::parse("audit").unwrap();
        assert_eq!(settings.offer_over_mcp().toolsets, audit);
        assert_eq!(settings.offer_to_embedders().toolsets, audit);
    }

    #[test]
    fn throttling_limits_outside_their_bounds_are_rejected() {
        for (name, low, high) in [
            ("ATTEMPTS_PER_SOURCE", 3, 100),
            ("FAILURES_PER_SOURCE", 10, 100_000),
            ("REGISTRATIONS_PER_SOURCE", 1, 100_000),
            ("WINDOW_SECONDS", 60, 86_400),
            ("CONSECUTIVE_ATTEMPTS", 10, 100),
        ] {
            let name = format!("USER_AUTH_THROTTLING_{name}");
            for good in [low, high] {
                assert!(read(&name, &good.to_string()).is_ok(), "{name} {good}");
            }
            for wrong in [0, low - 1, high + 1] {
                assert!(read(&name, &wrong.to_string()).is_err(), "{name} {wrong}");
            }
            assert!(read(&name, "-1").is_err());
        }
    }

    #[test]
    fn the_grace_of_a_used_refresh_token_is_at_most_ten_minutes() {
        let name = "USER_AUTH_REFRESH_GRACE_SECONDS";
        for good in [0, 1, 600] {
            let settings = read(name, &good.to_string()).unwrap();
            assert_eq!(settings.refresh_grace, Duration::from_secs(good));
        }
        for wrong in ["601", "-1", "", "2m"] {
            assert!(read(name, wrong).is_err(), "{wrong}");
        }
        assert_eq!(Settings::default().refresh_grace.as_secs(), 120);
    }

    #[test]
    fn clients_may_register_themselves_unless_that_is_off() {
        let read = |value: Option<&str>| {
            let url = ("USER_AUTH_PUBLIC_URL", "https://auth.example.com");
            let variables = [Some(url), Some(("USER_AUTH_OAUTH_ENABLED", "true"))];
            let registration = value.map(|value| ("USER_AUTH_OAUTH_REGISTRATION", value));
            let variables = variables.into_iter().chain([registration]).flatten();
            let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let settings = Settings::from_variables(owned)?;
            Ok::<_, InvalidSetting>(settings.oauth.unwrap().registration)
        };
        assert_eq!(read(None), Ok(ClientRegistration::Open));
        assert_eq!(read(Some("open")), Ok(ClientRegistration::Open));
        assert_eq!(read(Some("off")), Ok(ClientRegistration::Off));
        for wrong in ["", "Off", "false"] {
            assert!(read(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn duplicate_audiences_are_rejected() {
        let read = |variables: &[(&str, &str)]| {
            let variables = variables.iter();
            Settings::from_variables(
                variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            )
        };
        let own = ("USER_AUTH_AUDIENCE", "auth");
        let others = ("USER_AUTH_OTHER_AUDIENCES", "billing, auth");
        // The order of the variables does not matter.
        for variables in [[own, others], [others, own]] {
            let error = read(&variables).unwrap_err().to_string();
            assert!(error.starts_with("USER_AUTH_OTHER_AUDIENCES is 'billing, auth'"));
            assert!(error.contains("USER_AUTH_AUDIENCE, which is 'auth'"));
        }
        for wrong in ["user-auth", "billing,billing", "billing, shipping, billing"] {
            assert!(read(&[(others.0, wrong)]).is_err(), "{wrong}");
        }
        let settings = read(&[own, (others.0, "user-auth,billing")]).unwrap();
        assert_eq!(settings.other_audiences, ["user-auth", "billing"]);
    }

    #[test]
    fn unset_variables_have_their_defaults() {
        let settings = read("USER_AUTH_ACCESS_TOKEN_TTL_SECONDS", "60").unwrap();
        assert_eq!(settings.access_token_ttl, Duration::from_secs(60));
        assert_eq!(settings.session_idle, Settings::default().session_idle);
        assert_eq!(read("PATH", "/bin").unwrap(), Settings::default());
    }
}
