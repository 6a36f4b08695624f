//! What joins what: labels that say nothing, and segments whose values look like others' names; in every format.

use polars_core::prelude::{DataFrame, NamedFrom as _, Series};
use polars_io::prelude::ParquetWriter;
use serde_json::{Value, json};

use super::broker::{Daemon, brokers, publish, read, topic, wait_for};
use crate::support::{Folder, Label, Prediction, START, Shop, lines};

const REPLAY: &str = "replay --policy policy.yaml";

/// A count as the summary writes it.
fn counted(n: usize) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) }
}

#[test]
fn null_labels_are_counted_and_change_nothing_else() {
    let (folder, mut shop) = (Shop::folder(), Shop::new(1500));
    shop.labels.retain(|l| l.label.is_some());
    shop.write_jsonl(&folder, "a");
    let verdicts = |arguments: &str| {
        let run = folder.driftgate(&format!("{REPLAY} {arguments} --verdicts v.jsonl")).exits(0);
        (folder.read("v.jsonl"), run.stdout)
    };
    let (expected, plain) = verdicts("--predictions a-p.jsonl --labels a-l.jsonl");
    assert!(expected.lines().count() > 50 && !plain.contains("null labels"), "{plain}");

    // Each label is null at first, and again a minute after it is known.
    let null = |l: &Label, ts: i64| Label { ts, label: None, ..l.clone() };
    let nulls: Vec<Label> =
        shop.labels.iter().flat_map(|l| [null(l, l.ts - 60_000), null(l, l.ts), null(l, l.ts + 60_000)]).collect();
    let (mut with, count) = (shop.clone(), nulls.len());
    with.labels = nulls.into_iter().chain(shop.labels).collect();
    with.labels.sort_by_key(|l| (l.ts, l.label.is_some()));
    with.write_jsonl(&folder, "b");
    with.write_csv(&folder, "b");
    with.write_parquet(&folder, "b");
    // As pandas writes them: the column is float, and null is NaN.
    folder.write("nan-l.csv", folder.read("b-l.csv").replace(",\n", ",NaN\n"));
    let labels = &with.labels;
    let column = |l: &Label| l.label.map_or(f64::NAN, |l| if l == 1 { 1.0 } else { 0.0 });
    write_parquet(
        &folder,
        "nan-l.parquet",
        vec![
            Series::new("prediction_id".into(), labels.iter().map(|l| l.id.as_str()).collect::<Vec<_>>()),
            Series::new("ts".into(), labels.iter().map(|l| l.ts).collect::<Vec<_>>()),
            Series::new("label".into(), labels.iter().map(column).collect::<Vec<_>>()),
        ],
    );
    let text = folder.read("b-l.jsonl");
    assert!(text.contains(",\"label\":null"), "{text}");
    folder.write("nan-l.jsonl", text.replace(",\"label\":null", ",\"label\":NaN"));
    folder.write("absent-l.jsonl", text.replace(",\"label\":null", ""));
    let files = ["b-l.jsonl", "b-l.csv", "b-l.parquet", "nan-l.jsonl", "nan-l.csv", "nan-l.parquet", "absent-l.jsonl"];
    for file in files {
        for threads in [1, 2] {
            let (found, summary) = verdicts(&format!("--predictions a-p.jsonl --labels {file} --threads {threads}"));
            assert!(found == expected, "{file}, {threads} threads");
            assert!(summary.contains(&format!("{} null labels", counted(count))), "{file}: {summary}");
        }
    }
}

/// The shop's orders scored by version 1, and the same orders under the same ids by version 2 some seconds later.
fn mirrored(orders: i64) -> (Shop, Shop, Shop) {
    let mut first = Shop::new(orders);
    first.predictions.iter_mut().for_each(|p| p.version = "1");
    let mut second = first.clone();
    for p in &mut second.predictions {
        (p.version, p.ts) = ("2", p.ts + 4_000);
        p.score = p.score.map(|score| 1.0 - score);
    }
    let mut both = first.clone();
    both.predictions.extend(second.predictions.clone());
    both.predictions.sort_by_key(|p| p.ts);
    (first, second, both)
}

