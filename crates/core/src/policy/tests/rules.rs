//! Groups and rules: what their options mean, and what is said about mistakes in them.

use super::*;
use crate::rule::alarms::Simulation;
use crate::rule::definition::{Counts, Opt, Subjects, Takes};
use crate::rule::distance::lcb::KsLcb;
use crate::rule::distance::{KsP, Psi};
use crate::rule::kpi::{KpiDrop, KpiVersus};
use crate::rule::limits::Limits;
use crate::rule::measured::MeasuredRule;
use crate::rule::segments::drops::TprDrop;
use crate::rule::segments::{Gap, GapMeasure, TprGapLcb};
use crate::rule::service::ErrorRate;
use crate::rule::{self as table, Definition};
use crate::stats::psi::Zero;
use crate::window::layout::Reads;

#[test]
fn rule_kinds() {
    let limit = |side, limit, warn| Limits::from(Bound { side, limit: at(limit), warn });
    let (gte, lte) = (|x| limit(Side::Gte, x, None), |x| limit(Side::Lte, x, None));
    assert_eq!(
        rule("ks_p: {of: [c, score, b], gte: 0.01, correction: bh, min_effect: 0.1, except: {b: {gte: 0.001}}}"),
        RuleKind::new(KsP {
            of: vec![
                Subject { target: Target::Categorical(0), limit: gte(0.01) },
                Subject { target: Target::Score, limit: gte(0.01) },
                Subject { target: Target::Numeric(1), limit: gte(0.001) },
            ],
            correction: Correction::Bh,
            min_effect: at(0.1),
            min_samples: None,
        })
    );
    assert_eq!(
        rule("ks_lcb: {of: features, lte: 0.05}"),
        RuleKind::new(KsLcb {
            of: vec![
                Subject { target: Target::Numeric(0), limit: lte(0.05) },
                Subject { target: Target::Numeric(1), limit: lte(0.05) }
            ],
            budget: 0.01,
            design_effect: None,
            min_samples: None,
        })
    );
    assert_eq!(
        rule("error_rate: {lt: 1, warn: 0.5, unit: percent}"),
        RuleKind::new(ErrorRate { limit: limit(Side::Lt, 0.01, Some(at(0.005))), min_samples: None })
    );
    let latency = rule("latency_p99_ms: {lt: 80}");
    assert_eq!((latency.metric(), latency.latency_quantile()), ("latency_p99_ms", Some(0.99)));
    assert_eq!(latency.bounds(), [Bound { side: Side::Lt, limit: at(80.0), warn: None }]);
    assert_eq!(
        rule("equalized_odds: {by: c * d, lt: 0.1}"),
        RuleKind::new(Gap {
            measure: GapMeasure::EqualizedOdds,
            by: 1,
            limit: limit(Side::Lt, 0.1, None),
            min_positives: 30,
            min_samples: None
        })
    );
    assert_eq!(
        rule("tpr_gap_lcb: {by: c, lte: 0, reference: \"1\"}"),
        RuleKind::new(TprGapLcb {
            by: 0,
            lte: Limit::ZERO,
            min_positives: 30,
            reference: Some("1".into()),
            design_effect: None
        })
    );
    assert_eq!(
        rule("tpr_drop_lcb: {by: c, max: 0.1, min_positives: 5}"),
        RuleKind::new(TprDrop { by: 0, max: at(0.1), min_positives: 5, lcb: true, design_effect: None })
    );
    assert_eq!(
        rule("kpi_drop: {of: ctr, max: {absolute: 0.01}}"),
        RuleKind::new(KpiDrop { of: 0, max: Tolerance::Absolute(at(0.01)), versus: KpiVersus::Champion })
    );
    let measured = |aggregate, bound| RuleKind::new(MeasuredRule { of: 0, aggregate, bound });
    assert_eq!(
        rule("measured: {of: cost_per_1k, lt: 0.5, warn: 0.4, agg: max}"),
        measured(Aggregate::Max, Bound { side: Side::Lt, limit: at(0.5), warn: Some(at(0.4)) })
    );
    assert_eq!(
        rule("measured: {id: revenue, of: revenue, gte: -2}"),
        measured(Aggregate::Mean, Bound { side: Side::Gte, limit: at(-2.0), warn: None })
    );
    let kind = rule("psi: {of: a, lt: 0.2, zero: floor:1e-4, bins: 20}");
    let psi: &Psi = kind.as_check().unwrap();
    assert_eq!((psi.zero, psi.bins.clone()), (Zero::Floor(1e-4), Binning::Quantile(20)));
    assert_eq!(
        rule("error_rate: {lt: 1.1, warn: 0.7, unit: percent}"),
        RuleKind::new(ErrorRate { limit: limit(Side::Lt, 0.011, Some(at(0.007))), min_samples: None }),
        "in floats it would be 0.011000000000000001"
    );
    for metric in ["tpr_gap", "fpr_gap", "selection_gap", "disparate_impact", "tpr_drop", "auc", "missing_rate"] {
        let options = match metric {
            "auc" => "{gte: 0.7}",
            "missing_rate" => "{of: features, max_increase: 0.1}",
            "disparate_impact" => "{by: c, gte: 0.8}",
            "tpr_drop" => "{by: c, max: 0.1}",
            _ => "{by: c, lt: 0.1}",
        };
        assert_eq!(rule(&format!("{metric}: {options}")).metric(), metric);
    }
}

