//! Every connection takes a descriptor, and the system gives only so many.

use user_auth_host::Limits;

/// Descriptors that are kept for other things than connections: the database
/// and its readers, the log, files of the system.
const RESERVE: usize = 256;

/// Has the system allow as many descriptors as it may, and the limits expect no
/// more connections than that: beyond it not even the store would get any.
pub(super) fn fit(limits: Limits) -> Limits {
    #[cfg(unix)]
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) => return limits_for(descriptors, limits),
        Err(error) => tracing::warn!(%error, "the limit of open files is not known"),
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
            "the system allows too few open files for all connections; `ulimit -n` raises that"
        );
    }
    limits
}

/// How many connections so many descriptors are enough for.
#[cfg(unix)]
fn places(descriptors: u64) -> usize {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    descriptors - RESERVE.min(descriptors / 2)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_other_things() {
        assert_eq!(places(64), 32);
        assert_eq!(places(1024), 768);
        let limits = limits_for(1024, Limits::default());
        assert_eq!(limits.connections, 768);
        let limits = limits_for(u64::MAX, Limits::default());
        assert_eq!(limits, Limits::default());
    }
}
