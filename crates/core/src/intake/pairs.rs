//! Counting of joined pairs: confusion counts of segments, score cells by label, KPIs.

use super::Counters;
use super::job::{Counting, Job, JobPair};
use super::panes::Panes;
use super::rows::Scratch;
use crate::baseline::Baseline;
use crate::event::{Flag, Ids, code};
use crate::policy::{LabelAttribute, PaneOf, Target};
use crate::stats::regression::{COUNTS, Errors, counts, spread, terms};
use crate::window::layout::{Layout, Reads};
use crate::window::tally::{OpenTally, SegmentCounts};

/// Counts the pairs of a job in the groups they belong to. `ids` are those of the batch that completed them.
pub(super) fn count(
    job: &Job,
    counting: &Counting,
    ids: &Ids,
    (panes, scratch, counters): (&mut Panes, &mut Scratch, &mut Counters),
) {
    let (Some(labels), false) = (&counting.policy.labels, job.pairs.is_empty()) else { return };
    let (width, segmentations) = (counting.policy.codes_of_pair(), counting.policy.segments.len());
    scratch.joined.clear();
    scratch.joined.resize(job.pairs.len(), false);
    // Where no rule reads pairs, they are counted as joined and no further.
    if !counting.reads.iter().any(|reads| reads.pairs) {
        counters.joined += job.pairs.iter().filter(|pair| pair.outcome.in_time && says_something(pair)).count() as u64;
        return;
    }
    if counting.reads.iter().any(Reads::counts_decided_pairs) {
        counters.unclassed += job.pairs.iter().filter(|pair| is_unclassed(pair)).count() as u64;
    }
    for (g, (group, reads)) in counting.policy.groups.iter().zip(counting.reads.iter()).enumerate() {
        if !reads.pairs {
            continue;
        }
        let mut panes_of = PaneOf::new(group.window);
        let closed = job.closed_to(g);
        for ((at, pair), joined) in job.pairs.iter().enumerate().zip(&mut scratch.joined) {
            let codes = job.segments.get(at * width..(at + 1) * width).unwrap_or(&[]);
            let (segments, score) = codes.split_at_checked(segmentations).unwrap_or((codes, &[]));
            let numbers = Numbers::of(pair, score);
            let of_both = |reads: &Reads| reads.numbers || reads.classes > 0;
            let counts = || counts_anywhere(pair, reads) || of_both(reads) && numbers.is_some_and(Numbers::has_both);
            if !pair.outcome.in_time || pair.prediction.groups & (1 << g) == 0 || !counts() {
                continue;
            }
            let (pane, end) = panes_of.of(time(pair, labels.attribute));
            if end <= closed {
                counters.after_close += 1;
                continue;
            }
            let spec = job.known(pair.prediction.version).map(|k| &*k.spec);
            let Some((tally, layout)) = spec.and_then(|spec| panes.open((pair.prediction.version, spec), g, pane))
            else {
                continue;
            };
            *joined = true;
            tally.pairs += 1;
            tally.saw(pair.prediction.ts, ids.text(pair.row as usize), pair.prediction.stage);
            counters.unsegmented += match numbers {
                Some(numbers) => {
                    let baseline = spec.and_then(|spec| spec.baseline()).map(AsRef::as_ref);
                    numbers.count(tally, layout, (reads, segments), baseline)
                }
                None => add(tally, layout, reads, pair, segments),
            };
            add_kpis(tally, layout, reads, pair);
        }
    }
    counters.joined += scratch.joined.iter().filter(|j| **j).count() as u64;
}

/// The time by which a pair belongs to a window.
fn time(pair: &JobPair, attribute: LabelAttribute) -> i64 {
    match attribute {
        LabelAttribute::LabelTime => pair.outcome.ts,
        LabelAttribute::PredictionTime => pair.prediction.ts,
    }
}

fn is_labelled(pair: &JobPair) -> bool {
    matches!(pair.outcome.label, Flag::No | Flag::Yes)
}