/// A rule of a metric with what it must have.
fn least(metric: &'static Definition) -> String {
    let of = match metric.subjects {
        Subjects::Features { .. } | Subjects::Distributions | Subjects::Numbers => "of: [a, score], ",
        Subjects::Categories => "of: c, ",
        Subjects::Segmentation => "by: c, ",
        Subjects::Kpi | Subjects::Measured => "of: ctr, ",
        Subjects::Only(_) => "",
    };
    let must = |option: &&Opt| matches!(option.takes, Takes::OneOf(_));
    if metric.name == "drifted_share" {
        return "{drifted_share: {of_rule: g/psi, lt: 0.3}}, {psi: {of: a, lt: 0.2}}".to_owned();
    }
    let words = |option: &Opt| {
        if let Takes::OneOf([word, ..]) = option.takes { format!("{}: {word}, ", option.key) } else { String::new() }
    };
    let of = metric.options.iter().filter(must).map(words).fold(of.to_owned(), |of, option| of + &option);
    let example = metric.example;
    format!("{}: {{{of}{}: {example}}}", metric.name, metric.limit.keys()[0])
}

/// The policy of the task that the metric is of.
fn of_task(metric: &Definition, text: String) -> String {
    match metric.counts {
        Counts::Errors => text.replacen("score: {threshold: 0.5}\n", "task: regression\n", 1),
        _ if metric.name == "estimated" => {
            text.replacen("model: m\n", "model: m\nbaseline: {columns: {score: s, label: l}}\n", 1)
        }
        _ => text,
    }
}

/// Every rule takes a budget, and its reference has the key.
#[test]
fn every_metric_takes_a_budget() {
    for metric in table::all().filter(|metric| !metric.has_own_budget()) {
        let with_budget = |text: String| text.replacen(": {", ": {budget: 1/month, ", 1);
        let policy = read(&of_task(metric, with_rule(&with_budget(least(metric))))).unwrap();
        let kind = &policy.groups[0].rules[0].kind;
        let budget = kind.budget().map(|budget| budget.to_string());
        assert_eq!(budget.as_deref(), Some("1/month"), "{}", metric.name);
        assert!(matches!(kind.simulation(), Simulation::Unknown(why) if why.contains("budget")));
        assert!(metric.schema().pointer("/properties/budget").is_some(), "{}", metric.name);
    }
}

