//! A window for the tests of rules that read one numeric feature.

use super::binning::Binning;
use super::counts::{
    Binned, Cells, Distribution, KpiCounts, MeasuredValue, QualityCounts, Segments, SumCounts, TargetReference,
    WindowCounts, filled,
};
use super::types::{Aggregate, Target};
use crate::stats::ratio::Ratio;
use crate::stats::weighted::Weighted;

/// The grid of the feature: it has the first of these, as many as its cells are for.
const POINTS: [f64; 4] = [10.0, 20.0, 30.0, 40.0];

/// The mean and the ends of the values of cells, of which the cell k stands for 5(k + 1).
fn of_cells(cells: &[u64]) -> (Option<Ratio>, Option<[f64; 2]>) {
    let filled: Vec<(u64, u64)> = (1..).map(|k| 5 * k).zip(cells.iter().copied()).filter(|(_, n)| *n > 0).collect();
    let (sum, n) = filled.iter().fold((0, 0), |(sum, all), (value, n)| (sum + value * n, all + n));
    #[allow(clippy::cast_precision_loss, reason = "small whole numbers")]
    let ends = filled.first().zip(filled.last()).map(|(low, high)| [low.0 as f64, high.0 as f64]);
    (Ratio::of_counts(sum, n), ends)
}

/// A window with the counts of one numeric feature.
pub struct OneFeature {
    pub cells: Vec<u64>,
    pub reference: Vec<u64>,
}

impl WindowCounts for OneFeature {
    fn min_samples(&self) -> u64 {
        5
    }

    fn min_reference(&self) -> u64 {
        5
    }

    fn slide(&self) -> i64 {
        60_000
    }

    fn design_effect(&self, written: Option<f64>) -> f64 {
        written.unwrap_or(1.0)
    }

    fn labels_may_come(&self) -> bool {
        false
    }

    fn target(&self, _: Target) -> &'static str {
        "amount"
    }

    fn distribution(&self, _: Target) -> Option<Distribution<'_>> {
        Some(Distribution {
            cells: &self.cells,
            n: self.cells.iter().sum(),
            missing: 1,
            invalid: 0,
            reference_n: self.reference.iter().sum(),
            reference_missing: 0,
            reference_invalid: 0,
            reference: TargetReference::Numeric { cells: &self.reference, discrete: false },
        })
    }

    fn binned(&self, _: Target, _: &Binning, _: &[u64]) -> Binned {
        Binned::default()
    }

    fn points(&self, _: Target) -> &[f64] {
        POINTS.get(..self.reference.len() / 2).unwrap_or_default()
    }

    fn range(&self, _: Target) -> Option<(usize, usize)> {
        filled(&self.reference)
    }

    fn deviation(&self, _: Target) -> Option<f64> {
        None
    }

    fn unseen(&self, _: Target) -> Option<Vec<u64>> {
        None
    }

    fn unseen_names(&self, _: Target) -> Vec<(u64, &str)> {
        Vec::new()
    }

    fn segments(&self, _: usize, _: bool) -> Segments<'_> {
        Segments { name: "", each: Vec::new(), unsegmented: 0, reference: None }
    }

    fn segmentation(&self, _: usize) -> &'static str {
        "kind"
    }

    fn each_segment(&self, _: usize, _: &mut dyn FnMut(&str, &dyn WindowCounts)) {}

    fn segments_left_out(&self, _: usize) -> u64 {
        0
    }

    fn score_by_label(&self) -> Option<[&[u64]; 2]> {
        None
    }

    fn reference_score_by_label(&self) -> Option<[&[u64]; 2]> {
        None
    }

    fn quality(&self) -> QualityCounts<'_> {
        QualityCounts::default()
    }

    fn events(&self) -> u64 {
        self.cells.iter().sum()
    }

    fn reference_events(&self) -> Option<u64> {
        None
    }

    fn labels(&self) -> Option<[u64; 2]> {
        None
    }

    fn reference_labels(&self) -> Option<[u64; 2]> {
        None
    }

    fn sum(&self, _: Target) -> Option<SumCounts> {
        let ((mean, ends), (reference_mean, reference_ends)) = (of_cells(&self.cells), of_cells(&self.reference));
        Some(SumCounts { mean, reference_mean, ends, reference_ends, deviation: None })
    }

    fn latency(&self) -> Cells<'_> {
        Cells { cells: &[], missing: 0, invalid: 0 }
    }

    fn errors(&self) -> Cells<'_> {
        Cells { cells: &[], missing: 0, invalid: 0 }
    }

    fn kpi(&self, _: usize) -> KpiCounts<'_> {
        unreachable!("no rule here reads a KPI")
    }

    fn measured(&self, _: usize, _: Aggregate) -> MeasuredValue<'_> {
        MeasuredValue::default()
    }

    fn measured_spread(&self, _: usize) -> Option<Weighted> {
        None
    }
}
