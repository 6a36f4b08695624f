//! The state of a rollout between inputs, its inputs and its effects. All times are event time in
//! milliseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::looks::Look;
use super::traffic::{Route, Share};
use crate::judge::streak::Breach;
use crate::judge::verdict::{Status, Verdict};

/// The phase of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RolloutPhase))]
pub enum Phase {
    /// Until the initial delay has passed.
    Waiting,
    /// On a step before the last.
    Progressing,
    /// The steps are done; waits for a person, the gate, or both.
    WaitingPromotion,
    /// The stage's pointer has moved and all traffic with it; baking.
    Promoting,
    Succeeded,
    Failed,
}

impl Phase {
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Progressing, Self::WaitingPromotion, Self::Promoting, Self::Succeeded, Self::Failed];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Progressing => "Progressing",
            Self::WaitingPromotion => "WaitingPromotion",
            Self::Promoting => "Promoting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    /// The rollout is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// The subject of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Unique among the rollouts of all models.
    pub id: String,
    pub model: String,
    pub candidate: String,
    /// The version that the pointer of `to` names now.
    pub champion: Option<String>,
    pub from: String,
    pub to: String,
}

/// A rollout, under way or ended. Times are event time in ms. Written down and read back it goes on as if nothing had happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Rollout))]
pub struct State {
    pub id: String,
    pub model: String,
    pub candidate: String,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub champion: Option<String>,
    pub from: String,
    pub to: String,
    pub phase: Phase,
    /// Index into the rollout's steps.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub step: usize,
    /// Percent of the traffic that the candidate should receive.
    pub weight: f64,
    /// Why it is paused.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub paused: Option<String>,
    /// The pause is due to missing data: the step starts again when the rollout is resumed.
    pub inconclusive: bool,
    pub started_ms: i64,
    pub step_started_ms: i64,
    /// The largest window end of the candidate seen.
    pub now_ms: i64,
    /// The pauses of this step, the last one open while `paused`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<BTreeMap<String, serde_json::Value>>))]
    pub pauses: Vec<Pause>,
    /// While Waiting: the end of the candidate's first window, by counting group.
    pub first_seen_ms: BTreeMap<String, i64>,
    /// The end of the last window processed, by version and group.
    pub processed_ms: BTreeMap<String, BTreeMap<String, i64>>,
    /// This step's measurements, by counting group.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, serde_json::Value>))]
    pub measured: BTreeMap<String, GroupMeasurements>,
    /// Breaches of rules that a rollback trigger with `for` watches, by `group/id`.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, serde_json::Value>))]
    pub breaches: BTreeMap<String, Breaching>,
    /// Of candidate and champion in this step.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, serde_json::Value>))]
    pub comparison: Comparison,
    /// What the comparison came to at each look of the rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<BTreeMap<String, serde_json::Value>>))]
    pub looks: Vec<Look>,
    /// The gate was asked and has not answered.
    pub gate_asked: bool,
    /// A person has said to promote.
    pub confirmed: bool,
    /// Another controller moves the traffic.
    pub external: bool,
    /// Effects are recorded and not executed.
    pub dry_run: bool,
    /// What the policy's traffic routers have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The candidate's share of the traffic since they have the weight.
    #[serde(default, skip_serializing_if = "Share::is_unmeasured")]
    pub share: Share,
    /// Of the last change.
    pub why: String,
}

/// A span of event time that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub from_ms: i64,
    /// `None`: it lasts.
    pub to_ms: Option<i64>,
}

impl Pause {
    /// Whether a window [start, end) has a part in it.
    #[must_use]
    pub fn overlaps(self, start: i64, end: i64) -> bool {
        end > self.from_ms && self.to_ms.is_none_or(|to| start < to)
    }
}

/// The measurements of a group in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMeasurements {
    /// Those that were pass or warn.
    pub good: u64,
    pub last: Status,
}

/// A breach under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaching {
    /// End of its first window; where `for` asks for some of the last ones, of the first of these that breached.
    pub since_ms: i64,
    pub breach: Breach,
    /// Where `for` asks for some of the last windows: the ends of those that breached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<i64>,
}

/// The counts of candidate and champion in a step, in windows that do not overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    pub candidate_yes: u64,
    pub candidate_n: u64,
    pub champion_yes: u64,
    pub champion_n: u64,
    /// End of the last window counted.
    pub until_ms: Option<i64>,
    pub latency: Latency,
}

/// The latency quantile of the last measurement of each, in microseconds, so that it is written down exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    pub candidate_us: Option<u64>,
    pub champion_us: Option<u64>,
}

/// An input of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// A window of any version of the model; each (version, group) in the order of window ends.
    Verdict(&'a Verdict),
    /// By a person, with the reason.
    Pause(String),
    /// By a person.
    Resume,
    /// By a person, with the reason.
    Abort(String),
    /// By a person: skip what is left of the steps and ask the gate.
    Promote,
    /// The answer to [`Effect::AskGate`].
    Gate { pass: bool, why: String },
    /// The gate cannot answer [`Effect::AskGate`] yet, and why: an artifact is still being read. It is asked again.
    GateWaits(String),
    /// Time has passed: a gate that could not answer is asked again.
    AskAgain,
    /// How another controller's rollout ended.
    External { succeeded: bool, why: String },
}

/// An effect that a rollout asks for. With [`State::dry_run`] it is recorded and not executed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// The candidate's share of the traffic, in percent.
    SetWeight(f64),
    /// Moves a stage's pointer to a version.
    MovePointer {
        stage: String,
        to: String,
    },
    Phase(Phase),
    /// For people.
    Note(String),
    /// Answer with [`Input::Gate`] or [`Input::GateWaits`].
    AskGate,
    /// Over before the stage's pointer moved; the caller decides about `canary`.
    Failed {
        reason: String,
    },
    /// Over after the stage's pointer moved: move it back.
    RollBack {
        reason: String,
    },
}

impl State {
    /// Whether a window has a part in a pause of this step.
    #[must_use]
    pub fn pause_overlaps(&self, start: i64, end: i64) -> bool {
        self.pauses.iter().any(|pause| pause.overlaps(start, end))
    }

    /// From one event time to another, without the pauses between.
    #[must_use]
    pub fn elapsed_ms(&self, from: i64, to: i64) -> i64 {
        let frozen = |pause: &Pause| {
            let end = pause.to_ms.map_or(to, |end| end.min(to));
            end.saturating_sub(pause.from_ms.max(from)).max(0)
        };
        to.saturating_sub(from).saturating_sub(self.pauses.iter().map(frozen).sum())
    }

    /// The end of the candidate's last window in a group.
    #[must_use]
    pub fn candidate_end_ms(&self, group: &str) -> Option<i64> {
        self.processed_ms.get(&self.candidate)?.get(group).copied()
    }
}
