//! The model: brokers, members with their mailboxes, and what may happen next.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::claim::Claim;
use crate::cluster::ownership::{Commit, Event, Member, Outcome, Slot, Step, Ticket};

/// A mistake that the simulation has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A dead owner is not kept from writing: that is as safe, and waits for the time limit of its transaction.
    NoFence,
    /// The newest state that can be read is taken, whatever the claim says.
    AnyState,
    /// A commit of unknown outcome counts as done.
    HopeForTheBest,
    /// The state is kept when a slot is lost.
    KeepLost,
    /// Claims are read while a transaction over them is open.
    UnstableClaim,
    /// A slot is given back before its last commit.
    GiveBackFirst,
    /// The generation of the group is looked up when the commit is sent, not when it is decided.
    LateGeneration,
}

impl Mutant {
    pub const UNSAFE: [Self; 6] = [
        Self::AnyState,
        Self::HopeForTheBest,
        Self::KeepLost,
        Self::UnstableClaim,
        Self::GiveBackFirst,
        Self::LateGeneration,
    ];
}

/// A committed or pending part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Part {
    commit: Commit,
    from: u8,
    to: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Status {
    Open,
    Committed,
    Aborted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Transaction {
    member: usize,
    epoch: u8,
    parts: BTreeMap<Slot, Part>,
    status: Status,
    /// Its marker has reached the claims; the state.
    in_claims: bool,
    in_state: bool,
}

/// What a member asked and was not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Ask {
    ReadClaim(Slot, Ticket),
    Fence(Slot, Ticket, usize),
    ReadState(Slot, Ticket, Option<u64>),
    /// The transaction with its offsets, with the epoch of the producer, and the generation of the member, as they were when it was
    /// asked; then its end.
    Begin(BTreeMap<Slot, Part>, u8, u8),
    End(u8),
    NewProducer,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    machine: Member,
    is_alive: bool,
    is_frozen: bool,
    /// The coordinator knows it.
    is_member: bool,
    epoch: u8,
    /// Of its membership, as the coordinator has it, and as it knows it.
    generation: u8,
    known_generation: u8,
    /// What is counted of each slot: durable up to, counted up to.
    counts: BTreeMap<Slot, (u8, u8)>,
    /// States that were read, to count from.
    read: BTreeMap<Ticket, u8>,
    /// What the commit holds whose outcome is not known yet.
    committing: BTreeMap<Slot, Part>,
    asks: Vec<Ask>,
    mailbox: Vec<Event>,
}

/// Faults that may still happen, and work that may still be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    pub crashes: u8,
    pub freezes: u8,
    pub moves: u8,
    pub timeouts: u8,
    pub lost_answers: u8,
    pub refusals: u8,
    pub commits: u8,
    pub stops: u8,
}

/// What may happen next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Deliver(usize, usize),
    Answer(usize, usize),
    Refuse(usize, usize),
    LoseAnswer(usize, usize),
    Count(usize, Slot),
    Due(usize),
    Marker(usize, bool),
    Crash(usize),
    Restart(usize),
    Freeze(usize),
    Thaw(usize),
    Kick(usize),
    Move(Slot),
    Assign(Slot, usize),
    TimeOut(usize),
    Stop(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    processes: Vec<Process>,
    /// Whom the coordinator gave a slot, and whether it wants it back.
    owners: BTreeMap<Slot, Option<(usize, bool)>>,
    epochs: Vec<u8>,
    transactions: Vec<Transaction>,
    input: u8,
    pub budget: Budget,
}

/// How a member is called.
fn name(process: usize) -> String {
    format!("group-{process}")
}

impl World {
    pub fn new(processes: usize, slots: Slot, input: u8, budget: Budget) -> Self {
        let process = |at: usize| Process {
            machine: Member::new(&name(at)),
            is_alive: true,
            is_frozen: false,
            is_member: true,
            epoch: 0,
            generation: 0,
            known_generation: 0,
            counts: BTreeMap::new(),
            read: BTreeMap::new(),
            committing: BTreeMap::new(),
            asks: Vec::new(),
            mailbox: Vec::new(),
        };
        Self {
            processes: (0..processes).map(process).collect(),
            owners: (0..slots).map(|slot| (slot, None)).collect(),
            epochs: vec![0; processes],
            transactions: Vec::new(),
            input,
            budget,
        }
    }

