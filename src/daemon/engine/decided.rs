//! Versions of a shard are counted against the baseline that is decided for all shards.

use std::time::{Duration, Instant};

use super::assembly::Engine;
use super::shard::ShardPart;
use crate::cluster::decisions::Decision;
use crate::daemon::loader::{Claim, Key};
use crate::telemetry::events::cluster::OtherBaseline;
use driftgate_core::intake::versions::Reference;
use driftgate_core::pipeline::lock;

/// A snapshot that is not the one that was decided for is read again after this.
const AGAIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Versions that rows wait for are counted against what was decided, once that is loaded.
    pub(super) fn take_decisions(&self, part: &ShardPart) {
        let Some(asks) = &self.shared.asks else { return };
        let asked: Vec<Key> = lock(asks).iter().cloned().collect();
        let world = self.world();
        let (finished, due) = {
            let mut loader = lock(&self.shared.loader);
            (loader.finished(), loader.due())
        };
        for (key, reference) in finished {
            let model = world.models.iter().find(|m| m.policy.model == key.0);
            if let (Some(model), Reference::Baseline { sha256, .. }) = (model, &reference)
                && model.intake().is_unknown(&key.1)
            {
                match part.decision(&key) {
                    Some(Decision::Baseline { sha256: decided }) if decided == **sha256 => {
                        model.intake().set_reference(&key.1, reference);
                        lock(asks).remove(&key);
                    }
                    decided => {
                        OtherBaseline { model: &key.0, version: &key.1, found: sha256, decided: decided.is_some() }
                            .emit();
                        lock(&part.other).insert(key.clone(), Instant::now());
                    }
                }
            }
            lock(&self.shared.loader).settle(&key);
        }
        for key in asked.iter().chain(due.iter().map(|(key, _)| key)) {
            let Some(model) = world.models.iter().find(|m| m.policy.model == key.0) else { continue };
            if !model.intake().is_unknown(&key.1) {
                lock(asks).remove(key);
                continue;
            }
            match part.decision(key) {
                None => {}
                Some(Decision::Without { why }) => {
                    model.intake().set_reference(&key.1, Reference::Failed(why));
                    lock(asks).remove(key);
                }
                Some(Decision::Baseline { .. }) => {
                    let waits = lock(&part.other).get(key).is_some_and(|at| at.elapsed() < AGAIN);
                    let mut loader = lock(&self.shared.loader);
                    if !waits && (due.iter().any(|(of, _)| of == key) || !loader.has_failed(key)) {
                        loader.start(&model.policy, &key.1, Claim::Known);
                    }
                }
            }
        }
    }
}
