//! What the registry says of versions: which have a stage, which were made anew, and which have another snapshot.

use super::assembly::Engine;
use super::evaluator::Evaluator;
use crate::cluster::results::Noted;
use crate::daemon::loader::Claim;
use crate::ledger::RegistryError;
use crate::telemetry::events::registry::{
    Done, DoneNotRecorded, Question, RegistryUnanswered, SnapshotRegistered, VersionMadeAnew,
};
use driftgate_core::intake::newcomers::Registered as _;
use driftgate_core::pipeline::lock;

/// Reports that the registry does not answer a question about a model.
fn unanswered(model: &str, question: Question, error: &RegistryError) {
    RegistryUnanswered { model, version: None, question, error }.emit();
}

impl Engine {
    /// Versions with a stage pointer stay active, and their baselines are loaded before their first event.
    pub(super) fn pin_registered(&self) {
        for model in &self.world().models {
            let records = match self.registry.versions(Some(&model.policy.model)) {
                Ok(records) => records,
                Err(e) => {
                    unanswered(&model.policy.model, Question::Staged, &e);
                    continue;
                }
            };
            let registered = self.registry.registered(&model.policy.model).unwrap_or_default();
            for record in records {
                let mut intake = model.intake();
                if registered.contains(&record.version) {
                    intake.note_registered(&record.version);
                }
                let staged = !record.stages.is_empty();
                if staged || intake.names().version_code(&record.version).is_some() {
                    intake.pin(&record.version, staged);
                }
                if staged && self.share.judges() && intake.is_unknown(&record.version) {
                    lock(&self.shared.loader).start(&model.policy, &record.version, Claim::Known);
                }
            }
        }
    }

    /// Versions whose number was a deleted one's start anew. That is noted once a checkpoint has it.
    pub(super) fn count_anew(&self) {
        let models: Vec<String> = self.world().models.iter().map(|m| m.policy.model.clone()).collect();
        for model in models {
            let versions = match self.registry.to_count_anew(&model) {
                Ok(versions) => self.not_noted(&model, versions, counted_anew),
                Err(e) => {
                    unanswered(&model, Question::MadeAnew, &e);
                    continue;
                }
            };
            if versions.is_empty() {
                continue;
            }
            self.let_go(&model, &versions);
            if let Some(results) = &self.results {
                // The commit that has the change says so.
                versions.iter().for_each(|version| results.note(counted_anew(&model, version)));
            }
            if !self.save() {
                continue;
            }
            for version in versions {
                let (model, version) = (model.as_str(), version.as_str());
                VersionMadeAnew { model, version }.emit();
                if self.results.is_none()
                    && let Err(e) = self.registry.counted_anew(model, version)
                {
                    DoneNotRecorded { model, version: Some(version), done: Done::CountedAnew, error: &e }.emit();
                }
            }
        }
    }

    /// Versions that were registered with another snapshot than they are counted against: their baselines are loaded anew.
    pub(super) fn load_replaced(&self) {
        for model in &self.world().models {
            let policy = &model.policy;
            let replaced = self.registry.snapshots_replaced(&policy.model).unwrap_or_else(|e| {
                unanswered(&policy.model, Question::SnapshotsReplaced, &e);
                Vec::new()
            });
            for version in self.not_noted(&policy.model, replaced, snapshot_taken) {
                // Where one is being loaded, it may be the one before: it is asked for again.
                if lock(&self.shared.loader).is_under_way(&policy.model, &version) {
                    continue;
                }
                let (model_name, version_name) = (policy.model.as_str(), version.as_str());
                SnapshotRegistered { model: model_name, version: version_name }.emit();
                if let Some(results) = &self.results {
                    results.note(snapshot_taken(&policy.model, &version));
                } else if let Err(e) = self.registry.snapshot_taken(&policy.model, &version) {
                    let (version, done) = (Some(version_name), Done::SnapshotLoaded);
                    DoneNotRecorded { model: model_name, version, done, error: &e }.emit();
                }
                if model.intake().names().version_code(&version).is_some() {
                    lock(&self.shared.loader).start(policy, &version, Claim::Known);
                }
            }
        }
    }

    /// Says of versions that were made anew, or got another snapshot, that they are counted as they began: all shards would have to change that
    /// at the same event.
    pub(super) fn keep_decisions(&self, evaluator: &Evaluator) {
        for model in &self.world().models {
            let name = &model.policy.model;
            let anew = self.registry.to_count_anew(name).unwrap_or_default();
            let replaced = self.registry.snapshots_replaced(name).unwrap_or_default();
            let told = |versions: Vec<String>, what: &str| {
                let intake = model.intake();
                let counted = versions.into_iter().filter(|version| !intake.is_unknown(version));
                counted.for_each(|version| evaluator.stays(&(name.clone(), version), what));
            };
            told(anew, "the version was deleted and registered again");
            told(replaced, "the version was registered with another snapshot");
        }
    }

    fn let_go(&self, model: &str, versions: &[String]) {
        let world = self.resting();
        let Some(pipeline) = world.models.iter().find(|m| m.policy.model == *model) else { return };
        let mut view = self.shared.view.write();
        for version in versions {
            pipeline.count_anew(version);
            lock(&self.shared.loader).start(&pipeline.policy, version, Claim::Known);
            if let Some(shown) = view.version_mut(model, version) {
                shown.verdicts.clear();
                shown.blocks.clear();
            }
        }
    }

    /// Those of which this process has not said already that it is done.
    fn not_noted(&self, model: &str, versions: Vec<String>, of: fn(&str, &str) -> Noted) -> Vec<String> {
        let Some(results) = &self.results else { return versions };
        let asked: Vec<Noted> = versions.iter().map(|version| of(model, version)).collect();
        let kind = std::mem::discriminant(&of(model, ""));
        results.heeded(|told| std::mem::discriminant(told) != kind || told.model() != model || asked.contains(told));
        versions.into_iter().zip(asked).filter(|(_, asked)| !results.has_noted(asked)).map(|(of, _)| of).collect()
    }
}

fn counted_anew(model: &str, version: &str) -> Noted {
    Noted::CountedAnew { model: model.to_owned(), version: version.to_owned() }
}

fn snapshot_taken(model: &str, version: &str) -> Noted {
    Noted::SnapshotTaken { model: model.to_owned(), version: version.to_owned() }
}