/// Sums that only bounds need are kept where a rule has a budget.
#[test]
fn what_bounds_need_is_counted_with_a_budget_only() {
    let reads = |text: &str| Reads::new(&read(text).unwrap().groups[0]);
    let regression = |rule: &str| with_rule(rule).replacen("score: {threshold: 0.5}\n", "task: regression\n", 1);
    for metric in ["rmse: {lte: 2", "mape: {lte: 2", "r2: {gte: 0.5", "gap: {of: rmse, by: c, lt: 1"] {
        assert!(!reads(&regression(&format!("{metric}}}"))).spread, "{metric}");
        assert!(reads(&regression(&format!("{metric}, budget: 1/month}}"))).spread, "{metric}");
    }
    assert!(!reads(&regression("mae: {lte: 2, budget: 1/month}")).spread, "squares are summed anyway");
    let measured = |more: &str| reads(&with_rule(&format!("measured: {{of: cost, lt: 1{more}}}"))).weighted;
    assert_eq!((measured(""), measured(", budget: 1/year")), (vec![], vec![0]));
}

#[test]
fn a_group_divides_its_budget_among_the_rules_without_one() {
    let group =
        |rules: &str| with_rules(&format!("[{rules}]")).replacen("    rules:", "    budget: 3/year\n    rules:", 1);
    let policy = read(&group(
        "{psi: {of: a, lt: 0.2}}, {ks_lcb: {of: a, lte: 0.1}}, {tpr: {gte: 0.1, budget: 2/day}}, {accuracy: {gte: 0.1}}",
    ))
    .unwrap();
    let day = 86_400_000;
    let alphas: Vec<Option<f64>> =
        policy.groups[0].rules.iter().map(|rule| rule.kind.budget().map(|budget| budget.alpha(day, 1))).collect();
    assert_eq!(alphas, [Some(3.0 / (365.0 * 2.0)), None, Some(0.05), Some(3.0 / (365.0 * 2.0))]);
    let told = read(&group("{measured: {of: cost, agg: max, lt: 10}}")).unwrap_err();
    let expected = "`measured` takes no budget: the largest and the smallest of a window say nothing of the next one's";
    assert!(told.contains(expected), "{told}");
    for wrong in ["1/fortnight", "0/month", "1"] {
        let told = read(&with_rule(&format!("psi: {{of: a, lt: 0.2, budget: {wrong}}}"))).unwrap_err();
        assert!(told.contains("like 1/month"), "{told}");
    }
}

#[test]
fn every_metric_of_the_table_is_a_rule_and_its_subjects_can_be_muted() {
    let until = "until: 2026-01-01, reason: r";
    for metric in table::all() {
        let text = of_task(metric, with_rule(&least(metric)));
        let policy = read(&text).unwrap();
        let kind = &policy.groups[0].rules[0].kind;
        assert_eq!(kind.definition(), metric);
        assert!(metric.limit.keys().iter().all(|key| metric.keys().contains(key)), "{}", metric.name);
        let bounds = kind.bounds();
        let subjects = policy.subjects(kind);
        assert!(!subjects.is_empty() && subjects.len() == bounds.len(), "{}: {subjects:?}", metric.name);
        assert!(metric.limit.side().is_none_or(|side| bounds.iter().all(|bound| bound.side == side)));
        for subject in &subjects {
            let mute = format!(
                "{text}mute: [{{rule: g/{}, of: {subject}, {until}}}, {{of: {subject}, {until}}}]\n",
                metric.name
            );
            assert_eq!(read(&mute).unwrap().mutes[0].of.as_ref(), Some(subject));
        }
        let known = subjects.iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", ");
        let unknown = format!("{text}mute: [{{rule: g/{}, of: nobody, {until}}}]\n", metric.name);
        says(&unknown, &format!("unknown subject \"nobody\"; known here: {known}"));
    }
    let subjects = |text: &str| {
        let policy = read(&with_rule(text)).unwrap();
        policy.subjects(&policy.groups[0].rules[0].kind)
    };
    assert_eq!(subjects("latency_p50_ms: {lt: 1}"), ["latency_ms"]);
    assert_eq!(subjects("error_rate: {lt: 1}"), ["error"]);
    assert_eq!(subjects("auc: {gte: 1}"), ["score"]);
    assert_eq!(subjects("tpr_gap: {by: c*d, lt: 1}"), ["c*d"]);
    assert_eq!(subjects("psi: {of: [score, c], lt: 1}"), ["score", "c"]);
}

