//! What this process has: a thread for each slot that the coordinator assigned to it. A slot that is lost or wanted back ends its thread, and the
//! others go on; so they do where it is not known what was committed to a slot: it is taken over anew, from what the brokers have. Only what
//! fails again and again ends the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use anyhow::anyhow;

use super::again::Again;
use super::commits::{Commits, Loss};
use super::parts::Parts;
use super::tenure::{LEDGER_NAME, Tenure};
use super::{counted, written};
use crate::cluster::member::Change;
use crate::cluster::results::Results;
use crate::daemon::counting::Daemon;
use crate::telemetry::events::cluster::{Assigned, GaveBack, GivesBack, LostUnit, TakenAgain};
use crate::view::failing::Part;
use driftgate_core::cluster::ownership::Slot;
use driftgate_core::cluster::units;
use driftgate_core::pipeline::lock;

/// The commits of what this process has now, as the listener of the group sees them.
pub type Here = Arc<Mutex<BTreeMap<Slot, Arc<Commits>>>>;

/// Nothing is committed any more to slots that are another process's already; before the group goes on.
pub fn lose(here: &Here, slots: &BTreeSet<Slot>) {
    for (_, commits) in lock(here).iter().filter(|(slot, _)| slots.contains(slot)) {
        commits.lose(Loss::Taken("the coordinator gave it to another process".to_owned()));
    }
}

type Handle<'s> = ScopedJoinHandle<'s, anyhow::Result<()>>;

/// The threads.
pub struct Tenures<'s, 'e> {
    scope: &'s Scope<'s, 'e>,
    daemon: &'e Daemon<'e>,
    parts: &'e Parts,
    here: Here,
    threads: BTreeMap<Slot, (Arc<Commits>, Handle<'s>)>,
    /// Assigned again while the thread of before still ends.
    next: BTreeSet<Slot>,
    /// Taken over once more by this process, after a pause.
    again: Again,
    /// Policies were asked to be read again since the start.
    is_reloaded: bool,
}

impl<'s, 'e> Tenures<'s, 'e> {
    pub fn new(scope: &'s Scope<'s, 'e>, daemon: &'e Daemon<'e>, parts: &'e Parts, here: Here) -> Self {
        let (threads, next, again) = (BTreeMap::new(), BTreeSet::new(), Again::default());
        Self { scope, daemon, parts, here, threads, next, again, is_reloaded: false }
    }

    /// What a slot stands for, as people call it.
    fn name(&self, slot: Slot) -> &str {
        self.parts.unit(slot).map_or(LEDGER_NAME, |unit| unit.name.as_str())
    }

    /// Takes in what the coordinator decided.
    pub fn change(&mut self, change: Change) {
        match change {
            Change::Assigned(slots) => slots.into_iter().for_each(|slot| self.assign(slot)),
            Change::Revoked(slots) => {
                for slot in slots {
                    self.not_wanted(slot);
                    match self.threads.get(&slot) {
                        Some((commits, _)) => {
                            GivesBack { what: self.name(slot) }.emit();
                            commits.control.stop();
                        }
                        None => self.parts.membership.give_back(slot),
                    }
                }
            }
            Change::Lost(slots) => {
                for slot in &slots {
                    self.not_wanted(*slot);
                    if self.threads.contains_key(slot) {
                        LostUnit { what: self.name(*slot) }.emit();
                    }
                }
                lose(&self.here, &slots);
            }
        }
    }

    /// The slot is another process's, or about to be.
    fn not_wanted(&mut self, slot: Slot) {
        self.next.remove(&slot);
        self.again.forget(slot);
        self.works(slot);
    }

    /// Nothing of the slot fails here any more.
    fn works(&self, slot: Slot) {
        self.parts.view.works(&Part::Slot(self.name(slot).to_owned()));
    }

    fn assign(&mut self, slot: Slot) {
        // A topic of units may have more partitions than there are units.
        if slot != units::LEDGER && self.parts.unit(slot).is_none() {
            return;
        }
        if self.threads.contains_key(&slot) {
            self.next.insert(slot);
        } else if !self.daemon.control.is_stopping() && self.parts.membership.take_again(slot) {
            // What had it before may have given it back after this assignment.
            Assigned { what: self.name(slot) }.emit();
            self.start(slot, false);
        }
    }

