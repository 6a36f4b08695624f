//! Which of the segments that a baseline compares a code of a segmentation means.

use super::names::EventNames;
use crate::baseline::Baseline;

/// By segmentation, then by code: the place of the segment among those that the baseline compares; `NONE` for others.
#[derive(Clone, Debug, Default)]
pub struct SegmentLookup {
    places: Vec<Vec<u32>>,
}

/// The place of a segment that is not compared.
const NONE: u32 = u32::MAX;

impl SegmentLookup {
    /// Looks up the codes that are new since the last call.
    pub(super) fn look_up(&mut self, baseline: &Baseline, names: &EventNames) {
        for segmented in &baseline.beside.segmented {
            if self.places.len() <= segmented.by {
                self.places.resize_with(segmented.by + 1, Vec::new);
            }
            let Some(places) = self.places.get_mut(segmented.by) else { continue };
            for code in places.len()..names.segment_values(segmented.by) {
                let name = u32::try_from(code).ok().and_then(|code| names.segment(segmented.by, code)).unwrap_or("");
                let place = segmented.names.binary_search_by(|known| known.as_str().cmp(name)).ok();
                places.push(place.and_then(|place| u32::try_from(place).ok()).unwrap_or(NONE));
            }
        }
    }

    /// By code of a segmentation: the place of the segment; `None` where nothing is compared by it.
    pub(super) fn of(&self, by: usize) -> Option<&[u32]> {
        self.places.get(by).map(Vec::as_slice)
    }

    /// Whether `look_up` would find any.
    pub(super) fn is_behind(&self, baseline: &Baseline, names: &EventNames) -> bool {
        let known = |by: usize| self.places.get(by).map_or(0, Vec::len);
        baseline.beside.segmented.iter().any(|of| known(of.by) < names.segment_values(of.by))
    }
}
