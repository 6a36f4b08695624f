//! What is wrong with a policy, a snapshot or a file is said where it is wrong, with exit code 2; what is wrong with one
//! event is counted, and the run goes on.

use serde_json::{Value, json};

use crate::support::{Folder, POLICY, Run, START, Shop};

const FILES: &str = "--predictions a-p.jsonl --labels a-l.jsonl";

/// A folder with the shop's policy, snapshots and a day of good events.
fn shop() -> Folder {
    let folder = Shop::folder();
    Shop::new(500).write_jsonl(&folder, "a");
    folder
}

fn replay(folder: &Folder) -> Run {
    folder.driftgate(&format!("replay --policy policy.yaml {FILES}"))
}

/// A replay by the shop's policy with one text replaced.
#[track_caller]
fn with_policy(from: &str, to: &str) -> Run {
    assert_eq!(POLICY.matches(from).count(), 1, "{from}");
    let folder = shop();
    folder.write("policy.yaml", POLICY.replace(from, to));
    replay(&folder)
}

/// A replay where the snapshots of both versions are these bytes.
fn with_snapshot(bytes: impl AsRef<[u8]>) -> Run {
    let folder = shop();
    folder.write("train_v1.csv", &bytes);
    folder.write("train_v2.csv", &bytes);
    replay(&folder)
}

#[test]
fn a_policy_is_refused_with_file_line_column_and_path() {
    with_policy("min_samples: 50", "min_sample: 50")
        .exits(2)
        .says("policy.yaml:13:1: min_sample: unknown key `min_sample`")
        .says("did you mean `min_samples`?");
    with_policy("{of: features, lt: 0.2, warn: 0.1}", "{of: features, lt: \"0,2\"}")
        .exits(2)
        .says("policy.yaml:18:31: checks.drift.rules[0].psi.lt: expected a number, read \"0,2\", write 0.2");
    with_policy("{size: 2h, slide: 1h}", "{size: 90m, slide: 1h}")
        .exits(2)
        .says("policy.yaml:16:20: checks.drift.window.size: size 90m is not a multiple of slide 1h");
    with_policy("    - tpr_gap: {id: cross, by", "    - tpr_gap: {by")
        .exits(2)
        .says("policy.yaml:26:7: checks.fairness.rules[1]: two rules are called `tpr_gap` in this group")
        .says("give this one an `id`");
    with_policy("of: [amount, score]", "of: [amont, score]").exits(2).says("amont").says("did you mean `amount`?");
}

