//! What this process shows of its cluster: the ledger and the units with their owners, the members of the group, and how old its copy of the
//! registry is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A copy may be this much older than the session, until the gate does not go by it any more.
const COPY_SLACK: Duration = Duration::from_secs(10);

/// What a process of a cluster does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClusterRole)]
pub enum Role {
    /// It follows the ledger, and answers from its copy.
    #[default]
    Standby,
    /// It was given something, and restores it.
    TakingOver,
    /// It has it: of the ledger, it changes the registry; of a unit, it counts.
    Owner,
    /// Of a process in all: it counts units, and another one owns the ledger.
    Counting,
    /// It commits for the last time.
    GivingBack,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Standby, Self::TakingOver, Self::Owner, Self::Counting, Self::GivingBack];

    /// As JSON and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::TakingOver => "taking_over",
            Self::Owner => "owner",
            Self::Counting => "counting",
            Self::GivingBack => "giving_back",
        }
    }

    /// As sentences have it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::TakingOver => "taking over",
            Self::Owner => "owner",
            Self::Counting => "counting",
            Self::GivingBack => "giving back",
        }
    }
}

/// One process of the group, as the coordinator lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub instance: String,
    /// The address of its HTTP server.
    pub advertise: String,
    /// The machine that it reaches the brokers from.
    pub host: String,
    /// Whether the coordinator has assigned the ledger to it.
    pub owns: bool,
    /// The units that the coordinator has assigned to it, by name.
    pub units: Vec<String>,
}

/// A unit: models that one process counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitView {
    pub name: String,
    pub models: Vec<String>,
    /// What this process does with it.
    pub role: Role,
    /// Who counts it: the coordinator has assigned it, and the claim names the same one.
    pub owner: Option<Member>,
    pub claim: Option<ClaimView>,
}

/// The last commit of a unit's state, or of the ledger's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimView {
    /// The number of the commit.
    pub seq: u64,
    /// The instance that made it.
    pub writer: String,
    /// When it was made, by the writer's clock, ms.
    pub at_ms: i64,
}

/// A cluster as one process of it sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// This process.
    pub instance: String,
    pub advertise: String,
    /// What it does with the ledger.
    pub role: Role,
    /// By name.
    pub units: Vec<UnitView>,
    /// Without a heartbeat for so long a process is taken for dead.
    pub session: Duration,
    /// The process that owns the ledger: the coordinator has assigned it, and the claim names the same one.
    pub owner: Option<Member>,
    pub members: Vec<Member>,
    /// The first claim of the ledger's owner.
    pub claim: Option<ClaimView>,
    /// The last change of the registry that this process has.
    pub ledger_seq: u64,
    /// When the end of the ledger was reached last, wall clock, ms.
    pub copy_at_ms: Option<i64>,
    /// When the group and the claim were looked at last, wall clock, ms.
    pub checked_at_ms: Option<i64>,
    /// How often this process has become the owner of the ledger or of a unit.
    pub takeovers: u64,
}

/// Why a copy is not gone by. Its `Display` is the sentence that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCurrent {
    /// The group was not looked at.
    NotAsked,
    NoOwner,
    /// No process counts the unit of the model.
    NotCounted {
        unit: String,
    },
    /// Who owns what was confirmed so many milliseconds ago, and may have been so many.
    NotConfirmed {
        age_ms: i64,
        most_ms: i64,
    },
    /// The end of the ledger was not reached since the start.
    NotReached,
    /// The copy is of so many milliseconds ago, and may be of so many.
    Old {
        age_ms: i64,
        most_ms: i64,
    },
}

impl std::fmt::Display for NotCurrent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAsked => out.write_str(
                "it is not known which process of the cluster owns what, since the group was not asked: ask a running process with --server",
            ),
            Self::NoOwner => out.write_str(
                "no process of the cluster owns the ledger at the moment, so nothing is decided: ask again, and see driftgate cluster status",
            ),
            Self::NotCounted { unit } => write!(
                out,
                "no process of the cluster counts the unit {unit:?} at the moment: ask again, and see driftgate cluster status"
            ),
            Self::NotConfirmed { age_ms, most_ms } => write!(
                out,
                "this process last learned {} s ago who owns what, more than {} s, so another process may have decided since: see whether it reaches the brokers",
                age_ms / 1000,
                most_ms / 1000
            ),
            Self::NotReached => out.write_str(
                "this process has not read the cluster's ledger to its end yet, so it cannot know the last decisions: ask again",
            ),
            Self::Old { age_ms, most_ms } => write!(
                out,
                "this process last reached the end of the cluster's ledger {} s ago, more than {} s, so it may lack the last decisions: see whether it reaches the brokers",
                age_ms / 1000,
                most_ms / 1000
            ),
        }
    }
}

impl ClusterView {
    /// Takes a role with the ledger; becoming the owner is counted.
    pub fn change_role(&mut self, role: Role) {
        self.takeovers += u64::from(role == Role::Owner && self.role != role);
        self.role = role;
    }

