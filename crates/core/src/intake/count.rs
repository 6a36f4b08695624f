//! From admitted rows to counts, column by column: each value is located once per version and added to every group that
//! reads it. Everything here works on a worker's own panes.

use super::job::{Counting, Job, Share};
use super::locate::{Columns, locate};
use super::pairs;
use super::panes::Panes;
use super::rows::{Scratch, absent, predicted};
use super::segment_lookup::SegmentLookup;
use super::split::{Extent, Which};
use super::{Counters, by_segment, measured};
use crate::event::{Flag, Ids, LabelBatch, MeasurementBatch, PredictionBatch, code};
use crate::policy::{MOST_VALUE, Target};
use crate::stats::grid::read_ahead;
use crate::stats::quantile;
use crate::window::layout::{CellBlock, Layout, Reads};
use crate::window::measured::MeasuredCell;
use crate::window::tally::OpenTally;

/// Rows located and then counted at once: the cells of some dozen features stay in a core's second cache in between.
const AT_ONCE: usize = 8_192;

/// One worker's side of counting: its open panes, buffers, and what it counted besides.
#[derive(Debug, Default)]
pub struct Worker {
    pub panes: Panes,
    scratch: Scratch,
    /// What was counted since it was last asked.
    pub counters: Counters,
}

impl Worker {
    /// A worker that goes on with open panes.
    #[must_use]
    pub fn with(panes: Panes) -> Self {
        Self { panes, ..Self::default() }
    }

    /// Counts an admitted batch of predictions: for their own versions, and for every active one where a group asks for
    /// the model's traffic.
    pub fn predictions(&mut self, job: &Job, batch: &PredictionBatch) {
        let Some(counting) = job.counting.as_deref() else { return };
        let columns = Columns { ts: &batch.ts, features: &batch.features, predictions: Some(batch) };
        for (version, rows) in &job.by_version {
            self.rows(job, counting, &counting.own, *version, &columns, rows);
        }
        let latest = if job.active.is_empty() { None } else { batch.ts.iter().max().copied() };
        for &(version, limit) in &job.active {
            if latest.is_some_and(|latest| latest > limit) {
                let in_time = |(row, _): &&(u32, u32)| batch.ts.get(*row as usize).is_some_and(|ts| *ts <= limit);
                let rows: Vec<(u32, u32)> = job.accepted.iter().filter(in_time).copied().collect();
                self.rows(job, counting, &counting.model, version, &columns, &rows);
            } else {
                self.rows(job, counting, &counting.model, version, &columns, &job.accepted);
            }
        }
        pairs::count(job, counting, &batch.ids, self.parts());
    }

    /// Counts the pairs that an admitted batch of labels completed.
    pub fn labels(&mut self, job: &Job, batch: &LabelBatch) {
        let Some(counting) = job.counting.as_deref() else { return };
        pairs::count(job, counting, &batch.ids, self.parts());
    }

    /// Counts the pairs of a job, of ids by row.
    pub fn pairs(&mut self, job: &Job, ids: &Ids) {
        let Some(counting) = job.counting.as_deref() else { return };
        pairs::count(job, counting, ids, self.parts());
    }

    /// Counts the events of the features stream that were kept until this job.
    pub fn released(&mut self, job: &Job) {
        let Some(counting) = job.counting.as_deref() else { return };
        let batch = &job.released.batch;
        let columns = Columns { ts: &batch.ts, features: &batch.features, predictions: None };
        for (version, rows) in &job.released.by_version {
            self.rows(job, counting, &counting.features, *version, &columns, rows);
        }
    }

    /// Counts an admitted batch of measurements.
    pub fn measurements(&mut self, job: &Job, batch: &MeasurementBatch) {
        let Some(counting) = job.counting.as_deref() else { return };
        measured::count(job, counting, batch, &mut self.panes, &mut self.counters);
    }

    fn parts(&mut self) -> (&mut Panes, &mut Scratch, &mut Counters) {
        (&mut self.panes, &mut self.scratch, &mut self.counters)
    }

    /// Counts rows for one version in the groups of a share.
    fn rows(
        &mut self,
        job: &Job,
        counting: &Counting,
        share: &Share,
        version: u32,
        columns: &Columns<'_>,
        rows: &[(u32, u32)],
    ) {
        rows.chunks(AT_ONCE).for_each(|rows| self.rows_at_once(job, counting, share, version, columns, rows));
    }

