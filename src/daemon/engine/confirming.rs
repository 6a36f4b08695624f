//! Closing windows over what shards have counted. After deltas were added, the brokers are asked where the partitions end: one that its shard
//! called quiet is idle only if it holds nothing beyond what that shard has counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::ask::{Answer, Partitions};
use super::assembly::Engine;
use super::evaluator::{Evaluator, Inner};
use super::world::World;
use driftgate_core::event::EventKind;
use driftgate_core::pipeline::lock;
use driftgate_core::shard::{Evaluation, Place};

/// The least time between two questions, and the most.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(1);

impl Engine {
    /// Closes windows as far as the brokers' last answer allows, and asks them again.
    pub(super) fn confirm(&self, evaluator: &Evaluator, world: &World) {
        let questions = lock(&self.questions);
        let Some(asker) = &questions.asker else { return };
        let mut inner = lock(&evaluator.inner);
        if inner.confirming.is_asking {
            let Some(answer) = asker.answer() else { return };
            inner.confirming.is_asking = false;
            self.close_by_ends(evaluator, &mut inner, world, &answer);
        }
        let every = (self.intervals.idle_after / 4).clamp(SOONEST, LATEST);
        let every = if inner.added { SOONEST } else { every };
        if inner.confirming.asked.is_some_and(|asked| asked.elapsed() < every) {
            return;
        }
        let mut partitions = Partitions::new();
        for (place, _) in inner.evaluations.iter().flat_map(Evaluation::standing) {
            let of = partitions.entry(place.topic.clone()).or_default();
            if !of.contains(&place.partition) {
                of.push(place.partition);
            }
        }
        if partitions.is_empty() {
            return;
        }
        asker.ask(partitions);
        inner.confirming.asked = Some(Instant::now());
        inner.confirming.is_asking = true;
        inner.added = false;
    }

    fn close_by_ends(&self, evaluator: &Evaluator, inner: &mut Inner, world: &World, answer: &Answer) {
        let Some(topics) = &answer.topics else { return };
        if self.ends_if_divided_anew(topics, u32::try_from(evaluator.of.shards.len()).unwrap_or(u32::MAX)) {
            return;
        }
        let now = Instant::now();
        let Inner { evaluations, confirming, .. } = inner;
        for (at, (model, evaluation)) in world.models.iter().zip(evaluations).enumerate() {
            let mut silent: BTreeSet<Place> = BTreeSet::new();
            let mut all: BTreeMap<EventKind, bool> = BTreeMap::new();
            for (place, stands) in evaluation.standing() {
                let end = answer.ends.get(&(place.topic.clone(), place.partition));
                let is_read = end.is_some_and(|end| u64::try_from(*end).is_ok_and(|end| end <= stands.next_offset));
                let is_silent = stands.is_quiet && is_read;
                *all.entry(stands.kind).or_insert(true) &= is_silent;
                if is_silent {
                    silent.insert(place.clone());
                }
            }
            let may_idle: BTreeMap<EventKind, bool> = all
                .iter()
                .map(|(kind, all)| (*kind, confirming.may_idle((at, *kind), *all, now, self.intervals.idle_after)))
                .collect();
            let idle: BTreeSet<Place> = evaluation
                .standing()
                .filter(|(place, stands)| may_idle.get(&stands.kind) == Some(&true) && silent.contains(place))
                .map(|(place, _)| place.clone())
                .collect();
            evaluation.confirm(model, |place| idle.contains(place));
            self.shared.judge(model);
        }
    }
}
