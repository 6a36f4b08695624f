//! How the values of an event may be written: numbers that are none, times, labels and decisions, alike in every format.

use polars_core::prelude::{Column, DataFrame, IntoColumn, IntoSeries as _, NamedFrom as _, Series};
use polars_io::prelude::ParquetWriter;
use serde_json::{Value, json};

use crate::support::Folder;

const POLICY: &str = r"apiVersion: driftgate/v1
model: m
baseline: {snapshot: train.csv}
features: {numeric: [x, y]}
min_samples: 100
lateness: 1h
checks:
  drift:
    window: {size: 1d, slide: 1d}
    rules:
    - psi: {of: features, lt: 0.2, warn: 0.05}
    - ks_p: {of: features, gte: 0.001}
    - missing_rate: {of: features, max_increase: 0.05}
    - invalid_rate: {of: features, lte: 0.01}
";
/// Noon of 2023-11-15, UTC.
const NOON: i64 = 1_700_049_600_000;

/// A folder with the policy and its snapshot: `x` and `y` from 0 to 9, and some of `x` beyond every number.
fn folder() -> Folder {
    let folder = Folder::new();
    let x = |i: i32| match i % 50 {
        7 => "inf".to_owned(),
        17 => "-Infinity".to_owned(),
        27 => "NaN".to_owned(),
        _ => (i % 10).to_string(),
    };
    let rows: String = (0..1000).map(|i| format!("{},{}\n", x(i), i % 10)).collect();
    folder.write("train.csv", format!("x,y\n{rows}"));
    folder.write("policy.yaml", POLICY);
    folder
}

fn write_parquet(folder: &Folder, name: &str, columns: Vec<Series>) {
    let columns: Vec<Column> = columns.into_iter().map(IntoColumn::into_column).collect();
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(std::fs::File::create(folder.path(name)).unwrap()).finish(&mut frame).unwrap();
}

/// Replays a file; its verdicts and the summary.
fn replay(folder: &Folder, predictions: &str, options: &str) -> (Vec<Value>, Value) {
    let command =
        format!("replay --policy policy.yaml --predictions {predictions} --verdicts v.jsonl --json {options}");
    let summary = folder.driftgate(&command).exits(0).json();
    (folder.json_lines("v.jsonl"), summary)
}

fn result<'v>(verdict: &'v Value, rule: &str, subject: &str) -> &'v Value {
    let mut results = verdict["results"].as_array().unwrap().iter();
    results.find(|r| r["rule"] == rule && r["subject"] == subject).unwrap_or_else(|| panic!("no {rule} of {subject}"))
}

#[test]
fn nan_is_missing_and_infinity_extreme_in_every_format() {
    let folder = folder();
    // What Python's json.dumps writes, beside the same value as CSV and as a float.
    let x = |i: i64| match i % 10 {
        7 | 8 => ("NaN", "nan", f64::NAN),
        9 if i % 4 == 1 => ("-Infinity", "-inf", f64::NEG_INFINITY),
        9 => ("Infinity", "Infinity", f64::INFINITY),
        n => (["0", "1", "2", "3", "4", "5", "6"][n as usize], "", n as f64),
    };
    let (mut lines, mut rows, mut floats) = (String::new(), "version,ts,x,y\n".to_owned(), Vec::new());
    for i in 0..400 {
        let ((json, csv, float), ts) = (x(i), NOON + i);
        lines += &format!(
            r#"{{"model": "m", "version": "1", "ts": {ts}, "features": {{"x": {json}, "unread": [{json}], "y": {}}}}}"#,
            i % 10
        );
        lines += "\n";
        rows += &format!("1,{ts},{},{}\n", if csv.is_empty() { json } else { csv }, i % 10);
        floats.push(float);
    }
    folder.write("p.jsonl", lines);
    folder.write("p.csv", rows);
    let columns = vec![
        Series::new("version".into(), vec!["1"; 400]),
        Series::new("ts".into(), (0..400).map(|i| NOON + i).collect::<Vec<_>>()),
        Series::new("x".into(), floats),
        Series::new("y".into(), (0..400).map(|i| i % 10).collect::<Vec<i64>>()),
    ];
    write_parquet(&folder, "p.parquet", columns);
    let (verdicts, summary) = replay(&folder, "p.jsonl", "");
    assert_eq!((&summary["rejected"], &summary["counters"]["predictions"]), (&json!({}), &json!(400)));
    let missing = result(&verdicts[0], "drift/missing_rate", "x");
    assert_eq!((&missing["n"], &missing["missing"]), (&json!(320), &json!(80)), "{missing}");
    assert_eq!(missing["status"], "block");
    assert_eq!(result(&verdicts[0], "drift/psi", "y")["value"], 0.0, "what is left is not biased");
    let extreme = result(&verdicts[0], "drift/psi", "x");
    assert_eq!((&extreme["n"], &extreme["invalid"]), (&json!(320), &json!(0)), "infinities are numbers");
    for file in ["p.csv", "p.parquet"] {
        assert_eq!(replay(&folder, file, "").0, verdicts, "{file}");
    }
}

