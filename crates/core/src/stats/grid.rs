//! The reference grid: which cell of a numeric feature's state a value belongs to.
//!
//! A grid of K distinct reference values cuts the line into 2K+1 cells: the K values themselves and the open buckets
//! below, between and above them. Other modules count in the cells, merge the counts and read them.

use serde::{Deserialize, Serialize};

use super::guide::{Guide, LANES};
use super::real::{order_index, plain_zero};

/// So many reads of a table are worth reading all of it before.
const MANY: usize = 64;

/// Distinct reference values, strictly increasing: no NaN, no `-0.0`; ±inf are ordinary extreme values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Points")]
pub struct Grid {
    points: Vec<f64>,
    /// Follows from the points, and is not stored with them.
    #[serde(skip)]
    guide: Guide,
}

/// The stored part of a grid.
#[derive(Deserialize)]
struct Points {
    points: Vec<f64>,
}

impl From<Points> for Grid {
    fn from(Points { points }: Points) -> Self {
        Self { guide: Guide::new(&points), points }
    }
}

impl Grid {
    /// Builds the grid of a reference sample.
    ///
    /// `sorted` is ascending and without NaN. `points` is the number K of order statistics to take: the minimum and
    /// `sorted[ceil(i·m/(K−1)) − 1]` for i = 1..K−1; `None` takes every distinct value, which makes KS exact. `edges`
    /// (the PSI edges) always become grid points. Equal values collapse, so the grid may hold fewer points than K.
    #[must_use]
    pub fn from_sorted(sorted: &[f64], points: Option<usize>, edges: &[f64]) -> Self {
        let mut grid: Vec<f64> = match points {
            None => sorted.chunk_by(|a, b| a.to_bits() == b.to_bits()).filter_map(<[f64]>::first).copied().collect(),
            Some(count) => {
                let intervals = count.saturating_sub(1);
                let rest = (1..=intervals).filter_map(|i| sorted.get(order_index(i, sorted.len(), intervals)));
                sorted.first().into_iter().chain(rest).copied().collect()
            }
        };
        grid.retain(|value| !value.is_nan());
        grid.dedup();
        for value in &mut grid {
            *value = plain_zero(*value);
        }
        // The edges are values of the sample, so an exact grid has them already.
        for edge in edges.iter().filter(|edge| !edge.is_nan()).map(|&edge| plain_zero(edge)) {
            let at = grid.partition_point(|&point| point < edge);
            if grid.get(at).is_none_or(|&point| point > edge) {
                grid.insert(at, edge);
            }
        }
        Points { points: grid }.into()
    }

    /// The grid points, strictly increasing.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// Number of cells: 2K+1.
    #[must_use]
    pub fn cells(&self) -> usize {
        2 * self.points.len() + 1
    }

    /// Cell of `x`: 2i is the open bucket below point i (2K: above the last point), 2i+1 is exactly point i.
    ///
    /// `x` must not be NaN (missing values are counted apart); a NaN would land in cell 0. Always below
    /// [`cells`](Self::cells).
    #[inline]
    #[must_use]
    pub fn locate(&self, x: f64) -> usize {
        // The standard library's search is branch-free inside (`select_unpredictable`).
        let below = self.points.partition_point(|point| *point < x);
        2 * below + usize::from(self.points.get(below) == Some(&x))
    }

    /// Appends the cell of each value, several at once by the grid's guide. A NaN lands in an arbitrary cell.
    pub fn locate_all(&self, values: &[f64], out: &mut Vec<u32>) {
        let points = self.points.as_slice();
        out.reserve(values.len());
        read_ahead(points, values.len());
        read_ahead(self.guide.starts(), values.len());
        let (lanes, rest) = values.as_chunks::<LANES>();
        for lane in lanes {
            let mut cells = self.guide.below(points, lane);
            for (cell, x) in cells.iter_mut().zip(lane) {
                *cell = 2 * *cell + usize::from(points.get(*cell) == Some(x));
            }
            out.extend(cells.map(narrow));
        }
        out.extend(rest.iter().map(|&x| narrow(self.locate(x))));
    }

    /// Whether a cell is a single value rather than an open bucket.
    #[inline]
    #[must_use]
    pub fn is_atom(cell: usize) -> bool {
        cell % 2 == 1
    }

