//! The variables of the environment that settings are read from, and the rules between
//! them.

use std::fmt;
use std::time::Duration;

use super::{
    AccentColor, Approvals, ClientDocuments, ClientRegistration, DAY, MAX_CONSECUTIVE_ATTEMPTS,
    OAuth, PasswordTools, PublicUrl, Settings, Throttling, ToolErrors, argon2_floor_kib,
    public_url,
};
use crate::domain::access::toolset::Toolsets;
use crate::domain::display_text::DisplayText;
use crate::ports::Algorithm;

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
