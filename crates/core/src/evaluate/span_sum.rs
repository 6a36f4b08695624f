//! The rolling sum of runs of panes: what windows are compared with.

use std::collections::BTreeMap;

use crate::window::pane::Sealed;
use crate::window::tally::Tally;

/// The sum of the panes of some spans.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanSum {
    pub(super) tally: Tally,
    /// Panes `[from, to)` that are in it.
    summed: Vec<(i64, i64)>,
}

impl SpanSum {
    /// Makes it the sum of these runs of panes, which do not overlap. Panes before `pruned` may be gone.
    pub(super) fn slide_to(
        &mut self,
        panes: &BTreeMap<i64, Vec<Sealed>>,
        spans: Vec<(i64, i64)>,
        (counts, segmentations, pruned): (usize, usize, i64),
    ) {
        let gone = |(from, to): &(i64, i64)| *from < pruned && !spans.contains(&(*from, *to));
        if self.summed.len() != spans.len() || self.tally.counts.len() != counts || self.summed.iter().any(gone) {
            self.tally = Tally::new(counts, segmentations);
            self.summed = spans.iter().map(|(from, _)| (*from, *from)).collect();
        }
        for ((was_from, was_to), (from, to)) in self.summed.iter().copied().zip(spans.iter().copied()) {
            let was = |pane: i64| (was_from..was_to).contains(&pane);
            let is = |pane: i64| (from..to).contains(&pane);
            for (_, sealed) in panes.range(was_from..was_to).filter(|(pane, _)| !is(**pane)) {
                sealed.iter().for_each(|s| s.subtract_from(&mut self.tally));
            }
            for (_, sealed) in panes.range(from..to).filter(|(pane, _)| !was(**pane)) {
                sealed.iter().for_each(|s| s.add_to(&mut self.tally));
            }
        }
        // A maximum cannot be taken out again.
        if !self.tally.measured.is_empty() {
            self.tally.measured.clear();
            let all = spans.iter().flat_map(|(from, to)| panes.range(*from..*to));
            all.flat_map(|(_, s)| s).for_each(|sealed| sealed.add_measured_to(&mut self.tally));
        }
        self.summed = spans;
    }
}
