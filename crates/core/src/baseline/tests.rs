//! What is kept of a snapshot where a rule reads it, and that it is read back.

use std::path::Path;

use super::*;
use crate::event::Flag;
use crate::stats::ratio::Ratio;

fn policy(rule: &str) -> Policy {
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: x.csv, columns: {{score: score, label: label}}}}\n\
         features: {{}}\nscore: {{threshold: 0.5}}\nsegments: [s]\nlabels: {{horizon: 1d}}\nchecks:\n  g:\n    \
         window: {{size: 1h, slide: 1h}}\n    rules: [{rule}]\n"
    );
    crate::policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
}

fn built(policy: &Policy) -> Baseline {
    let columns = SnapshotColumns {
        rows: 5,
        score: Some(vec![0.1, 0.5, 0.9, 0.7, f64::NAN]),
        label: Some(vec![Flag::No, Flag::Yes, Flag::No, Flag::Missing, Flag::Yes]),
        segments: vec![None],
        ..SnapshotColumns::default()
    };
    Baseline::build(policy, "1", "x.csv", "00", &columns).unwrap()
}

#[test]
fn decisions_are_kept_where_a_rule_reads_them() {
    for rule in ["recall: {gte: 0.5}", "selection_rate: {lt: 0.5}"] {
        let policy = policy(rule);
        let baseline = built(&policy);
        let decided = baseline.beside.decided.unwrap();
        assert_eq!(decided.labelled, Some(Confusion { tp: 1, fn_: 0, fp: 1, tn: 1 }));
        assert_eq!(decided.decisions, Some([1, 3]), "a row without a label is decided, one without a score is not");
        let bytes = baseline.encode().unwrap();
        assert_eq!(envelope::version(KIND, &bytes), Ok(3));
        assert_eq!(Baseline::decode(&bytes, &policy), Ok(baseline));
    }
}

#[test]
fn standard_deviations_are_kept_where_a_rule_reads_them() {
    let one = "wasserstein: {of: score, lt: 0.1}";
    for (rule, decided) in [(one.to_owned(), false), (format!("{one}, recall: {{gte: 0.5}}"), true)] {
        let policy = policy(&rule);
        let baseline = built(&policy);
        // Of 0.1, 0.5, 0.9 and 0.7, by numpy's std.
        let deviation = baseline.score.as_ref().unwrap().deviation.unwrap();
        assert!((deviation - 0.295_803_989_154_980_8).abs() < 1e-15, "{deviation}");
        assert_eq!(baseline.beside.decided.is_some(), decided);
        let bytes = baseline.encode().unwrap();
        assert_eq!(envelope::version(KIND, &bytes), Ok(4));
        assert_eq!(Baseline::decode(&bytes, &policy), Ok(baseline));
        assert_eq!(Baseline::decode(&bytes, &self::policy("auc: {gte: 0.5}")), Err(BaselineError::OtherPolicy));
    }
}

#[test]
fn values_by_segment_are_kept_where_a_rule_reads_them() {
    let policy = policy("psi: {of: score, by: s, lt: 0.2}");
    let segment = Coded { names: vec!["b".into(), "a".into()], codes: vec![Some(0), Some(1), Some(0), None, Some(1)] };
    let columns = SnapshotColumns {
        rows: 5,
        score: Some(vec![0.1, 0.5, 0.9, 0.7, f64::NAN]),
        label: Some(vec![Flag::No; 5]),
        segments: vec![Some(segment.into())],
        ..SnapshotColumns::default()
    };
    let baseline = Baseline::build(&policy, "1", "x.csv", "00", &columns).unwrap();
    let segmented = baseline.segmented(0).unwrap();
    assert_eq!((&segmented.names, segmented.left_out), (&vec!["a".to_owned(), "b".to_owned()], 0));
    let [a, b] = segmented.target(Target::Score).unwrap() else { panic!("{segmented:?}") };
    // The grid's points are 0.1, 0.5, 0.7 and 0.9.
    assert_eq!((&a.cells, a.missing), (&vec![0, 0, 0, 1, 0, 0, 0, 0, 0], 1));
    assert_eq!((&b.cells, b.missing, b.deviation), (&vec![0, 1, 0, 0, 0, 0, 0, 1, 0], 0, Some(0.4)));
    let bytes = baseline.encode().unwrap();
    assert_eq!(envelope::version(KIND, &bytes), Ok(6));
    assert_eq!(Baseline::decode(&bytes, &policy), Ok(baseline));
    let other = self::policy("psi: {of: score, lt: 0.2}");
    assert_eq!(Baseline::decode(&bytes, &other), Err(BaselineError::OtherPolicy));
}

