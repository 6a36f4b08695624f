//! The definition of a rule: everything about one metric that the rest of driftgate asks for. The parser, the judge, lints,
//! mutes, recorded runs, the reference page and the policy's JSON schema all work from it.

pub mod kind;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::alarms::Simulation;
use super::binning::Binning;
use super::budget::{self, BUDGET, Budget};
use super::counts::WindowCounts;
use super::names::PolicyNames;
use super::result::{Certain, Judged};
use super::types::{Bound, Target};
use super::versus::Versus;
use crate::yaml::Map;

pub use super::properties::{Bounds, Counts, Guard, LimitForm, Minimum, Opt, Reference, Subjects, Takes, Values};

/// One metric: how it is written, what it reads, when it is judged, and what it means.
pub struct Definition {
    /// As the policy and the verdict spell it.
    pub name: &'static str,
    /// What it measures, in one paragraph of Markdown.
    pub documentation: &'static str,
    /// What the metric guards: lints ask whether a way to prod has one of each.
    pub guards: Guard,
    pub counts: Counts,
    pub subjects: Subjects,
    /// Whether a window is compared with the training snapshot, and with what of it.
    pub baseline: Reference,
    /// How many samples a window needs to be judged.
    pub minimum: Minimum,
    pub limit: LimitForm,
    pub bounds: Bounds,
    /// A limit to begin with.
    pub example: &'static str,
    pub values: Values,
    /// Options beside the subject, the limit, `except`, `id` and `for`.
    pub options: &'static [Opt],
    /// The name that promotion records give to it, if another one.
    pub recorded_as: Option<&'static str>,
    /// Reads a rule's options.
    pub parse: fn(&'static Definition, &Map, &mut PolicyNames) -> Option<RuleKind>,
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Definition").field(&self.name).finish()
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Definition {
    /// Whether it is a share of events: a metric whose name ends in `_rate`. `units: {rates: percent}` of a recorded run gives the unit of
    /// all of them.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        self.name.ends_with("_rate")
    }

    /// Whether the rule reads `budget` itself.
    #[must_use]
    pub fn has_own_budget(&self) -> bool {
        self.options.iter().any(|option| option.key == BUDGET.key)
    }

    /// Every key of the rule's options, in the order that messages list them.
    #[must_use]
    pub fn keys(&'static self) -> Vec<&'static str> {
        let features = self.subjects.are_features();
        let mut keys: Vec<&'static str> = self.subjects.key().into_iter().collect();
        keys.extend(self.limit.keys());
        keys.extend(self.options.iter().map(|option| option.key));
        keys.extend((!self.has_own_budget()).then_some(BUDGET.key));
        keys.extend(features.then_some("except"));
        keys.extend(["id", "for"]);
        keys
    }
}

/// One thing that is counted for a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// The values of a feature, or the score.
    Distribution(Target),
    /// The snapshot's distributions of the rule's subjects in these bins.
    Bins(Binning),
    /// Labels of joined pairs, whatever was decided.
    Labels,
    /// The sum of a numeric target's values, in billionths, and the smallest and the largest of them: `WindowCounts::sum`.
    Sum(Target),
    /// The values of a target in each segment of a segmentation.
    BySegment(usize, Target),
    /// The standard deviations of the snapshot's numeric columns.
    Deviations,
    /// The score's calibration by labelled rows.
    Calibration,
    /// Predictions or pairs by segment.
    Segmentation(usize),
    /// Labelled predictions of each class by segment: `WindowCounts::class_segments`.
    ClassSegmentation(usize),
    /// Errors of predicted numbers by segment: `WindowCounts::error_segments`.
    ErrorSegmentation(usize),
    /// The snapshot's labelled rows by segment, without which the rule cannot be judged.
    SnapshotSegments(usize),
    /// The score of labelled predictions.
    ScoreByLabel,
    /// Labelled predictions by the difference of score and label: `WindowCounts::numbers`.
    Errors,
    /// How far these spread: counted where the rule has a budget, as that of measurements is.
    Spread,
    /// Labelled predictions by predicted class and label, of so many classes: `WindowCounts::classes`.
    Classes(usize),
    /// Labelled predictions by decision and label, all segments together.
    Confusion,
    /// Predictions by decision, labelled or not, all segments together.
    Decisions,
    /// Latencies; the quantile that is judged.
    Latency(f64),
    Error,
    Kpi(usize),
    Measured(usize),
    MeasuredSpread(usize),
    /// How many predictions there are, also where there are none.
    Volume,
}

impl Read {
    /// The target whose distribution is read.
    fn distribution(self) -> Option<Target> {
        if let Self::Distribution(target) = self { Some(target) } else { None }
    }
}

/// A parsed rule of some metric.
pub trait Check: Any + fmt::Debug + Send + Sync {
    fn definition(&self) -> &'static Definition;

