//! Events for benches: as models send them, the same in every run.

use std::fmt::Write as _;
use std::io::BufRead as _;

use apache_avro::Schema as AvroSchema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use driftgate_core::decode::avro::Writer;
use driftgate_core::policy::{Policy, parse};

const EVENTS: usize = 8192;

/// Numbers that look random and are the same every time (`SplitMix64`).
struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.unit() * f64::from(n)) as u32
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }
}

/// Events as models send them: 13 features of full precision, 7 of few values, 4 categories, 2 segments; about 600 bytes.
fn made() -> Vec<String> {
    let mut noise = Noise(1);
    let event = |i: usize| {
        let ts = 1_767_225_600_000 + i;
        let mut text = format!(
            "{{\"prediction_id\":\"e{i:09}\",\"model\":\"credit\",\"version\":\"1\",\"ts\":{ts},\"score\":{:?},\"features\":{{",
            noise.unit()
        );
        for f in 0..13_u32 {
            let x: f64 = (0..=f % 4).map(|_| noise.exponential()).sum::<f64>() * f64::from(1 + f / 5);
            write!(text, "\"n{f:02}\":{x:?},").unwrap();
        }
        for (f, values, step) in
            [(13, 9, 1.0), (14, 70, 1.0), (15, 5, 1.0), (16, 2, 1.0), (17, 25, 0.5), (18, 12, 1.0), (19, 8, 100.0)]
        {
            write!(text, "\"n{f}\":{:?},", f64::from(noise.below(values)) * step).unwrap();
        }
        let mut category = |c: u32, values: u32| format!("\"c{c}\":\"c{c}_{:03}\"", noise.below(values));
        let categories = [category(0, 5), category(1, 20), category(2, 200), category(3, 2)].join(",");
        let (seg0, seg1) = (["A", "B", "C"][i % 3], ["x", "y"][i % 2]);
        write!(text, "{categories}}},\"segments\":{{\"seg0\":\"{seg0}\",\"seg1\":\"{seg1}\"}}}}").unwrap();
        text
    };
    (0..EVENTS).map(event).collect()
}

/// The events of the file that `DRIFTGATE_BENCH_JSONL` names, or made ones.
pub fn events() -> Vec<String> {
    let Ok(path) = std::env::var("DRIFTGATE_BENCH_JSONL") else { return made() };
    let file = std::fs::File::open(path).expect("the file of events opens");
    std::io::BufReader::new(file).lines().take(EVENTS).map(|line| line.expect("a line")).collect()
}

/// The schema of the events as Avro.
#[rustfmt::skip]
pub const AVRO: &str = r#"{"type": "record", "name": "Prediction", "fields": [
    {"name": "prediction_id", "type": "string"}, {"name": "model", "type": "string"}, {"name": "version", "type": "string"},
    {"name": "ts", "type": "long"}, {"name": "score", "type": "double"},
    {"name": "features", "type": {"type": "record", "name": "Features", "fields": [
        {"name": "n00", "type": "double"}, {"name": "n01", "type": "double"}, {"name": "n02", "type": "double"}, {"name": "n03", "type": "double"},
        {"name": "n04", "type": "double"}, {"name": "n05", "type": "double"}, {"name": "n06", "type": "double"}, {"name": "n07", "type": "double"},
        {"name": "n08", "type": "double"}, {"name": "n09", "type": "double"}, {"name": "n10", "type": "double"}, {"name": "n11", "type": "double"},
        {"name": "n12", "type": "double"}, {"name": "n13", "type": "double"}, {"name": "n14", "type": "double"}, {"name": "n15", "type": "double"},
        {"name": "n16", "type": "double"}, {"name": "n17", "type": "double"}, {"name": "n18", "type": "double"}, {"name": "n19", "type": "double"},
        {"name": "c0", "type": "string"}, {"name": "c1", "type": "string"}, {"name": "c2", "type": "string"}, {"name": "c3", "type": "string"}]}},
    {"name": "segments", "type": {"type": "record", "name": "Segments", "fields": [
        {"name": "seg0", "type": "string"}, {"name": "seg1", "type": "string"}]}}]}"#;

/// The events as Avro values, and what reads them.
pub fn as_avro(events: &[String]) -> (Writer, Vec<Vec<u8>>) {
    let schema = AvroSchema::parse_str(AVRO).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let value = |event: &String| {
        let json: serde_json::Value = serde_json::from_str(event).expect("JSON");
        let value = Value::try_from(json).expect("values").resolve(&schema).expect("an event of the schema");
        writer.write_value_to_vec(value).expect("a value")
    };
    (Writer::parse(AVRO, &[]).expect("a schema"), events.iter().map(value).collect())
}

/// PSI and KS on everything, against grids of 1021 points; segments are counted, no label is waited for.
pub fn policy() -> Policy {
    let numeric: Vec<String> = (0..20).map(|i| format!("n{i:02}")).collect();
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: credit\nbaseline: {{snapshot: \"v{{version}}.parquet\", columns: {{score: score}}}}\n\
         features: {{numeric: [{}], categorical: [c0, c1, c2, c3]}}\nscore: {{threshold: 0.5}}\nsegments: [seg0, seg1]\n\
         checks:\n  drift:\n    window: {{size: 1h, slide: 5m}}\n    rules:\n    - psi: {{of: features, lt: 0.2}}\n\
         \x20   - psi: {{id: psi_score, of: score, lt: 0.2}}\n    - ks_p: {{of: features, gte: 0.01}}\n",
        numeric.join(", ")
    );
    parse(&text, std::path::Path::new("policy.yaml")).expect("a policy")
}
