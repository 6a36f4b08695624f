//! What the engine's threads share beside the models: outbox, loader, dead letters, the status view.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::daemon::loader::{Claim, Key, Loader};
use crate::daemon::rejections::Rejections;
use crate::history::Window;
use crate::sink::Item;
use crate::sink::dead_letters::{DeadLetter, DeadLetters};
use crate::sink::outbox::Outbox;
use crate::telemetry::events::input::WindowIncomplete;
use crate::telemetry::events::registry::VerdictUnwritable;
use crate::telemetry::spans;
use crate::view;
use driftgate_core::evaluate::Judgement;
use driftgate_core::intake::Intake;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::verdict::{Action, Verdict};
use driftgate_core::pipeline::batch::Batch;
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::policy::Policy;

/// Judging gives way to reading, checkpoints and a stop after this time, once the windows of an end are judged.
const LONGEST_JUDGING: Duration = Duration::from_millis(100);
/// Nothing is read of a model while so many closings of it wait to be judged.
pub const MOST_CLOSINGS: usize = 64;

/// Why a version without a registration is counted without its baseline.
const OUT_OF_PATIENCE: &str = "its baseline is not loaded yet, and events do not wait for it: versions of this model had to be waited for too long";

/// What the threads share beside the models.
pub struct Shared {
    pub outbox: Mutex<Outbox>,
    pub loader: Mutex<Loader>,
    pub dead_letters: Mutex<Option<DeadLetters>>,
    pub rejections: Mutex<Rejections>,
    pub view: view::Shared,
    /// Whether windows go to the history.
    pub keeps_history: bool,
    /// Nothing is read while too much waits to be delivered.
    pub hold: AtomicBool,
    /// Restored versions whose snapshots were not looked at yet.
    pub unchecked: Mutex<Unchecked>,
    pub stop: AtomicBool,
    /// Versions that rows wait for, where others decide what they are counted against.
    pub asks: Option<Mutex<BTreeSet<Key>>>,
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

impl Shared {
    /// Reports rejected messages, and hands the dead letters to their sink.
    pub fn reject(&self, letters: &mut Vec<DeadLetter>) {
        if letters.is_empty() {
            return;
        }
        lock(&self.rejections).hear(letters, Instant::now(), &self.view);
        match lock(&self.dead_letters).as_mut() {
            Some(dead) => dead.send(letters.drain(..)),
            None => letters.clear(),
        }
    }

    /// Versions that rows wait for, where others decide what they are counted against.
    pub fn asked(&self) -> BTreeSet<Key> {
        self.asks.as_ref().map(|asks| lock(asks).clone()).unwrap_or_default()
    }

    /// Starts loading what a batch's versions lack; returns whether they lack anything.
    pub fn wait_for(&self, model: &Pipeline, intake: &mut Intake, batch: &dyn Batch) -> bool {
        let mut waits = false;
        for (_, version) in batch.unknown_versions(intake) {
            if let Some(asks) = &self.asks {
                lock(asks).insert((model.policy.model.clone(), version));
                waits = true;
                continue;
            }
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
    /// The next worker that comes by judges what is left.
    pub fn judge(&self, model: &Pipeline) {
        let until = Instant::now() + LONGEST_JUDGING;
        model.judge(&mut |judged, _| {
            self.deliver(judged, &model.policy);
            let full = self.hold.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed);
            if full || Instant::now() >= until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// Hands verdicts and signals to the outbox, and shows them.
    pub fn deliver(&self, judged: Judgement, policy: &Policy) {
        let mut items = items(&judged);
        if self.keeps_history {
            items.extend(judged.verdicts.iter().filter_map(|verdict| window(verdict, policy)));
        }
        self.show(judged);
        let mut outbox = lock(&self.outbox);
        items.into_iter().for_each(|item| outbox.put(item));
        // The housekeeping thread lets reading go on.
        if outbox.waiting().is_full() {
            self.hold.store(true, Ordering::Relaxed);
        }
    }

    /// Puts verdicts and signals into the status view.
    fn show(&self, judged: Judgement) {
        for verdict in judged.verdicts.iter().filter(|verdict| !verdict.window.complete) {
            WindowIncomplete { model: &verdict.model }.emit(&self.view);
        }
        let mut view = self.view.write();
        for mut verdict in judged.verdicts {
            // The history has them; pages show what verdicts write.
            verdict.forget_distributions_by_segment();
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
}

/// Verdicts and signals as the outbox takes them.
fn items(judged: &Judgement) -> Vec<Item> {
    // A text that grew while it was written takes up to twice its length.
    let mut text = Vec::new();
    let verdicts = judged.verdicts.iter().filter_map(|verdict| {
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
                VerdictUnwritable { model: &verdict.model, version: &verdict.version, error: &e }.emit();
                None
            }
        }
    });
    verdicts.chain(judged.signals.iter().cloned().map(Item::Signal)).collect()
}

/// A verdict as the history keeps it.
fn window(verdict: &Verdict, policy: &Policy) -> Option<Item> {
    // Nothing in it is of a kind that cannot be written.
    let record = Window::of(verdict, policy).encode().ok()?;
    Some(Item::Window {
        model: verdict.model.clone(),
        version: verdict.version.clone(),
        group: verdict.group.clone(),
        end_ms: verdict.window.end,
        record,
    })
}

/// Stops all threads when one panics.
pub struct StopOnPanic<'c>(pub &'c Shared);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
}
