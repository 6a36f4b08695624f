//! What runs beside the workers until the daemon stops: it serves the client, and does by the clock what is due.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::assembly::Engine;
use super::partition::PartitionSlot;
use super::share::Share;
use super::shared::StopOnPanic;
use super::worker_context::WorkerContext;
use super::workers;
use crate::daemon::claim::Claim;
use crate::sink::outbox::Waiting;
use crate::telemetry::events::input::DeadLettersUnwritten;
use crate::telemetry::events::lifecycle::{Finishing, Undelivered};
use crate::telemetry::events::threads::{NoThread, Purpose};
use crate::view::failing::Part;
use driftgate_core::pipeline::lock;

/// How long this thread waits for the client's own events between two rounds.
const TICK: Duration = Duration::from_millis(10);
/// Verdicts and signals that are held until the next checkpoint bring it on: after this time, and where nothing more can be read meanwhile
/// after that one.
const SOON: Duration = Duration::from_secs(1);
const SOONEST: Duration = Duration::from_millis(100);
/// How often the registry is asked for stage pointers.
const PINS_EVERY: Duration = Duration::from_secs(5);
/// How often the status view is brought up to date.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// How long a stop waits for ends of partitions.
const LAST_ENDS: Duration = Duration::from_millis(250);
/// A pause of reading that is longer is reported.
const HELD: Duration = Duration::from_secs(10);
/// How long a stop waits for the topics of verdicts, and of dead letters.
const LAST_DELIVERIES: Duration = Duration::from_secs(8);
const LAST_DEAD_LETTERS: Duration = Duration::from_secs(3);

impl Engine {
    /// Runs until `stop` says so; then everything read is counted, closed and saved.
    ///
    /// # Errors
    /// A checkpoint that cannot be written at the end.
    pub fn run(&self, claim: &Claim, stop: &dyn Fn() -> bool, reload: &mut dyn FnMut(&Self)) -> anyhow::Result<()> {
        self.pin_registered();
        if self.share.judges() {
            self.apply_unblocked();
            self.look_at_snapshots();
        }
        // Nothing is read before it is known that no other daemon does.
        self.shared.hold.store(true, Ordering::Relaxed);
        std::thread::scope(|threads| {
            for worker in 0..self.workers {
                let context = WorkerContext::new(&self.shared, worker);
                let work = || workers::work(context, &self.world);
                if let Err(e) = std::thread::Builder::new().name(format!("worker-{worker}")).spawn_scoped(threads, work)
                {
                    NoThread { purpose: Purpose::Count, error: &e }.emit();
                }
            }
            let _stop = StopOnPanic(&self.shared);
            self.housekeeping_loop(claim, stop, reload);
            self.shared.stop.store(true, Ordering::Relaxed);
        });
        if claim.is_settled() {
            self.reach_ends();
        }
        Finishing.emit();
        // What is held goes once it is in a checkpoint.
        let holds = lock(&self.shared.outbox).holds();
        let is_released = !holds || self.save();
        if !is_released || !lock(&self.shared.outbox).flush(LAST_DELIVERIES) {
            Undelivered.emit();
        }
        let unwritten = lock(&self.shared.dead_letters).as_ref().map_or(0, |dead| dead.flush(LAST_DEAD_LETTERS));
        if unwritten > 0 {
            DeadLettersUnwritten { unwritten }.emit();
        }
        self.refresh();
        self.write_checkpoint().map(|_| ())
    }

