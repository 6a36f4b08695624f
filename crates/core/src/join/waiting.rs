//! Labels by id, in the order they were read: those that no prediction met yet, and those that one met and that predictions
//! of other versions may still meet.

use std::collections::BTreeMap;

use super::meeting::{JoinOutcome, Marks};
use super::rows::{JoinRows, RowsState, Shared};
use super::table::Table;
use super::types::flag;

/// The bit of a label that came in time for its stream; below it stands the label.
const IN_TIME: u32 = 4;

impl JoinOutcome {
    fn shared(&self) -> Shared {
        [self.label as u32 | if self.in_time { IN_TIME } else { 0 }, self.kpis, self.kpis_yes, 0]
    }

    fn of(ts: i64, [label, kpis, kpis_yes, _]: Shared, value: u64) -> Self {
        Self { ts, label: flag(label & !IN_TIME), kpis, kpis_yes, value, in_time: label & IN_TIME != 0 }.readable()
    }
}

/// The halves of a number's bits, the lower one first: codes of a row.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "each is one half")]
pub fn halves(bits: u64) -> [u32; 2] {
    [bits as u32, (bits >> 32) as u32]
}

/// So many labels of one id are kept: all of them are looked through for each that comes.
const MOST_OF_AN_ID: usize = 256;

/// What becomes of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Stays,
    /// A prediction met it.
    Met,
    /// It is kept elsewhere.
    Goes,
}

/// Labels by id.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Rows of labels that were met are marked as labelled.
    table: Table,
    /// How many there are by time, of those that were not met.
    times: BTreeMap<i64, u32>,
    unmet: usize,
    /// Positions of an id's labels.
    found: Vec<u32>,
}

const MET: Marks = Marks { labelled: true, kpis: 0 };

impl Waiting {
    #[must_use]
    pub fn new(block_rows: usize) -> Self {
        Self::of(Table::new(0, block_rows))
    }

    /// Labels that are numbers, whose bits stand with them.
    #[must_use]
    pub fn of_numbers(block_rows: usize) -> Self {
        Self::of(Table::new(halves(0).len(), block_rows))
    }

    fn of(table: Table) -> Self {
        Self { table, times: BTreeMap::new(), unmet: 0, found: Vec::new() }
    }

    /// How many were not met.
    #[must_use]
    pub fn unmet(&self) -> usize {
        self.unmet
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    #[must_use]
    pub fn rows(&self) -> &JoinRows {
        &self.table.rows
    }

    /// Bytes of all labels, with their times.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A tree's nodes are not full.
        self.table.bytes() + self.times.len() * 2 * size_of::<(i64, u32)>()
    }

    /// Whether there are labels of an id.
    #[must_use]
    pub fn has(&self, id: u128) -> bool {
        self.table.has(id)
    }

    fn get(&self, at: u32) -> JoinOutcome {
        let rows = &self.table.rows;
        let mut own = Vec::new();
        if rows.width() > 0 {
            rows.own(at, &mut own);
        }
        let value = if let [low, high] = own[..] { u64::from(high) << 32 | u64::from(low) } else { 0 };
        JoinOutcome::of(rows.ts(at), rows.shared(at), value)
    }

    pub fn touch(&self, ids: &[u128]) {
        if !self.is_empty() {
            self.table.touch(ids);
        }
    }

    /// How many labels of an id there are.
    #[must_use]
    pub fn count_of(&mut self, id: u128) -> usize {
        self.table.all(id, &mut self.found);
        self.found.len()
    }

    /// Whether the very same label is there.
    #[must_use]
    pub fn holds(&mut self, id: u128, outcome: &JoinOutcome) -> bool {
        let mut found = std::mem::take(&mut self.found);
        self.table.all(id, &mut found);
        let holds = found.iter().any(|at| self.get(*at) == *outcome);
        self.found = found;
        holds
    }

    /// Keeps a label that is not there; `false` where its id has as many as are kept of one.
    pub fn add(&mut self, id: u128, outcome: &JoinOutcome, met: bool) -> bool {
        self.table.all(id, &mut self.found);
        if self.found.len() >= MOST_OF_AN_ID {
            return false;
        }
        let value = halves(outcome.value);
        let own = if self.table.rows.width() > 0 { &value[..] } else { &[] };
        let at = self.table.add(id, self.found.len(), outcome.ts, outcome.shared(), own);
        match at {
            Some(at) if met => self.table.mark(at, MET),
            Some(_) => self.count(outcome.ts),
            None => {}
        }
        true
    }

    /// Tells `meet` each label of an id, and whether it was met before; it says what becomes of it.
    pub fn meet(&mut self, id: u128, mut meet: impl FnMut(&JoinOutcome, bool) -> Fate) {
        let mut found = std::mem::take(&mut self.found);
        self.table.all(id, &mut found);
        for &at in &found {
            let (outcome, was_met) = (self.get(at), self.table.rows.marks(at).labelled);
            let fate = meet(&outcome, was_met);
            if fate != Fate::Stays && !was_met {
                self.forget(outcome.ts);
            }
            match fate {
                Fate::Stays => {}
                Fate::Met => self.table.mark(at, MET),
                Fate::Goes => self.table.remove(id, at),
            }
        }
        self.found = found;
    }

    fn count(&mut self, ts: i64) {
        *self.times.entry(ts).or_default() += 1;
        self.unmet += 1;
    }

    fn forget(&mut self, ts: i64) {
        forget(&mut self.times, ts);
        self.unmet -= 1;
    }

    /// The earliest time at or after `from` of those that were not met.
    #[must_use]
    pub fn earliest(&self, from: i64) -> Option<i64> {
        self.times.range(from..).next().map(|(&ts, _)| ts)
    }

    /// Takes out the labels before `from`, and of those that were met the ones before `met_from`; returns how many were not.
    pub fn drop_before(&mut self, from: i64, met_from: i64) -> u64 {
        let times = &mut self.times;
        let gone = |ts, met: bool| {
            if !met {
                forget(times, ts);
            }
        };
        let dropped = self.table.drop_before(from, met_from, gone).unlabelled;
        self.unmet -= usize::try_from(dropped).unwrap_or(self.unmet).min(self.unmet);
        dropped
    }

    /// What a checkpoint keeps.
    #[must_use]
    pub fn state(&self) -> RowsState {
        self.table.rows.state()
    }

    /// Labels as a checkpoint kept them.
    #[must_use]
    pub fn restore(state: RowsState) -> Self {
        let mut waiting = Self::of(Table::restore(state));
        let all: Vec<u32> = waiting.table.rows.positions().collect();
        for at in all {
            let outcome = waiting.get(at);
            if outcome.is_empty() {
                // Earlier driftgates kept labels that say nothing.
                waiting.table.remove(waiting.table.rows.id(at), at);
            } else if !waiting.table.rows.marks(at).labelled {
                waiting.count(outcome.ts);
            }
        }
        waiting
    }
}

fn forget(times: &mut BTreeMap<i64, u32>, ts: i64) {
    if let Some(n) = times.get_mut(&ts) {
        *n -= 1;
        if *n == 0 {
            times.remove(&ts);
        }
    }
}
