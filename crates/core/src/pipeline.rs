//! One model from batches to verdicts: the intake, the workers that count and the evaluator, coupled. Replay and daemon
//! both run it, which is why a replay is the oracle of the daemon.
//!
//! Batches are admitted one after the other, under the intake's lock. Any worker may count an admitted batch, each into
//! panes of its own. A closing waits until everything admitted before it is counted; then the worker that finds it ready merges
//! the workers' panes and judges, while the others go on counting.

pub mod absent;
pub mod batch;
mod blocks;
mod classes;
pub mod counted;
mod counted_v4;
pub mod kinds;
mod order;
mod shards;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use serde::{Deserialize, Serialize};

use crate::evaluate::{Evaluator, EvaluatorState, Judgement};
use crate::event::{EventKind, FeatureBatch};
use crate::intake::count::Worker;
use crate::intake::job::Job;
use crate::intake::panes::{self, Panes};
use crate::intake::starts::Cause;
use crate::intake::state::{IntakeState, Lost};
use crate::intake::versions::Reference;
use crate::intake::{Counters, Intake, SealedPane, Setup, SourceId};
use crate::policy::Policy;
use crate::state_v4;

use batch::Batch;
use counted::describe;
use counted_v4::{counted_otherwise, counts_digest};
use order::Order;

/// One model's counting and judging.
pub struct Pipeline {
    pub policy: Arc<Policy>,
    intake: Mutex<Intake>,
    workers: Vec<Mutex<Worker>>,
    order: Mutex<Order>,
    evaluator: Mutex<Evaluator>,
}

/// A pipeline's durable state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipelineState {
    pub model: String,
    /// Digest of the policy it was judged by.
    pub policy_sha256: String,
    pub counts: Counts,
    pub intake: IntakeState,
    pub evaluator: EvaluatorState,
}

/// What the counts of a state are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counts {
    /// As `counted` describes it.
    Described(String),
    /// As driftgate 0.1 named it.
    V4(String),
}

/// Why the counts of a state do not serve a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anew {
    /// The policy counts something else.
    Policy,
    /// The driftgate that wrote it kept other counts for this rule.
    Rule(String),
}

impl PipelineState {
    /// Why its counts do not serve a policy; `None` where they do: the same features, grid, segments, labels, windows and
    /// reads.
    #[must_use]
    pub fn anew(&self, policy: &Policy) -> Option<Anew> {
        match &self.counts {
            Counts::Described(text) => (*text != describe(policy)).then_some(Anew::Policy),
            Counts::V4(digest) => match counted_otherwise(policy) {
                Some(rule) => Some(Anew::Rule(rule)),
                None => (*digest != counts_digest(policy)).then_some(Anew::Policy),
            },
        }
    }
}

impl From<state_v4::PipelineState> for PipelineState {
    fn from(old: state_v4::PipelineState) -> Self {
        Self {
            model: old.model,
            policy_sha256: old.policy_sha256,
            counts: Counts::V4(old.counts),
            intake: old.intake.into(),
            evaluator: old.evaluator.into(),
        }
    }
}

