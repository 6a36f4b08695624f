//! The smallest shift that rules still find: windows are drawn with replacement from the history's own rows, shifted step by step, and judged by the
//! same pipeline as any other events. The draws are seeded, so that the answer is the same each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::rows::{Rows, copy};
use crate::replay::{self, Input};
use driftgate_core::event::{EventKind, Flag, LabelBatch, Limits, PredictionBatch, code, numeric};
use driftgate_core::intake::Setup;
use driftgate_core::intake::job::Job;
use driftgate_core::intake::{DecoderId, SourceId};
use driftgate_core::judge::verdict::{Status, Verdict};
use driftgate_core::pipeline::Pipeline;
use driftgate_core::pipeline::batch::Batch;
use driftgate_core::policy::{Group, LabelAttribute, LabelSpec, Policy, Rule, Target, Task, Traffic, WindowSpec};
use driftgate_core::rule::definition::{Counts, Subjects};
use driftgate_core::rule::versus::Versus;
use driftgate_core::stats::draws::Draws;

/// Windows of each shift; it is found where half of them block.
const WINDOWS: usize = 20;
/// Rows of a window at most.
const MOST_ROWS: u64 = 5_000;
/// The shifts in order: in standard deviations of the history's values, and as shares of rows.
const SHIFTS: [(f64, f64); 10] = [
    (0.0, 0.0),
    (0.1, 0.01),
    (0.2, 0.02),
    (0.3, 0.05),
    (0.5, 0.1),
    (0.75, 0.15),
    (1.0, 0.2),
    (1.5, 0.3),
    (2.0, 0.5),
    (3.0, 0.9),
];
/// The length of a drawn window, and when the first begins.
const SLIDE: i64 = 3_600_000;
const BEGIN: i64 = 470_000 * SLIDE;
/// What a shift of numbers counts.
const UP: &str = "standard deviations up";
const DOWN: &str = "standard deviations down";
/// Any time may be so far ahead of the one before.
const AHEAD: i64 = i64::MAX / 4;

/// The smallest shift of a subject that a rule finds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    pub subject: String,
    /// Null: none of those that were tried.
    pub shift: Option<f64>,
    /// What `shift` counts.
    pub unit: &'static str,
}

/// What is done to the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Numbers move up by standard deviations; a share of categories becomes one that training does not have.
    Raised,
    /// The same, with numbers that move down.
    Lowered,
    Missing,
    Invalid,
    /// A share of the labels is the other class.
    Labels,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Raised, Self::Lowered, Self::Missing, Self::Invalid, Self::Labels];

    /// What is shifted for a rule, whose limit is one from below or not.
    fn of(rule: &Rule, is_from_below: bool, task: Task) -> Result<Self, &'static str> {
        let definition = rule.kind.definition();
        if rule.kind.versus() != Versus::Training {
            return Err("it compares with other windows, which drawn ones do not have");
        }
        let moved = if is_from_below { Self::Lowered } else { Self::Raised };
        match (definition.name, definition.counts, definition.subjects) {
            _ if rule.kind.of_rule().is_some() => Err("it counts what another rule blocks"),
            ("missing_rate", ..) => Ok(Self::Missing),
            ("invalid_rate", ..) => Ok(Self::Invalid),
            (_, _, subjects) if subjects.are_features() => Ok(moved),
            (_, Counts::Errors | Counts::Decisions, Subjects::Only(_)) => Ok(moved),
            (_, Counts::Pairs | Counts::DecidedPairs, Subjects::Only(_)) if task == Task::Binary => Ok(Self::Labels),
            _ => Err("no shift is tried on what it measures"),
        }
    }

    fn signed(self, by: f64) -> f64 {
        if self == Self::Lowered { -by } else { by }
    }

    /// What a shift of a subject counts.
    fn unit(self, policy: &Policy, subject: &str) -> &'static str {
        let is_number = subject == "score" || policy.features.numeric.iter().any(|name| name == subject);
        match self {
            Self::Raised if is_number => UP,
            Self::Lowered if is_number => DOWN,
            Self::Raised | Self::Lowered => "share of unseen categories",
            Self::Missing => "share of missing values",
            Self::Invalid => "share of invalid values",
            Self::Labels => "share of labels of the other class",
        }
    }
}