/// Whether a label counts in no rate (TPR and the like), since its prediction has no class (`rows::predicted`).
fn is_unclassed(pair: &JobPair) -> bool {
    pair.outcome.in_time && is_labelled(pair) && pair.prediction.predicted == Flag::Missing
}

/// Whether the label's event holds a label or a KPI.
fn says_something(pair: &JobPair) -> bool {
    is_labelled(pair) || pair.outcome.kpis != 0
}

/// Whether any rule of one group counts a pair.
fn counts_anywhere(pair: &JobPair, reads: &Reads) -> bool {
    let labelled = is_labelled(pair);
    let confusion = reads.counts_decided_pairs() && labelled && pair.prediction.predicted != Flag::Missing;
    let scored = reads.auc && labelled && pair.prediction.score_cell != u32::MAX;
    confusion || scored || (reads.labels && labelled) || reads.kpis.iter().any(|k| pair.outcome.kpis & (1 << k) != 0)
}

/// Adds a pair; returns in how many segmentations it has no segment.
fn add(tally: &mut OpenTally, layout: &Layout, reads: &Reads, pair: &JobPair, segments: &[u32]) -> u64 {
    let mut unsegmented = 0;
    let class = |flag: Flag| match flag {
        Flag::No => Some(false),
        Flag::Yes => Some(true),
        Flag::Missing | Flag::Invalid => None,
    };
    let (label, predicted) = (class(pair.outcome.label), class(pair.prediction.predicted));
    if let (Some(label), Some(predicted)) = (label, predicted) {
        if let Some(block) = layout.confusion {
            tally.add(block.offset + usize::from(predicted) + 2 * usize::from(label));
        }
        let segmentations = reads.segmentations.iter().zip(&reads.labelled).enumerate();
        for (s, (segmentation, _)) in segmentations.filter(|(_, (_, labelled))| **labelled) {
            match segments.get(*segmentation) {
                Some(&c) if c < code::SPECIAL => {
                    if let Some(segment) = tally.segment(s, c) {
                        segment.confusion.count(predicted, label);
                    }
                }
                _ => {
                    unsegmented += 1;
                    if let Some(n) = tally.unsegmented.get_mut(s) {
                        *n += 1;
                    }
                }
            }
        }
    }
    if let (Some(label), Some(block)) = (label, layout.labels) {
        tally.add(block.offset + usize::from(label));
    }
    if let (Some(label), Some(blocks)) = (label, layout.auc) {
        let block = if label { blocks[1] } else { blocks[0] };
        let cell = pair.prediction.score_cell as usize;
        if cell < block.cells {
            tally.add(block.offset + cell);
        }
    }
    unsegmented
}

fn add_kpis(tally: &mut OpenTally, layout: &Layout, reads: &Reads, pair: &JobPair) {
    for (block, k) in layout.kpis.iter().zip(&reads.kpis) {
        if pair.outcome.kpis & (1 << k) != 0 {
            tally.add(block.offset + usize::from(pair.outcome.kpis_yes & (1 << k) != 0));
        }
    }
}

/// The place of a class, which is a small whole number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among at most 100 classes")]
fn place(class: f64) -> usize {
    class as usize
}

/// A pair of a policy whose scores and labels are numbers, or places of classes; NaN is a missing one.
#[derive(Clone, Copy)]
struct Numbers {
    score: f64,
    label: f64,
}

impl Numbers {
    /// `None` of other policies: their pairs carry no score.
    fn of(pair: &JobPair, score: &[u32]) -> Option<Self> {
        let [low, high] = *score else { return None };
        let score = f64::from_bits(u64::from(high) << 32 | u64::from(low));
        let label = if pair.outcome.label == Flag::Yes { f64::from_bits(pair.outcome.value) } else { f64::NAN };
        Some(Self { score, label })
    }

    fn has_both(self) -> bool {
        !self.score.is_nan() && !self.label.is_nan()
    }

