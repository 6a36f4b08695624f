//! Which partitions hold the watermark back, and which must wait: idleness, and pausing what runs ahead in event time.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::place::{Place, Sources};
use super::{Engine, World};
use crate::decode::plan::EventKind;
use crate::pipeline::lock;
use crate::policy::Policy;

impl Engine {
    /// Says which partitions are idle for which model: caught up since its last event, and silent for `idle_after`. The
    /// workers rest for it, and only when something changes.
    pub(super) fn idle(&self) {
        if !self.idleness_changes(&self.world()) {
            return;
        }
        let mut world = self.resting();
        self.set_idle(&mut world);
        for model in &world.models {
            model.close_alone(false);
            self.common.judge(model);
        }
    }

    /// Whether a partition fell silent, or woke up. One that a worker is at is not silent, and is looked at next time.
    fn idleness_changes(&self, world: &World) -> bool {
        let woken = world.models.iter().any(|m| m.intake().has_woken());
        woken
            || world.seats.iter().filter_map(|seat| Some((seat, seat.place.try_lock().ok()?))).any(|(seat, place)| {
                seat.sources.iter().any(|(m, (source, _))| {
                    world
                        .models
                        .get(*m)
                        .is_some_and(|model| model.intake().progress(*source).idle != self.is_silent(&place, *m))
                })
            })
    }

    fn is_silent(&self, place: &Place, model: usize) -> bool {
        let last = place.last_event.get(&model).copied();
        let caught_up = place.partition.end_reached.zip(last).is_some_and(|(end, last)| end >= last);
        caught_up && place.parked.is_empty() && last.is_some_and(|l| l.elapsed() >= self.pace.idle_after)
    }

    /// When a stream that was all idle wakes up, its partitions get a fresh start, so that none is passed over unread.
    fn set_idle(&self, world: &mut World) {
        let mut seats: Vec<(&mut Place, &Sources)> = world
            .seats
            .iter_mut()
            .map(|s| (s.place.get_mut().unwrap_or_else(PoisonError::into_inner), &s.sources))
            .collect();
        let now = Instant::now();
        for (m, model) in world.models.iter().enumerate() {
            let mut intake = model.intake();
            for kind in EventKind::ALL {
                let woken = intake.take_woken(kind);
                let of_kind = |place: &Place, sources: &Sources| {
                    sources.contains_key(&m) && world.topics.get(place.topic).is_some_and(|t| t.kind == kind)
                };
                let mut of_kind: Vec<_> = seats.iter_mut().filter(|(p, sources)| of_kind(p, sources)).collect();
                let idle: Vec<bool> = of_kind.iter().map(|(place, _)| self.is_silent(place, m)).collect();
                let is_idle =
                    |sources: &Sources| sources.get(&m).is_some_and(|(source, _)| intake.progress(*source).idle);
                let was_all_idle = of_kind.iter().all(|(_, sources)| is_idle(sources));
                let wakes = woken || (was_all_idle && !of_kind.is_empty() && !idle.iter().all(|i| *i));
                for ((place, sources), idle) in of_kind.iter_mut().zip(idle) {
                    if wakes {
                        place.last_event.insert(m, now);
                    }
                    if let Some(&(source, _)) = sources.get(&m) {
                        intake.set_idle(source, idle && !wakes);
                    }
                }
            }
        }
    }

    /// Pauses partitions that are ahead in event time of one that lags: what they bring could only wait.
    pub(super) fn pause_what_runs_ahead(&self) {
        let world = self.world();
        // One that a worker is at has not reached its end, as far as anybody knows.
        let lagging: Vec<bool> = world
            .seats
            .iter()
            .map(|seat| {
                seat.place
                    .try_lock()
                    .map_or(true, |place| place.partition.end_reached.is_none() && place.partition.halted.is_none())
            })
            .collect();
        let mut paused = vec![false; world.seats.len()];
        for (m, model) in world.models.iter().enumerate() {
            let bound = ahead_bound(&model.policy);
            let reached: Vec<Option<i64>> = {
                let intake = model.intake();
                world.seats.iter().map(|seat| intake.progress(seat.sources.get(&m)?.0).max_ts).collect()
            };
            let (held, base) = {
                let intake = model.intake();
                (intake.waiting_features(), intake.bases().predictions)
            };
            if held > MOST_HELD {
                for ((paused, seat), ts) in paused.iter_mut().zip(&world.seats).zip(&reached) {
                    let topic = lock(&seat.place).topic;
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
        world.seats.iter().zip(paused).for_each(|(seat, paused)| seat.paused.store(paused, Ordering::Relaxed));
    }
}

/// So many events of the features stream may wait for predictions; then that stream is not read.
const MOST_HELD: usize = 65_536;

/// How far a partition may run ahead of one that lags, in ms of event time: its disorder and a part of the horizon.
fn ahead_bound(policy: &Policy) -> i64 {
    let lateness =
        policy.groups.iter().map(|g| g.lateness).chain(policy.labels.as_ref().map(|l| l.lateness)).max().unwrap_or(0);
    let slide = policy.groups.iter().map(|g| g.window.slide).min().unwrap_or(0);
    lateness.saturating_mul(2).saturating_add(slide)
}
