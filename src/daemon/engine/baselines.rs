//! Baselines that were loaded are taken over, and snapshots of versions that were not taken on are looked for.

use std::time::{Duration, Instant};

use super::assembly::Engine;
use super::evaluator::Evaluator;
use super::share::Share;
use super::snapshots::{self, CHECK};
use super::world::World;
use crate::daemon::loader::{Claim, Key};
use crate::telemetry::events::state::{BaselineMissing, VersionTakenOn};
use driftgate_core::intake::versions::Reference;
use driftgate_core::pipeline::{Pipeline, lock};

/// The pause between two looks for snapshots of versions that were not taken on.
const SEEK_EVERY: Duration = Duration::from_millis(250);

impl Engine {
    /// Takes over baselines that were loaded; what waited for them is counted by the next worker that comes by.
    pub(super) fn take_over_baselines(&self) {
        let world = self.world();
        // Workers ask the loader with an intake in hand, so this one does not hold it while asking for one.
        let (finished, due) = {
            let mut loader = lock(&self.shared.loader);
            (loader.finished(), loader.due())
        };
        let slow = lock(&self.shared.loader).slow(CHECK);
        for (key, elapsed) in slow {
            let why = || format!("its snapshot has been read for {} s without an end", elapsed.as_secs());
            if snapshots::kept_of(&world, &key).is_some() && !self.is_reported(&key) {
                self.unreachable(&key, &why());
            }
        }
        // What replaces a baseline needs the workers to rest.
        let (others, fresh): (Vec<_>, Vec<_>) =
            finished.into_iter().partition(|(key, found)| snapshots::is_another(&world, key, found));
        for (key, reference) in fresh {
            self.take_over(&world, &key, reference);
            lock(&self.shared.loader).settle(&key);
        }
        for ((name, version), claim) in due {
            if let Some(model) = world.models.iter().find(|m| m.policy.model == name) {
                lock(&self.shared.loader).start(&model.policy, &version, claim);
            }
        }
        self.seek_snapshot(&world);
        drop(world);
        for (key, reference) in others {
            match &self.share {
                Share::Evaluator(evaluator) => evaluator.stays(&key, "the version's snapshot is another one now"),
                Share::Whole | Share::Shard(_) => self.replace(&key, reference),
            }
            lock(&self.shared.loader).settle(&key);
        }
    }

    /// Looks whether a version that was not taken on has a snapshot: beside everything else, and a few a second.
    fn seek_snapshot(&self, world: &World) {
        let mut sought = lock(&self.sought);
        if sought.is_some_and(|at| at.elapsed() < SEEK_EVERY) || lock(&self.shared.loader).seeks() {
            return;
        }
        for model in &world.models {
            // Where all have the same snapshot, or none has, it says nothing of any.
            if model.policy.baseline.is_of_version()
                && let Some(name) = model.try_intake().and_then(|mut intake| intake.next_sought())
            {
                *sought = Some(Instant::now());
                lock(&self.shared.loader).start(&model.policy, &name, Claim::Refused);
                return;
            }
        }
    }

    fn take_over(&self, world: &World, key: &Key, reference: Reference) {
        let (name, version) = key;
        if lock(&self.shared.loader).claim(key) == Some(Claim::Refused) {
            if let Reference::Baseline { .. } = reference
                && let Some(model) = world.models.iter().find(|m| m.policy.model == *name)
            {
                VersionTakenOn { model: name, version }.emit();
                model.intake().take_on(version, false);
            } else {
                return;
            }
        }
        lock(&self.shared.unchecked).versions.remove(key);
        let Some(model) = world.models.iter().find(|m| m.policy.model == *name) else { return };
        if let Share::Evaluator(evaluator) = &self.share
            && !self.decides(evaluator, (world, model), key, &reference)
        {
            return;
        }
        if snapshots::kept_of(world, key).is_some() {
            match reference {
                Reference::Failed(why) => self.unreachable(key, &why),
                Reference::Baseline { .. } | Reference::Unknown => self.reachable(key),
            }
            return;
        }
        self.shared.view.write().readiness.release(&snapshots::latch(name, version));
        if let Reference::Failed(why) = &reference {
            let known =
                self.shared.view.read().models.get(name).and_then(|m| m.versions.get(version)?.baseline.clone());
            if known != Some(Err(why.clone())) {
                BaselineMissing { model: name, version, why }.emit();
            }
        }
        let shown = match &reference {
            Reference::Baseline { baseline, sha256 } => Some((Ok(sha256.to_string()), Some(baseline.rows))),
            Reference::Failed(why) => Some((Err(why.clone()), None)),
            Reference::Unknown => None,
        };
        if let (Some((baseline, rows)), Some(v)) = (shown, self.shared.view.write().version_mut(name, version)) {
            v.baseline = Some(baseline);
            v.is_decided = self.share.is_divided();
            v.reference_rows = rows;
        }
        if let Share::Evaluator(evaluator) = &self.share {
            evaluator.decide(key, &reference);
        }
        model.intake().set_reference(version, reference);
    }

    /// Whether what was loaded is decided for all shards.
    fn decides(
        &self,
        evaluator: &Evaluator,
        (world, model): (&World, &Pipeline),
        key: &Key,
        reference: &Reference,
    ) -> bool {
        if !model.intake().is_unknown(&key.1) {
            // As before; what a look at its snapshot found is told as of any other.
            let is_counted = snapshots::kept_of(world, key).is_some();
            if !is_counted && matches!(reference, Reference::Baseline { .. }) {
                evaluator.stays(key, "the version's snapshot is there now, and it is counted without");
                self.forget_snapshot(key);
            }
            return is_counted;
        }
        !matches!(reference, Reference::Failed(_)) || !evaluator.waits_for(key, lock(&self.shared.loader).claim(key))
    }
}
