//! What this process shows of its cluster: its role, the members of the group, the claim, and how old its copy of the registry is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A copy may be this much older than the session, until the gate does not go by it any more.
const COPY_SLACK: Duration = Duration::from_secs(10);
/// The one unit of a cluster: all models.
pub const UNIT: &str = "all";

/// What a process of a cluster does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClusterRole)]
pub enum Role {
    /// Another one counts, or none; this one follows the ledger and answers from its copy.
    #[default]
    Standby,
    /// It was given the unit, and restores the state.
    TakingOver,
    /// It counts, and changes the registry.
    Owner,
    /// It commits for the last time.
    GivingBack,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Standby, Self::TakingOver, Self::Owner, Self::GivingBack];

    /// As JSON and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::TakingOver => "taking_over",
            Self::Owner => "owner",
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
    /// Whether the coordinator has assigned the unit to it.
    pub owns: bool,
}

/// The last commit of the unit's state.
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
    pub role: Role,
    /// Without a heartbeat for so long a process is taken for dead.
    pub session: Duration,
    /// The process that owns the unit: the coordinator has assigned it, and the claim names the same one.
    pub owner: Option<Member>,
    pub members: Vec<Member>,
    pub claim: Option<ClaimView>,
    /// The last change of the registry that this process has.
    pub ledger_seq: u64,
    /// When the end of the ledger was reached last, wall clock, ms.
    pub copy_at_ms: Option<i64>,
    /// When the group and the claim were looked at last, wall clock, ms.
    pub checked_at_ms: Option<i64>,
    /// How often this process has become the owner.
    pub takeovers: u64,
}

