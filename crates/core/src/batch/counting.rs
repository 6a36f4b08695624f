//! The rows of one part counted, from where its stream stands at its start.

use std::ops::Range;
use std::sync::Arc;

use super::carry::{Carry, Planned};
use super::error::BatchError;
use super::order;
use super::partial::Partial;
use super::plan::Plan;
use crate::event::{EventKind, Limits, code};
use crate::intake::count::Worker;
use crate::intake::job::Job;
use crate::intake::versions::Reference;
use crate::intake::{DecoderId, Intake, Setup, SourceId};
use crate::pipeline::batch::Batch;
use crate::policy::Policy;

/// An intake that starts where a part does.
pub(super) fn begin(
    policy: &Arc<Policy>,
    carry: &Carry,
    part: &Planned,
    limits: Limits,
) -> (Intake, DecoderId, SourceId) {
    let mut intake = Intake::new(Arc::clone(policy), Setup { limits, ..Setup::default() });
    intake.know_names(&carry.plan.names());
    let decoder = intake.add_decoder();
    // The tolerance is in the front already.
    let source = intake.add_source(part.kind, part.front.tolerance(), Some(part.front.clone()));
    (intake, decoder, source)
}

impl Planned {
    /// Checks that the part still has as many events as when it was scanned.
    ///
    /// # Errors
    /// Another number.
    pub(super) fn same_rows(&self, rows: u64) -> Result<(), BatchError> {
        if rows == self.rows {
            return Ok(());
        }
        Err(BatchError::Changed(format!("{} has {rows} events, and had {} when it was scanned", self.name, self.rows)))
    }
}

/// A part that is being counted.
pub struct Counting {
    plan: Plan,
    part: Planned,
    intake: Intake,
    worker: Worker,
    decoder: DecoderId,
    source: SourceId,
    job: Job,
    rows: u64,
}

impl Counting {
    /// `load` gives the reference of a version.
    ///
    /// # Errors
    /// A kind that is not counted by parts, and a carry that does not say which predictions are repeated.
    pub fn new(
        policy: &Arc<Policy>,
        carry: &Carry,
        part: &Planned,
        limits: Limits,
        load: &mut dyn FnMut(&str) -> Reference,
    ) -> Result<Self, BatchError> {
        if part.kind == EventKind::Labels {
            return Err(BatchError::Input(
                "labels are counted where they meet predictions: by the passes share and pair".to_owned(),
            ));
        }
        order::check_kind(part.kind)?;
        let repeats = carry.repeats_of(part)?;
        let (mut intake, decoder, source) = begin(policy, carry, part, limits);
        if carry.needs_pairs() {
            intake.join_elsewhere(repeats);
        }
        if order::by_model(policy) && part.kind == EventKind::Predictions {
            for (version, _) in carry.plan.versions.iter().filter(|(_, predicted)| *predicted) {
                intake.set_reference(version, load(version));
                intake.expect(version);
            }
        }
        let (plan, part) = (carry.plan.clone(), part.clone());
        Ok(Self { plan, part, intake, worker: Worker::default(), decoder, source, job: Job::default(), rows: 0 })
    }

    /// Counts the next events of the part.
    pub fn take<B: Batch>(&mut self, batch: &mut B, load: &mut dyn FnMut(&str) -> Reference) {
        batch.learn(&mut self.intake, self.decoder);
        let mut done = 0;
        for (row, version) in batch.unknown_versions(&self.intake) {
            self.translate(batch, done..row);
            self.intake.set_reference(&version, load(&version));
            done = row;
        }
        self.load_measured(batch.versions(), load);
        self.translate(batch, done..batch.rows());
        batch.admit(&mut self.intake, self.source, &mut self.job);
        batch.count(&mut self.worker, &self.job);
        self.rows += batch.rows() as u64;
    }

    fn translate<B: Batch>(&mut self, batch: &mut B, rows: Range<usize>) {
        batch.translate(&mut self.intake, self.decoder, rows);
    }

    /// What is measured of a version lies beside what is counted of its predictions elsewhere: in panes of the same layout.
    fn load_measured(&mut self, versions: &[u32], load: &mut dyn FnMut(&str) -> Reference) {
        let mut last = code::MISSING;
        for &version in versions.iter().filter(|_| self.part.kind == EventKind::Measurements) {
            if version == std::mem::replace(&mut last, version) {
                continue;
            }
            let Some((name, true)) = self.plan.versions.get(version as usize) else { continue };
            if self.intake.is_unknown(name) {
                self.intake.set_reference(name, load(name));
            }
        }
    }

    /// What was counted.
    ///
    /// # Errors
    /// A file that has changed since it was scanned, and more names than are told apart.
    pub fn finish(self) -> Result<Partial, BatchError> {
        self.part.same_rows(self.rows)?;
        let mut partial = Partial::of(&self.plan, &self.intake, &self.worker.panes)?;
        partial.parts.insert((self.part.kind, self.part.place));
        partial.counters = self.intake.counters;
        partial.counters += self.worker.counters;
        Ok(partial)
    }
}
