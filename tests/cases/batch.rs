//! Parts of files counted beside each other, as an engine would run the commands: the bytes of a replay over the whole files,
//! however the files are cut and in whatever order partials are merged; what is damaged, foreign, missing or there twice is refused.

use std::path::Path;

use polars_core::prelude::DataFrame;
use polars_io::prelude::{ParquetReader, ParquetWriter, SerReader as _};
use serde_json::{Value, json};

use crate::support::{Folder, Label, Prediction, Random, START, Shop, lines};

/// The parts of the streams of a folder, by kind.
type Parts<'p> = &'p [(&'p str, Vec<String>)];

/// Lists parts of files.
fn splits(folder: &Folder, bytes: u64, files: &str) -> Vec<String> {
    let listed = folder.driftgate(&format!("splits --bytes {bytes} {files}")).exits(0).stdout;
    listed.lines().map(str::to_owned).collect()
}

/// Runs all passes; the carry and the partials lie in the folder then. Returns the partials' names.
fn counted(folder: &Folder, policy: &str, parts: Parts<'_>, buckets: u32) -> Vec<String> {
    let count = |rest: &str| folder.driftgate(&format!("count --policy {policy} {rest}")).exits(0);
    let each =
        || parts.iter().flat_map(|(kind, splits)| splits.iter().enumerate().map(move |(n, split)| (*kind, n, split)));
    for (kind, n, split) in each() {
        count(&format!("--pass scan --kind {kind} --place {n} --split {split} --out {kind}-{n}.scan"));
    }
    let scans: Vec<String> = each().map(|(kind, n, _)| format!("{kind}-{n}.scan\n")).rev().collect();
    folder.write("scans", scans.concat());
    folder.driftgate(&format!("carry --policy {policy} --buckets {buckets} --out carry @scans")).exits(0);
    let shown = folder.driftgate("carry --show carry").exits(0).json();
    let mut partials = Vec::new();
    if shown["pairs"] == true {
        let joined = || each().filter(|(kind, ..)| ["predictions", "labels"].contains(kind));
        for (kind, n, split) in joined() {
            count(&format!("--pass share --carry carry --kind {kind} --split {split} --out {kind}-{n}.shared"));
        }
        let shared: Vec<String> = joined().map(|(kind, n, _)| format!("{kind}-{n}.shared")).collect();
        let paired: Vec<String> = (0..buckets).map(|n| format!("{n}.paired")).collect();
        for (n, out) in paired.iter().enumerate() {
            count(&format!("--pass pair --carry carry --bucket {n} --out {out} {}", shared.join(" ")));
        }
        folder.driftgate(&format!("carry --policy {policy} --carry carry --out joined {}", paired.join(" "))).exits(0);
        folder.write("carry", std::fs::read(folder.path("joined")).unwrap());
        partials.extend(paired);
    }
    for (kind, n, split) in each().filter(|(kind, ..)| *kind != "labels") {
        count(&format!("--carry carry --kind {kind} --split {split} --out {kind}-{n}.partial"));
        partials.push(format!("{kind}-{n}.partial"));
    }
    partials
}

/// Merges partials in a tree that a seed chooses.
fn merged(folder: &Folder, mut partials: Vec<String>, seed: u64) -> Vec<u8> {
    let random = &mut Random(seed);
    let mut taken = |of: &mut Vec<String>| of.swap_remove(usize::try_from(random.below(of.len() as u64)).unwrap());
    let mut made = 0;
    while partials.len() > 1 {
        let pair = [taken(&mut partials), taken(&mut partials)].join(" ");
        let out = format!("merged-{seed}-{made}");
        folder.driftgate(&format!("merge --out {out} {pair}")).exits(0);
        partials.push(out);
        made += 1;
    }
    std::fs::read(folder.path(&partials[0])).unwrap()
}

/// What a replay writes.
fn replayed(folder: &Folder, policy: &str, files: &str) -> (String, String) {
    folder.driftgate(&format!("replay --policy {policy} {files} --verdicts rv.jsonl --signals rs.jsonl")).exits(0);
    (folder.read("rv.jsonl"), folder.read("rs.jsonl"))
}

/// What the parts are judged to.
fn judged(folder: &Folder, policy: &str, partials: &str) -> (String, String) {
    folder.driftgate(&format!("judge --policy {policy} {partials} --verdicts bv.jsonl --signals bs.jsonl")).exits(0);
    (folder.read("bv.jsonl"), folder.read("bs.jsonl"))
}

#[track_caller]
fn same(of_parts: &(String, String), of_replay: &(String, String), windows: usize) {
    assert!(of_replay.0.lines().count() >= windows, "{} windows", of_replay.0.lines().count());
    let differs = of_parts.0.lines().zip(of_replay.0.lines()).find(|(a, b)| a != b);
    assert!(differs.is_none(), "{differs:?}");
    assert!(of_parts == of_replay, "signals differ, or the number of lines");
}

/// Rows of a frame as a file with row groups of so many rows.
fn write_groups(path: &Path, frame: &DataFrame, (from, rows): (usize, usize), group: usize) {
    let mut part = frame.slice(i64::try_from(from).unwrap(), rows);
    ParquetWriter::new(std::fs::File::create(path).unwrap())
        .with_row_group_size(Some(group))
        .finish(&mut part)
        .unwrap();
}

#[test]
fn parts_of_a_year_of_flights_come_to_the_replays_bytes_by_both_policies() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights");
    let folder = Folder::new();
    let frame = |name: &str| ParquetReader::new(std::fs::File::open(data.join(name)).unwrap()).finish().unwrap();
    let (predictions, labels) = (frame("predictions.parquet"), frame("labels.parquet"));
    let third = predictions.height() / 3;
    write_groups(&folder.path("p0.parquet"), &predictions, (0, third), 60_000);
    write_groups(&folder.path("p1.parquet"), &predictions, (third, third + 7), 45_000);
    write_groups(&folder.path("p2.parquet"), &predictions, (2 * third + 7, usize::MAX), 1 << 30);
    write_groups(&folder.path("l0.parquet"), &labels, (0, labels.height() / 2), 100_000);
    write_groups(&folder.path("l1.parquet"), &labels, (labels.height() / 2, usize::MAX), 1 << 30);
    let parts = [
        ("predictions", splits(&folder, 1 << 20, "p0.parquet p1.parquet p2.parquet")),
        ("labels", splits(&folder, 400_000, "l0.parquet l1.parquet")),
    ];
    assert!(parts[0].1.len() >= 6 && parts[1].1.len() >= 3, "{parts:?}");
    let at = |name: &str| data.join(name).display().to_string();
    let files = format!("--predictions {} --labels {}", at("predictions.parquet"), at("labels.parquet"));
    for policy in [at("policy.yaml"), at("policy-core.yaml")] {
        let partials = counted(&folder, &policy, &parts, 3);
        folder.write("all", merged(&folder, partials, 1));
        same(&judged(&folder, &policy, "all"), &replayed(&folder, &policy, &files), 500);
    }
}

/// Classes by segment, also beside the week before.
const CLASS_SEGMENTS: &str = "segments: [carrier, origin]
checks:
  segments:
    window: {size: 14d, slide: 7d}
    rules:
    - gap: {of: recall, by: carrier, min_positives: 3, lt: 0.1}
    - ratio: {of: accuracy, by: origin, gte: 0.8}
    - gap: {id: before, of: f1, class: late, by: origin, max_increase: 0.1, versus: {rolling: 2}}
";

#[test]
fn parts_of_numbers_and_classes_come_to_the_replays_bytes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (data, policy, segments) in
        [("flight_delays", "flight-delays", ""), ("flight_classes", "flight-classes", CLASS_SEGMENTS)]
    {
        let (data, folder) = (root.join("tests/data").join(data), Folder::new());
        let frame = |name: &str| ParquetReader::new(std::fs::File::open(data.join(name)).unwrap()).finish().unwrap();
        let (predictions, labels) = (frame("predictions.parquet"), frame("labels.parquet"));
        let third = predictions.height() / 3;
        write_groups(&folder.path("p0.parquet"), &predictions, (0, third), 2_000);
        write_groups(&folder.path("p1.parquet"), &predictions, (third, usize::MAX), 3_000);
        write_groups(&folder.path("l0.parquet"), &labels, (0, labels.height() / 2), 1_500);
        write_groups(&folder.path("l1.parquet"), &labels, (labels.height() / 2, usize::MAX), 1 << 30);
        let parts = [
            ("predictions", splits(&folder, 20_000, "p0.parquet p1.parquet")),
            ("labels", splits(&folder, 10_000, "l0.parquet l1.parquet")),
        ];
        assert!(parts[0].1.len() >= 4 && parts[1].1.len() >= 3, "{parts:?}");
        let text = std::fs::read_to_string(root.join(format!("config/policies/{policy}.yaml"))).unwrap();
        let text = text.replace("train_v{version}", &format!("{}/train_v{{version}}", data.display()));
        // Behind a segment the numbers stand elsewhere.
        let checks = if segments.contains("checks:") { "" } else { "checks:" };
        folder.write("policy.yaml", text.replacen("checks:", &format!("{segments}{checks}"), 1));
        let at = |name: &str| data.join(name).display().to_string();
        let files = format!("--predictions {} --labels {}", at("predictions.parquet"), at("labels.parquet"));
        let partials = counted(&folder, "policy.yaml", &parts, 3);
        folder.write("all", merged(&folder, partials, 5));
        same(&judged(&folder, "policy.yaml", "all"), &replayed(&folder, "policy.yaml", &files), 20);
    }
}

