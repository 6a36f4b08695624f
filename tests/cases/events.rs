//! How the values of an event may be written: numbers that are none, times, labels and decisions, alike in every format.

use polars::prelude::{Column, DataFrame, IntoColumn as _, IntoSeries as _, NamedFrom as _, ParquetWriter, Series};
use serde_json::{Value, json};

use crate::support::Folder;

const POLICY: &str = r#"apiVersion: driftgate/v1
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
"#;
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
    let columns: Vec<Column> = columns.into_iter().map(|s| s.into_column()).collect();
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
    Series: polars::prelude::NamedFrom<Vec<T>, [T]>,
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
    use polars::prelude::{DataType, TimeUnit};

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
    let zoned = zoned.into_datetime(TimeUnit::Milliseconds, Some(polars::prelude::TimeZone::UTC));
    let text = |i: i64| format!("2023-11-15T{:02}:{:02}:00Z", 12 + i / 60, i % 60);
    write_events(&folder, true, text, zoned.into_series());
    all_are_of_that_day(&folder, "with a zone");
    configure(&folder, ", timezone: Mars");
    folder.driftgate("replay --policy policy.yaml --config config.yaml --predictions p.csv").exits(2).says(
        "expected a time zone, read \"Mars\": write UTC, a name such as Europe/Berlin or an offset such as +02:00",
    );
}
