//! Rules of quality and fairness that practitioners write, each as a policy says it.

use super::*;
use crate::rule::decided::Decided;
use crate::rule::quality::{ScoreMetric, ScoreRule};
use crate::rule::segments::gap_lcb::GapLcb;
use crate::rule::segments::metrics::ComparedMetric;
use crate::stats::confusion::Rate;
use crate::stats::quality::Metric;

#[test]
fn what_practitioners_ask_of_fairness_can_be_said() {
    for text in [
        // The four-fifths rule, against a named group, with a warning.
        "ratio: {of: selection_rate, by: c, gte: 0.8}",
        "ratio: {of: selection_rate, by: c, gte: 0.8, reference: x}",
        "ratio: {of: selection_rate, by: c, gte: 0.8, warn: 0.9}",
        "ratio: {of: selection_rate, by: c, between: [0.8, 1.25], warn: [0.9, 1.1], reference: x}",
        "gap: {of: recall, by: c, max_increase: 0.05, versus: training, min_samples: 500}",
        "disparate_impact: {by: c, gte: 0.8}",
        // Gaps with a reference group, of every rate; ratios; odds; intersections.
        "gap: {of: tpr, by: c, lt: 0.1, reference: x}",
        "gap: {of: fnr, by: c, lt: 0.1}",
        "gap: {of: precision, by: c, lt: 0.1}",
        "gap: {of: fdr, by: c, lt: 0.1}",
        "gap: {of: for, by: c, lt: 0.1}",
        "gap: {of: accuracy, by: c, lt: 0.1}",
        "gap: {of: average_odds, by: c, lt: 0.1}",
        "average_odds: {by: c, lt: 0.1}",
        "ratio: {of: tpr, by: c, gte: 0.8}",
        "equalized_odds: {by: c, lt: 0.1}",
        "gap: {of: recall, by: [c, d], lt: 0.1}",
        "gap: {of: recall, by: c*d, lt: 0.1}",
        "gap_lcb: {of: precision, by: c, lte: 0.03, reference: x}",
    ] {
        assert!(read(&with_rule(text)).is_ok(), "{text}: {:?}", read(&with_rule(text)));
    }
}

#[test]
fn what_practitioners_ask_of_quality_can_be_said() {
    for metric in ["recall", "precision", "f1", "accuracy", "brier", "auc", "log_loss", "ece", "selection_rate"] {
        for limits in [
            "gte: 0.7",
            "gt: 0.7, warn: 0.8",
            "lt: 0.7, warn: 0.6",
            "lte: 0.7, for: 2",
            "between: [0.1, 0.9], warn: [0.2, 0.8]",
            "max_drop: 0.05, warn: 0.02",
            "max_drop: {relative: 0.1}, min_samples: 50",
            "max_increase: {absolute: 0.1}, warn: {absolute: 0.05}",
        ] {
            let text = format!("{metric}: {{{limits}}}");
            assert!(read(&with_rule(&text)).is_ok(), "{text}: {:?}", read(&with_rule(&text)));
        }
    }
}

#[test]
fn what_is_wrong_with_a_limit_is_said() {
    for (rule, message) in [
        ("recall: {}", "no limit: write one of `lt`, `lte`, `gt`, `gte`, `between`, `max_increase` or `max_drop`"),
        ("recall: {gte: 0.7, max_drop: 0.1}", "recall.max_drop: both `gte` and `max_drop`: keep one limit"),
        ("recall: {between: 0.7}", "expected a list of two numbers, like [0.8, 1.25], in brackets, read \"0.7\""),
        ("recall: {between: [0.7]}", "expected two numbers, read 1: write [0.8, 1.25]"),
        ("recall: {between: [0.8, 0.7]}", "0.8 is not below 0.7: write the smaller number first"),
        ("recall: {between: [0.7, 1.7]}", "between[1]: expected a rate from 0 to 1, read \"1.7\""),
        ("recall: {max_drop: 5}", "expected a rate from 0 to 1, read \"5\""),
        ("recall: {max_drop: {relative: 0.1, absolute: 0.1}}", "both `absolute` and `relative`: keep one"),
        ("recall: {gte: 0.7, warn: 0.6}", "recall.warn: warn 0.6 is not above gte 0.7"),
        ("recall: {between: [0.7, 0.9], warn: [0.6, 0.8]}", "warn [0.6, 0.8] does not lie inside of [0.7, 0.9]"),
        ("recall: {max_drop: 0.1, warn: 0.2}", "warn 0.2 is not below the limit 0.1: write a smaller change"),
        ("recall: {max_drop: 0.1, versus: before}", "expected `training` or `previous` or `champion`, read \"before\""),
        ("recall: {gte: 0.7, min_samples: 0}", "expected a whole number from 1 to 1000000000, read \"0\""),
    ] {
        rule_says(rule, message);
    }
}

