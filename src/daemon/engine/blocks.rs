//! Blocks that a person ended are told to those who count, so that the next breach blocks anew.

use super::assembly::Engine;

impl Engine {
    /// Asks which blocks were ended. That is noted once a checkpoint has it.
    pub(super) fn apply_unblocked(&self) {
        let models: Vec<String> = self.world().models.iter().map(|m| m.policy.model.clone()).collect();
        for model in models {
            let ended = match self.registry.unblocked(&model) {
                Ok(ended) if ended.is_empty() => continue,
                Ok(ended) => ended,
                Err(e) => {
                    tracing::warn!(model, error = %e, "the registry does not say which blocks were ended");
                    continue;
                }
            };
            {
                let world = self.world();
                let Some(pipeline) = world.models.iter().find(|m| m.policy.model == model) else { continue };
                for of in &ended {
                    pipeline.unblock(&of.version, &of.group, of.since_ms);
                    tracing::warn!(model, version = of.version, group = of.group, "a block was ended by a person");
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
                && let Err(e) = self.registry.heeded_unblocked(&model, &ended)
            {
                tracing::warn!(model, error = %e, "that cannot be written down; it is heeded again");
            }
        }
    }
}
