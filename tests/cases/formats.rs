//! The same values mean the same whatever file they come in: float32 and decimals, R's and pandas' spellings in CSV, types
//! that nobody knows beside them, records that cannot be read, and more categories than are kept.

use std::fmt::Write as _;
use std::path::Path;

use polars_core::prelude::{DataType, NamedFrom as _, Series};
use serde_json::{Value, json};

use crate::support::{Folder, START, lines, write_parquet};

fn policy(features: &str, rules: &str) -> String {
    format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: train.parquet}}\nfeatures: {features}\nmin_samples: 100\n\
         checks:\n  drift:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}"
    )
}

const PSI: &str = "    - psi: {of: features, lt: 0.2}\n";

/// Replays a file and gives the results of its windows by subject.
#[track_caller]
fn results(folder: &Folder, predictions: &str) -> Vec<Value> {
    folder.driftgate(&format!("replay --policy policy.yaml --predictions {predictions} --verdicts v.jsonl")).exits(0);
    folder.json_lines("v.jsonl").iter().flat_map(|v| v["results"].as_array().unwrap().clone()).collect()
}

/// Checks that nothing has moved, with so many values missing.
#[track_caller]
fn unmoved(results: &[Value], missing: &[(&str, u64)]) {
    assert!(!results.is_empty());
    for result in results {
        let expected = if result["rule"] == "drift/ks_p" { 1.0 } else { 0.0 };
        assert_eq!(result["value"].as_f64(), Some(expected), "{result}");
        assert_eq!(result["status"], "pass", "{result}");
        let absent = missing.iter().find(|(subject, _)| result["subject"] == *subject).map_or(0, |(_, n)| *n);
        assert_eq!(result["missing"].as_u64().unwrap_or(0), absent, "{result}");
    }
}

fn event(i: usize, features: &Value) -> Value {
    json!({"model": "m", "version": "1", "ts": START + 1000 * i64::try_from(i).unwrap(), "features": features})
}

#[test]
fn float32_is_the_decimal_that_it_prints() {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        policy("{numeric: [x], categorical: [y]}", &format!("{PSI}    - ks_p: {{of: [x], gte: 0.01}}\n")),
    );
    let values = [0.1_f32, 0.2, 0.3, 0.7, 1.1, 123.456, 1e-6];
    let column = |name: &str| Series::new(name.into(), (0..700).map(|i| values[i % 7]).collect::<Vec<_>>());
    write_parquet(&folder.path("train.parquet"), vec![column("x"), column("y")]);
    // As JSON prints them.
    let texts = ["0.1", "0.2", "0.3", "0.7", "1.1", "123.456", "1e-6"];
    let of = |i: usize| -> f64 { texts[i % 7].parse().unwrap() };
    folder.write("p.jsonl", lines((0..700).map(|i| event(i, &json!({"x": of(i), "y": of(i)})))));
    unmoved(&results(&folder, "p.jsonl"), &[]);
    // Events in float32, training data in text.
    let rows = |of: &dyn Fn(usize) -> String| (0..700).map(of).collect::<String>();
    folder.write(
        "train.csv",
        format!(
            "x,y\n{}",
            rows(&|i| format!("{0},{0}\n", ["0.1", "0.2", "0.3", "0.7", "1.1", "123.456", "1e-06"][i % 7]))
        ),
    );
    folder.write("policy.yaml", folder.read("policy.yaml").replace("train.parquet", "train.csv"));
    let ts = Series::new("ts".into(), (0..700).map(|i| START + 1000 * i).collect::<Vec<_>>());
    let version = Series::new("version".into(), vec!["1"; 700]);
    write_parquet(&folder.path("p.parquet"), vec![ts, version, column("x"), column("y")]);
    unmoved(&results(&folder, "p.parquet"), &[]);
}

