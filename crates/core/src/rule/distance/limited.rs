//! Distances that have a limit themselves: D of Kolmogorov and Smirnov, Jensen–Shannon, Hellinger, the largest difference of shares,
//! Wasserstein. They are descriptive: how often chance alone reaches a limit depends on n, and `ks_p`, `ks_lcb` and `psi` say it.

use serde_json::Value;

use super::super::alarms::Simulation;
use super::super::binning::{Binning, DECILES};
use super::super::by_segment::BY;
use super::super::certain;
use super::super::counts::{Distribution, TargetReference, WindowCounts};
use super::super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::super::forms::{BINS, binning};
use super::super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::super::options::subjects;
use super::super::result::{Certain, Judged, enough};
use super::super::shown;
use super::super::types::{Bound, Status, Subject, Target};
use super::bound::{self, of_ks};
use crate::codec::number::number;
use crate::stats::bounds::Parts;
use crate::stats::distance::{hellinger, jensen_shannon, largest_difference};
use crate::stats::limit::Amount;
use crate::stats::wasserstein::within_range;

/// The rules of this family, in the order of the reference.
pub(crate) static RULES: [&Definition; 5] = [&KS, &JS, &HELLINGER, &L_INF, &WASSERSTEIN];

const BASE: Definition = Definition {
    name: "",
    documentation: "",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Distributions,
    baseline: Reference::Snapshot,
    minimum: Minimum::Samples,
    limit: LimitForm::Band,
    bounds: Bounds::Rate,
    example: "0.1",
    values: Values::Fraction,
    options: &[BINS, BY, VERSUS, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, names| {
        let of = subjects(map, names, definition);
        let metric = match definition.name {
            "ks" => Some(Metric::Ks),
            "wasserstein" => Some(Metric::Wasserstein),
            _ => binning(map).map(|bins| match definition.name {
                "js" => Metric::JensenShannon(bins),
                "hellinger" => Metric::Hellinger(bins),
                _ => Metric::LInf(bins),
            }),
        };
        let min_samples = MIN_SAMPLES.optional_whole(map);
        Some(RuleKind::new(Distance { metric: metric?, of: of?, min_samples: min_samples? }))
    },
};

static KS: Definition = Definition {
    name: "ks",
    documentation: "The two-sample Kolmogorov–Smirnov distance D from the training values: the largest difference of the distribution \
        functions, whatever its p-value. Where values lie between the points of the grid, `d` and `d_hi` enclose D, and `d` is the value.",
    subjects: Subjects::Numbers,
    options: &[BY, VERSUS, MIN_SAMPLES],
    ..BASE
};
static JS: Definition = Definition {
    name: "js",
    documentation: "The Jensen–Shannon distance, base 2, over quantile bins of the training values (categories by themselves, unseen ones \
        together): √(½·Σ p·log2(p/m) + ½·Σ q·log2(q/m)) with m = (p + q)/2, from 0 to 1. Empty bins need no rule.",
    ..BASE
};
static HELLINGER: Definition = Definition {
    name: "hellinger",
    documentation: "The Hellinger distance over the bins of `js`: √(1 − Σ √(p·q)), from 0 to 1.",
    ..BASE
};
static L_INF: Definition = Definition {
    name: "l_inf",
    documentation: "The largest difference of a bin's share from its share in training, over the bins of `js`: max |p − q|, from 0 to 1.",
    ..BASE
};
static WASSERSTEIN: Definition = Definition {
    name: "wasserstein",
    documentation: "The Wasserstein-1 distance from the training values in their standard deviations: ∫ |F_training − F_window| over the \
        training range, values outside of it moved to its ends. Values between the points of the grid leave it open: `lower` and `upper` \
        enclose it, and `lower` is the value. They meet where every value of window and training is a grid point, and are near each other \
        with `features: {grid: {points: exact}}`.",
    subjects: Subjects::Numbers,
    bounds: Bounds::AboveZero,
    values: Values::FromZero,
    options: &[BY, VERSUS, MIN_SAMPLES],
    ..BASE
};

/// Which distance; of those over bins with these.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    Ks,
    JensenShannon(Binning),
    Hellinger(Binning),
    LInf(Binning),
    Wasserstein,
}

impl Metric {
    fn bins(&self) -> Option<&Binning> {
        match self {
            Self::JensenShannon(bins) | Self::Hellinger(bins) | Self::LInf(bins) => Some(bins),
            Self::Ks | Self::Wasserstein => None,
        }
    }
}

/// A distance of each subject against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Distance {
    pub metric: Metric,
    pub of: Vec<Subject<Limits>>,
    pub min_samples: Option<u64>,
}

/// A distance, and what stands beside it.
struct Found {
    value: Option<Amount>,
    evidence: Vec<(&'static str, Value)>,
}

impl Distance {
    fn found(&self, window: &dyn WindowCounts, target: Target, c: &Distribution<'_>) -> Found {
        let on_bins = |of: fn(&[u64], &[u64]) -> Option<Amount>| {
            let bins = self.metric.bins().unwrap_or(&DECILES);
            let binned = window.binned(target, bins, c.cells);
            let method = shown::bins_of(&c.reference, bins);
            Found { value: of(&binned.reference, &binned.window), evidence: vec![("method", method.into())] }
        };
        match &self.metric {
            Metric::Ks => ks_distance(window, target, c),
            Metric::Wasserstein => moved(window, target, c),
            Metric::JensenShannon(_) => on_bins(|r, w| jensen_shannon(r, w).map(Amount::Float)),
            Metric::Hellinger(_) => on_bins(|r, w| hellinger(r, w).map(Amount::Float)),
            Metric::LInf(_) => on_bins(|r, w| largest_difference(r, w).map(Amount::Exact)),
        }
    }

