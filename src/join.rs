//! Predictions waiting for labels, and labels that came before their prediction. An id counts once, the first read wins;
//! state is dropped when the streams have passed its bound. Time is the caller's; nothing here reads a clock.
//!
//! Streams are read in any interleaving and state is swept at any moment, so what an id means is decided by event times
//! alone, within bounds for which state is always still held. With rel = label − prediction:
//!
//! | rel | the label |
//! |---|---|
//! | −early ..= horizon | joins, unless another took its place before |
//! | −(early + horizon) .. −early | is too early to join, but takes the place |
//! | above the horizon | takes the place, and waits for a prediction that uses the id anew |
//! | below | has nothing to do with the prediction |
//!
//! A prediction repeats an id up to `horizon` after the one held; later it uses the id anew, beside the first.

use std::collections::BTreeMap;

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::event::{Flag, PredictionId};

type Map<K, V> = hashbrown::HashMap<K, V, FxBuildHasher>;

/// The share of the horizon between two sweeps over the table: memory overhang against work.
const SWEEPS_PER_HORIZON: i64 = 8;

/// What is kept of a prediction until its label can no longer come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub ts: i64,
    /// Dictionary codes.
    pub version: u32,
    pub stage: u32,
    /// One bit a group in which the prediction was in time.
    pub groups: u32,
    /// The score's grid cell; `u32::MAX` without one.
    pub score_cell: u32,
    /// The predicted class.
    pub predicted: Flag,
    labelled: bool,
    /// KPIs already counted, one bit each.
    kpis: u32,
    /// Where its segment codes stand.
    segments: u32,
}

impl Pending {
    #[must_use]
    pub fn new(ts: i64, version: u32, stage: u32, groups: u32, score_cell: u32, predicted: Flag) -> Self {
        Self { ts, version, stage, groups, score_cell, predicted, labelled: false, kpis: 0, segments: 0 }
    }
}

/// A label (or KPI outcomes) of one prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub ts: i64,
    pub label: Flag,
    /// KPIs that have a value, and those whose value is yes: one bit each.
    pub kpis: u32,
    pub kpis_yes: u32,
    /// Whether it came in time for its stream; a late one takes its id's place but counts nowhere.
    pub in_time: bool,
}

impl Outcome {
    /// An event with KPI outcomes only leaves the label's place free.
    fn only_kpis(&self) -> bool {
        self.label == Flag::Missing && self.kpis != 0
    }
}

/// A prediction and its outcome, joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub prediction: Pending,
    pub segments: &'a [u32],
    pub outcome: Outcome,
}

/// What a prediction met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    New(Ended),
    Duplicate,
}

/// What a label met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met<'a> {
    Pair(Pair<'a>),
    /// No prediction yet: the label waits.
    Waits,
    Duplicate,
    /// Its prediction is there, but further away than the horizon or the lateness allow.
    OutOfBounds,
}

/// How the streams may lie apart, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A label comes at most so long after its prediction,
    pub horizon: i64,
    /// and at most so long before it.
    pub early: i64,
}

impl Bounds {
    /// Whether a prediction at `new` repeats the id of one at `held`.
    fn same_prediction(self, held: i64, new: i64) -> bool {
        new <= held.saturating_add(self.horizon)
    }

    /// How long before a prediction a label takes its place.
    fn place(self) -> i64 {
        self.early.saturating_add(self.horizon)
    }

    fn relation(self, prediction: i64, label: i64) -> Relation {
        let rel = label.saturating_sub(prediction);
        if rel > self.horizon {
            Relation::After
        } else if rel >= -self.early {
            Relation::Within
        } else if rel >= -self.place() {
            Relation::TooEarly
        } else {
            Relation::Before
        }
    }
}

/// How a label lies to a prediction of its id in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Before,
    TooEarly,
    Within,
    After,
}

/// Labels of one id that wait, in the order they were read; almost always one.
#[derive(Clone, Debug)]
struct Waiting {
    first: Outcome,
    more: Vec<Outcome>,
}

impl Waiting {
    fn all(&self) -> impl Iterator<Item = &Outcome> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Keeps those that `keep` says yes to; `None` where none are left.
    fn retain(&self, mut keep: impl FnMut(&Outcome) -> bool) -> Option<Self> {
        let mut kept = self.all().filter(|o| keep(o)).copied();
        let first = kept.next()?;
        Some(Self { first, more: kept.collect() })
    }
}