/// Writes a configuration whose source of predictions has these keys.
fn configure(folder: &Folder, keys: &str) {
    let text = format!(
        "policies: [policy.yaml]\nkafka: {{brokers: \"127.0.0.1:1\", group: g}}\nsources:\n\
         - {{topic: p, kind: predictions, format: json{keys}}}\n\
         registry: {{embedded: {{path: r.db}}}}\nstate: {{path: state/}}\n"
    );
    folder.write("config.yaml", text);
}

/// Writes 200 events as JSON lines and CSV, with times as `ts` writes them, quoted or not, and as Parquet.
fn write_events(folder: &Folder, quoted: bool, ts: impl Fn(i64) -> String, column: Series) {
    let (mut lines, mut rows) = (String::new(), "version,ts,x,y\n".to_owned());
    for i in 0..200 {
        let at = ts(i);
        let quote = if quoted { "\"" } else { "" };
        lines += &format!(
            r#"{{"model":"m","version":"1","ts":{quote}{at}{quote},"features":{{"x":{},"y":{}}}}}"#,
            i % 10,
            i % 10
        );
        lines += "\n";
        rows += &format!("1,{at},{},{}\n", i % 10, i % 10);
    }
    folder.write("p.jsonl", lines);
    folder.write("p.csv", rows);
    let numbers = || (0..200).map(|i| i % 10).collect::<Vec<i64>>();
    let columns = vec![
        Series::new("version".into(), vec!["1"; 200]),
        column,
        Series::new("x".into(), numbers()),
        Series::new("y".into(), numbers()),
    ];
    write_parquet(folder, "p.parquet", columns);
}

fn times<T>(of: impl Fn(i64) -> T) -> Series
where
    Series: polars_core::prelude::NamedFrom<Vec<T>, [T]>,
{
    Series::new("ts".into(), (0..200).map(of).collect::<Vec<T>>())
}

/// Replays the events of each format: all are of noon of 2023-11-15 and later, and come to the same verdicts.
#[track_caller]
fn all_are_of_that_day(folder: &Folder, what: &str) {
    let (verdicts, summary) = replay(folder, "p.jsonl", "--config config.yaml");
    assert_eq!((&summary["rejected"], &summary["counters"]["predictions"]), (&json!({}), &json!(200)), "{what}");
    assert_eq!(verdicts.len(), 1, "{what}");
    assert_eq!(verdicts[0]["window"]["start"], "2023-11-15T00:00:00Z", "{what}");
    for file in ["p.csv", "p.parquet"] {
        assert_eq!(replay(folder, file, "--config config.yaml").0, verdicts, "{what}, {file}");
    }
}

#[test]
fn the_unit_of_a_sources_times_holds_in_every_format() {
    let folder = folder();
    for (unit, per_second) in [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000_i64)] {
        configure(&folder, &format!(", timestamp: {unit}"));
        let ticks = |i: i64| (NOON / 1000 + i) * per_second;
        write_events(&folder, false, |i| ticks(i).to_string(), times(ticks));
        all_are_of_that_day(&folder, unit);
        // As text, as protocol buffers write 64-bit integers in JSON.
        write_events(&folder, true, |i| ticks(i).to_string(), times(|i| ticks(i).to_string()));
        all_are_of_that_day(&folder, &format!("{unit} as text"));
    }
    configure(&folder, ", timestamp: s");
    let seconds = |i: i64| (NOON / 1000 + i) as f64 + 0.123;
    write_events(&folder, false, |i| seconds(i).to_string(), times(seconds));
    all_are_of_that_day(&folder, "seconds with a fraction");
    configure(&folder, "");
    let millis = |i: i64| (NOON + i) as f64 + 0.25;
    write_events(&folder, false, |i| millis(i).to_string(), times(millis));
    all_are_of_that_day(&folder, "milliseconds with a fraction");
    write_events(&folder, true, |i| millis(i).to_string(), times(|i| millis(i).to_string()));
    all_are_of_that_day(&folder, "milliseconds with a fraction, as text");
}

