//! A model's counts start anew under another policy, from where its topics stand now.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::assembly::{Engine, shares};
use super::partition::PartitionSlot;
use super::refresh::new_model_view;
use super::world::World;
use crate::clock::now_ms;
use crate::daemon::loader::Claim;
use crate::daemon::topics::Topic;
use driftgate_core::intake::starts::Cause;
use driftgate_core::intake::{Intake, Setup};
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::policy::Policy;
use driftgate_core::window::front::Front;

/// How far a partition had come for a model whose counts start anew.
#[derive(Clone, Copy)]
enum Reached {
    /// No record of the model has come by.
    Nothing,
    /// Nothing later than this.
    To(i64),
    /// What waited, or came before, was not counted.
    Unknown,
}

impl Reached {
    fn of(slot: &PartitionSlot, model: usize, intake: &Intake) -> Option<Self> {
        let (source, _) = *slot.sources.get(&model)?;
        let waits = lock(&slot.state).parked.iter().any(|(m, ..)| *m == model);
        Some(match intake.front(source).and_then(Front::claimed) {
            _ if waits || intake.is_behind(source) => Self::Unknown,
            Some(ts) => Self::To(ts),
            None => Self::Nothing,
        })
    }
}

impl Engine {
    /// Starts a model's counts anew under another policy, from where its topics stand now.
    pub fn start_anew(&self, policy: &Arc<Policy>, setup: Setup, topics: Vec<Topic>) {
        let mut world = self.resting();
        let world = &mut *world;
        let Some(at) = world.models.iter().position(|m| m.policy.model == policy.model) else { return };
        let Some(model) = world.models.get_mut(at) else { return };
        let pinned: Vec<String> =
            model.intake().versions().filter(|(_, _, v)| v.pinned).map(|(_, n, _)| n.to_owned()).collect();
        let reached: Vec<Option<Reached>> =
            world.slots.iter().map(|slot| Reached::of(slot, at, &model.intake())).collect();
        // Under the policy that it was counted for.
        let before = Arc::clone(&model.policy);
        model.judge_all(&mut |judged, _| self.shared.deliver(judged, &before));
        let blocks = model.blocks();
        *model = Pipeline::new(Arc::clone(policy), setup, self.workers);
        self.guard(model, shares(&topics, at));
        model.inherit(blocks);
        for version in pinned {
            model.intake().pin(&version, true);
            lock(&self.shared.loader).start(policy, &version, Claim::Known);
        }
        world.topics = topics;
        reconnect(world, at, reached);
        if let Some(model) = world.models.get(at) {
            self.show_anew(model);
        }
    }

    /// Shows a model whose counts start anew.
    fn show_anew(&self, model: &Pipeline) {
        let name = &model.policy.model;
        let mut view = self.shared.view.write();
        let mut shown = new_model_view(model);
        // What is blocked stays so until a window passes.
        let before = view.models.remove(name).map(|m| m.versions).unwrap_or_default();
        for (version, before) in before.into_iter().filter(|(_, v)| !v.blocks.is_empty()) {
            shown.versions.entry(version).or_default().blocks = before.blocks;
        }
        view.models.insert(name.clone(), shown);
    }
}

/// Connects every partition anew after the topics' slots changed. The model that starts anew goes on from what each had reached.
fn reconnect(world: &mut World, at: usize, reached: Vec<Option<Reached>>) {
    world.generation += 1;
    let now = Instant::now();
    for (PartitionSlot { state, sources, .. }, reached) in world.slots.iter_mut().zip(reached) {
        let state = state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.parked.retain(|(m, ..)| *m != at);
        if state.parked.is_empty() {
            state.counted = state.partition.next;
        }
        let Some(topic) = world.topics.get(state.topic) else { continue };
        // Slots changed, so every partition decodes anew; what was counted by topic goes on.
        if let Some(past) = world.past.get_mut(state.topic) {
            past.add(&state.reader.log.read);
        }
        state.reader = topic.succeeding(&mut state.reader, now_ms());
        sources.remove(&at);
        for &m in &topic.models {
            let Some(model) = world.models.get(m).filter(|model| model.reads(topic.kind)) else { continue };
            let mut intake = model.intake();
            let decoder = intake.add_decoder();
            if m == at {
                let source = intake.add_source(topic.kind, topic.future(), None);
                match reached {
                    Some(Reached::To(ts)) => intake.begin_behind(source, Some(ts), Cause::Policy),
                    Some(Reached::Unknown) => intake.begin_behind(source, None, Cause::Policy),
                    None if state.partition.next > Some(0) => intake.begin_behind(source, None, Cause::Policy),
                    Some(Reached::Nothing) | None => {}
                }
                sources.insert(m, (source, decoder));
                state.last_event.insert(m, now);
            } else if let Some(source) = sources.get_mut(&m) {
                source.1 = decoder;
            }
        }
    }
}
