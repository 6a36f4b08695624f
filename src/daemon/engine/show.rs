//! The picture that HTTP and metrics read, brought up to date by the counting thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use crate::intake::SourceId;
use crate::pipeline::Pipeline;
use crate::view::ModelView;

impl Engine {
    /// Brings the picture up to date.
    pub(super) fn show(&mut self) {
        let mut view = self.view.write();
        for model in &mut self.models {
            let retired = model.pipeline.retire();
            let (intake, policy) = (&model.pipeline.intake, &model.pipeline.policy);
            let shown = view.models.entry(policy.model.clone()).or_insert_with(|| new_model_view(&model.pipeline));
            shown.policy = Arc::clone(policy);
            shown.counters = intake.counters;
            shown.waiting = intake.waiting();
            shown.closed = policy
                .groups
                .iter()
                .zip(intake.closed())
                .filter(|(_, c)| **c > i64::MIN)
                .map(|(g, c)| (g.name.clone(), *c))
                .collect();
            for (_, name, version) in intake.versions() {
                shown.versions.entry(name.to_owned()).or_default().predictions = version.predictions;
            }
            // Their series disappear; the registry still knows them.
            for name in retired {
                shown.versions.remove(&name);
            }
        }
        for (at, (partition, place)) in self.kafka.partitions.iter().zip(&self.places).enumerate() {
            let source = view.sources.entry((partition.topic.clone(), partition.partition)).or_default();
            source.next_offset = partition.next;
            source.paused = place.paused;
            let progress = |(m, s): (&usize, &SourceId)| self.models.get(*m).map(|m| m.pipeline.intake.progress(*s));
            source.max_ts = place.sources.iter().filter_map(progress).filter_map(|p| p.max_ts).max();
            source.idle = place.sources.iter().filter_map(progress).all(|p| p.idle);
            let halted = format!("{}/{}", partition.topic, partition.partition);
            match &partition.halted {
                Some(why) => drop(view.not_ready.insert(halted, why.clone())),
                None => drop(view.not_ready.remove(&halted)),
            }
            // Events are counted by topic; the first partition carries them.
            let first = self.kafka.partitions.iter().position(|p| p.topic == partition.topic) == Some(at);
            if let (true, Some(topic)) = (first, self.topics.get(place.topic)) {
                if let Some(source) = view.sources.get_mut(&(partition.topic.clone(), partition.partition)) {
                    source.events = topic.events;
                }
                for (reason, n) in &topic.rejected {
                    view.rejected.insert((topic.name.clone(), *reason), *n);
                }
                view.unknown_model.insert(topic.name.clone(), topic.unknown_model);
            }
        }
    }
}

/// An empty picture of a model.
#[must_use]
pub fn new_model_view(pipeline: &Pipeline) -> ModelView {
    ModelView {
        policy: Arc::clone(&pipeline.policy),
        counters: pipeline.intake.counters,
        versions: BTreeMap::new(),
        waiting: (0, 0),
        closed: BTreeMap::new(),
    }
}
