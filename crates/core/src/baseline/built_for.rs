//! The part of a policy that a baseline depends on: a policy that reads something else needs another build.

use serde::{Deserialize, Serialize};

use crate::policy::{GridPoints, Policy, Rule};
use crate::rule::binning::Binning;

/// PSI bins that are always there: chi-square on discrete features uses them.
pub const DEFAULT_BINS: usize = 10;

/// The part of a policy a baseline depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltFor {
    pub numeric: Vec<String>,
    pub categorical: Vec<String>,
    pub segmentations: Vec<String>,
    pub grid: GridPoints,
    pub bins: Vec<usize>,
    pub threshold: Option<f64>,
    pub score: bool,
}

impl BuiltFor {
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let mut bins = vec![DEFAULT_BINS];
        let quantiles = |rule: &Rule| match rule.kind.binning()? {
            Binning::Quantile(bins) => Some(bins),
            Binning::Width(_) | Binning::Edges(_) => None,
        };
        bins.extend(policy.rules().filter_map(quantiles));
        bins.sort_unstable();
        bins.dedup();
        Self {
            numeric: policy.features.numeric.clone(),
            categorical: policy.features.categorical.clone(),
            segmentations: policy.segments.iter().map(|s| s.name.clone()).collect(),
            grid: policy.features.grid,
            bins,
            threshold: policy.threshold,
            score: policy.baseline.score_column.is_some(),
        }
    }
}
