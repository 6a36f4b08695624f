//! A guide table: for a value, the place in a sorted table from which a search needs only a few steps.
//!
//! The method is indexed search (Chen and Asau, "On generating random variates from an empirical distribution", AIIE
//! Transactions 6, 1974) with a search by halves in place of the linear one. The oracle is the standard library's
//! `partition_point`.

use std::hint::select_unpredictable;

/// Searches that run side by side.
pub(super) const LANES: usize = 8;
/// A table as short as this is searched as a whole.
const SHORT: usize = 8;
/// Most buckets of a guide: more would not stay in a core's cache beside the table.
const BUCKETS: usize = 1024;
/// Parts of the table, from either end, that share the first and the last bucket: a table with long tails is cut finely
/// only where its values are.
const TAILS: [usize; 4] = [usize::MAX, 256, 64, 16];
/// Adding it to a real from 0 to 2^31 leaves the nearest integer in the low bits.
const TO_INTEGER: f64 = 4_503_599_627_370_496.0;

/// The guide of one table: buckets of equal width, and for each how many entries lie in the buckets before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Guide {
    low: f64,
    /// Buckets a unit.
    scale: f64,
    starts: Vec<u32>,
    /// Halvings that find a value in the fullest bucket.
    steps: u32,
}

impl Guide {
    /// The guide of a table in strictly increasing order, without NaN.
    pub fn new(table: &[f64]) -> Self {
        let whole = Self { low: 0.0, scale: 0.0, starts: vec![0], steps: steps(table.len()) };
        if table.len() <= SHORT {
            return whole;
        }
        // The first of those that are equally good.
        TAILS
            .iter()
            .filter_map(|parts| Self::cut(table, table.len() / parts))
            .fold(whole, |best, cut| if cut.steps < best.steps { cut } else { best })
    }

    /// Buckets of equal width between the entries that so many others lie behind, from either end.
    fn cut(table: &[f64], behind: usize) -> Option<Self> {
        let (low, high) = (*table.get(behind)?, *table.get(table.len().checked_sub(behind + 1)?)?);
        let buckets = table.len().min(BUCKETS);
        #[allow(clippy::cast_precision_loss, reason = "at most `BUCKETS`")]
        let scale = buckets as f64 / (high - low);
        if !low.is_finite() || !scale.is_finite() || scale <= 0.0 {
            return None;
        }
        let mut guide = Self { low, scale, starts: vec![0; buckets], steps: 0 };
        let mut counts = vec![0_u32; buckets];
        for &value in table {
            *counts.get_mut(guide.bucket(value))? += 1;
        }
        let mut before = 0;
        for (start, count) in guide.starts.iter_mut().zip(&counts) {
            *start = before;
            before += count;
        }
        guide.steps = steps(counts.into_iter().max()? as usize);
        Some(guide)
    }

    /// The bucket of a value. A larger value is never in an earlier one: subtracting, scaling and rounding keep the order.
    /// A NaN is in the first.
    #[inline]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "from 0 to the last bucket")]
    fn bucket(&self, value: f64) -> usize {
        let last = self.starts.len().saturating_sub(1) as f64;
        let at = (value - self.low) * self.scale;
        let at = if at > 0.0 { at } else { 0.0 };
        let at = if at < last { at } else { last };
        (at + TO_INTEGER).to_bits() as u32 as usize
    }

    /// How many entries of the table are below each value; anything for a NaN. The searches run step by step, since one
    /// alone waits for its loads.
    #[inline]
    pub fn below(&self, table: &[f64], values: &[f64; LANES]) -> [usize; LANES] {
        // Everything in an earlier bucket is below the value, everything in a later one above it: the searched part may
        // reach into those.
        let mut at = values.map(|value| self.starts.get(self.bucket(value)).map_or(0, |&start| start as usize));
        for step in (0..self.steps).rev() {
            let half = 1_usize << step;
            for (at, value) in at.iter_mut().zip(values) {
                // A value and no test for it keeps the branch out.
                let entry = table.get(*at + half - 1).copied().unwrap_or(f64::INFINITY);
                *at = select_unpredictable(entry < *value, *at + half, *at);
            }
        }
        at
    }

    /// The table of bucket starts, to be read ahead of many searches.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }
}

/// Halvings that a search among so many entries takes.
fn steps(entries: usize) -> u32 {
    usize::BITS - entries.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strictly_increasing(mut values: Vec<f64>) -> Vec<f64> {
        values.retain(|x| !x.is_nan());
        values.iter_mut().for_each(|x| *x += 0.0);
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        values
    }

    /// Even, skewed, tiny and huge values, both infinities, and any bits at all.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => -50.0..50.0_f64,
            2 => (-50..50_i32).prop_map(f64::from),
            2 => (-700.0..700.0_f64).prop_map(f64::exp),
            1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::MAX), Just(f64::MIN)],
            1 => any::<u64>().prop_map(f64::from_bits),
        ]
    }

    proptest! {
        #[test]
        fn the_guide_finds_what_a_search_of_the_whole_table_finds(
            table in prop_oneof![prop::collection::vec(value(), 0..40), prop::collection::vec(value(), 300..3_000)],
            values in prop::collection::vec(value().prop_filter("no NaN", |x| !x.is_nan()), LANES),
        ) {
            let table = strictly_increasing(table);
            let guide = Guide::new(&table);
            let entries = values.iter().map(|value| table.partition_point(|entry| entry < value)).collect::<Vec<_>>();
            let values: [f64; LANES] = values.try_into().unwrap();
            prop_assert_eq!(guide.below(&table, &values).to_vec(), entries);
            // Entries of the table themselves, and their neighbours.
            for near in table.iter().step_by(7).flat_map(|x| [x.next_down(), *x, x.next_up()]) {
                let found = guide.below(&table, &[near; LANES]);
                prop_assert_eq!(found, [table.partition_point(|entry| *entry < near); LANES]);
            }
        }
    }

    #[test]
    fn a_guide_spares_most_of_the_search() {
        let even: Vec<f64> = (0..1021).map(f64::from).collect();
        assert_eq!(Guide::new(&even).steps, 2, "ten without a guide");
        // Quantiles of a log-logistic distribution, of which not even the mean is finite.
        let odds = |i: i32| f64::from(i) / f64::from(1021 - i);
        assert!(Guide::new(&(1..1021).map(odds).collect::<Vec<_>>()).steps <= 7);
        assert_eq!(Guide::new(&[f64::NEG_INFINITY, f64::INFINITY]).below(&[1.0], &[2.0; LANES]), [1; LANES]);
        assert_eq!(Guide::new(&[]).below(&[], &[2.0; LANES]), [0; LANES]);
    }
}
