//! A cluster as one of its processes sees it, and all of its processes as a command asks them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::view::View;
use crate::view::cluster::{self, ClaimView, ClusterView, Role, UnitView};
use driftgate_core::codec::time::utc;

/// A cluster as one of its processes sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// The process that answers.
    pub instance: String,
    /// The address of its HTTP server, as others are told it.
    pub advertise: String,
    pub role: Role,
    /// What is counted, each by one process.
    #[serde(default)]
    pub units: Vec<Unit>,
    /// The instance that owns the ledger and changes the registry, if one is known.
    pub owner: Option<String>,
    pub members: Vec<Member>,
    /// Of the last commits of the units' states, the oldest.
    pub claim: Option<Claim>,
    /// The last change of the registry that the process has.
    pub ledger_seq: u64,
    /// How long ago its copy of the registry was at the end of the ledger; 0 of the owner.
    pub copy_age_ms: Option<i64>,
    /// How long ago the group and the claim were looked at.
    pub checked_age_ms: Option<i64>,
    /// Messages that are in the topics and not read; only of a process that counts, of what it counts.
    pub lag: Option<u64>,
    /// How often the process has become the owner of the ledger or of a unit since its start.
    pub takeovers: u64,
    /// A process is taken for dead after so long without a heartbeat.
    pub session_ms: u64,
    /// Why the process's gate answers inconclusive, if it does for want of an owner or a current copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_current: Option<String>,
}

/// A process of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ClusterMember)]
pub struct Member {
    pub instance: String,
    pub advertise: String,
    pub host: String,
    /// Whether the coordinator of the group has assigned the ledger to it.
    pub owns: bool,
    /// The units that the coordinator has assigned to it.
    #[serde(default)]
    pub units: Vec<String>,
}

/// Models that one process counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ClusterUnit)]
pub struct Unit {
    /// The name of its first model.
    pub unit: String,
    pub models: Vec<String>,
    /// What the process that answers does with it.
    pub role: Role,
    /// The instance that counts it, if one is known.
    pub owner: Option<String>,
    /// The last commit of its state.
    pub claim: Option<Claim>,
}

/// A commit of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ClusterClaim)]
pub struct Claim {
    pub seq: u64,
    /// The instance that made it.
    pub writer: String,
    /// RFC 3339, by the clock of its writer.
    pub at: String,
    pub age_ms: i64,
}

impl Cluster {
    #[must_use]
    pub fn of(seen: &ClusterView, view: &View, now_ms: i64) -> Self {
        let member = |cluster::Member { instance, advertise, host, owns, units }: &cluster::Member| Member {
            instance: instance.clone(),
            advertise: advertise.clone(),
            host: host.clone(),
            owns: *owns,
            units: units.clone(),
        };
        let claim = |claim: &ClaimView| Claim {
            seq: claim.seq,
            writer: claim.writer.clone(),
            at: utc(claim.at_ms),
            age_ms: (now_ms - claim.at_ms).max(0),
        };
        let unit = |unit: &UnitView| Unit {
            unit: unit.name.clone(),
            models: unit.models.clone(),
            role: unit.role,
            owner: unit.owner.as_ref().map(|owner| owner.instance.clone()),
            claim: unit.claim.as_ref().map(claim),
        };
        let lag = || view.sources.values().filter_map(crate::view::SourceView::lag);
        Self {
            instance: seen.instance.clone(),
            advertise: seen.advertise.clone(),
            role: seen.role_in_all(),
            units: seen.units.iter().map(unit).collect(),
            owner: seen.owner.as_ref().map(|owner| owner.instance.clone()),
            members: seen.members.iter().map(member).collect(),
            claim: seen.oldest_claim(now_ms).and_then(|(unit, _)| unit.claim.as_ref()).map(claim),
            ledger_seq: seen.ledger_seq,
            copy_age_ms: seen.copy_age_ms(now_ms),
            checked_age_ms: seen.checked_at_ms.map(|at| (now_ms - at).max(0)),
            lag: (seen.owns() || seen.counts()).then(|| lag().map(|n| u64::try_from(n).unwrap_or(0)).sum()),
            takeovers: seen.takeovers,
            session_ms: u64::try_from(seen.session.as_millis()).unwrap_or(u64::MAX),
            not_current: seen.not_current(None, now_ms).map(|why| why.to_string()),
        }
    }

