//! Which versions count the model's whole traffic, as the intake admits it.

use super::Intake;
use super::job::Job;
use super::traffic::ModelTraffic;
use super::versions::Version;
use crate::event::EventKind;

impl Version {
    /// Up to when events of the model count for this version, by what is known now.
    fn model_limit(&self, gap: i64) -> Option<i64> {
        let forever = self.pinned || (self.model.expected && self.last_ts.is_none());
        if forever { Some(i64::MAX) } else { self.last_ts.map(|ts| ts.saturating_add(gap)) }
    }

    /// Leaves out an event of the model that came at this time, if it is beyond the limit; returns whether that is new.
    pub(super) fn leave_out(&mut self, ts: i64) -> bool {
        let is_new = !self.model.lapsed && self.model.started && !self.model.counts(ts);
        if is_new {
            self.model.lapse();
            self.known.traffic = self.model.span();
        }
        is_new
    }
}

impl Intake {
    /// Has a version count the model's traffic from the beginning: its predictions are known to follow.
    pub fn expect(&mut self, version: &str) {
        let at = self.names.intern_version_within(version);
        self.ensure_version(at);
        if let Some(v) = self.versions.get_mut(at as usize) {
            v.model = ModelTraffic::expected();
        }
    }

    /// How far the predictions were read.
    pub(super) fn reached(&self) -> Option<i64> {
        let of_predictions = self.sources.iter().filter(|s| s.kind == EventKind::Predictions);
        of_predictions.filter_map(|s| s.front.claimed()).max()
    }

    /// Says which versions count the accepted rows of the model's traffic, and up to which time; `reached` is how far
    /// predictions were read before.
    pub(super) fn count_for_active(&mut self, ts: &[i64], reached: Option<i64>, job: &mut Job) {
        let lateness = self.policy.groups.iter().map(|g| g.lateness).max().unwrap_or(0);
        let whole = self.base_of(EventKind::Predictions).map(|base| base.saturating_sub(lateness));
        let model = self.counting.model.groups;
        let times = || {
            let rows = job.accepted.iter().filter(|(_, mask)| mask & model != 0);
            rows.filter_map(|(row, _)| ts.get(*row as usize).copied())
        };
        let span = times().min().zip(times().max());
        for (code, v) in (0_u32..).zip(&mut self.versions) {
            v.model.renew(v.model_limit(self.policy.retire_after), reached, whole);
            self.stale |= v.known.traffic != v.model.span();
            v.known.traffic = v.model.span();
            let (true, Some((earliest, latest))) = (v.model.started, span) else { continue };
            self.stale |= v.leave_out(latest);
            if !v.model.counts(earliest) {
                continue;
            }
            job.active.push((code, v.model.limit));
            v.bare |= v.baseline().is_none();
            self.stale |= v.look_up(&self.names);
        }
    }
}