/// The shop with more of what goes wrong: late orders, orders sent twice and again days later, late labels, a clock ahead.
fn unruly() -> Shop {
    let (random, mut shop) = (&mut Random(11), Shop::new(4000));
    let mut predictions: Vec<Prediction> = Vec::new();
    for (i, p) in shop.predictions.into_iter().enumerate() {
        let again = (random.below(20) == 0).then(|| p.clone());
        let ts = match random.below(100) {
            0..3 => p.ts - 3_600_000,
            3 if i > 100 => p.ts + 5_400_000,
            _ => p.ts,
        };
        predictions.push(Prediction { ts, ..p });
        predictions.extend(again);
    }
    shop.predictions = predictions;
    let late: Vec<Label> = shop.labels.extract_if(.., |_| random.below(30) == 0).collect();
    for l in late {
        let at = shop.labels.partition_point(|other| other.ts < l.ts + 3 * 3_600_000);
        shop.labels.insert(at, l);
    }
    shop
}

#[test]
fn parts_of_every_format_come_to_the_replays_bytes_in_any_order_of_merging() {
    let (folder, shop) = (Shop::folder(), unruly());
    shop.write_parquet(&folder, "a");
    shop.write_jsonl(&folder, "a");
    shop.write_csv(&folder, "a");
    let mut csv: Vec<Vec<String>> = Vec::new();
    for kind in ["p", "l"] {
        // A CSV file is one part: it is cut into files.
        let text = folder.read(&format!("a-{kind}.csv"));
        let rows: Vec<&str> = text.lines().collect();
        let files = rows[1..].chunks(rows.len() / 3 + 1).enumerate().map(|(n, chunk)| {
            let name = format!("a-{kind}{n}.csv");
            folder.write(&name, format!("{}\n{}\n", rows[0], chunk.join("\n")));
            name
        });
        let files: Vec<String> = files.collect();
        csv.push(splits(&folder, 1, &files.join(" ")));
    }
    let labels = csv.pop().unwrap();
    let mut all: Vec<(&str, Vec<String>, Vec<String>)> = vec![("csv", csv.pop().unwrap(), labels)];
    for (format, bytes) in [("parquet", 16_000), ("jsonl", 150_000)] {
        let of = |kind: &str| splits(&folder, bytes, &format!("a-{kind}.{format}"));
        all.push((format, of("p"), of("l")));
    }
    for (format, predictions, labels) in all {
        assert!(predictions.len() >= 3 && labels.len() >= 2, "{format}: {predictions:?} {labels:?}");
        let files = format!("--predictions a-p.{format} --labels a-l.{format}");
        let expected = replayed(&folder, "policy.yaml", &files);
        let partials = counted(&folder, "policy.yaml", &[("predictions", predictions), ("labels", labels)], 4);
        same(&judged(&folder, "policy.yaml", &partials.join(" ")), &expected, 50);
        if format == "parquet" {
            let first = merged(&folder, partials.clone(), 1);
            assert!(first == merged(&folder, partials, 2), "the tree of merging does not matter");
            folder.write("all", first);
            same(&judged(&folder, "policy.yaml", "all"), &expected, 50);
        }
    }
}

