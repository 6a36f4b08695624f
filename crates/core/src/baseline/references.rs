//! What is kept of each column: counts over a grid, counts of categories, and of segments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::beside::{asks_deviations, asks_sum, binnings_of};
use super::built_for::{BuiltFor, DEFAULT_BINS};
use super::columns::{Coded, SnapshotColumns};
use crate::event::Flag;
use crate::policy::{GridPoints, Policy, Target};
use crate::rule::binning::Binning;
use crate::stats::bins::{self, Bin};
use crate::stats::fairness::Confusion;
use crate::stats::fixed::FixedSum;
use crate::stats::grid::{self, Grid};
use crate::stats::wasserstein;

/// A numeric feature with at most so many distinct reference values is tested by chi-square.
const DISCRETE_DISTINCT: usize = 50;
/// So is one where a single value holds more than this share (one in so many).
const DISCRETE_SHARE: usize = 5;

/// Counts of a numeric feature's reference values over its grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumericReference {
    pub grid: Grid,
    /// One count per grid cell.
    pub cells: Vec<u64>,
    /// Values that are there.
    pub count: u64,
    pub missing: u64,
    pub distinct: u64,
    /// Whether `ks_p` tests it by chi-square: few distinct values, or one that holds over a fifth.
    pub discrete: bool,
    /// PSI bins by their number in the policy.
    pub bins: BTreeMap<usize, Vec<Bin>>,
    /// The standard deviation with the divisor n, where a rule reads it and it is finite; stored apart (`Beside::deviations`).
    #[serde(skip)]
    pub deviation: Option<f64>,
    /// Bins that are no quantiles, where a rule reads them; stored apart.
    #[serde(skip)]
    pub others: Vec<(Binning, Vec<Bin>)>,
    /// The sum of the values in billionths, where a rule reads it; stored apart.
    #[serde(skip)]
    pub sum: Option<FixedSum>,
}

impl NumericReference {
    /// Builds the reference of a column that this policy reads as the target; NaN is missing.
    #[must_use]
    pub fn new(policy: &Policy, target: Target, values: &[f64]) -> Self {
        let sorted = grid::sorted(values);
        let deviation = if asks_deviations(policy) { wasserstein::deviation(&sorted) } else { None };
        let sum = asks_sum(policy, target).then(|| FixedSum::of(&sorted));
        let missing = values.len() - sorted.len();
        let bins = (BuiltFor::new(policy).bins, binnings_of(policy, target));
        Self { deviation, sum, ..Self::build(&sorted, missing, policy.features.grid, bins) }
    }