    /// Takes a role with a unit; becoming the owner is counted.
    pub fn change_role_of(&mut self, unit: &str, role: Role) {
        if let Some(of) = self.units.iter_mut().find(|of| of.name == unit) {
            self.takeovers += u64::from(role == Role::Owner && of.role != role);
            of.role = role;
        }
    }

    /// Whether this process changes the registry.
    #[must_use]
    pub fn owns(&self) -> bool {
        self.role == Role::Owner
    }

    /// Whether this process counts a unit.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.units.iter().any(|unit| unit.role == Role::Owner)
    }

    /// The unit of a model.
    #[must_use]
    pub fn unit_of(&self, model: &str) -> Option<&UnitView> {
        self.units.iter().find(|unit| unit.models.iter().any(|of| of == model))
    }

    /// What this process does, in all.
    #[must_use]
    pub fn role_in_all(&self) -> Role {
        let any = |role: Role| self.units.iter().any(|unit| unit.role == role);
        match self.role {
            Role::Standby if self.counts() => Role::Counting,
            Role::Standby if any(Role::TakingOver) => Role::TakingOver,
            Role::Standby if any(Role::GivingBack) => Role::GivingBack,
            role => role,
        }
    }

    /// Whether this process has what a reader needs: it owns, or its copy has reached the end of the ledger.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.owns() || self.copy_at_ms.is_some()
    }

    /// How old what it knows of the registry is, in ms; of the owner nothing is newer, while nobody can have replaced it.
    #[must_use]
    pub fn copy_age_ms(&self, now_ms: i64) -> Option<i64> {
        match self.may_be_replaced(now_ms).filter(|_| self.owns()) {
            Some(NotCurrent::NotConfirmed { age_ms, .. }) => Some(age_ms),
            _ if self.owns() => Some(0),
            _ => self.copy_at_ms.map(|at| (now_ms - at).max(0)),
        }
    }

    /// The oldest of the units' last commits: that unit, and how long ago its commit was, in ms.
    #[must_use]
    pub fn oldest_claim(&self, now_ms: i64) -> Option<(&UnitView, i64)> {
        let claims = self.units.iter().filter_map(|unit| Some((unit, unit.claim.as_ref()?.at_ms)));
        claims.min_by_key(|(_, at_ms)| *at_ms).map(|(unit, at_ms)| (unit, (now_ms - at_ms).max(0)))
    }

    /// How old a copy may be that decisions go by, in ms.
    #[must_use]
    pub fn most_copy_age_ms(&self) -> i64 {
        i64::try_from((self.session + COPY_SLACK).as_millis()).unwrap_or(i64::MAX)
    }

    fn session_ms(&self) -> i64 {
        i64::try_from(self.session.as_millis()).unwrap_or(i64::MAX)
    }

    /// Why no decision on a model goes by what this process knows, if none may; without a model, on whatever.
    #[must_use]
    pub fn not_current(&self, model: Option<&str>, now_ms: i64) -> Option<NotCurrent> {
        let most_ms = self.most_copy_age_ms();
        let Some(checked_at_ms) = self.checked_at_ms else { return Some(NotCurrent::NotAsked) };
        let age_ms = now_ms.saturating_sub(checked_at_ms);
        // An owner that was not heard for its session may be replaced, by one that knows more.
        let most_confirmed_ms = if self.owns() || self.counts() { self.session_ms() } else { most_ms };
        if age_ms > most_confirmed_ms {
            return Some(NotCurrent::NotConfirmed { age_ms, most_ms: most_confirmed_ms });
        }
        if !self.owns() {
            if self.owner.is_none() {
                return Some(NotCurrent::NoOwner);
            }
            match self.copy_age_ms(now_ms) {
                None => return Some(NotCurrent::NotReached),
                Some(age_ms) if age_ms > most_ms => return Some(NotCurrent::Old { age_ms, most_ms }),
                Some(_) => {}
            }
        }
        let unit = model.and_then(|model| self.unit_of(model))?;
        let is_counted = unit.role == Role::Owner || unit.owner.is_some();
        (!is_counted).then(|| NotCurrent::NotCounted { unit: unit.name.clone() })
    }

    /// Why a refusal that this process took from its registry may be out of date: it owned the ledger, and another process may since.
    /// Stricter than `not_current` by the time between two heartbeats, since the session runs from the last one.
    #[must_use]
    pub fn may_be_replaced(&self, now_ms: i64) -> Option<NotCurrent> {
        let Some(checked_at_ms) = self.checked_at_ms else { return Some(NotCurrent::NotAsked) };
        let (age_ms, most_ms) = (now_ms.saturating_sub(checked_at_ms), self.session_ms() * 2 / 3);
        (age_ms > most_ms).then_some(NotCurrent::NotConfirmed { age_ms, most_ms })
    }

    /// The owner's address, where it is another process.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&str> {
        let owner = self.owner.as_ref().filter(|owner| owner.instance != self.instance)?;
        (!owner.advertise.is_empty()).then_some(owner.advertise.as_str())
    }
}

#[cfg(test)]
mod tests;