#[test]
fn a_time_without_a_zone_is_read_by_the_sources_zone_or_refused_in_every_format() {
    use polars_core::prelude::{DataType, TimeUnit};

    let folder = folder();
    let text = |i: i64| format!("2023-11-15 {:02}:{:02}:00.5", 1 + i / 60, i % 60);
    // Berlin's clock shows 01:00 at midnight UTC.
    let naive = |hours: i64| {
        let at = move |i: i64| NOON - 43_200_000 + (hours * 60 + i) * 60_000 + 500;
        times(at).cast(&DataType::Datetime(TimeUnit::Milliseconds, None)).unwrap()
    };
    write_events(&folder, true, text, naive(1));
    configure(&folder, "");
    for file in ["p.jsonl", "p.csv", "p.parquet"] {
        let (verdicts, summary) = replay(&folder, file, "--config config.yaml");
        assert_eq!((verdicts.len(), &summary["rejected"]), (0, &json!({"bad_time": 200})), "{file}");
        let run = folder.driftgate(&format!("replay --policy policy.yaml --predictions {file}"));
        run.exits(0).prints("has no time zone: write `timezone: UTC`");
    }
    configure(&folder, ", timezone: Europe/Berlin");
    all_are_of_that_day(&folder, "Europe/Berlin");
    configure(&folder, ", timezone: UTC");
    all_are_of_that_day(&folder, "UTC");
    // Columns with a zone need none.
    configure(&folder, ", timezone: America/New_York");
    let instant = |i: i64| NOON + i * 60_000;
    let zoned = times(instant).i64().unwrap().clone();
    let zoned = zoned.into_datetime(TimeUnit::Milliseconds, Some(polars_core::prelude::TimeZone::UTC));
    let text = |i: i64| format!("2023-11-15T{:02}:{:02}:00Z", 12 + i / 60, i % 60);
    write_events(&folder, true, text, zoned.into_series());
    all_are_of_that_day(&folder, "with a zone");
    configure(&folder, ", timezone: Mars");
    folder.driftgate("replay --policy policy.yaml --config config.yaml --predictions p.csv").exits(2).says(
        "expected a time zone, read \"Mars\": write UTC, a name such as Europe/Berlin or an offset such as +02:00",
    );
}

const LABELLED: &str = r"apiVersion: driftgate/v1
model: m
baseline: {snapshot: train.csv}
features: {numeric: [x]}
score: {threshold: 0.5}
segments: [g]
labels: {horizon: 1d, attribute: prediction_time}
lateness: 1h
checks:
  fair:
    window: {size: 1d, slide: 1d}
    rules:
    - tpr_gap: {by: g, lt: 0.3, min_positives: 5}
    - selection_gap: {by: g, lt: 0.3}
";

/// A folder with 200 predictions of two segments, whose policy has these labels and decisions.
fn labelled(labels: &str, more: &str, decision: impl Fn(i64) -> &'static str) -> Folder {
    let folder = folder();
    let policy = LABELLED.replace("prediction_time}", &format!("prediction_time{labels}}}\n{more}"));
    folder.write("policy.yaml", policy);
    let lines: String = (0..200)
        .map(|i| {
            let (g, decision) = (["a", "b"][(i % 2) as usize], decision(i));
            format!(
                r#"{{"model":"m","version":"1","prediction_id":"p{i}","ts":{},"score":0.{},"features":{{"x":{}}},"segments":{{"g":"{g}"}}{decision}}}"#,
                NOON + i,
                i % 10,
                i % 10
            ) + "\n"
        })
        .collect();
    folder.write("p.jsonl", lines);
    folder
}

