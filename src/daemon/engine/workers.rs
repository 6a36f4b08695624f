//! The threads that read and count: each takes the next partition that nobody else is at. What they share beside the
//! models (outbox, loader, dead letters) is `Common`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

use super::World;
use crate::daemon::loader::{Claim, Key, Loader};
use crate::daemon::rejections::Rejections;
use crate::sink::Item;
use crate::sink::dead_letters::{DeadLetter, DeadLetters};
use crate::sink::outbox::Outbox;
use crate::telemetry::events::input::WindowIncomplete;
use crate::telemetry::spans;
use crate::view;
use driftgate_core::evaluate::Judgement;
use driftgate_core::event::PredictionBatch;
use driftgate_core::intake::job::Job;
use driftgate_core::intake::versions::Reference;
use driftgate_core::intake::{Intake, SourceId};
use driftgate_core::judge::verdict::Action;
use driftgate_core::pipeline::{Batch, Pipeline, lock};

/// How long a worker rests when there is nothing to read: at first, and when that was so again and again.
const SHORTEST_REST: Duration = Duration::from_micros(250);
const LONGEST_REST: Duration = Duration::from_millis(5);

/// Judging gives way to reading, checkpoints and a stop after this time, once the windows of an end are judged.
const LONGEST_JUDGING: Duration = Duration::from_millis(100);
/// Nothing is read of a model while so many closings of it wait to be judged.
pub const MOST_CLOSINGS: usize = 64;

/// Why a version that nobody registered is counted without its baseline.
const OUT_OF_PATIENCE: &str = "its baseline is not loaded yet, and events do not wait for it: versions of this model had to be waited for too long";

/// What the threads share beside the models.
pub struct Common {
    pub outbox: Mutex<Outbox>,
    pub loader: Mutex<Loader>,
    pub dead_letters: Mutex<Option<DeadLetters>>,
    pub rejections: Mutex<Rejections>,
    pub view: view::Shared,
    /// Nothing is read while too much waits to be delivered.
    pub hold: AtomicBool,
    /// Restored versions whose snapshots were not looked at yet.
    pub unchecked: Mutex<Unchecked>,
    pub stop: AtomicBool,
}

/// Versions whose snapshots are looked at before reading begins, and until when that waits for them.
#[derive(Debug, Default)]
pub struct Unchecked {
    pub versions: BTreeSet<Key>,
    pub until: Option<Instant>,
}

impl Unchecked {
    pub fn holds(&self) -> bool {
        !self.versions.is_empty() && self.until.is_some_and(|until| Instant::now() < until)
    }
}

impl Common {
    /// Tells of rejected messages, and sends the dead letters on.
    pub fn bury(&self, letters: &mut Vec<DeadLetter>) {
        if letters.is_empty() {
            return;
        }
        lock(&self.rejections).hear(letters, Instant::now(), &self.view);
        match lock(&self.dead_letters).as_mut() {
            Some(dead) => dead.send(letters.drain(..)),
            None => letters.clear(),
        }
    }

    /// Starts loading what a batch's versions lack; returns whether they lack anything.
    pub fn wait_for(&self, model: &Pipeline, intake: &mut Intake, batch: &PredictionBatch) -> bool {
        let mut waits = false;
        for (_, version) in intake.unknown_versions(batch) {
            lock(&self.loader).start(&model.policy, &version, Claim::of(intake.is_registered(&version)));
            if intake.waits_for(&version) {
                waits = true;
            } else {
                // Its baseline comes beside the stream, and its counts begin there.
                intake.set_reference(&version, Reference::Failed(OUT_OF_PATIENCE.to_owned()));
            }
        }
        waits
    }

