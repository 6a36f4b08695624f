//! What one worker has to itself, beside what all share.

use std::sync::MutexGuard;

use super::shared::Shared;
use driftgate_core::intake::job::Job;
use driftgate_core::intake::{Intake, SourceId};
use driftgate_core::pipeline::Pipeline;
use driftgate_core::pipeline::batch::Batch;

/// The context that a worker counts in.
pub struct WorkerContext<'s> {
    pub shared: &'s Shared,
    pub worker: usize,
    job: Job,
}

impl<'s> WorkerContext<'s> {
    pub fn new(shared: &'s Shared, worker: usize) -> Self {
        Self { shared, worker, job: Job::default() }
    }

    /// Admits a translated batch, counts it, and judges what that makes ready.
    pub fn count(&mut self, model: &Pipeline, mut intake: MutexGuard<'_, Intake>, source: SourceId, batch: &dyn Batch) {
        model.admit(&mut intake, source, batch, &mut self.job);
        drop(intake);
        model.count(self.worker, batch, &self.job);
        self.shared.judge(model);
    }
}
