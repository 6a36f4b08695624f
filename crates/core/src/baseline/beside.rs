//! What only some rules ask of a snapshot: decisions by segment, and how the rows of a unit repeat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::by_segment::Segmented;
use super::columns::{Coded, SnapshotColumns};
use crate::event::Flag;
use crate::policy::{Policy, Target};
use crate::rule::binning::Binning;
use crate::rule::compared_by_segment;
use crate::stats::fairness::Confusion;

/// What only some rules ask of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Segmentations that rules on selection read, in order.
    pub selection_by: Vec<usize>,
    /// One for each: decisions over all rows with a score, labelled or not; `None` where the snapshot has no such column or
    /// no score.
    pub selection: Vec<Option<BTreeMap<String, Confusion>>>,
    /// The column of the policy's `unit` and how its values repeat.
    pub unit: Option<(String, Repeats)>,
    /// Decisions over all segments, where a rule reads them; a file without them is of format 2.
    #[serde(skip)]
    pub decided: Option<Decided>,
    /// Whether the references have their standard deviations, where a rule reads them; a file without them is of format 3 or 2.
    #[serde(skip)]
    pub deviations: bool,
    /// What was added with format 5.
    #[serde(skip)]
    pub added: Added,
    /// The segmentations whose segments rules compare each by itself; a file with any is of format 6.
    #[serde(skip)]
    pub segmented: Vec<Segmented>,
}

/// What rules ask of a snapshot since format 5; default where none does, and then a file is of an older format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// By numeric feature, then of the score: bins that are no quantiles. Empty where no rule reads any.
    pub binnings: Vec<Vec<Binning>>,
    /// By numeric feature, then of the score: whether the sum of its values is kept. Empty where no rule reads any.
    pub sums: Vec<bool>,
    /// Rows labelled 0 and 1, where a rule reads labels; the inner `None` where the snapshot has no label.
    pub labels: Option<Option<[u64; 2]>>,
}

impl Added {
    fn asked_by(policy: &Policy) -> Self {
        let targets = || (0..policy.features.numeric.len()).map(Target::Numeric).chain([Target::Score]);
        let binnings: Vec<_> = targets().map(|target| binnings_of(policy, target)).collect();
        let sums: Vec<_> = targets().map(|target| asks_sum(policy, target)).collect();
        Self {
            binnings: if binnings.iter().all(Vec::is_empty) { Vec::new() } else { binnings },
            sums: if sums.contains(&true) { sums } else { Vec::new() },
            labels: policy.rules().any(|rule| rule.kind.reads_all_labels()).then_some(None),
        }
    }

    fn new(policy: &Policy, columns: &SnapshotColumns) -> Self {
        let asked = Self::asked_by(policy);
        let counted = columns.label.as_ref().map(|labels| {
            let count = |of: Flag| labels.iter().filter(|label| **label == of).count() as u64;
            [count(Flag::No), count(Flag::Yes)]
        });
        Self { labels: asked.labels.map(|_| counted), ..asked }
    }

    fn serves(&self, policy: &Policy) -> bool {
        let asked = Self::asked_by(policy);
        self.binnings == asked.binnings && self.sums == asked.sums && self.labels.is_some() == asked.labels.is_some()
    }
}

/// Bins of a numeric target that are no quantiles and that rules read, in the policy's order, each once.
pub(super) fn binnings_of(policy: &Policy, target: Target) -> Vec<Binning> {
    let mut found: Vec<Binning> = Vec::new();
    for rule in policy.rules() {
        let Some(binning) = rule.kind.binning().filter(|binning| !binning.is_quantile()) else { continue };
        if rule.kind.targets().contains(&target) && !found.contains(&binning) {
            found.push(binning);
        }
    }
    found
}

/// Whether a rule reads the sum of a target's values.
pub(super) fn asks_sum(policy: &Policy, target: Target) -> bool {
    policy.rules().any(|rule| rule.kind.sums().contains(&target))
}

/// The snapshot's decisions by its score and the policy's threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Over the rows with a label; `None` where the snapshot has no label or no score.
    pub labelled: Option<Confusion>,
    /// `[negative, positive]`, over all rows with a score, labelled or not; `None` where the snapshot has no score.
    pub decisions: Option<[u64; 2]>,
}

impl Decided {
    fn new(policy: &Policy, columns: &SnapshotColumns) -> Self {
        let (Some(scores), Some(threshold)) = (columns.score.as_ref(), policy.threshold) else {
            return Self::default();
        };
        let mut decisions = [0, 0];
        for score in scores.iter().filter(|score| !score.is_nan()) {
            let [no, yes] = &mut decisions;
            *if *score >= threshold { yes } else { no } += 1;
        }
        let labelled = columns.label.as_ref().map(|labels| {
            let mut counts = Confusion::default();
            for (score, label) in scores.iter().zip(labels).filter(|(score, _)| !score.is_nan()) {
                match label {
                    Flag::No => counts.count(*score >= threshold, false),
                    Flag::Yes => counts.count(*score >= threshold, true),
                    Flag::Missing | Flag::Invalid => {}
                }
            }
            counts
        });
        Self { labelled, decisions: Some(decisions) }
    }
}

