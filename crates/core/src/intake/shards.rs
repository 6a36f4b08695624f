//! An intake that counts some partitions of the streams while other processes count the others, and one that counts none and closes windows by
//! what they say. `shard` has the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::starts::Starts;
use super::{Intake, SourceId};
use crate::event::{Domain, EventKind};
use crate::window::front::Front;

/// Labels of a shard that wait for predictions: they hold windows open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The time (ms) of the earliest one whose prediction may still come.
    pub earliest: Option<i64>,
    /// Several versions score one request: predictions may still come for labels that were joined.
    pub is_mirrored: bool,
}

/// Labels that wait in shards.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(BTreeMap<u32, Waiting>);

impl Elsewhere {
    /// Up to where windows are held open, where predictions from `may_come_from` on may still come.
    pub fn held(&self, may_come_from: i64) -> Option<i64> {
        if self.0.values().any(|waiting| waiting.is_mirrored) {
            return Some(may_come_from);
        }
        self.0.values().filter_map(|waiting| waiting.earliest).filter(|ts| *ts >= may_come_from).min()
    }
}

impl Intake {
    /// Has it join and count nothing: others do.
    pub fn count_elsewhere(&mut self) {
        self.join = None;
        self.elsewhere = Some(Elsewhere::default());
    }

    /// Labels that wait in a shard.
    pub fn wait_for(&mut self, shard: u32, waiting: Waiting) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.0.insert(shard, waiting);
        }
    }

    /// Labels that wait here, for whoever closes windows.
    #[must_use]
    pub fn waiting_labels(&self) -> Waiting {
        let (Some(join), Some(labels)) = (&self.join, &self.policy.labels) else { return Waiting::default() };
        let lateness = self.policy.groups.iter().map(|g| g.lateness).max().unwrap_or(0);
        let from = self
            .base_of(EventKind::Predictions)
            .map_or(i64::MIN, |base| base.saturating_sub(lateness).saturating_sub(labels.lateness));
        Waiting { earliest: join.earliest_waiting(from), is_mirrored: join.is_mirrored() }
    }

    /// A source partition that another process reads has come so far.
    pub fn stand(&mut self, source: SourceId, front: Front) {
        if let Some(s) = self.sources.get_mut(source.0) {
            s.front = front;
        }
    }

    /// Lets go of what can no longer be joined, by these partitions alone: an id's predictions and labels have one partition.
    pub fn sweep_alone(&mut self) {
        let bases = self.bases();
        self.sweep(&bases);
    }

    /// Where the counts of all versions begin.
    #[must_use]
    pub fn starts(&self) -> Starts {
        self.starts
    }

    /// They begin no earlier than there either.
    pub fn raise_starts(&mut self, starts: &Starts) {
        self.starts.raise_to(starts);
    }

    /// The code of a name, which is known from now on.
    pub fn know(&mut self, domain: Domain, name: &str) -> u32 {
        self.names.know_one(domain, name)
    }

    /// Another process has counted so many more predictions of a version, the last ones at these times (ms; predictions, measurements).
    pub fn see(&mut self, version: &str, (last, measured): (Option<i64>, Option<i64>), more: u64, starts: &Starts) {
        let at = self.names.intern_version(version);
        self.ensure_version(at);
        if let Some(v) = self.versions.get_mut(at as usize) {
            v.last_ts = v.last_ts.max(last);
            v.measured_ts = v.measured_ts.max(measured);
            v.predictions += more;
            let before = v.known.starts;
            v.known.starts.raise_to(starts);
            self.stale |= before != v.known.starts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stay_open_over_labels_that_wait_elsewhere_for_what_may_still_come() {
        let waiting = |earliest, is_mirrored| Waiting { earliest, is_mirrored };
        let mut elsewhere = Elsewhere::default();
        assert_eq!(elsewhere.held(0), None);
        elsewhere.0.extend([(0, waiting(Some(50), false)), (1, waiting(None, false)), (2, waiting(Some(70), false))]);
        assert_eq!([40, 50, 60, 80].map(|from| elsewhere.held(from)), [Some(50), Some(50), Some(70), None]);
        // Where a request was scored twice, another version's prediction may come for any label.
        elsewhere.0.insert(1, waiting(None, true));
        assert_eq!([40, 80].map(|from| elsewhere.held(from)), [Some(40), Some(80)]);
    }
}
