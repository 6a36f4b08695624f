//! What a rollout knows of its traffic: its routers, and the share that the candidate really gets.

use serde::{Deserialize, Serialize};

use crate::judge::verdict::Verdict;

/// What is known of a router that follows a rollout. Weights are percent for the candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Route {
    /// `HTTPRoute ml/fraud`.
    pub router: String,
    /// What it was last seen to have of what was written.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub confirmed: Option<f64>,
    /// When that was, by the wall clock, in ms.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub confirmed_ms: Option<i64>,
    /// What is being written: whether it arrived is not known yet.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub writing: Option<f64>,
    /// Somebody else changed it, and who.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub moved: Option<String>,
    /// A copy of every request goes to the candidate, or may: it is set before it is written.
    #[serde(default)]
    pub mirrored: bool,
}

impl Route {
    /// What it has, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { router, confirmed, writing, moved, .. } = self;
        match (moved, writing, confirmed) {
            (Some(why), _, _) => why.clone(),
            (None, Some(writing), Some(has)) => format!("{router} has {has}% and is set to {writing}%"),
            (None, Some(writing), None) => format!("{router} is set to {writing}%"),
            (None, None, Some(has)) => format!("{router} has {has}%"),
            (None, None, None) => format!("{router} is not set yet"),
        }
    }
}

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
    /// Nothing was measured since the weight was set.
    #[must_use]
    pub fn is_unmeasured(&self) -> bool {
        *self == Self::default()
    }

    /// Counts from here on, of the same weight.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { since_ms: self.since_ms, until_ms: self.until_ms, ..Self::default() };
    }

    /// Takes a window of the candidate or the champion; whether the counts changed.
    pub(super) fn take(&mut self, verdict: &Verdict, is_candidate: bool) -> bool {
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
