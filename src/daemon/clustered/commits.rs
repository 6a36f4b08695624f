//! Commits of the state: a transaction with the claim of the unit, under the sequence number that the machine of ownership gives. Whoever
//! may not commit any more stops the daemon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::clock::now_ms;
use crate::cluster::error::Outcome;
use crate::cluster::member::{Membership, SLOT};
use crate::cluster::producer::{ClaimAt, Producer, Record};
use crate::cluster::state_log;
use crate::daemon::control::Control;
use crate::telemetry::events::cluster::CommitRefused;
use driftgate_core::cluster::claim::Claim;
use driftgate_core::cluster::ownership::{self, Event, Member, Slot, Step};
use driftgate_core::pipeline::lock;

/// The one unit.
pub const UNIT: Slot = SLOT.unsigned_abs();
/// While the group changes, a commit is refused for a moment.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(150);

/// What commits go through, once the unit is owned.
pub struct Through {
    pub producer: Arc<Producer>,
    pub membership: Arc<Membership>,
    pub units_topic: String,
}

/// The commits of this process.
pub struct Commits {
    machine: Mutex<Member>,
    writer: String,
    through: OnceLock<Through>,
    control: Control,
    /// Why this process may not go on.
    lost: Mutex<Option<String>>,
    /// The coordinator wanted the unit back.
    gives_back: AtomicBool,
    /// Wall clock of the last one that succeeded, ms.
    last_ms: Mutex<Option<i64>>,
    /// The takeover has begun: this process is no standby any more.
    has_begun: Mutex<bool>,
}

impl Commits {
    pub fn new(control: Control, writer: &str) -> Self {
        Self {
            machine: Mutex::new(Member::new(writer)),
            writer: writer.to_owned(),
            through: OnceLock::new(),
            control,
            lost: Mutex::default(),
            gives_back: AtomicBool::new(false),
            last_ms: Mutex::default(),
            has_begun: Mutex::default(),
        }
    }

    /// From now on `while_standby` does nothing; waits for what it does.
    pub fn begin(&self) {
        *lock(&self.has_begun) = true;
    }

    /// Does something unless the takeover has begun, and keeps it from beginning meanwhile.
    pub fn while_standby(&self, work: impl FnOnce()) {
        let has_begun = lock(&self.has_begun);
        if !*has_begun {
            work();
        }
    }

    /// Passes an event to the machine.
    pub fn on(&self, event: Event) -> Vec<Step> {
        lock(&self.machine).on(event)
    }

    /// From now on commits go through these.
    pub fn go_through(&self, through: Through) {
        // A process takes over once.
        let _ = self.through.set(through);
    }

    /// The id under which this process writes.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// Why the process may not go on; the first reason stays.
    pub fn lose(&self, why: &str) {
        lock(&self.lost).get_or_insert_with(|| why.to_owned());
        let _ = self.on(Event::Lost([UNIT].into()));
        self.control.stop();
    }

    pub fn lost(&self) -> Option<String> {
        lock(&self.lost).clone()
    }

    /// The coordinator wants the unit back: the daemon commits a last time and ends.
    pub fn give_back(&self) {
        self.gives_back.store(true, Ordering::Relaxed);
        self.control.stop();
    }

    /// Why the process ended, where nobody stopped it: its supervisor has to start it again.
    pub fn why_ended(&self) -> Option<String> {
        let given_back = || {
            "the coordinator gave the models to another process: this one has committed, and stands by once it is started again".to_owned()
        };
        self.lost().or_else(|| self.gives_back.load(Ordering::Relaxed).then(given_back))
    }

    pub fn last_ms(&self) -> Option<i64> {
        *lock(&self.last_ms)
    }

    /// One try, under the number that the machine gives for it.
    fn try_once(&self, through: &Through, records: &[Record]) -> Outcome {
        // What the coordinator knows the member by belongs to the moment when the commit is decided.
        let (steps, group) = {
            let mut machine = lock(&self.machine);
            (machine.on(Event::CommitDue), through.membership.metadata())
        };
        let part = steps.iter().find_map(|step| match step {
            Step::Commit(parts) => parts.get(&UNIT).copied(),
            _ => None,
        });
        let Some(part) = part else { return Outcome::Refused("the unit is not counted here".to_owned()) };
        let claim = Claim { seq: part.seq, transactional_id: self.writer.clone(), released: false, at_ms: now_ms() };
        let at =
            ClaimAt { topic: through.units_topic.clone(), partition: SLOT, seq: part.seq, metadata: claim.metadata() };
        let group = Mutex::new(group);
        let outcome = through.producer.commit(records, Some((&at, &|| lock(&group).take())));
        let said = match &outcome {
            Outcome::Done => ownership::Outcome::Done,
            Outcome::Refused(_) => ownership::Outcome::Refused,
            Outcome::Ended(_) | Outcome::Unknown(_) => ownership::Outcome::Unknown,
        };
        let _ = self.on(Event::Committed(said));
        outcome
    }
}

impl state_log::Commits for Commits {
    fn next(&self) -> (u64, String) {
        (lock(&self.machine).next_seq(UNIT).unwrap_or(0), self.writer.clone())
    }

    fn add(&self, records: &[Record]) -> Outcome {
        let Some(through) = self.through.get().filter(|_| self.is_counting()) else {
            return Outcome::Refused("the unit is not counted here".to_owned());
        };
        let outcome = through.producer.commit(records, None);
        if let Outcome::Ended(why) | Outcome::Unknown(why) = &outcome {
            self.lose(&unknown(why));
        }
        outcome
    }

    fn commit(&self, records: &[Record]) -> Outcome {
        let Some(through) = self.through.get() else {
            return Outcome::Refused("the unit is not counted here".to_owned());
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_once(through, records) {
                Outcome::Done => {
                    *lock(&self.last_ms) = Some(now_ms());
                    return Outcome::Done;
                }
                Outcome::Refused(why) if tries < TRIES && self.lost().is_none() && self.is_counting() => {
                    CommitRefused { why: &why, tries }.emit();
                    thread::sleep(PAUSE);
                }
                Outcome::Ended(why) | Outcome::Unknown(why) => {
                    self.lose(&unknown(&why));
                    return Outcome::Unknown(why);
                }
                refused @ Outcome::Refused(_) => return refused,
            }
        }
    }
}

fn unknown(why: &str) -> String {
    format!(
        "whether a commit of the state succeeded is unknown, or another process took over: {why}; the process ends, and stands by once it is \
         started again"
    )
}

impl Commits {
    fn is_counting(&self) -> bool {
        lock(&self.machine).next_seq(UNIT).is_some()
    }
}