    /// Judges what is ready of a model for a while, and hands verdicts and signals to the outbox as far as that takes them.
    /// What is left is judged by whoever comes by next.
    pub fn judge(&self, model: &Pipeline) {
        let until = Instant::now() + LONGEST_JUDGING;
        model.judge(&mut |judged, _| {
            self.deliver(judged);
            let full = self.hold.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed);
            if full || Instant::now() >= until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// Judges what is left of all models before more is read. Whether more may be read then: nothing is left, or others are
    /// at it and not far behind.
    fn catch_up(&self, models: &[Pipeline]) -> bool {
        let mut read = true;
        for model in models {
            if model.unjudged().1 {
                self.judge(model);
                read &= !model.unjudged().1;
            }
            read &= model.unjudged().0 < MOST_CLOSINGS;
        }
        read
    }

    pub fn deliver(&self, judged: Judgement) {
        // A text that grew while it was written takes up to twice its length.
        let mut text = Vec::new();
        let items = judged.verdicts.iter().filter_map(|verdict| {
            let _window = spans::window(verdict).entered();
            text.clear();
            match serde_json::to_writer(&mut text, verdict) {
                Ok(()) => Some(Item::Verdict {
                    model: verdict.model.clone(),
                    version: verdict.version.clone(),
                    group: verdict.group.clone(),
                    end_ms: verdict.window.end,
                    json: String::from_utf8_lossy(&text).into_owned(),
                }),
                Err(e) => {
                    tracing::error!(error = %e, "a verdict cannot be written");
                    None
                }
            }
        });
        let items: Vec<Item> = items.chain(judged.signals.iter().cloned().map(Item::Signal)).collect();
        for verdict in judged.verdicts.iter().filter(|verdict| !verdict.window.complete) {
            WindowIncomplete { model: &verdict.model }.emit(&self.view);
        }
        {
            let mut view = self.view.write();
            for verdict in judged.verdicts {
                view.push(Arc::new(verdict));
            }
            for signal in judged.signals {
                if let Some(v) = view.version_mut(&signal.model, &signal.version) {
                    match signal.action {
                        Action::Block => drop(v.blocks.insert(signal.group, signal.reasons)),
                        Action::Clear => drop(v.blocks.remove(&signal.group)),
                        Action::Rollback => {}
                    }
                }
            }
        }
        let mut outbox = lock(&self.outbox);
        items.into_iter().for_each(|item| outbox.put(item));
        // The thread that keeps house lets go again.
        if outbox.waiting().is_full() {
            self.hold.store(true, Ordering::Relaxed);
        }
    }
}

/// A worker's own things.
pub struct Desk<'c> {
    pub common: &'c Common,
    worker: usize,
    job: Job,
}

impl<'c> Desk<'c> {
    pub fn new(common: &'c Common, worker: usize) -> Self {
        Self { common, worker, job: Job::default() }
    }

    /// Admits a translated batch, counts it, and judges what that makes ready.
    pub fn count<B: Batch>(
        &mut self,
        model: &Pipeline,
        mut intake: MutexGuard<'_, Intake>,
        source: SourceId,
        batch: &B,
    ) {
        model.admit(&mut intake, source, batch, &mut self.job);
        drop(intake);
        model.count(self.worker, batch, &self.job);
        self.common.judge(model);
    }

    /// Reads and counts until told to stop.
    pub fn work(mut self, world: &RwLock<World>) {
        // A worker that panics leaves a batch uncounted, so that no window would close any more: all end.
        let _stop = StopOnPanic(self.common);
        let mut at = self.worker;
        let mut idle = 0;
        let mut rest = SHORTEST_REST;
        while !self.common.stop.load(Ordering::Relaxed) {
            let read = if self.common.hold.load(Ordering::Relaxed) { None } else { self.turn(world, &mut at) };
            if read.is_some_and(|(n, _)| n > 0) {
                (idle, rest) = (0, SHORTEST_REST);
                continue;
            }
            idle += 1;
            // Every partition was looked at, and none had anything.
            if idle > read.map_or(0, |(_, seats)| seats) {
                idle = 0;
                std::thread::sleep(rest);
                rest = (rest * 2).min(LONGEST_REST);
            }
        }
    }

    /// Takes a turn with the next partition that is free; returns how many messages it had, and how many partitions there
    /// are.
    fn turn(&mut self, world: &RwLock<World>, at: &mut usize) -> Option<(usize, usize)> {
        let world = world.read().ok()?;
        let seats = world.seats.len();
        if !self.common.catch_up(&world.models) {
            return Some((0, seats));
        }
        let seat = world.seats.get(*at % seats.max(1))?;
        *at = (*at + 1) % seats.max(1);
        if seat.is_paused() {
            return Some((0, seats));
        }
        let read = seat.place.try_lock().map_or(0, |mut place| place.turn(&seat.sources, &world, self));
        Some((read, seats))
    }
}

/// Stops all threads when one panics.
pub struct StopOnPanic<'c>(pub &'c Common);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
}