#[test]
fn measurements_and_the_models_traffic_are_counted_by_parts() {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: train.csv}\nfeatures: {numeric: [x]}\nmin_samples: 5\nchecks:\n\
         \x20 drift:\n    window: {size: 1h, slide: 1h}\n    traffic: model\n    rules: [{psi: {of: x, lt: 0.2}}]\n\
         \x20 cost:\n    window: {size: 2h, slide: 1h}\n    rules: [{measured: {of: cost, lt: 1}}]\n",
    );
    folder.write("train.csv", (0..100).fold("x\n".to_owned(), |text, n| text + &format!("{n}\n")));
    let event = |n: i64, version: &str| json!({"model": "m", "version": version, "ts": START + n * 60_000, "features": {"x": n % 90}});
    let predictions = lines((0..600).map(|n| event(n, if n % 3 == 0 { "b" } else { "a" })));
    folder.write("p.jsonl", &predictions);
    let measured = |n: i64| json!({"model": "m", "version": "a", "ts": START + n * 60_000, "metric": "cost", "value": n as f64 / 300.0});
    folder.write("m.jsonl", lines((0..600).map(measured)));
    let of = |name: &str| splits(&folder, 9_000, name);
    let parts = [("predictions", of("p.jsonl")), ("measurements", of("m.jsonl"))];
    assert!(parts.iter().all(|(_, parts)| parts.len() > 3));
    let partials = counted(&folder, "policy.yaml", &parts, 1);
    let expected = replayed(&folder, "policy.yaml", "--predictions p.jsonl --measurements m.jsonl");
    same(&judged(&folder, "policy.yaml", &partials.join(" ")), &expected, 25);
    // Where versions may have retired in between, what they count depends on the order.
    folder.write("late.jsonl", predictions + &lines([event(60 * 24 * 30, "b")].into_iter()));
    folder.driftgate("count --policy policy.yaml --pass scan --split late.jsonl --out late.scan").exits(0);
    let scans = (0..parts[1].1.len()).map(|n| format!("measurements-{n}.scan")).collect::<Vec<_>>().join(" ");
    folder
        .driftgate(&format!("carry --policy policy.yaml late.scan {scans}"))
        .exits(2)
        .says("needs the order of events");
}

