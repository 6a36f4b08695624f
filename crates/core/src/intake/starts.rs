//! Where counts begin that do not hold everything from the beginning of a stream on: a state that was lost, a policy that
//! was away or counts something else, a baseline that was replaced. Windows that reach back before it are not whole.

use serde::{Deserialize, Serialize};

use crate::event::{ByKind, EventKind};
use crate::policy::{LabelAttribute, Policy};
use crate::window::layout::Reads;

/// Why counts begin somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Reading began behind records that this model did not count.
    Behind,
    /// The policy counts something else since.
    Policy,
    /// The version's baseline is another one, or came later than its first events.
    Baseline,
    /// A version of this number was deleted and made anew.
    Version,
    /// The version was not active, so that it did not count the model's traffic.
    Inactive,
    /// Records were gone before they were counted, and an operator went on behind them.
    Gap,
    /// The stream of labels was silent for too long.
    Silent,
    /// What waited to be joined took too much memory.
    GivenUp,
    /// Its name was one of too many new ones.
    Refused,
}

impl Cause {
    /// For people: `its counts begin at …: …`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Behind => "earlier records were not read for this model",
            Self::Policy => "the policy counts something else since",
            Self::Baseline => "its events before were not counted against this baseline",
            Self::Inactive => "the version was not active before",
            Self::Gap => "records before were gone uncounted, which an operator accepted",
            Self::Version => "a version of this number was deleted and this one made anew",
            Self::Silent => "no label had come for longer than `silent_after`, and none was waited for",
            Self::Refused => "its name was one of too many new ones that nobody had registered (`limits.new_versions`)",
            Self::GivenUp => "what had waited for its label took more than `limits.join_bytes` and was given up",
        }
    }
}

/// The first event time from which on everything of a stream was counted, and why not before; everything there was without
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    by_kind: ByKind<Option<(i64, Cause)>>,
    /// Of the predictions that may be joined.
    joined: Option<(i64, Cause)>,
}

fn later(of: &mut Option<(i64, Cause)>, from: i64, cause: Cause) {
    if of.is_none_or(|(is, _)| is < from) {
        *of = Some((from, cause));
    }
}

impl Starts {
    /// Of a stream everything from `from` on was counted, and earlier events perhaps not.
    pub fn raise(&mut self, kind: EventKind, from: i64, cause: Cause) {
        later(self.by_kind.of_mut(kind), from, cause);
    }

    /// Predictions from `from` on may still be joined, and earlier ones perhaps not.
    pub fn raise_joined(&mut self, from: i64, cause: Cause) {
        later(&mut self.joined, from, cause);
    }

    /// Nothing of what `other` says is missing was counted either.
    pub fn raise_to(&mut self, other: &Self) {
        for kind in EventKind::ALL {
            if let Some((from, cause)) = *other.by_kind.of(kind) {
                self.raise(kind, from, cause);
            }
        }
        if let Some((from, cause)) = other.joined {
            self.raise_joined(from, cause);
        }
    }

    /// From where on windows of a group are whole, and why not before; `None` where all are.
    #[must_use]
    pub fn whole_from(&self, policy: &Policy, reads: &Reads) -> Option<(i64, Cause)> {
        let mut from: Option<(i64, Cause)> = None;
        let of = |kind| *self.by_kind.of(kind);
        let mut reads_it = |start: Option<(i64, Cause)>, more: i64| {
            if let Some((ts, cause)) = start {
                later(&mut from, ts.saturating_add(more), cause);
            }
        };
        if reads.counts_predictions() {
            reads_it(of(EventKind::Predictions), 0);
        }
        if reads.features {
            reads_it(of(EventKind::Features), 0);
        }
        if !reads.measured.is_empty() {
            reads_it(of(EventKind::Measurements), 0);
        }
        if let (true, Some(labels)) = (reads.pairs, &policy.labels) {
            // A window holds pairs of predictions that came before it, or of labels stamped before their predictions.
            let (before, early) = match labels.attribute {
                LabelAttribute::LabelTime => (labels.horizon, 0),
                LabelAttribute::PredictionTime => (0, labels.lateness),
            };
            reads_it(of(EventKind::Predictions), before);
            reads_it(self.joined, before);
            reads_it(of(EventKind::Labels), early);
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_group_is_whole_from_where_all_that_it_reads_is() {
        const HOUR: i64 = 3_600_000;
        let text = |attribute: &str| {
            format!(
                "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: \"v{{version}}.csv\", columns: {{score: score, label: label}}}}\n\
                 features: {{numeric: [x], categorical: []}}\nscore: {{threshold: 0.5}}\nsegments: [s]\n\
                 labels: {{horizon: 2h, lateness: 1h, attribute: {attribute}}}\nchecks:\n\
                 \x20 drift:\n    window: {{size: 1h, slide: 1h}}\n    rules: [{{psi: {{of: features, lt: 0.2}}}}]\n\
                 \x20 fair:\n    window: {{size: 1h, slide: 1h}}\n    rules: [{{tpr_gap: {{by: s, lt: 0.2}}}}]\n\
                 \x20 cost:\n    window: {{size: 1h, slide: 1h}}\n    rules: [{{measured: {{of: cost, lt: 1}}}}]\n"
            )
        };
        for (attribute, fair) in [("label_time", [12, 20]), ("prediction_time", [10, 21])] {
            let policy = crate::policy::parse(&text(attribute), Path::new("p.yaml")).unwrap();
            let reads = Reads::of(&policy);
            let whole = |starts: &Starts| -> Vec<Option<i64>> {
                reads.iter().map(|r| starts.whole_from(&policy, r).map(|(ts, _)| ts / HOUR)).collect()
            };
            let mut starts = Starts::default();
            assert_eq!(whole(&starts), [None, None, None]);
            starts.raise(EventKind::Predictions, 10 * HOUR, Cause::Policy);
            starts.raise(EventKind::Predictions, 9 * HOUR, Cause::Policy);
            assert_eq!(whole(&starts), [Some(10), Some(fair[0]), None]);
            starts.raise(EventKind::Labels, 20 * HOUR, Cause::Behind);
            assert_eq!(whole(&starts), [Some(10), Some(fair[1]), None]);
            starts.raise(EventKind::Features, 11 * HOUR, Cause::Behind);
            starts.raise(EventKind::Measurements, 5 * HOUR, Cause::Behind);
            assert_eq!(whole(&starts), [Some(11), Some(fair[1]), Some(5)]);
            // What was given up waiting for its label was counted where labels are not read.
            starts.raise_joined(30 * HOUR, Cause::GivenUp);
            assert_eq!(whole(&starts), [Some(11), Some(30 + fair[0] - 10), Some(5)]);
            let fair = reads.iter().find(|r| r.pairs).and_then(|r| starts.whole_from(&policy, r));
            assert_eq!(fair.map(|(_, cause)| cause), Some(Cause::GivenUp));
        }
    }
}
