//! What a process of a cluster shows: the models that are counted elsewhere as the registry has them, and what it knows of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::parts::Parts;
use crate::clock::now_ms;
use crate::cluster::member::{Committed, Group, Listed};
use crate::daemon::control::Control;
use crate::daemon::counting::Daemon;
use crate::daemon::{restore, sources};
use crate::ledger::Role;
use crate::telemetry::events::cluster::{OwnerSeen, Unanswered};
use crate::view::cluster::{ClaimView, ClusterView, Member, Role as Shown, UnitView};
use crate::view::failing::Part;
use driftgate_core::cluster::claim::Claim;
use driftgate_core::cluster::ownership::Slot;
use driftgate_core::cluster::units;
use driftgate_core::intake::Setup;
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::policy::Policy;

/// Between two looks at the copy, and at the group; and between two times that models are shown.
const LOOK: Duration = Duration::from_millis(100);
const ASK_EVERY: Duration = Duration::from_millis(500);
const SHOW_EVERY: Duration = Duration::from_millis(300);
/// A group that changes for longer is a problem, and so is one without this process; it ends after the second.
const LONG: Duration = Duration::from_secs(45);
const TOO_LONG: Duration = Duration::from_secs(90);
/// The brokers take at most so long for one of these questions.
const WITHIN: Duration = Duration::from_secs(2);

/// Shows until the daemon stops.
pub fn start(daemon: &Daemon<'_>, parts: &Arc<Parts>) -> std::io::Result<JoinHandle<()>> {
    let about = &parts.cluster;
    let unit =
        |unit: &units::Unit| UnitView { name: unit.name.clone(), models: unit.models.clone(), ..UnitView::default() };
    parts.view.write().cluster = Some(ClusterView {
        instance: about.instance.clone(),
        advertise: about.advertise.clone(),
        session: about.session,
        units: parts.units.iter().map(unit).collect(),
        ..ClusterView::default()
    });
    let shower = Shower {
        policies: daemon.policies.to_vec(),
        setup: sources::setup(daemon.config),
        control: daemon.control.clone(),
        parts: Arc::clone(parts),
    };
    thread::Builder::new().name("standby".into()).spawn(move || shower.run())
}

struct Shower {
    policies: Vec<Arc<Policy>>,
    setup: Setup,
    control: Control,
    parts: Arc<Parts>,
}

impl Shower {
    fn run(&self) {
        let (mut shown, mut last, mut asked) = (None, None::<Instant>, None::<Instant>);
        let mut standing = Standing::default();
        while !self.control.is_stopping() {
            let place = self.parts.tail.at();
            let (seq, read_ms) = (place.seen.seq.unwrap_or(0), place.reached_ms);
            let now = (seq, lock(&self.parts.counted).clone());
            // Nothing is shown before the copy was read to its end once.
            let is_due = shown.as_ref() != Some(&now) && last.is_none_or(|at| at.elapsed() >= SHOW_EVERY);
            if read_ms.is_some() && is_due {
                self.show_models();
                (shown, last) = (Some(now), Some(Instant::now()));
                self.parts.view.write().started = true;
            }
            if let Some(cluster) = &mut self.parts.view.write().cluster {
                cluster.ledger_seq = seq;
                cluster.copy_at_ms = read_ms;
            }
            if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
                self.ask(&mut standing);
                asked = Some(Instant::now());
            }
            thread::sleep(LOOK);
        }
    }

    /// The models that are counted elsewhere as the registry keeps them.
    fn show_models(&self) {
        for policy in &self.policies {
            // None of them begins to be counted meanwhile.
            let counted = lock(&self.parts.counted);
            if !counted.contains(&policy.model) {
                let pipeline = Pipeline::new(Arc::clone(policy), self.setup, 1);
                restore::show(&pipeline, &self.parts.registry, &self.parts.view);
            }
        }
    }

    /// A group that does not settle for long is told: nothing is taken over meanwhile. So is one that has settled without this process, whose
    /// client then waits for an answer that does not come: the process ends, and its supervisor starts it.
    fn show_group(&self, group: &Group, seen: &mut Standing) {
        let is_member = group.members.iter().any(|member| self.parts.is_mine(member));
        let now = seen.note(group.is_stable(), is_member, Instant::now());
        let seconds = |so_far: Duration| so_far.as_secs();
        match now {
            Apart::Changing(so_far) if so_far >= LONG => {
                self.parts.view.fails(Part::Group, format!("it is {} for {} s", group.state, seconds(so_far)));
            }
            Apart::Outside(so_far) if so_far >= LONG => {
                let why = format!("it has settled without this process for {} s", seconds(so_far));
                self.parts.view.fails(Part::Group, why.clone());
                if so_far >= TOO_LONG {
                    let _ = self
                        .parts
                        .ends
                        .set(format!("the group {:?} does not take this process in: {why}", self.parts.group));
                }
            }
            _ => self.parts.view.works(&Part::Group),
        }
    }

    /// Asks who is in the group, and who claimed what last.
    fn ask(&self, standing: &mut Standing) {
        let parts = &self.parts;
        let asked_ms = now_ms();
        let group = match parts.membership.group(WITHIN) {
            Ok(group) => group,
            Err(e) => {
                // Of brokers that do not answer nothing is known.
                *standing = Standing::default();
                return Unanswered { what: "the members of the group", error: &e.to_string() }.emit();
            }
        };
        self.show_group(&group, standing);
        let members = group.members;
        let claims = match parts.membership.all_committed(&parts.names.units, &parts.slots(), WITHIN) {
            Ok(found) => found,
            Err(e) => return Unanswered { what: "the claims of the units", error: &e.to_string() }.emit(),
        };
        let seen = Seen { members: &members, claims: &claims, parts };
        let of_ledger = seen.owner(units::LEDGER).map(|m| self.shown(m));
        let before = parts.view.read().cluster.as_ref().and_then(|c| c.owner.clone());
        if before.as_ref().map(|o| &o.instance) != of_ledger.as_ref().map(|o| &o.instance) {
            OwnerSeen { owner: of_ledger.as_ref().map(|o| o.instance.as_str()) }.emit();
        }
        let elsewhere = of_ledger.as_ref().map(|o| o.advertise.clone());
        {
            // Who has the ledger sets the role itself.
            let writes = lock(&parts.writes);
            if !*writes {
                let _ = parts.registry.set_role(Role::Standby { owner: elsewhere });
            }
        }
        let mine = seen.slots_of(&parts.cluster.instance);
        let mut view = parts.view.write();
        let Some(cluster) = &mut view.cluster else { return };
        cluster.members = members.iter().map(|m| self.shown(m)).collect();
        cluster.owner = of_ledger;
        cluster.claim = seen.claimed(units::LEDGER);
        // An owner that is not listed as one may be replaced.
        let mut is_confirmed = !cluster.owns() || mine.contains(&units::LEDGER);
        for (slot, unit) in (units::LEDGER + 1..).zip(&mut cluster.units) {
            unit.owner = seen.owner(slot).map(|m| self.shown(m));
            unit.claim = seen.claimed(slot);
            is_confirmed &= unit.role != Shown::Owner || mine.contains(&slot);
        }
        if is_confirmed {
            cluster.checked_at_ms = Some(asked_ms);
        }
    }

    fn shown(&self, listed: &Listed) -> Member {
        let units = listed.slots.iter().filter_map(|slot| self.parts.unit(*slot));
        Member {
            instance: listed.instance.clone(),
            advertise: listed.advertise.clone(),
            host: listed.host.clone(),
            owns: listed.slots.contains(&units::LEDGER),
            units: units.map(|unit| unit.name.clone()).collect(),
        }
    }
}

