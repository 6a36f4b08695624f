//! Where each count of a (version, group) is in its flat array of counts. Compiled from the policy group (what its
//! rules read) and the version's baseline (how large its grids are); each group keeps only what its rules read.

use crate::baseline::Baseline;
use crate::policy::{Group, Policy, Target, Traffic};
use crate::rule::{Read, compared_by_segment};
use crate::stats::quantile;
use crate::stats::regression::{self, spread};
use crate::stats::weighted;
use crate::window::tally::SegmentCounts;

/// What the rules of one group read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Distributions, in order, each once.
    pub targets: Vec<Target>,
    /// Segmentations whose counts are kept.
    pub segmentations: Vec<usize>,
    /// Which of them rules on joined pairs read: the others count predictions only.
    pub labelled: Vec<bool>,
    /// Score cells by label.
    pub auc: bool,
    /// Labels of joined pairs, whatever was decided.
    pub labels: bool,
    /// Errors of joined pairs of numbers: their sums stand behind those of the targets.
    pub numbers: bool,
    /// Joined pairs of so many classes, by predicted class and label; 0 where no rule reads them.
    pub classes: usize,
    /// Whether each segmentation has a list of segments for each class, or lists of what is summed of errors.
    pub by_class: bool,
    pub by_error: bool,
    /// Whether what the spread of errors is computed from is summed beside them.
    pub spread: bool,
    /// Targets whose values are counted by segment too, each behind the segmentation, in order.
    pub by_segment: Vec<(usize, Target)>,
    /// Targets whose values are summed, in order: their sums stand behind the measured ones.
    pub sums: Vec<Target>,
    /// Joined pairs by decision and label, and predictions by decision; all segments together.
    pub confusion: bool,
    pub decisions: bool,
    /// Whether windows without events are judged while the version is active.
    pub volume: bool,
    pub latency: bool,
    pub error: bool,
    /// KPIs as indexes into the policy's.
    pub kpis: Vec<usize>,
    /// Measured metrics as indexes into the policy's.
    pub measured: Vec<usize>,
    /// Those of them of which it is summed how far they spread.
    pub weighted: Vec<usize>,
    /// Whether any rule counts predictions (or features), and whether any counts joined pairs.
    pub predictions: bool,
    pub pairs: bool,
    /// Whether any rule reads features, which may come from the features stream.
    pub features: bool,
    pub traffic: Traffic,
}

impl Reads {
    #[must_use]
    pub fn new(group: &Group) -> Self {
        let mut reads = Self {
            by_segment: compared_by_segment(group.rules.iter().map(|rule| &rule.kind)),
            predictions: group.rules.iter().any(|r| !r.kind.reads_labels() && !r.kind.reads_measurements()),
            pairs: group.rules.iter().any(|r| r.kind.reads_labels()),
            traffic: group.traffic,
            ..Self::default()
        };
        for rule in &group.rules {
            for read in rule.kind.reads() {
                match read {
                    Read::Distribution(Target::Label) | Read::Labels => reads.labels = true,
                    Read::Distribution(target) => reads.targets.push(target),
                    Read::Sum(target) => reads.sums.push(target),
                    Read::Segmentation(by) => reads.segmentations.push(by),
                    Read::ClassSegmentation(by) => {
                        reads.segmentations.push(by);
                        reads.by_class = true;
                    }
                    Read::ErrorSegmentation(by) => {
                        reads.segmentations.push(by);
                        reads.by_error = true;
                    }
                    Read::ScoreByLabel => reads.auc = true,
                    Read::Confusion => reads.confusion = true,
                    Read::Decisions => reads.decisions = true,
                    Read::Latency(_) => reads.latency = true,
                    Read::Errors => reads.numbers = true,
                    Read::Spread => reads.spread = true,
                    Read::Classes(classes) => reads.classes = classes,
                    Read::Error => reads.error = true,
                    Read::Volume => reads.volume = true,
                    Read::Kpi(of) => reads.kpis.push(of),
                    Read::Measured(of) => reads.measured.push(of),
                    Read::MeasuredSpread(of) => reads.weighted.push(of),
                    // These are read of the snapshot, or were read above.
                    Read::Bins(_)
                    | Read::Deviations
                    | Read::Calibration
                    | Read::SnapshotSegments(_)
                    | Read::BySegment(..) => {}
                }
            }
            reads.features |= rule.kind.reads_features();
        }
        once(&mut reads.sums);
        once(&mut reads.targets);
        reads.features &= reads.targets.iter().any(|t| !matches!(t, Target::Score | Target::Prediction));
        once(&mut reads.segmentations);
        let by_pairs =
            |by: &usize| group.rules.iter().any(|r| r.kind.reads_labels() && r.kind.segmentation() == Some(*by));
        reads.labelled = reads.segmentations.iter().map(by_pairs).collect();
        once(&mut reads.kpis);
        once(&mut reads.measured);
        once(&mut reads.weighted);
        reads
    }

