//! Every row of the reference values, every field that the statistics define, at a relative 1e-9.
//!
//! The values were made by scipy, statsmodels, fairlearn and big-integer arithmetic (see `meta` in the file). A kind or a
//! field that this module does not know fails the test.

#![allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "test code: the counts are small and exact")]

use super::bins::{bins, quantile_edges, sum_bins};
use super::fairness::{self, Confusion, Rate, Ratio};
use super::psi::{Zero, psi};
use super::{auc, chi2, grid::Grid, ks, multiplicity, proportion};
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../../tests/golden/statistics.json");

/// Oracles of other definitions, kept in the file for comparison.
const NOT_OURS: &[&str] = &[
    "p_exact_ties",
    "p_scipy_asymp",
    "js_div_nats",
    "js_div_bits",
    "js_dist_nats",
    "w1",
    "wald",
    "clopper_lo95",
    "clopper_hi95",
    "by",
    "exact_source",
];

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        Some(other) => panic!("not a number: {other}"),
        None => value.as_f64().unwrap(),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn counts(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect()
}

fn close(id: &str, field: &str, got: f64, expected: f64) {
    let same = got == expected || (got - expected).abs() <= 1e-9 * expected.abs().max(1e-300);
    // Differences of rates cancel; there the reference itself is good to an ulp of 1.
    let rounding = (got - expected).abs() <= 1e-15;
    assert!(
        same || (rounding && expected.abs() > 1e-9) || (rounding && expected == 0.0),
        "{id}.{field}: {got} is not {expected}"
    );
}

/// Compares a value that may be missing on both sides.
fn maybe(id: &str, field: &str, got: Option<f64>, expected: &Value) {
    match (got, expected) {
        (None, Value::Null) => {}
        (Some(got), expected) if !expected.is_null() => close(id, field, got, number(expected)),
        (got, expected) => panic!("{id}.{field}: {got:?} is not {expected}"),
    }
}

fn lists(id: &str, field: &str, got: &[f64], expected: &Value) {
    let expected = numbers(expected);
    assert_eq!(got.len(), expected.len(), "{id}.{field}");
    for (got, expected) in got.iter().zip(expected) {
        close(id, field, *got, expected);
    }
}

#[test]
fn every_row_agrees() {
    let document: Value = serde_json::from_str(GOLDEN).unwrap();
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.len() >= 62, "rows are missing: {}", rows.len());
    for row in rows {
        let (id, input) = (row["id"].as_str().unwrap(), &row["input"]);
        let check: fn(&str, &Value, &str, &Value) -> bool = match row["kind"].as_str().unwrap() {
            "numeric" => numeric,
            "ks_p" => ks_p,
            "kolmogorov_sf" => kolmogorov,
            "chi2_sf" => chi2_sf,
            "categorical" => categorical,
            "wilson" => wilson,
            "two_proportions" => two_proportions,
            "fairness" => fair,
            "auc_bins" => auc_bins,
            "label_bounds" => label_bounds,
            "ks_lcb" => ks_lcb,
            "multiplicity" => adjusted,
            other => panic!("unknown kind {other} in {id}"),
        };
        for (field, expected) in row["expect"].as_object().unwrap() {
            let known = NOT_OURS.contains(&field.as_str()) || check(id, input, field, expected);
            assert!(known, "unknown field {field} in {id}");
        }
    }
}

fn sorted(values: &Value) -> (Vec<f64>, u64) {
    let all = numbers(values);
    let mut present: Vec<f64> = all.iter().copied().filter(|x| !x.is_nan()).collect();
    present.sort_by(f64::total_cmp);
    let missing = u64::try_from(all.len() - present.len()).unwrap();
    (present, missing)
}

