//! Rows in, verdict out: an hour of one feature, judged against its training values.
use std::sync::Arc;

use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::event::{EventKind, Limits, PredictionBatch};
use driftgate_core::intake::{Setup, job::Job, versions::Reference};
use driftgate_core::{Baseline, Pipeline, baseline::SnapshotColumns, pipeline::batch::decode, policy, schema::Schema};

const POLICY: &str = "{apiVersion: driftgate/v1, model: m, features: {numeric: [age]}, checks: {drift: {window: {size: 1h, slide: 1h}, rules: [psi: {of: features, lt: 0.2}]}}}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = Arc::new(policy::parse(POLICY, "policy.yaml".as_ref())?);
    let ages = (0..1000).map(f64::from).collect();
    let training = SnapshotColumns { rows: 1000, numeric: vec![ages], ..Default::default() };
    let built = Baseline::build(&policy, "1", "training", "", &training).map_err(|errors| format!("{errors:?}"))?;
    let schema = Arc::new(Schema::new(&policy));
    let mut json = EventDecoder::new(&[schema], &Format::default(), EventKind::Predictions, Limits::default());
    let mut batch = [PredictionBatch::new(1, 0, 0)];
    for age in 400..1000_i64 {
        let event =
            format!(r#"{{"model":"m","version":"1","id":"{age}","ts":{},"features":{{"age":{age}}}}}"#, age * 1000);
        decode(&mut json, event.as_bytes(), age * 1000, &mut batch)?;
    }
    let [mut batch] = batch;
    let pipeline = Pipeline::new(policy, Setup::default(), 1);
    let reference = Reference::Baseline { sha256: built.digest()?.into(), baseline: Arc::new(built) };
    pipeline.intake().set_reference("1", reference);
    let decoder = pipeline.intake().add_decoder();
    let source = pipeline.intake().add_source(EventKind::Predictions, 3_600_000, None);
    pipeline.intake().learn(decoder, &mut batch);
    pipeline.intake().translate(decoder, &mut batch);
    let mut job = Job::default();
    pipeline.admit(&mut pipeline.intake(), source, &batch, &mut job);
    pipeline.count(0, &batch, &job);
    pipeline.finish(&mut |judged, _| {
        let results = judged.verdicts.iter().flat_map(|verdict| &verdict.results);
        results.for_each(|result| println!("{}", result.sentence()));
    });
    Ok(())
}
