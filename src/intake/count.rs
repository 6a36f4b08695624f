//! From accepted rows to counts, column by column: each value is located once a version and added to every group that
//! reads it. Also the counting of joined pairs.

use crate::baseline::Baseline;
use crate::event::{FeatureBatch, FeatureColumns, Flag, PredictionBatch, code, numeric};
use crate::join::Pair;
use crate::policy::{LabelAttribute, Policy, Target, Traffic};
use crate::stats::quantile;
use crate::window::layout::{Layout, Reads};
use crate::window::tally::Tally;

use super::names::Names;
use super::versions::Version;
use super::{BinLookup, Counters, Intake, PaneRows};

/// Rows of a batch that count, and buffers that are reused from batch to batch.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Row and the groups it counts in, one bit each.
    accepted: Vec<(u32, u32)>,
    by_version: Vec<(u32, Vec<(u32, u32)>)>,
    cells: Vec<Vec<u32>>,
    panes: Vec<(i64, Vec<u32>)>,
    pane_index: PaneRows,
}

impl Scratch {
    pub fn begin(&mut self, rows: usize) {
        self.accepted.clear();
        self.accepted.reserve(rows);
    }

    /// Accepts a row for the groups in `mask`.
    #[inline]
    pub fn accept(&mut self, row: usize, mask: u32) {
        self.accepted.push((u32::try_from(row).unwrap_or(u32::MAX), mask));
    }

    /// Keeps the accepted rows that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, u32) -> bool) {
        self.accepted.retain(|&(row, mask)| keep(row as usize, mask));
    }

    /// Splits the accepted rows by version, in order.
    #[allow(clippy::indexing_slicing, reason = "accepted rows are rows of the batch; `at` was just found or pushed")]
    fn split_by_version(&mut self, versions: &[u32]) {
        self.by_version.iter_mut().for_each(|(_, rows)| rows.clear());
        let mut at = 0;
        for &(row, mask) in &self.accepted {
            let version = versions[row as usize];
            if self.by_version.get(at).is_none_or(|(v, _)| *v != version) {
                at = self.by_version.iter().position(|(v, _)| *v == version).unwrap_or_else(|| {
                    self.by_version.push((version, Vec::new()));
                    self.by_version.len() - 1
                });
            }
            self.by_version[at].1.push((row, mask));
        }
    }
}

/// The columns that rows are counted from.
struct View<'a> {
    ts: &'a [i64],
    features: &'a FeatureColumns,
    /// `None` for the features stream.
    predictions: Option<&'a PredictionBatch>,
}

/// What counting needs of the intake besides the version.
struct Context<'a> {
    policy: &'a Policy,
    reads: &'a [Reads],
    closed: &'a [i64],
    names: &'a Names,
}

impl Intake {
    /// Counts the accepted rows of a batch for their own versions, and for every active one where a group asks for the
    /// model's traffic.
    pub(super) fn count_predictions(&mut self, batch: &PredictionBatch, scratch: &mut Scratch) {
        let view = View { ts: &batch.ts, features: &batch.features, predictions: Some(batch) };
        scratch.split_by_version(&batch.version);
        let by_version = std::mem::take(&mut scratch.by_version);
        let mask_of = |traffic: Traffic| {
            let counting = |r: &Reads| r.traffic == traffic && r.counts_predictions();
            self.reads.iter().enumerate().filter(|(_, r)| counting(r)).fold(0_u32, |m, (g, _)| m | (1 << g))
        };
        let (own, shared) = (mask_of(Traffic::Version), mask_of(Traffic::Model));
        for (version, rows) in by_version.iter().filter(|(_, rows)| !rows.is_empty()) {
            self.ensure_version(*version);
            let latest = rows.iter().filter_map(|(row, _)| batch.ts.get(*row as usize)).max().copied();
            if let Some(v) = self.versions.get_mut(*version as usize) {
                v.last_ts = v.last_ts.max(latest);
                v.predictions += rows.len() as u64;
            }
            self.count_version(*version, &view, rows, own, scratch);
        }
        if shared != 0 {
            let all = std::mem::take(&mut scratch.accepted);
            for version in self.active() {
                self.count_version(version, &view, &all, shared, scratch);
            }
            scratch.accepted = all;
        }
        scratch.by_version = by_version;
    }