    /// The same for some of the rows, at least one.
    #[allow(
        clippy::indexing_slicing,
        reason = "a share has a place list a group, and cells are made here, one list a target"
    )]
    fn rows_at_once(
        &mut self,
        job: &Job,
        counting: &Counting,
        share: &Share,
        version: u32,
        columns: &Columns<'_>,
        rows: &[(u32, u32)],
    ) {
        let Some(known) = job.known(version) else { return };
        let (Self { panes, scratch, counters }, baseline) = (self, known.spec.baseline());
        if let Some(baseline) = baseline {
            if scratch.cells.len() < share.targets.len() {
                scratch.cells.resize_with(share.targets.len(), Vec::new);
            }
            for (target, cells) in share.targets.iter().zip(&mut scratch.cells) {
                let place = (baseline.as_ref(), known.bins.as_ref());
                counters.invalid_values += locate(*target, place, columns, rows, &mut scratch.values, cells);
            }
        }
        if let (Some(batch), true) = (columns.predictions, share.classes) {
            classes(batch, rows, counting.policy.threshold, &mut scratch.classes);
        }
        let extent = Extent::of(columns.ts, rows);
        for (g, (group, reads)) in counting.policy.groups.iter().zip(counting.reads.iter()).enumerate() {
            if !share.has(g) {
                continue;
            }
            let found = scratch.panes.split(&extent, columns.ts, rows, (g, group.window, job.closed_to(g)));
            counters.after_close += found.after_close;
            for at in 0..found.panes {
                let (pane, ref list) = scratch.panes.lists[at];
                let which = if found.all { Which::All(rows.len()) } else { Which::Some(list) };
                let Some((tally, layout)) = panes.open((version, &known.spec), g, pane) else { continue };
                match columns.predictions {
                    Some(batch) => {
                        events(tally, layout, batch, rows, which, &scratch.classes);
                        if reads.has_decided_segments() {
                            counters.unsegmented +=
                                predicted_classes(tally, reads, batch, rows, which, &scratch.classes);
                        }
                    }
                    None => tally.features += which.len() as u64,
                }
                if baseline.is_none() {
                    continue;
                }
                let located = (share, g, scratch.cells.as_slice());
                values(tally, (reads, layout), located, (&known.segments, columns), (rows, which));
                let blocks = if columns.predictions.is_some() { &layout.predictions } else { &layout.features };
                for (((t, target), place), block) in (0_u32..).zip(&reads.targets).zip(&share.places[g]).zip(blocks) {
                    let Some(cells) = place.and_then(|at| scratch.cells.get(at)) else { continue };
                    add(tally, *block, cells, which);
                    if let Target::Categorical(feature) = target {
                        unseen(tally, (t, *block), cells, &columns.features.categorical[*feature], rows, which);
                    }
                }
            }
        }
    }
}

/// Adds one to the count of each row's cell.
#[allow(clippy::indexing_slicing, reason = "which lists located rows")]
fn add(tally: &mut OpenTally, block: CellBlock, cells: &[u32], which: Which<'_>) {
    let Some(counts) = tally.counts.get_mut(block.offset..block.offset + block.cells + 2) else { return };
    read_ahead(counts, which.len());
    let mut count = |cell: u32| {
        if let Some(n) = counts.get_mut(cell as usize) {
            *n += 1;
        }
    };
    match which {
        Which::All(_) => cells.iter().for_each(|&cell| count(cell)),
        Which::Some(list) => list.iter().for_each(|&k| count(cells[k as usize])),
    }
}

