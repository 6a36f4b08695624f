//! Predictions that were joined elsewhere and are counted here: which of them are repeated is given, by their number.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Which rows of a part are predictions that the join knows already: by their number among the part's rows, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// Predictions whose id their version had before.
    pub duplicates: VecDeque<u32>,
    /// Predictions of a request that another version had scored before.
    pub beside: VecDeque<u32>,
}

/// The repeats of the rows that are still to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    repeats: Repeats,
    /// Rows read so far.
    rows: u32,
}

impl Given {
    pub(super) fn new(repeats: Repeats) -> Self {
        Self { repeats, rows: 0 }
    }

    /// Takes the duplicates out of the accepted rows of a batch, and those beside another version's out of `model` groups.
    pub(super) fn take_out(&mut self, rows: usize, accepted: &mut Vec<(u32, u32)>, model: u32) {
        let from = self.rows;
        self.rows = from.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        let until = self.rows;
        let next = |of: &mut VecDeque<u32>, row: u32| {
            while of.front().is_some_and(|at| *at < row) {
                of.pop_front();
            }
            of.front() == Some(&row)
        };
        let Repeats { duplicates, beside } = &mut self.repeats;
        if ![&*duplicates, &*beside].iter().any(|of| of.front().is_some_and(|at| *at < until)) {
            return;
        }
        accepted.retain_mut(|(row, mask)| {
            let at = from.saturating_add(*row);
            if next(beside, at) {
                *mask &= !model;
            }
            !next(duplicates, at)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_rows_are_taken_out_by_their_number_in_the_part() {
        let repeats = Repeats { duplicates: [1, 7, 8].into(), beside: [2, 5].into() };
        let mut given = Given { repeats, rows: 0 };
        let mut take = |rows: usize, accepted: &[u32]| {
            let mut accepted: Vec<(u32, u32)> = accepted.iter().map(|row| (*row, 0b11)).collect();
            given.take_out(rows, &mut accepted, 0b10);
            accepted
        };
        assert_eq!(take(3, &[0, 1, 2]), [(0, 3), (2, 1)]);
        // Row 5 was not accepted: it is passed over.
        assert_eq!(take(3, &[0, 1]), [(0, 3), (1, 3)]);
        assert_eq!(take(4, &[0, 1, 2, 3]), [(0, 3), (3, 3)]);
        assert_eq!(take(2, &[0, 1]), [(0, 3), (1, 3)]);
    }
}