    /// Counts the accepted rows of the features stream for every active version.
    pub(super) fn count_features(&mut self, batch: &FeatureBatch, scratch: &mut Scratch) {
        let view = View { ts: &batch.ts, features: &batch.features, predictions: None };
        let mask = self.reads.iter().enumerate().filter(|(_, r)| r.features).fold(0_u32, |m, (g, _)| m | (1 << g));
        let all = std::mem::take(&mut scratch.accepted);
        for version in self.active() {
            self.count_version(version, &view, &all, mask, scratch);
        }
        scratch.accepted = all;
    }

    fn count_version(
        &mut self,
        version: u32,
        view: &View<'_>,
        rows: &[(u32, u32)],
        groups: u32,
        scratch: &mut Scratch,
    ) {
        let context = Context { policy: &self.policy, reads: &self.reads, closed: &self.closed, names: &self.names };
        if let Some(v) = self.versions.get_mut(version as usize) {
            count_rows(v, &context, view, rows, groups, scratch, &mut self.counters);
        }
    }

    /// Counts a joined pair in the groups it belongs to. `id` is the prediction's.
    pub(super) fn count_pair(&mut self, pair: Pair<'_>, id: &str) {
        let Some(labels) = &self.policy.labels else { return };
        if !pair.outcome.in_time {
            return;
        }
        let ts = match labels.attribute {
            LabelAttribute::LabelTime => pair.outcome.ts,
            LabelAttribute::PredictionTime => pair.prediction.ts,
        };
        let Some(version) = self.versions.get_mut(pair.prediction.version as usize) else { return };
        let mut joined = false;
        for (g, (group, reads)) in self.policy.groups.iter().zip(&self.reads).enumerate() {
            if !reads.pairs || pair.prediction.groups & (1 << g) == 0 || !counts_anywhere(&pair, reads) {
                continue;
            }
            let slide = group.window.slide;
            let pane = ts.div_euclid(slide);
            if is_closed(pane, slide, self.closed.get(g)) {
                self.counters.after_close += 1;
                continue;
            }
            let Some((tally, layout)) = version.open(g, pane) else { continue };
            joined = true;
            tally.pairs += 1;
            tally.saw(pair.prediction.ts, id, pair.prediction.stage);
            self.counters.unsegmented += add_pair(tally, layout, reads, &pair);
        }
        self.counters.joined += u64::from(joined);
    }
}

/// Whether a pair says anything to a group's rules.
fn counts_anywhere(pair: &Pair<'_>, reads: &Reads) -> bool {
    let labelled = matches!(pair.outcome.label, Flag::No | Flag::Yes);
    let confusion = !reads.segmentations.is_empty() && labelled && pair.prediction.predicted != Flag::Missing;
    let scored = reads.auc && labelled && pair.prediction.score_cell != u32::MAX;
    confusion || scored || reads.kpis.iter().any(|k| pair.outcome.kpis & (1 << k) != 0)
}