    /// Counts of an ascending sample over the cells, in one pass. NaN is skipped.
    #[must_use]
    pub fn count_sorted(&self, sorted: &[f64]) -> Vec<u64> {
        let mut counts = vec![0_u64; self.cells()];
        let mut below = 0;
        for x in sorted.iter().filter(|x| !x.is_nan()) {
            while self.points.get(below).is_some_and(|point| point < x) {
                below += 1;
            }
            let cell = 2 * below + usize::from(self.points.get(below) == Some(x));
            if let Some(count) = counts.get_mut(cell) {
                *count += 1;
            }
        }
        counts
    }
}

/// Reads every cache line of a table in order, where so many random reads of it will follow that they need most of its
/// lines: the processor fetches ahead when memory is read in order, and each random read would wait for its own line.
pub fn read_ahead<T: Copy>(table: &[T], reads: usize) {
    let line = (64 / size_of::<T>().max(1)).max(1);
    if reads >= MANY {
        table.iter().step_by(line).for_each(|&value| {
            std::hint::black_box(value);
        });
    }
}

fn narrow(cell: usize) -> u32 {
    u32::try_from(cell).unwrap_or(u32::MAX)
}

/// The values in ascending order, without NaN and with one zero. They are sorted as integers, which takes half the time of
/// comparing floats.
#[must_use]
pub fn sorted(values: &[f64]) -> Vec<f64> {
    const SIGN: u64 = 1 << 63;
    let key = |x: f64| match plain_zero(x).to_bits() {
        negative @ SIGN.. => !negative,
        positive => positive | SIGN,
    };
    let value = |key: u64| f64::from_bits(if key < SIGN { !key } else { key ^ SIGN });
    let mut keys = Vec::with_capacity(values.len());
    keys.extend(values.iter().filter(|x| !x.is_nan()).map(|&x| key(x)));
    keys.sort_unstable();
    // In place: the compiler reuses a vector whose items keep their size.
    keys.into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn locating_many_is_locating_each(
            points in prop::collection::vec(-50..50_i32, 0..80),
            values in prop::collection::vec(prop_oneof![(-60..60_i32).prop_map(f64::from), (-60.0..60.0_f64), Just(f64::INFINITY), Just(f64::NEG_INFINITY)], 0..40),
        ) {
            let mut sorted: Vec<f64> = points.into_iter().map(f64::from).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let grid = Grid::from_sorted(&sorted, None, &[]);
            let mut cells = Vec::new();
            grid.locate_all(&values, &mut cells);
            let each: Vec<u32> = values.iter().map(|&x| narrow(grid.locate(x))).collect();
            prop_assert_eq!(cells, each);
        }

        #[test]
        fn sorted_is_what_comparing_floats_gives(values in proptest::collection::vec(any::<u64>(), 0..200)) {
            let mut values: Vec<f64> = values.into_iter().map(f64::from_bits).collect();
            values.extend([0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.5, -1.5]);
            let mut compared: Vec<f64> = values.iter().filter(|x| !x.is_nan()).map(|x| x + 0.0).collect();
            compared.sort_unstable_by(f64::total_cmp);
            let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&sorted(&values)), bits(&compared));
        }
    }

    #[test]
    fn order_statistics_start_at_the_minimum_and_end_at_the_maximum() {
        let sorted: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(Grid::from_sorted(&sorted, Some(5), &[]).points(), [1.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(Grid::from_sorted(&sorted, Some(1), &[]).points(), [1.0]);
        assert_eq!(Grid::from_sorted(&sorted, Some(0), &[7.5]).points(), [1.0, 7.5]);
        assert_eq!(Grid::from_sorted(&sorted, None, &[]).points(), sorted);
    }

    #[test]
    fn zeros_are_one_value_and_infinities_are_points() {
        let grid = Grid::from_sorted(&[f64::NEG_INFINITY, -0.0, 0.0, 1.0, f64::INFINITY], None, &[-0.0, f64::NAN]);
        assert_eq!(grid.points().len(), 4);
        assert!(grid.points().iter().all(|point| point.to_bits() != (-0.0_f64).to_bits()));
        assert_eq!(grid.locate(f64::NEG_INFINITY), 1);
        assert_eq!(grid.locate(-1.0), 2);
        assert_eq!(grid.locate(-0.0), 3);
        assert_eq!(grid.locate(f64::INFINITY), 7);
        assert_eq!(grid.count_sorted(&[-0.0, 0.0, 0.5, 2.0]), [0, 0, 0, 2, 1, 0, 1, 0, 0]);
    }

    #[test]
    fn an_empty_grid_is_one_open_bucket() {
        let grid = Grid::from_sorted(&[], Some(1021), &[]);
        assert_eq!((grid.cells(), grid.locate(3.0)), (1, 0));
        assert_eq!(grid.count_sorted(&[1.0, 2.0]), [2]);
    }
}
