//! The candidate's share of the traffic as the events have it, against the weight that was set.

use super::state::{Phase, State};
use super::traffic::Share;
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

/// The phase in which candidates have a share that can be measured.
fn is_measured(state: &State) -> bool {
    matches!(state.phase, Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting) && state.weight > 0.0
}
