//! A window for the tests of rules that read one numeric feature.

use super::binning::Binning;
use super::counts::{
    Binned, Cells, Distribution, KpiCounts, MeasuredValue, QualityCounts, Segments, SumCounts, TargetReference,
    WindowCounts, filled,
};
use super::types::{Aggregate, Target};

/// The grid of the feature has the first of these, as many as its cells are for.
const POINTS: [f64; 4] = [10.0, 20.0, 30.0, 40.0];

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
        None
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
}