    fn build(
        sorted: &[f64],
        missing: usize,
        points: GridPoints,
        (bin_numbers, binnings): (Vec<usize>, Vec<Binning>),
    ) -> Self {
        let mut distinct = 0_usize;
        let mut most = 0_usize;
        for run in sorted.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
            distinct += 1;
            most = most.max(run.len());
        }
        let edges: BTreeMap<usize, Vec<(f64, bool)>> =
            bin_numbers.into_iter().map(|b| (b, bins::quantile_edges(sorted, b))).collect();
        let others: Vec<(Binning, Vec<f64>)> = binnings.into_iter().map(|b| (b.clone(), b.edges(sorted))).collect();
        let of_others = others.iter().flat_map(|(_, edges)| edges.iter().copied());
        let all_edges: Vec<f64> = edges.values().flatten().map(|&(e, _)| e).chain(of_others).collect();
        let points = match points {
            // So few distinct values all fit: the grid is exact.
            GridPoints::At(n) if distinct > n => Some(n),
            GridPoints::At(_) | GridPoints::Exact => None,
        };
        let grid = Grid::from_sorted(sorted, points, &all_edges);
        Self {
            cells: grid.count_sorted(sorted),
            count: sorted.len() as u64,
            missing: missing as u64,
            distinct: distinct as u64,
            discrete: distinct <= DISCRETE_DISTINCT || most * DISCRETE_SHARE > sorted.len(),
            bins: edges.iter().map(|(&b, e)| (b, bins::bins(&grid, e))).collect(),
            others: others.into_iter().map(|(b, e)| (b, bins::plain_bins(&grid, &e))).collect(),
            grid,
            deviation: None,
            sum: None,
        }
    }

    /// The smallest and the largest value; `None` where there is none.
    #[must_use]
    pub fn ends(&self) -> Option<[f64; 2]> {
        // The cell 2k + 1 holds the values at point k, and both ends are points; a bin's written edge may lie beyond them.
        let at = |cell: Option<usize>| self.grid.points().get(cell? / 2).copied();
        let is_filled = |n: &u64| *n > 0;
        Some([at(self.cells.iter().position(is_filled))?, at(self.cells.iter().rposition(is_filled))?])
    }

    /// The bins that a rule reads; `None` where they were not built.
    #[must_use]
    pub fn bins(&self, binning: &Binning) -> Option<&[Bin]> {
        match binning {
            Binning::Quantile(bins) => self.bins.get(bins).map(Vec::as_slice),
            other => self.others.iter().find(|(known, _)| known == other).map(|(_, bins)| bins.as_slice()),
        }
    }

    /// The default PSI bins (10 quantiles), which chi-square uses.
    #[must_use]
    pub fn default_bins(&self) -> &[Bin] {
        self.bins.get(&DEFAULT_BINS).map_or(&[], Vec::as_slice)
    }
}

/// Counts of a categorical feature's reference values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoricalReference {
    /// Category names, sorted.
    pub names: Vec<String>,
    /// One count per name.
    pub counts: Vec<u64>,
    pub count: u64,
    pub missing: u64,
}

pub fn categorical_reference(column: &Coded) -> CategoricalReference {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_code = vec![0_u64; column.names.len()];
    let mut missing = 0;
    for code in &column.codes {
        match code.and_then(|c| by_code.get_mut(c as usize)) {
            Some(count) => *count += 1,
            None => missing += 1,
        }
    }
    for (name, count) in column.names.iter().zip(by_code).filter(|(_, c)| *c > 0) {
        *counts.entry(name).or_default() += count;
    }
    CategoricalReference {
        count: counts.values().sum(),
        missing,
        names: counts.keys().map(|&n| n.to_owned()).collect(),
        counts: counts.into_values().collect(),
    }
}

pub fn split_by_label(scores: &[f64], labels: &[Flag], reference: &NumericReference) -> [Vec<u64>; 2] {
    let mut split = [vec![0_u64; reference.grid.cells()], vec![0_u64; reference.grid.cells()]];
    let [negative, positive] = &mut split;
    for (&score, &label) in scores.iter().zip(labels).filter(|(s, _)| !s.is_nan()) {
        let side = match label {
            Flag::No => &mut *negative,
            Flag::Yes => &mut *positive,
            Flag::Missing | Flag::Invalid => continue,
        };
        if let Some(cell) = side.get_mut(reference.grid.locate(score)) {
            *cell += 1;
        }
    }
    split
}

pub fn segment_reference(
    policy: &Policy,
    columns: &SnapshotColumns,
    segments: Option<&Coded>,
) -> Option<BTreeMap<String, Confusion>> {
    let (scores, labels, threshold) = (columns.score.as_ref()?, columns.label.as_ref()?, policy.threshold?);
    let segments = segments?;
    let mut by_code = vec![Confusion::default(); segments.names.len()];
    for ((&code, &score), &label) in segments.codes.iter().zip(scores).zip(labels) {
        let label = match label {
            Flag::No => false,
            Flag::Yes => true,
            Flag::Missing | Flag::Invalid => continue,
        };
        if score.is_nan() {
            continue;
        }
        if let Some(counts) = code.and_then(|c| by_code.get_mut(c as usize)) {
            counts.count(score >= threshold, label);
        }
    }
    Some(segments.names.iter().cloned().zip(by_code).collect())
}