/// The rules (`group/id`) whose limit is one from below.
pub type FromBelow = BTreeSet<String>;

/// By rule (`group/id`): what is found, or why nothing was tried.
pub type Shifts = BTreeMap<String, Result<Vec<Found>, &'static str>>;

/// The smallest shifts that the rules of a policy find in windows of as many rows as the history's.
///
/// # Errors
/// Files that cannot be read.
pub fn shifts(input: &Input, verdicts: &[Verdict], from_below: &FromBelow) -> anyhow::Result<(Shifts, String)> {
    let policy = &input.policy;
    let version = most_counted(verdicts);
    let rows = Rows::read(input, &version)?;
    let mut found = Shifts::new();
    for (at, group) in policy.groups.iter().enumerate() {
        let name = |rule: &Rule| format!("{}/{}", group.name, rule.id);
        let kind_of = |rule: &Rule| Kind::of(rule, from_below.contains(&name(rule)), policy.task);
        for rule in &group.rules {
            if let Err(why) = kind_of(rule) {
                found.insert(name(rule), Err(why));
            }
        }
        for kind in Kind::ALL {
            let of_kind: Vec<Rule> = group.rules.iter().filter(|r| kind_of(r) == Ok(kind)).cloned().collect();
            if of_kind.is_empty() {
                continue;
            }
            let n = usual_rows(verdicts, &group.name, &version).min(MOST_ROWS);
            let policy = Arc::new(alone(policy, group, of_kind.clone()));
            let trial = Trial { policy, version: &version, rows: &rows, kind, n };
            let counted = trial.run(at as u64);
            for rule in &of_kind {
                found.insert(name(rule), trial.found(rule, &name(rule), &counted));
            }
        }
    }
    Ok((found, version))
}

/// The version with most predictions in complete windows, the last of those with as many.
fn most_counted(verdicts: &[Verdict]) -> String {
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|v| v.window.complete) {
        *counted.entry(&verdict.version).or_default() += verdict.counted.predictions;
    }
    let most = counted.into_iter().max_by_key(|(_, n)| *n);
    most.map_or_else(String::new, |(version, _)| version.to_owned())
}

/// The median of the predictions in the complete windows of a version.
fn usual_rows(verdicts: &[Verdict], group: &str, version: &str) -> u64 {
    let of_it = verdicts.iter().filter(|v| v.group == group && v.version == version && v.window.complete);
    let mut rows: Vec<u64> = of_it.map(|v| v.counted.predictions).collect();
    rows.sort_unstable();
    rows.get(rows.len() / 2).copied().unwrap_or(0)
}

/// The policy with some rules of one group alone, over windows of an hour, each judged by itself.
fn alone(policy: &Policy, group: &Group, rules: Vec<Rule>) -> Policy {
    let rules = rules.into_iter().map(|rule| Rule { hysteresis: None, ..rule }).collect();
    let group = Group {
        window: WindowSpec { size: SLIDE, slide: SLIDE, local: None },
        lateness: 2 * SLIDE,
        traffic: Traffic::Version,
        rules,
        ..group.clone()
    };
    let at_once =
        |labels: &LabelSpec| LabelSpec { attribute: LabelAttribute::LabelTime, lateness: 2 * SLIDE, ..labels.clone() };
    Policy {
        groups: vec![group],
        transitions: Vec::new(),
        rollback: None,
        mutes: Vec::new(),
        ignores: Vec::new(),
        labels: policy.labels.as_ref().map(at_once),
        retire_after: i64::MAX / 4,
        ..policy.clone()
    }
}

/// Drawn windows of one kind of shift, for the rules of one group.
struct Trial<'r> {
    policy: Arc<Policy>,
    version: &'r str,
    rows: &'r Rows,
    kind: Kind,
    n: u64,
}

