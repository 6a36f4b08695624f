//! Which partitions wait: those that run ahead of others in event time, since what they bring could only wait.

use std::sync::atomic::Ordering;

use super::assembly::Engine;
use driftgate_core::event::EventKind;
use driftgate_core::pipeline::lock;
use driftgate_core::policy::Policy;

/// Events of the features stream may wait for predictions in so many bytes; then that stream is not read beyond those.
const MOST_HELD: usize = 64 << 20;

/// How far a partition may run ahead of one that lags, in ms of event time: its disorder and a part of the horizon.
fn ahead_bound(policy: &Policy) -> i64 {
    let lateness =
        policy.groups.iter().map(|g| g.lateness).chain(policy.labels.as_ref().map(|l| l.lateness)).max().unwrap_or(0);
    let slide = policy.groups.iter().map(|g| g.window.slide).min().unwrap_or(0);
    lateness.saturating_mul(2).saturating_add(slide)
}

impl Engine {
    /// Pauses partitions that are ahead in event time of one that lags: what they bring could only wait.
    pub(super) fn pause_what_runs_ahead(&self) {
        let world = self.world();
        // A partition that a worker reads counts as one that has not reached its end.
        let lagging: Vec<bool> = world
            .slots
            .iter()
            .map(|slot| {
                slot.state
                    .try_lock()
                    .map_or(true, |state| state.partition.end_reached.is_none() && state.partition.halted.is_none())
            })
            .collect();
        let mut paused = vec![false; world.slots.len()];
        for (m, model) in world.models.iter().enumerate() {
            let bound = ahead_bound(&model.policy);
            let reached: Vec<Option<i64>> = {
                let intake = model.intake();
                world.slots.iter().map(|slot| intake.progress(slot.sources.get(&m)?.0).max_ts).collect()
            };
            let (held, base) = {
                let intake = model.intake();
                (intake.waiting_features(), intake.bases().of(EventKind::Predictions))
            };
            if held > MOST_HELD {
                for ((paused, slot), ts) in paused.iter_mut().zip(&world.slots).zip(&reached) {
                    let topic = lock(&slot.state).topic;
                    let is_features = world.topics.get(topic).is_some_and(|t| t.kind == EventKind::Features);
                    *paused |= is_features && ts.is_some() && *ts > base;
                }
            }
            let slowest = reached.iter().zip(&lagging).filter(|(_, lags)| **lags).filter_map(|(ts, _)| *ts).min();
            let Some(slowest) = slowest else { continue };
            for (paused, ts) in paused.iter_mut().zip(&reached) {
                *paused |= ts.is_some_and(|ts| ts > slowest.saturating_add(bound));
            }
        }
        for (at, topic) in world.topics.iter().enumerate() {
            let ahead = topic.halves.as_ref().map(|halves| halves.ahead()).unwrap_or_default();
            if ahead.is_empty() {
                continue;
            }
            for (paused, slot) in paused.iter_mut().zip(&world.slots) {
                let state = lock(&slot.state);
                *paused |= state.topic == at && ahead.contains(&topic.place(state.partition.partition));
            }
        }
        world.slots.iter().zip(paused).for_each(|(slot, paused)| slot.paused.store(paused, Ordering::Relaxed));
    }
}
