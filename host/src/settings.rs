//! The settings that the component takes from its environment.

/// A setting: its environment variable, and what it sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name of the variable.
    pub name: &'static str,
    /// What it sets, in one line.
    pub description: &'static str,
}

/// All settings. No other variable of the host's environment reaches the
/// component, so a secret in one cannot leak into it.
pub const SETTINGS: &[Setting] = &[
    setting(
        "USER_AUTH_ISSUER",
        "`iss` of the tokens, and the name of the service in authenticator apps",
    ),
    setting("USER_AUTH_AUDIENCE", "`aud` of the tokens"),
    setting(
        "USER_AUTH_OTHER_AUDIENCES",
        "The services that `issue_token` gives tokens for, separated by commas",
    ),
    setting(
        "USER_AUTH_ACCESS_TOKEN_TTL_SECONDS",
        "Lifetime of an access token",
    ),
    setting(
        "USER_AUTH_SESSION_IDLE_SECONDS",
        "How long a session lives without a refresh",
    ),
    setting(
        "USER_AUTH_SESSION_ABSOLUTE_SECONDS",
        "How long a session lives at most",
    ),
    setting(
        "USER_AUTH_FRESH_SESSION_SECONDS",
        "How old a login may be for what takes a fresh session",
    ),
    setting(
        "USER_AUTH_PASSWORD_MIN_LENGTH",
        "The fewest characters of a password",
    ),
    setting(
        "USER_AUTH_CODE_TTL_SECONDS",
        "How long a code is good that was sent to an owner",
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
        "How long these count, from the first",
    ),
    setting(
        "USER_AUTH_THROTTLING_CONSECUTIVE_ATTEMPTS",
        "Attempts on one name without a success, from everywhere",
    ),
    setting(
        "USER_AUTH_MCP_TOOL_ERRORS",
        "Whether a failed operation is a result of its tool or an error of JSON-RPC: `auto`, \
         `result` or `error`",
    ),
];

const fn setting(name: &'static str, description: &'static str) -> Setting {
    Setting { name, description }
}
