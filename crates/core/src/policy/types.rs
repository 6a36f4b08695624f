//! The validated policy: what one model is judged by. Built by `policy::parse`, never by hand outside tests;
//! every name is resolved to an index and every duration to milliseconds, so nothing downstream can fail on it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::signing::{ModelSigner, SigningKey};
use super::task::Task;
use super::traffic::Router;
use super::windows::{Millis, WindowSpec};
use crate::rule::names::{Naming, target_name};
use crate::stats::limit::Limit;
use crate::yaml::units::show_duration;

pub use crate::rule::RuleKind;
pub use crate::rule::types::{Aggregate, Bound, Correction, MOST_VALUE, Side, Subject, Target, Tolerance};

/// One model's policy file, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub model: String,
    pub task: Task,
    /// Of `task: multiclass`: what predictions and labels name, in the order of the file.
    pub classes: Vec<String>,
    /// `metadata:` as written (`team`, `severity`, `runbook`, …).
    pub metadata: BTreeMap<String, String>,
    pub baseline: BaselineSpec,
    pub features: FeatureSpec,
    /// How much features matter, by which results are ranked: finite, from 0 on.
    pub importance: BTreeMap<String, f64>,
    /// Scores at or above this are predicted positive; `None` without `score:`.
    pub threshold: Option<f64>,
    pub segments: Vec<Segmentation>,
    /// The column of the snapshot that names the unit (a user, a device) whose rows depend on each other.
    pub unit: Option<String>,
    pub labels: Option<LabelSpec>,
    /// What decisions the policy maps to 0 and 1 beside 0, 1, true and false.
    pub decision_values: BTreeMap<String, bool>,
    /// Names of the KPIs that `kpi_drop` rules read, in order of first use.
    pub kpis: Vec<String>,
    /// Names of the metrics that `measured` rules read, in order of first use.
    pub measured: Vec<String>,
    pub min_samples: u64,
    /// Fewer training values than this are nothing to compare with; `min_samples` unless given.
    pub min_reference: u64,
    /// A version without predictions for this long is no longer active.
    pub retire_after: Millis,
    pub groups: Vec<Group>,
    pub mutes: Vec<Mute>,
    pub ignores: Vec<Ignore>,
    pub transitions: Vec<Transition>,
    pub rollback: Option<RollbackPlan>,
    /// Whose signatures under artifacts count.
    pub signing_keys: Vec<SigningKey>,
    /// Whose bundles of model signatures count.
    pub model_signers: Vec<ModelSigner>,
    /// SHA-256 of the policy file's bytes, lower-case hex.
    pub sha256: String,
    /// The folder the policy file lies in: relative snapshot paths start here.
    pub directory: PathBuf,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BaselineSpec {
    /// Path or URL of the training snapshot with `{version}` for the version.
    pub snapshot: Option<String>,
    /// Where labelled rows are that the model was not trained on, written as `snapshot`; `None` for the snapshot.
    pub reference: Option<String>,
    pub score_column: Option<String>,
    pub label_column: Option<String>,
    /// Texts of CSV files that mean null, in place of the usual ones.
    pub null_values: Option<Vec<String>>,
}

impl BaselineSpec {
    /// Whether each version has a snapshot of its own.
    #[must_use]
    pub fn is_of_version(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|pattern| pattern.contains("{version}"))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpec {
    pub numeric: Vec<String>,
    pub categorical: Vec<String>,
    pub grid: GridPoints,
}

/// How many reference values the grid of a numeric feature keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum GridPoints {
    /// Every distinct reference value: D is exact.
    Exact,
    /// About this many order statistics: D is an interval narrower than 1 / (points − 1).
    At(usize),
}

/// A segment attribute, or several crossed (`origin*carrier`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// As written: the parts joined by `*`.
    pub name: String,
    pub parts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LabelSpec {
    pub horizon: Millis,
    pub attribute: LabelAttribute,
    pub lateness: Millis,
    /// A stream of labels that was read to its end and is so far behind the predictions is not waited for any more.
    pub silent_after: Millis,
    /// What the policy maps to 0 and 1 beside 0, 1, true and false.
    pub values: BTreeMap<String, bool>,
}

/// In whose window a (prediction, label) pair counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelAttribute {
    LabelTime,
    PredictionTime,
}

/// Checks that share a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub name: String,
    pub window: WindowSpec,
    pub lateness: Millis,
    pub traffic: Traffic,
    pub enforce: Enforce,
    /// A verdict older than this past its window's end no longer promotes.
    pub stale_after: Millis,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// Count the version's own requests.
    #[default]
    Version,
    /// Count every request of the model against this version's snapshot.
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforce {
    Block,
    Warn,
    Observe,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique in its group; the metric's name unless given.
    pub id: String,
    pub kind: RuleKind,
    /// `for:`, how long a breach must last before it decides.
    pub hysteresis: Option<Hysteresis>,
}

/// The `n` of a measurement is from 1 to this.
pub const MOST_WEIGHT: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hysteresis {
    /// So many consecutive measured windows.
    Windows(u32),
    /// So many of the last measured windows, at most [`Hysteresis::MOST_OF`].
    SomeOf { breaching: u32, of: u32 },
    /// Breaching for so long since the first such window's end.
    Duration(Millis),
}

impl Hysteresis {
    /// Of so many windows at most it is known which breached.
    pub const MOST_OF: u32 = 32;
}

/// `3 windows`, `3 of 5 windows`, `5m`.
impl fmt::Display for Hysteresis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows(n) => write!(f, "{n} windows"),
            Self::SomeOf { breaching, of } => write!(f, "{breaching} of {of} windows"),
            Self::Duration(ms) => f.write_str(&show_duration(*ms)),
        }
    }
}

