//! Predictions waiting for labels, and labels that came before their prediction. One request may be scored by several
//! versions under one id: a prediction is an (id, version), and counts once, the first read wins; a label joins the prediction
//! of every version that has its id. Labels are one by id: to each version the first read wins. State is dropped when the
//! streams have passed its bound. Time is the caller's; nothing here reads a clock.
//!
//! Streams are read in any interleaving and state is swept at any moment, so what an id means is decided by event times
//! alone, within bounds for which state is always still held. To each version it is as if it were the only one. With
//! rel = label − prediction:
//!
//! | rel | the label |
//! |---|---|
//! | −early ..= horizon | joins, unless another took its place before |
//! | −(early + horizon) .. −early | is too early to join, but takes the place, unless another version's prediction met it before |
//! | above the horizon | takes the place, and waits for a prediction that uses the id anew |
//! | below | has nothing to do with the prediction |
//!
//! A prediction repeats an (id, version) up to `horizon` after the one held; later it uses the id anew, beside the first.
//!
//! A label that a prediction met is kept for those of other versions, until they would come more than `early` after it. The
//! first label of an id stands beside the row that met it (`first`), which is held for longer; others stand with the labels
//! that wait, in the order they were read.

mod block;
mod first;
mod index;
mod meeting;
mod rows;
mod state;
mod table;
mod types;
mod waiting;

pub use meeting::{Bounds, JoinOutcome};
pub use state::JoinState;
pub use table::TOUCHED;
pub use types::{Arrival, Ended, GivenUp, Met, Pair, Pending, Swept};
pub use waiting::halves;

use first::Firsts;
use meeting::{Marks, Meeting};
use rows::ROWS;
use table::Table;
use waiting::{Fate, Waiting};

use crate::event::PredictionId;

/// The share of the horizon between two sweeps over the table: memory overhang against work.
const SWEEPS_PER_HORIZON: i64 = 8;

/// The join table of one model.
#[derive(Clone, Debug)]
pub struct Join {
    bounds: Bounds,
    /// Predictions of one (id, version) lie further apart than the horizon.
    pending: Table,
    waiting: Waiting,
    swept_at: i64,
    /// Blocks begun when its bytes were looked at last.
    looked_at: u64,
    /// Whether a request was ever scored by several versions.
    mirrored: bool,
    /// A prediction's own codes: its score's cell and its segments.
    codes: Vec<u32>,
    /// Positions of an id's predictions.
    found: Vec<u32>,
}

impl Join {
    /// A table whose predictions have `width` segment codes each.
    #[must_use]
    pub fn new(bounds: Bounds, width: usize) -> Self {
        Self::with_blocks(bounds, width, ROWS)
    }

    /// The same for labels that are numbers.
    #[must_use]
    pub fn of_numbers(self) -> Self {
        Self { waiting: Waiting::of_numbers(ROWS), ..self }
    }

    fn with_blocks(bounds: Bounds, width: usize, block_rows: usize) -> Self {
        Self {
            bounds,
            pending: Table::new(1 + width, block_rows),
            waiting: Waiting::new(block_rows),
            swept_at: i64::MIN,
            looked_at: 0,
            mirrored: false,
            codes: Vec::with_capacity(1 + width),
            found: Vec::new(),
        }
    }

    /// Brings what the next predictions will read into the cache; of more than `TOUCHED` it would be gone again.
    pub fn touch_for_predictions(&self, ids: &[u128]) {
        self.pending.touch(ids);
        self.waiting.touch(ids);
    }

    /// Brings what the next labels will read into the cache, likewise.
    pub fn touch_for_labels(&self, ids: &[u128]) {
        self.touch_for_predictions(ids);
        self.pending.touch_rows(ids);
    }

