//! An intake that counts some partitions of the streams while other processes count the others, and one that counts none and closes windows by
//! what they say. `shard` has the whole.

use super::elsewhere::{Elsewhere, Waiting};
use super::starts::Starts;
use super::{Intake, SourceId};
use crate::event::{Domain, EventKind};
use crate::window::front::Front;

impl Intake {
    /// Has it join and count nothing: others do.
    pub fn count_elsewhere(&mut self) {
        self.join = None;
        self.elsewhere = Some(Elsewhere::default());
    }

    /// Labels that wait in a shard.
    pub fn wait_for(&mut self, shard: u32, waiting: Waiting) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.note(shard, waiting);
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
