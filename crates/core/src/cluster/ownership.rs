//! Which slots a process owns, and what it has to do next. A pure state machine: the edges report events and carry out steps; each step that
//! asks something is answered by one event. What is counted is durable with a commit, one transaction of all slots that are counted here.
//!
//! A slot is taken over in this order: read the claim; keep its owner from writing, unless it gave the slot back; read the claim again, since
//! the owner's last commit may have succeeded meanwhile; read the state of exactly that claim; count. A slot is given back after a last commit.
//! `simulation` runs members of this against a model of the brokers, through every order of events within its bounds.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::Claim;

/// A partition of the topic of units.
pub type Slot = u32;

/// Numbers the questions of a process: the answer to one that it has given up is ignored.
pub type Ticket = u32;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The coordinator assigned slots to this process.
    Assigned(BTreeSet<Slot>),
    /// The coordinator wants slots back, and waits for `Step::GiveBack`.
    Revoked(BTreeSet<Slot>),
    /// Slots are another process's already.
    Lost(BTreeSet<Slot>),
    /// The stable claim of a slot; `None` where there is none.
    Claim(Slot, Ticket, Option<Claim>),
    /// The owner of before cannot write any more.
    Fenced(Slot, Ticket),
    /// The state of a slot was read, up to this sequence number.
    State(Slot, Ticket, u64),
    /// It is time to commit.
    CommitDue,
    /// The answer to `Step::Commit`.
    Committed(Outcome),
    /// The producer that was asked for has resolved what the one before left open.
    Producer,
    /// The process is to end.
    Stop,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything in it is durable.
    Done,
    /// Nothing in it is, and the same may be committed again: the group was about to change, or the brokers were not ready.
    Refused,
    /// Nothing may be committed by this producer any more, and whether the commit was is unknown.
    Unknown,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Read the stable claim of a slot.
    ReadClaim(Slot, Ticket),
    /// Keep a transactional id from writing.
    Fence(Slot, Ticket, String),
    /// Read the state of a slot up to this sequence number; where the claim is missing, the newest state.
    ReadState(Slot, Ticket, Option<u64>),
    /// Count from the state that was read.
    Count(Slot),
    /// Commit these slots under these sequence numbers, in one transaction. The metadata of the group is that of the moment when this step was
    /// given: taken later, it may be that of a membership in which the slots are another process's.
    Commit(BTreeMap<Slot, Commit>),
    /// Stop counting, and forget the state.
    Drop(Slot),
    /// Tell the coordinator that the slots are free.
    GiveBack(BTreeSet<Slot>),
    /// Make the producer anew under the same transactional id.
    NewProducer,
    /// Leave the group and end.
    Leave,
}

/// A slot's part of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    pub seq: u64,
    /// The slot is not counted here after it.
    pub releases: bool,
}

/// How far a slot is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Claiming,
    Fencing,
    Restoring,
    /// The last commit's sequence number.
    Counting(u64),
    /// The producer is made anew; then the claim is read.
    Waiting,
}

/// A slot that the coordinator assigned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owned {
    phase: Phase,
    /// Of the question that is open.
    ticket: Ticket,
    /// The id that cannot write any more.
    fenced: Option<String>,
    is_revoked: bool,
}

/// This process's part of the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    transactional_id: String,
    owned: BTreeMap<Slot, Owned>,
    /// The commit whose outcome is not known yet.
    open: Option<BTreeMap<Slot, Commit>>,
    /// The producer is being made anew.
    is_without_producer: bool,
    is_stopping: bool,
    has_left: bool,
    last_ticket: Ticket,
}

/// The next ticket.
fn draw(last: &mut Ticket) -> Ticket {
    *last = last.wrapping_add(1);
    *last
}

impl Member {
    /// A member that writes under this transactional id. Its producer is made before it joins the group, which fences the one that this process
    /// had before.
    #[must_use]
    pub fn new(transactional_id: &str) -> Self {
        Self {
            transactional_id: transactional_id.to_owned(),
            owned: BTreeMap::new(),
            open: None,
            is_without_producer: false,
            is_stopping: false,
            has_left: false,
            last_ticket: 0,
        }
    }