    /// Adds a prediction; calls `pair` for outcomes that came before it. `segments` has one code a segmentation.
    pub fn prediction(
        &mut self,
        id: PredictionId,
        new: Pending,
        segments: &[u32],
        mut pair: impl FnMut(Pair<'_>),
    ) -> Arrival {
        let PredictionId(id) = id;
        self.pending.all(id, &mut self.found);
        let mut beside = false;
        for &at in &self.found {
            let ts = self.pending.rows.ts(at);
            if self.version(at) != new.version {
                beside |= self.bounds.one_request(ts, new.ts);
            } else if self.bounds.same_prediction(ts, new.ts) {
                return Arrival::Duplicate;
            }
        }
        self.mirrored |= beside;
        let (mut ended, mut marks, mut first) = (Ended::default(), Marks::default(), None);
        if !self.found.is_empty() || !self.waiting.is_empty() {
            first = self.meet_known(id, &new, &mut marks, &mut ended, |outcome| {
                pair(Pair { prediction: new, segments, outcome });
            });
        }
        self.hold(id, &new, segments, marks, first);
        if beside { Arrival::Beside(ended) } else { Arrival::New(ended) }
    }

    fn version(&self, at: u32) -> u32 {
        let [version, ..] = self.pending.rows.shared(at);
        version
    }

    /// A new prediction meets the labels of its id that came before it, in the order they were read; `joins` is told those
    /// that join. Returns the first label of the id, where this prediction is the first to meet it: it is to be kept.
    fn meet_known(
        &mut self,
        id: u128,
        new: &Pending,
        marks: &mut Marks,
        ended: &mut Ended,
        mut joins: impl FnMut(JoinOutcome),
    ) -> Option<JoinOutcome> {
        let Self { bounds, pending: Table { rows, .. }, found, waiting, .. } = self;
        let own = |at: &u32| rows.shared(*at).first() == Some(&new.version);
        // Another prediction met it: it is for this one as well, unless it was for an earlier one of this version.
        let meet_again = |outcome: &JoinOutcome, marks: &mut Marks, joins: &mut dyn FnMut(JoinOutcome)| {
            let before = || found.iter().any(|at| own(at) && bounds.takes(rows.ts(*at), outcome.ts));
            if bounds.leaves(new.ts, outcome.ts)
                && !before()
                && let Meeting::Joins(outcome) = bounds.meet(new.ts, marks, outcome)
            {
                joins(outcome);
            }
        };
        let mut known = false;
        for &at in found.iter() {
            if let Some(outcome) = rows.first(at, *bounds) {
                known = true;
                meet_again(&outcome, marks, &mut joins);
            }
        }
        let mut first = None;
        if waiting.is_empty() {
            return first;
        }
        waiting.meet(id, |outcome, was_met| {
            let is_first = !std::mem::replace(&mut known, true);
            if was_met {
                meet_again(outcome, marks, &mut joins);
                return Fate::Stays;
            }
            match bounds.meet(new.ts, marks, outcome) {
                Meeting::Apart => return Fate::Stays,
                Meeting::Joins(joined) => {
                    joins(joined);
                    if is_first && Firsts::can_keep(bounds.earliest(new.ts), outcome) {
                        first = Some(*outcome);
                        return Fate::Goes;
                    }
                }
                Meeting::Duplicate => ended.duplicates += 1,
                Meeting::OutOfBounds => ended.out_of_bounds += 1,
            }
            Fate::Met
        });
        first
    }

    fn hold(&mut self, id: u128, new: &Pending, segments: &[u32], marks: Marks, first: Option<JoinOutcome>) {
        self.codes.clear();
        self.codes.push(new.score_cell);
        self.codes.extend_from_slice(segments);
        let at = self.pending.add(id, self.found.len(), new.ts, new.shared(), &self.codes);
        if let Some(at) = at
            && marks != Marks::default()
        {
            self.pending.mark(at, marks);
            if let Some(first) = first {
                self.pending.rows.set_first(at, self.bounds, &first);
            }
        }
    }

    /// Looks for the predictions of an outcome and calls `pair` for each that it joins; without one the outcome waits.
    pub fn label(&mut self, id: PredictionId, outcome: JoinOutcome, pair: impl FnMut(Pair<'_>)) -> Met {
        let (PredictionId(id), outcome) = (id, outcome.readable());
        self.pending.all(id, &mut self.found);
        let mut known = !self.waiting.is_empty() && self.waiting.has(id);
        // The very same label again can only be a repetition, whatever it will meet.
        if known && self.waiting.holds(id, &outcome) {
            return Met::Duplicate;
        }
        for &at in &self.found {
            let first = self.pending.rows.first(at, self.bounds);
            if first == Some(outcome) {
                return Met::Duplicate;
            }
            known |= first.is_some();
        }
        let Some((met, joined)) = self.meet_predictions(&outcome, pair) else {
            return if self.waiting.add(id, &outcome, false) { Met::Waits } else { Met::OutOfBounds };
        };
        let kept = !known && joined.is_some_and(|at| self.pending.rows.set_first(at, self.bounds, &outcome));
        if !kept {
            self.waiting.add(id, &outcome, true);
        }
        met
    }

    /// A label meets the predictions that were found, in the order they were read: what it came to, and the first that it
    /// joined. `None` where it has nothing to do with any.
    fn meet_predictions(
        &mut self,
        outcome: &JoinOutcome,
        mut pair: impl FnMut(Pair<'_>),
    ) -> Option<(Met, Option<u32>)> {
        let bounds = self.bounds;
        let (mut met, mut joined, mut pairs) = (None, None, 0);
        for (n, &at) in self.found.iter().enumerate() {
            let (ts, had) = (self.pending.rows.ts(at), self.pending.rows.marks(at));
            if n > 0 {
                let own = |other: &&u32| self.version(**other) == self.version(at);
                let mut before = self.found.iter().take(n).filter(own);
                if before.any(|other| bounds.takes(self.pending.rows.ts(*other), outcome.ts))
                    || met.is_some() && !bounds.leaves(ts, outcome.ts)
                {
                    continue;
                }
            }
            let mut marks = had;
            let meeting = bounds.meet(ts, &mut marks, outcome);
            if marks != had {
                self.pending.mark(at, marks);
            }
            match meeting {
                Meeting::Apart => {}
                Meeting::Duplicate => met = met.or(Some(Met::Duplicate)),
                Meeting::OutOfBounds => met = Some(Met::OutOfBounds),
                Meeting::Joins(outcome) => {
                    self.pending.rows.own(at, &mut self.codes);
                    let prediction = Pending::of(ts, self.pending.rows.shared(at), &self.codes);
                    pair(Pair { prediction, segments: self.codes.get(1..).unwrap_or_default(), outcome });
                    pairs += 1;
                    joined = joined.or(Some(at));
                    met = met.or(Some(Met::Duplicate));
                }
            }
        }
        met.map(|met| (if pairs > 0 { Met::Pairs(pairs) } else { met }, joined))
    }

    /// How many predictions of an id are held.
    pub fn held(&mut self, id: u128) -> usize {
        self.pending.all(id, &mut self.found);
        self.found.len()
    }

    /// How many labels of an id are kept beside those that stand with their predictions.
    pub fn labels_of(&mut self, id: u128) -> usize {
        self.waiting.count_of(id)
    }

    /// Whether a request was ever scored by several versions: then a prediction may still come for a label that was joined.
    #[must_use]
    pub fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// The earliest waiting label at or after `from`: a prediction may still come for it.
    #[must_use]
    pub fn earliest_waiting(&self, from: i64) -> Option<i64> {
        self.waiting.earliest(from)
    }

    /// Drops what can no longer be joined once all streams have passed `watermark`; works now and then.
    pub fn sweep(&mut self, watermark: i64) -> Swept {
        if watermark < self.swept_at.saturating_add((self.bounds.horizon / SWEEPS_PER_HORIZON).max(1)) {
            return Swept::default();
        }
        self.swept_at = watermark;
        // A prediction is held for `early` longer than its label may come: until no other version's may still come for what
        // stands beside it, nor one of its own that the label would be for a second time.
        let from = watermark.saturating_sub(self.bounds.place());
        Swept {
            unlabelled: self.pending.drop_before(from, from, |_, _| ()).unlabelled,
            unmatched: self.waiting.drop_before(from, watermark.saturating_sub(self.bounds.early)),
        }
    }

    /// Drops the oldest of what waits, in time, where all of it takes more than so many bytes; checks once per block of rows.
    pub fn give_up(&mut self, most: usize) -> Option<GivenUp> {
        let begun = self.pending.rows.begun() + self.waiting.rows().begun();
        if begun == self.looked_at {
            return None;
        }
        self.looked_at = begun;
        let bytes = self.bytes();
        if bytes <= most {
            return None;
        }
        // An eighth more, so that it is not done again for the next block.
        let mut excess = bytes.saturating_sub(most - most / 8);
        let mut blocks: Vec<(i64, usize)> =
            self.pending.rows.full_blocks().chain(self.waiting.rows().full_blocks()).collect();
        blocks.sort_unstable();
        let rows: usize = blocks.iter().map(|(_, rows)| rows).sum();
        let a_row = bytes / rows.max(1);
        let mut from = None;
        for (latest, rows) in blocks {
            from = Some(latest.saturating_add(1));
            excess = excess.saturating_sub(rows * a_row);
            if excess == 0 {
                break;
            }
        }
        let from = from?;
        let (unmet, held) = (self.waiting.unmet(), self.pending.len());
        self.pending.drop_before(from, from, |_, _| ());
        self.waiting.drop_before(from, from);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let predictions = count(held.saturating_sub(self.pending.len()));
        Some(GivenUp { predictions, labels: count(unmet.saturating_sub(self.waiting.unmet())), from })
    }

    /// Bytes of all that is held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pending.bytes() + self.waiting.bytes()
    }

    /// Predictions held, and labels that wait for a first one.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.pending.len(), self.waiting.unmet())
    }
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests;
