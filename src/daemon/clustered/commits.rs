//! Commits to a slot: a transaction with its claim, under the sequence number that the machine of ownership gives. There is one of these for each
//! time that a slot is this process's; once it is lost, nothing is committed through it any more.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::clock::now_ms;
use crate::cluster::error::Outcome;
use crate::cluster::member::Membership;
use crate::cluster::producer::{ClaimAt, Producer, Record};
use crate::cluster::results::Results;
use crate::cluster::state_log;
use crate::daemon::control::Control;
use crate::telemetry::events::cluster::CommitRefused;
use driftgate_core::cluster::claim::Claim;
use driftgate_core::cluster::ownership::{self, Event, Member, Slot, Step};
use driftgate_core::pipeline::lock;

/// While the group changes, a commit is refused for a moment.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(75);

/// Why nothing is done for a slot any more, the graver the later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// What was committed is not known, or this producer can write no more: where the slot is still this process's, it takes it over once
    /// more, from what the brokers have.
    Again(String),
    /// The coordinator gave it to another process: this one goes on with what else it has.
    Taken(String),
    /// The process has to end.
    Fatal(String),
}

impl Loss {
    fn gravity(&self) -> u8 {
        match self {
            Self::Again(_) => 0,
            Self::Taken(_) => 1,
            Self::Fatal(_) => 2,
        }
    }
}

/// What commits go through, once the slot is owned.
pub struct Through {
    pub producer: Arc<Producer>,
    pub membership: Arc<Membership>,
    pub units_topic: String,
}

/// The commits to a slot, for as long as it is this process's.
pub struct Commits {
    slot: Slot,
    /// What the slot stands for.
    key: String,
    machine: Mutex<Member>,
    writer: String,
    through: OnceLock<Through>,
    /// Of what is done for the slot.
    pub control: Control,
    /// What goes with each commit.
    pub results: Arc<Results>,
    lost: Mutex<Option<Loss>>,
}

impl Commits {
    pub fn new(slot: Slot, key: &str, writer: &str, results: Results) -> Self {
        Self {
            slot,
            key: key.to_owned(),
            machine: Mutex::new(Member::new(writer)),
            writer: writer.to_owned(),
            through: OnceLock::new(),
            control: Control::default(),
            results: Arc::new(results),
            lost: Mutex::default(),
        }
    }

    pub fn slot(&self) -> Slot {
        self.slot
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// Passes an event to the machine.
    pub fn on(&self, event: Event) -> Vec<Step> {
        lock(&self.machine).on(event)
    }

    /// From now on commits go through these.
    pub fn go_through(&self, through: Through) {
        // A slot is taken over once.
        let _ = self.through.set(through);
    }

    /// The id under which this process writes.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// Nothing is committed from now on; the first reason stays, unless a later one is graver.
    pub fn lose(&self, why: Loss) {
        {
            let mut lost = lock(&self.lost);
            if lost.as_ref().is_none_or(|before| before.gravity() < why.gravity()) {
                *lost = Some(why);
            }
        }
        let _ = self.on(Event::Lost([self.slot].into()));
        self.control.stop();
    }

    pub fn lost(&self) -> Option<Loss> {
        lock(&self.lost).clone()
    }

    /// One try, under the number that the machine gives for it.
    fn try_once(&self, through: &Through, records: &[Record]) -> Outcome {
        // What the coordinator knows the member by belongs to the moment when the commit is decided.
        let (steps, group) = {
            let mut machine = lock(&self.machine);
            (machine.on(Event::CommitDue), through.membership.metadata())
        };
        let part = steps.iter().find_map(|step| match step {
            Step::Commit(parts) => parts.get(&self.slot).copied(),
            _ => None,
        });
        let Some(part) = part else { return Outcome::Refused("the slot is not owned here".to_owned()) };
        let claim = Claim {
            seq: part.seq,
            transactional_id: self.writer.clone(),
            released: false,
            at_ms: now_ms(),
            unit: self.key.clone(),
        };
        let at = ClaimAt {
            topic: through.units_topic.clone(),
            partition: i32::try_from(self.slot).unwrap_or(i32::MAX),
            seq: part.seq,
            metadata: claim.metadata(),
        };
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

    /// Commits records with the claim; refused ones are tried again for a while.
    pub fn commit(&self, records: &[Record]) -> Outcome {
        let Some(through) = self.through.get() else {
            return Outcome::Refused("the slot is not owned here".to_owned());
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_once(through, records) {
                Outcome::Done => return Outcome::Done,
                Outcome::Refused(why) if tries < TRIES && self.lost().is_none() && self.is_owned() => {
                    CommitRefused { why: &why, tries }.emit();
                    thread::sleep(PAUSE);
                }
                Outcome::Ended(why) | Outcome::Unknown(why) => {
                    self.lose(Loss::Again(unknown(&why)));
                    return Outcome::Unknown(why);
                }
                refused @ Outcome::Refused(_) => return refused,
            }
        }
    }

    fn is_owned(&self) -> bool {
        lock(&self.machine).next_seq(self.slot).is_some()
    }
}

impl state_log::Commits for Commits {
    fn next(&self) -> (u64, String) {
        (lock(&self.machine).next_seq(self.slot).unwrap_or(0), self.writer.clone())
    }

    fn add(&self, records: &[Record]) -> Outcome {
        let Some(through) = self.through.get().filter(|_| self.is_owned()) else {
            return Outcome::Refused("the slot is not owned here".to_owned());
        };
        let outcome = through.producer.commit(records, None);
        if let Outcome::Ended(why) | Outcome::Unknown(why) = &outcome {
            self.lose(Loss::Again(unknown(why)));
        }
        outcome
    }

    /// What the unit says to the registry goes with its state.
    fn commit(&self, records: &[Record]) -> Outcome {
        let said = self.results.staged();
        if said.is_empty() { Self::commit(self, records) } else { Self::commit(self, &[records, &said].concat()) }
    }
}

fn unknown(why: &str) -> String {
    format!("whether a commit of the state succeeded is unknown, or another process took over: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_reason_stays_and_stops_what_is_done() {
        let commits = Commits::new(1, "u.shop", "g-a-u.shop", Results::new("results", "u.shop"));
        let (again, taken, fatal) = (Loss::Again("a".into()), Loss::Taken("t".into()), Loss::Fatal("f".into()));
        assert!(commits.lost().is_none() && !commits.control.is_stopping());
        for (said, stays) in [
            (&again, &again),
            (&Loss::Again("later".into()), &again),
            (&taken, &taken),
            (&again, &taken),
            (&fatal, &fatal),
            (&taken, &fatal),
        ] {
            commits.lose(said.clone());
            assert_eq!(commits.lost().as_ref(), Some(stays));
        }
        assert!(commits.control.is_stopping());
        assert_eq!(commits.commit(&[]), Outcome::Refused("the slot is not owned here".to_owned()));
    }
}
