//! Blocks that a person ended are taken over by the pipeline, so that the next breach blocks again.

use super::assembly::Engine;
use crate::cluster::results::Noted;
use crate::ledger::Unblocked;
use crate::telemetry::events::registry::{BlockEnded, Done, DoneNotRecorded, Question, RegistryUnanswered};

impl Engine {
    /// Asks which blocks were ended, and has the registry record it once every checkpoint that a restart may use contains the
    /// change: the last one and the one before.
    pub(super) fn apply_unblocked(&self) {
        let models: Vec<String> = self.world().models.iter().map(|m| m.policy.model.clone()).collect();
        for model in models {
            let ended = match self.registry.unblocked(&model) {
                Ok(ended) => self.ends_not_noted(&model, ended),
                Err(e) => {
                    let (model, question) = (&model, Question::BlocksEnded);
                    RegistryUnanswered { model, version: None, question, error: &e }.emit();
                    continue;
                }
            };
            if ended.is_empty() {
                continue;
            }
            {
                let world = self.world();
                let Some(pipeline) = world.models.iter().find(|m| m.policy.model == model) else { continue };
                for of in &ended {
                    pipeline.unblock(&of.version, &of.group, of.since_ms);
                    BlockEnded { model: &model, version: &of.version, group: &of.group }.emit();
                }
                let active = pipeline.blocks();
                let mut view = self.shared.view.write();
                for of in &ended {
                    let is_active = active.contains_key(&(of.version.clone(), of.group.clone()));
                    if let Some(shown) = view.version_mut(&model, &of.version).filter(|_| !is_active) {
                        shown.blocks.remove(&of.group);
                    }
                }
            }
            if let Some(results) = &self.results {
                // The commit that has the change says so.
                ended.iter().for_each(|of| results.note(noted(&model, of)));
                self.save();
            } else if self.save()
                && self.save()
                && let Err(e) = self.registry.heeded_unblocked(&model, &ended)
            {
                DoneNotRecorded { model: &model, version: None, done: Done::BlocksEnded, error: &e }.emit();
            }
        }
    }

    /// Those that this process has not said to know of already.
    fn ends_not_noted(&self, model: &str, ended: Vec<Unblocked>) -> Vec<Unblocked> {
        let Some(results) = &self.results else { return ended };
        let asked: Vec<Noted> = ended.iter().map(|of| noted(model, of)).collect();
        results
            .heeded(|told| !matches!(told, Noted::Unblocked { .. }) || told.model() != model || asked.contains(told));
        ended.into_iter().zip(asked).filter(|(_, asked)| !results.has_noted(asked)).map(|(of, _)| of).collect()
    }
}

fn noted(model: &str, Unblocked { version, group, since_ms }: &Unblocked) -> Noted {
    Noted::Unblocked { model: model.to_owned(), version: version.clone(), group: group.clone(), since_ms: *since_ms }
}
