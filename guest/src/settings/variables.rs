//! The variables of the environment that settings are read from, and the rules between
//! them.

use std::mem;
use std::time::Duration;

use super::values::{
    InvalidSetting, approvals, boolean, client_documents, client_registration, invalid, number,
    on_or_off, password_tools, public_url, signing_algorithm, text, tool_errors, toolsets,
};
use super::{
    AccentColor, Approvals, ClientDocuments, ClientRegistration, DAY, MAX_CONSECUTIVE_ATTEMPTS,
    OAuth, PublicUrl, Settings, Throttling, argon2_floor_kib,
};
use crate::domain::display_text::DisplayText;

impl Settings {
    /// Reads the variables. A variable that is not set has its default; an invalid value
    /// is an error, never a guess. Returns all errors, at least one; rules between variables
    /// are checked once each of them is valid.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, Vec<InvalidSetting>> {
        let mut draft = Draft::default();
        let mut wrong = Vec::new();
        for (name, value) in variables {
            wrong.extend(draft.read(&name, &value).err());
        }
        match wrong.is_empty() {
            true => draft.finish(),
            false => Err(wrong),
        }
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

/// Variables that were read one by one.
#[derive(Default)]
struct Draft {
    settings: Settings,
    issuer: Option<String>,
    has_oauth: bool,
    service_name: Option<DisplayText>,
    registration: ClientRegistration,
    sign_up: Option<bool>,
    has_delivery: bool,
    has_logo: bool,
    accent: Option<AccentColor>,
    client_documents: ClientDocuments,
    approvals: Approvals,
}

impl Draft {
    /// Reads one variable if it is one of this service.
    fn read(&mut self, name: &str, value: &str) -> Result<(), InvalidSetting> {
        let Some(setting) = name.strip_prefix("USER_AUTH_") else {
            return Ok(());
        };
        let settings = &mut self.settings;
        let number = |low, high| number(name, value, low, high);
        match setting {
            "PUBLIC_URL" => settings.public_url = Some(public_url(name, value)?),
            "ISSUER" => self.issuer = Some(text(name, value)?),
            "AUDIENCE" => settings.audience = text(name, value)?,
            "OTHER_AUDIENCES" => {
                let names = value.split(',').map(|audience| text(name, audience.trim()));
                settings.other_audiences = names.collect::<Result<_, _>>()?;
            }
            "SIGNING_ALGORITHM" => settings.signing_algorithm = signing_algorithm(name, value)?,
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
            "CODE_TTL_SECONDS" => settings.code_ttl = Duration::from_secs(number(1, 10 * 60)?),
            "ARGON2_MEMORY_KIB" => settings.argon2_memory_kib = number(7 * 1024, 65_536)? as u32,
            "ARGON2_ITERATIONS" => settings.argon2_iterations = number(1, 10)? as u32,
            "MCP_TOOL_ERRORS" => settings.tool_errors = tool_errors(name, value)?,
            "MCP_TOOLSETS" => settings.toolsets = Some(toolsets(name, value)?),
            "MCP_READ_ONLY" => settings.read_only = boolean(name, value)?,
            "MCP_PASSWORD_TOOLS" => settings.password_tools = password_tools(name, value)?,
            "MCP_OUTPUT_SCHEMAS" => settings.output_schemas = boolean(name, value)?,
            "OAUTH_ENABLED" => self.has_oauth = boolean(name, value)?,
            "OAUTH_SERVICE_NAME" => {
                let parsed = DisplayText::try_from(value.to_owned());
                let parsed = parsed.map_err(|expected| invalid(name, value, expected))?;
                self.service_name = Some(parsed);
            }
            "OAUTH_REGISTRATION" => self.registration = client_registration(name, value)?,
            "OAUTH_SIGN_UP" => self.sign_up = Some(on_or_off(name, value)?),
            "OAUTH_ACCENT_COLOR" => {
                let parsed = AccentColor::parse(value);
                self.accent = Some(parsed.map_err(|expected| invalid(name, value, &expected))?);
            }
            "HAS_LOGO" => self.has_logo = boolean(name, value)?,
            "HAS_DELIVERY" => self.has_delivery = boolean(name, value)?,
            "OAUTH_CLIENT_ID_METADATA_DOCUMENTS" => {
                self.client_documents = client_documents(name, value)?;
            }
            "OAUTH_APPROVALS" => self.approvals = approvals(name, value)?,
            "REQUIRE_SIGN_IN" => settings.require_sign_in = boolean(name, value)?,
            "REQUIRE_API_KEY" => settings.require_api_key = boolean(name, value)?,
            _ => settings.throttling.read(setting, number)?,
        }
        Ok(())
    }

    /// Checks the rules between variables.
    fn finish(mut self) -> Result<Settings, Vec<InvalidSetting>> {
        let public_url = self.settings.public_url.as_ref();
        let issuer = self.issuer.take();
        if let Some(issuer) = issuer.or_else(|| public_url.map(|url| url.as_str().to_owned())) {
            self.settings.issuer = issuer;
        }
        let mut wrong = Vec::new();
        wrong.extend(self.settings.check_argon2().err());
        wrong.extend(self.settings.check_audiences().err());
        wrong.extend(self.check_sign_in().err());
        match self.oauth() {
            Ok(oauth) => self.settings.oauth = oauth,
            Err(problem) => wrong.push(problem),
        }
        match wrong.is_empty() {
            true => Ok(self.settings),
            false => Err(wrong),
        }
    }