/// Results that are judged and published but decide nothing, for windows ending at or before `until`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mute {
    /// A rule (`drift/psi`), or every rule.
    pub rule: Option<String>,
    /// A subject as verdicts name it, or every subject.
    pub of: Option<String>,
    pub until: Millis,
    pub reason: String,
}

/// Events of [from, to) are counted nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Ignore {
    pub from: Millis,
    pub to: Millis,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub from: String,
    pub to: String,
    pub evidence: Vec<String>,
    /// Kinds of schema change that pass, e.g. `add_optional`.
    pub schema_allow: Vec<String>,
    pub offline: Vec<OfflineGate>,
    /// Indexes into `Policy::groups`.
    pub checks: Vec<usize>,
    pub approvals: Approvals,
    pub rollout: Option<Rollout>,
}

/// An offline metric against another version's.
#[derive(Clone, Debug, PartialEq)]
pub struct OfflineGate {
    pub metric: String,
    pub limit: OfflineLimit,
    /// `baseline`, `champion`, or a version by its name.
    pub versus: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OfflineLimit {
    /// Of a metric that should be high: at least so much above the other's.
    MinGain(Tolerance),
    /// Of a cost or another metric that should be low: at most so much above the other's.
    MaxIncrease(Tolerance),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Approvals {
    Auto,
    Roles {
        /// How many must sign as each.
        roles: BTreeMap<String, u32>,
        /// Who may sign as a role; a role that is not in it is open to everybody.
        people: BTreeMap<String, Vec<String>>,
        /// A person counts once over all roles.
        distinct: bool,
        /// Who cannot sign, whatever role their token has.
        exclude: Vec<Excluded>,
        /// How long a signature holds.
        expires: Option<Millis>,
    },
}

/// Who does not judge their own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// Whoever registered the version or changed what is registered, and whoever asked for the promotion.
    Requester,
    /// Whoever attached a piece of the evidence that counts.
    Evidence,
}

impl Excluded {
    pub const ALL: [(&str, Self); 2] = [("requester", Self::Requester), ("evidence", Self::Evidence)];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Evidence => "evidence",
        }
    }
}

/// How the traffic moves to a version, and what must hold meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// Another controller moves the traffic.
    pub external: bool,
    /// Ascending; the last has weight 100 and a bake. `shadow:` is a first step of weight 0. Empty only with `external`.
    pub steps: Vec<RolloutStep>,
    /// Indexes into `Policy::groups`.
    pub checks: Vec<usize>,
    pub pause_on_inconclusive: bool,
    /// From the candidate's first verdict to the first step; 0: at once.
    pub initial_delay: Millis,
    /// Decide and record, but move nothing.
    pub dry_run: bool,
    /// What makes the traffic follow the weights. Empty: something else reads them.
    pub traffic: Vec<Router>,
    /// Wait for a person before the last step.
    pub confirm: bool,
    pub compare: Option<Compare>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RolloutStep {
    /// Percent of the traffic, 0 to 100; 0 is mirrored traffic only.
    pub weight: f64,
    pub hold: Option<Millis>,
    pub bake: Option<Millis>,
}

/// The candidate against the champion on a KPI, at the end of each step on which both have traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compare {
    /// Index into `Policy::groups`; its window is the comparison's.
    pub group: usize,
    /// Index into that group's rules: the `kpi_drop` rule that reads the KPI.
    pub rule: usize,
    /// The candidate's rate must be at least so much above the champion's.
    pub min_gain: Tolerance,
    /// Of the whole rollout's comparison, above 0.5 and below 1.
    pub confidence: Limit,
    /// How many rows that depend on each other count as one: samples count as n/φ.
    pub design_effect: f64,
    pub latency: Option<LatencyCompare>,
}

/// How much slower than the champion the candidate may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyCompare {
    /// Index into `Policy::groups`, one of the rollout's checks.
    pub group: usize,
    /// Index into that group's rules: its latency rule, that of the p95 if it has one.
    pub rule: usize,
    /// Absolute in milliseconds.
    pub max_increase: Tolerance,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RollbackPlan {
    pub to: RollbackTarget,
    pub triggers: Vec<Trigger>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackTarget {
    LastStable,
}

/// Fires while the rule `group/id` blocks a version in prod, after `hysteresis`.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Index into `Policy::groups`.
    pub group: usize,
    /// Index into that group's rules.
    pub rule: usize,
    pub hysteresis: Option<Hysteresis>,
}

impl Policy {
    /// All rules of all groups.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.groups.iter().flat_map(|g| &g.rules)
    }

    /// The name of a rule's subject as verdicts show it: the feature's, or `score`.
    #[must_use]
    pub fn target_name(&self, target: Target) -> &str {
        target_name(&self.features.numeric, &self.features.categorical, target)
    }

    /// What a rule's results are about, as verdicts name it, in the policy's order.
    #[must_use]
    pub fn subjects(&self, kind: &RuleKind) -> Vec<String> {
        kind.subjects(self)
    }
}

impl Naming for Policy {
    fn target(&self, target: Target) -> &str {
        self.target_name(target)
    }

    fn segmentation(&self, by: usize) -> Option<&str> {
        self.segments.get(by).map(|segmentation| segmentation.name.as_str())
    }

    fn kpi(&self, of: usize) -> Option<&str> {
        self.kpis.get(of).map(String::as_str)
    }

    fn measured(&self, of: usize) -> Option<&str> {
        self.measured.get(of).map(String::as_str)
    }
}