#[test]
fn all_errors_of_a_policy_are_reported_at_once() {
    let run = with_policy("min_samples: 50", "min_samples: many\nsegmets: [country]").exits(2);
    for place in ["policy.yaml:13:14: min_samples:", "policy.yaml:14:1: segmets:"] {
        assert!(run.stderr.contains(place), "{}", run.stderr);
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let folder = shop();
    folder.driftgate(&format!("replay --policy nope.yaml {FILES}")).exits(2).says("nope.yaml cannot be read");
    folder
        .driftgate("replay --policy policy.yaml --predictions none.jsonl --labels a-l.jsonl")
        .exits(2)
        .says("none.jsonl");
    folder.driftgate("replay --policy policy.yaml --predictions none.csv --labels a-l.jsonl").exits(2).says("none.csv");
    folder
        .driftgate("replay --policy policy.yaml --predictions a-p.jsonl --labels none.parquet")
        .exits(2)
        .says("none.parquet");
    folder
        .driftgate(&format!("replay --policy policy.yaml {FILES} --verdicts no/where.jsonl"))
        .exits(2)
        .says("no/where.jsonl cannot be written");
    folder
        .driftgate("replay --policy policy.yaml --predictions a-p.txt --labels a-l.jsonl")
        .exits(2)
        .says("a-p.txt: files end in .parquet, .avro, .csv, .jsonl or .ndjson");
}

#[test]
fn label_rules_ask_for_labels() {
    let run = shop().driftgate("replay --policy policy.yaml --predictions a-p.jsonl");
    run.exits(2).says("the policy's label rules need --labels");
}

#[test]
fn a_snapshot_that_does_not_fit_the_policy_is_refused() {
    let snapshot = Shop::snapshot(1);
    let header = snapshot.lines().next().unwrap();
    let edited = |edit: &dyn Fn(Vec<&str>) -> String| -> String {
        let rows = snapshot.lines().skip(1).map(|row| edit(row.split(',').collect()) + "\n");
        format!("{header}\n") + &rows.collect::<String>()
    };
    with_policy("train_v{version}.csv", "gone_v{version}.csv")
        .exits(2)
        .says("cannot fetch the snapshot \"gone_v1.csv\"");
    with_snapshot(snapshot.replacen("country", "land", 1))
        .exits(2)
        .says("snapshot \"train_v1.csv\" has no column \"country\", which the policy names under features.categorical")
        .says("its columns are \"amount\", \"items\", \"land\"");
    with_snapshot(edited(&|cells| format!("a lot,{}", cells[1..].join(","))))
        .exits(2)
        .says("column \"amount\", row 1: \"a lot\" is not a number, the policy lists it under features.numeric");
    with_snapshot(edited(&|cells| format!("{},2", cells[..5].join(","))))
        .exits(2)
        .says("column \"label\", row 1: \"2\" is not a label; write 0 or 1, or map it under labels.values");
    with_snapshot(format!("{header}\n")).exits(2).says("snapshot \"train_v1.csv\": the snapshot has no rows");
    with_snapshot("").exits(2).says("snapshot \"train_v1.csv\" has no column \"amount\"");
}

#[test]
fn a_version_without_a_snapshot_is_insufficient_beside_one_that_has_its_own() {
    let folder = Shop::folder();
    Shop::new(4000).write_jsonl(&folder, "a");
    std::fs::remove_file(folder.path("train_v2.csv")).unwrap();
    folder
        .driftgate(&format!("replay --policy policy.yaml {FILES} --verdicts v.jsonl"))
        .exits(0)
        .says("version 2 has no baseline, its verdicts will be insufficient")
        .says("train_v2.csv");
    let verdicts = folder.json_lines("v.jsonl");
    let of = |version: &'static str| verdicts.iter().filter(move |v| v["version"] == version);
    assert!(of("2").count() > 0 && of("2").all(|v| v["status"] == "insufficient"));
    assert!(
        of("2")
            .flat_map(|v| v["results"].as_array().unwrap())
            .all(|r| r["reason"].as_str().is_some_and(|r| !r.is_empty()))
    );
    assert!(of("1").any(|v| v["status"] != "insufficient"));
}

#[test]
fn a_broken_parquet_file_is_named_and_never_half_read() {
    let (folder, shop) = (Shop::folder(), Shop::new(3000));
    shop.write_parquet(&folder, "a");
    let whole = std::fs::read(folder.path("a-p.parquet")).unwrap();
    let mut holed = whole.clone();
    holed[200..2200].fill(0x5a);
    let cut = whole[..whole.len() / 2].to_vec();
    for (what, bytes) in
        [("cut", cut), ("garbage", b"not a parquet file at all".to_vec()), ("empty", vec![]), ("holed", holed)]
    {
        folder.write("b.parquet", bytes);
        let run = folder.driftgate("replay --policy policy.yaml --predictions b.parquet --labels a-l.parquet");
        assert_eq!(run.code, Some(2), "{what}: {}", run.stderr);
        assert!(run.stderr.contains("cannot read \"b.parquet\" as Parquet"), "{what}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{what}: {}", run.stderr);
    }
}

#[test]
fn a_column_file_without_a_column_that_events_need_is_refused() {
    let folder = shop();
    folder.write("p.csv", "prediction_id,version,score\na,1,0.5\n");
    folder
        .driftgate("replay --policy policy.yaml --predictions p.csv --labels a-l.jsonl")
        .exits(2)
        .says("\"p.csv\" has no column \"ts\"; its columns are \"prediction_id\", \"version\", \"score\"");
}

/// A good event with one field set.
fn order(id: &str, field: &str, value: Value) -> String {
    let mut event = json!({
        "prediction_id": id, "model": "shop", "version": "1", "ts": START, "score": 0.5,
        "features": {"amount": 50.0, "items": 2, "country": "de", "gift": false},
    });
    event[field] = value;
    event.to_string()
}

/// Replays these lines between two good ones; the summary and the dead letters as (line, reason).
fn replay_lines(bad: &[String]) -> (Value, Vec<(u64, String)>) {
    let (folder, good) = (shop(), |id| order(id, "score", json!(0.5)));
    let mut lines = vec![good("first")];
    lines.extend_from_slice(bad);
    lines.push(good("last"));
    folder.write("bad.jsonl", lines.join("\n"));
    let command = "replay --policy policy.yaml --predictions bad.jsonl --labels a-l.jsonl --dead-letters d.jsonl";
    folder.driftgate(command).exits(0);
    let letters = folder.json_lines("d.jsonl").into_iter().map(|letter| {
        assert_eq!(letter["file"], "bad.jsonl");
        assert!(letter["detail"].as_str().is_some_and(|d| !d.is_empty()), "{letter}");
        (letter["line"].as_u64().unwrap(), letter["reason"].as_str().unwrap().to_owned())
    });
    let letters = letters.collect();
    (folder.driftgate(&format!("{command} --json")).exits(0).json(), letters)
}

#[test]
fn an_event_that_cannot_be_read_is_a_dead_letter_and_the_run_goes_on() {
    let whole = order("cut", "score", json!(0.5));
    let cases = [
        (whole[..whole.len() - 4].to_owned(), "not_json"),
        (format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)), "too_deep"),
        ("[".repeat(10_000), "not_json"),
        (whole.replace("0.5", "nan"), "not_json"),
        (whole.clone() + " and more", "not_json"),
        ("null".to_owned(), "not_json"),
        (whole.replacen('{', "{\"model\": \"shop\", ", 1), "duplicate_key"),
        (order("a", "ts", json!("yesterday")), "bad_time"),
        (order("a", "ts", json!("2023-11-15T00:00:00")), "bad_time"),
        (order("a", "ts", json!(-1)), "bad_time"),
        (order("a", "ts", json!("1969-12-31T23:59:59Z")), "bad_time"),
        (order("a", "ts", json!(253_370_764_800_000_i64)), "future"),
        (order("a", "ts", Value::Null), "no_time"),
        (order("a", "version", Value::Null), "no_version"),
        (order("a", "version", json!("v".repeat(2000))), "bad_text"),
        (order("a", "prediction_id", Value::Null), "no_id"),
    ];
    let lines: Vec<String> = cases.iter().map(|(line, _)| line.clone()).collect();
    let (summary, letters) = replay_lines(&lines);
    let expected: Vec<(u64, String)> =
        (2..).zip(&cases).map(|(line, (_, reason))| (line, (*reason).to_owned())).collect();
    assert_eq!(letters, expected);
    assert_eq!(summary["counters"]["predictions"], 2, "the good ones before and after");
    let counted: u64 = summary["rejected"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(counted, cases.len() as u64);
    assert_eq!((&summary["rejected"]["bad_time"], &summary["rejected"]["future"]), (&json!(4), &json!(1)));
}

