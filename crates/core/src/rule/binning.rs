//! How rules on distributions divide a numeric feature's values: quantile bins of the training values, bins of equal width, or
//! bins between written edges. The edges are grid points, so that bins are sums of cells.

use serde::{Deserialize, Serialize};

use crate::stats::bins::equal_width_edges;

/// How the values of a numeric feature are divided; categories are divided by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Binning {
    /// So many bins of equal counts in training.
    Quantile(usize),
    /// So many bins of equal width over the training range.
    Width(usize),
    /// Up to the first edge, between two each, and above the last one; a value at an edge is in the bin below it. Ascending.
    Edges(Vec<f64>),
}

/// The bins that are always there.
pub const DECILES: Binning = Binning::Quantile(10);

impl Binning {
    /// Bins of quantiles are always there; those of others are built where a rule asks for them.
    #[must_use]
    pub fn is_quantile(&self) -> bool {
        matches!(self, Self::Quantile(_))
    }

    /// About the number of bins.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Quantile(bins) | Self::Width(bins) => *bins,
            Self::Edges(edges) => edges.len() + 1,
        }
    }

    /// As results name it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Quantile(bins) => format!("quantile-{bins}"),
            Self::Width(bins) => format!("width-{bins}"),
            Self::Edges(edges) => format!("edges-{}", edges.len()),
        }
    }

    /// The edges between its bins of ascending training values without NaN, but of quantiles.
    #[must_use]
    pub fn edges(&self, sorted: &[f64]) -> Vec<f64> {
        match self {
            Self::Quantile(_) => Vec::new(),
            Self::Width(bins) => equal_width_edges(sorted, *bins),
            Self::Edges(edges) => edges.clone(),
        }
    }
}
