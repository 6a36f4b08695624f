//! What shards have given away is added in the order of its log. What was counted against a baseline that is not decided here waits until it is.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::assembly::Engine;
use super::evaluator::{Evaluator, EvaluatorOf, Inner, decision};
use super::world::World;
use crate::checkpoint::Position;
use crate::cluster::sets::{Arrived, Tail};
use crate::daemon::loader::Claim;
use crate::telemetry::events::cluster::Retried;
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::shard::{Against, Delta};

/// Adding gives way to what else is due after this time.
const LONGEST_ADDING: Duration = Duration::from_millis(100);

/// Whether a delta was added; where none was, there is none, or it waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Added {
    One,
    None,
}

impl Engine {
    /// Adds what shards have given away since, and has windows closed as far as that allows.
    pub(super) fn evaluate(&self, evaluator: &Evaluator) {
        if self.shared.hold.load(Ordering::Relaxed) {
            return;
        }
        let world = self.world();
        // What is added while the brokers are asked where the partitions end is not in their answer.
        if !lock(&evaluator.inner).confirming.is_asking {
            let until = Instant::now() + LONGEST_ADDING;
            while Instant::now() < until {
                match self.add_one(evaluator, &world) {
                    Ok(Added::One) => lock(&evaluator.inner).added = true,
                    Ok(Added::None) => break,
                    Err(why) => {
                        lock(&evaluator.inner).broken = Some(format!("{why:#}"));
                        self.shared.stop.store(true, Ordering::Relaxed);
                        return;
                    }
                }
            }
        }
        self.confirm(evaluator, &world);
    }

    fn add_one(&self, evaluator: &Evaluator, world: &World) -> anyhow::Result<Added> {
        let mut inner = lock(&evaluator.inner);
        let inner = &mut *inner;
        let (arrived, delta) = match inner.waiting.take() {
            Some(waiting) => waiting,
            None => match next(evaluator, inner)? {
                Some(next) => next,
                None => return Ok(Added::None),
            },
        };
        let found = world.models.iter().enumerate().find(|(_, model)| model.policy.model == delta.model);
        let Some((at, model)) = found else {
            return Err(anyhow!(
                "a shard of {:?} counts the model {:?}, which is not judged here",
                arrived.unit,
                delta.model
            ));
        };
        // A shard that asks goes on once it is answered; what it has counted is added before.
        delta.asks.iter().for_each(|version| {
            self.is_decided(inner, model, version);
        });
        let counted = delta.versions.iter().filter(|at| at.against != Against::Undecided);
        let undecided = counted.filter(|at| !self.is_decided(inner, model, &at.name)).count();
        if undecided > 0 {
            inner.waiting = Some((arrived, delta));
            return Ok(Added::None);
        }
        let read = Position { next: arrived.next, end: arrived.end };
        let Some(evaluation) = inner.evaluations.get_mut(at) else { return Ok(Added::None) };
        evaluation.add(model, delta)?;
        inner.read = read;
        Ok(Added::One)
    }

    /// Whether a version's baseline is decided: one that is asked for again is published again, another one is loaded.
    fn is_decided(&self, inner: &mut Inner, model: &Pipeline, version: &str) -> bool {
        let key = (model.policy.model.clone(), version.to_owned());
        let intake = model.intake();
        if intake.is_unknown(version) {
            let claim = Claim::of(intake.is_registered(version));
            drop(intake);
            let mut loader = lock(&self.shared.loader);
            if !loader.has_failed(&key) {
                loader.start(&model.policy, version, claim);
            }
            return false;
        }
        if !inner.decided.contains_key(&key) && !inner.published.contains(&key) {
            let reference = intake.versions().find(|(_, name, _)| *name == version).map(|(_, _, v)| v.reference());
            if let Some(decision) = reference.and_then(decision) {
                inner.decided.insert(key, decision);
            }
        }
        true
    }
}

/// The next delta of one of the shards.
fn next(evaluator: &Evaluator, inner: &mut Inner) -> anyhow::Result<Option<(Arrived, Delta)>> {
    let EvaluatorOf { properties, partials: (topic, partition), shards, .. } = &evaluator.of;
    let tail = match &mut inner.tail {
        Some(tail) => tail,
        none => match Tail::open(properties, (topic, *partition), inner.read) {
            Ok(tail) if tail.begins_anew() => {
                return Err(anyhow!(
                    "the internal topic {topic:?} ends before what was judged of it: it was deleted, or lost its end, and what shards counted meanwhile is gone"
                ));
            }
            Ok(tail) => none.insert(tail),
            Err(e) => {
                inner.tries += 1;
                Retried { what: "reading what shards have counted", tries: inner.tries, error: &e.to_string() }.emit();
                return Ok(None);
            }
        },
    };
    while let Some(arrived) = tail.next(Duration::ZERO) {
        // Of another division.
        if !shards.contains_key(&arrived.unit) {
            inner.read = Position { next: arrived.next, end: arrived.end };
            continue;
        }
        let delta = Delta::read(&arrived.document).map_err(|e| {
            anyhow!("what {:?} has counted, at offset {} of {topic:?}, cannot be read: {e}", arrived.unit, arrived.end)
        })?;
        return Ok(Some((arrived, delta)));
    }
    Ok(None)
}
