//! Checkpoints that tests make up: those beside the code, and those of the binary, which include this file.

use std::path::Path;
use std::sync::Arc;

use super::{Checkpoint, SourceState};
use driftgate_core::event::{Domain, EventKind, Flag, PredictionBatch, code};
use driftgate_core::intake::job::Job;
use driftgate_core::intake::{DecoderId, SourceId};
use driftgate_core::pipeline::{Pipeline, PipelineState};
use driftgate_core::policy::Policy;
use driftgate_core::window::front::{ANY, Front};

/// One of a single source.
pub fn checkpoint(next_offset: i64) -> Checkpoint {
    let source = SourceState {
        topic: "t".into(),
        partition: 0,
        next_offset: Some(next_offset),
        topic_id: Some("MkU3OEVWQTU3MDUyRDQzQg".into()),
        leader_epoch: Some(3),
        fronts: vec![("m".into(), Front::new(60_000, Some(5)))],
        behind: vec![],
        holes: vec![],
    };
    Checkpoint { sources: vec![source], ..Checkpoint::default() }
}

/// A policy with a join.
pub fn policy() -> Arc<Policy> {
    let text = "apiVersion: driftgate/v1\nmodel: m\nbaseline: {snapshot: \"v{version}.csv\"}\nfeatures: {numeric: [x], categorical: []}\n\
        segments: [s]\nlabels: {horizon: 1h}\nchecks:\n  drift:\n    window: {size: 1h, slide: 5m}\n    rules:\n    - psi: {of: features, lt: 0.2}\n";
    Arc::new(driftgate_core::policy::parse(text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}")))
}

/// Adds a prediction of the version 1, without segments.
pub fn push(batch: &mut PredictionBatch, id: &str, ts: i64, value: impl Fn(usize) -> f64) {
    batch.ids.push(id);
    batch.ts.push(ts);
    batch.version.push(0);
    batch.stage.push(code::MISSING);
    batch.score.push(0.5);
    batch.decision.push(Flag::Missing);
    batch.latency_ms.push(0.0);
    batch.error.push(Flag::Missing);
    batch.features.numeric.iter_mut().enumerate().for_each(|(f, column)| column.push(value(f)));
}

/// Admits and counts a batch.
pub fn feed(pipeline: &Pipeline, source: SourceId, decoder: DecoderId, batch: &mut PredictionBatch) {
    let mut intake = pipeline.intake();
    intake.learn(decoder, batch);
    intake.translate(decoder, batch);
    let mut job = Job::default();
    pipeline.admit(&mut intake, source, batch, &mut job);
    drop(intake);
    pipeline.count(0, batch, &job);
}

/// A source of predictions and its decoder.
pub fn source(pipeline: &Pipeline) -> (SourceId, DecoderId) {
    let mut intake = pipeline.intake();
    (intake.add_source(EventKind::Predictions, ANY, None), intake.add_decoder())
}

/// Predictions numbered `rows` enter the join of a model, a millisecond apart.
pub fn enter(pipeline: &Pipeline, rows: std::ops::Range<i64>) {
    let mut batch = PredictionBatch::new(1, 0, 1);
    for i in rows {
        push(&mut batch, &i.to_string(), i, |_| 1.0);
        batch.segments[0].push(0);
    }
    batch.fresh.extend([(Domain::Version, "1".into()), (Domain::Segmentation(0), "a".into())]);
    let (source, decoder) = source(pipeline);
    feed(pipeline, source, decoder, &mut batch);
}

/// The checkpoint of a pipeline.
pub fn of(pipeline: &mut Pipeline) -> Checkpoint {
    Checkpoint { pipelines: vec![pipeline.state()], ..Checkpoint::default() }
}

/// The state as bytes, with everything in it.
pub fn bytes(state: &PipelineState) -> Vec<u8> {
    postcard::to_stdvec(state).unwrap()
}
