//! One time that a slot is this process's, from the assignment until it may be counted or written for: the owner of before is kept from writing,
//! and what it claimed last is known.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};

use super::commits::{Commits, Loss, Through};
use super::parts::Parts;
use crate::cluster::member::Committed;
use crate::cluster::producer::{self, Producer};
use crate::telemetry::events::cluster::Retried;
use crate::view::cluster::Role as Shown;
use crate::view::failing::Part;
use driftgate_core::cluster::claim::Claim;
use driftgate_core::cluster::ownership::{Event, Step};
use driftgate_core::cluster::units;

/// A question to the brokers, or a producer that is made, takes at most so long; then it is tried again.
pub const WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// A group that changes is waited for for so long. It may wait for this very process, which then ends and gives all that it has to others.
const UNSETTLED: Duration = Duration::from_secs(90);
/// What people call the ledger's slot; the others have the names of units.
pub const LEDGER_NAME: &str = "the ledger";

/// How long a slot that failed may be listed as nobody's, or as another process's.
struct Patience {
    /// A coordinator that has settled, and does not list it, knows nothing of this process any more.
    stable: Duration,
    stable_since: Option<Instant>,
    begun: Instant,
}

impl Patience {
    fn new(stable: Duration) -> Self {
        Self { stable, stable_since: None, begun: Instant::now() }
    }

    fn saw(&mut self, is_stable: bool, now: Instant) {
        self.stable_since = is_stable.then(|| self.stable_since.unwrap_or(now));
    }

    fn is_over(&self, now: Instant) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        since(self.begun) >= UNSETTLED || self.stable_since.is_some_and(|at| since(at) >= self.stable)
    }
}

/// One time that a slot is this process's.
pub struct Tenure<'t> {
    pub parts: &'t Parts,
    pub commits: Arc<Commits>,
    /// It was this process's before: the coordinator has said nothing new.
    pub is_again: bool,
}