/// What rules read of the values beside their distribution: sums, and the distribution in each segment.
fn values(
    tally: &mut OpenTally,
    (reads, layout): (&Reads, &Layout),
    located: (&Share, usize, &[Vec<u32>]),
    (lookup, columns): (&SegmentLookup, &Columns<'_>),
    (rows, which): (&[(u32, u32)], Which<'_>),
) {
    sums(tally, reads, columns, rows, which);
    if let (Some(batch), false) = (columns.predictions, reads.by_segment.is_empty()) {
        by_segment::count(tally, (reads, layout), located, (lookup, batch), (rows, which));
    }
}

/// Adds up the values of the targets that a rule reads the mean of; those that are missing or invalid are NaN.
#[allow(clippy::indexing_slicing, reason = "which lists rows, and rows are rows of the columns")]
fn sums(tally: &mut OpenTally, reads: &Reads, columns: &Columns<'_>, rows: &[(u32, u32)], which: Which<'_>) {
    for (at, target) in reads.sums.iter().enumerate() {
        let values = match (target, columns.predictions) {
            (Target::Numeric(i), _) => columns.features.numeric.get(*i),
            (Target::Score, Some(batch)) => Some(&batch.score),
            _ => None,
        };
        let Some(values) = values else { continue };
        let value = |k: usize| values[rows[k].0 as usize];
        let counted = |value: &f64| !value.is_nan();
        let within = |value: f64| value.clamp(-MOST_VALUE, MOST_VALUE);
        let sum = match which {
            Which::All(n) => MeasuredCell::of((0..n).map(value).filter(counted).map(within)),
            Which::Some(list) => MeasuredCell::of(list.iter().map(|&k| value(k as usize)).filter(counted).map(within)),
        };
        let [own, streamed] = reads.sums_at(at);
        if let Some(cell) = tally.measured(if columns.predictions.is_some() { own } else { streamed }) {
            cell.merge(&sum);
        }
    }
}

/// Tells the unseen categories of the rows apart.
#[allow(clippy::indexing_slicing, reason = "which lists located rows, and rows are rows of the column")]
fn unseen(
    tally: &mut OpenTally,
    (target, block): (u32, CellBlock),
    cells: &[u32],
    codes: &[u32],
    rows: &[(u32, u32)],
    which: Which<'_>,
) {
    let unseen = u32::try_from(block.cells).unwrap_or(0).saturating_sub(1);
    // Almost always there are none, and a plain search is fast.
    if !cells.contains(&unseen) {
        return;
    }
    which.each(|k| {
        if cells[k] == unseen {
            tally.unseen(target, codes[rows[k].0 as usize]);
        }
    });
}

/// Counts of predictions that no baseline is needed for: how many, the last, decisions, latency, errors.
#[allow(clippy::indexing_slicing, reason = "which lists rows, and rows are rows of the batch")]
fn events(
    tally: &mut OpenTally,
    layout: &Layout,
    batch: &PredictionBatch,
    rows: &[(u32, u32)],
    which: Which<'_>,
    classes: &[u8],
) {
    decisions(tally, layout, which, classes);
    tally.predictions += which.len() as u64;
    let row_of = |k: usize| rows[k].0 as usize;
    let latest = tally.last.as_ref().map_or(i64::MIN, |last| last.ts);
    let mut newest = latest;
    which.each(|k| newest = newest.max(batch.ts[row_of(k)]));
    which.each(|k| {
        let row = row_of(k);
        if batch.ts[row] == newest {
            tally.saw(newest, batch.ids.text(row), batch.stage[row]);
        }
    });
    if let Some(block) = layout.latency {
        which.each(|k| {
            let x = batch.latency_ms[row_of(k)];
            tally.add(block.offset + if x.is_nan() { absent(block.cells, x) } else { quantile::bucket_of(x) });
        });
    }
    if let Some(block) = layout.error {
        which.each(|k| {
            tally.add(
                block.offset
                    + match batch.error[row_of(k)] {
                        Flag::No => 0,
                        Flag::Yes => 1,
                        Flag::Missing => block.missing(),
                        Flag::Invalid => block.invalid(),
                    },
            );
        });
    }
}

/// The predicted class of each row: 0, 1, or 2 for none.
fn classes(batch: &PredictionBatch, rows: &[(u32, u32)], threshold: Option<f64>, out: &mut Vec<u8>) {
    out.clear();
    out.extend(rows.iter().map(|&(row, _)| match predicted(batch, row as usize, threshold) {
        Flag::No => 0,
        Flag::Yes => 1,
        Flag::Missing | Flag::Invalid => 2,
    }));
}

/// Counts the predicted class of each row that has one.
#[allow(clippy::indexing_slicing, reason = "which lists rows, and each row has a class")]
fn decisions(tally: &mut OpenTally, layout: &Layout, which: Which<'_>, classes: &[u8]) {
    let Some(block) = layout.decisions else { return };
    which.each(|k| {
        let class = usize::from(classes[k]);
        if class < block.cells {
            tally.add(block.offset + class);
        }
    });
}

/// Counts the predicted class of each row in its segments: whom rules on selection are about, and what label coverage is
/// measured against. Returns how many predictions with a class have no segment, over segmentations that no pair is counted in.
#[allow(clippy::indexing_slicing, reason = "which lists rows, and rows are rows of the batch")]
fn predicted_classes(
    tally: &mut OpenTally,
    reads: &Reads,
    batch: &PredictionBatch,
    rows: &[(u32, u32)],
    which: Which<'_>,
    classes: &[u8],
) -> u64 {
    let mut unsegmented = 0;
    for (s, (segmentation, labelled)) in reads.segmentations.iter().zip(&reads.labelled).enumerate() {
        let codes = &batch.segments[*segmentation];
        let mut without = 0;
        which.each(|k| {
            let (segment, class) = (codes[rows[k].0 as usize], classes[k]);
            if class >= 2 {
                return;
            }
            if segment >= code::SPECIAL {
                without += 1;
            } else if let Some(segment) = tally.segment(s, segment) {
                segment.predicted[class as usize] += 1;
            }
        });
        if !labelled && let Some(n) = tally.unsegmented.get_mut(s) {
            *n += without;
            unsegmented += without;
        }
    }
    unsegmented
}