#[test]
fn exceptions_inherit_what_they_leave_out() {
    let kind = rule("psi: {of: features, lt: 0.2, warn: 0.1, except: {b: {lt: 0.5}, c: {warn: 0.15}}}");
    let of = &kind.as_check::<Psi>().unwrap().of;
    assert_eq!(of[1].limit, psi_below(0.5, Some(0.1)));
    assert_eq!(of[2].limit, psi_below(0.2, Some(0.15)));
    rule_says(
        "psi: {of: features, lt: 0.2, warn: 0.1, except: {b: {lt: 0.05}}}",
        "the rule's warn 0.1 is not below lt 0.05",
    );
    rule_says("psi: {of: a, lt: 0.2, except: {b: {lt: 0.5}}}", "except.b: \"b\" is not among the rule's subjects");
    rule_says("psi: {of: a, lt: 0.2, except: {z: {lt: 0.5}}}", "unknown feature \"z\"");
    rule_says(
        "psi: {of: a, lt: 0.2, except: {a: {}}}",
        "read an empty mapping: write one of lt, lte, gt, gte, between, warn",
    );
    rule_says("psi: {of: a, lt: 0.2, except: {a: {max: 1}}}", "unknown key `max`; known here: `lt`, `lte`, `gt`, ");
}

#[test]
fn rule_mistakes() {
    for (rule, message) in [
        ("psi: {of: features, limt: 0.2}", "psi.limt: unknown key `limt`"),
        ("psi: {of: features}", "psi.lt: missing: write `lt: 0.2`"),
        ("psi: {lt: 0.2}", "psi.of: missing: write `of: features`"),
        ("psi: {of: features, lt: \"0,2\"}", "psi.lt: expected a number, read \"0,2\", write 0.2"),
        ("psi: {of: features, lt: \"0.2\"}", "read the text \"0.2\": write 0.2 without quotes"),
        ("psi: {of: features, lt: 0,2}", "expected a number, read \"0,2\", write 0.2"),
        ("psi: {of: features, lt: .nan}", "expected a finite number, read \".nan\""),
        ("psi: {of: features, lt: 1e999}", "which is too large"),
        ("psi: {of: features, lt: true}", "expected a number, read \"true\""),
        ("psi: {of: features, lt: [1]}", "expected a number, read a list of 1"),
        ("psi: {of: features, lt: }", "expected a number, read nothing"),
        (
            "psi: {of: features, lt: 0.000000000000000000000000001}",
            "expected a number of at most 26 decimals and 28 digits, read \"0.000000000000000000000000001\": write fewer",
        ),
        ("psi: {of: features, lt: 0.12345678901234567890123456789}", "read \"0.12345678901234567890123456789\""),
        ("measured: {of: x, lt: 1e300}", "expected a number of at most 26 decimals and 28 digits, read \"1e300\""),
        ("psi: {of: features, lt: 0.2, warn: 0.200000000000000000001}", "is not below lt 0.2"),
        ("error_rate: {lt: 1.00000000000000000001}", "expected a fraction above 0, at most 1"),
        ("psi: {of: features, lt: 0}", "expected a number above 0, read \"0\""),
        ("psi: {of: features, lt: 0.2, warn: 0.2}", "psi.warn: warn 0.2 is not below lt 0.2"),
        ("psi: {of: features, lt: 0.2, bins: 1}", "expected a whole number from 2 to 100, read \"1\""),
        ("psi: {of: features, lt: 0.2, bins: 10.0}", "expected a whole number from 2 to 100, read \"10.0\""),
        ("psi: {of: features, lt: 0.2, zero: none}", "expected `half` or `floor:` and a number, read \"none\""),
        ("psi: {of: features, lt: 0.2, zero: {floor: 1e-4}}", "write \"floor:1e-4\" in quotes"),
        ("psi: {of: features, lt: 0.2, zero: \"floor:0,1\"}", "write 0.1"),
        ("psi: {of: features, lt: 0.2, zero: \"floor:1\"}", "expected a floor above 0 and below 0.5"),
        ("psi: {of: features, lt: 0.2, for: 0}", "expected from 1 to 1000 windows, read 0"),
        (
            "psi: {of: features, lt: 0.2, for: 3 of 2}",
            "expected so many of the last windows, of at most 32, read \"3 of 2\": write `3 of 5`",
        ),
        ("psi: {of: features, lt: 0.2, for: 3 of 33}", "read \"3 of 33\": write `3 of 5`"),
        ("psi: {of: features, lt: 0.2, for: 0 of 5}", "read \"0 of 5\": write `3 of 5`"),
        ("psi: {of: features, lt: 0.2, for: a of b}", "read \"a of b\": write `3 of 5`"),
        ("psi: {of: features, lt: 0.2, for: 1.5h}", "expected a duration, read \"1.5h\", write 90m"),
        ("psi: {of: features, lt: 0.2, id: a/b}", "expected a rule's id, read \"a/b\""),
        ("psi: {of: [], lt: 0.2}", "expected at least one subject"),
        ("psi: {of: [a, a], lt: 0.2}", "of[1]: \"a\" is named twice"),
        (
            "psi: {of: [a, 1], lt: 0.2}",
            "of[1]: expected `features`, `score`, or a feature's name, read 1 without quotes",
        ),
        ("psi: {of: {a: 1}, lt: 0.2}", "read a mapping with the key `a`"),
        ("psi", "expected one metric with its options, like `psi: {of: features, lt: 0.2}`, read \"psi\""),
        ("{psi: , of: features}", "read the keys `psi`, `of`"),
        ("{}", "expected one metric"),
        ("ks_p: {of: features, gte: 1.01}", "expected a p-value above 0, at most 1"),
        (
            "ks_p: {of: features, gte: 0.01, correction: sidak}",
            "expected `none` or `bonferroni` or `holm` or `bh`, read \"sidak\"",
        ),
        ("ks_lcb: {of: c, lte: 0.1}", "\"c\" is categorical"),
        ("ks_lcb: {of: features, lte: 0.1, design_effect: 0.5}", "expected a design effect of 1 or more"),
        ("ks_lcb: {of: features, lte: 0.1, budget: 0}", "expected a probability above 0 and below 1"),
        ("missing_rate: {of: features, max_increase: 5%}", "expected a number, read \"5%\", write 0.05"),
        ("invalid_rate: {of: features, lte: 2}", "expected a rate from 0 to 1, read \"2\""),
        ("tpr_gap: {by: e, lt: 0.1}", "by: \"e\" is not in `segments:`; known here: `c`, `c*d`"),
        ("tpr_gap: {by: c, lt: 0.1, min_positives: 0}", "expected a whole number from 1"),
        ("error_rate: {lt: 5}", "expected a fraction above 0, at most 1 (or `unit: percent`), read \"5\""),
        ("error_rate: {lt: 101, unit: percent}", "expected a percentage above 0, at most 100"),
        ("error_rate: {lt: 1, unit: permille}", "expected `fraction` or `percent`, read \"permille\""),
        ("kpi_drop: {of: ctr, max: 0.01}", "say which of the two it is"),
        ("kpi_drop: {of: ctr, max: {absolute: 0.1, relative: 0.1}}", "both `absolute` and `relative`"),
        ("kpi_drop: {of: ctr, max: {}}", "neither `absolute` nor `relative`"),
        ("kpi_drop: {of: ctr, max: {relative: 0.1}, versus: baseline}", "expected `champion`"),
        ("measured: {lt: 0.5}", "measured.of: missing: write `of: cost_per_1k`"),
        ("measured: {of: x}", "no limit: write one of `lt`, `lte`, `gt` or `gte`"),
        ("measured: {of: x, lt: 0.5, gte: 0.1}", "measured.gte: both `lt` and `gte`: keep one limit"),
        ("measured: {of: x, lt: 0.5, warn: 0.5}", "measured.warn: warn 0.5 is not below lt 0.5"),
        ("measured: {of: x, gte: 0.5, warn: 0.4}", "measured.warn: warn 0.4 is not above gte 0.5"),
        ("measured: {of: x, lt: 2e12}", "expected a number from -1e12 to 1e12"),
        ("measured: {of: x, lt: 1, agg: median}", "expected `mean` or `max` or `min` or `sum`, read \"median\""),
        ("latency_p95_ms: {lt: 80ms}", "expected a number, read \"80ms\": write it like 0.2, without units"),
        ("latency_p94_ms: {lt: 80}", "unknown rule `latency_p94_ms`"),
    ] {
        rule_says(rule, message);
    }
    says(&with_rules("[]"), "expected at least one rule");
    let twice = with_rules("[psi: {of: a, lt: 0.1}, psi: {of: b, lt: 0.2}]");
    says(&twice, "rules[1]: two rules are called `psi` in this group, the first is rules[0]: give this one an `id`");
}