#[test]
fn what_is_damaged_foreign_missing_or_there_twice_is_refused() {
    let (folder, shop) = (Shop::folder(), Shop::new(900));
    shop.write_jsonl(&folder, "a");
    let parts =
        [("predictions", splits(&folder, 60_000, "a-p.jsonl")), ("labels", splits(&folder, 40_000, "a-l.jsonl"))];
    let partials = counted(&folder, "policy.yaml", &parts, 2);
    let refused = |arguments: &str, why: &str| {
        folder.driftgate(arguments).exits(2).says(why);
    };
    let all = partials.join(" ");
    judged(&folder, "policy.yaml", &all);
    refused(&format!("judge --policy policy.yaml {}", partials[1..].join(" ")), "not counted: bucket 0");
    refused(&format!("judge --policy policy.yaml {}", partials[..partials.len() - 1].join(" ")), "not counted: place");
    refused(&format!("merge {all} {}", partials[0]), "bucket 0 is there twice");
    refused(&format!("merge {all} predictions-0.partial"), "place 0 of the predictions is there twice");
    // Of another policy, and of another plan.
    let other = folder.read("policy.yaml").replace("lt: 0.4", "lt: 0.3");
    folder.write("other.yaml", other);
    refused(&format!("judge --policy other.yaml {all}"), "another policy");
    refused(&format!("count --policy other.yaml --carry carry --split {}", parts[0].1[0]), "another policy");
    let kept = std::fs::read(folder.path("predictions-0.partial")).unwrap();
    let joined = std::fs::read(folder.path("carry")).unwrap();
    counted(&folder, "policy.yaml", &parts, 3);
    folder.write("other.partial", &kept);
    refused("merge other.partial predictions-1.partial", "another plan");
    // Damaged anywhere, or cut.
    for at in (0..kept.len()).step_by(kept.len() / 40 + 1) {
        let mut bad = kept.clone();
        bad[at] ^= 4;
        folder.write("bad.partial", &bad);
        folder.driftgate("merge bad.partial --out x").exits(2);
        folder.write("bad.partial", &kept[..at]);
        folder.driftgate("merge bad.partial --out x").exits(2);
    }
    folder.write("bad.carry", &joined[..joined.len() - 1]);
    refused("count --policy policy.yaml --carry bad.carry --split x", "cut short");
    refused("carry --show predictions-0.partial", "a driftgate file of kind");
    // Passes in another order, and parts that there are not.
    let first = &parts[0].1[0];
    let scans: Vec<String> = (0..parts[0].1.len()).map(|n| format!("predictions-{n}.scan")).collect();
    let labels: Vec<String> = (0..parts[1].1.len()).map(|n| format!("labels-{n}.scan")).collect();
    folder
        .driftgate(&format!("carry --policy policy.yaml --out fresh {} {}", scans.join(" "), labels.join(" ")))
        .exits(0);
    refused(
        &format!("count --policy policy.yaml --carry fresh --split {first}"),
        "run the passes share and pair first",
    );
    refused("count --policy policy.yaml --carry carry --split nowhere.jsonl", "has no part \"nowhere.jsonl\"");
    refused(
        &format!("carry --policy policy.yaml {} {}", scans[1..].join(" "), labels.join(" ")),
        "place 0 of the predictions is missing",
    );
    refused(&format!("carry --policy policy.yaml {}", scans.join(" ")), "label rules need parts of labels");
    let last = &scans[..scans.len() - 1];
    refused(&format!("carry --policy policy.yaml {} {}", last.join(" "), labels.join(" ")), "are in no part");
    refused("count --policy policy.yaml --pass scan --kind features --split a-p.jsonl", "needs the order of events");
    refused("count --policy policy.yaml --pass scan --split a-p.jsonl:0-3", "has no row groups");
    refused(
        &format!("count --policy policy.yaml --pass pair --carry fresh --bucket 0 {}", "predictions-0.shared"),
        "each once",
    );
    // A file that has changed since it was scanned.
    let mut changed = shop.predictions_jsonl();
    changed.replace_range(..=changed.find('\n').unwrap(), "");
    let pad = " ".repeat(folder.read("a-p.jsonl").len() - changed.len() - 1);
    folder.write("a-p.jsonl", format!("{pad}\n{changed}"));
    refused(&format!("count --policy policy.yaml --carry carry --split {first}"), "events, and had");
}

