//! The library's pipeline, fed from memory: all that the comparison knows of it is here. Also the made-up models that it is
//! fed with.

use std::path::Path;
use std::sync::Arc;

use driftgate_core::baseline::{Baseline, SnapshotColumns};
use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::event::{Domain, EventKind, Flag, Limits, PredictionBatch, code};
use driftgate_core::intake::job::Job;
use driftgate_core::intake::versions::Reference;
use driftgate_core::intake::{DecoderId, Setup, SourceId};
use driftgate_core::pipeline::batch::decode;
use driftgate_core::pipeline::{Pipeline, PipelineState};
use driftgate_core::policy::{self, Policy};

/// A time that is a window's start: 2026-01-01T00:00:00Z in ms.
pub const T0: i64 = 1_767_225_600_000;

/// Numbers that look random and are the same every time (`SplitMix64`), spread like a logistic distribution.
pub fn noise(i: u64) -> f64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    #[allow(clippy::cast_precision_loss, reason = "a random number")]
    let u = ((z ^ (z >> 31)) as f64 / u64::MAX as f64).clamp(1e-12, 1.0 - 1e-12);
    (u / (1.0 - u)).ln()
}

/// A policy with so many numeric features, PSI and KS on all of them, windows of 1 h sliding by 5 min.
pub fn policy_text(features: usize) -> String {
    format!(
        "apiVersion: driftgate/v1\nmodel: wide\nbaseline: {{snapshot: \"train_v{{version}}.parquet\"}}\n\
         features: {{numeric: [{}], categorical: []}}\nlateness: 0s\nmin_samples: 200\n\
         checks:\n  drift:\n    window: {{size: 1h, slide: 5m}}\n    rules:\n\
         \x20   - psi: {{of: features, lt: 0.2}}\n    - ks_p: {{of: features, gte: 0.01}}\n",
        names(features).join(", ")
    )
}

/// Names of so many features.
pub fn names(features: usize) -> Vec<String> {
    (0..features).map(|f| format!("f{f:03}")).collect()
}

/// A pipeline that is fed from memory.
pub struct Feed {
    pipeline: Pipeline,
    decoder: EventDecoder,
    id: DecoderId,
    source: SourceId,
    batch: [PredictionBatch; 1],
    job: Job,
}

impl Feed {
    /// A model of so many features whose versions 1, 2, … share a training sample of so many rows.
    pub fn new(features: usize, versions: usize, rows: usize) -> Self {
        Self::of(&policy_text(features), features, versions, rows)
    }

    /// The same with a policy of one's own.
    pub fn of(policy: &str, features: usize, versions: usize, rows: usize) -> Self {
        let policy = Arc::new(policy::parse(policy, Path::new("policy.yaml")).expect("a policy"));
        let pipeline = Pipeline::new(Arc::clone(&policy), Setup::default(), 1);
        let reference = reference(&policy, features, rows);
        let mut intake = pipeline.intake();
        for version in 1..=versions {
            intake.set_reference(&version.to_string(), reference.clone());
        }
        let schema = Arc::clone(intake.schema());
        let (format, limits) = (Format::default(), Limits::default());
        let (id, source) = (intake.add_decoder(), intake.add_source(EventKind::Predictions, format.time.future, None));
        drop(intake);
        Self {
            decoder: EventDecoder::new(std::slice::from_ref(&schema), &format, EventKind::Predictions, limits),
            id,
            source,
            pipeline,
            batch: [PredictionBatch::new(features, 0, 0)],
            job: Job::default(),
        }
    }

    /// Decodes and counts events.
    pub fn lines(&mut self, lines: &[Vec<u8>]) {
        for line in lines {
            decode(&mut self.decoder, line, i64::MAX / 2, &mut self.batch).expect("a whole event");
        }
        self.count();
    }

    /// Counts rows of version 1 that are columns already; `value` gives a feature's value in a row.
    pub fn rows(&mut self, ts: impl Iterator<Item = i64>, value: impl Fn(usize, usize) -> f64) {
        let batch = &mut self.batch[0];
        let counted = self.pipeline.intake().counters.predictions;
        if counted == 0 {
            batch.fresh.push((Domain::Version, "1".into()));
        }
        for (id, ts) in (counted..).zip(ts) {
            batch.ids.push(&id.to_string());
            batch.ts.push(ts);
            batch.version.push(0);
            batch.stage.push(code::MISSING);
            batch.score.push(0.5);
            batch.decision.push(Flag::Missing);
            batch.latency_ms.push(0.0);
            batch.error.push(Flag::Missing);
        }
        let rows = batch.ts.len();
        for (f, column) in batch.features.numeric.iter_mut().enumerate() {
            column.extend((0..rows).map(|row| value(f, row)));
        }
        self.count();
    }

    fn count(&mut self) {
        let mut intake = self.pipeline.intake();
        let [batch] = &mut self.batch;
        intake.learn(self.id, batch);
        intake.translate(self.id, batch);
        self.pipeline.admit(&mut intake, self.source, batch, &mut self.job);
        drop(intake);
        self.pipeline.count(0, batch, &self.job);
        batch.clear();
    }

    /// Closes what the stream has passed and writes the verdicts; gives how many windows those were, and their bytes.
    pub fn advance(&mut self) -> (usize, usize) {
        let (mut verdicts, mut bytes) = (0, 0);
        self.pipeline.judge_all(&mut |judged, _| {
            verdicts += judged.verdicts.len();
            bytes += judged.verdicts.iter().map(|v| serde_json::to_string(v).expect("a verdict").len()).sum::<usize>();
        });
        (verdicts, bytes)
    }

    /// What a checkpoint keeps.
    #[allow(dead_code, reason = "asked for by the bench of checkpoints, which shares this file")]
    pub fn state(&mut self) -> PipelineState {
        self.pipeline.state()
    }

    /// Events counted so far.
    pub fn counted(&self) -> u64 {
        self.pipeline.intake().counters.predictions
    }
}

fn reference(policy: &Policy, features: usize, rows: usize) -> Reference {
    let sample = |f: usize| (0..rows).map(|row| noise((f * rows + row) as u64)).collect();
    let columns = SnapshotColumns { rows, numeric: (0..features).map(sample).collect(), ..SnapshotColumns::default() };
    let baseline = Baseline::build(policy, "1", "made up", "00", &columns).expect("a baseline");
    let sha256 = baseline.digest().expect("a digest").into();
    Reference::Baseline { baseline: Arc::new(baseline), sha256 }
}
