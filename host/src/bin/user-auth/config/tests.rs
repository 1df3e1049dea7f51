//! Tests of merging the sources, and of the errors that are reported.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::security::AuthenticationType;
use super::{Config, Flags, Loaded, Origin};

const GUIDE: &str = r#"{"security":{"authentication":{"type":"api_key","header":"X-API-Key"},"rate_limiting":{"requests_per_minute":100,"burst_size":10},"cors":{"enabled":true,"allowed_origins":["https://yourdomain.com"]}}}"#;

struct Setup {
    folder: TempDir,
    file: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    flags: Vec<String>,
}

fn setup() -> Setup {
    Setup {
        folder: tempfile::tempdir().unwrap(),
        file: None,
        environment: Vec::new(),
        flags: Vec::new(),
    }
}

impl Setup {
    fn file(mut self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        self.file = Some(path);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn set(mut self, pair: &str) -> Self {
        self.flags.push(pair.to_owned());
        self
    }

    fn flags(&self) -> Flags {
        let mut flags = Flags::of_file(self.file.clone());
        flags.set(&self.flags);
        flags
    }

    fn load(&self) -> Loaded {
        Config::from_layers(&self.flags(), &self.environment).unwrap()
    }

    /// Returns the error message, without the folder, and the exit code.
    fn fail(&self) -> (String, u8) {
        let failure = Config::from_layers(&self.flags(), &self.environment).unwrap_err();
        let folder = format!("{}/", self.folder.path().display());
        (failure.to_string().replace(&folder, ""), failure.code)
    }
}

#[test]
fn the_file_in_the_guide_is_accepted() {
    let toml = r#"
        [security]
        authentication = { type = "api_key", header = "X-API-Key" }
        rate_limiting = { requests_per_minute = 100, burst_size = 10 }
        cors.enabled = true
        cors.allowed_origins = ["https://yourdomain.com"]
    "#;
    for (name, text) in [
        ("c.json", GUIDE),
        ("c.toml", toml),
        ("c", GUIDE),
        ("c.conf", toml),
    ] {
        let security = setup().file(name, text).load().config.security;
        assert_eq!(security.authentication.kind, AuthenticationType::ApiKey);
        let rate = security.rate_limiting.unwrap();
        assert_eq!(
            (rate.requests_per_minute.get(), rate.burst_size.get()),
            (100, 10)
        );
        let rate = rate.verification;
        assert_eq!(
            (rate.requests_per_minute.get(), rate.burst_size.get()),
            (6_000, 200)
        );
        assert!(security.cors.is_enabled());
        assert_eq!(security.cors.origins(), ["https://yourdomain.com"]);
    }
}

#[test]
fn an_empty_section_has_its_defaults() {
    for (name, text) in [
        ("c.toml", "[security.rate_limiting]"),
        ("c.toml", "[security.rate_limiting.verification]"),
        ("c.json", r#"{"security": {"rate_limiting": {}}}"#),
    ] {
        let rate = setup()
            .file(name, text)
            .load()
            .config
            .security
            .rate_limiting;
        assert_eq!(rate.unwrap().burst_size.get(), 10, "{text}");
    }
    let absent = setup().file("c.json", r#"{"security": {"rate_limiting": null}}"#);
    assert!(absent.load().config.security.rate_limiting.is_none());
}

#[test]
fn an_option_overrides_the_environment_which_overrides_the_file() {
    let setup = setup().file(
        "c.json",
        r#"{"server": {"listen": "127.0.0.1:1"}, "limits": {"connections": 1}}"#,
    );
    let listen = |setup: &Setup| {
        let config = setup.load().config;
        (config.server.listen.clone(), config.origin("server.listen"))
    };
    let (value, origin) = listen(&setup);
    assert_eq!(value, "127.0.0.1:1");
    assert!(matches!(origin, Origin::File(_, Some(at)) if (at.line, at.column) == (1, 13)));
    let setup = setup.env("USER_AUTH_LISTEN", "127.0.0.1:2");
    let origin = Origin::Environment("USER_AUTH_LISTEN".into());
    assert_eq!(listen(&setup), ("127.0.0.1:2".to_owned(), origin));
    let setup = setup.set("server.listen=127.0.0.1:3");
    let origin = Origin::Flag("--set server.listen".into());
    assert_eq!(listen(&setup), ("127.0.0.1:3".to_owned(), origin));
    let mut flags = setup.flags();
    flags.text("listen", Some("127.0.0.1:4"));
    let config = Config::from_layers(&flags, &setup.environment)
        .unwrap()
        .config;
    assert_eq!(config.server.listen, "127.0.0.1:4");
    assert_eq!(
        config.origin("server.listen"),
        Origin::Flag("--listen".into())
    );
    // Keys that only the file sets have its values, and the others their defaults.
    assert_eq!(config.limits.0.connections, 1);
    assert_eq!(config.tokens.access_token_ttl_seconds, 900);
    assert_eq!(
        config.origin("tokens.access_token_ttl_seconds"),
        Origin::Default
    );
}

#[test]
fn every_key_can_be_set_in_the_environment() {
    let config = setup()
        .env("USER_AUTH_SECURITY_RATE_LIMITING_BURST_SIZE", "7")
        .env(
            "USER_AUTH_SECURITY_RATE_LIMITING_VERIFICATION_REQUESTS_PER_MINUTE",
            "9000",
        )
        .env("USER_AUTH_SECURITY_AUTHENTICATION_TYPE", "API_KEY")
        .env("USER_AUTH_ALLOWED_HOSTS", "a.example.com, b.example.com")
        .env("USER_AUTH_NO_CACHE", "yes")
        .env("USER_AUTH_SERVER_TLS_CERTIFICATE", "/a.pem")
        .env("USER_AUTH_SERVER_TLS_KEY", "/k.pem")
        .env("LOG_LEVEL", "WARNING")
        .env("USER_AUTH_STORE", "")
        .load()
        .config;
    let rate = config.security.rate_limiting.unwrap();
    assert_eq!(
        (rate.requests_per_minute.get(), rate.burst_size.get()),
        (100, 7)
    );
    let rate = rate.verification;
    assert_eq!(
        (rate.requests_per_minute.get(), rate.burst_size.get()),
        (9_000, 200)
    );
    assert_eq!(
        config.security.authentication.kind,
        AuthenticationType::ApiKey
    );
    assert_eq!(
        config.server.allowed_hosts,
        ["a.example.com", "b.example.com"]
    );
    assert!(config.component.no_cache);
    assert_eq!(config.server.tls.unwrap().key, PathBuf::from("/k.pem"));
    assert_eq!(config.logging.level, Some(super::logging::Level::Warn));
    assert_eq!(config.store.url, None);
}

#[test]
fn an_error_in_a_file_has_a_position_and_a_suggestion() {
    for (name, text, expected) in [
        (
            "c.json",
            "{\"security\": {\n  \"rate_limiting\": {\n    \"burst_sise\": 3}}}",
            "c.json:3:5: security.rate_limiting.burst_sise is not a known key; did you mean `burst_size`?",
        ),
        (
            "c.toml",
            "[security.rate_limiting]\nburst_sise = 3",
            "c.toml:2:1: security.rate_limiting.burst_sise is not a known key; did you mean `burst_size`?",
        ),
        (
            "c.json",
            "{\"security\": {\"rate_limiting\": {\"burst_size\": \"many\"}}}",
            "c.json:1:33: security.rate_limiting.burst_size is 'many'; expected a whole number, \
             at least 1",
        ),
        (
            "c.toml",
            "[security]\nauthentication.type = 'password'",
            "c.toml:2:16: security.authentication.type is 'password'; expected `none`, \
             `api_key` or `oauth`",
        ),
        (
            "c.toml",
            "rate_limiting = {}",
            "c.toml:1:1: rate_limiting is not a known key; did you mean `security.rate_limiting`?",
        ),
        (
            "c.toml",
            "audit = 'x.log'",
            "c.toml:1:1: audit must be an object with its own keys",
        ),
        (
            "c.toml",
            "[store]\nbackend = 1",
            "c.toml:2:1: store.backend is not a known key; known keys: `url`",
        ),
        (
            "c.toml",
            "[security]\ntrusted_proxies = ['10.0.0.0/8', 'nowhere']",
            "c.toml:2:1: security.trusted_proxies is [\"10.0.0.0/8\",\"nowhere\"]; 'nowhere': \
             expected an address, or a network such as 10.0.0.0/8",
        ),
        (
            "c.toml",
            "[server.tls]\ncertificate = 'a.pem'",
            "c.toml:2:1: server.tls.certificate requires `server.tls.key` as well",
        ),
        (
            "c.toml",
            "[server.tls]\n# certificate = 'a.pem'",
            "c.toml:1:9: server.tls requires `server.tls.certificate`",
        ),
        (
            "c.json",
            "{\"discovery\": {\"consul\": {}}}",
            "c.json:1:16: discovery.consul requires `discovery.consul.url`",
        ),
        ("c.json", "[]", "c.json: it must be an object, `{…}`"),
        ("c.json", "{\n\"a\" 1}", "c.json:2:5: expected `:`"),
        (
            "c.toml",
            "[tokens]\nother_audiences = ['a,b']",
            "c.toml:2:1: tokens.other_audiences is [\"a,b\"]; the name of a service cannot contain a comma",
        ),
    ] {
        assert_eq!(setup().file(name, text).fail(), (expected.to_owned(), 3));
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let setup = setup()
        .file(
            "c.toml",
            "[tokens]\nissuers = 'x'\ncode_ttl_seconds = 601\n[security]\ntrusted_proxies = ['x']",
        )
        .env("USER_AUTH_PASSWORD_MIN_LENGTH", "three")
        .env("USER_AUTH_SECURITY_AUTHENTICATION_TYPE", "magic");
    let (text, _) = setup.fail();
    for part in [
        "c.toml:2:1: tokens.issuers is not a known key; did you mean `issuer`?",
        "c.toml:3:1: tokens.code_ttl_seconds is 601; expected a whole number from 1 to 600",
        "c.toml:5:1: security.trusted_proxies is",
        "USER_AUTH_PASSWORD_MIN_LENGTH is 'three'; expected a whole number from 8 to 128",
        "USER_AUTH_SECURITY_AUTHENTICATION_TYPE is 'magic'; expected `none`, `api_key` or `oauth`",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn an_invalid_option_is_a_usage_error() {
    for (pair, expected) in [
        (
            "limits.conections=1",
            "--set limits.conections is not a known key; did you mean `connections`?",
        ),
        (
            "limits.connections=0",
            "--set limits.connections is 0; expected a whole number from 1 to 1099511627776",
        ),
        ("nothing", "--set needs KEY=VALUE, not 'nothing'"),
        (
            "security.authentication=1",
            "--set security.authentication is a section; its keys are `header`, `type`",
        ),
    ] {
        assert_eq!(setup().set(pair).fail(), (expected.to_owned(), 2));
    }
}

#[test]
fn possible_secrets_are_not_shown_in_errors() {
    for name in ["USER_AUTH_STORE", "USER_AUTH_DELIVERY"] {
        let mistake = setup()
            .file("c.json", r#"{"delivery": {"method": ["hunter2"]}}"#)
            .env(name, "redis://hunter2")
            .fail();
        assert!(!mistake.0.contains("hunter2"), "{}", mistake.0);
        assert!(
            mistake.0.contains("delivery.method cannot be used"),
            "{}",
            mistake.0
        );
    }
    let (text, _) = setup().env("USER_AUTH_STORE", "redis:x").fail();
    assert!(
        text.starts_with("USER_AUTH_STORE cannot be used; write `sqlite:PATH`"),
        "{text}"
    );
}

#[test]
fn an_unknown_variable_gets_a_warning_with_a_suggestion() {
    let setup = setup()
        .env("USER_AUTH_LISTN", "x")
        .env("USER_AUTH_LIMITS_CONECTIONS", "")
        .env("USER_AUTH_MASTER_KEY", "x")
        .env("USER_AUTH_SMTP_PASSWORD", "x")
        .env("USER_AUTH_CONFIG", "x")
        .env("OTHER_LISTN", "x");
    assert_eq!(
        setup.load().warnings,
        ["the variable USER_AUTH_LISTN is not a known variable; did you mean USER_AUTH_LISTEN?"]
    );
}

#[test]
fn a_collector_without_a_scheme_is_answered_with_an_example() {
    let config = setup().set("logging.otlp_endpoint=foo").load().config;
    let said = config.logging.traces_url().unwrap_err().to_string();
    assert!(
        said.ends_with("expected a URL such as http://127.0.0.1:4318"),
        "{said}"
    );
}

#[test]
fn an_unknown_security_variable_is_an_error() {
    for (name, said) in [
        (
            "USER_AUTH_SECURITY_AUTHENTICATION_TYP",
            "did you mean USER_AUTH_SECURITY_AUTHENTICATION_TYPE?",
        ),
        (
            "USER_AUTH_SECURITY_CORS_ALLOWED_ORIGINS",
            "the one of security.cors.allowed_origins is USER_AUTH_ALLOWED_ORIGINS",
        ),
        (
            "USER_AUTH_SECURITY_NOTHING_THAT_IS_LIKE_IT_AT_ALL",
            "`user-auth config schema` lists all (x-env)",
        ),
    ] {
        let expected = format!("{name} is not a known variable; {said}");
        assert_eq!(setup().env(name, "api_key").fail(), (expected, 3));
    }
}

#[test]
fn kubernetes_service_variables_get_no_warning() {
    let setup = setup()
        .env("USER_AUTH_PORT", "tcp://10.0.0.1:8000")
        .env("USER_AUTH_SERVICE_HOST", "10.0.0.1")
        .env("USER_AUTH_SERVICE_PORT_HTTP", "8000")
        .env("USER_AUTH_PORT_8000_TCP_ADDR", "10.0.0.1")
        .env("USER_AUTH_MCP_SERVER_PORT_8000_TCP", "tcp://10.0.0.1:8000");
    assert_eq!(setup.load().warnings, [""; 0]);
    assert_eq!(
        super::tests::setup()
            .env("USER_AUTH_PORT_X", "1")
            .load()
            .warnings
            .len(),
        1
    );
}

#[test]
fn the_displayed_configuration_can_be_loaded() {
    let config = setup().file("c.json", GUIDE).load().config;
    let mut shown = config.values();
    shown["$sources"] = json!({"server.listen": "whatever"});
    let again = setup().file("d.json", &shown.to_string()).load().config;
    assert_eq!(again.values(), config.values());
    let default = setup().load().config.values();
    let again = setup().file("d.json", &default.to_string()).load().config;
    assert_eq!(again.values(), default);
}

#[test]
fn the_component_gets_only_settings_that_are_set() {
    let config = setup()
        .file(
            "c.toml",
            "[tokens]\nother_audiences = ['a', 'b']\n[throttling]\nwindow_seconds = 60",
        )
        .env("USER_AUTH_ISSUER", "me")
        .load()
        .config;
    let mut settings = config.settings();
    settings.sort();
    let expected = [
        ("USER_AUTH_ISSUER", "me"),
        ("USER_AUTH_OTHER_AUDIENCES", "a,b"),
        ("USER_AUTH_THROTTLING_WINDOW_SECONDS", "60"),
    ];
    assert_eq!(
        settings,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(
        config.explain("USER_AUTH_ISSUER is 'me'; expected more"),
        "USER_AUTH_ISSUER is 'me'; expected more"
    );
    let explained = config.explain("USER_AUTH_THROTTLING_WINDOW_SECONDS is '60'; expected more");
    assert!(
        explained.ends_with("c.toml:4:1: throttling.window_seconds is '60'; expected more"),
        "{explained}"
    );
}

#[test]
fn errors_of_the_component_name_keys() {
    let config = setup()
        .file(
            "c.toml",
            "[oauth]\nenabled = true\n[security]\nauthentication.type = 'oauth'",
        )
        .load()
        .config;
    for (problem, expected) in [
        (
            "USER_AUTH_OAUTH_ENABLED is 'true'; expected USER_AUTH_PUBLIC_URL to be set as well",
            "c.toml:2:1: oauth.enabled is 'true'; expected server.public_url to be set as well",
        ),
        (
            "USER_AUTH_REQUIRE_SIGN_IN is 'true'; expected false, or USER_AUTH_OAUTH_ENABLED to be true",
            "c.toml:4:16: security.authentication.type is 'oauth'; expected another value, or \
             oauth.enabled to be true",
        ),
        (
            "USER_AUTH_AUDIENCE is 'a'; expected more",
            "tokens.audience is 'a'; expected more",
        ),
        (
            "it is wrong with USER_AUTH_ARGON2_ITERATIONS and USER_AUTH_NOTHING",
            "it is wrong with passwords.argon2_iterations and USER_AUTH_NOTHING",
        ),
    ] {
        let explained = config.explain(problem);
        assert!(explained.ends_with(expected), "{explained}");
    }
}
