//! Adapts the connection limit to the file descriptors that the system allows.

use user_auth_host::Limits;

/// Descriptors reserved for other uses: the database and its readers, the log, system
/// files.
const RESERVE: usize = 256;

/// Raises the limit of descriptors as far as permitted, and lowers the connection limit
/// to fit: without a reserve even the store could not open files.
pub(crate) fn fit(limits: Limits) -> Limits {
    #[cfg(unix)]
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) => return limits_for(descriptors, limits),
        Err(error) => tracing::warn!(%error, "the limit on open files is unknown"),
    }
    limits
}

#[cfg(unix)]
fn limits_for(descriptors: u64, mut limits: Limits) -> Limits {
    let wanted = limits.connections;
    limits.connections = wanted.min(places(descriptors));
    if limits.connections < wanted {
        tracing::warn!(
            connections = limits.connections,
            wanted,
            descriptors,
            "the system allows too few open files for all connections; raise the limit with `ulimit -n`"
        );
    }
    limits
}

/// Returns the number of connections for which the descriptors suffice.
#[cfg(unix)]
fn places(descriptors: u64) -> usize {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    descriptors - RESERVE.min(descriptors / 2)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_other_uses() {
        assert_eq!(places(64), 32);
        assert_eq!(places(1024), 768);
        let limits = limits_for(1024, Limits::default());
        assert_eq!(limits.connections, 768);
        let limits = limits_for(u64::MAX, Limits::default());
        assert_eq!(limits, Limits::default());
    }
}