/// Writes the labels of every prediction, positive where `i % 3` is 0, as JSON writes them, and as columns.
fn write_labels(folder: &Folder, json: [&str; 2], csv: [&str; 2], column: impl Fn(bool) -> Series) {
    let yes = |i: i64| i % 3 == 0;
    let lines: String = (0..200)
        .map(|i| {
            let label = json[usize::from(yes(i))];
            format!(r#"{{"model":"m","prediction_id":"p{i}","ts":{},"label":{label}}}"#, NOON + i) + "\n"
        })
        .collect();
    folder.write("l.jsonl", lines);
    let rows: String = (0..200).map(|i| format!("p{i},{},{}\n", NOON + i, csv[usize::from(yes(i))])).collect();
    folder.write("l.csv", format!("prediction_id,ts,label\n{rows}"));
    let mut labels = column(yes(0));
    for i in 1..200 {
        labels.append(&column(yes(i))).unwrap();
    }
    let columns = vec![
        Series::new("prediction_id".into(), (0..200).map(|i| format!("p{i}")).collect::<Vec<_>>()),
        Series::new("ts".into(), (0..200).map(|i| NOON + i).collect::<Vec<i64>>()),
        labels,
    ];
    write_parquet(folder, "l.parquet", columns);
}

/// Replays the labels of each format: what came of them, and the summary.
fn judged(folder: &Folder) -> Vec<(String, Value, Value)> {
    ["l.jsonl", "l.csv", "l.parquet"]
        .into_iter()
        .map(|file| {
            let (verdicts, summary) = replay(folder, "p.jsonl", &format!("--labels {file}"));
            (file.to_owned(), verdicts.first().map_or(Value::Null, |v| v["results"].clone()), summary)
        })
        .collect()
}

fn label<T>(of: impl Fn(bool) -> T) -> impl Fn(bool) -> Series
where
    Series: polars_core::prelude::NamedFrom<Vec<T>, [T]>,
{
    move |yes| Series::new("label".into(), vec![of(yes)])
}

#[test]
fn labels_mean_what_the_policy_maps_however_they_are_written() {
    let plain = labelled("", "", |_| "");
    write_labels(&plain, ["0", "1"], ["0", "1"], label(i64::from));
    let expected = judged(&plain);
    assert!(expected.iter().all(|(_, results, _)| *results == expected[0].1));
    assert_eq!(expected[0].1[0]["segments"][0]["tp"], 14, "labels have joined");
    let same = |what: &str, folder: &Folder| {
        for (file, results, summary) in judged(folder) {
            assert_eq!(results, expected[0].1, "{what}, {file}");
            assert_eq!(
                (&summary["counters"]["joined"], &summary["counters"]["invalid_values"]),
                (&json!(200), &json!(0))
            );
            assert_eq!(summary["remarks"], json!([]), "{what}, {file}");
        }
    };
    write_labels(&plain, ["\"0\"", "\"1\""], ["0.0", "1.0"], label(|yes| if yes { "1" } else { "0" }));
    same("texts of digits", &plain);
    write_labels(&plain, ["false", "true"], ["FALSE", "TRUE"], label(|yes| yes));
    same("booleans", &plain);
    write_labels(&plain, ["0.0", "1.0"], ["False", "True"], label(|yes| if yes { 1.0 } else { 0.0 }));
    same("floats", &plain);
    let signs = labelled(", values: {\"-1\": 0}", "", |_| "");
    write_labels(&signs, ["-1", "1"], ["-1", "1"], label(|yes| if yes { 1_i64 } else { -1 }));
    same("1 and -1", &signs);
    write_labels(&signs, ["-1.0", "\"1\""], ["-1.0", "1.0"], label(|yes| if yes { 1.0 } else { -1.0 }));
    same("1.0 and -1.0", &signs);
    write_labels(&signs, ["\"-1\"", "true"], [" -1", "true"], label(|yes| if yes { "true" } else { "-1" }));
    same("true and \"-1\"", &signs);
    let ranks = labelled(", values: {1: 0, 2: 1}", "", |_| "");
    write_labels(&ranks, ["1", "2"], ["1", "2"], label(|yes| if yes { 2_i64 } else { 1 }));
    same("2 and 1, where 1 is the negative one", &ranks);
    ranks.driftgate("check --policy policy.yaml").exits(0).prints("\"1\" means 0 here and 1 everywhere else");
    signs.driftgate("check --policy policy.yaml").exits(0).prints("labels.values: names nothing for class 1");
}

#[test]
fn a_label_of_no_class_is_counted_and_named_and_never_positive() {
    let folder = labelled(", values: {\"-1\": 0}", "", |_| "");
    write_labels(&folder, ["2", "\"maybe\""], ["2", "maybe"], label(|yes| if yes { "maybe" } else { "2" }));
    for (file, results, summary) in judged(&folder) {
        assert_eq!(summary["counters"]["invalid_values"], 200, "{file}");
        let remark = summary["remarks"][0].as_str().unwrap();
        assert!(remark.starts_with(&format!("{file}: 200 labels of no class, such as \"maybe\"")), "{remark}");
        assert!(remark.contains("`labels.values`"), "{remark}");
        for segment in results[0]["segments"].as_array().into_iter().flatten() {
            assert_eq!((&segment["tp"], &segment["fn"]), (&json!(0), &json!(0)), "{file}: {segment}");
        }
    }
    let run = folder.driftgate("replay --policy policy.yaml --predictions p.jsonl --labels l.csv");
    run.exits(0).prints("note: l.csv: 200 labels of no class, such as \"maybe\"");
}

#[test]
fn a_decision_that_is_a_text_goes_by_its_mapping_and_never_falls_back_to_the_score() {
    // Everybody of segment a is approved, and nobody of b, whatever the score.
    let decision = |i: i64| if i % 2 == 0 { r#","decision":"approve""# } else { r#","decision":"deny""# };
    let mapped = labelled("", "decision: {values: {approve: 1, deny: 0}}\n", decision);
    write_labels(&mapped, ["0", "1"], ["0", "1"], label(i64::from));
    let (verdicts, summary) = replay(&mapped, "p.jsonl", "--labels l.jsonl");
    assert_eq!(summary["counters"]["invalid_values"], 0);
    let tpr = |verdict: &Value| -> Vec<Value> {
        let segments = result(verdict, "fair/tpr_gap", "g")["segments"].as_array().unwrap();
        segments.iter().map(|s| s["tpr"].clone()).collect()
    };
    assert_eq!(tpr(&verdicts[0]), [json!(1.0), json!(0.0)]);
    let unmapped = labelled("", "", decision);
    write_labels(&unmapped, ["0", "1"], ["0", "1"], label(i64::from));
    let (verdicts, summary) = replay(&unmapped, "p.jsonl", "--labels l.jsonl");
    assert_eq!(summary["counters"]["invalid_values"], 200);
    let remark = summary["remarks"][0].as_str().unwrap();
    assert!(
        remark.contains("200 decisions of no class, such as \"approve\"") && remark.contains("`decision.values`"),
        "{remark}"
    );
    for verdict in &verdicts {
        let gap = result(verdict, "fair/tpr_gap", "g");
        assert_eq!((&gap["value"], &gap["status"]), (&Value::Null, &json!("insufficient")), "{gap}");
    }
}

#[test]
fn names_that_no_event_has_are_said() {
    let folder = folder();
    let event = |i: i64| {
        format!(r#"{{"model":"m","version":"1","ts":{},"features":{{"X":{},"y":{}}}}}"#, NOON + i, i % 10, i % 10)
            + "\n"
    };
    folder.write("p.jsonl", (0..200).map(event).collect::<String>());
    folder.write(
        "p.csv",
        (0..200).map(|i| format!("1,{},{}\n", NOON + i, i % 10)).fold("version,ts,y\n".to_owned(), |a, b| a + &b),
    );
    configure(&folder, ", fields: {decision: /desicion}");
    for file in ["p.jsonl", "p.csv"] {
        let (_, summary) = replay(&folder, file, "");
        assert_eq!(summary["remarks"], json!([format!("{file}: no event of 200 has `x`")]));
        let (_, summary) = replay(&folder, file, "--config config.yaml");
        assert_eq!(summary["remarks"], json!([format!("{file}: no event of 200 has `x`, `desicion`")]));
    }
    // Features as one column of structs; tests/data/events/make_nested.py wrote it.
    let nested = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/events/nested.parquet");
    folder.write("p.parquet", std::fs::read(nested).unwrap());
    let run = folder.driftgate("replay --policy policy.yaml --predictions p.parquet");
    run.exits(0)
        .prints("note: p.parquet: no event of 200 has `x`, `y`; its column `features` holds columns of its own");
}

#[test]
fn seconds_read_as_milliseconds_are_said_with_the_key_to_write() {
    let folder = folder();
    let ticks = |i: i64| NOON / 1000 + i;
    write_events(&folder, false, |i| ticks(i).to_string(), times(ticks));
    for file in ["p.jsonl", "p.csv", "p.parquet"] {
        let run = folder.driftgate(&format!("replay --policy policy.yaml --predictions {file}"));
        run.exits(0)
            .prints(&format!("note: {file}: the median of its times is before 1980"))
            .prints("write `timestamp: s`");
    }
    configure(&folder, ", timestamp: s");
    let (_, summary) = replay(&folder, "p.csv", "--config config.yaml");
    assert_eq!(summary["remarks"], json!([]));
}

#[test]
fn a_byte_order_mark_and_carriage_returns_cost_json_lines_nothing() {
    let folder = folder();
    write_events(&folder, false, |i| (NOON + i).to_string(), times(|i| NOON + i));
    let plain = folder.read("p.jsonl");
    let (expected, _) = replay(&folder, "p.jsonl", "");
    for text in
        [format!("\u{feff}{plain}"), plain.replace('\n', "\r"), format!("\u{feff}{}", plain.replace('\n', "\r\n"))]
    {
        folder.write("q.jsonl", text);
        let (verdicts, summary) = replay(&folder, "q.jsonl", "");
        assert_eq!((&verdicts, &summary["rejected"]), (&expected, &json!({})));
    }
}
