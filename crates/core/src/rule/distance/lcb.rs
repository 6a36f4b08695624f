//! `ks_lcb`: a lower bound of the Kolmogorov–Smirnov distance for a budget of false blocks per day.

use super::super::alarms::Simulation;
use super::super::binning::DECILES;
use super::super::budget::Budget;
use super::super::by_segment::BY;
use super::super::certain;
use super::super::counts::{TargetReference, WindowCounts};
use super::super::definition::{Check, Definition, Opt, Read, RuleKind, Subjects, Takes};
use super::super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::super::names::PolicyNames;
use super::super::options::{DESIGN_EFFECT, subjects};
use super::super::result::{Certain, Judged, enough, real};
use super::super::shown;
use super::super::types::{Bound, Status, Subject};
use super::{BASE, OTHER_FORM, bound, distributions, limits};
use crate::codec::number::number;
use crate::stats::ks;

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

/// The rule of this file.
pub(crate) static RULES: [&Definition; 1] = [&KS_LCB];

static KS_LCB: Definition = Definition {
    name: "ks_lcb",
    documentation: "A lower bound of the Kolmogorov–Smirnov distance D from the training values (DKW–Massart bands of window and \
        snapshot), such that all windows of a day and all subjects together block without drift with a probability of at most `budget`.",
    subjects: Subjects::Numbers,
    example: "0.05",
    options: &[BUDGET, DESIGN_EFFECT, BY, VERSUS, MIN_SAMPLES],
    parse: |definition, map, names: &mut PolicyNames| {
        let of = subjects(map, names, definition);
        let (budget, design_effect) = (Budget::daily(&BUDGET, map), DESIGN_EFFECT.optional_number(map));
        let least = MIN_SAMPLES.optional_whole(map);
        let (of, budget, design_effect, min_samples) = (of?, budget?, design_effect?, least?);
        Some(RuleKind::new(KsLcb { of, budget, design_effect, min_samples }))
    },
    ..BASE
};
const BUDGET: Opt = Opt {
    key: "budget",
    takes: Takes::Daily,
    default: "0.01",
    documentation: "The probability of a false block per day, over all subjects and windows.",
};

/// The bound of each subject against its limit; `budget` is the false-block probability per day, `design_effect` is φ: what `unit` gives
/// unless it is written, or 1.
#[derive(Clone, Debug, PartialEq)]
pub struct KsLcb {
    pub of: Vec<Subject<Limits>>,
    pub budget: f64,
    pub design_effect: Option<f64>,
    pub min_samples: Option<u64>,
}

impl Check for KsLcb {
    fn definition(&self) -> &'static Definition {
        &KS_LCB
    }

    fn reads(&self) -> Vec<Read> {
        distributions(&self.of).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| subject.limit.bound()).collect()
    }

    fn floor(&self, at: usize) -> Option<Bound> {
        self.of.get(at)?.limit.floor()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let effect = window.design_effect(self.design_effect);
        self.of.iter().map(|subject| self.judge_one(window, subject, effect)).collect()
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let effect = window.design_effect(self.design_effect);
        let of = |subject: &Subject<Limits>| {
            Some(certain::of(&subject.limit, bound::within_bands(bound::of_ks(window, subject.target, effect, alpha)?)))
        };
        self.of.iter().map(of).collect()
    }

    fn simulation(&self) -> Simulation {
        let (budget, design_effect) = (self.budget, self.design_effect);
        match limits(&self.of, Limits::upper) {
            Some(of) => Simulation::DistanceBound { of, budget, design_effect },
            None => Simulation::Unknown(OTHER_FORM),
        }
    }

    fn design_effect(&self) -> Option<Option<f64>> {
        Some(self.design_effect)
    }
}

impl KsLcb {
    fn judge_one(&self, window: &dyn WindowCounts, subject: &Subject<Limits>, design_effect: f64) -> Judged {
        let target = subject.target;
        let Some(c) = window.distribution(target) else { return shown::absent(window, target) };
        let TargetReference::Numeric { .. } = c.reference else {
            let why = "a category has no KS distance: leave it out of ks_lcb";
            return Judged::insufficient(window.target(target), why);
        };
        let distance = window.ks(target, &c);
        let features = real(self.of.len() as u64 * window.comparisons());
        #[allow(clippy::cast_precision_loss, reason = "a slide is far below 2^53 ms")]
        let evaluations = (DAY_MS / window.slide() as f64).max(1.0);
        let (of_window, of_reference) = (self.budget / (features * evaluations), self.budget / features);
        let bound = distance.as_ref().map(|d| ks::lcb(d.d_lo, d.n, d.m, of_window, of_reference, design_effect));
        let value = bound.as_ref().map(|b| b.lcb);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(c.n, least, value, |v| subject.limit.status(v));
        let (status, reason) = shown::against(window, c.reference_n, judged);
        let mut evidence = vec![
            ("d", number(distance.as_ref().map(|d| d.d_lo))),
            ("d_hi", number(distance.as_ref().map(|d| d.d_hi))),
            ("band_window", number(bound.as_ref().map(|b| b.window))),
            ("band_reference", number(bound.as_ref().map(|b| b.reference))),
            ("method", "dkw-massart".into()),
            ("limit", subject.limit.evidence()),
        ];
        evidence.extend((design_effect > 1.0).then(|| ("design_effect", number(Some(design_effect)))));
        evidence.extend(shown::tail(&c));
        let bins = (status != Status::Pass).then(|| shown::beside(&c, &window.binned(target, &DECILES, c.cells)));
        Judged { subject: window.target(target).to_owned(), status, value, evidence, reason, bins }
    }
}