    /// Waits a moment for the ends of partitions that were read up to there: librdkafka reports an end one fetch after the
    /// last record. A checkpoint that does not know the end would take a transaction's marker for a record.
    fn reach_ends(&self) {
        let mut context = WorkerContext::new(&self.shared, 0);
        let until = Instant::now() + LAST_ENDS;
        let world = self.world();
        let at_end = |slot: &PartitionSlot| {
            slot.is_paused() || {
                let state = lock(&slot.state);
                state.partition.end_reached.is_some() || state.partition.halted.is_some() || !state.parked.is_empty()
            }
        };
        while Instant::now() < until && !world.slots.iter().all(at_end) {
            for slot in world.slots.iter().filter(|slot| !at_end(slot)) {
                lock(&slot.state).turn(&slot.sources, &world, &mut context);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops reading topics that were made anew, and goes on with those that were doubted and are the same.
    fn apply_topic_changes(&self) {
        let world = self.world();
        let view = self.shared.view.read();
        let (replaced, verified) = (&view.replaced, &view.verified);
        for slot in &world.slots {
            let Ok(mut state) = slot.state.try_lock() else { continue };
            let partition = &mut state.partition;
            if let Some(why) = replaced.get(&partition.topic)
                && partition.halted.as_ref() != Some(why)
            {
                partition.halted = Some(why.clone());
            }
            let same = verified.get(&partition.topic).copied();
            if partition.doubted.is_some_and(|since| same.is_some_and(|at| at > since)) {
                partition.doubted = None;
            }
        }
    }

    /// Takes over what the registry says meanwhile.
    fn apply_registry_changes(&self) {
        self.pin_registered();
        match &self.share {
            Share::Whole => {
                self.count_anew();
                self.load_replaced();
            }
            Share::Evaluator(evaluator) => self.keep_decisions(evaluator),
            Share::Shard(_) => return,
        }
        self.apply_unblocked();
    }

    /// Does what is due, round after round, until the daemon stops.
    fn housekeeping_loop(&self, claim: &Claim, stop: &dyn Fn() -> bool, reload: &mut dyn FnMut(&Self)) {
        let mut saved = Instant::now();
        let mut displayed = Instant::now();
        let mut pinned = Instant::now();
        let mut held: Option<Instant> = None;
        while !stop() && !self.shared.stop.load(Ordering::Relaxed) {
            reload(self);
            self.kafka.serve(TICK);
            self.apply_topic_changes();
            self.hold_while_full(claim, &mut held);
            match &self.share {
                Share::Whole => {
                    self.pause_what_runs_ahead();
                    self.take_over_baselines();
                    self.close_idle();
                }
                Share::Shard(shard) => {
                    self.pause_what_runs_ahead();
                    self.take_decisions(shard);
                    self.close_idle();
                }
                Share::Evaluator(evaluator) => {
                    self.take_over_baselines();
                    self.evaluate(evaluator);
                }
            }
            if self.is_save_due(saved.elapsed()) {
                self.save();
                saved = Instant::now();
            }
            if displayed.elapsed() >= REFRESH_EVERY {
                self.refresh();
                displayed = Instant::now();
            }
            if pinned.elapsed() >= PINS_EVERY {
                self.refresh_remarks();
                self.apply_registry_changes();
                pinned = Instant::now();
            }
        }
    }

    /// Whether a checkpoint is due, so long after the last one.
    fn is_save_due(&self, since: Duration) -> bool {
        let held = {
            let outbox = lock(&self.shared.outbox);
            outbox.holds().then(|| outbox.waiting())
        };
        let last = || Duration::try_from_secs_f64(self.shared.view.read().checkpoint.last_seconds).unwrap_or_default();
        let is_waited_for =
            || since >= SOONEST.max(last().saturating_mul(3)) && self.share.is_waited_for(&self.shared.asked());
        since >= self.intervals.checkpoint_every
            || is_waited_for()
            || held.is_some_and(|held| is_due_for(held, since, last()))
    }

    /// Lets nothing be read while too much waits to be delivered, `held` since when, or another daemon may count.
    fn hold_while_full(&self, claim: &Claim, held: &mut Option<Instant>) {
        let waiting = lock(&self.shared.outbox).settle();
        let paused = waiting.is_full() || lock(&self.shared.unchecked).holds() || !claim.is_settled();
        self.shared.hold.store(paused, Ordering::Relaxed);
        if waiting.is_full() {
            if let Some(since) = held.filter(|since| since.elapsed() >= HELD) {
                let Waiting { items, bytes } = waiting;
                let why = format!(
                    "{items} verdicts and signals ({} MiB) are not delivered yet since {} s",
                    bytes >> 20,
                    since.elapsed().as_secs()
                );
                self.shared.view.fails(Part::Reading, why);
            }
            held.get_or_insert_with(Instant::now);
        } else if held.take().is_some() {
            self.shared.view.works(&Part::Reading);
        }
    }
}

/// Whether items that are held until the next checkpoint have waited long enough, so long after the last one, which took `last`.
fn is_due_for(held: Waiting, since: Duration, last: Duration) -> bool {
    let soon = if held.is_full() { SOONEST } else { SOON };
    // Most of the time is left for counting.
    since >= soon.max(last.saturating_mul(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_waits_about_a_second() {
        let (some, full) = (Waiting { items: 1, bytes: 1 }, Waiting { items: 20_000, bytes: 1 });
        let ms = Duration::from_millis;
        assert!(!is_due_for(some, ms(900), ms(5)) && is_due_for(some, ms(1000), ms(300)));
        assert!(!is_due_for(some, ms(1400), ms(500)) && is_due_for(some, ms(1500), ms(500)));
        assert!(!is_due_for(full, ms(90), ms(5)) && is_due_for(full, ms(100), ms(5)));
    }
}