/// Three hundred rows as R and pandas write them, and as a typed file has them.
fn spelled(folder: &Folder) {
    let (mut r, mut pandas) = (
        String::from("\"\",\"version\",\"ts\",\"flag\",\"c\",\"app\",\"n\",\"code\"\n"),
        String::from("version,ts,flag,c,app,n,code\n"),
    );
    let (mut flags, mut texts, mut apps, mut numbers, mut codes) = (vec![], vec![], vec![], vec![], vec![]);
    for i in 0..300 {
        let flag = (i % 10 != 0).then_some(i % 3 == 0);
        let text = (i % 10 != 0).then_some(["a", "b"][i % 2]);
        let app = ["1.10", "1.1"][i % 2];
        let number = (i % 7 != 0).then_some(i64::try_from(i % 5).unwrap());
        let code = ["007", "7", "1e5"][i % 3];
        let ts = START + 1000 * i64::try_from(i).unwrap();
        let spell = |yes: &str, no: &str, null: &str| flag.map_or(null, |f| if f { yes } else { no }).to_owned();
        let quoted = text.map_or("NA".to_owned(), |t| format!("\"{t}\""));
        let whole = number.map_or("NA".to_owned(), |n| n.to_string());
        writeln!(r, "\"{i}\",\"1\",{ts},{},{quoted},\"{app}\",{whole},\"{code}\"", spell("TRUE", "FALSE", "NA"))
            .unwrap();
        let float = number.map_or(String::new(), |n| format!("{n}.0"));
        writeln!(pandas, "1,{ts},{},{},{app},{float},{code}", spell("True", "False", ""), text.unwrap_or("None"))
            .unwrap();
        flags.push(flag);
        texts.push(text);
        apps.push(app);
        numbers.push(number);
        codes.push(code);
    }
    folder.write("r.csv", r);
    folder.write("pandas.csv", pandas);
    let columns = vec![
        Series::new("version".into(), vec!["1"; 300]),
        Series::new("ts".into(), (0..300).map(|i| START + 1000 * i).collect::<Vec<_>>()),
        Series::new("flag".into(), flags),
        Series::new("c".into(), texts),
        Series::new("app".into(), apps),
        Series::new("n".into(), numbers),
        Series::new("code".into(), codes),
    ];
    write_parquet(&folder.path("typed.parquet"), columns);
}

#[test]
fn the_rows_of_a_snapshot_have_not_moved_however_a_program_spells_them() {
    let folder = Folder::new();
    spelled(&folder);
    let all = "{categorical: [flag, c, app, n, code]}";
    let missing = [("flag", 30), ("c", 30), ("n", 43)];
    for snapshot in ["typed.parquet", "r.csv", "pandas.csv"] {
        folder.write("policy.yaml", policy(all, PSI).replace("train.parquet", snapshot));
        for events in ["typed.parquet", "r.csv", "pandas.csv"] {
            unmoved(&results(&folder, events), &missing);
        }
    }
    // Another text is another category.
    folder.write("policy.yaml", policy(all, PSI).replace("train.parquet", "typed.parquet"));
    folder.write("other.csv", folder.read("pandas.csv").replace(",1.1,", ",1.10,").replace(",007\n", ",7\n"));
    for result in results(&folder, "other.csv") {
        let moved = result["subject"] == "app" || result["subject"] == "code";
        assert_eq!(result["status"] == "block", moved, "{result}");
    }
}

#[test]
fn which_texts_mean_null_can_be_said() {
    let folder = Folder::new();
    let rows = |na: &str| {
        (0..300).fold("version,ts,c,x\n".to_owned(), |t, i| {
            format!(
                "{t}1,{},{},{}\n",
                START + i,
                ["DE", na][usize::try_from(i % 2).unwrap()],
                if i % 3 == 0 { "-" } else { "1.5" }
            )
        })
    };
    folder.write("train.csv", rows("NA"));
    folder.write("p.csv", rows("NA"));
    let text = policy("{numeric: [x], categorical: [c]}", PSI);
    // By the usual list Namibia is missing, and a dash is no number.
    folder.write("policy.yaml", text.replace("train.parquet", "train.csv"));
    let refused = folder.driftgate("replay --policy policy.yaml --predictions p.csv").exits(2);
    assert!(refused.stderr.contains("column \"x\", row 1: \"-\" is not a number"), "{}", refused.stderr);
    folder.write("policy.yaml", text.replace("train.parquet", "train.csv, null_values: [\"\", \"-\"]"));
    unmoved(&results(&folder, "p.csv"), &[("x", 100)]);
    // A source's list goes before the policy's.
    folder.write("other.csv", rows("NA").replace(",-\n", ",?\n"));
    folder.write("driftgate.yaml", "policies: [policy.yaml]\nkafka: {brokers: \"localhost:9092\", group: g}\nsources:\n- {topic: p, kind: predictions, null_values: [\"\", \"?\"]}\nstate: {path: state}\n");
    folder
        .driftgate("replay --policy policy.yaml --config driftgate.yaml --predictions other.csv --verdicts v.jsonl")
        .exits(0);
    let found: Vec<Value> =
        folder.json_lines("v.jsonl").iter().flat_map(|v| v["results"].as_array().unwrap().clone()).collect();
    unmoved(&found, &[("x", 100)]);
    folder.write("policy.yaml", text.replace("train.parquet", "train.csv, null_values: [null]"));
    folder
        .driftgate("check --policy policy.yaml")
        .exits(2)
        .says("baseline.null_values[0]")
        .says("write each in quotes");
}

