//! Tests of the JSON decoder: each rule of the event format, and each rejection with its message.

#![allow(clippy::float_cmp, reason = "values are passed on, not computed")]

use std::sync::Arc;

use crate::decode::decoder::{Decoded, EventDecoder, Format};
use crate::decode::time::TimeFormat;
use crate::decode::{Reason, Reject};
use crate::event::{EventKind, FieldMap, Limits};
use crate::event::{Flag, LabelBatch, MeasurementBatch, PredictionBatch, TimeUnit, code, numeric};
use crate::pipeline::batch::decode;
use crate::schema::Classes;
use crate::schema::Schema;

const NOW: i64 = 1_800_000_000_000;

fn schema(model: &str) -> Arc<Schema> {
    Arc::new(Schema {
        model: model.to_owned(),
        numeric: vec!["temp".into(), "age".into()],
        categorical: vec!["carrier".into()],
        attributes: vec!["origin".into(), "carrier".into()],
        segmentations: vec![vec![0], vec![1], vec![0, 1]],
        kpis: vec!["ctr".into()],
        metrics: vec!["cost".into(), "refunds".into()],
        labels: Classes::new(&[("late".to_owned(), true), ("in time".to_owned(), false)].into()),
        decisions: Classes::new(&[("approve".to_owned(), true), ("deny".to_owned(), false)].into()),
        needs_id: true,
        reads_error: true,
        ..Schema::default()
    })
}

struct Fixture {
    decoder: EventDecoder,
    out: Vec<PredictionBatch>,
}

impl Fixture {
    fn new(format: &Format) -> Self {
        let schemas = [schema("flights"), schema("trains")];
        Self {
            decoder: EventDecoder::new(
                &schemas,
                format,
                EventKind::Predictions,
                Limits { message_bytes: 4096, string_bytes: 16, ..Limits::default() },
            ),
            out: vec![PredictionBatch::new(2, 1, 3); 2],
        }
    }

    fn read(&mut self, text: &str) -> Result<Decoded, Reject> {
        decode::<PredictionBatch>(&mut self.decoder, text.as_bytes(), NOW, &mut self.out)
    }
}

fn names(batch: &PredictionBatch, domain: Domain) -> Vec<&str> {
    batch.fresh.iter().filter(|(d, _)| *d == domain).map(|(_, n)| n.as_ref()).collect()
}
use crate::event::Domain;

#[test]
fn a_prediction_lands_in_its_slots_whatever_the_key_order() {
    let mut f = Fixture::new(&Format::default());
    let a = r#"{"prediction_id":"p1","model":"flights","version":"1","ts":1362131640000,"score":0.25,"features":{"temp":35.06,"carrier":"US","origin":"JFK","x":[{"y":null}]},"stage":"prod","latency_ms":12.5,"error":false,"decision":1}"#;
    let b = r#"{"features":{"origin":"EWR","carrier":7.0,"age":true},"segments":{"origin":"LGA"},"ts":"2013-03-01T10:00:00+01:00","version":1,"prediction_id":"p2","extra":{"a":[1,2]},"model":"flights"}"#;
    assert_eq!(f.read(a), Ok(Decoded::Row(0)));
    assert_eq!(f.read(b), Ok(Decoded::Row(0)));
    let batch = &f.out[0];
    assert_eq!(batch.ts, [1_362_131_640_000, 1_362_128_400_000]);
    assert_eq!((batch.ids.text(0), batch.ids.text(1)), ("p1", "p2"));
    assert_eq!(batch.version, [0, 0]);
    assert_eq!(batch.score[0], 0.25);
    assert!(batch.score[1].is_nan() && !numeric::is_invalid(batch.score[1]));
    assert_eq!((batch.decision[0], batch.error[0], batch.latency_ms[0]), (Flag::Yes, Flag::No, 12.5));
    assert_eq!((batch.decision[1], batch.error[1]), (Flag::Missing, Flag::Missing));
    assert_eq!(batch.features.numeric[0][0], 35.06);
    assert_eq!(batch.features.numeric[1][1], 1.0);
    assert_eq!(names(batch, Domain::Categorical(0)), ["US", "7"]);
    assert_eq!(names(batch, Domain::Segmentation(0)), ["JFK", "LGA"]);
    assert_eq!(names(batch, Domain::Segmentation(2)), ["JFK*US", "LGA*7"]);
    assert_eq!(names(batch, Domain::Stage), ["prod"]);
}

