//! Partitions are connected to the models that read them, where the state left off.

use std::collections::BTreeMap;
use std::time::Instant;

use super::assembly::Engine;
use super::partition::{PartitionSlot, PartitionState, Sources};
use super::share::Share;
use crate::checkpoint::SourceState;
use crate::clock::now_ms;
use crate::source::kafka::Partition;
use driftgate_core::intake::starts::Cause;
use driftgate_core::window::front::Front;

impl Engine {
    /// Connects the assigned partitions to the models, with the largest times a checkpoint kept. `fresh` are models that a
    /// checkpoint had other counts of.
    pub fn attach(&self, partitions: Vec<Partition>, kept: &[SourceState], fresh: &[String]) {
        self.resting().slots.clear();
        self.attach_to(partitions, kept, fresh);
    }

    /// The same beside those that are connected.
    pub(super) fn attach_to(&self, partitions: Vec<Partition>, kept: &[SourceState], fresh: &[String]) {
        let mut world = self.resting();
        let world = &mut *world;
        let now = Instant::now();
        world.generation += 1;
        for partition in partitions {
            let Some(t) = world.topics.iter().position(|t| t.name == partition.topic) else { continue };
            let Some(topic) = world.topics.get(t) else { continue };
            let saved = kept.iter().find(|s| s.topic == partition.topic && s.partition == partition.partition);
            let mut state = PartitionState {
                topic: t,
                reader: topic.begun(partition.partition, now_ms()),
                last_event: BTreeMap::new(),
                counted: partition.next,
                first: None,
                parked: Vec::new(),
                parked_since: None,
                partition,
            };
            let mut sources = Sources::new();
            for &m in &topic.models {
                let Some(model) = world.models.get(m).filter(|model| model.reads(topic.kind)) else { continue };
                let name = &model.policy.model;
                let known = saved.and_then(|s| s.fronts.iter().find(|(n, _)| n == name));
                let front = known.map(|(_, front)| front.clone());
                let claimed = front.as_ref().and_then(Front::claimed);
                let mut intake = model.intake();
                // The records that are gone were written before the operator went on behind them.
                let kept = saved.and_then(|s| s.holes.iter().find(|(n, _)| n == name)).map(|(_, until)| *until);
                let until = || now_ms().saturating_add(topic.future());
                let hole = kept.or_else(|| state.partition.gap.then(until));
                // How far it had come says nothing of where it goes on.
                let source = intake.add_source(topic.kind, topic.future(), front.filter(|_| hole.is_none()));
                if let Some(until) = hole {
                    intake.begin_hole(source, until);
                }
                match (known, saved) {
                    _ if hole.is_some() => {}
                    (None, _) if state.partition.behind => intake.begin_behind(source, None, Cause::Behind),
                    (Some(_), Some(s)) if s.behind.contains(name) => intake.begin_behind(source, None, Cause::Behind),
                    // Its topic was made anew: what was left of the one before is not read any more.
                    (Some(_), Some(s)) if s.next_offset > Some(0) && state.partition.next.is_none() => {
                        intake.begin_behind(source, None, Cause::Behind);
                    }
                    (Some(_), _) if fresh.contains(name) && claimed.is_some() => {
                        intake.begin_behind(source, claimed, Cause::Policy);
                    }
                    _ => {}
                }
                sources.insert(m, (source, intake.add_decoder()));
                state.last_event.insert(m, now);
            }
            let slot = PartitionSlot::new(state, sources);
            if let Share::Shard(shard) = &self.share {
                shard.reads(&slot);
            }
            world.slots.push(slot);
        }
        world.models.iter().for_each(|model| model.intake().begin_lost());
    }
}
