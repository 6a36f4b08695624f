//! What a process of a cluster shows: the models as the registry's copy has them, and what it knows of the others.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::commits::Commits;
use super::parts::Parts;
use crate::clock::now_ms;
use crate::cluster::ledger_log::Tail;
use crate::cluster::member::{Committed, Listed, Membership};
use crate::cluster::topics::Names;
use crate::config::ClusterConfig;
use crate::daemon::control::Control;
use crate::daemon::counting::Daemon;
use crate::daemon::{restore, sources};
use crate::ledger::{Embedded, Role};
use crate::telemetry::events::cluster::{OwnerSeen, Unanswered};
use crate::view::Shared;
use crate::view::cluster::{ClaimView, ClusterView, Member, Role as Shown};
use driftgate_core::cluster::claim::Claim;
use driftgate_core::intake::Setup;
use driftgate_core::pipeline::Pipeline;
use driftgate_core::policy::Policy;

/// Between two looks at the copy, and at the group.
const LOOK: Duration = Duration::from_millis(100);
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The brokers take at most so long for one of these questions.
const WITHIN: Duration = Duration::from_secs(2);

/// Shows until the daemon stops.
pub fn start(daemon: &Daemon<'_>, parts: &Parts) -> std::io::Result<JoinHandle<()>> {
    let about = &parts.cluster;
    parts.view.write().cluster = Some(ClusterView {
        instance: about.instance.clone(),
        advertise: about.advertise.clone(),
        session: about.session,
        ..ClusterView::default()
    });
    let shower = Shower {
        policies: daemon.policies.to_vec(),
        setup: sources::setup(daemon.config),
        control: daemon.control.clone(),
        cluster: about.clone(),
        names: parts.names.clone(),
        registry: Arc::clone(&parts.registry),
        view: parts.view.clone(),
        membership: Arc::clone(&parts.membership),
        tail: Arc::clone(&parts.tail),
        commits: Arc::clone(&parts.commits),
    };
    thread::Builder::new().name("standby".into()).spawn(move || shower.run())
}

struct Shower {
    policies: Vec<Arc<Policy>>,
    setup: Setup,
    control: Control,
    cluster: ClusterConfig,
    names: Names,
    registry: Arc<Embedded>,
    view: Shared,
    membership: Arc<Membership>,
    tail: Arc<Tail>,
    commits: Arc<Commits>,
}

impl Shower {
    fn run(&self) {
        let (mut shown, mut asked) = (None, None::<Instant>);
        while !self.control.is_stopping() {
            let role = self.view.read().cluster.as_ref().map_or(Shown::Standby, |c| c.role);
            let place = self.tail.at();
            let (seq, read_ms) = (place.seen.seq.unwrap_or(0), place.reached_ms);
            if role == Shown::Standby {
                // Nothing is shown before the copy was read to its end once.
                if read_ms.is_some() && shown != Some(seq) {
                    self.show_models();
                    shown = Some(seq);
                    self.view.write().started = true;
                }
            }
            self.show_copy(role, seq, read_ms);
            if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
                self.ask();
                asked = Some(Instant::now());
            }
            thread::sleep(LOOK);
        }
    }

    /// The models as the registry keeps them.
    fn show_models(&self) {
        for policy in &self.policies {
            let pipeline = Pipeline::new(Arc::clone(policy), self.setup, 1);
            restore::show(&pipeline, &self.registry, &self.view);
        }
    }

    fn show_copy(&self, role: Shown, seq: u64, read_ms: Option<i64>) {
        let (seq, copy_ms) = match role {
            Shown::Owner | Shown::GivingBack => {
                (self.registry.replica_seq().ok().flatten().unwrap_or(seq), self.commits.last_ms().or(read_ms))
            }
            Shown::Standby | Shown::TakingOver => (seq, read_ms),
        };
        if let Some(cluster) = &mut self.view.write().cluster {
            cluster.ledger_seq = seq;
            cluster.copy_at_ms = copy_ms;
        }
    }

    /// The instance that has a transactional id.
    fn instance_of<'i>(&self, id: &'i str) -> &'i str {
        let before = self.commits.writer().strip_suffix(&self.cluster.instance).unwrap_or_default();
        id.strip_prefix(before).unwrap_or(id)
    }

    /// Asks who is in the group, and who claimed the unit last.
    fn ask(&self) {
        let asked_ms = now_ms();
        let members = match self.membership.members(WITHIN) {
            Ok(members) => members,
            Err(e) => return Unanswered { what: "the members of the group", error: &e.to_string() }.emit(),
        };
        let claim = match self.membership.committed(&self.names.units, WITHIN) {
            Ok(found) => found.and_then(|Committed { offset, metadata }| Claim::read(offset, &metadata).ok()),
            Err(e) => return Unanswered { what: "the claim of the unit", error: &e.to_string() }.emit(),
        };
        let shown = |listed: &Listed| Member {
            instance: listed.instance.clone(),
            advertise: listed.advertise.clone(),
            host: listed.host.clone(),
            owns: listed.owns,
        };
        // Who is assigned the unit owns it once it has claimed it.
        let owner = members
            .iter()
            .find(|m| m.owns)
            .filter(|m| claim.as_ref().is_some_and(|c| self.instance_of(&c.transactional_id) == m.instance))
            .map(shown);
        let before = self.view.read().cluster.as_ref().and_then(|c| c.owner.clone());
        if before != owner {
            OwnerSeen { owner: owner.as_ref().map(|o| o.instance.as_str()) }.emit();
        }
        let elsewhere = owner.as_ref().map(|o| o.advertise.clone());
        // A standby may become one again.
        self.commits.while_standby(|| drop(self.registry.set_role(Role::Standby { owner: elsewhere })));
        let owned_here = members.iter().any(|m| m.owns && m.instance == self.cluster.instance);
        let mut view = self.view.write();
        if let Some(cluster) = &mut view.cluster {
            cluster.members = members.iter().map(shown).collect();
            cluster.owner = owner;
            cluster.claim = claim.map(|c| ClaimView {
                seq: c.seq,
                writer: self.instance_of(&c.transactional_id).to_owned(),
                at_ms: c.at_ms,
            });
            // An owner that is not listed as one may be replaced.
            if !cluster.owns() || owned_here {
                cluster.checked_at_ms = Some(asked_ms);
            }
        }
    }
}