    /// What is counted for it.
    fn reads(&self) -> Vec<Read>;

    /// Its limits: one per target of a rule on features, else one.
    fn bounds(&self) -> Vec<Bound>;

    /// Of a subject whose value lies between two limits, the lower one; `at` is its place among `bounds`.
    fn floor(&self, at: usize) -> Option<Bound> {
        let _ = at;
        None
    }

    /// Whether its limit is on a change against the training snapshot.
    fn is_change(&self) -> bool {
        false
    }

    /// Whether its limit follows from the counts of a window.
    fn is_by_chance(&self) -> bool {
        false
    }

    /// Results in the policy's order of subjects; `lasts` says that the rule asks for a breach that lasts (`for`).
    fn judge(&self, window: &dyn WindowCounts, lasts: bool) -> Vec<Judged>;

    /// Of a rule that reads `versus` itself: the earlier time that it compares with.
    fn versus(&self) -> Option<Versus> {
        None
    }

    /// Of a rule that is judged by the results of another one: that rule's group and id.
    fn of_rule(&self) -> Option<(&str, &str)> {
        None
    }

    /// The result of such a rule, by the other one's of the same window.
    fn judge_results(&self, results: &[Judged]) -> Judged {
        let _ = results;
        Judged::insufficient(self.definition().name, "it is not judged by another rule's results")
    }

    /// Where the value of such a rule lies, given the other one's results as they are within this rule's budget.
    fn certain_of_results(&self, held: &[Judged]) -> Option<Certain> {
        let _ = held;
        None
    }

    /// How often it would block without drift.
    fn simulation(&self) -> Simulation;

    /// Why the values of a rule that is written so have no bounds at any level, for a `budget`; `None` where they have.
    fn unbounded(&self) -> Option<&'static str> {
        None
    }

    /// Where the value of each subject lies but for a probability of `alpha`, in the order of `judge`, whose results are `judged`, if that is known.
    fn certain(&self, window: &dyn WindowCounts, judged: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let _ = (window, judged, alpha);
        Vec::new()
    }

    /// Of a rule whose bound takes the dependence of rows into account: the design effect that is written, if one is.
    fn design_effect(&self) -> Option<Option<f64>> {
        None
    }

    /// What it blocks at, in words; `subject` is its first one.
    fn breach(&self, subject: &str) -> String {
        let _ = subject;
        self.definition().name.to_owned()
    }
}

/// A check that can be compared with others of any kind.
trait Comparable: Check {
    fn equals(&self, other: &dyn Comparable) -> bool;
    fn as_any(&self) -> &dyn Any;
}

