//! `windows: {timezone: …}`: days and weeks at local midnight over clock changes; by threads, parts and orders alike, and over a restart.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::Folder;

/// 2026-03-27T00:00:00Z, two days before clocks in Berlin skip an hour.
const START: i64 = 1_774_569_600_000;
const HOUR: i64 = 3_600_000;

/// A prediction each hour of ten days, whose `x` grows by one an hour.
fn folder(windows: &str, window: &str, rules: &str) -> Folder {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: train.csv}}\nfeatures: {{numeric: [x]}}\nlateness: 1h\nmin_samples: 5\n{windows}\
             checks:\n  g:\n    window: {window}\n    rules:\n{rules}"
        ),
    );
    folder.write("train.csv", (0..240).fold("x\n".to_owned(), |text, i| text + &format!("{i}\n")));
    let rows = (0..240).fold("version,ts,x\n".to_owned(), |mut text, i| {
        writeln!(text, "1,{},{i}", START + i * HOUR).unwrap();
        text
    });
    folder.write("p.csv", rows);
    folder
}

fn replay(folder: &Folder, rest: &str) -> String {
    folder.driftgate(&format!("replay --policy policy.yaml --predictions p.csv {rest} --verdicts v.jsonl")).exits(0);
    folder.read("v.jsonl")
}

fn verdicts(folder: &Folder) -> Vec<Value> {
    replay(folder, "");
    folder.json_lines("v.jsonl")
}

const RULES: &str = "    - missing_rate: {of: x, lt: 0.5}\n    - volume: {id: before, gte: 1, versus: previous}\n";

#[test]
fn a_day_of_23_hours_is_a_whole_day() {
    let folder = folder("windows: {timezone: Europe/Berlin}\n", "{size: 1d, slide: 1d}", RULES);
    let found = verdicts(&folder);
    let of = |start: &str| found.iter().find(|v| v["window"]["start"] == start).unwrap_or_else(|| panic!("{found:?}"));
    for (start, end, n) in [
        ("2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", 24),
        ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23),
        ("2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z", 24),
    ] {
        let verdict = of(start);
        assert_eq!((&verdict["window"]["end"], &verdict["counted"]["predictions"]), (&json!(end), &json!(n)));
        assert_eq!(verdict["window"]["complete"], true);
    }
    // Without a zone days are those of UTC, as before.
    let folder = self::folder("", "{size: 1d, slide: 1d}", RULES);
    let found = verdicts(&folder);
    assert!(found.iter().all(|v| v["window"]["start"].as_str().unwrap().ends_with("T00:00:00Z")), "{found:?}");
}

#[test]
fn weeks_begin_with_their_day_and_hours_do_not_change() {
    let folder = folder("windows: {timezone: America/New_York, week: sunday}\n", "{size: 7d, slide: 7d}", RULES);
    let starts: Vec<Value> = verdicts(&folder).into_iter().map(|v| v["window"]["start"].clone()).collect();
    assert_eq!(starts, ["2026-03-22T04:00:00Z", "2026-03-29T04:00:00Z", "2026-04-05T04:00:00Z"]);
    let hourly = |windows: &str| replay(&self::folder(windows, "{size: 12h, slide: 6h}", RULES), "");
    let spans = |verdicts: String| verdicts.matches("T06:00:00Z\",\"complete").count();
    assert_eq!(spans(hourly("windows: {timezone: Asia/Tokyo}\n")), spans(hourly("")));
}

#[test]
fn threads_and_parts_close_the_same_days() {
    let rules = "    - psi: {of: x, lt: 9, versus: {season: 2d, back: 2}}\n    - ks: {of: x, lt: 1, versus: {rolling: 2}}\n    \
                 - volume: {gte: 1, for: 2}\n";
    let folder = folder("windows: {timezone: Europe/Berlin}\n", "{size: 2d, slide: 1d}", rules);
    let expected = replay(&folder, "--threads 1");
    assert!(expected.contains("2026-03-29T22:00:00Z"));
    assert_eq!(replay(&folder, "--threads 4"), expected);
    folder
        .driftgate("count --policy policy.yaml --pass scan --kind predictions --place 0 --split p.csv --out p.scan")
        .exits(0);
    folder.driftgate("carry --policy policy.yaml --buckets 1 --out carry p.scan").exits(0);
    folder
        .driftgate("count --policy policy.yaml --carry carry --kind predictions --split p.csv --out p.partial")
        .exits(0);
    folder.driftgate("judge --policy policy.yaml p.partial --verdicts parts.jsonl").exits(0);
    assert_eq!(folder.read("parts.jsonl"), expected);
}

#[test]
fn what_is_no_zone_is_said() {
    for (windows, message) in [
        ("windows: {timezone: Europe/Nowhere}\n", "windows.timezone: there is no time zone \"Europe/Nowhere\""),
        ("windows: {timezone: 1}\n", "windows.timezone"),
        ("windows: {timezone: UTC, week: sun}\n", "windows.week"),
    ] {
        let folder = folder(windows, "{size: 1d, slide: 1d}", RULES);
        folder.driftgate("check --policy policy.yaml").exits(2).says(message);
    }
}
