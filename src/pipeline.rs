//! One model from batches to verdicts: the intake and the evaluator coupled in one process. Replay and daemon both run it,
//! which is why a replay is the oracle of the daemon.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::baseline::BuiltFor;
use crate::decode::plan::EventKind;
use crate::evaluate::{Evaluator, EvaluatorState, Judgement};
use crate::intake::state::IntakeState;
use crate::intake::versions::Reference;
use crate::intake::{Intake, SealedPane, Setup};
use crate::judge::verdict::digest;
use crate::policy::Policy;
use crate::window::layout::Reads;

/// One model's counting and judging.
pub struct Pipeline {
    pub policy: Arc<Policy>,
    pub intake: Intake,
    evaluator: Evaluator,
    sealed: Vec<SealedPane>,
}

/// A pipeline's durable state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipelineState {
    pub model: String,
    /// Digest of the policy it was judged by, and of what that policy counts.
    pub policy_sha256: String,
    pub counts: String,
    pub intake: IntakeState,
    pub evaluator: EvaluatorState,
}

impl PipelineState {
    /// Whether its counts serve a policy: the same features, grid, segments, labels, windows and reads.
    #[must_use]
    pub fn counts_by(&self, policy: &Policy) -> bool {
        self.counts == counts_digest(policy)
    }
}

/// A digest of everything in a policy that decides what is counted, and nothing that only decides how it is judged.
fn counts_digest(policy: &Policy) -> String {
    let groups: Vec<_> =
        policy.groups.iter().map(|g| (&g.name, g.window, g.lateness, g.traffic, Reads::new(g))).collect();
    let counted = format!(
        "{:?}{:?}{:?}{:?}{:?}{groups:?}",
        BuiltFor::new(policy),
        policy.labels,
        policy.kpis,
        policy.measured,
        policy.ignores
    );
    digest(&[counted.as_bytes()])
}

impl Pipeline {
    /// Takes over a policy that only judges differently: counts stay, hysteresis starts anew. `false` for one that counts
    /// something else; nothing changes then.
    pub fn adopt(&mut self, policy: Arc<Policy>) -> bool {
        if counts_digest(&self.policy) != counts_digest(&policy) {
            return false;
        }
        self.intake.adopt(Arc::clone(&policy));
        self.evaluator.adopt(Arc::clone(&policy));
        self.policy = policy;
        true
    }

    /// Lets go of versions that are long past; returns their names.
    pub fn retire(&mut self) -> Vec<String> {
        let evaluator = &self.evaluator;
        self.intake.retire(|version| evaluator.holds(version))
    }

    /// Starts hysteresis anew.
    pub fn forget_streaks(&mut self) {
        self.evaluator.forget_streaks();
    }

    #[must_use]
    pub fn new(policy: Arc<Policy>, setup: Setup) -> Self {
        Self {
            intake: Intake::new(Arc::clone(&policy), setup),
            evaluator: Evaluator::new(Arc::clone(&policy)),
            sealed: Vec::new(),
            policy,
        }
    }

    /// Closes what the streams have passed.
    pub fn advance(&mut self) -> Judgement {
        let bases = self.intake.bases();
        let lines = self.intake.seal(&bases, &mut self.sealed);
        self.evaluator.add(self.sealed.drain(..));
        self.evaluator.close(&self.intake, &lines, &lines)
    }

    /// The end of all files: what is left is judged, complete where the streams had passed its end.
    pub fn finish(&mut self) -> Judgement {
        let mut bases = self.intake.bases();
        // No prediction will come any more for a label that waits.
        bases.predictions_quiet = true;
        let lines = self.intake.seal(&bases, &mut self.sealed);
        self.evaluator.add(self.sealed.drain(..));
        let mut out = self.evaluator.close(&self.intake, &lines, &lines);
        self.intake.drain(&mut self.sealed);
        self.evaluator.add(self.sealed.drain(..));
        let all = vec![Some(i64::MAX); lines.len()];
        let rest = self.evaluator.close(&self.intake, &all, &lines);
        out.verdicts.extend(rest.verdicts);
        out.signals.extend(rest.signals);
        out
    }

    /// The end up to which every group has closed its windows: verdicts at or before it are all out.
    #[must_use]
    pub fn closed_to(&self) -> i64 {
        self.intake.closed().iter().copied().min().unwrap_or(i64::MIN)
    }

    /// Whether the policy reads a stream: labels where it joins them, measurements where rules read them.
    #[must_use]
    pub fn reads(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::Predictions | EventKind::Features => true,
            EventKind::Labels => self.policy.labels.is_some(),
            EventKind::Measurements => !self.policy.measured.is_empty(),
        }
    }

    #[must_use]
    pub fn state(&self) -> PipelineState {
        PipelineState {
            model: self.policy.model.clone(),
            policy_sha256: self.policy.sha256.clone(),
            counts: counts_digest(&self.policy),
            intake: self.intake.state(),
            evaluator: self.evaluator.state(),
        }
    }

    /// A pipeline as a checkpoint kept it, and the versions whose counts could not be kept.
    #[must_use]
    pub fn restore(
        policy: Arc<Policy>,
        setup: Setup,
        state: PipelineState,
        reference: impl FnMut(&str) -> Reference,
    ) -> (Self, Vec<String>) {
        let (intake, lost) = Intake::restore(Arc::clone(&policy), setup, state.intake, reference);
        let evaluator = Evaluator::restore(Arc::clone(&policy), state.evaluator);
        (Self { intake, evaluator, sealed: Vec::new(), policy }, lost)
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "pipeline_measured_tests.rs"]
mod measured_tests;
