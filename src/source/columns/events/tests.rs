//! Event files to batches: columns by their names, rejected rows, and Parquet and CSV alike.

use std::collections::BTreeMap;
use std::path::PathBuf;

use polars_core::prelude::*;
use polars_io::prelude::*;

use super::*;
use driftgate_core::decode::Reason;
use driftgate_core::event::{
    Domain, FeatureBatch, FieldMap, Flag, LabelBatch, Limits, MeasurementBatch, PredictionBatch, code, numeric,
};
use driftgate_core::schema::Classes;

const NOW: i64 = 1_400_000_000_000;

fn schema() -> Arc<driftgate_core::schema::Schema> {
    let names = |list: &[&str]| list.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    Arc::new(driftgate_core::schema::Schema {
        is_regression: false,
        classes: Vec::new(),
        model: "m".to_owned(),
        numeric: names(&["temp", "age"]),
        categorical: names(&["carrier"]),
        attributes: names(&["carrier", "region"]),
        segmentations: vec![vec![0], vec![1], vec![0, 1]],
        kpis: names(&["ctr"]),
        metrics: names(&["cost", "refunds"]),
        labels: Classes::new(&BTreeMap::from([("late".to_owned(), true), ("on time".to_owned(), false)])),
        decisions: Classes::default(),
        needs_id: true,
        reads_error: true,
        prediction_time: false,
    })
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn parquet(&self, mut frame: DataFrame) -> PathBuf {
        let path = self.0.path().join("events.parquet");
        ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
        path
    }

    fn csv(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("events.csv");
        std::fs::write(&path, text).unwrap();
        path
    }
}

type Rejected = Vec<(u64, String)>;

type PredictionFile = EventStream<PredictionBatch>;
type LabelFile = EventStream<LabelBatch>;
type FeatureFile = EventStream<FeatureBatch>;
type MeasurementFile = EventStream<MeasurementBatch>;

fn options() -> FileOptions {
    FileOptions { record_ts: NOW, ..FileOptions::default() }
}

fn predictions(path: &Path, options: &FileOptions) -> (PredictionBatch, Rejected, u64) {
    let mut file = PredictionFile::open(path, schema(), options).unwrap();
    let (mut batch, mut rejected) = (PredictionBatch::new(2, 1, 3), Vec::new());
    assert!(file.next(&mut batch, &mut |row, reject| rejected.push((row, reject.to_string()))).unwrap());
    assert!(!file.next(&mut PredictionBatch::new(2, 1, 3), &mut |_, _| panic!("no rows")).unwrap());
    (batch, rejected, file.ignored())
}

/// The texts of a domain's codes.
fn names(batch: &PredictionBatch, domain: Domain, codes: &[u32]) -> Vec<String> {
    let known: Vec<&str> = batch.fresh.iter().filter(|(d, _)| *d == domain).map(|(_, t)| &**t).collect();
    let name = |&c: &u32| match c {
        code::MISSING => "-".to_owned(),
        code::INVALID => "?".to_owned(),
        c => known[c as usize].to_owned(),
    };
    codes.iter().map(name).collect()
}

fn shown(numbers: &[f64]) -> Vec<String> {
    numbers
        .iter()
        .map(|&x| {
            if numeric::is_invalid(x) {
                "?".to_owned()
            } else if x.is_nan() {
                "-".to_owned()
            } else {
                x.to_string()
            }
        })
        .collect()
}

fn check_predictions(batch: &PredictionBatch) {
    assert_eq!([batch.ids.text(0), batch.ids.text(1), batch.ids.text(2)], ["a", "b", "c"]);
    assert_eq!(batch.ts, [1_362_131_640_000, 1_362_131_641_000, 1_362_131_642_000]);
    assert_eq!(names(batch, Domain::Version, &batch.version), ["1", "2", "1"]);
    assert_eq!(names(batch, Domain::Stage, &batch.stage), ["prod", "-", "prod"]);
    assert_eq!(shown(&batch.score), ["0.5", "-", "1"]);
    assert_eq!(batch.decision, [Flag::Yes, Flag::Missing, Flag::No]);
    assert_eq!(batch.error, [Flag::No, Flag::Yes, Flag::Missing]);
    assert_eq!(shown(&batch.latency_ms), ["12.5", "-", "-"]);
    assert_eq!(shown(&batch.features.numeric[0]), ["35.5", "-", "0"]);
    assert_eq!(shown(&batch.features.numeric[1]), ["-", "-", "-"]);
    assert_eq!(names(batch, Domain::Categorical(0), &batch.features.categorical[0]), ["US", "AA", "-"]);
    assert_eq!(names(batch, Domain::Segmentation(0), &batch.segments[0]), ["US", "AA", "-"]);
    assert_eq!(names(batch, Domain::Segmentation(1), &batch.segments[1]), ["7", "-", "8"]);
    assert_eq!(names(batch, Domain::Segmentation(2), &batch.segments[2]), ["US*7", "-", "-"]);
}

