//! Labels that wait for their prediction, by id, in the order they were read.

use std::collections::BTreeMap;

use super::flag;
use super::meeting::Outcome;
use super::rows::{RowsState, Shared};
use super::table::Table;

/// The bit of a label that came in time for its stream; below it stands the label.
const IN_TIME: u32 = 4;

impl Outcome {
    fn shared(&self) -> Shared {
        [self.label as u32 | if self.in_time { IN_TIME } else { 0 }, self.kpis, self.kpis_yes, 0]
    }

    fn of(ts: i64, [label, kpis, kpis_yes, _]: Shared) -> Self {
        Self { ts, label: flag(label & !IN_TIME), kpis, kpis_yes, in_time: label & IN_TIME != 0 }
    }
}

/// Labels without a prediction yet.
#[derive(Clone, Debug)]
pub struct Waiting {
    table: Table,
    /// How many there are by time.
    times: BTreeMap<i64, u32>,
}

impl Waiting {
    #[must_use]
    pub fn new(block_rows: usize) -> Self {
        Self { table: Table::new(0, block_rows), times: BTreeMap::new() }
    }

    /// How many ids wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn get(&self, at: u32) -> Outcome {
        Outcome::of(self.table.rows.ts(at), self.table.rows.shared(at))
    }

    pub fn touch(&self, ids: &[u128]) {
        if !self.is_empty() {
            self.table.touch(ids);
        }
    }

    /// Keeps a label; `false` for one that waits already.
    pub fn add(&mut self, id: u128, outcome: Outcome) -> bool {
        let mut is_first = true;
        for at in self.table.all(id) {
            is_first = false;
            if self.get(at) == outcome {
                return false;
            }
        }
        if self.table.add(id, is_first, outcome.ts, outcome.shared(), &[]).is_some() {
            *self.times.entry(outcome.ts).or_default() += 1;
        }
        true
    }

    /// Takes out the labels of an id that `keep` says no to.
    pub fn retain(&mut self, id: u128, mut keep: impl FnMut(Outcome) -> bool) {
        let mut n = 0;
        while let Some(at) = self.table.nth(id, n) {
            let outcome = self.get(at);
            if keep(outcome) {
                n += 1;
            } else {
                self.table.remove(id, at);
                forget(&mut self.times, outcome.ts);
            }
        }
    }

    /// The earliest time at or after `from`.
    #[must_use]
    pub fn earliest(&self, from: i64) -> Option<i64> {
        self.times.range(from..).next().map(|(&ts, _)| ts)
    }

    /// Takes out the labels before `from`; returns how many.
    pub fn drop_before(&mut self, from: i64) -> u64 {
        let times = &mut self.times;
        self.table.drop_before(from, |ts| forget(times, ts)).rows
    }

    /// What a checkpoint keeps.
    #[must_use]
    pub fn state(&self) -> RowsState {
        self.table.rows.state()
    }

    /// Labels as a checkpoint kept them.
    #[must_use]
    pub fn restore(state: RowsState) -> Self {
        let mut table = Table::restore(state);
        // Earlier driftgates kept labels that say nothing.
        let at_all: Vec<u32> = table.rows.positions().collect();
        for at in at_all {
            if Outcome::of(table.rows.ts(at), table.rows.shared(at)).is_empty() {
                table.remove(table.rows.id(at), at);
            }
        }
        let mut times = BTreeMap::new();
        table.rows.positions().for_each(|at| *times.entry(table.rows.ts(at)).or_default() += 1);
        Self { table, times }
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
