//! What of a history was not judged.

use serde::Serialize;

use super::super::display;
use crate::replay::ReplayOutcome;

/// Events of the files that no window has, and so no answer either.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// For a group, behind the watermark or for windows that had closed; once for each group.
    late: u64,
    rejected: u64,
    other_models: u64,
    /// Waited for a label or a prediction until memory ended.
    given_up: u64,
    /// Versions without a baseline.
    without_baseline: u64,
}

impl LeftOut {
    pub fn of(outcome: &ReplayOutcome) -> Self {
        let of = &outcome.counters;
        Self {
            late: of.late.saturating_add(of.after_close).saturating_add(of.ahead),
            rejected: outcome.rejected.values().sum(),
            other_models: outcome.unknown_model,
            given_up: of.given_up,
            without_baseline: outcome.failed.len() as u64,
        }
    }

    /// What to say of them; `None` where there are none.
    pub fn told(&self) -> Option<String> {
        let parts: Vec<String> = [
            (self.late, "late"),
            (self.rejected, "rejected"),
            (self.other_models, "of other models"),
            (self.given_up, "given up for want of memory"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", display::count(n)))
        .collect();
        let events = (!parts.is_empty()).then(|| format!("events left out: {}", parts.join(", ")));
        let versions =
            (self.without_baseline > 0).then(|| format!("versions without baseline: {}", self.without_baseline));
        let all: Vec<String> = events.into_iter().chain(versions).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}