#[test]
fn predictions_of_parquet_and_csv_are_the_same() {
    let folder = Folder::new();
    let frame = df!(
        "prediction_id" => ["a", "b", "c"],
        "ts" => [1_362_131_640_000_i64, 1_362_131_641_000, 1_362_131_642_000],
        "version" => [1_i32, 2, 1],
        "stage" => [Some("prod"), None, Some("prod")],
        "score" => [Some(0.5), Some(f64::NAN), Some(1.0)],
        "decision" => [Some(true), None, Some(false)],
        "error" => [Some(0_i8), Some(1), None],
        "latency_ms" => [Some(12.5_f32), None, None],
        "temp" => [Some(35.5), None, Some(0.0)],
        "carrier" => [Some("US"), Some("AA"), None],
        "region" => [Some(7.0), None, Some(8.0)],
    )
    .unwrap();
    let (batch, rejected, ignored) = predictions(&folder.parquet(frame), &options());
    check_predictions(&batch);
    assert_eq!((rejected.len(), ignored), (0, 0));
    let text = "prediction_id,ts,version,stage,score,decision,error,latency_ms,temp,carrier,region\n\
        a,1362131640000,1,prod,0.5,True,0,12.5,35.5,US,7\n\
        b,2013-03-01T09:54:01Z,2,,NaN,,1,,,AA,\n\
        c,1362131642000,1,prod,1.0,0,,,False,,8\n";
    check_predictions(&predictions(&folder.csv(text), &options()).0);
}

#[test]
fn wrong_types_are_invalid_and_the_event_counts() {
    let folder = Folder::new();
    let lists = Series::new("carrier".into(), [Series::new("".into(), [1, 2]), Series::new("".into(), [3])]);
    let mut frame = df!(
        "prediction_id" => [1_i64, 2], "ts" => [5_i64, 6], "version" => [1.0, 1.5],
        "score" => ["high", "low"], "decision" => ["approve", "deny"], "temp" => [Some("35"), None], "age" => [true, false],
    )
    .unwrap();
    frame.with_column(lists.into_column()).unwrap();
    let (batch, rejected, _) = predictions(&folder.parquet(frame), &options());
    assert!(rejected.is_empty());
    assert_eq!([batch.ids.text(0), batch.ids.text(1)], ["1", "2"]);
    assert_eq!(names(&batch, Domain::Version, &batch.version), ["1", "1.5"]);
    assert_eq!(
        (shown(&batch.score), shown(&batch.features.numeric[0]), shown(&batch.features.numeric[1])),
        (vec!["?".to_owned(); 2], vec!["?".to_owned(), "-".to_owned()], vec!["1".to_owned(), "0".to_owned()])
    );
    assert_eq!(batch.decision, [Flag::Invalid, Flag::Invalid]);
    assert_eq!(batch.features.categorical[0], [code::INVALID, code::INVALID]);
    assert_eq!(batch.segments[0], [code::MISSING, code::MISSING]);
    let text = "prediction_id,ts,version,score,temp,carrier\na,5,1.10,x,1e3,007\n";
    let (batch, ..) = predictions(&folder.csv(text), &options());
    assert_eq!(
        (shown(&batch.score), shown(&batch.features.numeric[0])),
        (vec!["?".to_owned()], vec!["1000".to_owned()])
    );
    assert_eq!(names(&batch, Domain::Version, &batch.version), ["1.10"]);
    assert_eq!(names(&batch, Domain::Categorical(0), &batch.features.categorical[0]), ["007"]);
}