#[test]
fn written_bins_sums_and_labels_are_kept_where_a_rule_reads_them() {
    let rules = [
        "psi: {of: score, lt: 0.2, bins: {edges: [0.3, 0.6]}}",
        "js: {of: score, lt: 0.2, bins: {width: 4}}",
        "mean: {of: score, lt: 1}",
        "label_rate: {lt: 1}",
        "js: {of: label, lt: 0.2}",
    ];
    for rule in rules {
        let policy = policy(rule);
        let baseline = built(&policy);
        let bytes = baseline.encode().unwrap();
        assert_eq!(envelope::version(KIND, &bytes), Ok(5), "{rule}");
        assert_eq!(Baseline::decode(&bytes, &policy).as_ref(), Ok(&baseline), "{rule}");
        let other = self::policy("auc: {gte: 0.5}");
        assert_eq!(Baseline::decode(&bytes, &other), Err(BaselineError::OtherPolicy), "{rule}");
        assert_eq!(Baseline::decode(&built(&other).encode().unwrap(), &policy), Err(BaselineError::OtherPolicy));
        assert_ne!(baseline.digest().unwrap(), built(&other).digest().unwrap());
    }
    let score = built(&policy(rules[0])).score.unwrap();
    assert!(score.grid.points().contains(&0.3) && score.grid.points().contains(&0.6));
    let of = |rule: &str| built(&policy(rule));
    assert_eq!(of(rules[3]).beside.added.labels, Some(Some([2, 2])));
    assert_eq!(of(rules[2]).score.unwrap().sum.unwrap().exact_mean(), Ratio::of_counts(11, 20));
}

#[test]
fn a_baseline_without_them_is_written_as_before() {
    let (auc, recall) = (policy("auc: {gte: 0.5}"), policy("recall: {gte: 0.5}"));
    let baseline = built(&auc);
    let bytes = baseline.encode().unwrap();
    assert_eq!(envelope::version(KIND, &bytes), Ok(2));
    assert_eq!(Baseline::decode(&bytes, &auc).as_ref(), Ok(&baseline));
    assert_eq!(Baseline::decode(&bytes, &recall), Err(BaselineError::OtherPolicy));
    assert_eq!(Baseline::decode(&built(&recall).encode().unwrap(), &auc), Err(BaselineError::OtherPolicy));
    // What verdicts name stays the digest of the first format.
    assert_ne!(baseline.digest().unwrap(), hash::sha256_hex(&bytes));
}

#[test]
fn the_spread_of_errors_is_kept_where_a_budget_needs_it() {
    let policy = |rule: &str| {
        let text = format!(
            "apiVersion: driftgate/v1\nmodel: m\ntask: regression\nbaseline: {{snapshot: x.csv, columns: {{score: score, label: label}}}}\n\
             features: {{}}\nsegments: [s]\nlabels: {{horizon: 1d}}\nchecks:\n  g:\n    window: {{size: 1h, slide: 1h}}\n    rules: [{rule}]\n"
        );
        crate::policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
    };
    let built = |policy: &Policy| {
        let segments = Coded { names: vec!["a".to_owned(), "b".to_owned()], codes: vec![Some(0), Some(1), Some(0)] };
        let columns = SnapshotColumns {
            rows: 3,
            score: Some(vec![1.0, 2.0, 3.0]),
            numbers: Some(vec![1.5, 2.0, 5.0]),
            segments: vec![Some(segments.into())],
            ..SnapshotColumns::default()
        };
        Baseline::build(policy, "1", "x.csv", "00", &columns).unwrap()
    };
    for (rule, format) in [("rmse: {lte: 1", 7), ("gap: {of: r2, by: s, lt: 1", 10)] {
        let (plain, within) = (policy(&format!("{rule}}}")), policy(&format!("{rule}, budget: 1/month}}")));
        let (before, baseline) = (built(&plain), built(&within));
        let bytes = baseline.encode().unwrap();
        assert_eq!(envelope::version(KIND, &bytes), Ok(11), "{rule}");
        assert_eq!(Baseline::decode(&bytes, &within).as_ref(), Ok(&baseline), "{rule}");
        assert_eq!(Baseline::decode(&bytes, &plain), Err(BaselineError::OtherPolicy), "{rule}");
        let bytes = before.encode().unwrap();
        assert_eq!(envelope::version(KIND, &bytes), Ok(format), "as before there were budgets of it: {rule}");
        assert_eq!(Baseline::decode(&bytes, &plain).as_ref(), Ok(&before), "{rule}");
        assert_eq!(Baseline::decode(&bytes, &within), Err(BaselineError::OtherPolicy), "{rule}");
        assert_ne!(baseline.digest().unwrap(), before.digest().unwrap());
    }
}
