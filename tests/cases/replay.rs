//! `driftgate replay` over a made-up shop: the same events give the same verdicts, whatever their format, their order
//! within the lateness, their duplicates and the number of threads.

use serde_json::{Value, json};

use crate::support::{Folder, LATENESS_MS, Label, POLICY, Prediction, Random, START, Shop, lines};

const REPLAY: &str = "replay --policy policy.yaml";

/// The verdicts and signals of a replay, as written.
fn judged(folder: &Folder, arguments: &str) -> (String, String) {
    folder.driftgate(&format!("{REPLAY} {arguments} --verdicts v.jsonl --signals s.jsonl")).exits(0);
    (folder.read("v.jsonl"), folder.read("s.jsonl"))
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often a signal's action, or a verdict's status, is this.
fn with(text: &str, key: &str, value: &str) -> usize {
    parsed(text).iter().filter(|v| v[key] == value).count()
}

#[test]
fn two_runs_and_any_number_of_threads_write_the_same_bytes() {
    let folder = Shop::folder();
    // Several blocks of a megabyte, so that every decoder has something to do.
    Shop::new(30_000).write_jsonl(&folder, "a");
    let first = judged(&folder, "--predictions a-p.jsonl --labels a-l.jsonl");
    for threads in ["--threads 1", "--threads 1", "--threads 2", "--threads 3"] {
        let again = judged(&folder, &format!("--predictions a-p.jsonl --labels a-l.jsonl {threads}"));
        assert!(first == again, "{threads}");
    }
    // It is worth comparing: all that can happen happens.
    for status in ["pass", "block"] {
        assert!(with(&first.0, "status", status) > 0, "{status}");
    }
    assert!(with(&first.1, "action", "block") > 0 && with(&first.1, "action", "clear") > 0, "{}", first.1);
}

#[test]
fn json_lines_csv_and_parquet_give_the_same_verdicts() {
    let (folder, shop) = (Shop::folder(), Shop::new(4000));
    shop.write_jsonl(&folder, "a");
    shop.write_csv(&folder, "a");
    shop.write_parquet(&folder, "a");
    let first = judged(&folder, "--predictions a-p.jsonl --labels a-l.jsonl");
    assert!(first.0.lines().count() > 100, "{}", first.0.lines().count());
    for (p, l) in [("csv", "csv"), ("parquet", "parquet"), ("csv", "jsonl"), ("jsonl", "parquet")] {
        let again = judged(&folder, &format!("--predictions a-p.{p} --labels a-l.{l}"));
        assert!(first == again, "{p} and {l}");
    }
}

#[test]
fn order_within_the_lateness_and_duplicates_change_nothing() {
    let (folder, shop) = (Shop::folder(), Shop::new(4000));
    shop.write_jsonl(&folder, "a");
    let first = judged(&folder, "--predictions a-p.jsonl --labels a-l.jsonl");
    for seed in 0..6 {
        let (random, mut other) = (&mut Random(seed), shop.clone());
        if seed % 2 == 1 {
            let some = |random: &mut Random| random.below(4) == 0;
            let twice: Vec<Prediction> = other.predictions.iter().filter(|_| some(random)).cloned().collect();
            other.predictions.extend(twice);
            let twice: Vec<Label> = other.labels.iter().filter(|_| some(random)).cloned().collect();
            other.labels.extend(twice);
        }
        // Sorted so, no event is more than the lateness behind an earlier one.
        let mut late = || i64::try_from(random.below(u64::try_from(LATENESS_MS).unwrap() + 1)).unwrap();
        other.predictions.sort_by_cached_key(|p| p.ts + late());
        other.labels.sort_by_cached_key(|l| l.ts + late());
        other.write_jsonl(&folder, "b");
        let again = judged(&folder, "--predictions b-p.jsonl --labels b-l.jsonl");
        assert!(first == again, "seed {seed}");
    }
}

#[test]
fn what_was_judged_complete_does_not_change_when_more_events_come() {
    let (folder, shop) = (Shop::folder(), Shop::new(4000));
    shop.write_jsonl(&folder, "a");
    let complete = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("\"complete\":true")).map(str::to_owned).collect()
    };
    let all = judged(&folder, "--predictions a-p.jsonl --labels a-l.jsonl");
    let all_verdicts = complete(&all.0);
    for hours in [5, 14, 25] {
        let (mut part, until) = (shop.clone(), START + hours * 3_600_000);
        part.predictions.retain(|p| p.ts < until);
        part.labels.retain(|l| l.ts < until);
        part.write_jsonl(&folder, "b");
        let (verdicts, signals) = judged(&folder, "--predictions b-p.jsonl --labels b-l.jsonl");
        let done = complete(&verdicts);
        assert!(done.len() > 2 && done.len() < verdicts.lines().count(), "{hours} h: {}", done.len());
        for verdict in &done {
            assert!(all_verdicts.contains(verdict), "{hours} h: {verdict}");
        }
        let new: Vec<&str> = signals.lines().filter(|s| !all.1.contains(s)).collect();
        assert!(new.is_empty(), "{hours} h: {new:?}");
    }
}

#[test]
fn incomplete_windows_are_judged_but_signal_nothing() {
    let (folder, mut shop) = (Shop::folder(), Shop::new(12_000));
    // Up to half an hour into the drift of the amounts: no window that holds some of it is complete.
    let until = START + 12 * 3_600_000 + 1_800_000;
    shop.predictions.retain(|p| p.ts < until);
    shop.labels.retain(|l| l.ts < until);
    shop.write_jsonl(&folder, "a");
    let (verdicts, signals) = judged(&folder, "--predictions a-p.jsonl --labels a-l.jsonl");
    let drift: Vec<Value> =
        parsed(&verdicts).into_iter().filter(|v| v["group"] == "drift" && v["version"] == "1").collect();
    assert!(drift.iter().any(|v| v["window"]["complete"] == false && v["status"] == "block"));
    assert!(drift.iter().all(|v| v["window"]["complete"] == false || v["status"] != "block"));
    assert!(parsed(&signals).iter().all(|s| s["group"] != "drift" || s["version"] != "1"), "{signals}");
}