/// Adds a pair; returns in how many segmentations it has no segment.
fn add_pair(tally: &mut Tally, layout: &Layout, reads: &Reads, pair: &Pair<'_>) -> u64 {
    let mut unsegmented = 0;
    let label = match pair.outcome.label {
        Flag::No => Some(false),
        Flag::Yes => Some(true),
        Flag::Missing | Flag::Invalid => None,
    };
    let predicted = match pair.prediction.predicted {
        Flag::No => Some(false),
        Flag::Yes => Some(true),
        Flag::Missing | Flag::Invalid => None,
    };
    if let (Some(label), Some(predicted)) = (label, predicted) {
        for (s, segmentation) in reads.segmentations.iter().enumerate() {
            match pair.segments.get(*segmentation) {
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
    if let (Some(label), Some(blocks)) = (label, layout.auc) {
        let block = if label { blocks[1] } else { blocks[0] };
        let cell = pair.prediction.score_cell as usize;
        if cell < block.cells {
            tally.add(block.offset + cell);
        }
    }
    for (block, k) in layout.kpis.iter().zip(&reads.kpis) {
        if pair.outcome.kpis & (1 << k) != 0 {
            tally.add(block.offset + usize::from(pair.outcome.kpis_yes & (1 << k) != 0));
        }
    }
    unsegmented
}

pub(super) fn is_closed(pane: i64, slide: i64, closed: Option<&i64>) -> bool {
    // A pane's first window ends where the pane ends.
    closed.is_some_and(|&closed| pane.saturating_add(1).saturating_mul(slide) <= closed)
}

#[allow(
    clippy::indexing_slicing,
    reason = "rows are rows of the view's columns; panes and cells are built here, one entry each"
)]
fn count_rows(
    version: &mut Version,
    context: &Context<'_>,
    view: &View<'_>,
    rows: &[(u32, u32)],
    groups: u32,
    scratch: &mut Scratch,
    counters: &mut Counters,
) {
    let baseline = version.baseline().cloned();
    let mut cells = std::mem::take(&mut scratch.cells);
    let mut union: Vec<Target> = Vec::new();
    for (_, reads) in context.reads.iter().enumerate().filter(|(g, _)| groups & (1 << g) != 0) {
        union.extend(reads.targets.iter().filter(|t| view.predictions.is_some() || **t != Target::Score));
    }
    union.sort_unstable();
    union.dedup();
    cells.resize_with(union.len().max(cells.len()), Vec::new);
    if let Some(baseline) = &baseline {
        let lookup = version.bins(context.names);
        for (target, cells) in union.iter().zip(&mut cells) {
            locate(*target, baseline, lookup, view, rows, cells, &mut counters.invalid_values);
        }
    }
    for (g, (group, reads)) in context.policy.groups.iter().zip(context.reads).enumerate() {
        if groups & (1 << g) == 0 {
            continue;
        }
        let slide = group.window.slide;
        scratch.panes.iter_mut().for_each(|(_, ks)| ks.clear());
        let mut used = 0;
        let mut last = usize::MAX;
        scratch.pane_index.clear();
        for (k, &(row, mask)) in rows.iter().enumerate() {
            if mask & (1 << g) == 0 {
                continue;
            }
            let pane = view.ts[row as usize].div_euclid(slide);
            if is_closed(pane, slide, context.closed.get(g)) {
                counters.after_close += 1;
                continue;
            }
            if last >= used || scratch.panes[last].0 != pane {
                last = *scratch.pane_index.entry(pane).or_insert(used);
                if last == used {
                    if scratch.panes.len() == used {
                        scratch.panes.push((pane, Vec::new()));
                    }
                    scratch.panes[used].0 = pane;
                    used += 1;
                }
            }
            scratch.panes[last].1.push(u32::try_from(k).unwrap_or(u32::MAX));
        }
        for (pane, ks) in &scratch.panes[..used] {
            let Some((tally, layout)) = version.open(g, *pane) else { continue };
            match view.predictions {
                Some(batch) => {
                    count_events(tally, layout, batch, rows, ks);
                    if !reads.segmentations.is_empty() {
                        count_predicted(tally, reads, batch, rows, ks, context.policy.threshold);
                    }
                }
                None => tally.features += ks.len() as u64,
            }
            if baseline.is_none() {
                continue;
            }
            let blocks = if view.predictions.is_some() { &layout.predictions } else { &layout.features };
            for ((t, target), block) in (0_u32..).zip(&reads.targets).zip(blocks) {
                let Ok(at) = union.binary_search(target) else { continue };
                let cells = &cells[at];
                for &k in ks {
                    tally.add(block.offset + cells[k as usize] as usize);
                }
                if let Target::Categorical(feature) = target {
                    let unseen = u32::try_from(block.cells).unwrap_or(0).saturating_sub(1);
                    for &k in ks.iter().filter(|k| cells[**k as usize] == unseen) {
                        tally.unseen(t, view.features.categorical[*feature][rows[k as usize].0 as usize]);
                    }
                }
            }
        }
    }
    scratch.cells = cells;
}

/// Counts of predictions that no baseline is needed for: how many, the last, latency, errors, predicted classes.
#[allow(clippy::indexing_slicing, reason = "ks index rows, and rows are rows of the batch")]
fn count_events(tally: &mut Tally, layout: &Layout, batch: &PredictionBatch, rows: &[(u32, u32)], ks: &[u32]) {
    tally.predictions += ks.len() as u64;
    for &k in ks {
        let row = rows[k as usize].0 as usize;
        tally.saw(batch.ts[row], batch.ids.text(row), batch.stage[row]);
        if let Some(block) = layout.latency {
            let x = batch.latency_ms[row];
            tally.add(block.offset + if x.is_nan() { absent(block.cells, x) } else { quantile::bucket_of(x) });
        }
        if let Some(block) = layout.error {
            match batch.error[row] {
                Flag::No => tally.add(block.offset),
                Flag::Yes => tally.add(block.offset + 1),
                Flag::Missing => tally.add(block.offset + block.missing()),
                Flag::Invalid => tally.add(block.offset + block.invalid()),
            }
        }
    }
}

/// Counts the predicted class of each row in its segments: what label coverage is measured against.
#[allow(clippy::indexing_slicing, reason = "ks index rows, and rows are rows of the batch")]
fn count_predicted(
    tally: &mut Tally,
    reads: &Reads,
    batch: &PredictionBatch,
    rows: &[(u32, u32)],
    ks: &[u32],
    threshold: Option<f64>,
) {
    for &k in ks {
        let row = rows[k as usize].0 as usize;
        let class = match predicted(batch, row, threshold) {
            Flag::No => 0,
            Flag::Yes => 1,
            Flag::Missing | Flag::Invalid => continue,
        };
        for (s, segmentation) in reads.segmentations.iter().enumerate() {
            let segment = batch.segments[*segmentation][row];
            if segment < code::SPECIAL
                && let Some(segment) = tally.segment(s, segment)
            {
                segment.predicted[class] += 1;
            }
        }
    }
}

/// The predicted class of a row: the decision if there, else the score against the threshold.
#[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
pub(super) fn predicted(batch: &PredictionBatch, row: usize, threshold: Option<f64>) -> Flag {
    match batch.decision[row] {
        known @ (Flag::No | Flag::Yes) => known,
        Flag::Missing | Flag::Invalid => match threshold {
            Some(threshold) if !batch.score[row].is_nan() => (batch.score[row] >= threshold).into(),
            _ => Flag::Missing,
        },
    }
}

fn absent(cells: usize, x: f64) -> usize {
    cells + usize::from(numeric::is_invalid(x))
}

/// The cell of each row's value of one target: of its grid or categories, then one for missing and one for invalid.
#[allow(clippy::indexing_slicing, reason = "a schema's columns are there, with one entry a row")]
fn locate(
    target: Target,
    baseline: &Baseline,
    bins: &BinLookup,
    view: &View<'_>,
    rows: &[(u32, u32)],
    out: &mut Vec<u32>,
    invalid: &mut u64,
) {
    out.clear();
    let narrow = |cell: usize| u32::try_from(cell).unwrap_or(u32::MAX);
    let (values, reference) = match target {
        Target::Categorical(i) => {
            let Some(reference) = baseline.categorical.get(i) else { return };
            let (column, bins) = (&view.features.categorical[i], &bins[i]);
            let unseen = narrow(reference.names.len());
            out.extend(rows.iter().map(|&(row, _)| match column[row as usize] {
                code::MISSING => unseen + 1,
                code::INVALID => {
                    *invalid += 1;
                    unseen + 2
                }
                c => bins.get(c as usize).copied().unwrap_or(unseen),
            }));
            return;
        }
        Target::Numeric(i) => (Some(&view.features.numeric[i]), baseline.numeric.get(i)),
        Target::Score => (view.predictions.map(|p| &p.score), baseline.score.as_ref()),
    };
    let (Some(values), Some(reference)) = (values, reference) else {
        out.resize(rows.len(), 0);
        return;
    };
    let cells = reference.grid.cells();
    out.extend(rows.iter().map(|&(row, _)| {
        let x = values[row as usize];
        if x.is_nan() {
            *invalid += u64::from(numeric::is_invalid(x));
            narrow(absent(cells, x))
        } else {
            narrow(reference.grid.locate(x))
        }
    }));
}
