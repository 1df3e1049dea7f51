//! The interfaces that this host offers to a component, and those that it requires of one.

/// The interfaces that this host provides, without versions, and the versions in which
/// it provides them.
const OFFERED: &[(&str, &str)] = &[
    ("user-auth:plugin/client", CONTRACT),
    ("user-auth:plugin/delivery", CONTRACT),
    ("user-auth:plugin/documents", CONTRACT),
    ("user-auth:plugin/keys", CONTRACT),
    ("user-auth:plugin/password-hash", CONTRACT),
    ("user-auth:plugin/signing", CONTRACT),
    ("user-auth:plugin/store", CONTRACT),
    ("user-auth:plugin/telemetry", CONTRACT),
    ("user-auth:plugin/types", CONTRACT),
    ("wasi:cli/environment", WASI),
    ("wasi:cli/exit", WASI),
    ("wasi:cli/stderr", WASI),
    ("wasi:cli/stdin", WASI),
    ("wasi:cli/stdout", WASI),
    ("wasi:cli/terminal-input", WASI),
    ("wasi:cli/terminal-output", WASI),
    ("wasi:cli/terminal-stderr", WASI),
    ("wasi:cli/terminal-stdin", WASI),
    ("wasi:cli/terminal-stdout", WASI),
    ("wasi:clocks/monotonic-clock", WASI),
    ("wasi:clocks/wall-clock", WASI),
    ("wasi:io/error", WASI),
    ("wasi:io/poll", WASI),
    ("wasi:io/streams", WASI),
    ("wasi:random/insecure", WASI),
    ("wasi:random/insecure-seed", WASI),
    ("wasi:random/random", WASI),
];

/// The interfaces that a component must export.
pub(super) const REQUIRED: &[&str] = &[
    "user-auth:plugin/auth",
    "user-auth:plugin/http",
    "user-auth:plugin/maintenance",
    "user-auth:plugin/mcp",
];

/// Semantic versioning: before 1.0, versions with the same second number are
/// compatible.
pub(super) const CONTRACT: &str = "0.2";
const WASI: &str = "0.2";

/// Returns whether this host provides the interface with this full name.
pub(super) fn is_offered(name: &str) -> bool {
    OFFERED
        .iter()
        .any(|(offered, line)| matches(name, offered, line))
}

/// Returns whether this host calls the interface with this full name.
pub(super) fn is_used(name: &str) -> bool {
    REQUIRED
        .iter()
        .any(|required| matches(name, required, CONTRACT))
}

/// Returns whether `name` is the interface `base` in a version compatible with `line`.
fn matches(name: &str, base: &str, line: &str) -> bool {
    let Some((name, version)) = name.split_once('@') else {
        return false;
    };
    name == base
        && version
            .strip_prefix(line)
            .is_some_and(|rest| rest.starts_with('.'))
}

/// Returns the name of an interface without its version.
pub(super) fn base_name(name: &str) -> &str {
    name.split_once('@').map_or(name, |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_matches_within_its_compatible_line() {
        assert!(is_offered("wasi:cli/stdout@0.2.6"));
        assert!(!is_offered("wasi:cli/stdout@0.3.0"));
        assert!(!is_offered("wasi:cli/stdout@0.20.0"));
        assert!(!is_offered("wasi:cli/stdout"));
        assert!(!is_offered("wasi:filesystem/types@0.2.6"));
        assert!(!is_offered("wasi:sockets/tcp@0.2.6"));
    }
}
