//! The daemon that counts for a consumer group. A daemon assigns partitions to itself, so the brokers do not keep two of a group
//! apart; but it commits offsets, and their metadata names it: a mark that it renews as long as it runs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A daemon as the committed offsets name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// A daemon that starts again on the same state is the same one.
    pub instance: String,
    pub started_ms: i64,
    /// Renewed all the time.
    pub beat: u64,
    pub host: String,
    pub pid: u32,
    pub state: String,
    /// It stopped in good order.
    pub stopped: bool,
}

/// How a mark is written into the metadata.
#[derive(Serialize, Deserialize)]
struct Metadata {
    driftgate: Mark,
}

impl Mark {
    /// The written form.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&Metadata { driftgate: self.clone() }).unwrap_or_default()
    }

    pub(super) fn read(metadata: &[u8]) -> Option<Self> {
        Some(serde_json::from_slice::<Metadata>(metadata).ok()?.driftgate)
    }

    /// Of two that count at the same time: whether this one gives way, because it started later.
    #[must_use]
    pub fn yields_to(&self, other: &Self) -> bool {
        (self.started_ms, &self.instance) > (other.started_ms, &other.instance)
    }

    /// For people.
    #[must_use]
    pub fn who(&self) -> String {
        format!("process {} on {} with the state folder {}", self.pid, self.host, self.state)
    }
}

/// A name of the daemon that counts in a state folder: kept there, and another one for a copy of it or on another machine.
///
/// # Errors
/// A folder that cannot be written.
pub fn mark(folder: &Path, now_ms: i64) -> std::io::Result<Mark> {
    let file = folder.join("instance");
    let kept = match std::fs::read_to_string(&file) {
        Ok(kept) if !kept.is_empty() => kept,
        _ => {
            let here = std::ptr::from_ref(&file).addr().to_le_bytes();
            let made = name(&[&now_ms.to_le_bytes(), &std::process::id().to_le_bytes(), &here]);
            crate::private::write(&file, made.as_bytes())?;
            made
        }
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let state = std::fs::canonicalize(folder)?.display().to_string();
    let instance = name(&[kept.as_bytes(), host.as_bytes(), state.as_bytes()]);
    Ok(Mark { instance, started_ms: now_ms, beat: 0, host, pid: std::process::id(), state, stopped: false })
}

fn name(parts: &[&[u8]]) -> String {
    driftgate_core::codec::hash::digest(parts).chars().take(32).collect()
}

/// The offsets to commit, and the daemon that commits them.
#[derive(Debug, Default)]
pub struct Committed {
    pub(super) offsets: BTreeMap<(String, i32), i64>,
    pub(super) mark: Option<Mark>,
    /// Another daemon counts for the group: nothing is committed any more.
    pub(super) lost: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_the_same_on_the_same_state_and_another_on_a_copy() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = mark(one.path(), 1).unwrap();
        let again = mark(one.path(), 2).unwrap();
        assert_eq!(first.instance, again.instance);
        assert!(again.yields_to(&first) && !first.yields_to(&again));
        std::fs::copy(one.path().join("instance"), two.path().join("instance")).unwrap();
        assert_ne!(mark(two.path(), 1).unwrap().instance, first.instance);
        assert_eq!(Mark::read(first.text().as_bytes()), Some(first));
        assert_eq!((Mark::read(b""), Mark::read(b"{\"v\":1}"), Mark::read(&[0xff, 0])), (None, None, None));
    }
}
