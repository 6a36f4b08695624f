//! Distances of a window's distribution from the training snapshot's: PSI, p-values of KS and chi-square tests, the safe KS
//! bound. Counts come from the predictions, or from the features stream where the predictions do not carry the feature.

mod bound;
pub mod chance;
pub mod lcb;
pub mod limited;
mod test;

use super::alarms::Simulation;
use super::binning::Binning;
use super::by_segment::BY;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::forms::{BINS, binning};
use super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::options::subjects;
use super::result::{Certain, Judged, enough};
use super::shown;
use super::types::{Bound, Correction, Side, Status, Subject, Target};
use crate::codec::number::number;
use crate::stats::bounds::Parts;
use crate::stats::chi2::sparse;
use crate::stats::limit::Limit;
use crate::stats::psi::{CHANCE, Zero, expected_null, is_within_chance, method_of, psi};
use crate::yaml::{Item, units};
use chance::{ALPHA, FLOOR, PsiLimit, note};

const OTHER_FORM: &str = "it is not computed for a limit of this form";

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 2] = [&PSI, &KS_P];

const BASE: Definition = Definition {
    name: "",
    documentation: "",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Distributions,
    baseline: Reference::Snapshot,
    minimum: Minimum::Samples,
    limit: LimitForm::Usual(Side::Lte),
    bounds: Bounds::Rate,
    example: "0.01",
    values: Values::Fraction,
    options: &[],
    recorded_as: None,
    parse: |_, _, _| None,
};

static PSI: Definition = Definition {
    name: "psi",
    documentation: "The population stability index over quantile bins of the training values (categories by themselves, unseen ones \
        together): Σ (p − q)·ln(p/q). `expected_null` in the result is what PSI is on average without drift at this size of window. A \
        limit below what PSI exceeds once in a thousand windows without drift, (1/n + 1/m)·χ²(bins − 1), has the `reason` \"the limit is \
        within chance at this n\".",
    limit: LimitForm::Usual(Side::Lt),
    bounds: Bounds::AboveZero,
    example: "0.2",
    values: Values::FromZero,
    options: &[ALPHA, FLOOR, BINS, ZERO, BY, VERSUS, MIN_SAMPLES],
    recorded_as: Some("drift_psi"),
    parse: |definition, map, names| {
        let of = subjects(map, names, definition);
        let bins = binning(map);
        let zero = map.get(ZERO.key).map_or(Some(Zero::Half), |item| zero(&item));
        let least = MIN_SAMPLES.optional_whole(map);
        Some(RuleKind::new(Psi { of: of?, bins: bins?, zero: zero?, min_samples: least? }))
    },
    ..BASE
};
const ZERO: Opt = Opt {
    key: "zero",
    takes: Takes::Text {
        wanted: "`half`, or `floor:` and a number above 0 and below 0.5",
        pattern: "^(half|floor:.+)$",
    },
    default: "half",
    documentation: "What an empty bin counts as: half an event (`half`), or a share of at least so much (`\"floor:1e-4\"`).",
};

/// PSI of each subject against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Psi {
    pub of: Vec<Subject<PsiLimit>>,
    pub bins: Binning,
    pub zero: Zero,
    pub min_samples: Option<u64>,
}

fn zero(item: &Item) -> Option<Zero> {
    if item.is_map() {
        // In braces `floor:1e-4` with a space after the colon is a mapping.
        return item.fail(
            "expected `half` or `floor:` and a number, read a mapping: write \"floor:1e-4\" in quotes, without a space",
        );
    }
    let text = item.text("`half` or `floor:` and a number, like \"floor:1e-4\"")?;
    if text == "half" {
        return Some(Zero::Half);
    }
    let Some(floor) = text.strip_prefix("floor:") else {
        return item.fail(format!(
            "expected `half` or `floor:` and a number, read {}: write half, or \"floor:1e-4\"",
            units::quote(text)
        ));
    };
    match units::number(floor.trim()) {
        Ok(floor) if floor > 0.0 && floor < 0.5 => Some(Zero::Floor(floor)),
        Ok(_) => item
            .fail(format!("expected a floor above 0 and below 0.5, read {}: write \"floor:1e-4\"", units::quote(text))),
        Err(message) => item.fail(message),
    }
}

impl Check for Psi {
    fn definition(&self) -> &'static Definition {
        &PSI
    }

    fn reads(&self) -> Vec<Read> {
        distributions(&self.of).chain([Read::Bins(self.bins.clone())]).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| subject.limit.bound()).collect()
    }

    fn floor(&self, at: usize) -> Option<Bound> {
        if let PsiLimit::Written(limits) = self.of.get(at)?.limit { limits.floor() } else { None }
    }

    fn is_by_chance(&self) -> bool {
        self.of.iter().any(|subject| matches!(subject.limit, PsiLimit::Chance(_)))
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| self.judge_one(window, subject)).collect()
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let of = |subject: &Subject<PsiLimit>| {
            let c = window.distribution(subject.target)?;
            let binned = window.binned(subject.target, &self.bins, c.cells);
            let ends = bound::over_bins(Parts::Psi, window, &binned, alpha)?;
            subject.limit.certain(ends, (c.n, c.reference_n), binned.reference.len())
        };
        self.of.iter().map(of).collect()
    }

    fn simulation(&self) -> Simulation {
        let limit = |subject: &Subject<PsiLimit>| match subject.limit {
            PsiLimit::Written(limits) => Some((subject.target, limits.upper()?.value())),
            PsiLimit::Chance(_) => None,
        };
        match (self.of.iter().map(limit).collect(), &self.bins) {
            (Some(of), Binning::Quantile(bins)) => Simulation::Psi { of, bins: *bins, zero: self.zero },
            (Some(_), _) => Simulation::Unknown("how full bins are that are no quantiles depends on the snapshot"),
            (None, _) => Simulation::Unknown(
                "with `alpha` a window blocks with that probability; a limit of another form is not simulated",
            ),
        }
    }
}

