//! Gaps and ratios between segments of errors of predicted numbers, and of the balanced accuracy of several classes.

use super::super::counts::{SegmentsOf, WindowCounts};
use super::super::definition::Definition;
use super::super::names::PolicyNames;
use super::super::result::Certain;
use super::amounts::{ComparedAmounts, Comparing, SegmentAmount};
use super::certain::SegmentBounds;
use crate::stats::limit::Amount;
use crate::stats::multiclass::{ByClass as Counts, OneClass};
use crate::stats::regression::{ErrorMetric, Errors};
use crate::yaml::{Map, units};

/// The metric of `of` of a policy whose labels are numbers; the inner `None` of another one.
#[expect(clippy::option_option, reason = "the outer is the reader's, the inner the task's")]
pub(super) fn read(name: &str, definition: &Definition, map: &Map, names: &PolicyNames) -> Option<Option<ErrorMetric>> {
    let place = || map.get("of").unwrap_or_else(|| map.item().clone());
    let metric = ErrorMetric::named(name);
    match (metric, names.has_number_labels) {
        (None, false) => Some(None),
        (None, true) => place().fail(format!(
            "{name} is a metric of classes, and labels are numbers with `task: regression`: write one of mae, rmse, mean_error, mape or r2"
        )),
        (Some(_), false) => {
            place().fail(format!("{name} is a metric of predicted numbers: write `task: regression` at the top"))
        }
        (Some(ErrorMetric::MeanError | ErrorMetric::R2), true) if definition.name == "ratio" => place().fail(format!(
            "{name} may be below 0, so it has no ratio: write `gap: {{of: {name}, …}}`, or compare {}",
            units::quote("mae")
        )),
        (Some(metric), true) => Some(Some(metric)),
    }
}

/// The segments of a window by a metric of their errors.
pub(super) fn segments<'w>(
    window: &'w dyn WindowCounts,
    by: usize,
    name: &'static str,
    metric: ErrorMetric,
) -> ComparedAmounts<'w> {
    let counts = window.error_segments(by);
    let of = |of: &(&'w str, Errors)| amount(metric, of);
    let unit = if metric == ErrorMetric::Mape { "labels that are not 0" } else { "labelled predictions" };
    ComparedAmounts {
        subject: window.segmentation(by),
        metric: name,
        unit,
        high_is_good: metric.high_is_good(),
        each: counts.each.iter().map(of).collect(),
        reference: counts.reference.map(|each| each.iter().map(of).collect()),
        unsegmented: counts.unsegmented,
    }
}

/// The segments of a window by the balanced accuracy: of each the mean recall over the classes that a label names. A segment is as large as its
/// rarest class.
pub(super) fn balanced(window: &dyn WindowCounts, by: usize) -> ComparedAmounts<'_> {
    let counts = window.class_segments(by);
    ComparedAmounts {
        subject: window.segmentation(by),
        metric: "balanced_accuracy",
        unit: "labels of every class",
        high_is_good: Some(true),
        each: counts.each.iter().map(recall).collect(),
        reference: counts.reference.map(|each| each.iter().map(recall).collect()),
        unsegmented: counts.unsegmented,
    }
}

/// Where a gap or a ratio of a metric of errors lies at a level.
pub(super) fn certain(
    window: &dyn WindowCounts,
    by: usize,
    metric: ErrorMetric,
    comparing: &Comparing<'_>,
    alpha: f64,
) -> Option<Certain> {
    let effect = window.design_effect(None);
    let bounds = |errors: &Errors, alpha: f64| metric.interval(errors, effect, alpha);
    certain_by(&window.error_segments(by), |of| amount(metric, of), &bounds, comparing, alpha)
}

/// The same of the balanced accuracy of several classes.
pub(super) fn certain_balanced(
    window: &dyn WindowCounts,
    by: usize,
    comparing: &Comparing<'_>,
    alpha: f64,
) -> Option<Certain> {
    let effect = window.design_effect(None);
    let bounds = |counts: &Counts, alpha: f64| counts.balanced_accuracy_bounds(effect, alpha);
    certain_by(&window.class_segments(by), recall, &bounds, comparing, alpha)
}

/// The same of what each segment comes to, and where that lies at a level.
fn certain_by<'c, T, B: Fn(&T, f64) -> Option<(f64, f64)>>(
    counts: &'c SegmentsOf<'c, T>,
    amount: impl Fn(&(&'c str, T)) -> SegmentAmount<'c>,
    bounds: &'c B,
    comparing: &Comparing<'_>,
    alpha: f64,
) -> Option<Certain> {
    let side = |each: &'c [(&'c str, T)]| {
        let of = |of: &'c (&'c str, T)| (amount(of), Box::new(move |alpha| bounds(&of.1, alpha)) as SegmentBounds<'c>);
        comparing.sides(each.iter().map(of))
    };
    comparing.certain(&side(&counts.each), counts.reference.as_deref().map(side).as_ref(), alpha)
}

/// A segment's metric of its errors.
fn amount<'n>(metric: ErrorMetric, (name, errors): &(&'n str, Errors)) -> SegmentAmount<'n> {
    SegmentAmount { name, n: metric.samples(errors), value: metric.value(errors) }
}

/// A segment's balanced accuracy by its counts of each class.
fn recall<'n>((name, counts): &(&'n str, Counts)) -> SegmentAmount<'n> {
    let rarest = counts.0.iter().map(OneClass::labelled).min().unwrap_or(0);
    SegmentAmount { name, n: rarest, value: counts.balanced_accuracy().map(Amount::Float) }
}