/// By rule and subject: of each shift, how many windows were measured and how many blocked.
type Counted = BTreeMap<(String, String), [(usize, usize); SHIFTS.len()]>;

impl Trial<'_> {
    fn run(&self, seed: u64) -> Counted {
        let mut counted = Counted::new();
        if self.n == 0 || self.rows.of_version.is_empty() {
            return counted;
        }
        let setup = Setup { has_features: false, limits: Limits::default(), confirmed_only: false };
        let pipeline = Pipeline::new(Arc::clone(&self.policy), setup, 1);
        let reference = replay::reference(&self.policy, self.version, None, 1);
        let mut intake = pipeline.intake();
        intake.set_reference(self.version, reference);
        let decoders: Vec<DecoderId> = self.rows.pools.iter().map(|_| intake.add_decoder()).collect();
        let predictions = intake.add_source(EventKind::Predictions, AHEAD, None);
        let labels = pipeline.reads(EventKind::Labels).then(|| intake.add_source(EventKind::Labels, AHEAD, None));
        drop(intake);
        let deviations = self.rows.deviations();
        for (at, shift) in SHIFTS.into_iter().enumerate() {
            for window in 0..WINDOWS {
                // The same rows for each shift, so that a larger one is not missed by chance.
                let mut draws = Draws::new(seed * 1_000_003 + window as u64 * 101 + 7);
                let start = BEGIN + SLIDE * i64::try_from(at * WINDOWS + window).unwrap_or(0);
                let (batches, outcomes) = self.window(start, shift, &deviations, &mut draws);
                for (batch, decoder) in batches.into_iter().zip(&decoders) {
                    feed(&pipeline, (predictions, *decoder), batch, &mut counted);
                }
                if let Some(labels) = labels {
                    feed(&pipeline, (labels, DecoderId(0)), outcomes, &mut counted);
                }
            }
        }
        pipeline.finish(&mut |judged, _| judged.verdicts.iter().for_each(|verdict| note(&mut counted, verdict)));
        counted
    }

    /// Rows drawn with replacement, and shifted; a batch per decoder, and their labels.
    fn window(
        &self,
        start: i64,
        shift: (f64, f64),
        deviations: &(Vec<f64>, f64),
        draws: &mut Draws,
    ) -> (Vec<PredictionBatch>, LabelBatch) {
        let mut batches: Vec<PredictionBatch> = Vec::new();
        for pool in &self.rows.pools {
            let features = &pool.rows.features;
            let mut batch =
                PredictionBatch::new(features.numeric.len(), features.categorical.len(), pool.rows.segments.len());
            if start == BEGIN {
                batch.fresh.clone_from(&pool.fresh);
            }
            batches.push(batch);
        }
        let mut outcomes =
            LabelBatch { numbers: self.policy.is_regression(), ..LabelBatch::new(self.policy.kpis.len()) };
        for i in 0..self.n {
            let place = self.rows.of_version.get(draws.below(self.rows.of_version.len())).copied();
            let Some((pool, row)) = place else { continue };
            let (Some(from), Some(to)) = (self.rows.pools.get(pool), batches.get_mut(pool)) else { continue };
            let ts = start
                + i64::try_from(u128::from(i) * u128::from(SLIDE.unsigned_abs()) / u128::from(self.n)).unwrap_or(0);
            let id = format!("{start}-{i}");
            copy(&from.rows, row, to, &id, ts);
            self.shift(to, shift, deviations, draws);
            if let Some((label, value)) = self.rows.label((pool, row)) {
                let turned = self.kind == Kind::Labels && draws.uniform() < shift.1;
                outcomes.ids.push(&id);
                outcomes.ts.push(ts);
                outcomes.label.push(match label {
                    Flag::No if turned => Flag::Yes,
                    Flag::Yes if turned => Flag::No,
                    label => label,
                });
                if outcomes.numbers {
                    outcomes.value.push(value);
                }
                outcomes.kpis.iter_mut().for_each(|kpi| kpi.push(Flag::Missing));
            }
        }
        (batches, outcomes)
    }

    /// Shifts the last row.
    fn shift(
        &self,
        rows: &mut PredictionBatch,
        (by, share): (f64, f64),
        (deviations, of_score): &(Vec<f64>, f64),
        draws: &mut Draws,
    ) {
        // Each value by itself; as many draws whatever the shift.
        for (column, deviation) in rows.features.numeric.iter_mut().zip(deviations) {
            let is_drawn = draws.uniform() < share;
            if let Some(value) = column.last_mut() {
                match self.kind {
                    Kind::Raised | Kind::Lowered if value.is_finite() => *value += self.kind.signed(by) * deviation,
                    Kind::Missing if is_drawn => *value = numeric::MISSING,
                    Kind::Invalid if is_drawn => *value = numeric::INVALID,
                    _ => {}
                }
            }
        }
        for column in &mut rows.features.categorical {
            let is_drawn = draws.uniform() < share;
            if let Some(value) = column.last_mut().filter(|_| is_drawn) {
                match self.kind {
                    Kind::Raised | Kind::Lowered if *value < code::SPECIAL => *value = code::OVERFLOW,
                    Kind::Missing => *value = code::MISSING,
                    Kind::Invalid => *value = code::INVALID,
                    _ => {}
                }
            }
        }
        let is_drawn = draws.uniform() < share;
        if let Some(score) = rows.score.last_mut() {
            match self.kind {
                Kind::Raised | Kind::Lowered if score.is_finite() => *score += self.kind.signed(by) * of_score,
                Kind::Missing if is_drawn => *score = numeric::MISSING,
                Kind::Invalid if is_drawn => *score = numeric::INVALID,
                _ => {}
            }
        }
    }

    /// Of each subject the smallest shift from which on half of the windows block.
    fn found(&self, rule: &Rule, name: &str, counted: &Counted) -> Result<Vec<Found>, &'static str> {
        let subjects = self.policy.subjects(&rule.kind).into_iter().filter(|subject| {
            // The labels of drawn rows are shifted by no kind of values.
            subject != self.policy.target_name(Target::Label)
        });
        let of = |subject: String| {
            let steps = counted.get(&(name.to_owned(), subject.clone()))?;
            steps.first().filter(|(measured, _)| *measured * 2 >= WINDOWS)?;
            let finds = |(_, blocked): &(usize, usize)| blocked * 2 >= WINDOWS;
            let first = steps.iter().position(finds);
            let unit = self.kind.unit(&self.policy, &subject);
            let size = |(by, share): (f64, f64)| if unit == UP || unit == DOWN { by } else { share };
            let shift = first.and_then(|at| SHIFTS.get(at)).map(|shift| size(*shift));
            Some(Found { subject, shift, unit })
        };
        let found: Vec<Found> = subjects.filter_map(of).collect();
        if found.is_empty() { Err("drawn windows are insufficient for it") } else { Ok(found) }
    }
}

/// Counts a batch, and notes what it closes.
fn feed<B: Batch>(pipeline: &Pipeline, (source, decoder): (SourceId, DecoderId), mut batch: B, counted: &mut Counted) {
    let mut job = Job::default();
    let mut intake = pipeline.intake();
    batch.learn(&mut intake, decoder);
    let rows = 0..batch.rows();
    batch.translate(&mut intake, decoder, rows);
    pipeline.admit(&mut intake, source, &batch, &mut job);
    drop(intake);
    pipeline.count(0, &batch, &job);
    pipeline.judge_all(&mut |judged, _| judged.verdicts.iter().for_each(|verdict| note(counted, verdict)));
}

/// Takes note of a drawn window.
fn note(counted: &mut Counted, verdict: &Verdict) {
    let window = usize::try_from((verdict.window.start - BEGIN).div_euclid(SLIDE)).unwrap_or(usize::MAX);
    for result in &verdict.results {
        let steps = counted.entry((result.rule.clone(), result.subject.clone())).or_default();
        if let Some((measured, blocked)) = steps.get_mut(window / WINDOWS) {
            *measured += usize::from(result.status != Status::Insufficient);
            *blocked += usize::from(result.status == Status::Block);
        }
    }
}