impl Pending {
    /// Takes a label in, if it is within reach: a pair's outcome, or why there is none.
    fn meet(&mut self, bounds: Bounds, outcome: &Outcome) -> Meeting {
        let only_kpis = outcome.only_kpis();
        let relation = bounds.relation(self.ts, outcome.ts);
        match relation {
            Relation::Before => return Meeting::Apart,
            Relation::After => {
                self.labelled |= !only_kpis;
                return Meeting::Apart;
            }
            Relation::TooEarly | Relation::Within => {}
        }
        let fresh = Outcome {
            kpis: outcome.kpis & !self.kpis,
            label: if self.labelled { Flag::Missing } else { outcome.label },
            ..*outcome
        };
        let taken = only_kpis || self.labelled;
        if taken && fresh.kpis == 0 {
            return Meeting::Duplicate;
        }
        self.labelled |= !only_kpis;
        if relation == Relation::TooEarly {
            return Meeting::OutOfBounds;
        }
        self.kpis |= outcome.kpis;
        Meeting::Joins(fresh)
    }
}

/// What a prediction and a label are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    Joins(Outcome),
    Duplicate,
    OutOfBounds,
    Apart,
}

/// Labels that ended without a pair when their prediction came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub duplicates: u64,
    pub out_of_bounds: u64,
}

/// The join table of one model.
#[derive(Clone, Debug)]
pub struct Join {
    bounds: Bounds,
    width: usize,
    pending: Map<u128, Pending>,
    segments: Vec<u32>,
    free: Vec<u32>,
    /// Earlier predictions of ids that were used anew; almost always empty.
    reused: Map<u128, Vec<Pending>>,
    waiting: Map<u128, Waiting>,
    /// How many early labels there are by time.
    early_times: BTreeMap<i64, u32>,
    swept_at: i64,
}

/// What a sweep dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub unlabelled: u64,
    pub unmatched: u64,
}

impl Join {
    /// A table whose predictions have `width` segment codes each.
    #[must_use]
    pub fn new(bounds: Bounds, width: usize) -> Self {
        Self {
            bounds,
            width,
            pending: Map::default(),
            segments: Vec::new(),
            free: Vec::new(),
            reused: Map::default(),
            waiting: Map::default(),
            early_times: BTreeMap::new(),
            swept_at: i64::MIN,
        }
    }

    /// Adds a prediction; calls `pair` for outcomes that waited for it. `segments` has one code a segmentation.
    pub fn prediction(
        &mut self,
        id: PredictionId,
        mut new: Pending,
        segments: &[u32],
        mut pair: impl FnMut(Pair<'_>),
    ) -> Arrival {
        if let Some(held) = self.pending.get(&id.0) {
            let bounds = self.bounds;
            let same = |p: &Pending| bounds.same_prediction(p.ts, new.ts);
            if same(held) || self.reused.get(&id.0).is_some_and(|older| older.iter().any(same)) {
                return Arrival::Duplicate;
            }
            self.reused.entry(id.0).or_default().push(*held);
        }
        let mut ended = Ended::default();
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.remove(&id.0)
        {
            let (bounds, times) = (self.bounds, &mut self.early_times);
            let left = waiting.retain(|outcome| {
                match new.meet(bounds, outcome) {
                    Meeting::Apart => return true,
                    Meeting::Joins(outcome) => pair(Pair { prediction: new, segments, outcome }),
                    Meeting::Duplicate => ended.duplicates += 1,
                    Meeting::OutOfBounds => ended.out_of_bounds += 1,
                }
                forget_time(times, outcome.ts);
                false
            });
            if let Some(left) = left {
                self.waiting.insert(id.0, left);
            }
        }
        new.segments = if let Some(at) = self.free.pop() {
            if let Some(place) = self.segments.get_mut(at as usize..at as usize + self.width) {
                place.copy_from_slice(segments);
            }
            at
        } else {
            let at = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
            self.segments.extend_from_slice(segments);
            at
        };
        self.pending.insert(id.0, new);
        Arrival::New(ended)
    }

    /// Looks for the prediction of an outcome; without one the outcome waits.
    pub fn label(&mut self, id: PredictionId, outcome: Outcome) -> Met<'_> {
        let bounds = self.bounds;
        // In the order they were read.
        let older = self.reused.get_mut(&id.0).into_iter().flatten();
        let mut found = None;
        for prediction in older.chain(self.pending.get_mut(&id.0)) {
            match prediction.meet(bounds, &outcome) {
                Meeting::Apart => {}
                meeting => {
                    found = Some((*prediction, meeting));
                    break;
                }
            }
        }
        match found {
            Some((prediction, Meeting::Joins(outcome))) => {
                let at = prediction.segments as usize;
                Met::Pair(Pair { prediction, segments: self.segments.get(at..at + self.width).unwrap_or(&[]), outcome })
            }
            Some((_, Meeting::Duplicate)) => Met::Duplicate,
            Some((_, Meeting::OutOfBounds)) => Met::OutOfBounds,
            Some((_, Meeting::Apart)) | None => {
                // The very same label again can only be a repetition, whatever it will meet.
                if self.waiting.get(&id.0).is_some_and(|w| w.all().any(|o| *o == outcome)) {
                    return Met::Duplicate;
                }
                *self.early_times.entry(outcome.ts).or_default() += 1;
                match self.waiting.get_mut(&id.0) {
                    Some(waiting) => waiting.more.push(outcome),
                    None => drop(self.waiting.insert(id.0, Waiting { first: outcome, more: Vec::new() })),
                }
                Met::Waits
            }
        }
    }

