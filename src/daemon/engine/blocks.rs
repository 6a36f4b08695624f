//! Blocks that a person ended are taken over by the pipeline, so that the next breach blocks again.

use super::assembly::Engine;
use crate::telemetry::events::registry::{BlockEnded, Done, DoneNotRecorded, Question, RegistryUnanswered};

impl Engine {
    /// Asks which blocks were ended, and has the registry record it once every checkpoint that a restart may use contains the
    /// change: the last one and the one before.
    pub(super) fn apply_unblocked(&self) {
        let models: Vec<String> = self.world().models.iter().map(|m| m.policy.model.clone()).collect();
        for model in models {
            let ended = match self.registry.unblocked(&model) {
                Ok(ended) if ended.is_empty() => continue,
                Ok(ended) => ended,
                Err(e) => {
                    let (model, question) = (&model, Question::BlocksEnded);
                    RegistryUnanswered { model, version: None, question, error: &e }.emit();
                    continue;
                }
            };
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
            if self.save()
                && self.save()
                && let Err(e) = self.registry.heeded_unblocked(&model, &ended)
            {
                DoneNotRecorded { model: &model, version: None, done: Done::BlocksEnded, error: &e }.emit();
            }
        }
    }
}
