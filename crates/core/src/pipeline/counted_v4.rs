//! How driftgate 0.1 named what a policy counts: a digest over the debug output of its structs, which these are copies of. A
//! checkpoint of format 4 names its counts so.

#![allow(dead_code, reason = "the fields are read by the debug output")]

use std::collections::BTreeMap;

use crate::codec::hash::digest;
use crate::policy::{self, Policy, RuleKind};

#[derive(Debug)]
struct BuiltFor {
    numeric: Vec<String>,
    categorical: Vec<String>,
    segmentations: Vec<String>,
    grid: GridPoints,
    bins: Vec<usize>,
    threshold: Option<f64>,
    score: bool,
}

#[derive(Debug)]
enum GridPoints {
    Exact,
    At(usize),
}

#[derive(Debug)]
struct LabelSpec {
    horizon: i64,
    attribute: LabelAttribute,
    lateness: i64,
    values: BTreeMap<String, bool>,
}

#[derive(Debug)]
enum LabelAttribute {
    LabelTime,
    PredictionTime,
}

#[derive(Debug)]
struct Ignore {
    from: i64,
    to: i64,
    reason: String,
}

#[derive(Debug)]
struct WindowSpec {
    size: i64,
    slide: i64,
}

#[derive(Clone, Copy, Debug)]
enum Traffic {
    Version,
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Numeric(usize),
    Categorical(usize),
    Score,
}

#[derive(Debug)]
struct Reads {
    targets: Vec<Target>,
    segmentations: Vec<usize>,
    auc: bool,
    latency: bool,
    error: bool,
    kpis: Vec<usize>,
    measured: Vec<usize>,
    predictions: bool,
    pairs: bool,
    features: bool,
    traffic: Traffic,
}

impl From<policy::Target> for Target {
    fn from(target: policy::Target) -> Self {
        match target {
            policy::Target::Numeric(i) => Self::Numeric(i),
            policy::Target::Categorical(i) => Self::Categorical(i),
            // Format 4 knows neither label nor class among its targets, and no policy of its time has one.
            policy::Target::Score | policy::Target::Label | policy::Target::Prediction => Self::Score,
        }
    }
}

impl From<policy::Traffic> for Traffic {
    fn from(traffic: policy::Traffic) -> Self {
        match traffic {
            policy::Traffic::Version => Self::Version,
            policy::Traffic::Model => Self::Model,
        }
    }
}

impl Reads {
    fn new(group: &policy::Group) -> Self {
        let now = crate::window::layout::Reads::new(group);
        Self {
            targets: now.targets.into_iter().map(Target::from).collect(),
            segmentations: now.segmentations,
            auc: now.auc,
            latency: now.latency,
            error: now.error,
            kpis: now.kpis,
            measured: now.measured,
            predictions: now.predictions,
            pairs: now.pairs,
            features: now.features,
            traffic: now.traffic.into(),
        }
    }
}

fn built_for(policy: &Policy) -> BuiltFor {
    let now = crate::baseline::BuiltFor::new(policy);
    BuiltFor {
        numeric: now.numeric,
        categorical: now.categorical,
        segmentations: now.segmentations,
        grid: match now.grid {
            policy::GridPoints::Exact => GridPoints::Exact,
            policy::GridPoints::At(n) => GridPoints::At(n),
        },
        bins: now.bins,
        threshold: now.threshold,
        score: now.score,
    }
}

fn labels(now: &policy::LabelSpec) -> LabelSpec {
    LabelSpec {
        horizon: now.horizon,
        attribute: match now.attribute {
            policy::LabelAttribute::LabelTime => LabelAttribute::LabelTime,
            policy::LabelAttribute::PredictionTime => LabelAttribute::PredictionTime,
        },
        lateness: now.lateness,
        values: now.values.clone(),
    }
}

fn ignore(now: &policy::Ignore) -> Ignore {
    Ignore { from: now.from, to: now.to, reason: now.reason.clone() }
}

/// The first rule of a policy whose counts driftgate 0.1 kept otherwise, as `group/id`.
#[must_use]
pub fn counted_otherwise(policy: &Policy) -> Option<String> {
    let otherwise = |kind: &RuleKind| kind.selection_by().is_some();
    policy.groups.iter().find_map(|group| {
        let rule = group.rules.iter().find(|rule| otherwise(&rule.kind))?;
        Some(format!("{}/{}", group.name, rule.id))
    })
}

/// The name that driftgate 0.1 gave to what a policy counts.
#[must_use]
pub fn counts_digest(policy: &Policy) -> String {
    let windows = |g: &policy::Group| WindowSpec { size: g.window.size, slide: g.window.slide };
    let groups: Vec<_> = policy
        .groups
        .iter()
        .map(|g| (&g.name, windows(g), g.lateness, Traffic::from(g.traffic), Reads::new(g)))
        .collect();
    let ignores: Vec<Ignore> = policy.ignores.iter().map(ignore).collect();
    let counted = format!(
        "{:?}{:?}{:?}{:?}{ignores:?}{groups:?}",
        built_for(policy),
        policy.labels.as_ref().map(labels),
        policy.kpis,
        policy.measured,
    );
    // It knew neither time zones nor other tasks: such a policy counts anew.
    let local: Vec<_> = policy.groups.iter().filter_map(|g| g.window.local).collect();
    if local.is_empty() && !policy.pairs_numbers() {
        digest(&[counted.as_bytes()])
    } else {
        digest(&[counted.as_bytes(), format!("{local:?}{:?}{}", policy.task, policy.classes.join("\n")).as_bytes()])
    }
}
