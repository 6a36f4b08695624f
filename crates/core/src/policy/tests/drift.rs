//! Rules on drift and on the state of the data that practitioners write, each as a policy says it.

use super::*;
use crate::rule::distance::limited::{Distance, Metric};
use crate::rule::limits::{Limits, Region};

#[test]
fn what_practitioners_ask_of_drift_can_be_said() {
    for text in [
        "psi: {of: features, lt: 0.25, warn: 0.1, except: {a: {lt: 0.5}}}",
        "psi: {of: [a, c], lt: 0.25}",
        "psi: {of: features, lt: 0.25, for: 2 of 3}",
        "psi: {of: features, lt: 0.25, for: 3}",
        "psi: {of: features, alpha: 0.001, floor: 0.1, min_samples: 50}",
        "psi: {of: features, alpha: 0.001, warn: 0.1, except: {a: {lte: 0.5}}}",
        "ks_p: {of: features, gt: 0.01, warn: 0.05, min_samples: 50}",
        "ks_lcb: {of: features, lt: 0.05, warn: 0.01, min_samples: 50}",
        "tpr_gap: {by: c, max_increase: 0.02, min_samples: 100}",
        "selection_gap: {by: c, lte: 0.1, warn: 0.05}",
        "disparate_impact: {by: c, between: [0.8, 1.25], warn: [0.9, 1.1]}",
        "latency_p95_ms: {lte: 80, min_samples: 10}",
        "error_rate: {lte: 1, warn: 0.5, unit: percent, min_samples: 10}",
        "wasserstein: {of: features, lt: 0.1, warn: 0.05}",
        "js: {of: features, lt: 0.1, bins: 20}",
        "js: {of: [a, score, c], between: [0, 0.1], warn: [0, 0.05]}",
        "hellinger: {of: c, lte: 0.1, min_samples: 1000}",
        "l_inf: {of: features, lt: 0.1, except: {c: {lt: 0.2}}}",
        "ks: {of: features, lt: 0.1}",
        "ks_p: {of: features, gte: 0.01, correction: bonferroni}",
        "ks_p: {of: features, gte: 0.01, min_effect: 0.1}",
    ] {
        assert!(read(&with_rule(text)).is_ok(), "{text}: {:?}", read(&with_rule(text)));
    }
}

#[test]
fn what_practitioners_ask_of_the_data_can_be_said() {
    for text in [
        "missing_rate: {of: features, lt: 0.1}",
        "missing_rate: {of: [a, c, score], lte: 0.1, warn: 0.05, min_samples: 50}",
        "missing_rate: {of: features, max_increase: 0.05}",
        "missing_rate: {of: features, max_increase: {relative: 0.5}, versus: training}",
        "invalid_rate: {of: features, lt: 0.01}",
        "invalid_rate: {of: features, max_increase: 0.01}",
        "new_categories: {of: features, lt: 0.01}",
        "new_categories: {of: [c], lte: 0}",
        "out_of_range: {of: features, lt: 0.01, except: {b: {lt: 0.1}}}",
        "constant: {of: features, lt: 0.95}",
        "constant: {of: [a, score], max_increase: 0.2, warn: 0.1}",
    ] {
        assert!(read(&with_rule(text)).is_ok(), "{text}: {:?}", read(&with_rule(text)));
    }
}

#[test]
fn exceptions_take_limits_of_any_form() {
    let kind =
        rule("js: {of: features, lt: 0.2, warn: 0.1, except: {a: {lt: 0.5}, b: {warn: 0.15}, c: {between: [0, 1]}}}");
    let distance: &Distance = kind.as_check().unwrap();
    assert_eq!(distance.metric, Metric::JensenShannon(Binning::Quantile(10)));
    let side = |limit| Region::Side(Side::Lt, at(limit));
    let limits: Vec<Limits> = distance.of.iter().map(|subject| subject.limit).collect();
    assert_eq!(limits[0], Limits { region: side(0.5), warn: Some(side(0.1)) });
    assert_eq!(limits[1], Limits { region: side(0.2), warn: Some(side(0.15)) });
    assert_eq!(limits[2], Limits { region: Region::Between(at(0.0), at(1.0)), warn: None }, "a warn of another form");
    assert_eq!((kind.floor(0), kind.floor(2).map(|floor| floor.limit)), (None, Some(at(0.0))));
}

