//! Snapshots by what is read from them and by what is said about them.

use std::path::Path;
use std::sync::Arc;

use polars_core::prelude::*;
use polars_io::prelude::*;

use super::*;
use crate::source::columns::ColumnFile;
use crate::stores::Stores;
use driftgate_core::codec::hash;

const FEATURES: &str = "features: {numeric: [temp, flag], categorical: [carrier]}";

fn policy(features: &str, rule: &str, directory: &Path) -> Policy {
    let text = format!(
        "apiVersion: driftgate/v1
model: m
baseline: {{snapshot: \"train_v{{version}}.parquet\", columns: {{score: score, label: label}}}}
{features}
score: {{threshold: 0.5}}
segments: [carrier, region, carrier*region]
labels: {{horizon: 1d, values: {{late: 1, on time: 0}}}}
checks:
  g:
    window: {{size: 2h, slide: 1h}}
    rules: [{rule}]
"
    );
    driftgate_core::policy::parse(&text, &directory.join("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
}

fn plain() -> Policy {
    policy(FEATURES, "psi: {of: features, lt: 0.2}", Path::new("."))
}

fn parquet(frame: &mut DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(frame).unwrap();
    bytes
}

fn frame() -> DataFrame {
    df!(
        "temp" => [Some(1.5), Some(f64::NAN), None],
        "flag" => [true, false, true],
        "carrier" => [Some("US"), Some("AA"), Some("US")],
        "region" => [Some(7.0), None, Some(8.0)],
        "score" => [0.25_f32, 0.5, 1.0],
        "label" => [Some("late"), Some("on time"), None],
    )
    .unwrap()
}

fn with(mut frame: DataFrame, name: &str, values: Series) -> DataFrame {
    frame.with_column(values.with_name(name.into()).into_column()).unwrap();
    frame
}

fn read(policy: &Policy, bytes: Vec<u8>, location: &str) -> Result<SnapshotColumns, SnapshotErrors> {
    let (wanted, needed) = columns_of(policy);
    let columns =
        ColumnFile::from_bytes(location, bytes, &wanted, &NullTexts::listed(policy.baseline.null_values.as_deref()))?;
    read_on(policy, vec![columns], needed, location, 1, false).map(|(columns, _)| columns)
}

fn messages(policy: &Policy, bytes: Vec<u8>, location: &str) -> Vec<String> {
    read(policy, bytes, location).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

fn check(columns: &SnapshotColumns) {
    assert_eq!(columns.rows, 3);
    assert_eq!(columns.numeric[0][0].to_bits(), 1.5_f64.to_bits());
    assert!(columns.numeric[0][1].is_nan() && columns.numeric[0][2].is_nan());
    assert_eq!(columns.numeric[1], [1.0, 0.0, 1.0]);
    let coded = |names: &[&str], codes: &[Option<u32>]| {
        Arc::new(Coded { names: names.iter().map(|&n| n.to_owned()).collect(), codes: codes.to_vec() })
    };
    let carrier = coded(&["US", "AA"], &[Some(0), Some(1), Some(0)]);
    assert_eq!(columns.categorical, std::slice::from_ref(&carrier));
    assert_eq!(columns.score.as_deref(), Some(&[0.25, 0.5, 1.0][..]));
    assert_eq!(columns.label.as_deref(), Some(&[Flag::Yes, Flag::No, Flag::Missing][..]));
    assert_eq!(
        columns.segments,
        [
            Some(carrier),
            Some(coded(&["7", "8"], &[Some(0), None, Some(1)])),
            Some(coded(&["US*7", "US*8"], &[Some(0), None, Some(1)]))
        ]
    );
}

#[test]
fn parquet_and_csv_are_read_alike() {
    check(&read(&plain(), parquet(&mut frame()), "train").unwrap());
    let text = "temp,flag,carrier,region,score,label,more\n 1.5,True,US,7,0.25,late,x\nNaN,False,AA,,0.5,0.0,x\nNA,True,US,8,1,,x\n";
    check(&read(&plain(), text.into(), "train.csv").unwrap());
    let decimal = Series::new("".into(), [1.5, 2.0, 3.0]).cast(&DataType::Decimal(10, 2)).unwrap();
    assert_eq!(
        read(&plain(), parquet(&mut with(frame(), "temp", decimal)), "train").unwrap().numeric[0],
        [1.5, 2.0, 3.0]
    );
}

#[test]
fn wrong_columns_are_named_together() {
    let policy = plain();
    let mut wrong = frame().drop("region").unwrap().drop("score").unwrap().drop("flag").unwrap();
    assert_eq!(
        messages(&policy, parquet(&mut wrong), "train"),
        [
            "snapshot \"train\" has no column \"flag\", which the policy names under features.numeric; its columns are \"temp\", \"carrier\", \"label\"",
            "snapshot \"train\" has no column \"score\", which the policy names under baseline.columns.score; its columns are \"temp\", \"carrier\", \"label\"",
        ]
    );
    let texts = Series::new("".into(), ["hot", "cold", "hot"]);
    let lists = Series::new("".into(), vec![Series::new("".into(), [1]); 3]);
    let numbers = Series::new("".into(), [0_i64, 2, 1]);
    let mut wrong = with(with(with(frame(), "temp", texts), "carrier", lists), "label", numbers);
    assert_eq!(
        messages(&policy, parquet(&mut wrong), "train"),
        [
            "snapshot \"train\": column \"temp\" holds text (String), the policy lists it under features.numeric; write numbers, or list it under features.categorical",
            "snapshot \"train\": column \"carrier\" holds values of type LargeList, the policy lists it under features.categorical; write texts, numbers or booleans",
            "snapshot \"train\": column \"label\", row 2: \"2\" is not a label; write 0 or 1, or map it under labels.values",
        ]
    );
    assert_eq!(
        messages(&policy, "temp,flag,carrier,score,label\n1,0,US,0.5,1\nhot,0,US,high,yes\n".into(), "train.csv"),
        [
            "snapshot \"train.csv\": column \"temp\", row 2: \"hot\" is not a number, the policy lists it under features.numeric; write numbers, or list it under features.categorical",
            "snapshot \"train.csv\": column \"score\", row 2: \"high\" is not a number, the policy lists it under baseline.columns.score; write numbers",
            "snapshot \"train.csv\": column \"label\", row 2: \"yes\" is not a label; write 0 or 1, or map it under labels.values",
        ]
    );
}

#[test]
fn segment_columns_may_be_absent_unless_a_rule_needs_them() {
    let mut absent = frame().drop("region").unwrap();
    let columns = read(&plain(), parquet(&mut absent), "train").unwrap();
    assert_eq!(columns.segments.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    let strict = policy(FEATURES, "tpr_drop: {by: region, max: 0.1}", Path::new("."));
    let said = messages(&strict, parquet(&mut absent), "train");
    assert!(
        said[0].contains("no column \"region\", which the policy names under segments (and a tpr_drop rule reads it)"),
        "{said:?}"
    );
}

#[test]
fn foreign_and_damaged_bytes_are_errors() {
    assert!(messages(&plain(), b"hello".to_vec(), "train")[0].contains("neither Parquet"));
    let bytes = parquet(&mut frame());
    for cut in 0..bytes.len() {
        let said = messages(&plain(), bytes[..cut].to_vec(), "s3://b/train.parquet");
        assert!(said[0].starts_with("snapshot: cannot read \"s3://b/train.parquet\" as Parquet: "), "{said:?}");
    }
}

#[test]
fn locations_follow_the_policy_and_stay_in_place() {
    let policy = plain();
    assert_eq!(location_for(&policy, "1.2-rc").unwrap().as_deref(), Some("train_v1.2-rc.parquet"));
    for bad in ["../1", "a/b", "a\\b", "..", "", "a\nb", "a?b"] {
        let said = location_for(&policy, bad).unwrap_err().to_string();
        assert!(said.starts_with(&format!("cannot name a snapshot by version {bad:?}: ")), "{said}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    std::fs::write(&path, "temp\n1\n").unwrap();
    let fetched = fetch::fetch(folder.path(), "train.csv", &Stores::default(), fetch::Reach::Anything).unwrap();
    assert_eq!((fetched.sha256(), fetched.check()), (Ok(hash::sha256_hex(b"temp\n1\n")), Ok(())));
    std::fs::write(&path, "temp\n1\n2\n").unwrap();
    let said = fetched.check().unwrap_err();
    assert!(said.contains("train.csv\" changed while it was read"), "{said}");
}

#[test]
fn a_snapshot_and_its_baseline_load_alike() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy(FEATURES, "psi: {of: features, lt: 0.2}", folder.path());
    let bytes = parquet(&mut frame());
    std::fs::write(folder.path().join("train_v1.parquet"), &bytes).unwrap();
    let baseline = load(&policy, "1", "train_v1.parquet").unwrap();
    assert_eq!((baseline.rows, &baseline.snapshot_sha256), (3, &hash::sha256_hex(&bytes)));
    std::fs::write(folder.path().join("v1.baseline"), baseline.encode().unwrap()).unwrap();
    assert_eq!(load(&policy, "1", "v1.baseline").unwrap(), baseline);
    let url = format!("file://{}", folder.path().join("train_v1.parquet").display());
    assert_eq!(load(&policy, "1", &url).unwrap().snapshot, url);
    // A pipe is read once, from its start to its end.
    let pipe = folder.path().join("pipe.parquet");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let piped = std::thread::scope(|threads| {
        threads.spawn(|| std::fs::write(&pipe, &bytes).unwrap());
        load(&policy, "1", "pipe.parquet").unwrap()
    });
    assert_eq!(Baseline { snapshot: baseline.snapshot.clone(), ..piped }, baseline);
    let said = load(&policy, "1", "absent.parquet").unwrap_err().to_string();
    assert!(
        said.starts_with("cannot fetch the snapshot \"absent.parquet\": cannot read the file ")
            && said.contains("No such file"),
        "{said}"
    );
    let said = load(&policy, "1", "ftp://host/x").unwrap_err().to_string();
    assert!(said.contains("use a path, s3://, gs:// or az://"), "{said}");
    let nulls = Series::new_null("".into(), 3);
    std::fs::write(folder.path().join("empty.parquet"), parquet(&mut with(self::frame(), "temp", nulls))).unwrap();
    let loaded = load(&policy, "1", "empty.parquet").unwrap();
    let at = policy.features.numeric.iter().position(|name| name == "temp").unwrap();
    let (empty, rest) = (&loaded.numeric[at], loaded.numeric.iter().enumerate().filter(|(i, _)| *i != at));
    assert_eq!((empty.count, empty.missing), (0, loaded.rows));
    assert!(rest.into_iter().all(|(_, r)| r.count > 0));
}

#[test]
fn what_others_name_is_judged_by_what_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (own, elsewhere) = (folder.path().join("own"), folder.path().join("elsewhere"));
    std::fs::create_dir_all(elsewhere.join("below")).unwrap();
    std::fs::create_dir(&own).unwrap();
    std::fs::write(elsewhere.join("secret.csv"), "temp\n1\n").unwrap();
    std::fs::write(own.join("train.csv"), "temp\n1\n").unwrap();
    std::os::unix::fs::symlink(elsewhere.join("below"), own.join("link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(own.join("fifo")).status().unwrap().success());
    let places = places::Places::default().with(&own, None);
    let said = |location: &str, reach| fetch::fetch(&own, location, &Stores::default(), reach).err();
    let within = Reach::Within(&places);
    assert_eq!(said("train.csv", within), None);
    // As texts these lie in the folder.
    for outside in ["link/../secret.csv", "link/../absent.csv"] {
        assert!(places.check(&own, outside).is_ok());
        assert!(said(outside, within).is_some_and(|why| why.contains("lies outside")), "{outside}");
    }
    assert!(said("absent.csv", within).is_some_and(|why| why.contains("No such file")));
    for reach in [within, Reach::Files] {
        assert!(said("fifo", reach).is_some_and(|why| why.contains("is no regular file")));
    }
    assert_eq!(said("link/../secret.csv", Reach::Files), None);
}

#[test]
fn a_folder_of_parts_is_the_snapshot_that_they_make_up() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy(FEATURES, "psi: {of: features, lt: 0.2}", folder.path());
    let all = frame();
    std::fs::write(folder.path().join("whole.parquet"), parquet(&mut frame())).unwrap();
    let whole = load(&policy, "1", "whole.parquet").unwrap();
    // As Spark writes a table that is partitioned by region.
    let mut list = String::new();
    for (region, rows) in [("7", 0), ("8", 2), ("__HIVE_DEFAULT_PARTITION__", 1)] {
        let name = format!("region={region}/part-00000.snappy.parquet");
        let path = folder.path().join("train").join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = parquet(&mut all.slice(rows, 1).drop("region").unwrap());
        std::fs::write(path, &bytes).unwrap();
        list += &[hash::sha256_hex(&bytes), "  ".into(), name, "\n".into()].concat();
    }
    for mark in ["_SUCCESS", "region=7/.part-00000.snappy.parquet.crc"] {
        std::fs::write(folder.path().join("train").join(mark), "x").unwrap();
    }
    let sorted = {
        let mut lines: Vec<&str> = list.split_inclusive('\n').collect();
        lines.sort_unstable_by_key(|line| line.split_once("  ").unwrap().1);
        lines.concat()
    };
    let parts = load(&policy, "1", "train").unwrap();
    assert_eq!(parts.snapshot_sha256, hash::sha256_hex(sorted.as_bytes()));
    assert_eq!((parts.rows, &parts.numeric), (whole.rows, &whole.numeric));
    let said = |name: &str| load(&policy, "1", name).unwrap_err().to_string();
    std::fs::create_dir_all(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("empty/_SUCCESS"), "").unwrap();
    assert!(said("empty").contains("it holds no Parquet or CSV file"), "{}", said("empty"));
    let other = folder.path().join("train/region=9/part-00000.parquet");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&other, parquet(&mut frame().drop("region").unwrap().drop("flag").unwrap())).unwrap();
    let told = said("train");
    assert!(told.contains("region=9/part-00000.parquet\": it has no column \"flag\""), "{told}");
    // A value that does not fit has the name of its file.
    let texts = Series::new("".into(), ["hot", "cold", "hot"]);
    std::fs::write(&other, parquet(&mut with(frame().drop("region").unwrap(), "temp", texts))).unwrap();
    assert!(said("train").contains("region=9/part-00000.parquet\": column \"temp\" holds text"), "{}", said("train"));
}

#[test]
fn a_link_in_a_folder_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir_all(own.join("train")).unwrap();
    std::fs::write(folder.path().join("secret.csv"), "temp\n1\n").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret.csv"), own.join("train/part.csv")).unwrap();
    let places = places::Places::default().with(&own, None);
    let said = |reach| fetch::fetch(&own, "train", &Stores::default(), reach).err();
    assert!(said(Reach::Within(&places)).is_some_and(|why| why.contains("lies outside")));
    assert_eq!(said(Reach::Files), None);
}
