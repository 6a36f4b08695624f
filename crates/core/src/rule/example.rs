//! A rule as CONTRIBUTING describes adding one, compiled and judged with the tests and in no family: `range_ratio`, the share of
//! a numeric feature's values that lie outside the training range. A copy of the part above the tests, in the family's file,
//! with `&RANGE_RATIO` in its `RULES`, is all that a rule takes.

use super::alarms::Simulation;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::options::subjects;
use super::result::{Judged, at_most, bounded, enough, limit};
use super::shown;
use super::types::{Bound, Side, Subject};
use crate::stats::limit::Limit;
use crate::stats::ratio::Ratio;

static RANGE_RATIO: Definition = Definition {
    name: "range_ratio",
    documentation: "The share of measured values that lie below the smallest or above the largest value in the snapshot; `below` and \
        `above` count them. Missing and invalid values are no part of it.",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Features { categorical: false },
    baseline: Reference::Snapshot,
    // Values that were measured; a share of all events has `Minimum::Events`, and is judged by `enough_events`.
    minimum: Minimum::Samples,
    limit: LimitForm::AtMost("lte"),
    bounds: Bounds::Rate,
    example: "0.01",
    values: Values::Fraction,
    options: &[],
    // As promotion records call the metric, where they call it otherwise.
    recorded_as: None,
    parse: |definition, map, names| Some(RuleKind::new(RangeRatio { of: subjects(map, names, definition)? })),
};

/// Blocks above the limit (`lte`).
#[derive(Clone, Debug, PartialEq)]
struct RangeRatio {
    of: Vec<Subject<Limit>>,
}

impl Check for RangeRatio {
    fn definition(&self) -> &'static Definition {
        &RANGE_RATIO
    }

    fn reads(&self) -> Vec<Read> {
        self.of.iter().map(|subject| Read::Distribution(subject.target)).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| bounded(Side::Lte, subject.limit)).collect()
    }

    // The flag says that the rule asks for a breach that lasts (`for`); few rules are judged otherwise then.
    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| range_ratio(window, subject)).collect()
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how many values lie outside depends on how many rows the snapshot has")
    }
}

fn range_ratio(window: &dyn WindowCounts, subject: &Subject<Limit>) -> Judged {
    let Some(c) = window.distribution(subject.target) else { return shown::absent(window, subject.target) };
    let outside = c.outside();
    let ratio = outside.and_then(|(below, above)| Ratio::of_counts(below + above, c.n));
    let value = ratio.map(Ratio::value);
    let judged = enough(c.n, window.min_samples(), ratio, |v| at_most(v, subject.limit));
    // Insufficient where the snapshot has too few values.
    let (status, reason) = shown::against(window, c.reference_n, judged);
    let mut evidence = vec![("limit", limit("lte", subject.limit))];
    if let Some((below, above)) = outside {
        evidence.extend([("below", below.into()), ("above", above.into())]);
    }
    evidence.extend(shown::tail(&c));
    Judged { subject: window.target(subject.target).to_owned(), status, value, evidence, reason, bins: None }
}

mod tests {
    use super::super::counts::{
        Binned, Cells, Distribution, KpiCounts, MeasuredValue, QualityCounts, Segments, TargetReference,
    };
    use super::super::types::{Aggregate, Status, Target};
    use super::*;

    /// A window with the counts of one numeric feature.
    struct OneFeature {
        cells: Vec<u64>,
        reference: Vec<u64>,
    }

    impl WindowCounts for OneFeature {
        fn min_samples(&self) -> u64 {
            5
        }

        fn min_reference(&self) -> u64 {
            5
        }

        fn slide(&self) -> i64 {
            60_000
        }

        fn design_effect(&self, written: Option<f64>) -> f64 {
            written.unwrap_or(1.0)
        }

        fn labels_may_come(&self) -> bool {
            false
        }

        fn target(&self, _: Target) -> &'static str {
            "amount"
        }

        fn distribution(&self, _: Target) -> Option<Distribution<'_>> {
            Some(Distribution {
                cells: &self.cells,
                n: self.cells.iter().sum(),
                missing: 1,
                invalid: 0,
                reference_n: self.reference.iter().sum(),
                reference_missing: 0,
                reference: TargetReference::Numeric { cells: &self.reference, discrete: false },
            })
        }

        fn binned(&self, _: Target, _: usize, _: &[u64]) -> Binned {
            Binned::default()
        }

        fn points(&self, _: Target) -> &[f64] {
            &[]
        }

        fn deviation(&self, _: Target) -> Option<f64> {
            None
        }

        fn unseen(&self, _: Target) -> Option<Vec<u64>> {
            None
        }

        fn unseen_names(&self, _: Target) -> Vec<(u64, &str)> {
            Vec::new()
        }

        fn segments(&self, _: usize, _: bool) -> Segments<'_> {
            Segments { name: "", each: Vec::new(), unsegmented: 0, reference: None }
        }

        fn score_by_label(&self) -> Option<[&[u64]; 2]> {
            None
        }

        fn reference_score_by_label(&self) -> Option<[&[u64]; 2]> {
            None
        }

        fn quality(&self) -> QualityCounts<'_> {
            QualityCounts::default()
        }

        fn latency(&self) -> Cells<'_> {
            Cells { cells: &[], missing: 0, invalid: 0 }
        }

        fn errors(&self) -> Cells<'_> {
            Cells { cells: &[], missing: 0, invalid: 0 }
        }

        fn kpi(&self, _: usize) -> KpiCounts<'_> {
            unreachable!("no rule here reads a KPI")
        }

        fn measured(&self, _: usize, _: Aggregate) -> MeasuredValue<'_> {
            MeasuredValue::default()
        }
    }

    fn judged(cells: &[u64], reference: &[u64]) -> (Status, Option<f64>) {
        let rule = RangeRatio { of: vec![Subject { target: Target::Numeric(0), limit: Limit::HALF }] };
        let found = rule.judge(&OneFeature { cells: cells.to_vec(), reference: reference.to_vec() }, false);
        let [Judged { status, value, .. }] = found.as_slice() else { panic!("one subject has one result") };
        (*status, *value)
    }

    #[test]
    fn values_outside_the_training_range_are_a_share_of_those_measured() {
        let reference = [0, 3, 0, 4, 0];
        assert_eq!(judged(&[2, 3, 1, 1, 3], &reference), (Status::Pass, Some(0.5)));
        assert_eq!(judged(&[3, 3, 1, 0, 3], &reference), (Status::Block, Some(0.6)));
        assert_eq!(judged(&[1, 0, 0, 0, 1], &reference), (Status::Insufficient, Some(1.0)), "too few values");
        assert_eq!(judged(&[9], &[0]), (Status::Insufficient, None), "a snapshot without a value has no range");
    }
}