    fn check_sign_in(&self) -> Result<(), InvalidSetting> {
        if !self.settings.require_sign_in || self.has_oauth {
            return Ok(());
        }
        let expected = "false, or USER_AUTH_OAUTH_ENABLED to be true";
        Err(invalid("USER_AUTH_REQUIRE_SIGN_IN", "true", expected))
    }

    /// Returns the settings of the authorization server, if it is enabled.
    fn oauth(&mut self) -> Result<Option<OAuth>, InvalidSetting> {
        if !self.has_oauth {
            return Ok(None);
        }
        let public_url = self.settings.issuer_url()?;
        if self.client_documents == ClientDocuments::Loopback && public_url.is_https() {
            let expected = "public or off, unless USER_AUTH_PUBLIC_URL is http on localhost";
            let name = "USER_AUTH_OAUTH_CLIENT_ID_METADATA_DOCUMENTS";
            return Err(invalid(name, "loopback", expected));
        }
        let service_name = self.service_name.take();
        Ok(Some(OAuth {
            public_url,
            service_name: service_name.unwrap_or_else(|| DisplayText::own("UserAuth")),
            registration: self.registration,
            sign_up: self.sign_up.unwrap_or(self.settings.is_open()),
            has_delivery: self.has_delivery,
            accent: self.accent.take(),
            has_logo: self.has_logo,
            client_documents: self.client_documents,
            approvals: mem::take(&mut self.approvals),
        }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Algorithm;

    #[test]
    fn the_issuer_is_the_public_url_unless_it_is_set() {
        let url = ("USER_AUTH_PUBLIC_URL", "https://auth.example.com/tenant");
        let issuer = ("USER_AUTH_ISSUER", "another");
        let read = |variables: &[(&str, &str)]| read_all(variables).unwrap().issuer;
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

    fn read_all(variables: &[(&str, &str)]) -> Result<Settings, Vec<InvalidSetting>> {
        let variables = variables.iter();
        Settings::from_variables(
            variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    /// Reads one variable, of which at most one thing can be wrong.
    fn read(name: &str, value: &str) -> Result<Settings, InvalidSetting> {
        read_all(&[(name, value)]).map_err(|wrong| {
            assert_eq!(wrong.len(), 1);
            wrong[0].clone()
        })
    }

    #[test]
    fn all_invalid_values_are_reported_and_then_all_broken_rules() {
        let problems = |variables: &[(&str, &str)]| -> Vec<String> {
            let wrong = read_all(variables).unwrap_err();
            wrong.iter().map(|one| one.name.clone()).collect()
        };
        assert_eq!(
            problems(&[
                ("USER_AUTH_ARGON2_ITERATIONS", "many"),
                ("USER_AUTH_MCP_READ_ONLY", "true"),
                ("USER_AUTH_OAUTH_ENABLED", "true"),
                ("USER_AUTH_MCP_TOOLSETS", "none"),
            ]),
            ["USER_AUTH_ARGON2_ITERATIONS", "USER_AUTH_MCP_TOOLSETS"]
        );
        assert_eq!(
            problems(&[
                ("USER_AUTH_ARGON2_ITERATIONS", "1"),
                ("USER_AUTH_OAUTH_ENABLED", "true"),
                ("USER_AUTH_OTHER_AUDIENCES", "one,one"),
                ("USER_AUTH_REQUIRE_SIGN_IN", "true"),
            ]),
            [
                "USER_AUTH_ARGON2_MEMORY_KIB",
                "USER_AUTH_OTHER_AUDIENCES",
                "USER_AUTH_OAUTH_ENABLED",
            ]
        );
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
        assert!(error.ends_with("; 'user' is none of them"), "{error}");
        let name = "USER_AUTH_OAUTH_APPROVALS";
        let error = read(name, "delete_user,delete_usr").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("; 'delete_usr' is none of them")
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
            let mut variables = vec![url, ("USER_AUTH_OAUTH_ENABLED", "true")];
            variables.extend(value.map(|value| ("USER_AUTH_OAUTH_REGISTRATION", value)));
            read_all(&variables).map(|settings| settings.oauth.unwrap().registration)
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
        let own = ("USER_AUTH_AUDIENCE", "auth");
        let others = ("USER_AUTH_OTHER_AUDIENCES", "billing, auth");
        // The order of the variables does not matter.
        for variables in [[own, others], [others, own]] {
            let error = read_all(&variables).unwrap_err()[0].to_string();
            assert!(error.starts_with("USER_AUTH_OTHER_AUDIENCES is 'billing, auth'"));
            assert!(error.contains("USER_AUTH_AUDIENCE, which is 'auth'"));
        }
        for wrong in ["user-auth", "billing,billing", "billing, shipping, billing"] {
            assert!(read(others.0, wrong).is_err(), "{wrong}");
        }
        let settings = read_all(&[own, (others.0, "user-auth,billing")]).unwrap();
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