#[test]
fn files_with_nothing_in_them_are_parts_without_events() {
    let (folder, shop) = (Shop::folder(), Shop::new(600));
    shop.write_jsonl(&folder, "a");
    folder.write("nothing.jsonl", "");
    let parts = [
        ("predictions", splits(&folder, 1 << 30, "nothing.jsonl a-p.jsonl")),
        ("labels", splits(&folder, 1 << 30, "a-l.jsonl")),
    ];
    assert_eq!(parts[0].1, ["nothing.jsonl", "a-p.jsonl"]);
    let partials = counted(&folder, "policy.yaml", &parts, 1);
    let expected = replayed(&folder, "policy.yaml", "--predictions a-p.jsonl --labels a-l.jsonl");
    same(&judged(&folder, "policy.yaml", &partials.join(" ")), &expected, 20);
    let shown: Value = folder.driftgate("carry --show carry --policy policy.yaml").exits(0).json();
    assert_eq!(
        (&shown["pairs"], &shown["paired"], &shown["splits"][0]["rows"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert_eq!(shown["snapshots"], json!({"1": "train_v1.csv", "2": "train_v2.csv"}));
    // Nothing at all is no error.
    let empty = [("predictions", vec!["nothing.jsonl".to_owned()]), ("labels", splits(&folder, 1 << 30, "a-l.jsonl"))];
    let partials = counted(&folder, "policy.yaml", &empty, 1);
    assert_eq!(judged(&folder, "policy.yaml", &partials.join(" ")), (String::new(), String::new()));
}
