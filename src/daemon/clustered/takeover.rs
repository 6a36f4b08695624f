//! From the assignment to counting: the owner of before is kept from writing, its last state and its registry are read up to what it
//! claimed, and a first commit names this process, before anything is counted or written here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use super::commits::{Through, UNIT};
use super::parts::Parts;
use super::snapshots;
use super::watch::watch;
use crate::checkpoint::{Checkpoint, Store};
use crate::cluster::ledger_log::{LedgerLog, Opening, WithGroup, opening};
use crate::cluster::member::{Change, Committed, SLOT};
use crate::cluster::producer::{self, Producer};
use crate::cluster::state_log::{self, Restored, StateLog};
use crate::daemon::base::Base;
use crate::daemon::control::End;
use crate::daemon::counting::Daemon;
use crate::daemon::threads::Threads;
use crate::daemon::{health, ledger};
use crate::ledger::{ChangeLog, Role};
use crate::source::kafka::KafkaSource;
use crate::telemetry::events::cluster::{Retried, TookOver};
use crate::view::cluster::{Role as Shown, UNIT as UNIT_NAME};
use driftgate_core::cluster::claim::Claim;
use driftgate_core::cluster::ownership::{Event, Step};

/// A question to the brokers, or a producer that is made, takes at most so long; then it is tried again.
const WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// How long the end of the ledger is waited for.
const LEDGER: Duration = Duration::from_secs(60);

/// The transactional id of changes of the registry.
fn ledger_writer(writer: &str) -> String {
    format!("{writer}-ledger")
}

pub struct Takeover<'t, 'd> {
    pub daemon: &'t Daemon<'d>,
    pub parts: &'t Parts,
    pub changed: &'t Receiver<Change>,
}

