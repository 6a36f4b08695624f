//! Tests of rules on the state of the data through the coupled pipeline, with values that follow from the events by hand: written
//! bins and ranges, labels, and how many of them came.

use super::*;

/// Sixty rows of a minute, x = 0, 16, …, 944; of the labelled ones three quarters are positive.
fn labelled() -> Vec<Row> {
    let label = |(i, r): (usize, Row)| Row {
        id: Some(format!("{i}")),
        label: (i < 40).then_some((r.ts + SECOND, i % 4 != 0)),
        ..r
    };
    minute(0, 0.0).into_iter().enumerate().map(label).collect()
}

fn values(rules: &str) -> Vec<(Status, Option<f64>)> {
    let checks = format!("  g:\n    window: {{size: 1m, slide: 1m}}\n    rules:\n{rules}");
    let labels = "labels: {horizon: 1m, lateness: 0s, attribute: prediction_time}\n";
    let mut feed = Feed::new(policy(&checks, labels));
    let rows = labelled();
    let mut out = feed.predict(&rows).verdicts;
    let given = rows.iter().filter_map(|r| Some((r.id.clone()?, r.label?)));
    let given: Vec<_> = given.map(|(id, (ts, label))| (id, ts, Some(label))).collect();
    out.extend(feed.outcomes(&given).verdicts);
    out.extend(all_judged(|deliver| feed.pipeline.finish(deliver)).verdicts);
    assert_eq!(out.len(), 1);
    out[0].results.iter().map(|r| (r.status, r.value)).collect()
}

#[test]
fn bins_ranges_and_labels_are_what_is_written() {
    use Status::{Block, Pass};
    let found = values(
        "    - out_of_range: {of: x, lt: 0.1, range: [100, 900]}
    - out_of_range: {id: all, of: x, lt: 0.1}
    - l_inf: {id: edges, of: x, lt: 0.03, bins: {edges: [250, 500]}}
    - l_inf: {id: width, of: x, lt: 0.04, bins: {width: 4}}
    - l_inf: {id: beyond, of: x, lt: 0.04, bins: {edges: [-50, 250, 5000]}}
    - wasserstein: {of: x, lt: 0.2}
    - l_inf: {id: labels, of: label, lt: 0.2}
    - label_rate: {lt: 0.8}
    - label_rate: {id: more, max_increase: {relative: 0.4}}
    - label_coverage: {gte: 0.7}
    - mean: {of: x, between: [400, 500]}
    - mean: {id: far, of: x, max_drop: {sigmas: 0.1}}
",
    );
    let close = |at: usize, status: Status, value: f64| {
        assert_eq!(found[at].0, status, "{at}: {found:?}");
        assert!((found[at].1.unwrap() - value).abs() < 1e-12, "{at}: {found:?}");
    };
    // Seven values below 100, three above 900.
    close(0, Block, 10.0 / 60.0);
    close(1, Pass, 0.0);
    // 251, 250 and 499 of the thousand training values, 16, 16 and 28 of sixty.
    close(2, Block, 0.499 - 28.0 / 60.0);
    close(3, Pass, 0.25 - 13.0 / 60.0);
    // 251 up to 250, none below -50 or above 5000.
    close(4, Pass, 16.0 / 60.0 - 0.251);
    assert_eq!(found[5].0, Pass);
    close(6, Block, 0.25);
    close(7, Pass, 0.75);
    close(8, Block, 0.5);
    close(9, Block, 40.0 / 60.0);
    close(10, Pass, 472.0);
    // 499.5 less 472, in standard deviations of 0, 1, …, 999.
    close(11, Pass, 27.5 / (999_999.0_f64 / 12.0).sqrt());
}

#[test]
fn edges_beyond_the_training_range_move_no_other_rule() {
    let rules =
        "    - out_of_range: {of: x, lt: 0.1}\n    - wasserstein: {of: x, lt: 0.2}\n    - constant: {of: x, lt: 0.9}\n";
    let edges = format!("{rules}    - psi: {{of: x, lt: 9, bins: {{edges: [-500, 2000]}}}}\n");
    assert_eq!(values(&edges)[..3], values(rules)[..]);
}

#[test]
fn results_over_features_carry_their_importance_and_nothing_else_changes() {
    let results = |importance: &str| -> Vec<String> {
        let checks = "  g:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - psi: {of: [x, score], lt: 0.2}\n    - volume: {gte: 1}\n";
        let mut feed = Feed::new(policy(checks, importance));
        let mut out = feed.predict(&minute(0, 0.0)).verdicts;
        out.extend(all_judged(|deliver| feed.pipeline.finish(deliver)).verdicts);
        out[0].results.iter().map(|r| serde_json::to_string(r).unwrap()).collect()
    };
    let (with, without) = (results("importance: {x: 0.25}\n"), results(""));
    assert_eq!(with.iter().map(|r| r.contains("\"importance\":0.25")).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(with.iter().map(|r| r.replace(",\"importance\":0.25", "")).collect::<Vec<_>>(), without);
}