/// Why a copy is not gone by. Its `Display` is the sentence that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCurrent {
    /// The group was not looked at.
    NotAsked,
    NoOwner,
    /// Who owns the models was confirmed so many milliseconds ago, and may have been so many.
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
                "it is not known which process of the cluster owns the models, since the group was not asked: ask a running process with --server",
            ),
            Self::NoOwner => out.write_str(
                "no process of the cluster owns the models at the moment, so nothing is counted: ask again, and see driftgate cluster status",
            ),
            Self::NotConfirmed { age_ms, most_ms } => write!(
                out,
                "this process last learned {} s ago who owns the models, more than {} s, so another process may have decided since: see whether it reaches the brokers",
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
    /// Takes a role; becoming the owner is counted.
    pub fn change_role(&mut self, role: Role) {
        if self.role == role {
            return;
        }
        self.role = role;
        self.takeovers += u64::from(role == Role::Owner);
    }

    /// Whether this process counts.
    #[must_use]
    pub fn owns(&self) -> bool {
        self.role == Role::Owner
    }

    /// Whether this process has what a reader needs: it owns, or its copy has reached the end of the ledger.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.owns() || self.copy_at_ms.is_some()
    }

    /// How old what it knows of the registry is, in ms; of the owner nothing is newer.
    #[must_use]
    pub fn copy_age_ms(&self, now_ms: i64) -> Option<i64> {
        if self.owns() { Some(0) } else { self.copy_at_ms.map(|at| (now_ms - at).max(0)) }
    }

    /// How long ago the last commit of state was, in ms.
    #[must_use]
    pub fn claim_age_ms(&self, now_ms: i64) -> Option<i64> {
        self.claim.as_ref().map(|claim| (now_ms - claim.at_ms).max(0))
    }

    /// How old a copy may be that decisions go by, in ms.
    #[must_use]
    pub fn most_copy_age_ms(&self) -> i64 {
        i64::try_from((self.session + COPY_SLACK).as_millis()).unwrap_or(i64::MAX)
    }

    fn session_ms(&self) -> i64 {
        i64::try_from(self.session.as_millis()).unwrap_or(i64::MAX)
    }

    /// Why no decision goes by what this process knows, if none may.
    #[must_use]
    pub fn not_current(&self, now_ms: i64) -> Option<NotCurrent> {
        let most_ms = self.most_copy_age_ms();
        let Some(checked_at_ms) = self.checked_at_ms else { return Some(NotCurrent::NotAsked) };
        let age_ms = now_ms.saturating_sub(checked_at_ms);
        // An owner that was not heard for its session may be replaced, by one that knows more.
        let most_confirmed_ms = if self.owns() { self.session_ms() } else { most_ms };
        if age_ms > most_confirmed_ms {
            return Some(NotCurrent::NotConfirmed { age_ms, most_ms: most_confirmed_ms });
        }
        if self.owns() {
            return None;
        }
        if self.owner.is_none() {
            return Some(NotCurrent::NoOwner);
        }
        match self.copy_age_ms(now_ms) {
            None => Some(NotCurrent::NotReached),
            Some(age_ms) if age_ms > most_ms => Some(NotCurrent::Old { age_ms, most_ms }),
            Some(_) => None,
        }
    }

    /// The owner's address, where it is another process.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&str> {
        let owner = self.owner.as_ref().filter(|owner| owner.instance != self.instance)?;
        (!owner.advertise.is_empty()).then_some(owner.advertise.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby() -> ClusterView {
        let owner =
            Member { instance: "a".into(), advertise: "http://a:1".into(), host: "/10.0.0.1".into(), owns: true };
        ClusterView {
            instance: "b".into(),
            session: Duration::from_secs(6),
            owner: Some(owner),
            copy_at_ms: Some(100_000),
            checked_at_ms: Some(110_000),
            ..ClusterView::default()
        }
    }

    #[test]
    fn a_copy_is_gone_by_only_while_it_is_young_and_somebody_owns() {
        let view = standby();
        assert_eq!((view.not_current(116_000), view.copy_age_ms(116_000)), (None, Some(16_000)));
        assert_eq!(view.not_current(116_001), Some(NotCurrent::Old { age_ms: 16_001, most_ms: 16_000 }));
        // A clock that was set back makes no copy newer than now.
        assert_eq!(view.copy_age_ms(0), Some(0));
        let orphan = ClusterView { owner: None, ..view.clone() };
        assert_eq!(orphan.not_current(100_000), Some(NotCurrent::NoOwner));
        let new = ClusterView { copy_at_ms: None, ..view.clone() };
        assert_eq!((new.not_current(0), new.is_ready()), (Some(NotCurrent::NotReached), false));
        let alone = ClusterView { checked_at_ms: None, ..view.clone() };
        assert_eq!(alone.not_current(100_000), Some(NotCurrent::NotAsked));
        let owner = ClusterView { role: Role::Owner, owner: None, copy_at_ms: None, ..view };
        assert_eq!(owner.not_current(116_000), None);
        // Cut off from the brokers, or stopped for a while, it may be no owner any more.
        assert_eq!(owner.not_current(116_001), Some(NotCurrent::NotConfirmed { age_ms: 6_001, most_ms: 6_000 }));
        assert_eq!((owner.copy_age_ms(0), owner.is_ready()), (Some(0), true));
    }

    #[test]
    fn who_takes_over_or_gives_back_goes_by_its_copy_as_a_standby_does() {
        for role in [Role::Standby, Role::TakingOver, Role::GivingBack] {
            let view = ClusterView { role, ..standby() };
            assert_eq!(view.not_current(100_000), None);
            assert_eq!(ClusterView { owner: None, ..view }.not_current(100_000), Some(NotCurrent::NoOwner));
        }
    }

    #[test]
    fn nobody_is_sent_to_oneself_or_nowhere() {
        let view = standby();
        assert_eq!(view.elsewhere(), Some("http://a:1"));
        assert_eq!(ClusterView { instance: "a".into(), ..view.clone() }.elsewhere(), None);
        let nameless = Member { advertise: String::new(), ..view.owner.clone().unwrap() };
        assert_eq!(ClusterView { owner: Some(nameless), ..view }.elsewhere(), None);
    }

    #[test]
    fn becoming_the_owner_is_counted_once() {
        let mut view = standby();
        for role in [Role::Standby, Role::TakingOver, Role::Owner, Role::Owner, Role::GivingBack, Role::Standby] {
            view.change_role(role);
        }
        assert_eq!((view.takeovers, view.role), (1, Role::Standby));
        view.change_role(Role::Owner);
        assert_eq!(view.takeovers, 2);
    }

    #[test]
    fn roles_have_one_name_each() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.name()));
        }
    }
}
