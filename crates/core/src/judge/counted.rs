//! A window's counts as rules read them: the tally by its layout, beside the version's baseline.

mod aggregated;
mod classes;
mod distances;
mod outcomes;
mod reference;
mod segmented;

pub use distances::Distances;

use super::against::{Against, ReferenceCounts, confusion_of, two};
use crate::baseline::Baseline;
use crate::event::code;
use crate::intake::names::EventNames;
use crate::policy::{Group, LabelAttribute, Policy};
use crate::rule::binning::Binning;
use crate::rule::comparison::{Compared, Share};
use crate::rule::counts::{
    Binned, Cells, ClassCounts, Distribution, KpiCounts, MeasuredValue, Numbers, QualityCounts, Segments, SegmentsOf,
    SumCounts, TargetReference, WindowCounts, filled,
};
use crate::rule::types::{Aggregate, MOST_VALUE, Target};
use crate::rule::versus::Versus;
use crate::stats::bins::{Bin, sum_bins};
use crate::stats::calibration::Calibration;
use crate::stats::ks;
use crate::stats::multiclass::ByClass;
use crate::stats::regression::Errors;
use crate::stats::weighted::Weighted;
use crate::window::layout::{CellBlock, Layout, Reads};
use crate::window::measured::MeasuredCell;
use crate::window::tally::Tally;

/// Everything a window is judged by.
pub struct JudgedWindow<'a> {
    pub policy: &'a Policy,
    pub group: &'a Group,
    pub reads: &'a Reads,
    pub names: &'a EventNames,
    /// The baseline and the layout of the counts, or why there is none.
    pub reference: Result<(&'a Baseline, &'a Layout), &'a str>,
    pub tally: &'a Tally,
    /// By KPI of `reads`: what it is compared with.
    pub kpis: &'a [Compared],
    /// By reference that the group's rules name, in place of the training snapshot.
    pub against: &'a [Against<'a>],
    /// Distances from training that a rule has asked for.
    pub distances: Distances,
}

/// A reference in place of the training snapshot, its counts if there are any, and the rule's own minimum of samples.
pub(super) type InPlace<'w, 'a> = (Versus, Option<&'w ReferenceCounts<'a>>, Option<u64>);

/// A segment of a segmentation: places among the policy's segmentations, and among the segments that are compared.
#[derive(Clone, Copy)]
pub(super) struct Within {
    by: usize,
    at: usize,
}

/// A window whose version has a baseline, or which is judged without one.
pub(super) struct CountedWindow<'w, 'a> {
    pub window: &'w JudgedWindow<'a>,
    pub reference: Option<(&'w Baseline, &'w Layout)>,
    pub against: Option<InPlace<'w, 'a>>,
    /// The one segment that it is the window of, if it is of one.
    pub within: Option<Within>,
}

impl CountedWindow<'_, '_> {
    fn baseline(&self) -> Option<&Baseline> {
        self.reference.map(|(baseline, _)| baseline)
    }

    fn layout(&self) -> Option<&Layout> {
        self.reference.map(|(_, layout)| layout)
    }

    fn segmentation_name(&self, by: usize) -> &str {
        self.window.policy.segments.get(by).map_or("", |segmentation| segmentation.name.as_str())
    }

    fn target_at(&self, target: Target) -> Option<usize> {
        self.window.reads.targets.binary_search(&target).ok()
    }

    fn cells(&self, block: Option<CellBlock>) -> Cells<'_> {
        let counts = &self.window.tally.counts;
        let Some(block) = block else { return Cells { cells: &[], missing: 0, invalid: 0 } };
        let (missing, invalid) = block.absent(counts);
        Cells { cells: block.slice(counts), missing, invalid }
    }

    /// Counts of unseen categories of a target, with their codes.
    fn unseen_of(&self, target: Target) -> impl Iterator<Item = (u32, u64)> {
        let at = self.target_at(target).and_then(|at| u32::try_from(at).ok());
        let unseen = self.window.tally.unseen.iter();
        unseen.filter(move |((of, _), _)| Some(*of) == at).map(|((_, code), n)| (*code, *n))
    }
}

