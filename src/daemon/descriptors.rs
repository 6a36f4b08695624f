//! File descriptors: as many as the system gives, and connections only as many as leave enough for the registry, checkpoints,
//! snapshots and brokers.

use crate::http::server::connections::CONNECTIONS;
use crate::telemetry::events::lifecycle::FewerConnections;

/// Kept for everything but connections: files of the registry and the state, sockets to brokers, MLflow and webhooks, and
/// connections that are about to end.
const KEPT: u64 = 160;
/// With fewer connections a flood of reads leaves none to probes; a quarter of the descriptors where those are very few.
const LEAST: u64 = 32;

/// Raises the soft limit to the hard one; how many descriptors there may be then, if the system says.
#[must_use]
#[allow(unsafe_code, reason = "the standard library does not ask for limits")]
pub fn raise() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes the structure that it is given, which lives until it returns.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return None;
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the call reads the structure that it is given.
    if before < limit.rlim_max && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Some(before);
    }
    Some(limit.rlim_cur)
}

/// How many connections there may be with so many descriptors; says where they are fewer than were asked for.
#[must_use]
pub fn connections(asked: Option<usize>, descriptors: Option<u64>) -> usize {
    let wanted = asked.unwrap_or(CONNECTIONS);
    let Some(descriptors) = descriptors else { return wanted };
    let left = usize::try_from(descriptors.saturating_sub(KEPT).max(LEAST.min(descriptors / 4))).unwrap_or(usize::MAX);
    if left < wanted {
        FewerConnections { descriptors, connections: left, wanted }.emit();
    }
    wanted.min(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(connections(None, Some(1024)), 256);
        assert_eq!(connections(None, Some(256)), 96);
        assert_eq!(connections(None, Some(128)), 32);
        assert_eq!(connections(None, Some(64)), 16);
        assert_eq!(connections(Some(5000), Some(1024)), 864);
        assert_eq!(connections(Some(40), None), 40);
        assert!(raise().is_some_and(|n| n > 0));
    }
}