#[test]
fn versions_that_score_the_same_requests_are_judged_as_each_alone() {
    let (folder, (first, second, both)) = (Shop::folder(), mirrored(1200));
    first.write_jsonl(&folder, "first");
    second.write_jsonl(&folder, "second");
    let verdicts = |arguments: &str| {
        let run = folder.driftgate(&format!("{REPLAY} {arguments} --verdicts v.jsonl")).exits(0);
        (folder.json_lines("v.jsonl"), run.stdout)
    };
    let (one, summary) = verdicts("--predictions first-p.jsonl --labels first-l.jsonl");
    let (two, _) = verdicts("--predictions second-p.jsonl --labels first-l.jsonl");
    let joined = joined_of(&summary);
    both.write_jsonl(&folder, "both");
    both.write_csv(&folder, "both");
    both.write_parquet(&folder, "both");
    // Each prediction twice: the same version twice is a duplicate.
    let mut twice = both.clone();
    twice.predictions.extend(both.predictions.clone());
    twice.predictions.sort_by_key(|p| p.ts);
    twice.write_jsonl(&folder, "twice");
    for file in ["both-p.jsonl", "both-p.csv", "both-p.parquet", "twice-p.jsonl"] {
        for threads in [1, 2] {
            let (found, summary) =
                verdicts(&format!("--predictions {file} --labels first-l.jsonl --threads {threads}"));
            for (version, alone) in [("1", &one), ("2", &two)] {
                let of = |all: &[Value]| all.iter().filter(|v| v["version"] == version).cloned().collect::<Vec<_>>();
                assert!(of(alone).len() > 50 && of(&found) == of(alone), "{file}, version {version}");
            }
            assert!(joined > 500 && joined_of(&summary) == 2 * joined, "{file}: {summary}");
            assert_eq!(summary.contains("duplicate predictions"), file.starts_with("twice"), "{summary}");
        }
    }
}

#[test]
fn pairs_whose_prediction_has_no_class_are_counted_and_said() {
    let (folder, mut shop) = (Shop::folder(), Shop::new(1500));
    let counters = |name: &str| {
        let command = format!("{REPLAY} --predictions {name}-p.jsonl --labels {name}-l.jsonl");
        let said = folder.driftgate(&command).exits(0).stdout;
        (folder.driftgate(&format!("{command} --json")).exits(0).json()["counters"].clone(), said)
    };
    let of = |counters: &Value, key: &str| counters[key].as_u64().unwrap();
    shop.predictions.iter_mut().for_each(|p| p.score = p.score.or(Some(0.7)));
    shop.write_jsonl(&folder, "a");
    let (all, said) = counters("a");
    assert!(of(&all, "joined") > 500 && of(&all, "unclassed") == 0, "{all}");
    assert!(!said.contains("no class"), "{said}");
    shop.predictions.iter_mut().step_by(5).for_each(|p| p.score = None);
    shop.write_jsonl(&folder, "b");
    let (some, said) = counters("b");
    let unclassed = of(&some, "unclassed");
    assert!(unclassed > 100 && of(&some, "joined") + unclassed == of(&all, "joined"), "{some} of {all}");
    assert!(said.contains(&format!("{} pairs whose prediction has no class", counted(unclassed as usize))), "{said}");
}

