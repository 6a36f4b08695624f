//! What a rule is judged by: the counts of one window beside those of the training snapshot. The judge implements it.

use std::collections::BTreeMap;

use super::binning::Binning;
use super::comparison::{Compared, Share};
use super::types::{Aggregate, Target};
use super::versus::Versus;
use crate::stats::bins::Bin;
use crate::stats::calibration::Calibration;
use crate::stats::fairness::Confusion;
use crate::stats::ks;
use crate::stats::multiclass::ByClass;
use crate::stats::ratio::Ratio;
use crate::stats::regression::Errors;
use crate::stats::weighted::Weighted;

/// One window of a version and a group, with the version's baseline.
pub trait WindowCounts {
    /// The policy's `min_samples` and `min_reference`.
    fn min_samples(&self) -> u64;
    fn min_reference(&self) -> u64;
    /// What the reference is, where it is not the training snapshot.
    fn versus(&self) -> Versus {
        Versus::Training
    }
    /// Milliseconds between two windows.
    fn slide(&self) -> i64;
    /// The design effect of a rule: the one that is written, else what repeats in the snapshot, else 1.
    fn design_effect(&self, written: Option<f64>) -> f64;
    /// Whether pairs count in the window of their prediction, so that some of its labels may not have come yet.
    fn labels_may_come(&self) -> bool;

    /// The feature's name, or `score`.
    fn target(&self, target: Target) -> &str;
    /// `None` for a target without a reference.
    fn distribution(&self, target: Target) -> Option<Distribution<'_>>;
    /// Counts of a distribution in these bins.
    fn binned(&self, target: Target, bins: &Binning, cells: &[u64]) -> Binned;
    /// The distance of Kolmogorov and Smirnov of a target whose counts these are; `None` of a categorical one, or where nothing was counted. Several rules
    /// read it.
    fn ks(&self, target: Target, c: &Distribution<'_>) -> Option<ks::Distance> {
        let _ = target;
        c.ks()
    }
    /// The points of a numeric target's grid, strictly increasing: training values with the smallest and the largest one (`range`), and the
    /// edges of written bins, which may lie beyond those; empty for categories and where the snapshot has no value. Cell 2k + 1 of a
    /// distribution holds the values at point k, cell 2k those between the points k - 1 and k.
    fn points(&self, target: Target) -> &[f64];
    /// The cells of a numeric target's smallest and largest training value; both are points of its grid.
    fn range(&self, target: Target) -> Option<(usize, usize)>;
    /// The standard deviation (divisor n) of a numeric target's training values, for a rule with `Read::Deviations`; `None` where it
    /// is not finite.
    fn deviation(&self, target: Target) -> Option<f64>;
    /// The counts of unseen categories, each by itself; `None` where they are not all told apart.
    fn unseen(&self, target: Target) -> Option<Vec<u64>>;
    /// Unseen categories with their names.
    fn unseen_names(&self, target: Target) -> Vec<(u64, &str)>;