#[test]
fn rules_need_labels_and_a_threshold() {
    let gap = with_rule("tpr_gap: {by: c, lt: 0.1}");
    says(
        &gap.replace("labels: {horizon: 1d}\n", ""),
        "tpr_gap reads labels, and the policy has none: write `labels: {horizon: 2d}`",
    );
    says(&gap.replace("score: {threshold: 0.5}\n", ""), "write `score: {threshold: 0.5}` at the top");
    let auc = with_rule("auc: {gte: 0.7}");
    assert!(read(&auc.replace("score: {threshold: 0.5}\n", "")).is_ok());
    says(&auc.replace("labels: {horizon: 1d}\n", ""), "auc reads labels");
    // A threshold with an error of its own is not also missing.
    let message = read(&gap.replace("0.5", ".inf")).unwrap_err();
    assert_eq!(message, "4:20: score.threshold: expected a finite number, read \".inf\": write the number itself");
    // Scores need not be probabilities: logits, points.
    for threshold in ["-1.5", "0", "2", "640", "1e6"] {
        let policy = read(&gap.replace("0.5", threshold)).unwrap();
        assert_eq!(policy.threshold, Some(threshold.parse().unwrap()));
    }
}

#[test]
fn group_mistakes() {
    let valid = with_rule("psi: {of: features, lt: 0.2}");
    for (from, to, message) in [
        ("size: 2h, slide: 1h", "size: 2h", "checks.g.window.slide: missing: write `slide: 1d`"),
        ("size: 2h, slide: 1h", "size: 0s, slide: 1h", "expected a duration above zero, read \"0s\""),
        ("size: 2h, slide: 1h", "size: 2h, slide: 10ms", "holds 720000 slides of 10ms: write a longer slide"),
        (
            "size: 2h, slide: 1h",
            "size: 1h, slide: 2h",
            "size 1h is not a multiple of slide 2h: write a size that is, like 2h",
        ),
        ("  g:", "  g h:", "expected a group's name, read \"g h\""),
        ("    window", "    enforce: maybe\n    window", "expected `block` or `warn` or `observe`, read \"maybe\""),
        ("    window", "    stale_after: 0s\n    window", "expected a duration above zero"),
    ] {
        says(&valid.replace(from, to), message);
    }
    let model = |rule| with_rule(rule).replace("    window", "    traffic: model\n    window");
    assert!(read(&model("psi: {of: features, lt: 0.2}")).is_ok());
    says(
        &model("psi: {of: score, lt: 0.2}"),
        "g.traffic: `traffic: model` is for rules about features, and `psi` reads more",
    );
    says(&model("latency_p95_ms: {lt: 2}"), "`latency_p95_ms` reads more");
    says(&model("measured: {of: cost, lt: 2}"), "`measured` reads more");
    says("apiVersion: driftgate/v1\nmodel: m\nchecks: {}\n", "checks: 0 groups: write from 1 to 32");
    says("apiVersion: driftgate/v1\nmodel: m\n", "checks: missing");
}