    /// Slots that are counted here.
    pub fn counting(&self) -> impl Iterator<Item = Slot> {
        self.owned.iter().filter(|(_, o)| matches!(o.phase, Phase::Counting(_))).map(|(slot, _)| *slot)
    }

    /// The number that the next commit of a slot has; `None` where it is not counted here.
    #[must_use]
    pub fn next_seq(&self, slot: Slot) -> Option<u64> {
        match self.owned.get(&slot)?.phase {
            Phase::Counting(seq) => Some(seq + 1),
            _ => None,
        }
    }

    /// Takes an event in; returns what to do, in order.
    #[must_use]
    pub fn on(&mut self, event: Event) -> Vec<Step> {
        match event {
            Event::Assigned(slots) => self.assign(slots),
            Event::Revoked(slots) => self.revoke(&slots),
            Event::Lost(slots) => self.lose(&slots),
            Event::Claim(slot, ticket, claim) => self.take_over(slot, ticket, claim),
            Event::Fenced(slot, ticket) => self.fenced(slot, ticket),
            Event::State(slot, ticket, seq) => self.restored(slot, ticket, seq),
            Event::CommitDue => self.commit(),
            Event::Committed(outcome) => self.committed(outcome),
            Event::Producer => self.with_producer(),
            Event::Stop => self.stop(),
        }
    }

    fn assign(&mut self, slots: BTreeSet<Slot>) -> Vec<Step> {
        let mut steps = Vec::new();
        for slot in slots {
            let phase = if self.is_without_producer { Phase::Waiting } else { Phase::Claiming };
            let ticket = draw(&mut self.last_ticket);
            if phase == Phase::Claiming {
                steps.push(Step::ReadClaim(slot, ticket));
            }
            self.owned.insert(slot, Owned { phase, ticket, fenced: None, is_revoked: self.is_stopping });
        }
        if self.is_stopping {
            steps.clear();
            steps.extend(self.give_back());
        }
        steps
    }

    /// What is counted is committed a last time first, and what is not yet counted is given back at once.
    fn revoke(&mut self, slots: &BTreeSet<Slot>) -> Vec<Step> {
        for slot in slots {
            if let Some(owned) = self.owned.get_mut(slot) {
                owned.is_revoked = true;
            }
        }
        let mut steps = self.give_back();
        steps.extend(self.commit());
        steps
    }

    fn lose(&mut self, slots: &BTreeSet<Slot>) -> Vec<Step> {
        let mut steps = Vec::new();
        for slot in slots {
            if let Some(owned) = self.owned.remove(slot)
                && matches!(owned.phase, Phase::Counting(_))
            {
                steps.push(Step::Drop(*slot));
            }
        }
        steps.extend(self.leave());
        steps
    }

    /// The slot, where it waits for this answer.
    fn waiting(&mut self, slot: Slot, phase: &Phase, ticket: Ticket) -> Option<&mut Owned> {
        self.owned.get_mut(&slot).filter(|o| o.phase == *phase && o.ticket == ticket)
    }

    fn take_over(&mut self, slot: Slot, ticket: Ticket, claim: Option<Claim>) -> Vec<Step> {
        let (own, next) = (self.transactional_id.clone(), draw(&mut self.last_ticket));
        let Some(owned) = self.waiting(slot, &Phase::Claiming, ticket) else { return Vec::new() };
        owned.ticket = next;
        // Whoever made the claim may still be writing. This process's own producer was made after whatever it wrote before.
        let writer = claim.as_ref().filter(|c| !c.released && c.transactional_id != own).map(|c| &c.transactional_id);
        if let Some(writer) = writer.filter(|w| owned.fenced.as_ref() != Some(*w)) {
            owned.phase = Phase::Fencing;
            owned.fenced = Some(writer.clone());
            return vec![Step::Fence(slot, next, writer.clone())];
        }
        owned.phase = Phase::Restoring;
        vec![Step::ReadState(slot, next, claim.map(|c| c.seq))]
    }

    fn fenced(&mut self, slot: Slot, ticket: Ticket) -> Vec<Step> {
        let next = draw(&mut self.last_ticket);
        let Some(owned) = self.waiting(slot, &Phase::Fencing, ticket) else { return Vec::new() };
        (owned.phase, owned.ticket) = (Phase::Claiming, next);
        vec![Step::ReadClaim(slot, next)]
    }