/// How the values of a column repeat: with `b_i` rows of the i-th value, `Σ b_i` and `Σ b_i²`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    pub rows: u64,
    pub squares: u64,
}

impl Repeats {
    fn of(column: &Coded) -> Self {
        let mut by_code = vec![0_u64; column.names.len()];
        // A row that names no unit is one of its own.
        let mut repeats = Self::default();
        for code in &column.codes {
            repeats.rows += 1;
            match code.and_then(|c| by_code.get_mut(c as usize)) {
                Some(count) => *count += 1,
                None => repeats.squares += 1,
            }
        }
        repeats.squares = by_code.iter().fold(repeats.squares, |sum, b| sum.saturating_add(b.saturating_mul(*b)));
        repeats
    }

    /// The design effect 1 + (b − 1)·ρ of Kish (Survey Sampling, 1965, section 5.4) with the b of clusters that differ in size,
    /// `Σ b_i²/Σ b_i`, and ρ = 1: rows of one unit say all the same. An upper bound where they do not; 1 where nothing repeats.
    #[must_use]
    pub fn design_effect(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a relative error of 2^-53")]
        let (squares, rows) = (self.squares as f64, self.rows as f64);
        (squares / rows.max(1.0)).max(1.0)
    }
}

impl Beside {
    /// What a policy asks for: segmentations of rules on selection, and the unit's column.
    #[must_use]
    pub fn asked_by(policy: &Policy) -> (Vec<usize>, Option<&str>) {
        (Self::selection_by(policy), policy.unit.as_deref())
    }

    fn selection_by(policy: &Policy) -> Vec<usize> {
        let mut by: Vec<usize> = policy.rules().filter_map(|r| r.kind.selection_by()).collect();
        by.sort_unstable();
        by.dedup();
        by
    }

    /// By numeric feature, then of the score: bins that are no quantiles and that rules read; empty where there are none.
    #[must_use]
    pub fn binnings(policy: &Policy) -> Vec<Vec<Binning>> {
        Added::asked_by(policy).binnings
    }

    fn asks_decided(policy: &Policy) -> bool {
        policy.rules().any(|rule| rule.kind.reads_decided())
    }

    pub(super) fn new(policy: &Policy, columns: &SnapshotColumns) -> Self {
        let selection_by = Self::selection_by(policy);
        let of = |by: &usize| selection_reference(policy, columns, columns.segments.get(*by)?.as_deref()?);
        let unit = policy.unit.clone().zip(columns.unit.as_deref().map(Repeats::of));
        let decided = Self::asks_decided(policy).then(|| Decided::new(policy, columns));
        let deviations = asks_deviations(policy);
        let added = Added::new(policy, columns);
        let selection = selection_by.iter().map(of).collect();
        Self { selection, selection_by, unit, decided, deviations, added, segmented: Vec::new() }
    }

    /// Whether it holds what a policy asks for.
    pub(super) fn serves(&self, policy: &Policy) -> bool {
        let (selection_by, unit) = Self::asked_by(policy);
        self.selection_by == selection_by
            && self.unit.as_ref().map(|u| u.0.as_str()) == unit
            && self.decided.is_some() == Self::asks_decided(policy)
            && self.deviations == asks_deviations(policy)
            && self.added.serves(policy)
            && self.segmented.iter().flat_map(asked).eq(compared_by_segment(policy.rules().map(|rule| &rule.kind)))
    }
}

fn asked(of: &Segmented) -> impl Iterator<Item = (usize, Target)> {
    of.targets.iter().map(|known| (of.by, known.target))
}

/// Whether a rule of the policy reads the standard deviations of the snapshot's columns.
pub(super) fn asks_deviations(policy: &Policy) -> bool {
    policy.rules().any(|rule| rule.kind.reads_deviations())
}

fn selection_reference(
    policy: &Policy,
    columns: &SnapshotColumns,
    segments: &Coded,
) -> Option<BTreeMap<String, Confusion>> {
    let (scores, threshold) = (columns.score.as_ref()?, policy.threshold?);
    let mut by_code = vec![[0_u64; 2]; segments.names.len()];
    for (&code, &score) in segments.codes.iter().zip(scores).filter(|(_, score)| !score.is_nan()) {
        if let Some([no, yes]) = code.and_then(|c| by_code.get_mut(c as usize)) {
            *if score >= threshold { yes } else { no } += 1;
        }
    }
    Some(segments.names.iter().cloned().zip(by_code.into_iter().map(Confusion::of_decisions)).collect())
}