impl WindowCounts for CountedWindow<'_, '_> {
    fn min_samples(&self) -> u64 {
        self.window.policy.min_samples
    }

    fn min_reference(&self) -> u64 {
        let policy = self.window.policy;
        self.against.map_or(policy.min_reference, |(.., least)| least.unwrap_or(policy.min_samples))
    }

    fn versus(&self) -> Versus {
        self.against.map_or(Versus::Training, |(versus, ..)| versus)
    }

    fn slide(&self) -> i64 {
        self.window.group.window.slide
    }

    fn design_effect(&self, written: Option<f64>) -> f64 {
        self.baseline().map_or(1.0, |baseline| baseline.design_effect(written))
    }

    fn labels_may_come(&self) -> bool {
        let labels = self.window.policy.labels.as_ref();
        labels.is_some_and(|labels| labels.attribute == LabelAttribute::PredictionTime)
    }

    fn target(&self, target: Target) -> &str {
        self.window.policy.target_name(target)
    }

    fn distribution(&self, target: Target) -> Option<Distribution<'_>> {
        let (baseline, layout) = self.reference?;
        if target == Target::Label {
            return self.label_distribution(baseline, layout);
        }
        if let Some(within) = self.within {
            return self.distribution_within(within, target);
        }
        let at = self.target_at(target)?;
        if target == Target::Prediction {
            return self.class_distribution(baseline, target, *layout.predictions.get(at)?);
        }
        let counted = |block: &CellBlock| {
            let cells = self.cells(Some(*block));
            (cells.cells.iter().sum::<u64>(), cells)
        };
        let mut found = counted(layout.predictions.get(at)?);
        if found.0 + found.1.invalid == 0
            && self.window.tally.features > 0
            && let Some(block) = layout.features.get(at).filter(|_| target != Target::Score)
        {
            found = counted(block);
        }
        let (n, Cells { cells, missing, invalid }) = found;
        if self.against.is_some() {
            return self.beside_reference(baseline, (at, target), (n, Cells { cells, missing, invalid }));
        }
        let (reference_n, reference_missing, reference) = match target {
            Target::Categorical(i) => {
                let known = baseline.categorical.get(i)?;
                (known.count, known.missing, TargetReference::Categorical(&known.names))
            }
            numeric => {
                let known = baseline.numeric(numeric)?;
                let reference = TargetReference::Numeric { cells: &known.cells, discrete: known.discrete };
                (known.count, known.missing, reference)
            }
        };
        let reference_invalid = 0;
        Some(Distribution { cells, n, missing, invalid, reference_n, reference_missing, reference_invalid, reference })
    }

    fn binned(&self, target: Target, bins: &Binning, cells: &[u64]) -> Binned {
        let Some(baseline) = self.baseline() else { return Binned::default() };
        let within = self.within.map(|within| self.reference_cells_within(within, target).unwrap_or_default());
        match target {
            Target::Categorical(i) => {
                let mut reference = baseline.categorical.get(i).map(|r| r.counts.clone()).unwrap_or_default();
                reference.push(0);
                if self.against.is_some() {
                    reference = self.categories_in_reference(baseline, i).unwrap_or_else(|| vec![0; reference.len()]);
                }
                let reference = within.unwrap_or(reference);
                Binned { reference, window: cells.to_vec(), edges: Vec::new() }
            }
            Target::Label | Target::Prediction if baseline.classes.is_some() => {
                let reference = self.classes_in_reference(baseline, target).map_or_else(Vec::new, |found| found.0);
                Binned { reference, window: cells.to_vec(), edges: Vec::new() }
            }
            Target::Label if !self.window.policy.is_regression() => {
                let [no, yes] = self.labels_in_reference(baseline).unwrap_or_default();
                Binned { reference: vec![no, yes, 0], window: cells.to_vec(), edges: Vec::new() }
            }
            numeric => {
                let Some(reference) = baseline.numeric(numeric) else { return Binned::default() };
                let edges = reference.bins(bins).map(<[Bin]>::to_vec).unwrap_or_default();
                let own = match self.against {
                    _ if within.is_some() => within.as_deref(),
                    None => Some(reference.cells.as_slice()),
                    Some(_) => self.cells_in_reference(baseline, numeric).map(|found| found.cells),
                };
                Binned { reference: sum_bins(&edges, own.unwrap_or(&[])), window: sum_bins(&edges, cells), edges }
            }
        }
    }

    fn ks(&self, target: Target, c: &Distribution<'_>) -> Option<ks::Distance> {
        if self.against.is_some() || self.within.is_some() {
            return c.ks();
        }
        self.window.distances.ks(target, c)
    }

    fn points(&self, target: Target) -> &[f64] {
        self.baseline().and_then(|baseline| baseline.numeric(target)).map_or(&[], |known| known.grid.points())
    }

    fn range(&self, target: Target) -> Option<(usize, usize)> {
        let baseline = self.baseline()?;
        match self.within {
            Some(within) => filled(&within.reference(baseline, target)?.cells),
            None => filled(&baseline.numeric(target)?.cells),
        }
    }

    fn deviation(&self, target: Target) -> Option<f64> {
        let baseline = self.baseline()?;
        match self.within {
            Some(within) => within.reference(baseline, target)?.deviation,
            None => baseline.numeric(target)?.deviation,
        }
    }

    fn unseen(&self, target: Target) -> Option<Vec<u64>> {
        if self.within.is_some() {
            return None;
        }
        // A code that stands for many is no category.
        self.unseen_of(target).map(|(code, n)| (code < code::SPECIAL).then_some(n)).collect()
    }

    fn unseen_names(&self, target: Target) -> Vec<(u64, &str)> {
        let (Target::Categorical(feature), None) = (target, self.within) else { return Vec::new() };
        let names = self.window.names;
        self.unseen_of(target).filter_map(|(code, n)| Some((n, names.category(feature, code)?))).collect()
    }

    fn segments(&self, by: usize, selection: bool) -> Segments<'_> {
        self.decided_segments(by, selection)
    }

    fn class_segments(&self, by: usize) -> SegmentsOf<'_, ByClass> {
        self.segments_of_classes(by)
    }

    fn error_segments(&self, by: usize) -> SegmentsOf<'_, Errors> {
        self.segments_of_errors(by)
    }

    fn segmentation(&self, by: usize) -> &str {
        self.segmentation_name(by)
    }

    fn each_segment(&self, by: usize, each: &mut dyn FnMut(&str, &dyn WindowCounts)) {
        self.hand_segments(by, each);
    }

    fn segments_left_out(&self, by: usize) -> u64 {
        self.baseline().and_then(|baseline| baseline.segmented(by)).map_or(0, |known| known.left_out)
    }

    fn comparisons(&self) -> u64 {
        self.within.map_or(1, |within| self.segments_of(within))
    }

    fn score_by_label(&self) -> Option<[&[u64]; 2]> {
        let [no, yes] = self.layout()?.auc?;
        let counts = &self.window.tally.counts;
        Some([no.slice(counts), yes.slice(counts)])
    }

    fn reference_score_by_label(&self) -> Option<[&[u64]; 2]> {
        if self.against.is_some() {
            let (counts, baseline) = (self.counts_in_reference()?, self.baseline()?);
            let [no, yes] = counts.layout.auc.filter(|_| counts.shares_grid(baseline, Target::Score))?;
            return Some([counts.cells(no), counts.cells(yes)]);
        }
        let [no, yes] = self.baseline()?.score_by_label.as_ref()?;
        Some([no, yes])
    }

    fn calibration(&self) -> Option<&Calibration> {
        self.baseline()?.calibrated.as_ref()?.calibration.as_ref()
    }

    fn quality(&self) -> QualityCounts<'_> {
        let decided = self.baseline().and_then(|baseline| baseline.beside.decided).unwrap_or_default();
        let confusion = confusion_of(self.cells(self.layout().and_then(|layout| layout.confusion)).cells);
        let decisions = two(self.cells(self.layout().and_then(|layout| layout.decisions)).cells).unwrap_or_default();
        let (reference, reference_decisions) = self.decided_in_reference(decided);
        let score = self.baseline().and_then(|baseline| baseline.score.as_ref());
        QualityCounts {
            confusion,
            decisions,
            reference,
            reference_decisions,
            points: score.map_or(&[], |score| score.grid.points()),
            bins: score.map_or(&[], |score| score.default_bins()),
        }
    }

    fn numbers(&self) -> Numbers {
        let now = self.errors_of(self.window.tally);
        let reference = if self.against.is_none() {
            self.baseline().and_then(|baseline| baseline.regression.as_ref()?.errors)
        } else {
            self.counts_in_reference().and_then(|counts| self.errors_of(counts.tally))
        };
        Numbers { now, reference }
    }

    fn classes(&self) -> ClassCounts<'_> {
        self.class_counts()
    }

    fn events(&self) -> u64 {
        self.window.tally.predictions
    }

    fn reference_events(&self) -> Option<u64> {
        self.counts_in_reference().map(|counts| counts.tally.predictions)
    }

    fn labels(&self) -> Option<[u64; 2]> {
        let cells = self.cells(Some(self.layout()?.labels?)).cells;
        // A number, or one of several classes, is neither of two: it is there.
        if self.window.policy.pairs_numbers() { Some([0, cells.iter().sum()]) } else { two(cells) }
    }

    fn reference_labels(&self) -> Option<[u64; 2]> {
        self.labels_in_reference(self.baseline()?)
    }

    fn sum(&self, target: Target) -> Option<SumCounts> {
        let known = self.baseline()?.numeric(target)?;
        let mean = |cell: Option<MeasuredCell>| cell?.exact_mean();
        let ends = |cell: Option<MeasuredCell>| cell.and_then(|cell| Some([cell.min()?, cell.max()?]));
        let bounded = |value: f64| value.clamp(-MOST_VALUE, MOST_VALUE);
        let (reference_mean, reference_ends) = if self.against.is_none() {
            (known.sum.and_then(|sum| sum.exact_mean()), known.ends().map(|ends| ends.map(bounded)))
        } else {
            let then = self.counts_in_reference().and_then(|counts| self.summed(counts.tally, target));
            (mean(then), ends(then))
        };
        let now = self.summed(self.window.tally, target);
        Some(SumCounts { mean: mean(now), reference_mean, ends: ends(now), reference_ends, deviation: known.deviation })
    }

    fn reference_kpi(&self, of: usize) -> Option<Share> {
        let counts = self.counts_in_reference()?;
        let at = self.window.reads.kpis.binary_search(&of).ok()?;
        let [no, yes] = two(counts.cells(*counts.layout.kpis.get(at)?))?;
        Some(Share { yes, n: no + yes })
    }

    fn latency(&self) -> Cells<'_> {
        self.cells(self.layout().and_then(|layout| layout.latency))
    }

    fn errors(&self) -> Cells<'_> {
        self.cells(self.layout().and_then(|layout| layout.error))
    }

    fn kpi(&self, of: usize) -> KpiCounts<'_> {
        let name = self.window.policy.kpis.get(of).map_or("", String::as_str);
        let at = self.window.reads.kpis.binary_search(&of).unwrap_or(usize::MAX);
        let block = self.layout().and_then(|layout| layout.kpis.get(at).copied());
        let own = match self.cells(block).cells {
            [no, yes] => Share { yes: *yes, n: no + yes },
            _ => Share::default(),
        };
        KpiCounts { name, own, compared: self.window.kpis.get(at) }
    }

    fn measured(&self, of: usize, aggregate: Aggregate) -> MeasuredValue<'_> {
        let name = self.window.policy.measured.get(of).map_or("", String::as_str);
        aggregated::aggregated(name, &aggregated::measured(self.window.tally, self.window.reads, of), aggregate)
    }

    fn measured_spread(&self, of: usize) -> Option<Weighted> {
        aggregated::spread(self.window.tally, self.window.reads, of)
    }
}

#[cfg(test)]
mod tests;