    fn process(&mut self, at: usize) -> &mut Process {
        &mut self.processes[at]
    }

    fn runs(&self, at: usize) -> bool {
        self.processes[at].is_alive && !self.processes[at].is_frozen
    }

    /// All that may happen. Without `faults` only what brings things to their end.
    pub fn choices(&self, faults: bool, mutant: Option<Mutant>) -> Vec<Choice> {
        let mut found = Vec::new();
        let b = &self.budget;
        for (at, p) in self.processes.iter().enumerate() {
            for (n, ask) in p.asks.iter().enumerate() {
                if self.is_answerable(ask, mutant) {
                    found.push(Choice::Answer(at, n));
                    let is_commit = matches!(ask, Ask::Begin(..) | Ask::End(..));
                    if faults && b.lost_answers > 0 && is_commit {
                        found.push(Choice::LoseAnswer(at, n));
                    }
                    if faults && b.refusals > 0 && matches!(ask, Ask::Begin(..)) {
                        found.push(Choice::Refuse(at, n));
                    }
                }
            }
            if self.runs(at) {
                // Answers come in any order, what the coordinator says in its own.
                let is_group = |e: &Event| matches!(e, Event::Assigned(_) | Event::Revoked(_) | Event::Lost(_));
                let first = p.mailbox.iter().position(is_group);
                let next = |n: &usize| Some(*n) == first || p.mailbox.get(*n).is_some_and(|e| !is_group(e));
                found.extend((0..p.mailbox.len()).filter(next).map(|n| Choice::Deliver(at, n)));
                found.extend(
                    p.counts.iter().filter(|(_, c)| c.1 < self.input).map(|(slot, _)| Choice::Count(at, *slot)),
                );
                let is_dirty = p.counts.values().any(|(from, to)| from != to);
                let is_revoked = self.owners.values().any(|o| *o == Some((at, true)));
                if (faults && b.commits > 0 || !faults && (is_dirty || is_revoked))
                    && p.machine.counting().next().is_some()
                {
                    found.push(Choice::Due(at));
                }
                if faults && b.freezes > 0 {
                    found.push(Choice::Freeze(at));
                }
                if faults && b.stops > 0 {
                    found.push(Choice::Stop(at));
                }
            }
            if p.is_alive && faults && b.crashes > 0 {
                found.push(Choice::Crash(at));
            }
            if p.is_alive && p.is_frozen {
                found.push(Choice::Thaw(at));
            }
            if !p.is_alive {
                found.push(Choice::Restart(at));
            }
            // The coordinator misses its heartbeats, or believes so.
            if p.is_member && !self.runs(at) {
                found.push(Choice::Kick(at));
            }
        }
        for (n, t) in self.transactions.iter().enumerate() {
            if t.status == Status::Committed {
                found.extend((!t.in_claims).then_some(Choice::Marker(n, true)));
                found.extend((!t.in_state).then_some(Choice::Marker(n, false)));
            }
            let is_left = self.processes[t.member].epoch != t.epoch || !self.runs(t.member);
            if t.status == Status::Open && (faults && b.timeouts > 0 || !faults && is_left) {
                found.push(Choice::TimeOut(n));
            }
        }
        for (slot, owner) in &self.owners {
            match owner {
                None => {
                    let able = (0..self.processes.len()).filter(|&p| self.processes[p].is_member && self.runs(p));
                    found.extend(able.map(|p| Choice::Assign(*slot, p)));
                }
                Some((_, false)) if faults && b.moves > 0 => found.push(Choice::Move(*slot)),
                Some(_) => {}
            }
        }
        found
    }

