//! What the units say is applied to the registry, in the order of their topic: as many as wait in one change, which has how far the topic is
//! applied with it.

use std::sync::Arc;
use std::time::Duration;

use super::parts::Parts;
use crate::cluster::results::{Noted, SaidAt, Tail};
use crate::daemon::control::Control;
use crate::ledger::{Applied, RegistryError, Unblocked};
use crate::sink::Item;
use crate::sink::outbox::{Registrar, With};
use crate::telemetry::events::cluster::Retried;
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::judge::verdict::Action;
use driftgate_core::pipeline::lock;

/// At most so many items are one change: others who write wait so long.
const BATCH: usize = 1000;
/// How long the next set is waited for between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Applies what the units say.
pub struct Applying<'a> {
    parts: &'a Parts,
    registrar: Registrar,
    /// How far the topic is applied.
    applied: Applied,
}

impl<'a> Applying<'a> {
    pub fn new(parts: &'a Parts) -> Self {
        let registrar = Registrar::new(Arc::clone(&parts.registry), parts.view.clone(), parts.history.clone());
        Self { parts, registrar, applied: Applied::default() }
    }

    /// Applies until `control` stops it.
    ///
    /// # Errors
    /// A registry that cannot be read.
    pub fn run(&mut self, control: &Control) -> anyhow::Result<()> {
        let Some(mut tail) = self.open(control)? else { return Ok(()) };
        while !control.is_stopping() {
            self.registrar.ask_waiting_gates();
            let Some(first) = tail.next(LOOK) else { continue };
            let mut sets = vec![first];
            let mut items = sets.iter().map(|(set, _)| set.said.items.len()).sum::<usize>();
            while items < BATCH
                && let Some(next) = tail.next(Duration::ZERO)
            {
                items += next.0.said.items.len();
                sets.push(next);
            }
            if !self.apply(sets, control) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn open(&mut self, control: &Control) -> anyhow::Result<Option<Tail>> {
        let applied = self.parts.registry.results_applied()?;
        self.applied = applied.unwrap_or_default();
        let mut tries = 0;
        while !control.is_stopping() {
            match Tail::open(&self.parts.properties, &self.parts.names.results, applied) {
                Ok(tail) => return Ok(Some(tail)),
                Err(e) => {
                    tries += 1;
                    Retried { what: "reading the results", tries, error: &e.to_string() }.emit();
                    std::thread::sleep(LOOK);
                }
            }
        }
        Ok(None)
    }

    /// Applies sets; `false` where the ledger is lost or wanted back meanwhile. Of the first set, so many items were applied before.
    fn apply(&mut self, sets: Vec<(SaidAt, u64)>, control: &Control) -> bool {
        let Some((SaidAt { end, next, .. }, _)) = sets.last() else { return true };
        let whole = Applied { end: *end, items: 0, next: *next };
        let before = sets.first().map_or(0, |(_, before)| *before);
        let is_one = sets.len() == 1;
        let (mut notes, mut items) = (Vec::new(), Vec::new());
        for (set, _) in sets {
            notes.extend(set.said.notes);
            items.extend(set.said.items);
        }
        for noted in &notes {
            if !self.heed(noted, control) {
                return false;
            }
        }
        // Sets that are applied together are few enough for one change, or a single one.
        let mut done = before;
        let most = if is_one { BATCH } else { items.len().max(1) };
        let mut left = items.as_slice();
        loop {
            let (now, rest) = left.split_at(left.len().min(most));
            left = rest;
            done += now.len() as u64;
            let applied = if left.is_empty() { whole } else { Applied { items: done, ..self.applied } };
            if !self.take(now, applied, control) {
                return false;
            }
            if left.is_empty() {
                self.applied = whole;
                return true;
            }
        }
    }

    fn take(&self, items: &[Item], applied: Applied, control: &Control) -> bool {
        self.show(items);
        let given: Vec<&Item> = items.iter().collect();
        let with = With { queue_verdicts: false, applied: Some(applied) };
        let Some(taken) = self.registrar.take(&given, with, &|| control.is_stopping()) else { return false };
        for (item, taken) in items.iter().zip(taken) {
            if let Item::Signal(signal) = item {
                self.registrar.announce(signal.clone(), taken);
            }
        }
        true
    }

    /// Shows what is said of models that are counted elsewhere: decisions of the registry go by what is shown.
    fn show(&self, items: &[Item]) {
        let counted = lock(&self.parts.counted);
        let mut view = self.parts.view.write();
        for item in items {
            match item {
                Item::Verdict { model, json, .. } if !counted.contains(model) => {
                    // One that cannot be read is told where it is applied.
                    if let Ok(verdict) = verdict_from_json(json) {
                        view.push(Arc::new(verdict));
                    }
                }
                Item::Signal(signal) if !counted.contains(&signal.model) => {
                    let Some(version) = view.version_mut(&signal.model, &signal.version) else { continue };
                    match signal.action {
                        Action::Block => drop(version.blocks.insert(signal.group.clone(), signal.reasons.clone())),
                        Action::Clear => drop(version.blocks.remove(&signal.group)),
                        Action::Rollback => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Writes down that something was done, again and again until it is there; `false` where the ledger is lost or wanted back meanwhile.
    fn heed(&self, noted: &Noted, control: &Control) -> bool {
        let registry = &self.parts.registry;
        let mut tries = 0;
        while !control.is_stopping() {
            let done = match noted {
                Noted::Unblocked { model, version, group, since_ms } => {
                    let ended = Unblocked { version: version.clone(), group: group.clone(), since_ms: *since_ms };
                    registry.heeded_unblocked(model, &[ended])
                }
                Noted::CountedAnew { model, version } => registry.counted_anew(model, version),
                Noted::SnapshotTaken { model, version } => registry.snapshot_taken(model, version),
            };
            match done {
                Ok(()) => return true,
                Err(e @ (RegistryError::Sql(_) | RegistryError::Log { .. } | RegistryError::Standby { .. })) => {
                    tries += 1;
                    Retried { what: "writing down what a unit did", tries, error: &e.to_string() }.emit();
                    std::thread::sleep(LOOK);
                }
                Err(e) => {
                    Retried { what: "writing down what a unit did", tries: 1, error: &e.to_string() }.emit();
                    return true;
                }
            }
        }
        false
    }
}
