//! The validated policy: what one model is judged by. Built by `policy::parse`, never by hand outside tests;
//! every name is resolved to an index and every duration to milliseconds, so nothing downstream can fail on it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::signing::{ModelSigner, SigningKey};
use crate::stats::limit::Limit;

/// A span of event time in milliseconds.
pub type Millis = i64;

/// One model's policy file, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub model: String,
    /// `metadata:` as written (`team`, `severity`, `runbook`, …).
    pub metadata: BTreeMap<String, String>,
    pub baseline: BaselineSpec,
    pub features: FeatureSpec,
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

/// `size` is a multiple of `slide`; both positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    pub size: Millis,
    pub slide: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Count the version's own requests.
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

/// What a distribution rule looks at; indexes into `FeatureSpec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Numeric(usize),
    Categorical(usize),
    Score,
}

/// A rule's subject with the limits that hold for it (after `except`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject<L> {
    pub target: Target,
    pub limit: L,
}

/// Blocks at or above `lt`, warns at or above `warn`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Upper {
    pub lt: Limit,
    pub warn: Option<Limit>,
}

/// How PSI treats empty bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Zero {
    Half,
    Floor(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    None,
    Holm,
    Bh,
}

/// Which rate a fairness gap compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapMeasure {
    Tpr,
    Fpr,
    Selection,
    EqualizedOdds,
}

/// A drop that is tolerated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    Absolute(Limit),
    Relative(Limit),
}

/// What a KPI is compared with first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KpiVersus {
    /// The version in prod in the same window; where there is none beside a version in prod, as `Predecessor`.
    Champion,
    /// The version that was in prod before this one; where there is none, the version's own past.
    Predecessor,
}

/// Measured values, and limits on them, lie within plus and minus this.
pub const MOST_VALUE: f64 = 1e12;
/// The `n` of a measurement is from 1 to this.
pub const MOST_WEIGHT: u64 = 1_000_000_000;

/// What a `measured` rule makes of a window's measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Of the values, each weighted by its `n`.
    Mean,
    Max,
    Min,
    /// Of the values times their `n`.
    Sum,
}

impl Aggregate {
    pub const ALL: [Self; 4] = [Self::Mean, Self::Max, Self::Min, Self::Sum];

    /// As the policy and the verdict spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sum => "sum",
        }
    }
}

/// How a value must lie to its limit to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Side {
    pub const ALL: [Self; 4] = [Self::Lt, Self::Lte, Self::Gt, Self::Gte];

    /// As the policy and the verdict spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
        }
    }

    /// Whether a value that compares so with its limit passes.
    #[must_use]
    pub fn passes(self, order: Ordering) -> bool {
        match self {
            Self::Lt => order.is_lt(),
            Self::Lte => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Gte => order.is_ge(),
        }
    }
}

/// Blocks where the value does not lie on `side` of `limit`, warns where it does not of `warn`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    pub side: Side,
    pub limit: Limit,
    pub warn: Option<Limit>,
}

/// One rule. `by` is an index into `Policy::segments`.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    Psi {
        of: Vec<Subject<Upper>>,
        bins: usize,
        zero: Zero,
    },
    /// Blocks below the limit (`gte`).
    KsP {
        of: Vec<Subject<Limit>>,
        correction: Correction,
        min_effect: Limit,
    },
    /// Blocks above the limit (`lte`); `budget` is the false-block probability a day, `design_effect` is φ: what `unit`
    /// gives unless it is written, or 1.
    KsLcb {
        of: Vec<Subject<Limit>>,
        budget: f64,
        design_effect: Option<f64>,
    },
    /// Blocks above the limit (`max_increase`).
    MissingRate {
        of: Vec<Subject<Limit>>,
    },
    /// Blocks above the limit (`lte`).
    InvalidRate {
        of: Vec<Subject<Limit>>,
    },
    Gap {
        measure: GapMeasure,
        by: usize,
        limit: Upper,
        min_positives: u64,
    },
    /// Blocks below the limit (`gte`).
    DisparateImpact {
        by: usize,
        gte: Limit,
        min_positives: u64,
    },
    /// Blocks above the limit (`lte`); against a named segment or over all pairs.
    TprGapLcb {
        by: usize,
        lte: Limit,
        min_positives: u64,
        reference: Option<String>,
        design_effect: Option<f64>,
    },
    /// Blocks when a segment's TPR lies more than `max` below the snapshot's (`lcb`: when Newcombe's lower bound does).
    TprDrop {
        by: usize,
        max: Limit,
        min_positives: u64,
        lcb: bool,
        design_effect: Option<f64>,
    },
    /// Blocks below the limit (`gte`).
    Auc {
        gte: Limit,
    },
    /// `quantile` in (0, 1), the limit in milliseconds; `metric` is the name in the policy, e.g. `latency_p95_ms`.
    Latency {
        metric: &'static str,
        quantile: f64,
        limit: Upper,
    },
    /// The limit is a fraction.
    ErrorRate {
        limit: Upper,
    },
    /// `of` is an index into `Policy::kpis`.
    KpiDrop {
        of: usize,
        max: Tolerance,
        versus: KpiVersus,
    },
    /// `of` is an index into `Policy::measured`.
    Measured {
        of: usize,
        aggregate: Aggregate,
        bound: Bound,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hysteresis {
    /// So many consecutive measured windows.
    Windows(u32),
    /// Breaching for so long since the first such window's end.
    Duration(Millis),
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

/// The kinds of evidence that a transition may ask for.
pub const EVIDENCE_KINDS: [&str; 14] = [
    "artifact_digest",
    "env_lock",
    "tests",
    "security_scan",
    "data_snapshot",
    "code_commit",
    "signature",
    "pii_controls",
    "schema",
    "model_card",
    "params",
    "offline",
    "baseline_version",
    "schema_diff",
];

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
}
