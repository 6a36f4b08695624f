//! Every distance beside what scipy 1.17 says of the same raw samples (`tests/data/distance/make.py`), at a relative 1e-12.

use serde_json::Value;

use super::bins::{bins, quantile_edges, sum_bins};
use super::distance::{hellinger, jensen_shannon, largest_difference};
use super::grid::{self, Grid};
use super::ks;
use super::wasserstein::{deviation, wasserstein};

const GOLDEN: &str = include_str!("../../../../tests/data/distance/distance.json");

fn close(what: &str, got: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((got - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{what}: {got} is not {expected}");
}

fn rows(document: &Value, of: &str) -> Vec<Value> {
    document[of].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn on_bins(expect: &Value, reference: &[u64], window: &[u64]) {
    close("js", jensen_shannon(reference, window).unwrap(), &expect["js"]);
    close("hellinger", hellinger(reference, window).unwrap(), &expect["hellinger"]);
    close("l_inf", largest_difference(reference, window).unwrap().value(), &expect["l_inf"]);
}

#[test]
fn distances_of_categories_agree_with_scipy() {
    let document: Value = serde_json::from_str(GOLDEN).unwrap();
    for row in rows(&document, "categorical") {
        let counts =
            |of: &str| -> Vec<u64> { row[of].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect() };
        on_bins(&row["expect"], &counts("reference"), &counts("window"));
    }
}

#[test]
fn distances_of_numbers_agree_with_scipy() {
    let document: Value = serde_json::from_str(GOLDEN).unwrap();
    for row in rows(&document, "numeric") {
        let expect = &row["expect"];
        let (reference, window) = (grid::sorted(&numbers(&row["reference"])), grid::sorted(&numbers(&row["window"])));
        let edges = quantile_edges(&reference, 10);
        let edge_values: Vec<f64> = edges.iter().map(|edge| edge.0).collect();
        let spread = deviation(&reference).unwrap();
        // Every value of both samples is a point; each of the reference; few, so that most values lie between two points.
        let both = [edge_values.clone(), window.clone()].concat();
        for (points, edge_values, meets) in
            [(None, &both, true), (None, &edge_values, false), (Some(12), &edge_values, false)]
        {
            // Values outside of the reference's range would stretch the grid, and the range is the reference's.
            let (least, most) = (reference[0], reference[reference.len() - 1]);
            let within: Vec<f64> = edge_values.iter().copied().filter(|x| (least..=most).contains(x)).collect();
            let grid = Grid::from_sorted(&reference, points, &within);
            let (r, w) = (grid.count_sorted(&reference), grid.count_sorted(&window));
            let bins = bins(&grid, &edges);
            on_bins(expect, &sum_bins(&bins, &r), &sum_bins(&bins, &w));
            let distance = ks::distance(&r, &w).unwrap();
            if points.is_none() {
                close("ks", distance.d_lo, &expect["ks"]);
            }
            let d = expect["ks"].as_f64().unwrap();
            assert!(distance.d_lo <= d + 1e-12 && d <= distance.d_hi + 1e-12, "{distance:?} {d}");
            let found = wasserstein(grid.points(), &r, &w).unwrap();
            let (lower, upper, raw) =
                (found.lower / spread, found.upper / spread, expect["wasserstein"].as_f64().unwrap());
            assert!(lower <= raw + 1e-12 && raw <= upper + 1e-12, "{raw} is not in {lower}..{upper}");
            if meets {
                close("wasserstein", lower, &expect["wasserstein"]);
                close("wasserstein", upper, &expect["wasserstein"]);
            }
        }
    }
}
