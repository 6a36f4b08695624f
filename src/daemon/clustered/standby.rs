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
/// A group that changes for longer is a problem.
const LONG: Duration = Duration::from_secs(45);
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
        let mut changing = None;
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
                self.ask(&mut changing);
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

    /// A group that changes for long is told: nothing is taken over meanwhile.
    fn show_group(&self, group: &Group, changing: &mut Option<Instant>) {
        *changing = (!group.is_stable()).then(|| changing.unwrap_or_else(Instant::now));
        match changing.map(|since| since.elapsed()).filter(|so_far| *so_far >= LONG) {
            Some(so_far) => {
                self.parts.view.fails(Part::Group, format!("it is {} for {} s", group.state, so_far.as_secs()));
            }
            None => self.parts.view.works(&Part::Group),
        }
    }

    /// Asks who is in the group, and who claimed what last.
    fn ask(&self, changing: &mut Option<Instant>) {
        let parts = &self.parts;
        let asked_ms = now_ms();
        let group = match parts.membership.group(WITHIN) {
            Ok(group) => group,
            Err(e) => return Unanswered { what: "the members of the group", error: &e.to_string() }.emit(),
        };
        self.show_group(&group, changing);
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