impl<C: Check + PartialEq> Comparable for C {
    fn equals(&self, other: &dyn Comparable) -> bool {
        other.as_any().downcast_ref::<C>().is_some_and(|other| self == other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a rule of a policy checks.
#[derive(Clone)]
pub struct RuleKind {
    check: Arc<dyn Comparable>,
    versus: Versus,
    /// The rule's own minimum of samples.
    least: Option<u64>,
    /// The segmentation whose segments are judged each by itself.
    by: Option<usize>,
    /// How many false blocks it may make.
    budget: Option<Budget>,
}

impl RuleKind {
    #[must_use]
    pub fn new(check: impl Check + PartialEq) -> Self {
        let versus = check.versus().unwrap_or_default();
        Self { check: Arc::new(check), versus, least: None, by: None, budget: None }
    }

    /// The same compared with something else, of which there have to be so many samples.
    #[must_use]
    pub fn against(self, versus: Versus, least: Option<u64>) -> Self {
        Self { versus, least, ..self }
    }

    /// The same of each segment of a segmentation, if one is given.
    #[must_use]
    pub fn by_segments_of(self, by: Option<usize>) -> Self {
        Self { by, ..self }
    }

    /// The same within a budget of false blocks.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// How many false blocks it may make, where that is written.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// Why its values have no bounds at any level, for a budget; `None` where they have.
    #[must_use]
    pub fn unbounded(&self) -> Option<&'static str> {
        self.check.unbounded()
    }

    /// What it compares with.
    #[must_use]
    pub fn versus(&self) -> Versus {
        self.versus
    }

    /// The rule's own minimum of samples, if it has one.
    #[must_use]
    pub fn least(&self) -> Option<u64> {
        self.least
    }
}

impl fmt::Debug for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.check.fmt(f)
    }
}

impl PartialEq for RuleKind {
    fn eq(&self, other: &Self) -> bool {
        self.versus == other.versus
            && self.least == other.least
            && self.by == other.by
            && self.budget == other.budget
            && self.check.equals(&*other.check)
    }
}

impl RuleKind {
    /// The rule as the check that it is, if it is one of this type.
    #[must_use]
    pub fn as_check<C: Check>(&self) -> Option<&C> {
        self.check.as_any().downcast_ref()
    }

    /// The rule's metric.
    #[must_use]
    pub fn definition(&self) -> &'static Definition {
        self.check.definition()
    }

    /// The metric's name, as the policy and the verdict spell it.
    #[must_use]
    pub fn metric(&self) -> &'static str {
        self.definition().name
    }

    /// What is counted for it.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        let mut reads = self.check.reads();
        reads.retain(|read| !matches!(read, Read::Spread | Read::MeasuredSpread(_)) || self.budget.is_some());
        reads.extend(self.by_segment().into_iter().map(|(by, target)| Read::BySegment(by, target)));
        reads
    }

    /// Of a rule whose bound takes the dependence of rows into account: the design effect that is written, if one is.
    #[must_use]
    pub fn design_effect(&self) -> Option<Option<f64>> {
        self.check.design_effect()
    }

    /// The rule's limits: one per target of a rule on distributions, else one.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        self.check.bounds()
    }

    /// Whether its limit is on a change against the training snapshot.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.check.is_change()
    }

    /// Whether its limit is on a change against the training snapshot, not an earlier time.
    #[must_use]
    pub fn is_change_from_training(&self) -> bool {
        self.is_change() && self.versus == Versus::Training
    }

    /// Whether its limit follows from the counts of a window.
    #[must_use]
    pub fn is_by_chance(&self) -> bool {
        self.check.is_by_chance()
    }

    /// The lower limit of a subject whose value lies between two; `bounds` has the upper one, at the same place.
    #[must_use]
    pub fn floor(&self, at: usize) -> Option<Bound> {
        self.check.floor(at)
    }

    /// Of a rule that is judged by the results of another one: that rule's group and id.
    #[must_use]
    pub fn of_rule(&self) -> Option<(&str, &str)> {
        self.check.of_rule()
    }

    /// The result of such a rule, by the other one's of the same window.
    #[must_use]
    pub fn judge_results(&self, results: &[Judged]) -> Judged {
        self.check.judge_results(results)
    }

    /// The same within its budget, for windows that are so many milliseconds apart: a subject counts for certain that blocks in `held`, the other rule's
    /// results within this rule's budget, which its subjects share.
    #[must_use]
    pub fn judge_results_within(&self, budget: Budget, results: &[Judged], held: &[Judged], slide_ms: i64) -> Judged {
        let mut judged = self.check.judge_results(results);
        let certain = self.check.certain_of_results(held);
        budget::hold(budget.alpha(slide_ms, 1), &[certain], std::slice::from_mut(&mut judged));
        judged
    }
}