    fn segments(&self, by: usize, selection: bool) -> Segments<'_>;
    /// The segments of a segmentation with the counts of each class; for rules with `Read::ClassSegmentation`.
    fn class_segments(&self, by: usize) -> SegmentsOf<'_, ByClass> {
        let _ = by;
        SegmentsOf::default()
    }
    /// The segments of a segmentation with the errors of their labelled predictions; for rules with `Read::ErrorSegmentation`.
    fn error_segments(&self, by: usize) -> SegmentsOf<'_, Errors> {
        let _ = by;
        SegmentsOf::default()
    }
    /// The name of a segmentation.
    fn segmentation(&self, by: usize) -> &str;
    /// Hands each segment that is compared by itself to `each`, by name, as a window of its own; for rules with `Read::BySegment`.
    fn each_segment(&self, by: usize, each: &mut dyn FnMut(&str, &dyn WindowCounts));
    /// How many segments of the snapshot there is no room for.
    fn segments_left_out(&self, by: usize) -> u64;
    /// How many segments the rule is judged in, each by itself: a correction for the number of comparisons counts them all.
    fn comparisons(&self) -> u64 {
        1
    }

    /// Score cells of pairs labelled 0 and 1, in the window and in the snapshot.
    fn score_by_label(&self) -> Option<[&[u64]; 2]>;
    fn reference_score_by_label(&self) -> Option<[&[u64]; 2]>;

    /// Decisions over all segments, and the score's grid.
    fn quality(&self) -> QualityCounts<'_>;

    /// Errors of labelled predictions, of a policy whose labels are numbers.
    fn numbers(&self) -> Numbers {
        Numbers::default()
    }

    /// Labelled predictions by the predicted class and the label, of a policy with classes.
    fn classes(&self) -> ClassCounts<'_> {
        ClassCounts::default()
    }

    /// What turns the score into the probability of a positive label, for a rule with `Read::Calibration`; `None` where no row of a score and a
    /// label was there.
    fn calibration(&self) -> Option<&Calibration> {
        None
    }

    /// The version's predictions, and those of the reference; a snapshot has none.
    fn events(&self) -> u64;
    fn reference_events(&self) -> Option<u64>;
    /// Labels 0 and 1 of joined pairs, and those of the reference.
    fn labels(&self) -> Option<[u64; 2]>;
    fn reference_labels(&self) -> Option<[u64; 2]>;
    /// The mean and the ends of a numeric target's values, for a rule with `Read::Sum`.
    fn sum(&self, target: Target) -> Option<SumCounts>;

    fn latency(&self) -> Cells<'_>;
    /// `[no error, error]`.
    fn errors(&self) -> Cells<'_>;
    fn kpi(&self, of: usize) -> KpiCounts<'_>;
    /// The KPI in the reference, where that is not the training snapshot.
    fn reference_kpi(&self, of: usize) -> Option<Share> {
        let _ = of;
        None
    }
    fn measured(&self, of: usize, aggregate: Aggregate) -> MeasuredValue<'_>;

    /// How far they spread; for rules with `Read::MeasuredSpread`, `None` where it is not counted.
    fn measured_spread(&self, of: usize) -> Option<Weighted>;
}

/// A numeric target's mean and ends, here and in the reference; `None` without values. A value beyond ±1e12 counts as that.
#[derive(Clone, Copy, Debug, Default)]
pub struct SumCounts {
    pub mean: Option<Ratio>,
    pub reference_mean: Option<Ratio>,
    /// The smallest and the largest value as they are, but for those beyond ±1e12.
    pub ends: Option<[f64; 2]>,
    pub reference_ends: Option<[f64; 2]>,
    /// The standard deviation of the training values.
    pub deviation: Option<f64>,
}

/// Errors of predicted numbers, in the window and in its reference; `None` where they are not counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    pub now: Option<Errors>,
    pub reference: Option<Errors>,
}

/// Confusion matrices of several classes, in the window and in its reference: a row a label, a column a prediction, row by row. Empty, or
/// `None`, where they are not counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassCounts<'c> {
    pub classes: &'c [String],
    pub now: &'c [u64],
    pub reference: Option<&'c [u64]>,
}

/// One target's counts in the window and in the snapshot.
pub struct Distribution<'c> {
    /// By cell of the grid, or by category with the unseen ones last. The first cell of a grid holds values below all training values,
    /// the last one those above them (`stats::grid`); missing and invalid values are in none.
    pub cells: &'c [u64],
    pub n: u64,
    pub missing: u64,
    pub invalid: u64,
    pub reference_n: u64,
    pub reference_missing: u64,
    /// A snapshot has none.
    pub reference_invalid: u64,
    pub reference: TargetReference<'c>,
}