    /// Adds its classes, or its error, to the lists of its segments; returns in how many segmentations it has none.
    fn by_segment(self, tally: &mut OpenTally, reads: &Reads, segments: &[u32]) -> u64 {
        let mut unsegmented = 0;
        let (narrow, wide);
        let error: Option<&[u64]> = match (reads.by_error, reads.spread) {
            (false, _) => None,
            (true, false) => {
                narrow = counts(self.score, self.label);
                Some(&narrow)
            }
            (true, true) => {
                wide = self.counts_with_spread();
                Some(&wide)
            }
        };
        for (at, by) in reads.segmentations.iter().enumerate() {
            let first = at * reads.lists();
            let Some(code) = segments.get(*by).copied().filter(|code| *code < code::SPECIAL) else {
                unsegmented += 1;
                tally.unsegmented.get_mut(first).into_iter().for_each(|n| *n += 1);
                continue;
            };
            if let Some(error) = error {
                for (list, some) in (first..).zip(error.chunks(SegmentCounts::LEN)) {
                    tally.segment(list, code).into_iter().for_each(|segment| segment.add(some));
                }
                continue;
            }
            // Of each class what it is against all others; what is of neither follows from the pairs of the segment.
            let (label, predicted) = (place(self.label), place(self.score));
            if let Some(segment) = tally.segment(first + label, code) {
                *(if label == predicted { &mut segment.confusion.tp } else { &mut segment.confusion.fn_ }) += 1;
            }
            if label != predicted
                && let Some(segment) = tally.segment(first + predicted, code)
            {
                segment.confusion.fp += 1;
            }
        }
        unsegmented
    }

    /// The counts that hold its error, and behind them those that hold the error's spread.
    fn counts_with_spread(self) -> [u64; COUNTS + spread::COUNTS] {
        let mut all = [0; COUNTS + spread::COUNTS];
        let (own, behind) = all.split_at_mut(COUNTS);
        own.copy_from_slice(&counts(self.score, self.label));
        behind.copy_from_slice(&spread::counts(Errors::spread_terms(self.score, self.label)));
        all
    }

    /// Adds its error to the sums of errors, and to those of their spread.
    fn add_error(self, tally: &mut OpenTally, reads: &Reads) {
        for (term, at) in terms(self.score, self.label).into_iter().zip(reads.errors_at()..) {
            if let (Some(term), Some(cell)) = (term, tally.measured(at)) {
                cell.count(term, 1);
            }
        }
        let Some(first) = reads.spread_at() else { return };
        for (at, term) in Errors::spread_terms(self.score, self.label) {
            tally.measured(first + at).into_iter().for_each(|cell| cell.count(term, 1));
        }
    }

    /// Adds its label to the distribution of labels, its error to the sums, its classes to their matrix, and either to its segments; returns in how many
    /// segmentations it has none.
    fn count(
        self,
        tally: &mut OpenTally,
        layout: &Layout,
        (reads, segments): (&Reads, &[u32]),
        baseline: Option<&Baseline>,
    ) -> u64 {
        if let (Some(block), false) = (layout.labels, self.label.is_nan()) {
            let known = baseline.and_then(|b| b.numeric(Target::Label));
            let is_class = baseline.is_some_and(|b| b.classes.is_some());
            let cell = match known {
                Some(known) => known.grid.locate(self.label),
                None if is_class => place(self.label),
                None => 1,
            };
            if cell < block.cells {
                tally.add(block.offset + cell);
            }
        }
        if let (Some(block), true) = (layout.classes, self.has_both()) {
            let cell = place(self.label) * reads.classes + place(self.score);
            if cell < block.cells {
                tally.add(block.offset + cell);
            }
        }
        if reads.numbers && self.has_both() {
            self.add_error(tally, reads);
        }
        if self.has_both() { self.by_segment(tally, reads, segments) } else { 0 }
    }
}
