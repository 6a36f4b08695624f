//! The candidate's share of the traffic as the events have it, against the weight that was set.

use serde::{Deserialize, Serialize};

use super::route::is_measured;
use super::state::State;
use crate::codec::number::short;
use crate::codec::time::utc;
use crate::judge::verdict::Verdict;
use crate::stats::departure::departs;
use crate::stats::real::real;

/// A departure that chance alone brings about in one rollout step of a thousand.
const ALPHA: f64 = 0.001;
/// Routers divide the traffic to about a tenth of the smaller part, and to half a percent of all.
const OF_THE_SMALLER: f64 = 0.1;
const LEAST: f64 = 0.005;

/// Predictions by version since the routers have the weight, in windows that do not overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TrafficShare))]
pub struct Share {
    /// Wall clock (ms) since when all routers have the weight; events before it count for nothing.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub since_ms: Option<i64>,
    /// Predictions of the candidate, and of both versions.
    pub candidate: u64,
    pub both: u64,
    /// End of the last window counted.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub until_ms: Option<i64>,
    /// The window whose verdicts are coming in, which is counted with the first verdict after it.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub open: Option<OpenWindow>,
}

/// A window of which not all versions have been judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TrafficShareWindow))]
pub struct OpenWindow {
    pub end_ms: i64,
    pub candidate: u64,
    pub both: u64,
}

impl Share {
    /// Counts from here on, of the same weight.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { since_ms: self.since_ms, until_ms: self.until_ms, ..Self::default() };
    }

    /// Takes a window of the candidate or the champion; whether the counts changed.
    fn take(&mut self, verdict: &Verdict, is_candidate: bool) -> bool {
        let window = verdict.window;
        let Some(since) = self.since_ms.filter(|&since| window.start >= since) else { return false };
        let closed = match self.open {
            Some(open) if open.end_ms < window.end => {
                self.candidate = self.candidate.saturating_add(open.candidate);
                self.both = self.both.saturating_add(open.both);
                self.until_ms = Some(open.end_ms);
                self.open = None;
                true
            }
            _ => false,
        };
        let from = self.until_ms.unwrap_or(since);
        if window.start >= from && self.open.is_none_or(|open| open.end_ms == window.end) {
            let n = verdict.counted.predictions;
            let open = self.open.get_or_insert(OpenWindow { end_ms: window.end, candidate: 0, both: 0 });
            open.both = open.both.saturating_add(n);
            open.candidate = open.candidate.saturating_add(if is_candidate { n } else { 0 });
        }
        closed
    }
}

/// Takes a window of a counting group; why the share surely departs from the weight, if it does now.
pub(super) fn take(state: &mut State, verdict: &Verdict, is_candidate: bool) -> Option<String> {
    if state.champion.is_none() || !is_measured(state) || !state.share.take(verdict, is_candidate) {
        return None;
    }
    let Share { since_ms, candidate, both, .. } = state.share;
    let weight = state.weight / 100.0;
    let tolerated = (OF_THE_SMALLER * weight.min(1.0 - weight)).max(LEAST);
    let bounds = ((weight - tolerated).max(0.0), (weight + tolerated).min(1.0));
    departs(candidate, both, bounds, ALPHA).then(|| {
        format!(
            "the candidate gets {}% of the traffic ({candidate} of {both} predictions since {}), where {}% are set: that is no chance",
            percent(candidate, both),
            utc(since_ms.unwrap_or_default()),
            state.weight
        )
    })
}

/// The share in a sentence; `None` where nothing was counted.
#[must_use]
pub fn measured(state: &State) -> Option<String> {
    let Share { candidate, both, .. } = state.share;
    (both > 0).then(|| format!("the candidate got {}% of {both} predictions", percent(candidate, both)))
}

fn percent(part: u64, whole: u64) -> String {
    short(real(part) / real(whole.max(1)) * 100.0)
}