    /// Whether anything but measurements is read: only then predictions (and what hangs on them: the stage, the baseline)
    /// are counted, and hold the watermark.
    #[must_use]
    pub fn counts_predictions(&self) -> bool {
        self.predictions || self.pairs
    }

    /// Whether predictions count in their segments: of several classes and of numbers none is positive.
    #[must_use]
    pub fn has_decided_segments(&self) -> bool {
        !self.segmentations.is_empty() && !self.by_class && !self.by_error
    }

    /// How many lists of segments a segmentation has: one, one for each class, or as many as hold the sums of errors.
    #[must_use]
    pub fn lists(&self) -> usize {
        match (self.by_class, self.by_error) {
            (true, _) => self.classes.max(1),
            (_, true) => self.error_counts().div_ceil(SegmentCounts::LEN),
            _ => 1,
        }
    }

    /// How many counts hold the sums of errors of a segment.
    #[must_use]
    pub fn error_counts(&self) -> usize {
        regression::COUNTS + if self.spread { spread::COUNTS } else { 0 }
    }

    /// The segmentation of each list of segments, in the order of the lists.
    pub fn segment_lists(&self) -> impl Iterator<Item = usize> + '_ {
        self.segmentations.iter().flat_map(|by| std::iter::repeat_n(*by, self.lists()))
    }

    /// Whether the predicted class of every prediction is counted.
    #[must_use]
    pub fn counts_classes(&self) -> bool {
        self.decisions || self.has_decided_segments()
    }

    /// Whether the predicted class of labelled predictions is counted.
    #[must_use]
    pub fn counts_decided_pairs(&self) -> bool {
        self.confusion || (self.has_decided_segments() && self.labelled.contains(&true))
    }

    /// Where the sums of a target stand among the measured cells: of its values in predictions, and in the features stream.
    #[must_use]
    pub fn sums_at(&self, sum: usize) -> [usize; 2] {
        let own = self.measured.len() + 2 * sum;
        [own, own + 1]
    }

    /// Where the sums of errors stand among the measured cells, the first of `TERMS`.
    #[must_use]
    pub fn errors_at(&self) -> usize {
        self.measured.len() + 2 * self.sums.len()
    }

    /// Where those of their spread stand behind them, if it is counted.
    #[must_use]
    pub fn spread_at(&self) -> Option<usize> {
        self.spread.then(|| self.errors_at() + regression::TERMS)
    }

    /// Where the sums of the spread of a measured metric stand behind all others; `None` where they are not kept.
    #[must_use]
    pub fn weighted_at(&self, of: usize) -> Option<usize> {
        let at = self.weighted.binary_search(&of).ok()?;
        Some(self.errors_at() + regression::TERMS + spread::TERMS + at * weighted::TERMS)
    }

    /// The reads of all groups of a policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Vec<Self> {
        policy.groups.iter().map(Self::new).collect()
    }
}

/// Puts a list in order, each once.
fn once<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

/// A run of counts: `cells` of them from `offset`, then one for missing and one for invalid values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellBlock {
    pub offset: usize,
    pub cells: usize,
}

impl CellBlock {
    #[must_use]
    pub fn missing(self) -> usize {
        self.cells
    }

    #[must_use]
    pub fn invalid(self) -> usize {
        self.cells + 1
    }

    /// The cells' counts; empty where the block is not in `counts`.
    #[must_use]
    pub fn slice(self, counts: &[u64]) -> &[u64] {
        counts.get(self.offset..self.offset + self.cells).unwrap_or(&[])
    }

