//! Quantile bins of a numeric feature: their edges, and the same bins as runs of grid cells.
//!
//! Bins are right-closed and never cut a cell, so bin counts are sums of cell counts.

use super::grid::Grid;
use super::real::{length, order_index, plain_zero};

/// One bin: the cells from the previous bin's `end` up to, not including, this `end`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bin {
    /// Exclusive cell index.
    pub end: usize,
    /// Upper edge; `None` for the last bin. The bin is (previous, le], except that the bin before an atom is
    /// (previous, le) because the atom holds the edge itself.
    pub le: Option<f64>,
    /// The bin is the single value `{le}`.
    pub atom: bool,
}

/// Edges of `bins` quantile bins: the distinct `sorted[ceil(j·m/bins) − 1]` for j = 1..bins−1, ascending, each with a
/// flag that says it is heavy (occurs at least twice among them). `sorted` is ascending and without NaN; empty input
/// has no edges.
#[must_use]
#[allow(clippy::float_cmp, reason = "edges are distinct when their values are; both zeros are one value")]
pub fn quantile_edges(sorted: &[f64], bins: usize) -> Vec<(f64, bool)> {
    let mut edges: Vec<(f64, bool)> = Vec::new();
    for value in (1..bins).filter_map(|j| sorted.get(order_index(j, sorted.len(), bins))) {
        match edges.last_mut() {
            Some((last, heavy)) if *last == *value => *heavy = true,
            _ => edges.push((plain_zero(*value), false)),
        }
    }
    edges
}

/// The edges between so many bins of equal width from the smallest to the largest finite value of `sorted`, ascending: what
/// `numpy.linspace` gives without its ends. Without a finite value there are none, and where all values are one it is the edge.
#[must_use]
#[allow(clippy::float_cmp, reason = "edges that rounding makes equal are one")]
pub fn equal_width_edges(sorted: &[f64], bins: usize) -> Vec<f64> {
    let mut finite = sorted.iter().copied().filter(|x| x.is_finite());
    let Some(low) = finite.next() else { return Vec::new() };
    let high = finite.next_back().unwrap_or(low);
    let step = (high - low) / length(bins);
    let mut edges: Vec<f64> = (1..bins).map(|j| plain_zero(length(j) * step + low)).filter(|x| x.is_finite()).collect();
    edges.dedup();
    edges
}

/// The bins of ascending `edges` over `grid`, one per edge, one more {e} per heavy edge, and the last one.
///
/// Every edge should be a grid point ([`Grid::from_sorted`] takes them); one that is not is lowered to the point below
/// it, since a cell is never cut. The last `end` is always [`Grid::cells`].
#[must_use]
pub fn bins(grid: &Grid, edges: &[(f64, bool)]) -> Vec<Bin> {
    let mut bins = Vec::with_capacity(2 * edges.len() + 1);
    for (edge, heavy) in edges {
        let cell = grid.locate(*edge);
        let on_grid = Grid::is_atom(cell);
        if *heavy && on_grid {
            bins.push(Bin { end: cell, le: Some(*edge), atom: false });
        }
        bins.push(Bin { end: cell + usize::from(on_grid), le: Some(*edge), atom: *heavy && on_grid });
    }
    bins.push(Bin { end: grid.cells(), le: None, atom: false });
    bins
}

/// The same of edges none of which is heavy.
#[must_use]
pub fn plain_bins(grid: &Grid, edges: &[f64]) -> Vec<Bin> {
    let edges: Vec<(f64, bool)> = edges.iter().map(|edge| (*edge, false)).collect();
    bins(grid, &edges)
}

/// Bin counts from cell counts. Cells that are not there count as 0.
#[must_use]
pub fn sum_bins(bins: &[Bin], cells: &[u64]) -> Vec<u64> {
    let mut start = 0;
    bins.iter()
        .map(|bin| {
            let end = bin.end.min(cells.len());
            let sum = cells.get(start..end).map_or(0, |run| run.iter().sum());
            start = end;
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_edge_is_heavy_and_becomes_an_atom() {
        let mut sample = vec![0.0; 24];
        sample.extend((1..=16).map(f64::from));
        let edges = quantile_edges(&sample, 10);
        assert_eq!(edges, [(0.0, true), (4.0, false), (8.0, false), (12.0, false)]);
        let values: Vec<f64> = edges.iter().map(|edge| edge.0).collect();
        let grid = Grid::from_sorted(&sample, Some(3), &values);
        let bins = bins(&grid, &edges);
        assert_eq!(sum_bins(&bins, &grid.count_sorted(&sample)), [0, 24, 4, 4, 4, 4]);
        assert!(bins[1].atom && bins[1].le == Some(0.0) && !bins[0].atom);
        assert_eq!(sum_bins(&bins, &grid.count_sorted(&[-1.0, 0.0, 0.5, 4.0, 4.5, 99.0])), [1, 1, 2, 1, 0, 1]);
        assert_eq!(bins.last().map(|bin| (bin.end, bin.le)), Some((grid.cells(), None)));
    }

    #[test]
    fn signed_zeros_are_one_edge() {
        let edges = quantile_edges(&[-0.0, -0.0, 0.0, 0.0], 4);
        assert_eq!(edges, [(0.0, true)]);
        assert!(edges[0].0.is_sign_positive());
    }

    #[test]
    fn no_sample_and_no_edges_make_one_bin() {
        assert!(quantile_edges(&[], 10).is_empty());
        assert!(quantile_edges(&[1.0], 0).is_empty());
        let grid = Grid::from_sorted(&[1.0, 2.0], None, &[]);
        let one = bins(&grid, &[]);
        assert_eq!(sum_bins(&one, &[1, 2, 3, 4, 5]), [15]);
        assert_eq!(sum_bins(&one, &[1, 2]), [3]);
    }

    #[test]
    fn an_edge_off_the_grid_does_not_cut_a_cell() {
        let grid = Grid::from_sorted(&[1.0, 2.0], None, &[]);
        let bins = bins(&grid, &[(1.5, true)]);
        assert_eq!(bins.iter().map(|bin| bin.end).collect::<Vec<_>>(), [2, 5]);
    }
}
