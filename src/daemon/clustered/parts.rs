//! What the parts of a process of a cluster share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use crate::cluster::decisions::Decisions;
use crate::cluster::ledger_log::Tail;
use crate::cluster::member::{Listed, Membership};
use crate::cluster::topics::Names;
use crate::config::ClusterConfig;
use crate::daemon::engine::Totals;
use crate::history::History;
use crate::ledger::Embedded;
use crate::view::Shared;
use driftgate_core::cluster::ownership::Slot;
use driftgate_core::cluster::units::{self, Part, Unit};

/// What they share.
pub struct Parts {
    pub cluster: ClusterConfig,
    pub group: String,
    /// Of the client, as the configuration has them.
    pub properties: BTreeMap<String, String>,
    pub names: Names,
    pub registry: Arc<Embedded>,
    pub view: Shared,
    /// Written where the ledger is owned; `None` where the configuration keeps none.
    pub history: Option<History>,
    pub membership: Arc<Membership>,
    pub tail: Arc<Tail>,
    /// By slot, from the second one on.
    pub units: Vec<Unit>,
    pub layout: String,
    /// What is decided for all shards.
    pub decisions: Decisions,
    /// What all shards of this process have read.
    pub totals: Totals,
    /// Models that are counted here, or about to be: the view of them is the engine's.
    pub counted: Mutex<BTreeSet<String>>,
    /// Why this process has to end although none of its slots says so, once that is known.
    pub ends: OnceLock<String>,
    /// This process has the ledger, or is about to.
    pub writes: Mutex<bool>,
}

impl Parts {
    /// Whether a member of the group is this process.
    pub fn is_mine(&self, member: &Listed) -> bool {
        member.instance == self.cluster.instance && member.advertise == self.cluster.advertise
    }

    /// The unit of a slot.
    pub fn unit(&self, slot: Slot) -> Option<&Unit> {
        self.units.get(usize::try_from(slot.checked_sub(1)?).ok()?)
    }

    /// The unit that judges what a shard's counts, and the partition of the log of them; `None` where nothing is divided.
    pub fn evaluator(&self, unit: &Unit) -> Option<(&Unit, i32)> {
        let mut evaluators = self.units.iter().filter(|of| matches!(of.part, Part::Evaluator { .. })).zip(0..);
        evaluators.find(|(of, _)| of.models == unit.models)
    }

    /// What a slot stands for, as claims have it.
    pub fn key(&self, slot: Slot) -> String {
        self.unit(slot).map_or_else(String::new, |unit| format!("u.{}", unit.key()))
    }

    /// All slots that stand for something.
    pub fn slots(&self) -> BTreeSet<Slot> {
        (units::LEDGER..).take(self.units.len() + 1).collect()
    }

    /// The transactional id of what this process commits to a slot.
    pub fn writer(&self, slot: Slot) -> String {
        writer(&self.group, &self.cluster.instance, &self.key(slot))
    }

    /// The instance that has a transactional id, of whatever slot.
    pub fn instance_of<'i>(&self, writer: &'i str, slot: Slot) -> &'i str {
        instance_of(&self.group, writer, &self.key(slot))
    }
}

/// The transactional id for what has this key: `<group>-<instance>-ledger`, or that of a unit.
fn writer(group: &str, instance: &str, key: &str) -> String {
    let key = if key.is_empty() { "ledger" } else { key };
    format!("{group}-{instance}-{key}")
}

fn instance_of<'i>(group: &str, writer: &'i str, key: &str) -> &'i str {
    let key = if key.is_empty() { "ledger" } else { key };
    let of = writer.strip_prefix(group).and_then(|rest| rest.strip_prefix('-')).unwrap_or(writer);
    of.strip_suffix(key).and_then(|rest| rest.strip_suffix('-')).unwrap_or(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transactional_id_tells_its_instance() {
        for (key, id) in [("", "g-a-1-ledger"), ("u.shop", "g-a-1-u.shop"), ("u.a-ledger", "g-a-1-u.a-ledger")] {
            assert_eq!(writer("g", "a-1", key), id);
            assert_eq!(instance_of("g", id, key), "a-1");
        }
        // One of a release before.
        assert_eq!(instance_of("g", "g-a-1", ""), "a-1");
    }
}
