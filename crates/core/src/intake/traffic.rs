//! Over which event times a version counts the model's whole traffic. It does from its first prediction (or its stage
//! pointer) on, until `retire_after` after its last one; windows that reach beyond either are not whole.

use serde::{Deserialize, Serialize};

use super::Intake;
use super::job::Job;
use super::versions::Version;
use crate::event::EventKind;

/// The event times whose traffic a version counted whole; everything where nothing bounds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: Option<i64>,
    pub until: Option<i64>,
}

/// A version and the model's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelTraffic {
    /// It counts from the beginning, as a replay knows whose predictions follow.
    expected: bool,
    started: bool,
    /// Events up to here count.
    limit: i64,
    /// Something beyond the limit was left out.
    lapsed: bool,
    /// Everything before this was counted whatever the limit is now.
    counted_to: Option<i64>,
    span: Span,
}

impl ModelTraffic {
    /// What a release knew that did not say where the counts begin.
    pub fn of_v4(pinned: bool, last_ts: Option<i64>) -> Self {
        Self { started: pinned || last_ts.is_some(), limit: i64::MAX, ..Self::default() }
    }

    pub fn span(&self) -> Span {
        self.span
    }

    pub fn counts(&self, ts: i64) -> bool {
        self.started && ts <= self.limit
    }

    /// Moves the limit; `reached` is how far events were read before, and before `whole` no more of them come.
    fn renew(&mut self, limit: Option<i64>, reached: Option<i64>, whole: Option<i64>) {
        let Some(limit) = limit.or_else(|| self.started.then_some(i64::MIN)) else { return };
        if !self.started || (self.lapsed && limit > self.limit) {
            let from = reached.map(|ts| ts.saturating_add(1));
            *self = Self { expected: self.expected, started: true, limit, ..Self::default() };
            self.span.from = from;
        } else if limit < self.limit {
            self.counted_to = self.counted_to.max(whole.filter(|_| !self.lapsed));
        }
        self.limit = limit;
    }

    /// An event was left out.
    fn lapse(&mut self) {
        if !self.lapsed && self.started {
            self.lapsed = true;
            let until = self.limit.saturating_add(1);
            self.span.until = Some(self.counted_to.map_or(until, |to| to.max(until)));
        }
    }
}

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
            v.model = ModelTraffic { expected: true, started: true, limit: i64::MAX, ..ModelTraffic::default() };
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

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Option<i64> = Some(50);

    #[test]
    fn traffic_is_whole_between_the_first_and_the_last_that_was_counted() {
        let mut traffic = ModelTraffic::default();
        traffic.renew(None, SINCE, None);
        assert!(!traffic.counts(60));
        traffic.renew(Some(70), SINCE, None);
        assert_eq!((traffic.counts(70), traffic.counts(71)), (true, false));
        assert_eq!(traffic.span(), Span { from: Some(51), until: None });
        // Its next prediction comes before anything was left out.
        traffic.renew(Some(90), Some(75), None);
        assert_eq!(traffic.span(), Span { from: Some(51), until: None });
        traffic.lapse();
        assert_eq!(traffic.span(), Span { from: Some(51), until: Some(91) });
        traffic.renew(Some(90), Some(95), None);
        assert_eq!(traffic.span(), Span { from: Some(51), until: Some(91) });
        traffic.renew(Some(120), Some(95), None);
        assert_eq!(traffic.span(), Span { from: Some(96), until: None });
    }

    #[test]
    fn a_pointer_that_is_taken_away_leaves_whole_what_was_counted() {
        let mut traffic = ModelTraffic::default();
        traffic.renew(Some(i64::MAX), None, None);
        assert_eq!(traffic.span(), Span::default());
        traffic.renew(Some(30), Some(100), Some(90));
        traffic.lapse();
        assert_eq!(traffic.span(), Span { from: None, until: Some(90) });
        let mut never_served = ModelTraffic::default();
        never_served.renew(Some(i64::MAX), Some(10), None);
        never_served.renew(None, Some(100), Some(90));
        assert!(!never_served.counts(0));
        never_served.lapse();
        assert_eq!(never_served.span(), Span { from: Some(11), until: Some(90) });
    }
}