    fn is_answerable(&self, ask: &Ask, mutant: Option<Mutant>) -> bool {
        match ask {
            // Offsets are pending until the transaction over them is resolved everywhere.
            Ask::ReadClaim(slot, _) => {
                let is_pending = |t: &Transaction| {
                    t.parts.contains_key(slot)
                        && (t.status == Status::Open || t.status == Status::Committed && !t.in_claims)
                };
                mutant == Some(Mutant::UnstableClaim) || !self.transactions.iter().any(is_pending)
            }
            Ask::ReadState(slot, _, seq) => mutant == Some(Mutant::AnyState) || self.state(*slot).0 >= seq.unwrap_or(0),
            _ => true,
        }
    }

    fn claim(&self, slot: Slot) -> Option<Claim> {
        let visible = self.transactions.iter().filter(|t| t.status == Status::Committed && t.in_claims);
        let last =
            visible.filter_map(|t| Some((t.parts.get(&slot)?, t.member))).max_by_key(|(part, _)| part.commit.seq);
        last.map(|(part, member)| Claim {
            seq: part.commit.seq,
            transactional_id: name(member),
            released: part.commit.releases,
            at_ms: 0,
            unit: String::new(),
        })
    }

    /// The newest state that can be read: its sequence number, and how far it counted.
    fn state(&self, slot: Slot) -> (u64, u8) {
        let visible = self.transactions.iter().filter(|t| t.status == Status::Committed && t.in_state);
        let states = visible.filter_map(|t| t.parts.get(&slot)).map(|p| (p.commit.seq, p.to));
        states.max().unwrap_or((0, 0))
    }

    /// Carries a choice out.
    pub fn take(&mut self, choice: &Choice, mutant: Option<Mutant>) -> Result<(), String> {
        match choice {
            Choice::Deliver(at, n) => {
                let event = self.process(*at).mailbox.remove(*n);
                self.tell(*at, event, mutant);
            }
            Choice::Answer(at, n) => return self.answer(*at, *n, mutant),
            Choice::Refuse(at, n) => {
                self.budget.refusals -= 1;
                self.process(*at).asks.remove(*n);
                self.process(*at).mailbox.push(Event::Committed(Outcome::Refused));
            }
            Choice::LoseAnswer(at, n) => {
                self.budget.lost_answers -= 1;
                self.answer(*at, *n, mutant)?;
                let p = self.process(*at);
                p.asks.retain(|a| !matches!(a, Ask::End(_)));
                p.mailbox.retain(|e| !matches!(e, Event::Committed(_)));
                p.mailbox.push(Event::Committed(Outcome::Unknown));
            }
            Choice::Count(at, slot) => {
                if let Some(count) = self.process(*at).counts.get_mut(slot) {
                    count.1 += 1;
                }
            }
            Choice::Due(at) => {
                self.budget.commits = self.budget.commits.saturating_sub(1);
                self.tell(*at, Event::CommitDue, mutant);
            }
            Choice::Marker(n, true) => self.transactions[*n].in_claims = true,
            Choice::Marker(n, false) => self.transactions[*n].in_state = true,
            Choice::Crash(at) => {
                self.budget.crashes -= 1;
                self.process(*at).is_alive = false;
                // What was sent still arrives.
                self.process(*at).asks.retain(|a| matches!(a, Ask::Begin(..) | Ask::End(_)));
                self.process(*at).mailbox.clear();
            }
            Choice::Restart(at) => self.restart(*at),
            Choice::Freeze(at) => {
                self.budget.freezes -= 1;
                self.process(*at).is_frozen = true;
            }
            Choice::Thaw(at) => self.process(*at).is_frozen = false,
            Choice::Kick(at) => self.kick(*at),
            Choice::Move(slot) => {
                self.budget.moves -= 1;
                if let Some(Some((owner, wanted))) = self.owners.get_mut(slot) {
                    *wanted = true;
                    let owner = *owner;
                    self.process(owner).mailbox.push(Event::Revoked(BTreeSet::from([*slot])));
                }
            }
            Choice::Assign(slot, at) => {
                self.owners.insert(*slot, Some((*at, false)));
                self.process(*at).mailbox.push(Event::Assigned(BTreeSet::from([*slot])));
            }
            Choice::TimeOut(n) => {
                self.budget.timeouts = self.budget.timeouts.saturating_sub(1);
                let t = &mut self.transactions[*n];
                t.status = Status::Aborted;
                // The coordinator of transactions fences the one that it gave up.
                let member = t.member;
                self.epochs[member] += 1;
            }
            Choice::Stop(at) => {
                self.budget.stops -= 1;
                self.tell(*at, Event::Stop, mutant);
            }
        }
        Ok(())
    }