impl Tenure<'_> {
    /// The producer of what is committed to the slot; `None` where the slot is lost meanwhile. Made before the claim is read: it fences what
    /// this process wrote with before.
    pub fn producer(&self) -> anyhow::Result<Option<Producer>> {
        let make = || Ok(Producer::new(&self.parts.properties, self.commits.writer(), WITHIN)?);
        self.patiently("a transactional producer", make)
    }

    /// Follows the machine of ownership until it says to count, reading the state of the number that it says, or the newest; `None` where the slot is lost meanwhile.
    pub fn own<T>(&self, mut read: impl FnMut(Option<u64>) -> anyhow::Result<(u64, T)>) -> anyhow::Result<Option<T>> {
        let Some(()) = self.patiently("waiting for processes of another configuration", || self.same_layout())? else {
            return Ok(None);
        };
        if self.is_again {
            let mut patience = Patience::new(2 * self.parts.cluster.session.max(WITHIN));
            let listed = || match self.is_listed(&mut patience) {
                Err(e) if patience.is_over(Instant::now()) => Ok(Err(e)),
                listed => listed.map(Ok),
            };
            match self.patiently("asking whether it is still this process's", listed)? {
                None => return Ok(None),
                Some(Ok(())) => {}
                Some(Err(e)) => {
                    self.commits.lose(Loss::Fatal(format!("it failed, and cannot be taken over again: {e:#}")));
                    return Ok(None);
                }
            }
        }
        let commits = &self.commits;
        let slot = commits.slot();
        let mut steps: VecDeque<Step> = commits.on(Event::Assigned([slot].into())).into();
        let (mut restored, mut claimed) = (None, None);
        while let Some(step) = steps.pop_front() {
            if self.is_over() {
                return Ok(None);
            }
            let event = match step {
                Step::ReadClaim(slot, ticket) => match self.patiently("reading the claim", || self.claim())? {
                    Some(claim) => {
                        claimed.clone_from(&claim);
                        Event::Claim(slot, ticket, claim)
                    }
                    None => return Ok(None),
                },
                Step::Fence(slot, ticket, writer) => {
                    match self.patiently("fencing the owner before", || self.fence(&writer))? {
                        Some(()) => Event::Fenced(slot, ticket),
                        None => return Ok(None),
                    }
                }
                Step::ReadState(slot, ticket, seq) => {
                    let least = claimed.as_ref().map_or(0, |claim| claim.seq);
                    // A slot that stood for something else: the newest state of what it stands for now.
                    let is_ours = claimed.as_ref().is_some_and(|claim| claim.unit == commits.key());
                    let (found, state) = read(seq.filter(|_| is_ours))?;
                    restored = Some(state);
                    Event::State(slot, ticket, found.max(least))
                }
                Step::Count(_) => return Ok(restored),
                Step::Commit(_) | Step::Drop(_) | Step::GiveBack(_) | Step::NewProducer | Step::Leave => continue,
            };
            steps.extend(commits.on(event));
        }
        Ok(None)
    }

    /// From now on commits go through this producer.
    pub fn go_through(&self, producer: Arc<Producer>) {
        self.commits.go_through(Through {
            producer,
            membership: Arc::clone(&self.parts.membership),
            units_topic: self.parts.names.units.clone(),
        });
    }

    /// All processes divide the models as this one does: of others nobody knows what a slot stands for.
    fn same_layout(&self) -> anyhow::Result<()> {
        let group = self.parts.membership.group(WITHIN)?;
        let other = group.members.iter().find(|member| member.layout != self.parts.layout);
        match other {
            None => Ok(()),
            Some(other) => bail!(
                "the process {:?} divides the models otherwise, since it has other models or topics, or is of a release before: what this process \
                 has is not counted until that one is started with the same configuration and release",
                other.instance
            ),
        }
    }

    /// The coordinator lists the slot as this process's: whom the claim names is another time of this process, or one that is gone, and
    /// never a process that has it now.
    fn is_listed(&self, patience: &mut Patience) -> anyhow::Result<()> {
        let slot = self.commits.slot();
        let group = self.parts.membership.group(WITHIN)?;
        if group.members.iter().any(|member| self.parts.is_mine(member) && member.slots.contains(&slot)) {
            return Ok(());
        }
        patience.saw(group.is_stable(), Instant::now());
        bail!("the group, which is {}, does not list it as this process's", group.state)
    }

    fn claim(&self) -> anyhow::Result<Option<Claim>> {
        let found = self.parts.membership.committed(&self.parts.names.units, self.commits.slot(), WITHIN)?;
        found.map(|Committed { offset, metadata }| Ok(Claim::read(offset, &metadata)?)).transpose()
    }

    fn fence(&self, writer: &str) -> anyhow::Result<()> {
        producer::fence(&self.parts.properties, writer, WITHIN)?;
        // A release before wrote the ledger beside the state.
        if self.commits.slot() == units::LEDGER && !writer.ends_with("-ledger") {
            producer::fence(&self.parts.properties, &format!("{writer}-ledger"), WITHIN)?;
        }
        Ok(())
    }

    /// Tries again until it succeeds; `None` where the slot is lost meanwhile, or the process stops.
    pub fn patiently<T>(&self, what: &str, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Option<T>> {
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

    /// The slot is wanted back, or is lost.
    pub fn is_over(&self) -> bool {
        self.commits.control.is_stopping()
    }

    /// Nothing is done for the slot here any more: the coordinator may give it to another process.
    pub fn give_back(&self) {
        self.parts.membership.give_back(self.commits.slot());
    }

    /// What fails where this does.
    fn part(&self) -> Part {
        let unit = self.parts.unit(self.commits.slot());
        Part::Slot(unit.map_or_else(|| LEDGER_NAME.to_owned(), |unit| unit.name.clone()))
    }

    /// The view says from now on what this process does with the slot.
    pub fn show(&self, role: Shown) {
        let slot = self.commits.slot();
        if role == Shown::Owner {
            self.parts.view.works(&self.part());
        }
        let mut view = self.parts.view.write();
        let Some(cluster) = &mut view.cluster else { return };
        match self.parts.unit(slot) {
            Some(unit) => cluster.change_role_of(&unit.name, role),
            None => cluster.change_role(role),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_has_settled_is_waited_for_for_a_while_from_then_on() {
        let mut patience = Patience::new(Duration::from_secs(10));
        let begun = patience.begun;
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        patience.saw(true, at(0));
        patience.saw(false, at(9));
        assert!(!patience.is_over(at(20)), "it changes");
        patience.saw(true, at(21));
        patience.saw(true, at(29));
        assert!(!patience.is_over(at(30)) && patience.is_over(at(31)));
        patience.saw(false, at(32));
        assert!(!patience.is_over(at(89)) && patience.is_over(at(90)), "a group that never settles");
    }
}