impl Takeover<'_, '_> {
    /// Takes the unit over and counts it until the daemon stops.
    pub fn run(&self, threads: &mut Threads) -> anyhow::Result<End> {
        let begun = Instant::now();
        self.parts.commits.begin();
        self.show(Shown::TakingOver);
        let writer = self.parts.commits.writer();
        // Made before the claim is read: they fence what this process wrote with before.
        let (Some(state), Some(changes)) = (self.producer(writer), self.producer(&ledger_writer(writer))) else {
            return Ok(End::Stopped);
        };
        let store = Store::open(&self.daemon.config.state.path)?;
        let Some(restored) = self.own()? else { return Ok(End::Stopped) };
        self.parts.commits.go_through(Through {
            producer: Arc::new(state),
            membership: Arc::clone(&self.parts.membership),
            units_topic: self.parts.names.units.clone(),
        });
        let (seq, bytes) = (restored.seq, restored.bytes);
        let (store, checkpoint) = self.first_commit(store, restored)?;
        let Some(log) = self.own_registry(changes)? else { return Ok(End::Stopped) };
        let base = self.base(store)?;
        TookOver {
            seq,
            bytes,
            seconds: begun.elapsed().as_secs_f64(),
            ledger_seq: self.parts.registry.replica_seq()?.unwrap_or(0),
        }
        .emit();
        self.show(Shown::Owner);
        let control = self.daemon.control;
        thread::scope(|scope| {
            scope.spawn(|| snapshots::keep(self.parts, &log, control));
            let counting = scope.spawn(|| self.daemon.run(base, checkpoint, None, threads));
            watch(self.parts, self.changed, &|| counting.is_finished());
            // Also after a panic nothing goes on.
            control.stop();
            self.show(Shown::GivingBack);
            counting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Follows the machine of ownership until it says to count; the state that was read. `None` where the daemon stops meanwhile.
    fn own(&self) -> anyhow::Result<Option<Restored>> {
        let commits = &self.parts.commits;
        let mut steps: VecDeque<Step> = commits.on(Event::Assigned([UNIT].into())).into();
        let mut restored = None;
        while let Some(step) = steps.pop_front() {
            if self.is_over() {
                return Ok(None);
            }
            let event = match step {
                Step::ReadClaim(slot, ticket) => match self.patiently("reading the claim", || self.claim())? {
                    Some(claim) => Event::Claim(slot, ticket, claim),
                    None => return Ok(None),
                },
                Step::Fence(slot, ticket, writer) => {
                    match self.patiently("fencing the owner before", || self.fence(&writer))? {
                        Some(()) => Event::Fenced(slot, ticket),
                        None => return Ok(None),
                    }
                }
                Step::ReadState(slot, ticket, seq) => {
                    let found = self.restore(seq)?;
                    let seq = found.seq;
                    restored = Some(found);
                    Event::State(slot, ticket, seq)
                }
                Step::Count(_) => return Ok(restored),
                Step::Commit(_) | Step::Drop(_) | Step::GiveBack(_) | Step::NewProducer | Step::Leave => continue,
            };
            steps.extend(commits.on(event));
        }
        Ok(None)
    }

    fn claim(&self) -> anyhow::Result<Option<Claim>> {
        let found = self.parts.membership.committed(&self.parts.names.units, WITHIN)?;
        found.map(|Committed { offset, metadata }| Ok(Claim::read(offset, &metadata)?)).transpose()
    }

    fn fence(&self, writer: &str) -> anyhow::Result<()> {
        producer::fence(&self.parts.properties, writer, WITHIN)?;
        Ok(producer::fence(&self.parts.properties, &ledger_writer(writer), WITHIN)?)
    }

    fn restore(&self, seq: Option<u64>) -> anyhow::Result<Restored> {
        let (folder, topic) = (&self.daemon.config.state.path, &self.parts.names.state);
        let stop = || self.is_over();
        state_log::restore(&self.parts.properties, (topic, SLOT), UNIT_NAME, seq, folder, &stop)
            .with_context(|| format!("the state cannot be read from {topic}"))
    }

    /// Loads the state, and commits it as it is under this process's name: who wrote before cannot commit any more, and whoever looks for the
    /// owner's ids finds this one's.
    fn first_commit(&self, store: Store, restored: Restored) -> anyhow::Result<(Store, Option<Checkpoint>)> {
        let commits = Arc::clone(&self.parts.commits);
        let log = StateLog::new(self.parts.names.state.clone(), UNIT_NAME, commits, restored.held);
        let store = store.publishing(Arc::new(log));
        let checkpoint = store.load()?;
        let empty = || Checkpoint { sources: Vec::new(), pipelines: Vec::new(), outbox: Vec::new() };
        let mut first = checkpoint.clone().unwrap_or_else(empty);
        store.save(&mut first).context("the first commit of the state")?;
        Ok((store, checkpoint))
    }

    /// The registry is read up to the last change that was acknowledged, and written here from now on.
    fn own_registry(&self, changes: Producer) -> anyhow::Result<Option<Arc<LedgerLog>>> {
        let Parts { registry, membership, names, tail, .. } = self.parts;
        let ask = || Ok(membership.committed(&names.ledger_owner, WITHIN)?);
        let Some(claimed) = self.patiently("reading the ledger's claim", ask)? else { return Ok(None) };
        let place = tail.catch_up(Instant::now() + LEDGER)?;
        // What is published here next, this process has.
        tail.pause();
        let member = Arc::clone(membership);
        let commit = WithGroup { producer: Arc::new(changes), metadata: move || member.metadata() };
        let writer = ledger_writer(self.parts.commits.writer());
        let id = registry.likeness()?.id;
        let log = LedgerLog::new(Box::new(commit), &names.ledger, &names.ledger_owner, &writer, &id);
        match opening(claimed.map(|claimed| claimed.offset), place.seen.newest, place.seen.seq) {
            Ok(Opening::Publish(seq)) => drop(log.begin(registry, seq)?),
            Ok(Opening::Write) => {}
            Err(why) => bail!(why),
        }
        let log = Arc::new(log);
        registry.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>))?;
        tail.resume();
        Ok(Some(log))
    }

    /// The parts that a daemon of its own opens at its start.
    fn base(&self, store: Store) -> anyhow::Result<Base> {
        let Parts { registry, view, .. } = self.parts;
        let mut properties = self.parts.properties.clone();
        // Offsets of inputs are committed for lag tools, by a group without members.
        properties.insert("group.id".to_owned(), format!("{}-inputs", self.parts.group));
        let kafka = KafkaSource::new(&properties)?;
        let doubts = ledger::adopt(self.daemon.config, registry)?;
        let asked = health::ask(kafka.handle(), self.daemon.config)?;
        let (registry, group, view) = (Arc::clone(registry), self.parts.group.clone(), view.clone());
        let base = Base { properties, group, kafka, asked, registry, store, me: None, view };
        base.show(self.daemon.config, doubts);
        Ok(base)
    }

    fn producer(&self, id: &str) -> Option<Producer> {
        self.patiently("a transactional producer", || Ok(Producer::new(&self.parts.properties, id, WITHIN)?))
            .ok()
            .flatten()
    }

    /// Tries again until it succeeds; `None` where the daemon stops meanwhile, or loses the unit.
    fn patiently<T>(&self, what: &str, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        let mut tries = 0_u32;
        while !self.is_over() {
            match work() {
                Ok(done) => return Ok(Some(done)),
                Err(e) if e.is::<driftgate_core::cluster::claim::NoClaim>() => {
                    return Err(anyhow!("{e}: was the group {:?} used for something else?", self.parts.group));
                }
                Err(e) => {
                    tries += 1;
                    Retried { what, tries, error: &format!("{e:#}") }.emit();
                    thread::sleep(PAUSE);
                }
            }
        }
        Ok(None)
    }

    /// The daemon stops, or the coordinator took the unit away before it was counted.
    fn is_over(&self) -> bool {
        if self.daemon.control.is_stopping() {
            return true;
        }
        match self.changed.try_recv() {
            Ok(Change::Revoked | Change::Lost) => {
                self.parts
                    .commits
                    .lose("the coordinator gave the unit to another process before it was taken over here");
                true
            }
            _ => false,
        }
    }

    /// The view says from now on what this process does.
    fn show(&self, role: Shown) {
        if let Some(cluster) = &mut self.parts.view.write().cluster {
            cluster.change_role(role);
        }
    }
}
