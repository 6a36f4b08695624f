//! The snapshot's values by segment, of the targets that rules with `by` compare: over the grid and the categories of the whole snapshot.

use serde::{Deserialize, Serialize};

use crate::rule::types::Target;

/// The segments of a segmentation with the most rows of the snapshot are compared, at most so many.
pub const MOST_SEGMENTS: usize = 100;

/// The segments of one segmentation that are compared each by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segmented {
    /// Its place among the policy's segmentations.
    pub by: usize,
    /// The segments that are compared, sorted.
    pub names: Vec<String>,
    /// Segments of the snapshot that there was no room for.
    pub left_out: u64,
    /// What rules compare of them, in order.
    pub targets: Vec<SegmentedTarget>,
}

/// One target's values by segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentedTarget {
    pub target: Target,
    /// One for each of `Segmented::names`.
    pub segments: Vec<SegmentReference>,
}

/// One target's values in one segment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SegmentReference {
    /// By cell of the whole snapshot's grid, or by category with an empty cell for unseen ones last.
    pub cells: Vec<u64>,
    pub missing: u64,
    /// The standard deviation with the divisor n of a numeric target; `None` where it is not finite.
    pub deviation: Option<f64>,
}

impl Segmented {
    /// A target's values by segment, where a rule compares them.
    #[must_use]
    pub fn target(&self, target: Target) -> Option<&[SegmentReference]> {
        let at = self.targets.binary_search_by_key(&target, |known| known.target).ok()?;
        self.targets.get(at).map(|known| known.segments.as_slice())
    }
}
