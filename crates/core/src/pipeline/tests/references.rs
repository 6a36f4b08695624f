//! Tests of what windows are compared with beside the training snapshot: the values are those of the events themselves, and order,
//! split and restarts change no byte.

use super::*;

const VERSUS: [&str; 5] = [
    "previous",
    "{rolling: 2}",
    "{season: 3m, back: 2}",
    "champion",
    "{from: 1970-01-01T00:01Z, to: 1970-01-01T00:03Z}",
];

/// A rule against each reference.
fn each(rule: impl Fn(usize, &str) -> String) -> String {
    VERSUS.iter().enumerate().map(|(i, versus)| rule(i, versus)).collect::<Vec<_>>().concat()
}

/// A group with rules of every kind against every reference.
fn compared() -> Arc<Policy> {
    let rules = each(|i, versus| {
        format!(
            "    - mean: {{id: mean{i}, of: x, max_increase: 100, versus: {versus}}}\n\
                 \x20   - psi: {{id: psi{i}, of: [x, score], lt: 0.3, versus: {versus}}}\n\
                 \x20   - wasserstein: {{id: w{i}, of: x, lt: 0.3, versus: {versus}}}\n\
                 \x20   - missing_rate: {{id: missing{i}, of: x, max_increase: 0.1, versus: {versus}}}\n\
                 \x20   - volume: {{id: volume{i}, max_drop: {{relative: 0.5}}, versus: {versus}}}\n"
        )
    });
    let quality = each(|i, versus| {
        format!(
            "    - recall: {{id: recall{i}, max_drop: 0.1, versus: {versus}}}\n\
                 \x20   - auc: {{id: auc{i}, max_drop: 0.1, versus: {versus}}}\n\
                 \x20   - label_rate: {{id: rate{i}, max_increase: 0.2, versus: {versus}}}\n\
                 \x20   - label_coverage: {{id: covered{i}, max_drop: 0.2, versus: {versus}}}\n"
        )
    });
    policy(
        &format!(
            "  drift:\n    window: {{size: 2m, slide: 1m, lateness: 30s}}\n    rules:\n{rules}\
             \x20 quality:\n    window: {{size: 1m, slide: 1m, lateness: 30s}}\n    rules:\n{quality}"
        ),
        "labels: {horizon: 1m, lateness: 30s, attribute: prediction_time}\nretire_after: 3m\n",
    )
}

fn said(verdicts: &[Verdict]) -> Vec<String> {
    let mut all: Vec<&Verdict> = verdicts.iter().collect();
    all.sort_by(|a, b| a.order().cmp(&b.order()));
    all.into_iter().map(|v| serde_json::to_string(v).unwrap()).collect()
}

