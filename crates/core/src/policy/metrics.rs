//! The table of metrics: what the results of each are about, what it counts, which limit and options it takes, and which
//! values it can have. The parser, the judge, lints, mutes, overrides, recorded runs and the reference in the docs work from
//! it.

use super::types::{MOST_VALUE, Side};
use crate::stats::limit::Limit;

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// As the policy and the verdict spell it.
    pub name: &'static str,
    pub guards: Guard,
    pub counts: Counts,
    pub subjects: Subjects,
    pub limit: LimitForm,
    pub bounds: Bounds,
    /// A limit to begin with.
    pub example: &'static str,
    pub values: Values,
    /// Every key of its options.
    pub options: &'static [&'static str],
}

/// What a metric guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Service,
    Drift,
    Fairness,
    Outcome,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    Predictions,
    /// Predictions with a decision, labelled or not.
    Decisions,
    /// Joined pairs of prediction and label.
    Pairs,
    /// Joined pairs by decision and label.
    DecidedPairs,
    Measurements,
}

/// What the results of a metric are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Features and the score; only what is numeric unless `categorical`.
    Features { categorical: bool },
    /// The segmentation that `by` names.
    Segmentation,
    /// The KPI that `of` names.
    Kpi,
    /// The measured metric that `of` names.
    Measured,
    /// Always this.
    Only(&'static str),
}

/// How a metric's limit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitForm {
    /// `lt`, which blocks at the limit, and a `warn` below it.
    Below,
    /// This key, which blocks above the limit.
    AtMost(&'static str),
    /// This key, which blocks below the limit.
    AtLeast(&'static str),
    /// `max`, absolute or relative.
    Drop,
    /// One of `lt`, `lte`, `gt` and `gte`, and a `warn` on its side.
    Any,
}

/// Which limits can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    AboveZero,
    Milliseconds,
    Rate,
    SomeRate,
    PValue,
    Fraction,
    Percentage,
    Value,
}

/// Which values a metric can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    Any,
    FromZero,
    Milliseconds,
    Fraction,
    /// A difference of fractions.
    Difference,
}

impl Counts {
    #[must_use]
    pub fn reads_labels(self) -> bool {
        matches!(self, Self::Pairs | Self::DecidedPairs)
    }

    #[must_use]
    pub fn reads_decisions(self) -> bool {
        matches!(self, Self::Decisions | Self::DecidedPairs)
    }
}

impl LimitForm {
    /// The keys of the limit, and what an exception may set.
    #[must_use]
    pub fn keys(&'static self) -> &'static [&'static str] {
        match self {
            Self::Below => &["lt", "warn"],
            Self::AtMost(key) | Self::AtLeast(key) => std::slice::from_ref(key),
            Self::Drop => &["max"],
            Self::Any => &["lt", "lte", "gt", "gte", "warn"],
        }
    }

    /// How a value must lie to the limit to pass; `None` where the rule says it.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Below => Some(Side::Lt),
            Self::AtMost(_) | Self::Drop => Some(Side::Lte),
            Self::AtLeast(_) => Some(Side::Gte),
            Self::Any => None,
        }
    }
}

impl Bounds {
    #[must_use]
    pub fn allow(self, limit: Limit) -> bool {
        match self {
            Self::AboveZero | Self::Milliseconds => limit > Limit::ZERO,
            Self::Rate => (Limit::ZERO..=Limit::ONE).contains(&limit),
            Self::SomeRate | Self::PValue | Self::Fraction => limit > Limit::ZERO && limit <= Limit::ONE,
            Self::Percentage => limit > Limit::ZERO && limit <= Limit::HUNDRED,
            Self::Value => limit.value().abs() <= MOST_VALUE,
        }
    }

    /// In words.
    #[must_use]
    pub fn wanted(self) -> &'static str {
        match self {
            Self::AboveZero => "a number above 0",
            Self::Milliseconds => "milliseconds above 0",
            Self::Rate => "a rate from 0 to 1",
            Self::SomeRate => "a rate above 0, at most 1",
            Self::PValue => "a p-value above 0, at most 1",
            Self::Fraction => "a fraction above 0, at most 1 (or `unit: percent`)",
            Self::Percentage => "a percentage above 0, at most 100",
            Self::Value => "a number from -1e12 to 1e12",
        }
    }
}

impl Values {
    /// The least and the most, and both in words; `None` for any number.
    #[must_use]
    pub fn range(self) -> Option<(f64, f64, &'static str)> {
        match self {
            Self::Any => None,
            Self::FromZero => Some((0.0, f64::MAX, "0 or more")),
            Self::Milliseconds => Some((0.0, f64::MAX, "milliseconds, 0 or more")),
            Self::Fraction => Some((0.0, 1.0, "a fraction from 0 to 1")),
            Self::Difference => Some((-1.0, 1.0, "a fraction from -1 to 1")),
        }
    }
}

const FEATURES: Subjects = Subjects::Features { categorical: true };