impl Distribution<'_> {
    /// The distance of Kolmogorov and Smirnov from the reference.
    #[must_use]
    pub fn ks(&self) -> Option<ks::Distance> {
        match self.reference {
            TargetReference::Numeric { cells, .. } => ks::distance(cells, self.cells),
            TargetReference::Categorical(_) => None,
        }
    }

    /// Events of the window: the samples of rates of missing and invalid values. `n` counts only the values measured, of
    /// which a feature that is gone has none.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.n + self.missing + self.invalid
    }

    /// The same of the reference.
    #[must_use]
    pub fn reference_events(&self) -> u64 {
        self.reference_n + self.reference_missing + self.reference_invalid
    }

    /// Values below the smallest and above the largest training value: a grid keeps these two values however many others it
    /// leaves out, and outside of them has only written edges. `None` for categories, and where the snapshot has no value.
    #[must_use]
    pub fn outside(&self) -> Option<(u64, u64)> {
        let TargetReference::Numeric { cells: reference, .. } = self.reference else { return None };
        let (first, last) = filled(reference)?;
        Some((self.cells.iter().take(first).sum(), self.cells.iter().skip(last + 1).sum()))
    }
}

/// The first and the last cell with a count.
#[must_use]
pub fn filled(cells: &[u64]) -> Option<(usize, usize)> {
    Some((cells.iter().position(|n| *n > 0)?, cells.iter().rposition(|n| *n > 0)?))
}

/// What the snapshot has of a target.
#[derive(Clone, Copy)]
pub enum TargetReference<'c> {
    Numeric {
        /// By cell of the grid.
        cells: &'c [u64],
        /// Few distinct values, or one that holds over a fifth.
        discrete: bool,
    },
    /// The categories' names.
    Categorical(&'c [String]),
}

/// Reference and window counts by bin, and what the bins are.
#[derive(Default)]
pub struct Binned {
    pub reference: Vec<u64>,
    pub window: Vec<u64>,
    /// Empty for categories.
    pub edges: Vec<Bin>,
}

/// One segment in the window and in the snapshot.
pub struct Segment<'c> {
    pub name: &'c str,
    /// Joined pairs.
    pub confusion: Confusion,
    /// Predictions by predicted class, labelled or not.
    pub predicted: [u64; 2],
    pub reference: Option<Confusion>,
}

/// The segments of one segmentation that have any counts, by name.
#[derive(Default)]
pub struct Segments<'c> {
    pub name: &'c str,
    pub each: Vec<Segment<'c>>,
    /// Pairs (or predictions) without a segment.
    pub unsegmented: u64,
    /// All segments of the snapshot.
    pub reference: Option<&'c BTreeMap<String, Confusion>>,
}

/// The segments of one segmentation with what was counted of their labelled predictions, by name; no reference where it has none of them.
pub struct SegmentsOf<'c, T> {
    pub each: Vec<(&'c str, T)>,
    pub reference: Option<Vec<(&'c str, T)>>,
    /// Labelled predictions without a segment.
    pub unsegmented: u64,
}

impl<T> Default for SegmentsOf<'_, T> {
    fn default() -> Self {
        Self { each: Vec::new(), reference: None, unsegmented: 0 }
    }
}

/// What metrics of all decisions, and of the score, are made of; default where no rule of the group reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct QualityCounts<'c> {
    /// Joined pairs.
    pub confusion: Confusion,
    /// Predictions by predicted class, labelled or not.
    pub decisions: [u64; 2],
    /// The snapshot's rows with a label, and all with a score; `None` where it has no such column.
    pub reference: Option<Confusion>,
    pub reference_decisions: Option<[u64; 2]>,
    /// The points of the score's grid, and its bins of equal counts in the snapshot; empty where the snapshot has no score.
    pub points: &'c [f64],
    pub bins: &'c [Bin],
}

/// Counts with those of missing and invalid values.
pub struct Cells<'c> {
    pub cells: &'c [u64],
    pub missing: u64,
    pub invalid: u64,
}

/// A KPI in the window, and what it is compared with.
pub struct KpiCounts<'c> {
    pub name: &'c str,
    pub own: Share,
    pub compared: Option<&'c Compared>,
}

/// An aggregate of a window's measurements.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeasuredValue<'c> {
    pub name: &'c str,
    pub n: u64,
    /// `None` where nothing was measured.
    pub value: Option<f64>,
    /// The value as the ratio of integers that it is, if it is one.
    pub exact: Option<Ratio>,
}
