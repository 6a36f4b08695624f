//! What a checkpoint comes to at the start: pipelines with their counts, and the models of the status view.

use std::sync::Arc;

use super::blocks;
use super::control::Control;
use super::engine::new_model_view;
use super::loader::Origin;
use crate::checkpoint::{Checkpoint, HalvesState, PartState, SourceState};
use crate::ledger::Embedded;
use crate::sink::Item;
use crate::telemetry::events::policies::PolicyChanged;
use crate::telemetry::events::registry::{GroupNotJudged, Question, RegistryUnanswered};
use crate::telemetry::events::state::{BaselineAwaited, CountsLost, ModelDropped};
use crate::view::Shared;
use crate::view::readiness::{Latch, NotReady};
use driftgate_core::intake::Setup;
use driftgate_core::intake::state::Lost;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::pipeline::{Anew, Pipeline, PipelineState};
use driftgate_core::policy::Policy;

/// What a checkpoint comes to.
pub struct Restored {
    pub models: Vec<Pipeline>,
    pub kept: Vec<SourceState>,
    pub unsent: Vec<Item>,
    /// Models whose counts start anew.
    pub fresh: Vec<String>,
    /// What a part of a unit kept.
    pub part: PartState,
    /// Requests and responses that wait for each other, by topic.
    pub halves: Vec<HalvesState>,
}

/// What restoring needs.
pub struct Restorer<'r> {
    pub setup: Setup,
    pub origin: &'r Origin,
    pub registry: &'r Arc<Embedded>,
    /// Where the models are shown; `None` where others judge them.
    pub view: Option<&'r Shared>,
    pub control: &'r Control,
    /// The registry here may be behind what was committed: blocks are what the state says.
    pub is_behind: bool,
}

impl Restorer<'_> {
    /// Pipelines as the checkpoint kept them; a model whose policy changed in what it counts starts anew, and says so.
    #[must_use]
    pub fn restore(&self, policies: &[Arc<Policy>], checkpoint: Option<Checkpoint>) -> Restored {
        let Checkpoint { sources, mut pipelines, outbox, part } = checkpoint.unwrap_or_default();
        let (part, halves) = part.split();
        let (mut models, mut fresh) = (Vec::new(), Vec::new());
        for policy in policies {
            let state = pipelines.iter().position(|p| p.model == policy.model).map(|at| pipelines.swap_remove(at));
            let pipeline = state.and_then(|state| match state.anew(policy) {
                None => Some(self.pipeline(policy, state)),
                Some(why) => {
                    warn_anew(&policy.model, &why);
                    fresh.push(policy.model.clone());
                    None
                }
            });
            let is_kept = pipeline.is_some();
            let pipeline =
                pipeline.unwrap_or_else(|| Pipeline::new(Arc::clone(policy), self.setup, self.origin.threads));
            if !(is_kept && self.is_behind) {
                blocks::take_over(&pipeline, self.registry, &outbox);
            }
            if let Some(view) = self.view {
                show(&pipeline, self.registry.as_ref(), view);
            }
            models.push(pipeline);
        }
        for left in pipelines {
            ModelDropped { model: &left.model }.emit();
        }
        Restored { models, kept: sources, unsent: outbox, fresh, part, halves }
    }

    /// A pipeline with the counts of its state.
    fn pipeline(&self, policy: &Arc<Policy>, state: PipelineState) -> Pipeline {
        let changed = state.policy_sha256 != policy.sha256;
        let load = |version: &str| self.baseline(policy, version);
        let (mut pipeline, lost) = Pipeline::restore(Arc::clone(policy), self.setup, self.origin.threads, state, load);
        for Lost { version, why } in lost {
            CountsLost { model: &policy.model, version: &version, why: &why }.emit();
        }
        if changed {
            pipeline.forget_streaks();
            PolicyChanged::Limits { model: &policy.model }.emit();
        }
        pipeline
    }

    /// The baseline of a restored version that the state does not hold.
    fn baseline(&self, policy: &Arc<Policy>, version: &str) -> Reference {
        let latch = Latch::Baseline { model: policy.model.clone(), version: version.to_owned() };
        let tell = |why: &str| {
            let reason =
                NotReady::NoBaseline { model: policy.model.clone(), version: version.to_owned(), why: why.to_owned() };
            let sentence = reason.to_string();
            let is_told = self.view.is_some_and(|view| {
                let mut view = view.write();
                let is_told = view.readiness.reason(&latch) == Some(&reason);
                view.readiness.hold(reason);
                is_told
            });
            if !is_told {
                BaselineAwaited { model: &policy.model, version, why: &sentence }.emit();
            }
        };
        let found = self.origin.load_patiently(policy, version, self.control, &tell);
        if let Some(view) = self.view {
            view.write().readiness.release(&latch);
        }
        found
    }
}

fn warn_anew(model: &str, why: &Anew) {
    match why {
        Anew::Policy => PolicyChanged::Counts { model }.emit(),
        Anew::Rule(rule) => PolicyChanged::Rule { model, rule }.emit(),
    }
}

/// Puts a model into the status view, with the verdicts and blocks that the registry keeps.
pub fn show(pipeline: &Pipeline, registry: &Embedded, view: &Shared) {
    let model = &pipeline.policy.model;
    let mut shown = new_model_view(pipeline);
    let keep = view.read().keep;
    let records = registry.versions(Some(model)).unwrap_or_else(|e| {
        RegistryUnanswered { model, version: None, question: Question::Versions, error: &e }.emit();
        Vec::new()
    });
    let intake = pipeline.intake();
    let known = intake.versions().map(|(_, name, _)| name.to_owned());
    let names: std::collections::BTreeSet<String> = records.iter().map(|r| r.version.clone()).chain(known).collect();
    for name in names {
        let version = shown.versions.entry(name.clone()).or_default();
        let stored = registry.verdicts(model, &name).unwrap_or_else(|e| {
            let (version, question) = (Some(name.as_str()), Question::Verdicts);
            RegistryUnanswered { model, version, question, error: &e }.emit();
            Vec::new()
        });
        for json in stored {
            match verdict_from_json(&json) {
                Ok(verdict) => version.push(Arc::new(verdict), keep),
                Err(e) => GroupNotJudged { model, version: &name, error: &e }.emit(),
            }
        }
        if let Some(record) = records.iter().find(|r| r.version == name) {
            version.blocks = record.blocks.iter().map(|b| (b.group.clone(), b.reasons.clone())).collect();
        }
    }
    for (_, name, version) in intake.versions() {
        let Some(v) = shown.versions.get_mut(name) else { continue };
        match version.reference() {
            Reference::Baseline { baseline, sha256 } => {
                v.baseline = Some(Ok(sha256.to_string()));
                v.reference_rows = Some(baseline.rows);
            }
            Reference::Failed(why) => v.baseline = Some(Err(why.clone())),
            Reference::Unknown => {}
        }
    }
    let mut view = view.write();
    view.restoring.remove(model);
    view.models.insert(model.clone(), shown);
}
