//! A rule as CONTRIBUTING describes adding one, compiled and judged with the tests and in no family: `example_outside`, the share of
//! a numeric feature's values that lie outside the training range. A copy of the part above the tests, in the family's file,
//! with `&EXAMPLE_OUTSIDE` in its `RULES`, is all that a rule takes.

use super::alarms::Simulation;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Limits, MIN_SAMPLES};
use super::options::subjects;
use super::result::{Judged, enough};
use super::shown;
use super::types::{Bound, Side, Subject};
use crate::stats::ratio::Ratio;

static EXAMPLE_OUTSIDE: Definition = Definition {
    name: "example_outside",
    documentation: "The share of measured values that lie below the smallest or above the largest value in the snapshot; `below` and \
        `above` count them. Missing and invalid values are no part of it.",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Features { categorical: false },
    baseline: Reference::Snapshot,
    // Values that were measured; a share of all events has `Minimum::Events`, and is judged by `enough_events`.
    minimum: Minimum::Samples,
    // `lt`, `lte`, `gt`, `gte` or `between`, each with `warn`; the reference shows it with `lt`.
    limit: LimitForm::Usual(Side::Lt),
    bounds: Bounds::Rate,
    example: "0.01",
    values: Values::Fraction,
    options: &[MIN_SAMPLES],
    // As promotion records call the metric, where they call it otherwise.
    recorded_as: None,
    parse: |definition, map, names| {
        // Both are read before either fails, so that all errors are told together.
        let (of, min_samples) = (subjects(map, names, definition), MIN_SAMPLES.optional_whole(map));
        Some(RuleKind::new(ExampleOutside { of: of?, min_samples: min_samples? }))
    },
};

/// A share of the values that were measured, with a limit of its own for each subject.
#[derive(Clone, Debug, PartialEq)]
struct ExampleOutside {
    of: Vec<Subject<Limits>>,
    min_samples: Option<u64>,
}

impl ExampleOutside {
    fn judge_one(&self, window: &dyn WindowCounts, subject: &Subject<Limits>) -> Judged {
        let Some(c) = window.distribution(subject.target) else { return shown::absent(window, subject.target) };
        let outside = c.outside();
        let ratio = outside.and_then(|(below, above)| Ratio::of_counts(below + above, c.n));
        let judged = enough(c.n, self.min_samples.unwrap_or_else(|| window.min_samples()), ratio, |value| {
            subject.limit.status(value)
        });
        // Insufficient where the snapshot has too few values.
        let (status, reason) = shown::against(window, c.reference_n, judged);
        let mut evidence = vec![("limit", subject.limit.evidence())];
        if let Some((below, above)) = outside {
            evidence.extend([("below", below.into()), ("above", above.into())]);
        }
        evidence.extend(shown::tail(&c));
        let value = ratio.map(Ratio::value);
        Judged { subject: window.target(subject.target).to_owned(), status, value, evidence, reason, bins: None }
    }
}

impl Check for ExampleOutside {
    fn definition(&self) -> &'static Definition {
        &EXAMPLE_OUTSIDE
    }

    fn reads(&self) -> Vec<Read> {
        self.of.iter().map(|subject| Read::Distribution(subject.target)).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| subject.limit.bound()).collect()
    }

    fn floor(&self, at: usize) -> Option<Bound> {
        self.of.get(at)?.limit.floor()
    }

    // The flag says that the rule asks for a breach that lasts (`for`); few rules are judged otherwise then.
    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| self.judge_one(window, subject)).collect()
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how many values lie outside depends on how many rows the snapshot has")
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Region;
    use super::super::stub::OneFeature;
    use super::super::types::{Status, Target};
    use super::*;
    use crate::stats::limit::Limit;

    fn judged(cells: &[u64], reference: &[u64]) -> (Status, Option<f64>) {
        // Below 0.5, or at it: `lte: 0.5`.
        let limit = Limits { region: Region::Side(Side::Lte, Limit::HALF), warn: None };
        let rule = ExampleOutside { of: vec![Subject { target: Target::Numeric(0), limit }], min_samples: None };
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
