//! Every metric of quality and fairness beside what scikit-learn 1.9 and fairlearn 0.15 say of the same raw rows
//! (`tests/data/quality/make.py`), at a relative 1e-12.

use std::collections::BTreeMap;

use serde_json::Value;

use super::auc::auc;
use super::bins::{bins, quantile_edges};
use super::confusion::{Confusion, Rate};
use super::fairness;
use super::grid::{self, Grid};
use super::quality::named;
use super::scores::{Interval, ScoreCells};

const GOLDEN: &str = include_str!("../../../../tests/data/quality/quality.json");

fn close(what: &str, got: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((got - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{what}: {got} is not {expected}");
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
fn decisions_agree_with_scikit_learn_and_fairlearn() {
    let document: Value = serde_json::from_str(GOLDEN).unwrap();
    let threshold = document["threshold"].as_f64().unwrap();
    for row in list(&document["rows"]) {
        let mut by_segment: BTreeMap<&str, Confusion> = BTreeMap::new();
        let mut all = Confusion::default();
        for ((score, label), segment) in list(&row["score"]).iter().zip(list(&row["label"])).zip(list(&row["segment"]))
        {
            let (predicted, label) = (score.as_f64().unwrap() >= threshold, label.as_u64() == Some(1));
            by_segment.entry(segment.as_str().unwrap()).or_default().count(predicted, label);
            all.count(predicted, label);
        }
        let segments: Vec<Confusion> = by_segment.into_values().collect();
        let everyone: Vec<usize> = (0..segments.len()).collect();
        let between = row["between"].as_object().unwrap();
        assert_eq!(between.len(), 11);
        for (name, expected) in between {
            let metric = named(name).unwrap();
            close(name, metric.exact(&all).unwrap().value(), &row["expect"][name]);
            let gap = fairness::gap(&segments, &everyone, metric).unwrap();
            close(&format!("gap of {name}"), gap.exact.value(), &expected["gap"]);
            let ratio = fairness::ratio(&segments, &everyone, metric).unwrap();
            close(&format!("ratio of {name}"), ratio.exact.value(), &expected["ratio"]);
        }
        let odds = fairness::equalized_odds(&segments, &everyone, &everyone).unwrap();
        close("average_odds", odds.exact_mean.value(), &row["expect"]["average_odds"]);
        close("tpr of a", Rate::Tpr.value(&segments[0]).unwrap(), &row["expect"]["tpr_of_a"]);
    }
}

#[test]
fn scores_agree_with_scikit_learn() {
    let document: Value = serde_json::from_str(GOLDEN).unwrap();
    for row in list(&document["rows"]) {
        let scores: Vec<f64> = list(&row["score"]).iter().map(|s| s.as_f64().unwrap()).collect();
        let sorted = grid::sorted(&scores);
        let edges = quantile_edges(&sorted, 10);
        let edge_values: Vec<f64> = edges.iter().map(|edge| edge.0).collect();
        // Exact, and so coarse that most scores lie between two points.
        for points in [None, Some(12)] {
            let grid = Grid::from_sorted(&sorted, points, &edge_values);
            let mut cells = [vec![0_u64; grid.cells()], vec![0_u64; grid.cells()]];
            for (score, label) in scores.iter().zip(list(&row["label"])) {
                cells[usize::from(label.as_u64() == Some(1))][grid.locate(*score)] += 1;
            }
            let [negatives, positives] = &cells;
            let of = ScoreCells { points: grid.points(), negatives, positives };
            let area = auc(positives, negatives, Grid::is_atom).unwrap();
            for (name, found) in [
                ("auc", Interval { lower: area.lo, upper: area.hi }),
                ("log_loss", of.log_loss().unwrap()),
                ("brier", of.brier().unwrap()),
                ("ece", of.ece(&bins(&grid, &edges)).unwrap()),
            ] {
                let expected = &row["expect"][name];
                if points.is_none() {
                    close(name, found.lower, expected);
                    close(name, found.upper, expected);
                }
                let raw = expected.as_f64().unwrap();
                assert!(found.lower <= raw + 1e-12 && raw <= found.upper + 1e-12, "{name}: {raw} not in {found:?}");
            }
        }
    }
}