    /// What the process is, in a line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let address = |instance: &str| self.members.iter().find(|m| m.instance == instance).map(|m| &m.advertise);
        let names = |of: &dyn Fn(&Unit) -> bool| {
            self.units.iter().filter(|unit| of(unit)).map(|unit| unit.unit.as_str()).collect::<Vec<_>>().join(", ")
        };
        let counted = names(&|unit| unit.role == Role::Owner);
        let orphans = names(&|unit| unit.role != Role::Owner && unit.owner.is_none());
        let owner = match &self.owner {
            _ if self.role == Role::Owner => String::new(),
            Some(owner) if *owner == self.instance => String::new(),
            Some(owner) => match address(owner) {
                Some(address) => format!("; {owner} ({address}) owns the ledger"),
                None => format!("; {owner} owns the ledger"),
            },
            None => "; no process owns the ledger".to_owned(),
        };
        let orphans = if orphans.is_empty() { orphans } else { format!("; no process counts {orphans}") };
        let copy = match (self.role, self.copy_age_ms) {
            (Role::Owner, _) => String::new(),
            (_, Some(ms)) => format!(", and its copy of the registry is {} s old", ms / 1000),
            (_, None) => ", and its copy of the registry has not reached the end of the ledger yet".to_owned(),
        };
        let does = match (self.role, counted.is_empty()) {
            (Role::Standby, _) => "stands by".to_owned(),
            (Role::TakingOver, _) => "is taking over".to_owned(),
            (Role::Owner, true) => "owns the ledger".to_owned(),
            (Role::Owner, false) => format!("owns the ledger and counts {counted}"),
            (Role::Counting, _) => format!("counts {counted}"),
            (Role::GivingBack, _) => "is giving back what it owns".to_owned(),
        };
        format!("{} {does}{owner}{orphans}{copy}", self.instance)
    }
}

/// A process of a cluster, as a command asks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    pub instance: String,
    pub advertise: String,
    pub host: String,
    pub owns: bool,
    pub units: Vec<String>,
    /// What it says of itself.
    pub says: Option<Cluster>,
    /// Why it was not asked, or did not answer.
    pub unreachable: Option<String>,
}

/// All processes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The process that was asked first.
    pub asked: Cluster,
    pub members: Vec<MemberStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_in_a_line() {
        let member = |instance: &str| cluster::Member {
            instance: instance.into(),
            advertise: format!("http://{instance}:1"),
            ..cluster::Member::default()
        };
        let mut seen = ClusterView {
            instance: "b".into(),
            owner: Some(member("a")),
            members: vec![member("a"), member("b")],
            copy_at_ms: Some(1000),
            checked_at_ms: Some(1000),
            ..ClusterView::default()
        };
        let told = |seen: &ClusterView| Cluster::of(seen, &View::default(), 3500).sentence();
        assert_eq!(told(&seen), "b stands by; a (http://a:1) owns the ledger, and its copy of the registry is 2 s old");
        seen.owner = None;
        seen.copy_at_ms = None;
        assert_eq!(
            told(&seen),
            "b stands by; no process owns the ledger, and its copy of the registry has not reached the end of the ledger yet"
        );
        seen.role = Role::Owner;
        assert_eq!(told(&seen), "b owns the ledger");
        let unit = |name: &str, role| UnitView { name: name.into(), role, ..UnitView::default() };
        seen.units = vec![unit("fraud", Role::Owner), unit("loan", Role::Standby), unit("shop", Role::Owner)];
        assert_eq!(told(&seen), "b owns the ledger and counts fraud, shop; no process counts loan");
        seen.units[1].owner = Some(member("a"));
        (seen.role, seen.owner, seen.copy_at_ms) = (Role::Standby, Some(member("a")), Some(3000));
        assert_eq!(
            told(&seen),
            "b counts fraud, shop; a (http://a:1) owns the ledger, and its copy of the registry is 0 s old"
        );
    }
}
