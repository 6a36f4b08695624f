//! Which partitions hold the watermark back, and which must wait: idleness, and pausing what runs ahead in event time.

use std::time::Instant;

use super::Engine;
use crate::decode::plan::EventKind;
use crate::policy::Policy;

impl Engine {
    /// Says which partitions are idle for which model: caught up since its last event, and silent for `idle_after`. When a
    /// stream that was all idle wakes up, its partitions get a fresh start, so that none is passed over unread.
    pub(super) fn idle(&mut self) {
        for (m, model) in self.models.iter_mut().enumerate() {
            for kind in EventKind::ALL {
                let of_kind: Vec<usize> = (0..self.places.len())
                    .filter(|&at| {
                        self.places.get(at).is_some_and(|p| {
                            p.sources.contains_key(&m) && self.topics.get(p.topic).is_some_and(|t| t.kind == kind)
                        })
                    })
                    .collect();
                let was_all_idle = of_kind.iter().all(|&at| {
                    self.places
                        .get(at)
                        .and_then(|p| p.sources.get(&m))
                        .is_some_and(|&s| model.pipeline.intake.progress(s).idle)
                });
                let silent = |at: usize| {
                    let (Some(place), Some(partition)) = (self.places.get(at), self.kafka.partitions.get(at)) else {
                        return false;
                    };
                    let last = place.last_event.get(&m).copied();
                    let caught_up = partition.end_reached.zip(last).is_some_and(|(end, last)| end >= last);
                    caught_up && place.parked.is_empty() && last.is_some_and(|l| l.elapsed() >= self.idle_after)
                };
                let idle: Vec<bool> = of_kind.iter().map(|&at| silent(at)).collect();
                let wakes = was_all_idle && !of_kind.is_empty() && !idle.iter().all(|i| *i);
                let now = Instant::now();
                for (&at, &idle) in of_kind.iter().zip(&idle) {
                    let Some(place) = self.places.get_mut(at) else { continue };
                    if wakes {
                        place.last_event.insert(m, now);
                    }
                    if let Some(&source) = place.sources.get(&m) {
                        model.pipeline.intake.set_idle(source, idle && !wakes);
                    }
                }
            }
        }
    }

    /// Pauses partitions that are ahead in event time of one that lags: what they bring could only wait.
    pub(super) fn pause_what_runs_ahead(&mut self) {
        let mut paused = vec![false; self.places.len()];
        for (m, model) in self.models.iter().enumerate() {
            let policy = &model.pipeline.policy;
            let bound = ahead_bound(policy);
            let lagging = |at: usize| {
                self.kafka.partitions.get(at).is_some_and(|p| p.end_reached.is_none() && p.halted.is_none())
            };
            let max_ts = |at: usize| {
                self.places
                    .get(at)
                    .and_then(|p| p.sources.get(&m))
                    .and_then(|&s| model.pipeline.intake.progress(s).max_ts)
            };
            let of_model =
                || (0..self.places.len()).filter(|&at| self.places.get(at).is_some_and(|p| p.sources.contains_key(&m)));
            let Some(slowest) = of_model().filter(|&at| lagging(at)).filter_map(max_ts).min() else { continue };
            for at in of_model() {
                if max_ts(at).is_some_and(|ts| ts > slowest.saturating_add(bound))
                    && let Some(p) = paused.get_mut(at)
                {
                    *p = true;
                }
            }
        }
        self.places.iter_mut().zip(paused).for_each(|(place, paused)| place.paused = paused);
    }
}

/// How far a partition may run ahead of one that lags, in ms of event time: its disorder and a part of the horizon.
fn ahead_bound(policy: &Policy) -> i64 {
    let lateness =
        policy.groups.iter().map(|g| g.lateness).chain(policy.labels.as_ref().map(|l| l.lateness)).max().unwrap_or(0);
    let slide = policy.groups.iter().map(|g| g.window.slide).min().unwrap_or(0);
    lateness.saturating_mul(2).saturating_add(slide)
}