pub(super) static PSI: Metric = Metric {
    name: "psi",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: FEATURES,
    limit: LimitForm::Below,
    bounds: Bounds::AboveZero,
    example: "0.2",
    values: Values::FromZero,
    options: &["of", "lt", "warn", "bins", "zero", "except", "id", "for"],
};
pub(super) static KS_P: Metric = Metric {
    limit: LimitForm::AtLeast("gte"),
    bounds: Bounds::PValue,
    example: "0.01",
    options: &["of", "gte", "correction", "min_effect", "except", "id", "for"],
    ..drift("ks_p")
};
pub(super) static KS_LCB: Metric = Metric {
    subjects: Subjects::Features { categorical: false },
    example: "0.05",
    options: &["of", "lte", "budget", "design_effect", "except", "id", "for"],
    ..drift("ks_lcb")
};
pub(super) static MISSING_RATE: Metric = Metric {
    limit: LimitForm::AtMost("max_increase"),
    example: "0.05",
    values: Values::Difference,
    options: &["of", "max_increase", "except", "id", "for"],
    ..drift("missing_rate")
};
pub(super) static INVALID_RATE: Metric = drift("invalid_rate");
pub(super) static TPR_GAP: Metric = gap("tpr_gap");
pub(super) static FPR_GAP: Metric = gap("fpr_gap");
pub(super) static SELECTION_GAP: Metric = Metric { counts: Counts::Decisions, ..gap("selection_gap") };
pub(super) static EQUALIZED_ODDS: Metric = gap("equalized_odds");
pub(super) static DISPARATE_IMPACT: Metric = Metric {
    counts: Counts::Decisions,
    limit: LimitForm::AtLeast("gte"),
    example: "0.8",
    options: &["by", "gte", "min_positives", "id", "for"],
    ..gap("disparate_impact")
};
pub(super) static TPR_GAP_LCB: Metric = Metric {
    limit: LimitForm::AtMost("lte"),
    bounds: Bounds::Rate,
    values: Values::Difference,
    options: &["by", "lte", "min_positives", "reference", "design_effect", "id", "for"],
    ..gap("tpr_gap_lcb")
};
pub(super) static TPR_DROP: Metric = tpr_drop("tpr_drop");
pub(super) static TPR_DROP_LCB: Metric =
    Metric { options: &["by", "max", "min_positives", "design_effect", "id", "for"], ..tpr_drop("tpr_drop_lcb") };
pub(super) static AUC: Metric = Metric {
    name: "auc",
    guards: Guard::Outcome,
    counts: Counts::Pairs,
    subjects: Subjects::Only("score"),
    limit: LimitForm::AtLeast("gte"),
    bounds: Bounds::SomeRate,
    example: "0.7",
    values: Values::Fraction,
    options: &["gte", "id", "for"],
};
pub(super) static LATENCY_P50_MS: Metric = latency("latency_p50_ms");
pub(super) static LATENCY_P90_MS: Metric = latency("latency_p90_ms");
pub(super) static LATENCY_P95_MS: Metric = latency("latency_p95_ms");
pub(super) static LATENCY_P99_MS: Metric = latency("latency_p99_ms");
pub(super) static ERROR_RATE: Metric = Metric {
    subjects: Subjects::Only("error"),
    bounds: Bounds::Fraction,
    example: "0.01",
    values: Values::Fraction,
    options: &["lt", "warn", "unit", "id", "for"],
    ..latency("error_rate")
};
pub(super) static KPI_DROP: Metric = Metric {
    name: "kpi_drop",
    guards: Guard::Outcome,
    counts: Counts::Pairs,
    subjects: Subjects::Kpi,
    limit: LimitForm::Drop,
    bounds: Bounds::Rate,
    example: "{relative: 0.01}",
    values: Values::Any,
    options: &["of", "max", "versus", "id", "for"],
};
pub(super) static MEASURED: Metric = Metric {
    name: "measured",
    guards: Guard::Outcome,
    counts: Counts::Measurements,
    subjects: Subjects::Measured,
    limit: LimitForm::Any,
    bounds: Bounds::Value,
    example: "0.5",
    values: Values::Any,
    options: &["of", "lt", "lte", "gt", "gte", "warn", "agg", "id", "for"],
};

const fn drift(name: &'static str) -> Metric {
    Metric {
        name,
        guards: Guard::Drift,
        counts: Counts::Predictions,
        subjects: FEATURES,
        limit: LimitForm::AtMost("lte"),
        bounds: Bounds::Rate,
        example: "0.01",
        values: Values::Fraction,
        options: &["of", "lte", "except", "id", "for"],
    }
}

const fn gap(name: &'static str) -> Metric {
    Metric {
        name,
        guards: Guard::Fairness,
        counts: Counts::DecidedPairs,
        subjects: Subjects::Segmentation,
        limit: LimitForm::Below,
        bounds: Bounds::SomeRate,
        example: "0.03",
        values: Values::Fraction,
        options: &["by", "lt", "warn", "min_positives", "id", "for"],
    }
}

const fn tpr_drop(name: &'static str) -> Metric {
    Metric {
        limit: LimitForm::AtMost("max"),
        bounds: Bounds::Rate,
        example: "0.1",
        values: Values::Difference,
        options: &["by", "max", "min_positives", "id", "for"],
        ..gap(name)
    }
}

const fn latency(name: &'static str) -> Metric {
    Metric {
        name,
        guards: Guard::Service,
        counts: Counts::Predictions,
        subjects: Subjects::Only("latency_ms"),
        limit: LimitForm::Below,
        bounds: Bounds::Milliseconds,
        example: "80",
        values: Values::Milliseconds,
        options: &["lt", "warn", "id", "for"],
    }
}

/// Every metric, in the order of the reference.
pub static METRICS: [&Metric; 21] = [
    &PSI,
    &KS_P,
    &KS_LCB,
    &MISSING_RATE,
    &INVALID_RATE,
    &TPR_GAP,
    &FPR_GAP,
    &SELECTION_GAP,
    &EQUALIZED_ODDS,
    &DISPARATE_IMPACT,
    &TPR_GAP_LCB,
    &TPR_DROP,
    &TPR_DROP_LCB,
    &AUC,
    &LATENCY_P50_MS,
    &LATENCY_P90_MS,
    &LATENCY_P95_MS,
    &LATENCY_P99_MS,
    &ERROR_RATE,
    &KPI_DROP,
    &MEASURED,
];

/// The metric of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.into_iter().find(|metric| metric.name == name)
}