/// Since when the group is not as it should be.
#[derive(Default)]
struct Standing {
    changing: Option<Instant>,
    outside: Option<Instant>,
}

/// What is wrong with the group, and for how long.
#[derive(Debug, PartialEq, Eq)]
enum Apart {
    Nothing,
    Changing(Duration),
    Outside(Duration),
}

impl Standing {
    /// A group that changes may be taking this process in.
    fn note(&mut self, is_stable: bool, is_member: bool, now: Instant) -> Apart {
        self.changing = (!is_stable).then(|| self.changing.unwrap_or(now));
        self.outside = (is_stable && !is_member).then(|| self.outside.unwrap_or(now));
        let since = |at: Instant| now.saturating_duration_since(at);
        match (self.changing, self.outside) {
            (Some(at), _) => Apart::Changing(since(at)),
            (None, Some(at)) => Apart::Outside(since(at)),
            (None, None) => Apart::Nothing,
        }
    }
}

/// What the brokers said.
struct Seen<'s> {
    members: &'s [Listed],
    claims: &'s BTreeMap<Slot, Committed>,
    parts: &'s Parts,
}

impl Seen<'_> {
    fn claim(&self, slot: Slot) -> Option<Claim> {
        let Committed { offset, metadata } = self.claims.get(&slot)?;
        Claim::read(*offset, metadata).ok()
    }

    /// Who is assigned something owns it once it has claimed it.
    fn owner(&self, slot: Slot) -> Option<&Listed> {
        let claim = self.claim(slot)?;
        let writer = self.parts.instance_of(&claim.transactional_id, slot);
        self.members.iter().find(|m| m.slots.contains(&slot) && writer == m.instance)
    }

    fn claimed(&self, slot: Slot) -> Option<ClaimView> {
        let Claim { seq, transactional_id, at_ms, .. } = self.claim(slot)?;
        Some(ClaimView { seq, writer: self.parts.instance_of(&transactional_id, slot).to_owned(), at_ms })
    }

    fn slots_of(&self, instance: &str) -> BTreeSet<Slot> {
        let of = self.members.iter().filter(|m| m.instance == instance);
        of.flat_map(|m| m.slots.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_settled_without_this_process_is_told_from_others() {
        let (mut standing, begun) = (Standing::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let seconds = Duration::from_secs;
        assert_eq!(standing.note(true, false, at(0)), Apart::Outside(seconds(0)));
        assert_eq!(standing.note(true, false, at(50)), Apart::Outside(seconds(50)));
        assert_eq!(standing.note(false, false, at(60)), Apart::Changing(seconds(0)));
        assert_eq!(standing.note(false, true, at(70)), Apart::Changing(seconds(10)));
        assert_eq!(standing.note(true, true, at(80)), Apart::Nothing);
        assert_eq!(standing.note(true, false, at(90)), Apart::Outside(seconds(0)));
    }
}