#[test]
fn types_that_nobody_knows_keep_nobody_from_the_others() {
    let folder = Folder::new();
    let types = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/types/types.parquet");
    std::fs::copy(types, folder.path("train.parquet")).unwrap();
    let named = |features: &str| policy(features, PSI).replace("min_samples: 100", "min_samples: 5");
    folder.write("policy.yaml", named("{numeric: [single, half, wide, money], categorical: [group, whole]}"));
    folder.driftgate("baseline show --policy policy.yaml --version 1").exits(0).prints("group");
    let found = results(&folder, "train.parquet");
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|r| r["missing"] == 1 && r["n"] == 5), "{found:?}");
    unmoved(&found, &["single", "half", "wide", "money", "group", "whole"].map(|s| (s, 1)));
    for (features, said) in [
        ("{categorical: [shape]}", "column \"shape\" holds values of type GEOMETRY"),
        ("{categorical: [variant]}", "column \"variant\" holds values of type VARIANT"),
        ("{numeric: [later]}", "column \"later\" holds values of type logical type 99"),
        ("{numeric: [tags]}", "column \"tags\" holds values of type LargeList"),
    ] {
        folder.write("policy.yaml", named(features));
        folder.driftgate("baseline show --policy policy.yaml --version 1").exits(2).says(said);
    }
}

#[test]
fn a_column_of_nulls_in_a_snapshot_is_read() {
    let folder = Folder::new();
    let types = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/types/types.parquet");
    std::fs::copy(types, folder.path("train.parquet")).unwrap();
    folder.write("policy.yaml", policy("{numeric: [single]}", PSI).replace("min_samples: 100", "min_samples: 5"));
    unmoved(&results(&folder, "train.parquet"), &[("single", 1)]);
}

#[test]
fn a_record_that_cannot_be_read_costs_itself_and_says_its_line() {
    let folder = Folder::new();
    let rows = |bad: &str| {
        (0..300).fold("version,ts,c,note\n".to_owned(), |t, i| {
            let good = format!("1,{},{},\"note, {i}\"\n", START + i, ["a", "b"][usize::try_from(i % 2).unwrap()]);
            if i == 150 { t + bad } else { t + &good }
        })
    };
    folder.write("train.csv", rows(""));
    folder.write("policy.yaml", policy("{categorical: [c]}", PSI).replace("train.parquet", "train.csv"));
    for (bad, said) in [
        ("1,1700000000150,a,5\" disc\n", "line 152: a quote stands inside a field that does not begin with one"),
        ("1,1700000000150,\"a,text\n", "line 152: text follows the quote that ends a field"),
    ] {
        folder.write("p.csv", rows(bad));
        let run = folder
            .driftgate("replay --policy policy.yaml --predictions p.csv --json --dead-letters dead.jsonl")
            .exits(0);
        let letters = folder.json_lines("dead.jsonl");
        assert_eq!((letters.len(), letters[0]["reason"].as_str()), (1, Some("bad_record")), "{letters:?}");
        assert_eq!(letters[0]["line"], 151);
        assert!(letters[0]["detail"].as_str().unwrap().starts_with(said), "{letters:?}");
        let counted = run.json()["counters"]["predictions"].as_u64().unwrap();
        assert_eq!(counted, 299);
        // Training data must be right.
        folder.write("train.csv", rows(bad));
        folder.driftgate("baseline show --policy policy.yaml --version 1").exits(2).says(said);
        folder.write("train.csv", rows(""));
    }
}