    /// A process that died starts again under its name: its producer first, then the group.
    fn restart(&mut self, at: usize) {
        self.kick(at);
        self.renew(at);
        let epoch = self.epochs[at];
        let p = self.process(at);
        p.machine = Member::new(&name(at));
        (p.is_alive, p.is_frozen, p.is_member, p.epoch) = (true, false, true, epoch);
        p.known_generation = p.generation;
        p.counts.clear();
        p.read.clear();
        p.committing.clear();
        p.mailbox.clear();
    }

    fn kick(&mut self, at: usize) {
        let lost: BTreeSet<Slot> =
            self.owners.iter().filter(|(_, o)| o.is_some_and(|(p, _)| p == at)).map(|(slot, _)| *slot).collect();
        self.owners.iter_mut().filter(|(slot, _)| lost.contains(slot)).for_each(|(_, owner)| *owner = None);
        let p = self.process(at);
        p.is_member = false;
        p.generation += 1;
        if p.is_alive {
            // What the coordinator said before is void, and that is heard first.
            p.mailbox.retain(|e| !matches!(e, Event::Assigned(_) | Event::Revoked(_)));
            p.mailbox.push(Event::Lost(lost));
        }
    }

    /// Ends what an id has open, and gives it the next epoch.
    fn renew(&mut self, member: usize) {
        self.epochs[member] += 1;
        for t in &mut self.transactions {
            if t.member == member && t.status == Status::Open {
                t.status = Status::Aborted;
            }
        }
    }

    /// Gives a member an event, and takes the steps that it wants.
    fn tell(&mut self, at: usize, event: Event, mutant: Option<Mutant>) {
        let event = match event {
            Event::Committed(Outcome::Unknown) if mutant == Some(Mutant::HopeForTheBest) => {
                Event::Committed(Outcome::Done)
            }
            event => event,
        };
        if let Event::Lost(_) = event {
            let p = self.process(at);
            (p.is_member, p.known_generation) = (true, p.generation);
            if mutant == Some(Mutant::KeepLost) {
                return;
            }
        }
        if event == Event::Committed(Outcome::Done) {
            // What it held is durable; a slot that was lost and read anew meanwhile starts elsewhere.
            let p = self.process(at);
            for (slot, part) in std::mem::take(&mut p.committing) {
                if let Some(count) = p.counts.get_mut(&slot).filter(|c| c.0 == part.from) {
                    count.0 = part.to;
                }
            }
        }
        let answered =
            if let Event::State(_, ticket, _) = event { self.processes[at].read.remove(&ticket) } else { None };
        let mut steps = self.process(at).machine.on(event.clone());
        if let (Event::Revoked(slots), Some(Mutant::GiveBackFirst)) = (&event, mutant) {
            steps.insert(0, Step::GiveBack(slots.clone()));
        }
        for step in steps {
            if let Step::Count(slot) = step {
                let from = answered.unwrap_or(0);
                self.process(at).counts.insert(slot, (from, from));
            } else {
                self.carry_out(at, step, mutant);
            }
        }
    }

