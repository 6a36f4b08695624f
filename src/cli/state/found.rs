//! A checkpoint as the answers name it.

use std::fs;

use crate::api::state::{CheckpointContent, CheckpointShown, ChunksShown, ModelKept, OutboxShown, Position};
use crate::checkpoint::files::{Files, Read};
use crate::checkpoint::{Checkpoint, SourceState};
use crate::sink::Item;
use driftgate_core::codec::time::utc;
use driftgate_core::pipeline::PipelineState;

/// When a file was written, RFC 3339.
pub fn written(files: &Files, name: &str) -> Option<String> {
    files.written_ms(name).map(utc)
}

/// The checkpoint in a file, without reading its chunks; `None` where there is no such file.
pub fn checkpoint(files: &Files, name: &str) -> Option<CheckpointShown> {
    let failed = |error: String| CheckpointShown::Failed { file: name.to_owned(), error };
    match files.read(name) {
        Ok(None) => None,
        Ok(Some(read)) => Some(CheckpointShown::Read(Box::new(content(files, name, read)))),
        Err(e) => Some(failed(e.to_string())),
    }
}

fn content(files: &Files, name: &str, mut read: Read) -> CheckpointContent {
    let sizes: Vec<Option<u64>> =
        read.digests().iter().map(|d| fs::metadata(files.chunk(d)).ok().map(|m| m.len())).collect();
    let chunks = ChunksShown {
        count: sizes.len() as u64,
        bytes: sizes.iter().flatten().sum(),
        missing: sizes.iter().filter(|size| size.is_none()).count() as u64,
    };
    let Read { checkpoint: Checkpoint { sources, pipelines, outbox, part: _ }, format, bytes } = read;
    CheckpointContent {
        file: name.to_owned(),
        format,
        written: written(files, name),
        bytes: bytes.len() as u64,
        chunks,
        positions: positions(&sources),
        models: pipelines.iter().map(model).collect(),
        outbox: waiting(&outbox),
    }
}

/// Where every partition is read on, by topic and partition.
pub fn positions(sources: &[SourceState]) -> Vec<Position> {
    let mut all: Vec<Position> = sources
        .iter()
        .map(|s| Position {
            topic: s.topic.clone(),
            partition: s.partition,
            next_offset: s.next_offset,
            topic_id: s.topic_id.clone(),
            behind: s.behind.clone(),
        })
        .collect();
    all.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    all
}

fn model(state: &PipelineState) -> ModelKept {
    let (predictions, labels) = state.intake.waiting();
    let versions = state.intake.versions().map(|(name, _)| name.to_owned()).zip(state.intake.predictions());
    ModelKept {
        model: state.model.clone(),
        policy_sha256: state.policy_sha256.clone(),
        closed_to: state.intake.closed_to().map(utc),
        predictions_waiting: predictions as u64,
        labels_waiting: labels as u64,
        versions: versions.collect(),
    }
}

fn waiting(outbox: &[Item]) -> OutboxShown {
    let verdicts = outbox.iter().filter(|item| matches!(item, Item::Verdict { .. })).count();
    OutboxShown {
        verdicts: verdicts as u64,
        signals: outbox.iter().filter(|item| matches!(item, Item::Signal(_))).count() as u64,
        bytes: outbox.iter().map(|item| item.bytes() as u64).sum(),
    }
}