/// A lock that a panic elsewhere leaves usable: the panic is reported there.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipeline {
    /// An empty pipeline that `workers` threads will count in.
    #[must_use]
    pub fn new(policy: Arc<Policy>, setup: Setup, workers: usize) -> Self {
        let intake = Intake::new(Arc::clone(&policy), setup);
        let evaluator = Evaluator::new(Arc::clone(&policy));
        Self::of(policy, intake, Panes::default(), evaluator, workers)
    }

    /// A pipeline whose events were counted elsewhere.
    #[must_use]
    pub fn counted(policy: Arc<Policy>, intake: Intake, panes: Panes) -> Self {
        let evaluator = Evaluator::new(Arc::clone(&policy));
        Self::of(policy, intake, panes, evaluator, 1)
    }

    fn of(policy: Arc<Policy>, intake: Intake, panes: Panes, evaluator: Evaluator, workers: usize) -> Self {
        let first = Worker::with(panes);
        let rest = (1..workers.max(1)).map(|_| Worker::default());
        Self {
            policy,
            intake: Mutex::new(intake),
            workers: std::iter::once(first).chain(rest).map(Mutex::new).collect(),
            order: Mutex::default(),
            evaluator: Mutex::new(evaluator),
        }
    }

    /// The intake, for one caller at a time.
    pub fn intake(&self) -> MutexGuard<'_, Intake> {
        lock(&self.intake)
    }

    /// The intake, unless another thread has it: for callers that rather go on than wait for a batch to be admitted.
    pub fn try_intake(&self) -> Option<MutexGuard<'_, Intake>> {
        match self.intake.try_lock() {
            Ok(intake) => Some(intake),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Admits a translated batch, and moves the closing lines; the job is then to be counted, by the same or another
    /// thread. `intake` is this pipeline's.
    pub fn admit(&self, intake: &mut Intake, source: SourceId, batch: &dyn Batch, job: &mut Job) {
        batch.admit(intake, source, job);
        intake.release(job);
        self.close(intake);
    }

    /// Moves the closing lines as far as the streams have come. `intake` is this pipeline's.
    pub fn close(&self, intake: &mut Intake) {
        let Some(bases) = intake.closing_bases() else { return };
        if let Some(closing) = intake.advance(&bases) {
            lock(&self.order).closings.push_back(closing);
        }
    }

    /// Counts an admitted batch, into the panes of worker number `worker`.
    pub fn count(&self, worker: usize, batch: &dyn Batch, job: &Job) {
        let counters = self.workers.get(worker).map_or_else(Counters::default, |w| {
            let mut worker = lock(w);
            batch.count(&mut worker, job);
            worker.released(job);
            std::mem::take(&mut worker.counters)
        });
        lock(&self.order).counted(job.number, counters);
    }

    /// Counts events of the features stream that need not wait any more, all of them at the `end` of the streams, and moves the
    /// closing lines: for when no batch came, but the streams have come further.
    pub fn close_alone(&self, end: bool) {
        let mut job = Job::default();
        let released = {
            let mut intake = self.intake();
            let released = intake.release_alone(end, &mut job);
            self.close(&mut intake);
            released
        };
        if released {
            self.count(0, &FeatureBatch::default(), &job);
        }
    }

    /// Judges the closings whose events are all counted, in order, the windows of one end after the other; `deliver` gets
    /// them with the end up to which all verdicts are out then, and says whether to go on. What is left is judged by the next
    /// call. Returns at once where another thread is judging: it looks again before it ends.
    pub fn judge(&self, deliver: &mut dyn FnMut(Judgement, i64) -> ControlFlow<()>) {
        loop {
            let Ok(mut evaluator) = self.evaluator.try_lock() else { return };
            while let Some((judged, closed_to)) = self.next_judged(&mut evaluator) {
                if deliver(judged, closed_to).is_break() {
                    return;
                }
            }
            drop(evaluator);
            if !lock(&self.order).is_ready() {
                return;
            }
        }
    }

    /// The windows of the next end that can be judged.
    fn next_judged(&self, evaluator: &mut Evaluator) -> Option<(Judgement, i64)> {
        if let Some(judged) = evaluator.judge_next() {
            return Some(judged);
        }
        // Not held while judging.
        let closing = lock(&self.order).next()?;
        for (group, line) in closing.lines.iter().enumerate() {
            let (Some(line), Some(spec)) = (line, self.policy.groups.get(group)) else { continue };
            let before = if *line == i64::MAX { i64::MAX } else { spec.window.pane(*line) };
            let each = &mut |f: &mut dyn FnMut(&mut Panes)| self.workers.iter().for_each(|w| f(&mut lock(w).panes));
            let sealed = panes::seal(group, before, each).into_iter();
            evaluator.add(sealed.map(|((version, pane), sealed)| SealedPane { version, group, pane, sealed }));
        }
        evaluator.begin(closing);
        evaluator.judge_next()
    }

    /// How many closings wait to be judged, and whether anybody could judge now.
    #[must_use]
    pub fn unjudged(&self) -> (usize, bool) {
        let under_way = self.evaluator.try_lock().is_ok_and(|e| e.is_under_way());
        let order = lock(&self.order);
        (order.closings.len() + usize::from(under_way), under_way || order.is_ready())
    }

    /// The end of all files, with everything counted: what is left is judged, complete where the streams had passed its
    /// end.
    pub fn finish(&self, deliver: &mut dyn FnMut(Judgement, i64)) {
        self.close_alone(true);
        let closings = self.intake().finish();
        lock(&self.order).closings.extend(closings);
        self.judge_all(deliver);
    }

    /// Judges everything that can be judged.
    pub fn judge_all(&self, deliver: &mut dyn FnMut(Judgement, i64)) {
        self.judge(&mut |judged, closed_to| {
            deliver(judged, closed_to);
            ControlFlow::Continue(())
        });
    }

    /// Everything counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.intake().counters;
        counters += lock(&self.order).counters;
        counters
    }

    /// Whether the policy reads a stream.
    #[must_use]
    pub fn reads(&self, kind: EventKind) -> bool {
        kinds::is_read_by(kind, &self.policy)
    }
}

