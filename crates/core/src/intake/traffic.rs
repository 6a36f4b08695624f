//! Over which event times a version counts the model's whole traffic. It does from its first prediction (or its stage
//! pointer) on, until `retire_after` after its last one; windows that reach beyond either are not whole.

use serde::{Deserialize, Serialize};

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
    pub(super) expected: bool,
    pub(super) started: bool,
    /// Events up to here count.
    pub(super) limit: i64,
    /// Something beyond the limit was left out.
    pub(super) lapsed: bool,
    /// Everything before this was counted whatever the limit is now.
    counted_to: Option<i64>,
    span: Span,
}

impl ModelTraffic {
    /// What a release knew that did not say where the counts begin.
    pub fn of_v4(pinned: bool, last_ts: Option<i64>) -> Self {
        Self { started: pinned || last_ts.is_some(), limit: i64::MAX, ..Self::default() }
    }

    /// That of a version whose predictions are known to follow.
    pub fn expected() -> Self {
        Self { expected: true, started: true, limit: i64::MAX, ..Self::default() }
    }

    pub fn span(&self) -> Span {
        self.span
    }

    pub fn counts(&self, ts: i64) -> bool {
        self.started && ts <= self.limit
    }

    /// Moves the limit; `reached` is how far events were read before, and before `whole` no more of them come.
    pub(super) fn renew(&mut self, limit: Option<i64>, reached: Option<i64>, whole: Option<i64>) {
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
    pub(super) fn lapse(&mut self) {
        if !self.lapsed && self.started {
            self.lapsed = true;
            let until = self.limit.saturating_add(1);
            self.span.until = Some(self.counted_to.map_or(until, |to| to.max(until)));
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
