//! The settings that the component takes from its environment.

/// The URL of the service.
pub(crate) const PUBLIC_URL: &str = "USER_AUTH_PUBLIC_URL";
/// Whether the service is an authorization server.
pub(crate) const OAUTH_ENABLED: &str = "USER_AUTH_OAUTH_ENABLED";
/// The documents by which clients may identify themselves.
pub(crate) const CLIENT_DOCUMENTS: &str = "USER_AUTH_OAUTH_CLIENT_ID_METADATA_DOCUMENTS";

/// Returns the value of a setting. The component uses the last of two, too.
pub(crate) fn last<'a>(settings: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut settings = settings.iter().rev();
    let found = settings.find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// A setting of the component: an environment variable and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of the variable.
    pub name: &'static str,
    /// Description in one line.
    pub description: &'static str,
}

/// All settings. No other variable of the host's environment reaches the component, so
/// a secret in one cannot leak into it.
pub const SETTINGS: &[Setting] = &[
    setting(
        PUBLIC_URL,
        "The URL of this service as its clients write it",
    ),
    setting(
        "USER_AUTH_ISSUER",
        "`iss` of the tokens, and the name of the service in authenticator apps",
    ),
    setting("USER_AUTH_AUDIENCE", "`aud` of the tokens"),
    setting(
        "USER_AUTH_OTHER_AUDIENCES",
        "The services for which `issue_token` issues tokens, separated by commas",
    ),
    setting(
        "USER_AUTH_SIGNING_ALGORITHM",
        "Signatures of tokens for other services: `es256`, `eddsa` or `rs256`",
    ),
    setting(
        "USER_AUTH_ACCESS_TOKEN_TTL_SECONDS",
        "Lifetime of an access token",
    ),
    setting(
        "USER_AUTH_SESSION_IDLE_SECONDS",
        "Lifetime of a session without a refresh",
    ),
    setting(
        "USER_AUTH_SESSION_ABSOLUTE_SECONDS",
        "Maximum lifetime of a session",
    ),
    setting(
        "USER_AUTH_REFRESH_GRACE_SECONDS",
        "How long a refresh token that was used still returns the same next token",
    ),
    setting(
        "USER_AUTH_FRESH_SESSION_SECONDS",
        "Maximum age of a login for operations that require a recent one",
    ),
    setting(
        "USER_AUTH_PASSWORD_MIN_LENGTH",
        "Minimum number of characters in a password",
    ),
    setting(
        "USER_AUTH_CODE_TTL_SECONDS",
        "Lifetime of a code that was sent to an account owner",
    ),
    setting(
        "USER_AUTH_ARGON2_MEMORY_KIB",
        "Memory of one password hash in KiB",
    ),
    setting("USER_AUTH_ARGON2_ITERATIONS", "Passes of one password hash"),
    setting(
        "USER_AUTH_THROTTLING_ATTEMPTS_PER_SOURCE",
        "Attempts on one name from one source within the window",
    ),
    setting(
        "USER_AUTH_THROTTLING_FAILURES_PER_SOURCE",
        "Failures of one source within the window",
    ),
    setting(
        "USER_AUTH_THROTTLING_REGISTRATIONS_PER_SOURCE",
        "Accounts that one source may register within the window",
    ),
    setting(
        "USER_AUTH_THROTTLING_WINDOW_SECONDS",
        "Length of the window, from the first attempt",
    ),
    setting(
        "USER_AUTH_THROTTLING_CONSECUTIVE_ATTEMPTS",
        "Attempts on one name without a success, from all sources",
    ),
    setting(
        OAUTH_ENABLED,
        "Whether the service is an OAuth authorization server",
    ),
    setting(
        "USER_AUTH_OAUTH_SERVICE_NAME",
        "The name of the service on its pages",
    ),
    setting(
        "USER_AUTH_OAUTH_REGISTRATION",
        "Whether clients may register themselves: `open` or `off`",
    ),
    setting(
        "USER_AUTH_OAUTH_SIGN_UP",
        "Whether people may create accounts on a page: `on` or `off`",
    ),
    setting(
        "USER_AUTH_OAUTH_ACCENT_COLOR",
        "The colour of buttons and links on the pages, as `#rrggbb`",
    ),
    setting(
        CLIENT_DOCUMENTS,
        "Whether clients may identify themselves by a metadata document: `public`, `loopback` or \
         `off`",
    ),
    setting(
        "USER_AUTH_OAUTH_APPROVALS",
        "The operations and permissions for which agents need their user's approval, separated by \
         commas, or `none`",
    ),
    setting(
        "USER_AUTH_MCP_TOOLSETS",
        "The toolsets that MCP callers get, separated by commas, or `all`",
    ),
    setting(
        "USER_AUTH_MCP_READ_ONLY",
        "Whether MCP callers get only operations that change nothing: `true` or `false`",
    ),
    setting(
        "USER_AUTH_MCP_PASSWORD_TOOLS",
        "Whether MCP callers get operations that take a password: `auto`, `on` or `off`",
    ),
    setting(
        "USER_AUTH_MCP_TOOL_ERRORS",
        "Whether a failed operation is reported as a tool result or as a JSON-RPC error: `auto`, \
         `result` or `error`",
    ),
    setting(
        "USER_AUTH_MCP_OUTPUT_SCHEMAS",
        "Whether the list of tools has the schemas of their outputs: `true` or `false`",
    ),
];

const fn setting(name: &'static str, description: &'static str) -> Setting {
    Setting { name, description }
}