/// What needs the workers to rest.
impl Pipeline {
    /// Takes over a policy that only judges differently: counts stay, hysteresis starts anew. `false` for one that counts
    /// something else; nothing changes then.
    pub fn adopt(&mut self, policy: Arc<Policy>) -> bool {
        if describe(&self.policy) != describe(&policy) {
            return false;
        }
        self.intake().adopt(Arc::clone(&policy));
        lock(&self.evaluator).adopt(Arc::clone(&policy));
        self.policy = policy;
        true
    }

    /// Lets go of versions that are long past; returns their names.
    pub fn retire(&self) -> Vec<String> {
        let (evaluator, workers) = (lock(&self.evaluator), self.resting());
        let panes: Vec<&Panes> = workers.iter().map(|w| &w.panes).collect();
        self.intake().retire(|version| evaluator.holds(version) || panes.iter().any(|p| p.holds(version)))
    }

    /// Starts hysteresis anew.
    pub fn forget_streaks(&mut self) {
        lock(&self.evaluator).forget_streaks();
    }

    /// Lets go of all that was counted and judged of a version: its name means another one, whose baseline is to be
    /// loaded.
    pub fn count_anew(&self, version: &str) {
        self.begin_anew(version, Reference::Unknown, Cause::Version);
    }

    /// Lets go of all that was counted of a version against another baseline than this one.
    pub fn replace_baseline(&self, version: &str, reference: Reference) {
        self.begin_anew(version, reference, Cause::Baseline);
    }

    fn begin_anew(&self, version: &str, reference: Reference, cause: Cause) {
        let mut intake = self.intake();
        let Some(code) = intake.names().version_code(version) else { return };
        {
            let mut evaluator = lock(&self.evaluator);
            evaluator.count_anew(code, cause);
            if cause == Cause::Version {
                evaluator.forget_blocks(version);
            }
        }
        self.resting().iter_mut().for_each(|worker| worker.panes.let_go(code));
        intake.begin_version(code, cause);
        intake.set_reference(version, reference);
    }

    fn resting(&self) -> Vec<MutexGuard<'_, Worker>> {
        self.workers.iter().map(lock).collect()
    }

    /// What a checkpoint keeps.
    #[must_use]
    pub fn state(&mut self) -> PipelineState {
        let counters = self.counters();
        let workers = self.resting();
        let panes: Vec<&Panes> = workers.iter().map(|w| &w.panes).collect();
        PipelineState {
            model: self.policy.model.clone(),
            policy_sha256: self.policy.sha256.clone(),
            counts: Counts::Described(describe(&self.policy)),
            intake: self.intake().state(&panes, counters),
            evaluator: lock(&self.evaluator).state(),
        }
    }

    /// A pipeline as a checkpoint kept it, and the versions whose counts could not be kept. `reference` is asked for baselines
    /// that the checkpoint does not hold.
    #[must_use]
    pub fn restore(
        policy: Arc<Policy>,
        setup: Setup,
        workers: usize,
        state: PipelineState,
        reference: impl FnMut(&str) -> Reference,
    ) -> (Self, Vec<Lost>) {
        let (mut intake, panes, lost) = Intake::restore(Arc::clone(&policy), setup, state.intake, reference);
        let mut evaluator = Evaluator::restore(Arc::clone(&policy), state.evaluator);
        for code in lost.iter().filter_map(|lost| intake.names().version_code(&lost.version)) {
            evaluator.count_anew(code, Cause::Baseline);
        }
        // What was closed and not judged when the checkpoint was written.
        let closing = intake.closed_before();
        let pipeline = Self::of(policy, intake, panes, evaluator, workers);
        lock(&pipeline.order).closings.push_back(closing);
        (pipeline, lost)
    }
}

#[cfg(test)]
mod tests;