/// How many pairs a replay's summary names.
fn joined_of(summary: &str) -> usize {
    let before = summary.split(" joined").next().unwrap();
    before.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn a_shadows_own_topic_is_joined_by_the_daemon_as_by_a_replay_over_a_restart() {
    let (folder, (mut first, mut second, mut both)) = (Shop::folder(), mirrored(600));
    // What comes long after closes every window before it: three, so that its time is believed.
    for n in 0..3 {
        let ts = START + 60 * 3_600_000 + n;
        let after = Prediction { id: format!("last-{n}"), ts, ..first.predictions[0].clone() };
        for shop in [&mut first, &mut both] {
            shop.predictions.push(after.clone());
            shop.labels.push(Label { id: format!("none-{n}"), ts, label: Some(1) });
        }
        second.predictions.push(Prediction { version: "2", ..after });
    }
    both.write_jsonl(&folder, "both");
    folder.driftgate(&format!("{REPLAY} --predictions both-p.jsonl --labels both-l.jsonl --verdicts v.jsonl")).exits(0);
    let until = START + 50 * 3_600_000;
    let ends_before =
        |v: &Value| v["window"]["end"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond() < until;
    let expected: Vec<Value> = folder.json_lines("v.jsonl").into_iter().filter(ends_before).collect();

    let topics = ["predictions", "shadow", "labels", "verdicts"].map(|name| topic(&format!("mirrored-{name}"), 1));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{}\"}}\nsources:\n\
             - {{topic: \"{}\", kind: predictions, format: json}}\n- {{topic: \"{}\", kind: predictions, format: json}}\n\
             - {{topic: \"{}\", kind: labels, format: json}}\nidle_after: 600s\nregistry: {{embedded: {{path: registry.db}}}}\n\
             publish: {{verdicts: \"{}\"}}\nstate: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
            brokers(), topics[0], topics[0], topics[1], topics[2], topics[3]
        ),
    );
    let streams = [first.predictions_jsonl(), second.predictions_jsonl(), first.labels_jsonl()];
    let mut sent = [0; 3];
    // Parts of the streams, in another order each time.
    for (part, order) in [[0, 1, 2], [2, 0, 1], [1, 2, 0]].into_iter().enumerate() {
        let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
        for stream in order {
            let lines: Vec<&str> = streams[stream].lines().collect();
            let to = lines.len() * (part + 1) / 3;
            let records = lines[sent[stream]..to].iter().map(|l| (0, String::new(), l.as_bytes().to_vec()));
            publish(&topics[stream], records.collect::<Vec<_>>());
            sent[stream] = to;
            let events = format!("driftgate_events_total{{topic=\"{}\"}}", topics[stream]);
            let of_part = to - lines.len() * part / 3;
            #[allow(clippy::cast_precision_loss, reason = "some hundred")]
            wait_for("the part", || daemon.metric(&events).filter(|n| *n >= of_part as f64));
        }
        if part == 2 {
            wait_for("all verdicts", || {
                (read(&topics[3]).iter().filter(|v| ends_before(v)).count() >= expected.len()).then_some(())
            });
        }
        assert_eq!(daemon.stop(), Some(0));
    }
    let found: Vec<Value> = read(&topics[3]).into_iter().filter(ends_before).collect();
    let by_id = |all: Vec<Value>| -> std::collections::BTreeMap<String, Value> {
        all.into_iter().map(|v| (v["verdict_id"].as_str().unwrap().to_owned(), v)).collect()
    };
    let (found, expected) = (by_id(found), by_id(expected));
    for (id, verdict) in &expected {
        assert_eq!(found.get(id), Some(verdict), "{} {}", verdict["version"], verdict["window"]["end"]);
    }
    assert_eq!(found.len(), expected.len());
}

const CROSSED: &str = r#"apiVersion: driftgate/v1
model: m
baseline: {snapshot: "train_v{version}.csv", columns: {score: score, label: label}}
features: {numeric: [x], categorical: []}
score: {threshold: 0.5}
segments: [u, u*v]
labels: {horizon: 1h}
min_samples: 1
checks:
  g:
    window: {size: 1h, slide: 1h}
    rules:
    - tpr_gap: {by: u, lt: 0.6, min_positives: 2}
    - tpr_gap: {id: cross, by: u*v, lt: 0.6, min_positives: 2}
"#;