#[test]
fn broken_envelopes_are_rejected_by_row_and_other_models_ignored() {
    let folder = Folder::new();
    let text = "prediction_id,model,ts,version,carrier\n\
        a,m,5,1,US\n\
        b,other,5,1,XX\n\
        c,m,,1,XX\n\
        d,m,soon,1,XX\n\
        e,m,1500000000000,1,XX\n\
        f,m,5,,XX\n\
        ,m,5,1,XX\n\
        toolongid,m,5,1,XX\n\
        h,,-5,1,XX\n\
        i,,6,2,toolongcarrier\n";
    let options = FileOptions { limits: Limits { string_bytes: 8, ..Limits::default() }, ..options() };
    let (batch, rejected, ignored) = predictions(&folder.csv(text), &options);
    assert_eq!((batch.len(), batch.ids.text(0), batch.ids.text(1), ignored), (2, "a", "i", 1));
    assert_eq!(
        (&batch.ts, names(&batch, Domain::Version, &batch.version)),
        (&vec![5, 6], vec!["1".to_owned(), "2".to_owned()])
    );
    assert_eq!(names(&batch, Domain::Categorical(0), &batch.features.categorical[0]), ["US", "?"]);
    assert_eq!(names(&batch, Domain::Segmentation(0), &batch.segments[0]), ["US", "-"]);
    let expected = [
        (3, "no_time: the time is null"),
        (4, "bad_time: the time \"soon\" is neither a number of milliseconds nor RFC 3339"),
        (5, "future: time 2017-07-14T02:40:00Z is more than 1m ahead of its record's 2014-05-13T16:53:20Z"),
        (6, "no_version: the version is empty"),
        (7, "no_id: the prediction id is empty"),
        (8, "bad_text: the prediction id is longer than 8 bytes"),
        (9, "bad_time: time -5 ms is before 1970"),
    ];
    assert_eq!(rejected, expected.map(|(row, text)| (row, text.to_owned())));
    assert_eq!(
        versions(&folder.0.path().join("events.csv"), &options, "m").unwrap(),
        BTreeSet::from(["1".to_owned(), "2".to_owned()])
    );
}

#[test]
fn columns_go_by_the_configured_names() {
    let folder = Folder::new();
    let path = folder.csv("id,when,v,cust_age,temp\na,5,1,42,1\n");
    let fields = FieldMap {
        prediction_id: vec!["id".to_owned()],
        ts: vec!["when".to_owned()],
        version: vec!["v".to_owned()],
        rename: BTreeMap::from([("cust_age".to_owned(), "age".to_owned()), ("temp".to_owned(), "other".to_owned())]),
        ..FieldMap::default()
    };
    let (batch, ..) = predictions(&path, &FileOptions { format: Format { fields, ..Format::default() }, ..options() });
    assert_eq!(
        (shown(&batch.features.numeric[0]), shown(&batch.features.numeric[1])),
        (vec!["-".to_owned()], vec!["42".to_owned()])
    );
    let error = PredictionFile::open(&path, schema(), &options()).err().unwrap().to_string();
    assert!(
        error.contains("has no column \"ts\"; its columns are \"id\", \"when\", \"v\", \"cust_age\", \"temp\""),
        "{error}"
    );
}

#[test]
fn labels_and_kpis() {
    let folder = Folder::new();
    let read = |path: &Path| {
        let mut file = LabelFile::open(path, schema(), &options()).unwrap();
        let (mut batch, mut rejected) = (LabelBatch::new(1), Vec::new());
        assert!(file.next(&mut batch, &mut |row, reject| rejected.push((row, reject.reason))).unwrap());
        (batch, rejected)
    };
    let frame = df!("prediction_id" => [Some("a"), Some("b"), Some("c"), None], "ts" => [1_i64, 2, 3, 4], "label" => [Some("late"), Some("maybe"), None, None], "ctr" => [1_i64, 0, 2, 0]).unwrap();
    let (batch, rejected) = read(&folder.parquet(frame));
    assert_eq!((batch.ts, batch.label), (vec![1, 2, 3], vec![Flag::Yes, Flag::Invalid, Flag::Missing]));
    assert_eq!((&batch.kpis[0], rejected), (&vec![Flag::Yes, Flag::No, Flag::Invalid], vec![(4, Reason::NoId)]));
    let (batch, _) = read(&folder.csv("prediction_id,ts,ctr\na,1,true\n"));
    assert_eq!((batch.label, &batch.kpis[0]), (vec![Flag::Missing], &vec![Flag::Yes]));
    let error = LabelFile::open(&folder.csv("prediction_id,ts\n"), schema(), &options()).err().unwrap();
    assert!(error.to_string().contains("no column \"label\""), "{error}");
}