#[test]
fn a_dash_is_standard_input() {
    let (folder, shop) = (Shop::folder(), Shop::new(2000));
    shop.write_jsonl(&folder, "a");
    let first = judged(&folder, "--predictions a-p.jsonl --labels a-l.jsonl");
    for (arguments, input) in [
        ("--predictions - --labels a-l.jsonl", shop.predictions_jsonl()),
        ("--predictions a-p.jsonl --labels -", shop.labels_jsonl()),
    ] {
        let arguments = format!("{REPLAY} {arguments} --verdicts v.jsonl --signals s.jsonl");
        folder.driftgate_reading(&arguments, &input).exits(0);
        assert!(first == (folder.read("v.jsonl"), folder.read("s.jsonl")), "{arguments}");
    }
}

#[test]
fn features_of_a_stream_of_their_own_count_like_those_of_predictions() {
    let (folder, mut shop) = (Shop::folder(), Shop::new(3000));
    shop.predictions.iter_mut().for_each(|p| p.version = "1");
    folder.write(
        "policy.yaml",
        POLICY
            .replace("segments: [country, country*gift]", "segments: [shop]")
            .replace(&POLICY[POLICY.find("  fairness:").unwrap()..], ""),
    );
    shop.write_jsonl(&folder, "a");
    let features = shop.predictions.iter().map(|p| json!({"model": "shop", "ts": p.ts, "features": p.features()}));
    folder.write("f.jsonl", lines(features));
    let bare = shop.predictions.iter().map(|p| {
        let mut event = p.json();
        event.as_object_mut().unwrap().remove("features");
        event
    });
    folder.write("bare.jsonl", lines(bare));
    let (first, _) = judged(&folder, "--predictions a-p.jsonl");
    let (again, _) = judged(&folder, "--predictions bare.jsonl --features f.jsonl");
    let results = |text: &str| parsed(text).into_iter().map(|v| v["results"].clone()).collect::<Vec<_>>();
    assert!(results(&first).len() > 30);
    assert_eq!(results(&first), results(&again));
}

#[test]
fn fail_on_turns_the_worst_complete_verdict_into_the_exit_code() {
    let (folder, shop) = (Shop::folder(), Shop::new(2000));
    shop.write_jsonl(&folder, "a");
    let files = "--predictions a-p.jsonl --labels a-l.jsonl";
    folder.driftgate(&format!("{REPLAY} {files}")).exits(0).prints("windows judged");
    folder.driftgate(&format!("{REPLAY} {files} --fail-on block")).exits(1);
    folder.driftgate(&format!("{REPLAY} {files} --fail-on warn")).exits(1);
    folder.driftgate(&format!("{REPLAY} {files} --fail-on never")).exits(2).says("--fail-on");
    // Nothing blocks above these limits, but the amounts are worth a warning.
    let start = POLICY.find("    rules:").unwrap();
    folder.write("policy.yaml", POLICY[..start].to_owned() + "    rules: [{psi: {of: amount, lt: 50, warn: 0.1}}]\n");
    folder.driftgate(&format!("{REPLAY} {files} --fail-on block")).exits(0);
    folder.driftgate(&format!("{REPLAY} {files} --fail-on warn")).exits(1);
    folder.write("policy.yaml", POLICY[..start].to_owned() + "    rules: [{psi: {of: amount, lt: 50}}]\n");
    folder.driftgate(&format!("{REPLAY} {files} --fail-on warn")).exits(0);
}

#[test]
fn the_json_summary_agrees_with_the_verdicts() {
    let (folder, shop) = (Shop::folder(), Shop::new(3000));
    shop.write_jsonl(&folder, "a");
    let files = "--predictions a-p.jsonl --labels a-l.jsonl";
    let run = folder.driftgate(&format!("{REPLAY} {files} --json --verdicts v.jsonl --signals s.jsonl")).exits(0);
    let (summary, verdicts) = (run.json(), folder.json_lines("v.jsonl"));
    assert_eq!(summary["windows"], verdicts.len());
    let incomplete = verdicts.iter().filter(|v| v["window"]["complete"] == false).count();
    assert_eq!(summary["incomplete"], incomplete);
    assert_eq!(summary["counters"]["predictions"], 3000);
    assert_eq!(summary["counters"]["labels"], shop.labels.len());
    assert_eq!(
        summary["versions"],
        json!({
            "1": shop.predictions.iter().filter(|p| p.version == "1").count(),
            "2": shop.predictions.iter().filter(|p| p.version == "2").count(),
        })
    );
    assert_eq!(summary["signals"]["block"], with(&folder.read("s.jsonl"), "action", "block"));
    let rules = summary["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 12, "six rules of two versions");
    for rule in rules {
        let of_rule = |status: Option<&str>| {
            let of_version = verdicts.iter().filter(|v| v["version"] == rule["version"]);
            let results = of_version.flat_map(|v| v["results"].as_array().unwrap());
            results.filter(|r| r["rule"] == rule["rule"] && status.is_none_or(|s| r["status"] == s)).count()
        };
        assert_eq!(rule["judged"], of_rule(None), "{rule}");
        for status in ["pass", "warn", "insufficient", "block"] {
            assert_eq!(rule[status], of_rule(Some(status)), "{rule}");
        }
    }
}
