//! The rules that practitioners ask for, in public issues and in the manuals of other tools, each as a policy says it.

use super::*;

/// What is asked for, and the rules that say it.
const WISHES: &[(&str, &[&str])] = &[
    ("the four-fifths rule", &["ratio: {of: selection_rate, by: c, gte: 0.8}", "disparate_impact: {by: c, gte: 0.8}"]),
    ("the same against a named group", &["ratio: {of: selection_rate, by: c, gte: 0.8, reference: x}"]),
    ("as a band", &["ratio: {of: selection_rate, by: c, between: [0.8, 1.25], reference: x}"]),
    ("with a warning", &["ratio: {of: selection_rate, by: c, gte: 0.8, warn: 0.9}"]),
    ("PSI that warns and blocks", &["psi: {of: features, lt: 0.25, warn: 0.1}"]),
    ("a limit for each feature", &["psi: {of: features, lt: 0.25, except: {a: {lt: 0.5}, c: {lt: 0.1}}}"]),
    ("the top features only", &["psi: {of: [a, c], lt: 0.25}"]),
    ("bins of equal width", &["psi: {of: a, lt: 0.25, bins: {width: 10}}", "js: {of: a, lt: 0.1, bins: {width: 20}}"]),
    ("bands of a credit score", &["psi: {of: score, lt: 0.25, bins: {edges: [300, 500, 700]}}"]),
    ("half of the features drifted", &["drifted_share: {of_rule: g/tests, lte: 0.5}"]),
    ("two of three windows", &["psi: {of: features, lt: 0.25, for: 2 of 3}"]),
    ("three windows in a row", &["psi: {of: features, lt: 0.25, for: 3}"]),
    (
        "another distance",
        &[
            "wasserstein: {of: a, lt: 0.1}",
            "js: {of: features, lt: 0.1}",
            "ks: {of: a, lt: 0.1}",
            "hellinger: {of: label, lt: 0.1}",
        ],
    ),
    ("p with Bonferroni's correction", &["ks_p: {of: features, gte: 0.05, correction: bonferroni}"]),
    ("p and an effect together", &["ks_p: {of: features, gte: 0.05, min_effect: 0.1}"]),
    ("a gap against a reference group", &["gap: {of: tpr, by: c, lt: 0.05, reference: x}"]),
    (
        "gaps of other rates",
        &[
            "gap: {of: fnr, by: c, lt: 0.05}",
            "gap: {of: precision, by: c, lt: 0.05}",
            "gap: {of: fdr, by: c, lt: 0.05}",
            "gap: {of: for, by: c, lt: 0.05}",
            "gap: {of: accuracy, by: c, lt: 0.05}",
            "average_odds: {by: c, lt: 0.05}",
            "equalized_odds: {by: c, lt: 0.05}",
        ],
    ),
    ("a ratio of TPR", &["ratio: {of: tpr, by: c, gte: 0.8}"]),
    ("intersections", &["gap: {of: recall, by: [c, d], lt: 0.05}"]),
    (
        "quality with a limit, a warning and a drop against training",
        &[
            "recall: {gte: 0.7, warn: 0.8}",
            "precision: {max_drop: 0.05}",
            "f1: {max_drop: {relative: 0.1}, warn: {relative: 0.05}}",
            "accuracy: {gte: 0.7}",
            "log_loss: {max_increase: 0.05}",
            "brier: {lt: 0.2}",
            "auc: {max_drop: 0.05, warn: 0.02}",
        ],
    ),
    ("predicted positives", &["selection_rate: {between: [0.1, 0.2]}", "selection_rate: {max_increase: 0.05}"]),
    ("labels", &["label_rate: {lt: 0.3}", "label_rate: {max_increase: {relative: 0.5}}"]),
    ("missing values", &["missing_rate: {of: features, lt: 0.1}", "missing_rate: {of: features, max_increase: 0.05}"]),
    ("new categories", &["new_categories: {of: c, lt: 0.01}"]),
    ("values out of range", &["out_of_range: {of: a, lt: 0.01}", "out_of_range: {of: a, lt: 0.01, range: [0, 120]}"]),
    (
        "a mean three standard deviations away",
        &["mean: {of: a, max_increase: {sigmas: 3}}", "mean: {of: a, max_drop: {sigmas: 3}}"],
    ),
    ("a constant feature", &["constant: {of: features, lt: 0.99}"]),
    ("rows and their drop", &["volume: {gte: 1000}", "volume: {max_drop: {relative: 0.5}, versus: previous}"]),
    ("samples per rule", &["psi: {of: features, lt: 0.25, min_samples: 1000}"]),
    ("latency and errors", &["latency_p95_ms: {lt: 80}", "error_rate: {lt: 0.01}"]),
    (
        "a business KPI against last week",
        &[
            "kpi_drop: {of: ctr, max: {relative: 0.05}, versus: {season: 7d}}",
            "kpi_drop: {of: ctr, max: {absolute: 0.01}, versus: previous}",
        ],
    ),
    (
        "other references",
        &[
            "psi: {of: features, lt: 0.25, versus: {rolling: 4}}",
            "auc: {max_drop: 0.05, versus: {from: 2026-01-01, to: 2026-02-01}}",
            "missing_rate: {of: features, max_increase: 0.1, versus: champion}",
        ],
    ),
    (
        "the score by segment, and a feature by segment",
        &["psi: {of: score, by: c, lt: 0.25}", "psi: {of: a, by: c, lt: 0.25}"],
    ),
];

fn is_read(rule: &str) -> Result<(), String> {
    let both = format!("[{{ks_p: {{id: tests, of: features, gte: 0.01}}}}, {{{rule}}}]");
    read(&with_rules(&both)).map(|_| ()).map_err(|errors| format!("{rule}: {errors}"))
}

#[test]
fn what_practitioners_ask_for_can_be_said() {
    for (_, rules) in WISHES {
        for rule in *rules {
            assert_eq!(is_read(rule), Ok(()));
        }
    }
}
