//! `driftgate tune`: limits that keep to a budget over a history whose values follow from its events by hand.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::Folder;

const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: train.csv}
features: {numeric: [a]}
min_samples: 20
lateness: 0s
checks:
  drift:
    window: {size: 1d, slide: 1d}
    rules:
    - mean: {of: a, lte: 12, warn: 6}  # kept as it is
    - psi: {of: a, alpha: 0.001}
";

/// Twenty rows a day whose mean is 10; 11, 13 and 14 on three days.
fn world(days: usize) -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    let mut train = "a\n".to_owned();
    (0..400).for_each(|i| writeln!(train, "{}", 9.05 + f64::from(i % 20) * 0.1).unwrap());
    folder.write("train.csv", train);
    let mut events = String::new();
    for day in 0..days {
        let base = match day {
            20 => 11,
            40 => 13,
            50 => 14,
            _ => 10,
        };
        for i in 0..20 {
            let (ts, hundredths) = (1_700_006_400_000 + day * 86_400_000 + i * 1000, base * 100 + i * 10);
            let value = format!("{}.{:02}", (hundredths - 95) / 100, (hundredths - 95) % 100);
            writeln!(
                events,
                r#"{{"model":"m","version":"1","prediction_id":"{day}-{i}","ts":{ts},"features":{{"a":{value}}}}}"#
            )
            .unwrap();
        }
    }
    folder.write("predictions.jsonl", events);
    folder
}

const COMMAND: &str = "tune --policy policy.yaml --predictions predictions.jsonl --threads 1 --budget";

#[test]
fn limits_keep_to_a_budget_and_the_answer_is_the_same_each_time() {
    let folder = world(65);
    let json = || folder.driftgate(&format!("{COMMAND} 1/month --json")).exits(0).stdout;
    let first = json();
    assert_eq!(json(), first);
    let said: Value = serde_json::from_str(&first).unwrap();
    let mean = &said["rules"][0];
    // Of about 64 days two blocks are allowed: above 11 lie the days of 13 and 14.
    assert_eq!(
        (&mean["rule"], &mean["allowed"], &mean["blocks"]),
        (&"drift/mean".into(), &2.into(), &2.into()),
        "{mean}"
    );
    assert_eq!((mean["limit"].as_f64(), mean["tuned"].as_f64()), (Some(12.0), Some(11.0)));
    assert_eq!((&mean["blocks_after"], &said["is_long_enough"]), (&2.into(), &true.into()));
    assert!(mean["finds"][0]["shift"].as_f64().unwrap() > 0.0, "{mean}");
    let psi = &said["rules"][1];
    assert!(psi["tuned"].is_null() && psi["reason"].as_str().unwrap().contains("`alpha`"), "{psi}");
    let diff = said["diff"].as_str().unwrap();
    assert!(diff.contains("-    - mean: {of: a, lte: 12, warn: 6}  # kept as it is\n"), "{diff}");
    assert!(diff.contains("+    - mean: {of: a, lte: 11, warn: 5.5}  # kept as it is\n"), "{diff}");
    let nothing =
        serde_json::json!({"late": 0, "rejected": 0, "other_models": 0, "given_up": 0, "without_baseline": 0});
    assert_eq!(said["left_out"], nothing);
    let short = folder.driftgate(&format!("{COMMAND} 1/year")).exits(0).stdout;
    assert!(short.lines().next().unwrap().contains("too little history for 1/year"), "{short}");
    assert!(short.contains("lte: 14, warn: 7"), "{short}");
    folder.driftgate(&format!("{COMMAND} often")).exits(2);
}

#[test]
fn events_that_no_window_has_are_told_first_and_are_no_history() {
    let folder = world(65);
    let events = folder.read("predictions.jsonl");
    // The events of 30 days come behind those of later days.
    let days: Vec<&str> = events.lines().collect();
    let (early, late) = days.split_at(30 * 20);
    folder.write("predictions.jsonl", [late.join("\n"), early.join("\n"), "{\"broken\"".to_owned()].join("\n") + "\n");
    let out = folder.driftgate(&format!("{COMMAND} 1/month")).exits(0).stdout;
    let first = out.lines().next().unwrap();
    assert!(first.contains("; events left out: 600 late, 1 rejected"), "{out}");
    assert!(first.contains("drift was judged for 34 days (1 block allowed)"), "{out}");
    assert!(out.contains("rejected 1 (not_json), the first at predictions.jsonl:1301"), "{out}");
    folder.write("predictions.jsonl", "{\"broken\"\n");
    folder
        .driftgate(&format!("{COMMAND} 1/month"))
        .exits(2)
        .says("no complete window")
        .says("rejected 1 (not_json), the first at predictions.jsonl:1");
}

#[test]
fn a_limit_from_below_is_tried_with_values_that_fall() {
    let folder = world(65);
    folder.write("policy.yaml", POLICY.replace("lte: 12, warn: 6", "gte: 8"));
    let said: Value =
        serde_json::from_str(&folder.driftgate(&format!("{COMMAND} 1/month --json")).exits(0).stdout).unwrap();
    let found = &said["rules"][0]["finds"][0];
    assert_eq!((&found["subject"], &found["unit"]), (&"a".into(), &"standard deviations down".into()));
    assert!(found["shift"].as_f64().unwrap() > 0.0, "{found}");
}