/// Values of two attributes, and the name of the intersection.
const PARTS: [(&str, &str, &str); 6] = [
    ("a*b", "c", r"a\*b*c"),
    ("a", "b*c", r"a*b\*c"),
    (r"a\", "b*c", r"a\\*b\*c"),
    (r"a\*b", "c", r"a\\\*b*c"),
    ("*", r"\", r"\**\\"),
    ("z", "z", "z*z"),
];

#[test]
fn intersections_are_told_apart_by_their_parts() {
    let folder = Folder::new();
    folder.write("policy.yaml", CROSSED);
    // Of intersection number i, i + 1 of ten positives are found, in the snapshot one more.
    let rows = |more: usize| {
        (0..10).flat_map(move |n| PARTS.iter().enumerate().map(move |(i, (u, v, _))| (u, v, n < i + 1 + more)))
    };
    let snapshot = rows(1).map(|(u, v, found)| format!("1,{},1,{u},{v}\n", f64::from(found)));
    folder.write("train_v1.csv", format!("x,score,label,u,v\n{}", snapshot.collect::<String>()));
    let all: Vec<_> = rows(0).enumerate().map(|(i, (u, v, found))| (format!("p{i}"), u, v, f64::from(found))).collect();
    folder.write(
        "p.jsonl",
        lines(all.iter().map(|(id, u, v, score)| {
            json!({"prediction_id": id, "version": "1", "ts": START, "score": score, "features": {"x": 1}, "segments": {"u": u, "v": v}})
        })),
    );
    let csv = all.iter().map(|(id, u, v, score)| format!("{id},1,{START},{score},1,{u},{v}\n")).collect::<String>();
    folder.write("p.csv", format!("prediction_id,version,ts,score,x,u,v\n{csv}"));
    let texts = |f: &dyn Fn(usize) -> String| (0..all.len()).map(f).collect::<Vec<_>>();
    write_parquet(
        &folder,
        "p.parquet",
        vec![
            Series::new("prediction_id".into(), texts(&|i| all[i].0.clone())),
            Series::new("version".into(), texts(&|_| "1".to_owned())),
            Series::new("ts".into(), vec![START; all.len()]),
            Series::new("score".into(), all.iter().map(|p| p.3).collect::<Vec<_>>()),
            Series::new("x".into(), vec![1.0; all.len()]),
            Series::new("u".into(), texts(&|i| (*all[i].1).to_owned())),
            Series::new("v".into(), texts(&|i| (*all[i].2).to_owned())),
        ],
    );
    folder.write("l.jsonl", lines(all.iter().map(|p| json!({"prediction_id": p.0, "ts": START, "label": 1}))));
    for file in ["p.jsonl", "p.csv", "p.parquet"] {
        folder.driftgate(&format!("{REPLAY} --predictions {file} --labels l.jsonl --verdicts v.jsonl")).exits(0);
        let verdicts = folder.json_lines("v.jsonl");
        assert_eq!(verdicts.len(), 1, "{file}");
        let segments = |result: usize| -> Vec<(String, Value, Value)> {
            let segments = verdicts[0]["results"][result]["segments"].as_array().unwrap().iter();
            segments
                .map(|s| (s["segment"].as_str().unwrap().to_owned(), s["tp"].clone(), s["reference_tpr"].clone()))
                .collect()
        };
        let mut expected: Vec<_> = (0_u32..)
            .zip(PARTS)
            .map(|(i, (_, _, name))| (name.to_owned(), json!(i + 1), json!(f64::from(i + 2) / 10.0)))
            .collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(segments(1), expected, "{file}");
        // A single attribute's values stay as they are.
        let mut single: Vec<&str> = PARTS.iter().map(|p| p.0).collect();
        single.sort_unstable();
        assert_eq!(segments(0).iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), single, "{file}");
    }
}

fn write_parquet(folder: &Folder, name: &str, columns: Vec<Series>) {
    let columns = columns.into_iter().map(polars_core::prelude::IntoColumn::into_column).collect();
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(std::fs::File::create(folder.path(name)).unwrap()).finish(&mut frame).unwrap();
}