#[test]
fn wrong_types_are_invalid_and_nulls_missing_but_the_event_counts() {
    let mut f = Fixture::new(&Format::default());
    let text = r#"{"prediction_id":"p","model":"flights","version":"1","ts":1,"score":"0.5","features":{"temp":"35","age":null,"carrier":["US"],"origin":null}}"#;
    assert_eq!(f.read(text), Ok(Decoded::Row(0)));
    let long = format!(
        r#"{{"prediction_id":"q","model":"flights","version":"1","ts":1,"features":{{"carrier":"{}","temp":1,"temp":2}}}}"#,
        "x".repeat(17)
    );
    assert_eq!(f.read(&long), Ok(Decoded::Row(0)));
    let batch = &f.out[0];
    assert!(numeric::is_invalid(batch.score[0]) && numeric::is_invalid(batch.features.numeric[0][0]));
    assert!(batch.features.numeric[1][0].is_nan() && !numeric::is_invalid(batch.features.numeric[1][0]));
    assert_eq!(batch.features.categorical[0], [code::INVALID, code::INVALID]);
    assert_eq!(batch.segments[0], [code::MISSING, code::MISSING]);
    assert!(numeric::is_invalid(batch.features.numeric[0][1]), "a feature that stands twice is ambiguous");
}

#[test]
fn nan_is_missing_and_infinity_is_extreme_wherever_they_stand() {
    let mut f = Fixture::new(&Format::default());
    let event = |x: &str| {
        format!(
            r#"{{"prediction_id":"p","model":"flights","version":"1","ts":1,"score":{x},"latency_ms":{x},"error":{x},"decision":{x},"stage":{x},"features":{{"temp":{x},"carrier":{x},"age":2,"other":{x}}},"segments":{{"origin":{x}}},"unread":{{"a":[{x}]}}}}"#
        )
    };
    // Twice each: known keys in their usual order are read by a shorter way.
    for x in ["NaN", "1", "NaN", "Infinity", "-Infinity", "Infinity"] {
        for text in [event(x), event(x).replace(':', " : ")] {
            assert_eq!(f.read(&text), Ok(Decoded::Row(0)), "{text}");
            let batch = &f.out[0];
            let row = batch.len() - 1;
            let (temp, score) = (batch.features.numeric[0][row], batch.score[row]);
            let of = |column: &[u32]| column[row];
            assert_eq!(batch.features.numeric[1][row], 2.0);
            if x == "NaN" {
                for cell in [temp, score, batch.latency_ms[row]] {
                    assert!(cell.is_nan() && !numeric::is_invalid(cell), "{text}");
                }
                assert_eq!((batch.error[row], batch.decision[row]), (Flag::Missing, Flag::Missing));
                let codes = [of(&batch.stage), of(&batch.features.categorical[0]), of(&batch.segments[0])];
                assert_eq!(codes, [code::MISSING; 3], "{text}");
            } else {
                let number = if x == "1" { 1.0 } else { x.parse::<f64>().unwrap() };
                assert_eq!([temp, score, batch.latency_ms[row]], [number; 3], "{text}");
            }
        }
    }
    assert_eq!(names(&f.out[0], Domain::Categorical(0)), ["1", "inf", "-inf"], "as a Parquet file's floats");
    assert!(f.read(r#"{"prediction_id":"p","model":"flights","version":NaN,"ts":1}"#).is_err());
}

#[test]
fn a_label_that_is_nan_is_null_and_a_measured_value_must_be_finite() {
    let schemas = [schema("flights")];
    let mut labels = EventDecoder::new(&schemas, &Format::default(), EventKind::Labels, Limits::default());
    let mut out = [LabelBatch::new(1)];
    for label in ["NaN", "Infinity"] {
        let text =
            format!(r#"{{"prediction_id":"a","model":"flights","ts":5,"label":{label},"kpi":{{"ctr":{label}}}}}"#);
        assert_eq!(decode::<LabelBatch>(&mut labels, text.as_bytes(), NOW, &mut out), Ok(Decoded::Row(0)));
    }
    assert_eq!(out[0].label, [Flag::Missing, Flag::Invalid]);
    assert_eq!(out[0].kpis[0], [Flag::Missing, Flag::Invalid]);
    let mut measured = EventDecoder::new(&schemas, &Format::default(), EventKind::Measurements, Limits::default());
    let mut out = [MeasurementBatch::default()];
    for (value, n, reason) in
        [("NaN", "1", Reason::BadValue), ("-Infinity", "1", Reason::BadValue), ("1", "Infinity", Reason::BadWeight)]
    {
        let text = format!(r#"{{"model":"flights","version":"1","ts":5,"metric":"cost","value":{value},"n":{n}}}"#);
        assert_eq!(
            decode::<MeasurementBatch>(&mut measured, text.as_bytes(), NOW, &mut out).unwrap_err().reason,
            reason,
            "{text}"
        );
    }
}

#[test]
fn a_broken_envelope_is_rejected_with_what_was_read() {
    let mut f = Fixture::new(&Format::default());
    let deep = format!("{{\"x\":{}", "[".repeat(1000));
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(5000));
    let long_id = format!(r#"{{"prediction_id":"{}","model":"flights","version":"1","ts":1}}"#, "x".repeat(17));
    for (text, says) in [
        ("", "not_json: expected an object at byte 0, found the end: the text is cut short"),
        ("[1]", "not_json: expected an object at byte 0, found '['"),
        (
            r#"{"model":"flights","ts":1"#,
            "not_json: expected ',' or '}' at byte 25, found the end: the text is cut short",
        ),
        (r#"{"model":"flights","ts":1,"score":nan}"#, "not_json: expected a value at byte 34, found \"nan\""),
        (r#"{"model":"flights","version":"1","prediction_id":"a","ts":NaN}"#, "no_time: the event has no time"),
        (&deep, "too_deep: nested deeper than the bound at byte 68"),
        (&large, "too_large: 5008 bytes, the bound is 4096"),
        (r#"{"ts":1,"version":"1"}"#, "no_model: the event names no model"),
        (r#"{"model":"flights","version":"1","prediction_id":"a"}"#, "no_time: the event has no time"),
        (
            r#"{"model":"flights","version":"1","prediction_id":"a","ts":"yesterday"}"#,
            "bad_time: the time \"yesterday\" is neither a number of milliseconds nor RFC 3339",
        ),
        (
            r#"{"model":"flights","version":"1","prediction_id":"a","ts":Infinity}"#,
            "bad_time: the time \"Infinity\" is neither a number of milliseconds nor RFC 3339",
        ),
        (
            r#"{"model":"flights","version":"1","prediction_id":"a","ts":"2023-11-15 00:00:00"}"#,
            "bad_time: the time \"2023-11-15 00:00:00\" has no time zone: write `timezone: UTC`, or the zone of its clock, under \
             the source in the configuration (--config)",
        ),
        (r#"{"model":"flights","version":"1","prediction_id":"a","ts":-1}"#, "bad_time: time -1 ms is before 1970"),
        (
            r#"{"model":"flights","version":"1","prediction_id":"a","ts":1800000060001}"#,
            "future: time 2027-01-15T08:01:00.001Z is more than 1m ahead of its record's 2027-01-15T08:00:00Z",
        ),
        (
            r#"{"model":"flights","version":"1","ts":1}"#,
            "no_id: the event has no prediction id, and the policy joins labels by it",
        ),
        (r#"{"model":"flights","prediction_id":"a","ts":1}"#, "no_version: the event has no version"),
        (r#"{"model":"flights","model":"flights","ts":1}"#, "duplicate_key: the key \"model\" stands twice"),
        (&long_id, "bad_text: the prediction id is longer than 16 bytes"),
        (r#"{"model":["flights"],"ts":1}"#, "bad_text: the model is an array or object"),
    ] {
        assert_eq!(f.read(text).unwrap_err().to_string(), says, "{text}");
    }
    assert!(f.out.iter().all(PredictionBatch::is_empty));
    for text in [&b"{\"a\":\"\xff\"}"[..], b"{\"a\xffa\":1}", b"{\"a\":1\xff}", b"\xff\xff\xff\xff\xff\xff\xff\xff1}"] {
        let reject = decode::<PredictionBatch>(&mut f.decoder, text, NOW, &mut f.out).unwrap_err();
        assert!(reject.to_string().starts_with("not_json: not UTF-8 at byte "), "{reject}");
    }
}

#[test]
fn models_are_told_apart_wherever_the_key_stands() {
    let mut f = Fixture::new(&Format::default());
    for (text, outcome) in [
        (r#"{"prediction_id":"a","model":"trains","version":"1","ts":1,"features":{"temp":1}}"#, Decoded::Row(1)),
        (r#"{"prediction_id":"b","version":"1","ts":1,"features":{"temp":2},"model":"flights"}"#, Decoded::Row(0)),
        (r#"{"prediction_id":"c","version":"1","ts":1,"features":{"temp":3},"model":"ships"}"#, Decoded::UnknownModel),
    ] {
        assert_eq!(f.read(text), Ok(outcome), "{text}");
    }
    assert_eq!(
        (f.out[0].features.numeric[0].as_slice(), f.out[1].features.numeric[0].as_slice()),
        (&[2.0][..], &[1.0][..])
    );
    let mut one = Fixture::new(&Format { model: Some(1), ..Format::default() });
    assert_eq!(one.read(r#"{"prediction_id":"a","version":"1","ts":1}"#), Ok(Decoded::Row(1)));
}

#[test]
fn fields_may_stand_elsewhere_and_features_at_the_top() {
    let at = |p: &str| p.split('/').map(str::to_owned).collect::<Vec<_>>();
    let fields = FieldMap {
        prediction_id: at("meta/id"),
        ts: at("meta/time"),
        features: Vec::new(),
        rename: [("cust_age".into(), "age".into())].into(),
        ..FieldMap::default()
    };
    let mut f = Fixture::new(&Format {
        fields,
        time: TimeFormat { unit: TimeUnit::Seconds, ..TimeFormat::default() },
        ..Format::default()
    });
    let text = r#"{"meta":{"id":"a","time":1362131640.5},"model":"flights","version":"1","temp":3,"cust_age":40,"origin":"JFK"}"#;
    assert_eq!(f.read(text), Ok(Decoded::Row(0)));
    assert_eq!(f.out[0].ts, [1_362_131_640_500]);
    assert_eq!((f.out[0].features.numeric[0][0], f.out[0].features.numeric[1][0]), (3.0, 40.0));
    assert_eq!(names(&f.out[0], Domain::Segmentation(0)), ["JFK"]);
}

#[test]
fn an_event_may_lie_as_far_ahead_of_its_record_as_its_source_says() {
    for (future, ahead, says) in [
        (60_000, 60_000, None),
        (60_000, 60_001, Some("is more than 1m ahead of its record's")),
        (0, 1, Some("is more than 0s ahead of its record's")),
        (7_200_000, 7_200_000, None),
        (3_600_000, 3_600_001, Some("is more than 1h ahead of its record's")),
    ] {
        let time = TimeFormat { future, ..TimeFormat::default() };
        let mut f = Fixture::new(&Format { time, ..Format::default() });
        let ts = NOW + ahead;
        let read =
            f.read(&format!(r#"{{"prediction_id":"p","model":"flights","version":"1","ts":{ts},"score":0.25}}"#));
        match says {
            None => assert_eq!(read, Ok(Decoded::Row(0))),
            Some(says) => {
                let reject = read.unwrap_err();
                assert!(reject.reason == Reason::Future && reject.detail.contains(says), "{reject}");
            }
        }
    }
}

#[test]
fn times_are_numbers_digits_and_texts_in_the_sources_unit_and_zone() {
    let read = |unit, zone: &str, ts: &str| {
        let time = TimeFormat { unit, zone: crate::decode::time::zone(zone), ..TimeFormat::default() };
        let mut f = Fixture::new(&Format { time, ..Format::default() });
        let event = format!(r#"{{"prediction_id":"p","model":"flights","version":"1","ts":{ts},"score":0.25}}"#);
        // The second time by the shorter way for what is as guessed.
        for text in [&event, &event] {
            assert_eq!(f.read(text), Ok(Decoded::Row(0)), "{text}");
        }
        assert_eq!(f.out[0].ts[0], f.out[0].ts[1], "{event}");
        f.out[0].ts[0]
    };
    let at = 1_700_006_400_000;
    for (unit, zone, ts) in [
        (TimeUnit::Millis, "", "1700006400000.25"),
        (TimeUnit::Millis, "", "\"1700006400000\""),
        (TimeUnit::Millis, "", "1.7000064e12"),
        (TimeUnit::Millis, "", "\"2023-11-15 00:00:00Z\""),
        (TimeUnit::Millis, "UTC", "\"2023-11-15T00:00:00.000\""),
        (TimeUnit::Millis, "Europe/Berlin", "\"2023-11-15 01:00:00\""),
        (TimeUnit::Seconds, "", "1700006400"),
        (TimeUnit::Seconds, "", "\"1700006400.0004\""),
        (TimeUnit::Micros, "", "1700006400000123"),
        (TimeUnit::Nanos, "", "1700006400000123456"),
        (TimeUnit::Nanos, "", "\"1700006400000123456\""),
    ] {
        assert_eq!(read(unit, zone, ts), at, "{ts}");
    }
}

#[test]
fn labels_are_zero_one_or_what_the_policy_maps() {
    let schemas = [schema("flights")];
    let mut decoder = EventDecoder::new(&schemas, &Format::default(), EventKind::Labels, Limits::default());
    let mut out = [LabelBatch::new(1)];
    for (label, expected) in [
        ("0", Flag::No),
        ("1.0", Flag::Yes),
        ("true", Flag::Yes),
        ("\"late\"", Flag::Yes),
        ("\"in time\"", Flag::No),
        ("null", Flag::Missing),
        ("2", Flag::Invalid),
        ("\"x\"", Flag::Invalid),
    ] {
        let text = format!(r#"{{"prediction_id":"a","model":"flights","ts":5,"label":{label},"kpi":{{"ctr":1}}}}"#);
        assert_eq!(decode::<LabelBatch>(&mut decoder, text.as_bytes(), NOW, &mut out), Ok(Decoded::Row(0)));
        assert_eq!(out[0].label.last(), Some(&expected), "{label}");
    }
    assert_eq!(out[0].kpis[0], [Flag::Yes; 8]);
    assert_eq!(
        decode::<LabelBatch>(&mut decoder, br#"{"model":"flights","ts":5,"label":1}"#, NOW, &mut out)
            .unwrap_err()
            .to_string(),
        "no_id: the label has no prediction id"
    );
}

#[test]
fn a_measurement_has_a_version_a_metric_and_a_value() {
    let schemas = [schema("flights"), schema("trains")];
    let fields = FieldMap { value: vec!["reading".into(), "value".into()], ..FieldMap::default() };
    let read = |format: &Format, text: &str| {
        let limits = Limits { string_bytes: 16, ..Limits::default() };
        let mut decoder = EventDecoder::new(&schemas, format, EventKind::Measurements, limits);
        let mut out = vec![MeasurementBatch::default(); 2];
        decode::<MeasurementBatch>(&mut decoder, text.as_bytes(), NOW, &mut out).map(|outcome| (outcome, out))
    };
    let plain = Format::default();
    let event = r#"{"model":"trains","version":"7","ts":1362131640000,"metric":"refunds","value":0.42,"n":1200}"#;
    let (outcome, out) = read(&plain, event).unwrap();
    assert_eq!((outcome, out[0].len()), (Decoded::Row(1), 0));
    let batch = &out[1];
    assert_eq!((&batch.ts, &batch.version, &batch.metric), (&vec![1_362_131_640_000], &vec![0], &vec![1]));
    assert_eq!((&batch.value, &batch.n), (&vec![0.42], &vec![1200]));
    assert_eq!(batch.fresh, [(Domain::Version, "7".into())]);
    // One observation unless it says otherwise; a metric that no rule reads is an event all the same.
    let (_, out) = read(&plain, &event.replace("\"n\":1200", "\"n\":null").replace("refunds", "other")).unwrap();
    assert_eq!((out[1].n[0], out[1].metric[0]), (1, code::MISSING));
    let (_, out) = read(&plain, &event.replace("0.42", "-0.0").replace("1200", "1e3")).unwrap();
    assert_eq!((out[1].value[0].to_bits(), out[1].n[0]), (0.0_f64.to_bits(), 1000));
    let (_, out) =
        read(&Format { fields, ..Format::default() }, &event.replace("0.42", "9,\"reading\":{\"value\":5}")).unwrap();
    assert_eq!(out[1].value[0], 5.0);
    for (from, to, reason, says) in [
        ("\"version\":\"7\",", "", Reason::NoVersion, "no version"),
        ("\"metric\":\"refunds\",", "", Reason::NoMetric, "no metric"),
        ("refunds", "", Reason::NoMetric, "no metric"),
        ("refunds", "a metric with a long name", Reason::BadText, "the metric is longer than 16 bytes"),
        ("0.42", "null", Reason::BadValue, "no value"),
        ("0.42", "\"0.42\"", Reason::BadValue, "no number"),
        ("0.42", "1e999", Reason::BadValue, "out of range"),
        ("0.42", "-1.1e12", Reason::BadValue, "the value -1.1e12 is out of range"),
        ("1200", "0", Reason::BadWeight, "n is 0: expected a whole number from 1"),
        ("1200", "1.5", Reason::BadWeight, "n is 1.5"),
        ("1200", "-3", Reason::BadWeight, "n is -3"),
        ("1200", "2000000000", Reason::BadWeight, "n is 2000000000"),
        ("1200", "\"many\"", Reason::BadWeight, "n is no number"),
        ("1362131640000", "1900000000000", Reason::Future, "more than 1m ahead"),
    ] {
        let reject = read(&plain, &event.replace(from, to)).unwrap_err();
        assert!(reject.reason == reason && reject.detail.contains(says), "{from} to {to}: {reject}");
    }
}

#[test]
fn a_key_that_json_escapes_is_found_by_its_meaning_alone() {
    let quoted = Schema { numeric: vec!["a\"b".into()], categorical: vec![], ..(*schema("flights")).clone() };
    let mut decoder =
        EventDecoder::new(&[Arc::new(quoted)], &Format::default(), EventKind::Predictions, Limits::default());
    let mut out = [PredictionBatch::new(1, 0, 3)];
    let event = |key: &str| {
        format!(
            r#"{{"prediction_id":"p","model":"flights","version":"1","ts":1,"features":{{{key}:2.5}},"padding":"0123456789"}}"#
        )
    };
    for _ in 0..2 {
        assert_eq!(
            decode::<PredictionBatch>(&mut decoder, event(r#""a\"b""#).as_bytes(), NOW, &mut out),
            Ok(Decoded::Row(0))
        );
        assert!(decode::<PredictionBatch>(&mut decoder, event(r#""a"b""#).as_bytes(), NOW, &mut out).is_err());
    }
    assert_eq!(out[0].features.numeric[0], [2.5, 2.5]);
}

proptest::proptest! {
    #[test]
    fn neither_order_nor_white_space_nor_the_events_before_change_a_row(
        rows in proptest::collection::vec(
            (proptest::option::of(-1e3..1e3_f64), proptest::option::of(0..200_i32), "[a-zé]{0,20}", "[A-Z]{1,3}", 0..24_usize, 0..3_usize),
            1..12,
        ),
    ) {
        let events = rows.iter().map(|(temp, age, carrier, origin, order, space)| {
            let number = |x: Option<String>| x.unwrap_or("null".into());
            let features = [
                format!("\"temp\":{}", number(temp.map(|t| if order % 2 == 0 { format!("{t:?}") } else { format!("{t:e}") }))),
                format!("\"age\":{}", number(age.map(|a| a.to_string()))),
                format!("\"carrier\":\"{carrier}\""),
            ];
            let features = [features[order % 3].clone(), features[(order + 1) % 3].clone(), features[(order + 2) % 3].clone()].join(",");
            let event = format!(
                "{{\"prediction_id\":\"p\",\"model\":\"flights\",\"version\":\"1\",\"ts\":5,\"features\":{{{features}}},\"segments\":{{\"origin\":\"{origin}\"}}}}"
            );
            match space {
                0 => event,
                1 => event.replace(':', " : ").replace(',', ", "),
                _ => format!(" {} ", event.replace('{', "{\n ").replace(',', "\n,")),
            }
        });
        let events: Vec<String> = events.collect();
        let mut together = Fixture::new(&Format::default());
        for (event, (temp, age, carrier, origin, ..)) in events.iter().zip(&rows) {
            proptest::prop_assert_eq!(together.read(event), Ok(Decoded::Row(0)));
            let batch = &together.out[0];
            let row = batch.len() - 1;
            let same = |cell: f64, x: Option<f64>| x.map_or(cell.is_nan(), |x| x.to_bits() == cell.to_bits());
            proptest::prop_assert!(same(batch.features.numeric[0][row], *temp), "{}", event);
            proptest::prop_assert!(same(batch.features.numeric[1][row], age.map(f64::from)), "{}", event);
            let named = |domain: Domain, code: u32| names(batch, domain).get(code as usize).copied();
            let category = if carrier.len() <= 16 { Some(carrier.as_str()) } else { None };
            proptest::prop_assert_eq!(named(Domain::Categorical(0), batch.features.categorical[0][row]), category);
            proptest::prop_assert_eq!(named(Domain::Segmentation(0), batch.segments[0][row]), Some(origin.as_str()));
        }
    }

    #[test]
    fn an_event_that_is_cut_or_not_utf8_is_rejected_wherever_it_breaks(at in 0..166_usize, byte in 0x80..=0xFF_u8, cut in proptest::bool::ANY) {
        let event = r#"{"prediction_id":"p","model":"flights","version":"1","ts":5,"features":{"temp":0.35128306136377719,"age":-3.0,"carrier":"United"},"segments":{"origin":"JFK"},"x":"y"}"#;
        proptest::prop_assert_eq!(event.len(), 166);
        let mut f = Fixture::new(&Format::default());
        proptest::prop_assert_eq!(f.read(event), Ok(Decoded::Row(0)));
        let mut broken = event.as_bytes().to_vec();
        if cut {
            broken.truncate(at);
        } else {
            broken[at] = byte;
        }
        let reject = decode::<PredictionBatch>(&mut f.decoder, &broken, NOW, &mut f.out).unwrap_err();
        let says = if cut { "not_json: expected".to_owned() } else { format!("not_json: not UTF-8 at byte {at}") };
        proptest::prop_assert!(reject.to_string().starts_with(&says), "{}", reject);
        proptest::prop_assert_eq!(f.out[0].len(), 1);
        proptest::prop_assert_eq!(f.read(event), Ok(Decoded::Row(0)));
    }
}
