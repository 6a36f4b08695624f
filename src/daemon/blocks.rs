//! Active blocks at the start: the registry has them, also where counts start anew.

use crate::ledger::{Embedded, RegistryError};
use crate::sink::Item;
use crate::telemetry::events::registry::{BlockUnknown, Question, RegistryUnanswered};
use driftgate_core::evaluate::Blocks;
use driftgate_core::judge::verdict::Action;
use driftgate_core::pipeline::Pipeline;

/// Gives a pipeline the blocks that are active by the registry and by the signals that it has not received yet, and removes those that it
/// never received.
pub fn take_over(pipeline: &Pipeline, registry: &Embedded, unsent: &[Item]) {
    if let Err(e) = agree(pipeline, registry, unsent) {
        let (model, question) = (&pipeline.policy.model, Question::BlocksActive);
        RegistryUnanswered { model, version: None, question, error: &e }.emit();
    }
}

fn agree(pipeline: &Pipeline, registry: &Embedded, unsent: &[Item]) -> Result<(), RegistryError> {
    let model = &pipeline.policy.model;
    let mut active = Blocks::new();
    for record in registry.versions(Some(model))? {
        for block in record.blocks {
            // A time that cannot be parsed was before any window.
            let since = block.since.parse().map_or(i64::MIN, jiff::Timestamp::as_millisecond);
            active.insert((record.version.clone(), block.group), since);
        }
    }
    let mut known = pipeline.blocks();
    for item in unsent {
        let Item::Signal(signal) = item else { continue };
        let ts = signal.ts.parse().map_or(i64::MIN, jiff::Timestamp::as_millisecond);
        let key = (signal.version.clone(), signal.group.clone());
        match signal.action {
            _ if signal.model != *model => {}
            Action::Block => {
                // The registry will receive it.
                known.remove(&key);
                active.insert(key, ts);
            }
            Action::Clear => drop(active.remove(&key)),
            Action::Rollback => {}
        }
    }
    for ((version, group), since) in known {
        let is_known = since == i64::MIN || registry.was_told_of_block(model, &version, &group, since)?;
        if !is_known {
            BlockUnknown { model, version: &version, group: &group }.emit();
            pipeline.unblock(&version, &group, since);
        }
    }
    pipeline.inherit(active);
    Ok(())
}