    fn restored(&mut self, slot: Slot, ticket: Ticket, seq: u64) -> Vec<Step> {
        let Some(owned) = self.waiting(slot, &Phase::Restoring, ticket) else { return Vec::new() };
        owned.phase = Phase::Counting(seq);
        vec![Step::Count(slot)]
    }

    /// Commits all slots that are counted here, unless a commit is under way.
    fn commit(&mut self) -> Vec<Step> {
        if self.open.is_some() || self.is_without_producer {
            return Vec::new();
        }
        let part = |(slot, owned): (&Slot, &Owned)| match owned.phase {
            Phase::Counting(seq) => Some((*slot, Commit { seq: seq + 1, releases: owned.is_revoked })),
            _ => None,
        };
        let parts: BTreeMap<Slot, Commit> = self.owned.iter().filter_map(part).collect();
        if parts.is_empty() {
            return Vec::new();
        }
        self.open = Some(parts.clone());
        vec![Step::Commit(parts)]
    }

    fn committed(&mut self, outcome: Outcome) -> Vec<Step> {
        let Some(parts) = self.open.take() else { return Vec::new() };
        let mut steps = Vec::new();
        match outcome {
            Outcome::Done => {
                for (slot, part) in parts {
                    let Some(owned) = self.owned.get_mut(&slot) else { continue };
                    // A slot that was lost and assigned again meanwhile is being read anew.
                    let Phase::Counting(seq) = &mut owned.phase else { continue };
                    if part.seq != *seq + 1 {
                        continue;
                    }
                    *seq = part.seq;
                    if part.releases {
                        owned.phase = Phase::Waiting;
                        steps.push(Step::Drop(slot));
                    }
                }
                steps.extend(self.give_back());
                // Of slots that were revoked while it was under way.
                if self.owned.values().any(|o| o.is_revoked) {
                    steps.extend(self.commit());
                }
            }
            // With the next turn: the group may be about to take the slots.
            Outcome::Refused => steps.extend(self.leave()),
            Outcome::Unknown => {
                self.is_without_producer = true;
                for (slot, owned) in &mut self.owned {
                    if matches!(owned.phase, Phase::Counting(_)) {
                        steps.push(Step::Drop(*slot));
                        owned.phase = Phase::Waiting;
                    }
                }
                steps.push(Step::NewProducer);
                steps.extend(self.give_back());
            }
        }
        steps
    }

    fn with_producer(&mut self) -> Vec<Step> {
        self.is_without_producer = false;
        let mut steps = Vec::new();
        for (slot, owned) in &mut self.owned {
            if owned.phase == Phase::Waiting && !owned.is_revoked {
                (owned.phase, owned.ticket) = (Phase::Claiming, draw(&mut self.last_ticket));
                steps.push(Step::ReadClaim(*slot, owned.ticket));
            }
        }
        steps
    }

    fn stop(&mut self) -> Vec<Step> {
        self.is_stopping = true;
        let all = self.owned.keys().copied().collect();
        let mut steps = self.revoke(&all);
        steps.extend(self.leave());
        steps
    }

    /// Gives back what was revoked and is not counted here, or not any more.
    fn give_back(&mut self) -> Vec<Step> {
        let is_free = |o: &Owned| o.is_revoked && !matches!(o.phase, Phase::Counting(_));
        let free: BTreeSet<Slot> = self.owned.iter().filter(|(_, o)| is_free(o)).map(|(slot, _)| *slot).collect();
        let mut steps = Vec::new();
        if !free.is_empty() {
            self.owned.retain(|slot, _| !free.contains(slot));
            steps.push(Step::GiveBack(free));
        }
        steps.extend(self.leave());
        steps
    }

    /// Leaves once nothing is owned any more.
    fn leave(&mut self) -> Vec<Step> {
        if !self.is_stopping || self.has_left || !self.owned.is_empty() || self.open.is_some() {
            return Vec::new();
        }
        self.has_left = true;
        vec![Step::Leave]
    }
}