#[test]
fn rules_read_what_they_need() {
    let kind = rule("gap: {of: recall, by: [c, d], lt: 0.1}");
    let gap: &ComparedMetric = kind.as_check().unwrap();
    assert_eq!((gap.by, gap.min_positives, kind.reads_labels()), (1, 30, true));
    let kind = rule("gap: {of: selection_rate, by: c, lt: 0.1}");
    assert_eq!((kind.reads_labels(), kind.selection_by(), kind.metric()), (false, Some(0), "gap"));
    let kind = rule("gap_lcb: {of: selection_rate, by: c, lte: 0.1}");
    assert_eq!((kind.reads_labels(), kind.as_check::<GapLcb>().unwrap().rate), (false, Rate::Selection));
    let kind = rule("ppv: {gte: 0.5}");
    let decided: &Decided = kind.as_check().unwrap();
    assert_eq!((decided.metric, kind.metric(), kind.reads_decided()), (Metric::Rate(Rate::Precision), "ppv", true));
    let kind = rule("brier: {lt: 0.5}");
    let score: &ScoreRule = kind.as_check().unwrap();
    assert_eq!((score.of, kind.reads_decided(), kind.reads_labels()), (ScoreMetric::Brier, false, true));
}

#[test]
fn selection_needs_no_labels_and_scores_need_no_threshold() {
    let without = |text: &str, key: &str| read(&with_rule(text).replace(key, ""));
    let (labels, threshold) = ("labels: {horizon: 1d}\n", "score: {threshold: 0.5}\n");
    for text in ["selection_rate: {lt: 0.5}", "gap: {of: selection_rate, by: c, lt: 0.1}"] {
        assert!(without(text, labels).is_ok(), "{text}");
        assert!(without(text, threshold).unwrap_err().contains("reads decisions"), "{text}");
    }
    assert!(without("recall: {gte: 0.5}", labels).unwrap_err().contains("recall reads labels"));
    assert!(without("brier: {lt: 0.5}", threshold).is_ok());
}

#[test]
fn a_change_without_a_snapshot_to_compare_with_is_advised_about() {
    let lints = |text: &str, baseline: &str| {
        let policy = with_rule(text).replace("model: m\n", &format!("model: m\n{baseline}"));
        let policy = crate::policy::parse(&policy, Path::new("p.yaml")).unwrap();
        let all = crate::policy::lint::lint(&policy).into_iter();
        all.filter(|lint| lint.message.contains("a change is compared")).map(|lint| lint.path).collect::<Vec<_>>()
    };
    let (score, both) = (
        "baseline: {snapshot: x.csv, columns: {score: s}}\n",
        "baseline: {snapshot: x.csv, columns: {score: s, label: l}}\n",
    );
    assert_eq!(lints("recall: {max_drop: 0.1}", score), ["checks.g.rules[0].recall"]);
    assert!(lints("recall: {max_drop: 0.1}", both).is_empty() && lints("recall: {gte: 0.1}", "").is_empty());
    assert!(lints("selection_rate: {max_drop: 0.1}", score).is_empty());
    assert_eq!(lints("selection_rate: {max_drop: 0.1}", ""), ["checks.g.rules[0].selection_rate"]);
}

/// A policy of three classes; `rule` is its only rule.
fn of_classes(classes: &str, rule: &str) -> String {
    let rule = with_rule(rule).replace("score: {threshold: 0.5}\n", "");
    rule.replace("model: m\n", &format!("model: m\ntask: multiclass\n{classes}baseline: {{snapshot: x.csv}}\n"))
}

#[test]
fn classes_that_are_not_named_are_the_only_mistake() {
    for rule in ["accuracy: {gte: 0.5}", "recall: {class: a, gte: 0.5}", "psi: {of: prediction, lt: 0.2}"] {
        let said = read(&of_classes("", rule)).unwrap_err();
        assert!(said.contains("needs the model's classes") && said.trim_end().lines().count() == 1, "{rule}: {said}");
        assert!(read(&of_classes("classes: [a, b, c]\n", rule)).is_ok(), "{rule}");
    }
}

#[test]
fn advice_names_the_columns_that_the_task_has() {
    let text = of_classes("classes: [a, b, c]\n", "recall: {class: a, max_drop: 0.1}");
    let policy = crate::policy::parse(&text, Path::new("p.yaml")).unwrap();
    let lints = crate::policy::lint::lint(&policy);
    let lint = lints.iter().find(|lint| lint.message.contains("a change is compared")).unwrap();
    assert!(lint.message.contains("columns: {prediction: …, label: …}"), "{}", lint.message);
}