    /// Counts of missing and invalid values.
    #[must_use]
    pub fn absent(self, counts: &[u64]) -> (u64, u64) {
        let at = |i: usize| counts.get(self.offset + i).copied().unwrap_or(0);
        (at(self.missing()), at(self.invalid()))
    }
}

/// Where the counts of one (version, group) are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// One block a target of `Reads::targets`: values the predictions carry.
    pub predictions: Vec<CellBlock>,
    /// The same for values of the features stream; empty without one.
    pub features: Vec<CellBlock>,
    /// Score cells of pairs labelled 0 and 1.
    pub auc: Option<[CellBlock; 2]>,
    pub latency: Option<CellBlock>,
    /// `[no error, error]`.
    pub error: Option<CellBlock>,
    /// `[no, yes]`, one block a KPI of `Reads::kpis`.
    pub kpis: Vec<CellBlock>,
    /// Pairs by decision and label: [`Confusion`](crate::stats::confusion::Confusion) as TN, FP, FN, TP.
    pub confusion: Option<CellBlock>,
    /// Pairs of classes: a row a label, a column a prediction, row by row.
    pub classes: Option<CellBlock>,
    /// `[negative, positive]` decisions.
    pub decisions: Option<CellBlock>,
    /// Labels 0 and 1, and none, as a categorical feature has its unseen ones; of numbers their cells of the snapshot's grid.
    pub labels: Option<CellBlock>,
    /// By entry of `Reads::by_segment`: one block a segment that the baseline compares, of values the predictions carry.
    pub by_segment: Vec<Vec<CellBlock>>,
    /// How many lists of segments keep confusion counts.
    pub segmentations: usize,
    /// How many counts there are.
    pub total: usize,
}

impl Layout {
    /// Lays out the counts; without a baseline only what needs none.
    #[must_use]
    pub fn new(reads: &Reads, baseline: Option<&Baseline>, features_stream: bool) -> Self {
        let mut total = 0;
        let mut block = |cells: usize| {
            let block = CellBlock { offset: total, cells };
            total += cells + 2;
            block
        };
        let cells = |target: &Target| -> usize {
            let Some(baseline) = baseline else { return 0 };
            match target {
                Target::Categorical(i) => baseline.categorical.get(*i).map_or(0, |c| c.names.len() + 1),
                Target::Prediction | Target::Label if baseline.classes.is_some() => {
                    baseline.classes.as_ref().map_or(0, |known| known.names.len() + 1)
                }
                numeric => baseline.numeric(*numeric).map_or(0, |n| n.grid.cells()),
            }
        };
        let predictions = reads.targets.iter().map(|t| block(cells(t))).collect();
        let features = if features_stream && reads.features {
            reads
                .targets
                .iter()
                .map(|t| block(if matches!(t, Target::Score | Target::Prediction) { 0 } else { cells(t) }))
                .collect()
        } else {
            Vec::new()
        };
        let segments = |by: usize| baseline.and_then(|b| b.segmented(by)).map_or(0, |known| known.names.len());
        let by_segment = reads.by_segment.iter();
        let by_segment = by_segment.map(|(by, t)| (0..segments(*by)).map(|_| block(cells(t))).collect()).collect();
        let score_cells = cells(&Target::Score);
        // Of classes, and of numbers that the snapshot has none of: 0, 1 and none.
        let label_cells = Some(cells(&Target::Label)).filter(|cells| *cells > 0).unwrap_or(3);
        let auc = (reads.auc && score_cells > 0).then(|| [block(score_cells), block(score_cells)]);
        Self {
            predictions,
            features,
            auc,
            latency: reads.latency.then(|| block(quantile::BUCKETS)),
            error: reads.error.then(|| block(2)),
            kpis: reads.kpis.iter().map(|_| block(2)).collect(),
            confusion: reads.confusion.then(|| block(4)),
            classes: (reads.classes > 0).then(|| block(reads.classes * reads.classes)),
            decisions: reads.decisions.then(|| block(2)),
            labels: reads.labels.then(|| block(label_cells)),
            by_segment,
            segmentations: reads.segment_lists().count(),
            total,
        }
    }
}