    /// The earliest waiting label at or after `from`: a prediction may still come for it.
    #[must_use]
    pub fn earliest_waiting(&self, from: i64) -> Option<i64> {
        self.early_times.range(from..).next().map(|(&ts, _)| ts)
    }

    /// Drops what can no longer be joined once all streams have passed `watermark`; works now and then.
    pub fn sweep(&mut self, watermark: i64) -> Swept {
        if watermark < self.swept_at.saturating_add((self.bounds.horizon / SWEEPS_PER_HORIZON).max(1)) {
            return Swept::default();
        }
        self.swept_at = watermark;
        let mut swept = Swept::default();
        let (free, bounds) = (&mut self.free, self.bounds);
        let labels_from = watermark.saturating_sub(bounds.horizon);
        let mut keep = |p: &Pending| {
            let keep = p.ts >= labels_from;
            if !keep {
                free.push(p.segments);
                swept.unlabelled += u64::from(!p.labelled);
            }
            keep
        };
        self.pending.retain(|_, p| keep(p));
        self.reused.retain(|_, older| {
            older.retain(&mut keep);
            !older.is_empty()
        });
        let predictions_from = watermark.saturating_sub(bounds.place());
        let times = &mut self.early_times;
        let mut emptied = false;
        let mut keep = |outcome: &Outcome| {
            let keep = outcome.ts >= predictions_from;
            if !keep {
                forget_time(times, outcome.ts);
                swept.unmatched += 1;
            }
            keep
        };
        self.waiting.retain(|_, waiting| {
            let left = waiting.retain(&mut keep);
            emptied |= left.is_none();
            left.map(|left| *waiting = left).is_some()
        });
        if emptied && self.waiting.len() * 4 < self.waiting.capacity() {
            self.waiting.shrink_to_fit();
        }
        swept
    }

    /// Predictions held, and labels that wait for theirs.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.pending.len(), self.waiting.len())
    }

    /// What a checkpoint keeps.
    #[must_use]
    pub fn state(&self) -> JoinState {
        let codes = |p: &Pending| {
            self.segments.get(p.segments as usize..p.segments as usize + self.width).unwrap_or(&[]).to_vec()
        };
        let mut pending: Vec<_> = self.pending.iter().map(|(&id, p)| (id, *p, codes(p))).collect();
        pending.sort_unstable_by_key(|(id, ..)| *id);
        let mut early: Vec<_> = self.waiting.iter().map(|(&id, w)| (id, w.all().copied().collect())).collect();
        early.sort_unstable_by_key(|(id, _): &(u128, Vec<Outcome>)| *id);
        let mut reused: Vec<_> =
            self.reused.iter().flat_map(|(&id, older)| older.iter().map(move |p| (id, *p, codes(p)))).collect();
        reused.sort_by_key(|(id, p, _)| (*id, p.ts));
        JoinState { pending, early, reused, swept_at: self.swept_at }
    }

    /// A table as a checkpoint kept it.
    #[must_use]
    pub fn restore(bounds: Bounds, width: usize, state: JoinState) -> Self {
        let mut join = Self::new(bounds, width);
        join.swept_at = state.swept_at;
        let mut place = |mut p: Pending, codes: Vec<u32>| {
            p.segments = u32::try_from(join.segments.len()).unwrap_or(u32::MAX);
            join.segments.extend(codes.iter().copied().chain(std::iter::repeat(u32::MAX)).take(width));
            p
        };
        for (id, p, codes) in state.pending {
            join.pending.insert(id, place(p, codes));
        }
        for (id, p, codes) in state.reused {
            join.reused.entry(id).or_default().push(place(p, codes));
        }
        for (id, outcomes) in state.early {
            for outcome in outcomes {
                // As if it were read now: nothing it could meet is left.
                *join.early_times.entry(outcome.ts).or_default() += 1;
                match join.waiting.get_mut(&id) {
                    Some(waiting) => waiting.more.push(outcome),
                    None => drop(join.waiting.insert(id, Waiting { first: outcome, more: Vec::new() })),
                }
            }
        }
        join
    }
}

fn forget_time(times: &mut BTreeMap<i64, u32>, ts: i64) {
    if let Some(n) = times.get_mut(&ts) {
        *n -= 1;
        if *n == 0 {
            times.remove(&ts);
        }
    }
}

/// The join table as a checkpoint keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinState {
    pending: Vec<(u128, Pending, Vec<u32>)>,
    early: Vec<(u128, Vec<Outcome>)>,
    reused: Vec<(u128, Pending, Vec<u32>)>,
    swept_at: i64,
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
