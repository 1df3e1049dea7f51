//! Settings, read from environment variables whose names begin with `USER_AUTH_`: the one
//! configuration channel that every WASI 0.2 runtime has.

mod accent;
mod approvals;
mod public_url;
mod values;
mod variables;

use std::time::Duration;

use crate::domain::access::toolset::{Offer, Toolsets};
use crate::domain::display_text::DisplayText;
use crate::ports::{Algorithm, HashParameters};

pub use accent::AccentColor;
pub use approvals::Approvals;
pub use public_url::PublicUrl;
pub use values::InvalidSetting;

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

impl Settings {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolsets_that_are_not_set_are_the_usual_ones_for_mcp_and_all_for_embedders() {
        let settings = Settings {
            read_only: true,
            ..Settings::default()
        };
        assert_eq!(settings.offer_over_mcp().toolsets, Toolsets::USUAL);
        assert_eq!(settings.offer_to_embedders().toolsets, Toolsets::ALL);
        assert!(settings.offer_over_mcp().read_only && settings.offer_to_embedders().read_only);
        let audit = Toolsets::parse("audit").unwrap();
        let settings = Settings {
            toolsets: Some(audit),
            ..Settings::default()
        };
        assert_eq!(settings.offer_over_mcp().toolsets, audit);
        assert_eq!(settings.offer_to_embedders().toolsets, audit);
    }
}