#[test]
fn a_line_of_fifty_megabytes_is_skipped() {
    let long = order("long", "stage", json!("x".repeat(50 << 20)));
    let (summary, letters) = replay_lines(&[long, "not JSON".to_owned()]);
    let mut letters = letters;
    letters.sort();
    assert_eq!(letters, [(2, "too_large".to_owned()), (3, "not_json".to_owned())]);
    assert_eq!(summary["counters"]["predictions"], 2);
}

#[test]
fn events_of_other_models_are_counted_and_ignored() {
    let (summary, letters) =
        replay_lines(&[order("a", "model", json!("another")), order("b", "model", json!("another"))]);
    assert_eq!((&summary["unknown_model"], &summary["counters"]["predictions"]), (&json!(2), &json!(2)));
    assert_eq!((letters, &summary["rejected"]), (vec![], &json!({})));
}

#[test]
fn values_of_the_wrong_type_are_invalid_and_the_event_counts() {
    let folder = shop();
    let events = (0..100).map(|i| match i % 4 {
        0 => order(&format!("o{i}"), "features", json!({"amount": "50", "items": 2, "country": "de"})),
        1 => order(&format!("o{i}"), "features", json!({"amount": [1], "items": null, "country": {"code": "de"}})),
        2 => order(&format!("o{i}"), "score", json!("0.5")),
        _ => order(&format!("o{i}"), "score", json!(0.5)),
    });
    folder.write("p.jsonl", events.collect::<Vec<_>>().join("\n"));
    let run = folder
        .driftgate("replay --policy policy.yaml --predictions p.jsonl --labels a-l.jsonl --json --verdicts v.jsonl");
    let summary = run.exits(0).json();
    assert_eq!((&summary["counters"]["predictions"], &summary["rejected"]), (&json!(100), &json!({})));
    let verdicts = folder.json_lines("v.jsonl");
    let drift = verdicts.iter().find(|v| v["group"] == "drift").unwrap();
    let counts = |rule: &str, subject: &str| {
        let found = drift["results"].as_array().unwrap().iter().find(|r| r["rule"] == rule && r["subject"] == subject);
        let result = found.unwrap_or_else(|| panic!("no {rule} of {subject}"));
        ["n", "missing", "invalid"].map(|key| result[key].as_u64().unwrap())
    };
    assert_eq!(counts("drift/psi", "amount"), [50, 0, 50], "numbers as text, and lists");
    assert_eq!(counts("drift/psi", "items"), [75, 25, 0]);
    assert_eq!(counts("drift/psi", "country"), [75, 0, 25], "objects are no categories");
    assert_eq!(counts("drift/psi", "gift"), [50, 50, 0]);
    assert_eq!(counts("drift/ks_p", "score"), [75, 0, 25]);
    let invalid = drift["results"].as_array().unwrap().iter().find(|r| r["metric"] == "invalid_rate").unwrap();
    assert_eq!((&invalid["value"], &invalid["status"]), (&json!(0.5), &json!("block")));
}