    fn start(&mut self, slot: Slot, is_again: bool) {
        let (parts, daemon) = (self.parts, self.daemon);
        self.again.forget(slot);
        let unit = parts.unit(slot);
        let key = parts.key(slot);
        let results = Results::new(&parts.names.results, &key);
        let commits = Arc::new(Commits::new(slot, &key, &parts.writer(slot), results));
        if self.is_reloaded {
            commits.control.reload_policies();
        }
        lock(&self.here).insert(slot, Arc::clone(&commits));
        let tenure = Tenure { parts, commits: Arc::clone(&commits), is_again };
        let work = move || {
            let done = match unit {
                Some(unit) => counted::run(&tenure, daemon, unit),
                None => written::run(&tenure, daemon),
            };
            tenure.give_back();
            done
        };
        self.threads.insert(slot, (commits, self.scope.spawn(work)));
    }

    /// Takes in which threads have ended, takes over again what is due, and has the others read policies again if that was asked for.
    ///
    /// # Errors
    /// Why the process has to end.
    pub fn look(&mut self) -> anyhow::Result<()> {
        if self.daemon.control.take_policies() {
            self.is_reloaded = true;
            self.threads.values().for_each(|(commits, _)| commits.control.reload_policies());
        }
        let ended: Vec<Slot> =
            self.threads.iter().filter(|(_, (_, thread))| thread.is_finished()).map(|(slot, _)| *slot).collect();
        let mut done = Ok(());
        for slot in ended {
            let Some((commits, thread)) = self.threads.remove(&slot) else { continue };
            lock(&self.here).remove(&slot);
            let was_stopped = commits.control.is_stopping();
            let result = thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked; see its message above")));
            let is_over = self.ended(slot, &commits, was_stopped, result);
            done = done.and(is_over);
            if self.next.remove(&slot) && done.is_ok() {
                self.assign(slot);
            }
        }
        if done.is_ok() && !self.daemon.control.is_stopping() {
            for slot in self.again.due(Instant::now()) {
                if !self.threads.contains_key(&slot) && self.parts.membership.take_again(slot) {
                    self.start(slot, true);
                }
            }
        }
        done
    }

    fn ended(
        &mut self,
        slot: Slot,
        commits: &Commits,
        was_stopped: bool,
        result: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let what = self.name(slot);
        match (commits.lost(), result) {
            (Some(Loss::Fatal(why)), _) => Err(anyhow!("{what}: {why}")),
            // With the process all ends.
            (Some(Loss::Again(why)), _) if self.daemon.control.is_stopping() => Err(anyhow!("{what}: {why}")),
            (Some(Loss::Again(why)), _) => self.take_again(slot, &why),
            (Some(Loss::Taken(why)), _) => {
                GaveBack { what, why: Some(&why) }.emit();
                Ok(())
            }
            (None, Ok(())) if was_stopped => {
                GaveBack { what, why: None }.emit();
                Ok(())
            }
            (None, Ok(())) => Err(anyhow!("{what} is not counted any more, and nobody stopped that")),
            // Whoever has it next goes on from the commit before.
            (None, Err(e)) if was_stopped && !self.daemon.control.is_stopping() => {
                GaveBack { what, why: Some(&format!("{e:#}")) }.emit();
                Ok(())
            }
            (None, Err(e)) => Err(e.context(format!("{what} cannot be taken over or counted"))),
        }
    }

    /// The slot is taken over once more, after a pause.
    fn take_again(&mut self, slot: Slot, why: &str) -> anyhow::Result<()> {
        let Some((failures, pause)) = self.again.failed(slot, Instant::now()) else {
            let what = self.name(slot);
            return Err(anyhow!("{what}: {why}; that failed too often, one failure soon after the other"));
        };
        let what = self.name(slot);
        TakenAgain { what, why, failures, pause_seconds: pause.as_secs_f64() }.emit();
        self.parts.view.fails(Part::Slot(what.to_owned()), format!("{why}; taking over again"));
        Ok(())
    }

    /// Commits everything a last time; the first reason why that failed, if it did.
    ///
    /// # Errors
    /// A last commit that was refused.
    pub fn end(&mut self) -> anyhow::Result<()> {
        self.next.clear();
        self.threads.values().for_each(|(commits, _)| commits.control.stop());
        let mut done = Ok(());
        while !self.threads.is_empty() {
            done = done.and(self.look());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        done
    }
}