#[test]
fn features_need_no_version_and_no_id() {
    let folder = Folder::new();
    let ticks = Series::new("ts".into(), [5_000_i64, 6_000]).i64().unwrap().clone();
    let instants = ticks.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_series();
    let mut frame = df!("temp" => [1_u8, 2], "carrier" => ["US", "AA"]).unwrap();
    frame.with_column(instants.into_column()).unwrap();
    let mut file = FeatureFile::open(&folder.parquet(frame), schema(), &options()).unwrap();
    let mut batch = FeatureBatch::new(2, 1);
    assert!(file.next(&mut batch, &mut |_, _| panic!("no rejects")).unwrap());
    assert_eq!(
        (&batch.ts, &batch.features.numeric[0], &batch.features.categorical[0]),
        (&vec![5, 6], &vec![1.0, 2.0], &vec![0, 1])
    );
    let error = FeatureFile::open(&folder.csv("ts,x\n"), schema(), &options()).err().unwrap();
    assert!(error.to_string().contains("no column \"temp\", \"age\", \"carrier\""), "{error}");
}

#[test]
fn files_without_rows_are_fine() {
    let folder = Folder::new();
    let mut batch = PredictionBatch::new(2, 1, 3);
    let empty =
        df!("prediction_id" => Vec::<String>::new(), "ts" => Vec::<i64>::new(), "version" => Vec::<String>::new())
            .unwrap();
    for path in [folder.csv(""), folder.parquet(empty)] {
        let mut file = PredictionFile::open(&path, schema(), &options()).unwrap();
        assert!(!file.next(&mut batch, &mut |_, _| panic!("no rejects")).unwrap());
    }
}

fn measurements(path: &Path) -> (MeasurementBatch, Rejected, u64) {
    let mut file = MeasurementFile::open(path, schema(), &options()).unwrap();
    let (mut batch, mut rejected) = (MeasurementBatch::default(), Vec::new());
    assert!(file.next(&mut batch, &mut |row, reject| rejected.push((row, reject.to_string()))).unwrap());
    (batch, rejected, file.ignored())
}

#[test]
fn measurements_are_the_same_from_csv_and_parquet_and_bad_ones_have_their_row() {
    let folder = Folder::new();
    let csv = folder.csv(
        "model,version,ts,metric,value,n\nm,7,1000,refunds,0.42,1200\nx,7,1000,refunds,1,1\n,1.10,2000,cost,-3,\n\
         m,7,3000,,1,1\nm,7,3000,cost,,1\nm,7,3000,cost,many,1\nm,7,3000,cost,1,0\nm,,3000,cost,1,1\nm,7,,cost,1,1\nm,7,4000,other,2,3\n",
    );
    let (batch, rejected, ignored) = measurements(&csv);
    assert_eq!((&batch.ts, ignored), (&vec![1000, 2000, 4000], 1));
    assert_eq!((&batch.version, &batch.metric), (&vec![0, 1, 0], &vec![1, 0, code::MISSING]));
    assert_eq!((&batch.value, &batch.n), (&vec![0.42, -3.0, 2.0], &vec![1200, 1, 3]));
    assert_eq!(batch.fresh, [(Domain::Version, "7".into()), (Domain::Version, "1.10".into())]);
    let reasons: Vec<(u64, &str)> = rejected.iter().map(|(row, r)| (*row, r.split(':').next().unwrap())).collect();
    let expected = ["no_metric", "bad_value", "bad_value", "bad_weight", "no_version", "no_time"];
    assert_eq!(reasons, (4..).zip(expected).collect::<Vec<_>>());
    let parquet = folder.parquet(
        df!("ts" => [1000_i64, 2000, 4000], "version" => ["7", "1.10", "7"], "metric" => ["refunds", "cost", "other"],
            "value" => [0.42, -3.0, 2.0], "n" => [Some(1200_i64), None, Some(3)])
        .unwrap(),
    );
    let (same, rejected, _) = measurements(&parquet);
    assert_eq!((&same.ts, &same.version, &same.metric), (&batch.ts, &batch.version, &batch.metric));
    assert_eq!((&same.value, &same.n, &same.fresh, rejected.len()), (&batch.value, &batch.n, &batch.fresh, 0));
    let bare = folder.csv("version,ts,value\n");
    let error = MeasurementFile::open(&bare, schema(), &options()).err().unwrap();
    assert!(error.to_string().contains("has no column \"metric\""), "{error}");
}