#[test]
fn which_unseen_categories_are_named_does_not_depend_on_the_format() {
    let folder = Folder::new();
    folder.write("policy.yaml", policy("{categorical: [c]}", PSI).replace("train.parquet", "\"train_{version}.csv\""));
    let known = |prefix: &str| (0..3000).fold("c\n".to_owned(), |t, i| format!("{t}{prefix}{i}\n"));
    folder.write("train_1.csv", known("k"));
    folder.write("train_2.csv", known("l"));
    // Unseen ones fill the places; later rows repeat some within and some beyond, and another version comes in between.
    let category = |i: usize| match i {
        0..12_000 if i.is_multiple_of(10) => format!("k{}", i % 3000),
        0..14_000 => format!("u{i}"),
        _ => format!("u{}", [3001, 9_999, 11_001, 11_112, 13_500][i % 5]),
    };
    let version = |i: usize| if i % 100 == 99 && i > 6_000 { "2" } else { "1" };
    let ts = |i: usize| START + i64::try_from(i).unwrap();
    let rows = 20_000;
    // Lines so long that the first block has fewer unseen ones than there are places.
    let note = "x".repeat(200);
    folder.write(
        "p.csv",
        (0..rows).fold("version,ts,c\n".to_owned(), |t, i| format!("{t}{},{},{}\n", version(i), ts(i), category(i))),
    );
    folder.write(
        "p.jsonl",
        lines((0..rows).map(
            |i| json!({"model": "m", "version": version(i), "ts": ts(i), "features": {"c": category(i)}, "note": note}),
        )),
    );
    let columns = vec![
        Series::new("version".into(), (0..rows).map(version).collect::<Vec<_>>()),
        Series::new("ts".into(), (0..rows).map(ts).collect::<Vec<_>>()),
        Series::new("c".into(), (0..rows).map(category).collect::<Vec<_>>()),
    ];
    write_parquet(&folder.path("p.parquet"), columns);
    let verdicts = |file: &str, threads: u32| {
        folder
            .driftgate(&format!(
                "replay --policy policy.yaml --predictions {file} --verdicts v.jsonl --threads {threads}"
            ))
            .exits(0);
        folder.read("v.jsonl")
    };
    let first = verdicts("p.csv", 1);
    for file in ["p.csv", "p.jsonl", "p.parquet"] {
        for threads in [1, 3] {
            assert!(verdicts(file, threads) == first, "{file} on {threads} threads");
        }
    }
    // 10,000 places for unseen ones, and none of them is taken by what the baselines know.
    assert!(first.contains("u9999") && first.contains("u11001") && !first.contains("u13500"), "{first}");
}

const JOINED: &str = "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: train.csv}\nfeatures: {numeric: [x]}\nmin_samples: 10\n\
                      labels: {horizon: 1d, attribute: prediction_time}\nchecks:\n  drift:\n    window: {size: 1d, slide: 1d}\n    rules:\n    \
                      - psi: {of: features, lt: 0.2}\n";

fn rows(of: &dyn Fn(i64) -> String) -> String {
    (0..50).map(of).collect()
}

fn numbered() -> String {
    format!("x\n{}", rows(&|i| format!("{i}\n")))
}

/// Keys of databases are decimals of up to 38 digits.
#[test]
fn ids_longer_than_any_integer_are_told_apart() {
    let folder = Folder::new();
    folder.write("policy.yaml", JOINED);
    folder.write("train.csv", numbered());
    let id = |i: usize| format!("1000000000000000000000000000{i:03}");
    let ids = |name: &str| {
        let texts = Series::new(name.into(), (0..50).map(id).collect::<Vec<_>>());
        texts.cast(&DataType::Decimal(38, 0)).unwrap()
    };
    let ts = || Series::new("ts".into(), (0..50).map(|i| START + 1000 * i).collect::<Vec<i64>>());
    let numbers = |name: &str, of: fn(i64) -> i64| Series::new(name.into(), (0..50).map(of).collect::<Vec<_>>());
    let versions = Series::new("version".into(), vec!["1"; 50]);
    write_parquet(&folder.path("p.parquet"), vec![ids("prediction_id"), versions, ts(), numbers("x", |i| i)]);
    write_parquet(&folder.path("l.parquet"), vec![ids("prediction_id"), ts(), numbers("label", |i| i % 2)]);
    let label = |i: usize| json!({"model": "m", "prediction_id": id(i), "ts": START + 1000 * i64::try_from(i).unwrap(), "label": 1});
    folder.write("l.jsonl", lines((0..50).map(label)));
    for labels in ["l.parquet", "l.jsonl"] {
        folder
            .driftgate(&format!("replay --policy policy.yaml --predictions p.parquet --labels {labels}"))
            .exits(0)
            .prints("m: 50 predictions of versions 1 (50); 50 labels, 50 joined");
    }
}

/// pandas writes the keys of a column with gaps as 1000.0.
#[test]
fn labels_that_meet_no_prediction_are_told_with_the_ids_of_both() {
    let folder = Folder::new();
    folder.write("policy.yaml", JOINED);
    folder.write("train.csv", numbered());
    let predictions = rows(&|i| format!("{},1,{},{i}\n", 1000 + i, START + i));
    folder.write("p.csv", format!("prediction_id,version,ts,x\n{predictions}"));
    let labels = rows(&|i| format!("{}.0,{},1\n", 1000 + i, START + i));
    folder.write("l.csv", format!("prediction_id,ts,label\n{labels}"));
    folder.driftgate("replay --policy policy.yaml --predictions p.csv --labels l.csv").exits(0).prints(
        "note: none of 50 labels met a prediction: their ids differ (the first is \"1000\" in p.csv, \"1000.0\" in l.csv), or",
    );
    // Nulls and labels of no class met nothing for another reason.
    let nulls = rows(&|i| format!("{},{},{}\n", 1000 + i, START + i, if i % 2 == 0 { "" } else { "?" }));
    folder.write("l.csv", format!("prediction_id,ts,label\n{nulls}"));
    let run = folder.driftgate("replay --policy policy.yaml --predictions p.csv --labels l.csv").exits(0);
    assert!(!run.stdout.contains("met a prediction"), "{}", run.stdout);
}