    fn judge_one(&self, window: &dyn WindowCounts, subject: &Subject<Limits>) -> Judged {
        let target = subject.target;
        let Some(c) = window.distribution(target) else { return shown::absent(window, target) };
        let found = self.found(window, target, &c);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(c.n, least, found.value, |value| subject.limit.status(value));
        let (status, reason) = shown::against(window, c.reference_n, judged);
        let mut evidence = found.evidence;
        evidence.push(("limit", subject.limit.evidence()));
        evidence.extend(shown::tail(&c));
        let bins = self.metric.bins();
        let shows = bins.is_some() || status != Status::Pass;
        let bins = shows.then(|| shown::beside(&c, &window.binned(target, bins.unwrap_or(&DECILES), c.cells)));
        if status != Status::Pass {
            evidence.extend(shown::unseen(window, target));
        }
        let value = found.value.map(Amount::value);
        Judged { subject: window.target(target).to_owned(), status, value, evidence, reason, bins }
    }
}

fn ks_distance(window: &dyn WindowCounts, target: Target, c: &Distribution<'_>) -> Found {
    let distance = window.ks(target, c);
    Found {
        value: distance.as_ref().map(|d| d.exact().map_or(Amount::Float(d.d_lo), Amount::Exact)),
        evidence: vec![
            ("d", number(distance.as_ref().map(|d| d.d_lo))),
            ("d_hi", number(distance.as_ref().map(|d| d.d_hi))),
        ],
    }
}

/// The least and the most that the Wasserstein distance can be, in standard deviations of the training values.
fn moved_between(window: &dyn WindowCounts, target: Target, c: &Distribution<'_>) -> Option<(f64, f64)> {
    let TargetReference::Numeric { cells, .. } = c.reference else { return None };
    let integral = within_range(window.points(target), window.range(target)?, cells, c.cells)?;
    let deviation = spread(window, target)?;
    let ends = (integral.lower / deviation, integral.upper / deviation);
    Some(ends).filter(|(lower, upper)| lower.is_finite() && upper.is_finite())
}

/// The standard deviation of the training values; a constant feature has none to measure by.
fn spread(window: &dyn WindowCounts, target: Target) -> Option<f64> {
    window.deviation(target).filter(|deviation| *deviation > 0.0)
}

fn moved(window: &dyn WindowCounts, target: Target, c: &Distribution<'_>) -> Found {
    let ends = moved_between(window, target, c);
    Found {
        value: ends.map(|(lower, _)| Amount::Float(lower)),
        evidence: vec![
            ("lower", number(ends.map(|e| e.0))),
            ("upper", number(ends.map(|e| e.1))),
            ("reference_deviation", number(window.deviation(target))),
        ],
    }
}

impl Distance {
    /// Where a distance lies but for a probability of α.
    fn certain_of(&self, window: &dyn WindowCounts, subject: &Subject<Limits>, alpha: f64) -> Option<Certain> {
        let target = subject.target;
        let over_bins = |parts: Parts, bins: &Binning| {
            let c = window.distribution(target)?;
            bound::over_bins(parts, window, &window.binned(target, bins, c.cells), alpha)
        };
        let bands = || of_ks(window, target, window.design_effect(None), alpha);
        let (lower, upper) = match &self.metric {
            Metric::JensenShannon(bins) => over_bins(Parts::JensenShannon, bins),
            Metric::Hellinger(bins) => over_bins(Parts::Hellinger, bins),
            Metric::LInf(bins) => over_bins(Parts::LInf, bins),
            Metric::Ks => bands().map(bound::within_bands),
            // Bands are that wide over the whole range of training.
            Metric::Wasserstein => {
                let c = window.distribution(target)?;
                let (_, _, width) = bands()?;
                let (lower, upper) = moved_between(window, target, &c)?;
                let (points, (first, last)) = (window.points(target), window.range(target)?);
                let range = points.get(last / 2)? - points.get(first / 2)?;
                let by = width * range / spread(window, target)?;
                Some(((lower - by).max(0.0), upper + by))
            }
        }?;
        Some(certain::of(&subject.limit, (lower, upper)))
    }
}

impl Check for Distance {
    fn definition(&self) -> &'static Definition {
        match &self.metric {
            Metric::Ks => &KS,
            Metric::JensenShannon(_) => &JS,
            Metric::Hellinger(_) => &HELLINGER,
            Metric::LInf(_) => &L_INF,
            Metric::Wasserstein => &WASSERSTEIN,
        }
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        self.of.iter().map(|subject| self.certain_of(window, subject, alpha)).collect()
    }

    fn reads(&self) -> Vec<Read> {
        let of = self.of.iter().map(|subject| Read::Distribution(subject.target));
        let deviations = (self.metric == Metric::Wasserstein).then_some(Read::Deviations);
        of.chain(self.metric.bins().cloned().map(Read::Bins)).chain(deviations).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| subject.limit.bound()).collect()
    }

    fn floor(&self, at: usize) -> Option<Bound> {
        self.of.get(at)?.limit.floor()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| self.judge_one(window, subject)).collect()
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("chance moves a distance by about 1/√n, and drift that matters by what the limit says")
    }
}