impl Psi {
    fn judge_one(&self, window: &dyn WindowCounts, subject: &Subject<PsiLimit>) -> Judged {
        let target = subject.target;
        let Some(c) = window.distribution(target) else { return shown::absent(window, target) };
        let binned = window.binned(target, &self.bins, c.cells);
        let value = psi(&binned.reference, &binned.window, self.zero);
        let all = binned.reference.len();
        let (found, limit) = subject.limit.judge(value, (c.n, c.reference_n), all);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(c.n, least, found, |(status, why)| match subject.limit {
            PsiLimit::Written(limits) => {
                let within = |value| is_within_chance(value, c.n, c.reference_n, all, CHANCE);
                (status, note(why, limits, within))
            }
            PsiLimit::Chance(_) => (status, why),
        });
        let (status, reason) = shown::against(window, c.reference_n, judged);
        let method = shown::bins_of(&c.reference, &self.bins);
        let mut evidence = vec![
            ("limit", limit),
            ("method", method_of(&method, self.zero).into()),
            ("expected_null", number(expected_null(c.n, c.reference_n, all))),
        ];
        let sparse = sparse(&binned.reference, &binned.window);
        evidence.extend((sparse > 0).then(|| ("sparse", sparse.into())));
        evidence.extend(shown::tail(&c));
        let bins = Some(shown::beside(&c, &binned));
        if status != Status::Pass {
            evidence.extend(shown::unseen(window, target));
        }
        Judged { subject: window.target(target).to_owned(), status, value, evidence, reason, bins }
    }
}

static KS_P: Definition = Definition {
    name: "ks_p",
    documentation: "The p-value of a two-sample Kolmogorov–Smirnov test against the training values; for categories, and for numbers with \
        few distinct values, of Pearson's chi-square test on their bins. It blocks below the limit. Categories that are expected fewer \
        than five times are added up (`pooled`). A large window finds shifts that do not matter: `min_effect`.",
    limit: LimitForm::Usual(Side::Gte),
    bounds: Bounds::PValue,
    options: &[CORRECTION, MIN_EFFECT, BY, VERSUS, MIN_SAMPLES],
    recorded_as: Some("drift_ks_p"),
    parse: |definition, map, names| {
        let of = subjects(map, names, definition);
        let correction =
            CORRECTION.word(map, &[Correction::None, Correction::Bonferroni, Correction::Holm, Correction::Bh]);
        let min_effect = MIN_EFFECT.limit(map);
        let least = MIN_SAMPLES.optional_whole(map);
        let (of, correction, min_effect, min_samples) = (of?, correction?, min_effect?, least?);
        Some(RuleKind::new(KsP { of, correction, min_effect, min_samples }))
    },
    ..BASE
};
const CORRECTION: Opt = Opt {
    key: "correction",
    takes: Takes::Words(&["none", "bonferroni", "holm", "bh"]),
    default: "none",
    documentation: "Corrects the p-values of the rule's subjects for their number: Bonferroni's method, Holm's (never weaker), or Benjamini and Hochberg's.",
};
const MIN_EFFECT: Opt = Opt {
    key: "min_effect",
    takes: Takes::Number { wanted: "a D from 0 to below 1", bounds: &[("minimum", 0.0), ("exclusiveMaximum", 1.0)] },
    default: "0",
    documentation: "A distance D (Cramér's V of a chi-square test) below this passes, whatever its p-value.",
};

/// The p-value of each subject against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct KsP {
    pub of: Vec<Subject<Limits>>,
    pub correction: Correction,
    pub min_effect: Limit,
    pub min_samples: Option<u64>,
}

impl Check for KsP {
    fn definition(&self) -> &'static Definition {
        &KS_P
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
        self.judge_all(window)
    }

    fn certain(&self, window: &dyn WindowCounts, judged: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let of = |(of, judged): (&Subject<Limits>, &Judged)| Some(bound::of_p(window, of, judged.value?, alpha));
        self.of.iter().zip(judged).map(of).collect()
    }

    fn simulation(&self) -> Simulation {
        let (correction, min_effect) = (self.correction, self.min_effect.value());
        match limits(&self.of, Limits::lower) {
            Some(of) => Simulation::Test { of, correction, min_effect },
            None => Simulation::Unknown(OTHER_FORM),
        }
    }
}

fn distributions<L>(of: &[Subject<L>]) -> impl Iterator<Item = Read> + '_ {
    of.iter().map(|subject| Read::Distribution(subject.target))
}

/// The limits on one side, where all are on it.
fn limits(of: &[Subject<Limits>], side: impl Fn(&Limits) -> Option<Limit>) -> Option<Vec<(Target, f64)>> {
    of.iter().map(|subject| Some((subject.target, side(&subject.limit)?.value()))).collect()
}