#[test]
fn what_is_wrong_with_a_rule_on_drift_is_said() {
    for (rule, message) in [
        ("js: {of: features}", "no limit: write one of `lt`, `lte`, `gt`, `gte` or `between`, like `lt: 0.5`"),
        ("js: {of: features, max_increase: 0.1}", "js.max_increase: unknown key `max_increase`"),
        ("js: {of: features, lt: 0.1, gte: 0.2}", "js.gte: both `lt` and `gte`: keep one limit"),
        ("psi: {of: features, alpha: 0.001, lt: 0.2}", "psi.alpha: both `lt` and `alpha`: keep one limit"),
        ("drifted_share: {of_rule: g/psi, lt: 0.3}", "counts the subjects of `g/psi`, which is no rule on features"),
        ("drifted_share: {of_rule: psi, lt: 0.3}", "expected `group/id` of a rule of this group, read \"psi\""),
        ("drifted_share: {lt: 0.3}", "drifted_share.of_rule: missing: write `of_rule: drift/psi`"),
        ("psi: {of: features, alpha: 1}", "expected a probability above 0 and below 1, read \"1\""),
        ("psi: {of: features, lt: 0.2, floor: 0.1}", "psi.floor: a floor without `alpha`"),
        ("psi: {of: features, alpha: 0.01, except: {a: {alpha: 0.1}}}", "unknown key `alpha`"),
        ("ks_p: {of: features, gte: 0.01, warn: 0.005}", "warn 0.005 is not above gte 0.01"),
        ("tpr_gap: {by: c, lt: 0.1, max_drop: 0.1}", "both `lt` and `max_drop`"),
        ("js: {of: features, lt: 1.5}", "expected a rate from 0 to 1, read \"1.5\""),
        ("js: {of: features, lt: 0.2, warn: 0.1, except: {a: {lt: 0.05}}}", "the rule's warn 0.1 is not below lt 0.05"),
        ("js: {of: features, lt: 0.2, except: {a: {warn: 0.3}}}", "warn 0.3 is not below lt 0.2"),
        ("js: {of: features, lt: 0.2, except: {a: {lt: 0.3, gt: 0.1}}}", "both `lt` and `gt`"),
        ("ks: {of: c, lt: 0.1}", "\"c\" is categorical, and this rule compares numbers"),
        ("wasserstein: {of: [a, c], lt: 0.1}", "\"c\" is categorical"),
        ("ks: {of: a, lt: 0.1, bins: 5}", "unknown key `bins`"),
        ("new_categories: {of: a, lt: 0.1}", "\"a\" is a number, and this rule counts categories: use out_of_range"),
        ("out_of_range: {of: c, lt: 0.1}", "\"c\" is categorical"),
        ("psi: {of: features, by: c, lt: 0.2}", "psi.of: \"features\" beside `by`: `by` needs named features"),
        ("js: {of: [a, label], by: c, lt: 0.2}", "\"label\" beside `by`: labels are not counted by segment"),
        ("ks: {of: a, by: d, lt: 0.2}", "ks.by: \"d\" is not in `segments:`"),
        ("missing_rate: {of: a, by: c, lt: 0.2}", "unknown key `by`"),
        ("missing_rate: {of: features}", "no limit: write one of `lt`, `lte`, `gt`, `gte`, `between`, `max_increase`"),
        (
            "missing_rate: {of: features, max_increase: 0.1, versus: before}",
            "expected `training` or `previous` or `champion`, read \"before\"",
        ),
    ] {
        rule_says(rule, message);
    }
}

#[test]
fn by_is_read_and_says_what_is_counted() {
    let by = |text: &str| rule(text).by_segment();
    let (a, c) = (Target::Numeric(0), Target::Categorical(0));
    assert_eq!(by("js: {of: [a, c, score], by: c*d, lt: 0.1}"), [(1, a), (1, c), (1, Target::Score)]);
    assert_eq!(by("wasserstein: {of: a, by: [c, d], lt: 0.1}"), [(1, a)]);
    assert_eq!(by("ks_p: {of: a, gte: 0.1}"), []);
    assert_ne!(rule("ks: {of: a, by: c, lt: 0.1}"), rule("ks: {of: a, lt: 0.1}"));
    assert_eq!(rule("ks: {of: a, by: c, lt: 0.1}").targets(), [a]);
}

#[test]
fn some_of_the_last_windows_are_read() {
    let of = |text: &str| read(&with_rule(text)).unwrap().groups[0].rules[0].hysteresis.unwrap();
    let some = of("psi: {of: features, lt: 0.2, for: 3 of 5}");
    assert_eq!((some, some.to_string().as_str()), (Hysteresis::SomeOf { breaching: 3, of: 5 }, "3 of 5 windows"));
    assert_eq!(of("psi: {of: features, lt: 0.2, for: 3}"), Hysteresis::Windows(3));
    let policy = read(&and("rollback: {triggers: [{rule: g/latency_p95_ms, for: 2 of 3}]}\n")).unwrap();
    assert_eq!(policy.rollback.unwrap().triggers[0].hysteresis, Some(Hysteresis::SomeOf { breaching: 2, of: 3 }));
}