/// Every verdict of these rows and their labels, fed in chunks; at each cut the pipeline is put away and restored.
fn verdicts(rows: &[Row], chunk: usize, cuts: &[usize]) -> Vec<String> {
    let mut feed = Feed::new(compared());
    let mut out = Vec::new();
    for (i, rows) in rows.chunks(chunk).enumerate() {
        if cuts.contains(&i) {
            feed.put_away_and_restore(&compared());
        }
        out.extend(feed.predict(rows).verdicts);
        let labels = rows.iter().filter_map(|r| Some((r.id.clone()?, r.label?)));
        let labels: Vec<_> = labels.map(|(id, (ts, label))| (id, ts, Some(label))).collect();
        out.extend(feed.outcomes(&labels).verdicts);
    }
    // Events far ahead, that pass all windows.
    let last = || Row { version: "2", ..row(30 * MINUTE, 1.0) };
    out.extend(feed.predict(&[last(), last()]).verdicts);
    let none = || ("none".to_owned(), 30 * MINUTE, Some(true));
    out.extend(feed.outcomes(&[none(), none()]).verdicts);
    let counters = feed.pipeline.counters();
    assert_eq!((counters.late, counters.after_close), (0, 0));
    assert!(out.iter().all(|v| v.window.complete));
    said(&out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn references_are_the_same_in_any_order_split_and_over_restarts(
        minutes in prop::collection::vec((0..60_usize, prop_oneof![Just(0.0), Just(300.0)], prop::option::of(0..60_usize)), 4..12),
        jitter in prop::collection::vec(0..=20 * SECOND, 64),
        chunk in 1..90_usize,
        cuts in prop::collection::vec(0..60_usize, 0..4),
    ) {
        let mut rows: Vec<Row> = Vec::new();
        for (at, (own, shift, other)) in (0_i64..).zip(&minutes) {
            let of = |version: &'static str, stage: &'static str, n: usize| {
                minute(at, *shift).into_iter().take(n).map(move |r| Row { version, stage, ..r })
            };
            rows.extend(of("1", "prod", *own).chain(of("2", "staging", other.unwrap_or(0))));
        }
        rows.sort_by_key(|r| r.ts);
        for (i, r) in rows.iter_mut().enumerate() {
            r.id = Some(format!("{i}"));
            r.x = if i % 11 == 3 { numeric::MISSING } else { r.x };
            r.score = if i % 3 == 0 { 0.3 } else { 0.7 };
            r.label = (i % 5 != 4).then_some((r.ts + 10 * SECOND, i % 2 == 0));
        }
        let first = verdicts(&rows, 1, &[]);
        let mut late: Vec<(i64, Row)> = rows.iter().enumerate().map(|(i, r)| (r.ts + jitter[i % 64], r.clone())).collect();
        late.sort_by_key(|(at, _)| *at);
        let disordered: Vec<Row> = late.into_iter().map(|(_, r)| r).collect();
        let second = verdicts(&disordered, chunk, &cuts);
        prop_assert_eq!(first.len(), second.len());
        for (one, other) in first.iter().zip(&second) {
            prop_assert_eq!(one, other);
        }
    }
}

/// Results of a rule by the window's end in minutes.
fn results(verdicts: &[Verdict], rule: &str) -> Vec<(i64, Status, Option<f64>, Option<f64>)> {
    let of = |v: &Verdict| {
        let result = v.results.iter().find(|r| r.rule == rule)?.clone();
        let reference = result.get("reference_value").and_then(|value| value.as_f64());
        Some((v.window.end / MINUTE, result.status, result.value, reference))
    };
    verdicts.iter().filter(|v| v.version == "1").filter_map(of).collect()
}

#[test]
fn each_reference_is_the_mean_of_its_own_events() {
    let rules = each(|i, v| format!("    - mean: {{id: m{i}, of: x, max_increase: 100, versus: {v}}}\n"));
    let checks = format!("  drift:\n    window: {{size: 1m, slide: 1m}}\n    rules:\n{rules}");
    // The mean of a minute is 472 and its shift.
    let shifts = [0.0, 10.0, 20.0, 30.0, 40.0, 250.0, 60.0, 70.0];
    let mut rows: Vec<Row> = (0_i64..).zip(shifts).flat_map(|(at, shift)| minute(at, shift)).collect();
    let champion = |at| minute(at, 5.0).into_iter().map(|r| Row { version: "2", ..r });
    rows = rows.into_iter().map(|r| Row { stage: "staging", ..r }).chain((0..8).flat_map(champion)).collect();
    rows.sort_by_key(|r| r.ts);
    let judged = Feed::new(policy(&checks, "")).predict(&rows).verdicts;
    let of = |i: usize| results(&judged, &format!("drift/m{i}"));
    use Status::{Block, Insufficient, Pass};
    // The first window has none before it.
    assert_eq!(of(0)[..2], [(1, Insufficient, None, None), (2, Pass, Some(10.0), Some(472.0))]);
    assert_eq!(of(0)[5], (6, Block, Some(210.0), Some(512.0)));
    // Of two windows, of which the first has one.
    assert_eq!(of(1)[1], (2, Pass, Some(10.0), Some(472.0)));
    assert_eq!(of(1)[3], (4, Pass, Some(15.0), Some(487.0)));
    // Three and six minutes earlier.
    assert_eq!(of(2)[2], (3, Insufficient, None, None));
    assert_eq!(of(2)[3], (4, Pass, Some(30.0), Some(472.0)));
    assert_eq!(of(2)[6], (7, Pass, Some(45.0), Some(487.0)));
    assert_eq!(of(3)[4], (5, Pass, Some(35.0), Some(477.0)));
    // From the second to the third minute, once both have passed.
    assert_eq!(of(4)[1], (2, Insufficient, None, None));
    assert_eq!(of(4)[3], (4, Pass, Some(15.0), Some(487.0)));
    let why = |end: i64, rule: &str| {
        let verdict = judged.iter().find(|v| v.window.end == end * MINUTE && v.version == "1").unwrap();
        verdict.results.iter().find(|r| r.rule == rule).unwrap().reason.clone().unwrap()
    };
    assert_eq!(why(1, "drift/m0"), "reference_n 0 of the window before is below min_samples 20");
    assert!(why(2, "drift/m4").ends_with("has not passed yet"));
    let own = judged.iter().find(|v| v.version == "2").unwrap();
    assert_eq!(own.results[3].reason.as_deref(), Some("this version is in prod itself"));
}

#[test]
fn windows_without_events_are_judged_while_the_version_is_active() {
    let checks = "  v:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - volume: {gte: 50}\n";
    let mut rows: Vec<Row> = minute(0, 0.0);
    rows.extend((1..9).flat_map(|at| minute(at, 0.0)).map(|r| Row { version: "2", ..r }));
    rows.extend(minute(9, 0.0));
    rows.sort_by_key(|r| r.ts);
    for cut in [None, Some(100), Some(260)] {
        let policy = policy(checks, "retire_after: 3m\n");
        let mut feed = Feed::new(Arc::clone(&policy));
        let mut judged = Judgement::default();
        for (i, r) in rows.iter().enumerate() {
            if cut == Some(i) {
                feed.put_away_and_restore(&policy);
            }
            let found = feed.predict(std::slice::from_ref(r));
            judged.verdicts.extend(found.verdicts);
            judged.signals.extend(found.signals);
        }
        judged.verdicts.extend(all_judged(|deliver| feed.pipeline.finish(deliver)).verdicts);
        use Status::{Block, Pass};
        let found: Vec<_> = results(&judged.verdicts, "v/volume").into_iter().map(|r| (r.0, r.1, r.2)).collect();
        let zero = |end| (end, Block, Some(0.0));
        assert_eq!(found, [(1, Pass, Some(60.0)), zero(2), zero(3), zero(4), (10, Pass, Some(60.0))]);
        assert_eq!(judged.signals.iter().filter(|s| s.action == Action::Block).count(), 1);
        let quiet = judged.verdicts.iter().find(|v| v.window.end == 3 * MINUTE && v.version == "1").unwrap();
        assert_eq!((quiet.stage.as_deref(), quiet.counted.predictions), (Some("prod"), 0));
    }
}