/// A status code where a flag belongs is no success.
#[test]
fn errors_that_are_neither_yes_nor_no_are_told() {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: train.csv}\nfeatures: {numeric: [x]}\nmin_samples: 10\nchecks:\n  slo:\n    window: {size: 1d, slide: 1d}\n    rules:\n    \
         - error_rate: {lt: 0.5, unit: fraction}\n",
    );
    folder.write("train.csv", numbered());
    let code = |i: i64| if i % 5 == 0 { 500 } else { 0 };
    let rows = rows(&|i| format!("1,{},{}\n", START + i, code(i)));
    folder.write("p.csv", format!("version,ts,error\n{rows}"));
    let events =
        (0..50).map(|i| json!({"model": "m", "version": "1", "ts": START + i, "error": code(i), "decision": "x"}));
    folder.write("p.jsonl", lines(events));
    for file in ["p.csv", "p.jsonl"] {
        folder.driftgate(&format!("replay --policy policy.yaml --predictions {file}")).exits(0).prints(&format!(
            "note: {file}: 10 values of `error` that is none of 0, 1, true and false, such as \"500\": invalid, and in no rate"
        ));
    }
}

/// What a CSV file begins with, and what parts its fields.
#[test]
fn a_csv_file_that_is_none_says_why() {
    let folder = Folder::new();
    folder.write("policy.yaml", JOINED.replace("labels: {horizon: 1d, attribute: prediction_time}\n", ""));
    folder.write("train.csv", numbered());
    let rows = rows(&|i| format!("1,{},{i}\n", START + i));
    let replay = |text: String| {
        folder.write("p.csv", text);
        folder.driftgate("replay --policy policy.yaml --predictions p.csv")
    };
    let said = "m: 50 predictions of versions 1 (50)";
    replay(format!("\n\n  \nversion,ts,x\n{rows}")).exits(0).prints(said);
    replay(format!("\u{feff}\nversion,ts,x\n{rows}")).exits(0).prints(said);
    replay(format!("version,ts,x\r{rows}")).exits(2).says("its header ends with a carriage return alone");
    for (by, named) in [(";", "';'"), ("\t", "'\\t'")] {
        let text = format!("version,ts,x\n{rows}").replace(',', by);
        replay(text).exits(2).says(&format!("its fields are parted by {named}: write commas"));
    }
}

/// UUIDs and bytes are texts, and two columns of one name are none.
#[test]
fn keys_of_bytes_are_told_apart() {
    let folder = Folder::new();
    let types = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/types").join(name);
    for file in ["keys.parquet", "twice.parquet"] {
        std::fs::copy(types(file), folder.path(file)).unwrap();
    }
    let text = JOINED.replace("{numeric: [x]}", "{categorical: [code, raw]}");
    folder.write("policy.yaml", text.replace("train.csv", "keys.parquet"));
    let label = |i: usize| {
        let id = format!("123e4567-e89b-12d3-a456-4266141740{i:02x}");
        json!({"model": "m", "prediction_id": id, "ts": 1_700_006_400_000_i64 + 1000 * i64::try_from(i).unwrap(), "label": 1})
    };
    folder.write("l.jsonl", lines((0..40).map(label)));
    folder
        .driftgate("replay --policy policy.yaml --predictions keys.parquet --labels l.jsonl --verdicts v.jsonl")
        .exits(0)
        .prints("m: 40 predictions of versions 1 (40); 40 labels, 40 joined");
    let shown = folder.driftgate("baseline show --policy policy.yaml --version 1 --json").exits(0).stdout;
    for name in ["ab0", "ab1", "fffe00", "fffe03"] {
        assert!(shown.contains(name), "{name}\n{shown}");
    }
    folder.write(
        "policy.yaml",
        text.replace("train.csv", "keys.parquet").replace("labels: {horizon: 1d, attribute: prediction_time}\n", ""),
    );
    folder
        .driftgate("replay --policy policy.yaml --predictions twice.parquet")
        .exits(2)
        .says("cannot read \"twice.parquet\" as Parquet: it has two columns named \"code\"");
}