    fn carry_out(&mut self, at: usize, step: Step, mutant: Option<Mutant>) {
        let p = &mut self.processes[at];
        match step {
            Step::ReadClaim(slot, ticket) => p.asks.push(Ask::ReadClaim(slot, ticket)),
            Step::Fence(slot, ticket, _) if mutant == Some(Mutant::NoFence) => {
                p.mailbox.push(Event::Fenced(slot, ticket));
            }
            Step::Fence(slot, ticket, id) => {
                let whom = id.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a member's name");
                p.asks.push(Ask::Fence(slot, ticket, whom));
            }
            Step::ReadState(slot, ticket, seq) => p.asks.push(Ask::ReadState(slot, ticket, seq)),
            // Done where the state is at hand.
            Step::Count(_) => {}
            Step::Commit(parts) => {
                let part = |(slot, commit): (Slot, Commit)| {
                    let (from, to) = *p.counts.get(&slot).expect("what is committed is counted");
                    (slot, Part { commit, from, to })
                };
                let parts: BTreeMap<Slot, Part> = parts.into_iter().map(part).collect();
                p.committing.clone_from(&parts);
                p.asks.push(Ask::Begin(parts, p.epoch, p.known_generation));
            }
            Step::Drop(slot) => drop(p.counts.remove(&slot)),
            Step::GiveBack(slots) => {
                for slot in slots {
                    if self.owners.get(&slot).copied().flatten().is_some_and(|(owner, _)| owner == at) {
                        self.owners.insert(slot, None);
                    }
                }
            }
            Step::NewProducer => p.asks.push(Ask::NewProducer),
            Step::Leave => p.is_member = false,
        }
    }

    fn answer(&mut self, at: usize, n: usize, mutant: Option<Mutant>) -> Result<(), String> {
        let ask = self.process(at).asks.remove(n);
        let event = match ask {
            Ask::ReadClaim(slot, ticket) => Event::Claim(slot, ticket, self.claim(slot)),
            Ask::Fence(slot, ticket, whom) => {
                self.renew(whom);
                Event::Fenced(slot, ticket)
            }
            Ask::ReadState(slot, ticket, _) => {
                let (seq, to) = self.state(slot);
                self.process(at).read.insert(ticket, to);
                Event::State(slot, ticket, seq)
            }
            Ask::Begin(parts, epoch, generation) => {
                let p = &self.processes[at];
                let is_known = p.is_member && (p.generation == generation || mutant == Some(Mutant::LateGeneration));
                if epoch != self.epochs[at] || !is_known {
                    Event::Committed(Outcome::Unknown)
                } else {
                    self.transactions.push(Transaction {
                        member: at,
                        epoch,
                        parts,
                        status: Status::Open,
                        in_claims: false,
                        in_state: false,
                    });
                    self.process(at).asks.push(Ask::End(epoch));
                    return Ok(());
                }
            }
            Ask::End(epoch) => {
                let open = |t: &&mut Transaction| t.member == at && t.epoch == epoch && t.status == Status::Open;
                match self.transactions.iter_mut().find(open) {
                    Some(t) if epoch == self.epochs[at] => {
                        t.status = Status::Committed;
                        let parts = t.parts.clone();
                        self.check(&parts)?;
                        Event::Committed(Outcome::Done)
                    }
                    _ => Event::Committed(Outcome::Unknown),
                }
            }
            Ask::NewProducer => {
                self.renew(at);
                let epoch = self.epochs[at];
                self.process(at).epoch = epoch;
                Event::Producer
            }
        };
        if self.processes[at].is_alive {
            self.process(at).mailbox.push(event);
        }
        Ok(())
    }

    /// Commits of a slot follow each other, and what they counted tiles the input.
    fn check(&self, parts: &BTreeMap<Slot, Part>) -> Result<(), String> {
        for slot in parts.keys() {
            let committed = self.transactions.iter().filter(|t| t.status == Status::Committed);
            let mut all: Vec<&Part> = committed.filter_map(|t| t.parts.get(slot)).collect();
            all.sort_by_key(|p| p.commit.seq);
            let (mut seq, mut at) = (0, 0);
            for part in all {
                if part.commit.seq != seq + 1 || part.from != at {
                    return Err(format!("slot {slot}: after commit {seq} up to {at} comes {part:?}"));
                }
                (seq, at) = (part.commit.seq, part.to);
            }
        }
        Ok(())
    }

    /// Everything is counted and committed, by processes that run.
    pub fn is_done(&self) -> bool {
        let whole = |slot: Slot| self.state(slot).1 == self.input;
        self.owners.keys().all(|slot| whole(*slot))
    }

    /// Nobody is left who could go on.
    pub fn is_deserted(&self) -> bool {
        !self.processes.iter().any(|p| p.is_member && p.is_alive)
    }
}