fn numeric(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let ((reference, nan_ref), (window, nan_win)) = (sorted(&input["ref"]), sorted(&input["win"]));
    let edges = quantile_edges(&reference, 10);
    let edge_values: Vec<f64> = edges.iter().map(|edge| edge.0).collect();
    let exact = Grid::from_sorted(&reference, None, &edge_values);
    let (r, w) = (exact.count_sorted(&reference), exact.count_sorted(&window));
    let d = ks::distance(&r, &w).unwrap();
    let bins = bins(&exact, &edges);
    let (bin_r, bin_w) = (sum_bins(&bins, &r), sum_bins(&bins, &w));
    let five = Grid::from_sorted(&reference, Some(5), &[]);
    let (r5, w5) = (five.count_sorted(&reference), five.count_sorted(&window));
    let d5 = ks::distance(&r5, &w5).unwrap();
    assert!(d.d_hi == d.d_lo, "{id}: an exact grid leaves no interval");
    let en = (d.n as f64 * d.m as f64 / (d.n as f64 + d.m as f64)).sqrt();
    let got = match field {
        "m" => d.m as f64,
        "n" => d.n as f64,
        "nan_ref" => nan_ref as f64,
        "nan_win" => nan_win as f64,
        "D" => d.d_lo,
        "D_num" => (d.h / super::real::gcd(d.h, d.lcm)) as f64,
        "D_den" => (d.lcm / super::real::gcd(d.h, d.lcm)) as f64,
        "lattice_h" => d.h as f64,
        "lattice_lcm" => d.lcm as f64,
        "p_exact" => ks::p_exact(d.n, d.m, d.h).p,
        "p_kolmogorov" => ks::kolmogorov_sf(en * d.d_lo).p,
        "p_corrected" => ks::p_corrected(d.n, d.m, d.d_lo, d.lcm).p,
        "psi_floor" => psi(&bin_r, &bin_w, Zero::Floor(1e-4)).unwrap(),
        "psi_half" => psi(&bin_r, &bin_w, Zero::Half).unwrap(),
        "chi2" => chi2::pearson(&bin_r, &bin_w).unwrap().statistic,
        "chi2_df" => chi2::pearson(&bin_r, &bin_w).unwrap().df as f64,
        "chi2_p" => chi2::pearson(&bin_r, &bin_w).unwrap().p.p,
        "grid5_D_lo" => d5.d_lo,
        "grid5_D_hi" => d5.d_hi,
        "edges" => {
            assert_eq!(edge_values, numbers(expected), "{id}");
            return true;
        }
        "heavy" => {
            let heavy: Vec<f64> = edges.iter().filter(|edge| edge.1).map(|edge| edge.0).collect();
            assert_eq!(heavy, numbers(expected), "{id}");
            return true;
        }
        "grid5" => {
            assert_eq!(five.points(), numbers(expected), "{id}");
            return true;
        }
        "bin_ref" | "bin_win" | "grid5_ref" | "grid5_win" => {
            let got = match field {
                "bin_ref" => bin_r,
                "bin_win" => bin_w,
                "grid5_ref" => r5,
                _ => w5,
            };
            assert_eq!(got, counts(expected), "{id}.{field}");
            return true;
        }
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn ks_p(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let integer = |key: &str| input[key].as_u64().unwrap();
    let (n, m, h, lcm) = (integer("n"), integer("m"), integer("lattice_h"), integer("lattice_lcm"));
    let d = h as f64 / lcm as f64;
    let en = (n as f64 * m as f64 / (n as f64 + m as f64)).sqrt();
    let got = match field {
        "D" => d,
        "p_exact" => ks::p_exact(n, m, h.into()).p,
        "ln_p_exact" => ks::p_exact(n, m, h.into()).ln_p,
        "p_kolmogorov" => ks::kolmogorov_sf(en * d).p,
        "ln_p_kolmogorov" => {
            // The file has the leading term, ln 2 − 2x², here; it leaves ln p by no more than q³ = exp(−6x²).
            let (x, ln_p) = (en * d, ks::kolmogorov_sf(en * d).ln_p);
            assert!((ln_p - number(expected)).abs() <= 1.01 * (-6.0 * x * x).exp() + 1e-9 * ln_p.abs(), "{id}");
            std::f64::consts::LN_2 - 2.0 * x * x
        }
        "p_corrected" => ks::p_corrected(n, m, d, lcm.into()).p,
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn kolmogorov(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let value = ks::kolmogorov_sf(number(&input["x"]));
    let got = match field {
        "sf" => value.p,
        "ln_sf" => value.ln_p,
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn chi2_sf(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let value = chi2::chi2_sf(number(&input["x"]), input["df"].as_u64().unwrap());
    let got = match field {
        "sf" => value.p,
        "ln_sf" => value.ln_p,
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn categorical(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let (r, w) = (counts(&input["ref_counts"]), counts(&input["win_counts"]));
    let test = chi2::pearson(&r, &w).unwrap();
    let got = match field {
        "psi_floor" => psi(&r, &w, Zero::Floor(1e-4)).unwrap(),
        "psi_half" => psi(&r, &w, Zero::Half).unwrap(),
        "chi2" => test.statistic,
        "chi2_df" => test.df as f64,
        "chi2_p" => test.p.p,
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn wilson(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let at = |alpha| proportion::wilson(input["k"].as_u64().unwrap(), input["n"].as_u64().unwrap(), alpha).unwrap();
    let got = match field {
        "lo95" => at(0.05).0,
        "hi95" => at(0.05).1,
        "lo99" => at(0.01).0,
        "hi99" => at(0.01).1,
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn two_proportions(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let [k1, n1, k2, n2] = ["k1", "n1", "k2", "n2"].map(|key| input[key].as_u64().unwrap());
    let test = proportion::two_proportions(k1, n1, k2, n2).unwrap();
    let got = match field {
        "diff" => test.difference,
        "z_pooled" => test.z,
        "p_two_sided" => test.p_two_sided,
        "p_drop_one_sided" => test.p_drop,
        "newcombe" => {
            let (lo, hi) = proportion::newcombe(k1, n1, k2, n2, 0.05).unwrap();
            lists(id, field, &[lo, hi], expected);
            return true;
        }
        "agresti_caffo" => {
            let (lo, hi) = proportion::agresti_caffo(k1, n1, k2, n2, 0.05).unwrap();
            lists(id, field, &[lo, hi], expected);
            return true;
        }
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn fair(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let named = input["segments"].as_object().unwrap();
    let segments: Vec<Confusion> = named.values().map(|s| serde_json::from_value(s.clone()).unwrap()).collect();
    let reference = named.keys().position(|name| name == input["reference"].as_str().unwrap()).unwrap();
    let (limit, alpha) = (number(&input["limit"]), number(&input["alpha"]));
    let min = input["min_positives"].as_u64().unwrap();
    // The point values of the file are over every segment that has the rate; only the rules ask for `min_positives`.
    let all = |rate: Rate| rate.eligible(&segments, 1);
    let gap = |rate: Rate| fairness::gap(&segments, &all(rate), rate);
    let eligible = Rate::Tpr.eligible(&segments, min);
    let odds = fairness::equalized_odds(&segments, &all(Rate::Tpr), &all(Rate::Fpr));
    let by_segment = |value: &dyn Fn(&Confusion) -> Option<f64>| {
        for ((name, expected), segment) in expected.as_object().unwrap().iter().zip(&segments) {
            maybe(id, &format!("{field}.{name}"), value(segment), expected);
        }
    };
    let rule = |name: &str| assert_eq!(Some(name), expected.as_str(), "{id}.{field}");
    let got = match field {
        "tpr" => return (by_segment(&|s| Rate::Tpr.value(s)), true).1,
        "fpr" => return (by_segment(&|s| Rate::Fpr.value(s)), true).1,
        "selection" => return (by_segment(&|s| Rate::Selection.value(s)), true).1,
        "disparate_impact_vs_ref" => {
            by_segment(&|s| fairness::impact_against(s, &segments[reference]).map(Ratio::value));
            return true;
        }
        "point_rule" => {
            let limit = Ratio::from_decimal(limit).unwrap();
            let found = fairness::gap(&segments, &eligible, Rate::Tpr);
            rule(found.map_or("insufficient_evidence", |gap| if gap.at_least(limit) { "block" } else { "pass" }));
            return true;
        }
        "lcb_rule" => {
            let found = fairness::tpr_gap_lcb(&segments, &eligible, alpha, None, 1.0);
            rule(found.map_or("insufficient_evidence", |b| if b.exceeds(limit) { "block" } else { "pass" }));
            return true;
        }
        "tpr_gap" => gap(Rate::Tpr).map(|gap| gap.value),
        "fpr_gap" => gap(Rate::Fpr).map(|gap| gap.value),
        "selection_gap" => gap(Rate::Selection).map(|gap| gap.value),
        "disparate_impact" => fairness::disparate_impact(&segments, &all(Rate::Selection)).map(|i| i.value),
        "eq_odds_worst" => odds.map(|odds| odds.worst.value),
        "eq_odds_mean" => odds.map(|odds| odds.mean),
        "tpr_gap_vs_ref" => {
            fairness::gap_to_reference(&segments, &all(Rate::Tpr), Rate::Tpr, reference).map(|g| g.value)
        }
        "tpr_gap_min_pos" => fairness::gap(&segments, &eligible, Rate::Tpr).map(|gap| gap.value),
        "tpr_gap_lcb_pairs" => fairness::tpr_gap_lcb(&segments, &all(Rate::Tpr), alpha, None, 1.0).map(|b| b.lcb),
        "tpr_gap_lcb_vs_ref" => {
            fairness::tpr_gap_lcb(&segments, &all(Rate::Tpr), alpha, Some(reference), 1.0).map(|b| b.lcb)
        }
        _ => return false,
    };
    maybe(id, field, got, expected);
    true
}

fn auc_bins(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let atoms: Vec<bool> = input["is_atom"].as_array().unwrap().iter().map(|atom| atom.as_bool().unwrap()).collect();
    let found = auc::auc(&counts(&input["pos"]), &counts(&input["neg"]), |cell| atoms[cell]).unwrap();
    let got = match field {
        "auc_lo" => found.lo,
        "auc_hi" => found.hi,
        "auc_mid" => found.mid,
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn label_bounds(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let [tp, fn_, u1, u0] =
        ["tp", "fn", "unlabelled_pred_pos", "unlabelled_pred_neg"].map(|key| input[key].as_u64().unwrap());
    let found = fairness::label_bounds(tp, fn_, u1, u0);
    let got = match field {
        "tpr_obs" => found.and_then(|b| b.observed),
        "tpr_lo" => found.map(|b| b.lo),
        "tpr_hi" => found.map(|b| b.hi),
        _ => return false,
    };
    maybe(id, field, got, expected);
    true
}

fn ks_lcb(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let [d_lo, test, reference, effect] =
        ["D_lo", "alpha_test", "alpha_ref", "design_effect"].map(|key| number(&input[key]));
    let (n, m) = (input["n"].as_u64().unwrap(), input["m"].as_u64().unwrap());
    let bound = ks::lcb(d_lo, n, m, test, reference, effect);
    let got = match field {
        "c_win" => bound.window,
        "c_ref" => bound.reference,
        "lcb" => bound.lcb,
        _ => return false,
    };
    close(id, field, got, number(expected));
    true
}

fn adjusted(id: &str, input: &Value, field: &str, expected: &Value) -> bool {
    let p = numbers(&input["p"]);
    let got = match field {
        "bonferroni" => multiplicity::bonferroni(&p),
        "holm" => multiplicity::holm(&p),
        "bh" => multiplicity::bh(&p),
        _ => return false,
    };
    lists(id, field, &got, expected);
    true
}
