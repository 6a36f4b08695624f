//! The properties that the definition of a rule has: what it guards, counts and is about, how its limit and options are
//! written, which values it can have.

use super::types::{MOST_VALUE, Side};
use crate::stats::limit::Limit;

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
    /// Joined pairs of numbers, by their difference.
    Errors,
    /// Joined pairs of one of several classes, by the predicted one and the label.
    Classes,
    Measurements,
}

/// What the results of a metric are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Features and the score; only what is numeric unless `categorical`.
    Features { categorical: bool },
    /// Features, the score, and the label.
    Distributions,
    /// Numeric features, the score, and the label where it is a number.
    Numbers,
    /// Categorical features.
    Categories,
    /// The segmentation that `by` names.
    Segmentation,
    /// The KPI that `of` names.
    Kpi,
    /// The measured metric that `of` names.
    Measured,
    /// Always this.
    Only(&'static str),
}

/// What a window is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Nothing: the value itself has a limit.
    None,
    /// The training snapshot, without which the rule has no value.
    Snapshot,
    /// The training snapshot is shown beside the value, which has a limit of its own.
    Shown,
    /// Another version, or the version's own past.
    Version,
}

/// What a window needs of samples; below it a result is `insufficient`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimum {
    /// The policy's `min_samples` of values that were measured (and `min_reference` in the snapshot).
    Samples,
    /// The policy's `min_samples` of events, whether they have the value or not.
    Events,
    /// `min_positives` in at least two segments.
    TwoSegments,
    /// `min_positives` in at least one segment.
    OneSegment,
    /// One measurement.
    One,
    /// None: that there is nothing is what it is about.
    Nothing,
}

/// How a metric's limit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitForm {
    /// This key, which blocks above the limit.
    AtMost(&'static str),
    /// `max`, absolute or relative.
    Drop,
    /// One of `lt`, `lte`, `gt` and `gte`, and a `warn` on its side.
    Any,
    /// One of these or `between`, and a `warn` of its form.
    Band,
    /// One of these, of `between`, or of a change against training, and a `warn` of its form.
    Full,
    /// As `Band`, with a usual side: `lt`, `lte` or `gte`.
    Usual(Side),
    /// As `Full`, with a usual side.
    UsualFull(Side),
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
    /// A number from 0 on.
    FromZero,
}

/// Which values a metric can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    Any,
    FromZero,
    Milliseconds,
    Fraction,
    /// A fraction that people read as a percentage.
    Percent,
    /// A difference of fractions.
    Difference,
}

/// One option of a rule.
#[derive(Debug)]
pub struct Opt {
    pub key: &'static str,
    pub takes: Takes,
    /// As it would be written; empty where leaving it out means something else than a value.
    pub default: &'static str,
    /// What it does, as one sentence of Markdown.
    pub documentation: &'static str,
}

/// What can be written for an option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    Whole {
        least: u64,
        most: u64,
    },
    /// A number, in words and as JSON Schema's bounds on it.
    Number {
        wanted: &'static str,
        bounds: &'static [(&'static str, f64)],
    },
    Words(&'static [&'static str]),
    /// A number of quantile bins, or a mapping of `edges` or `width`.
    Bins {
        least: u64,
        most: u64,
    },
    /// A probability per day, or blocks in a span of time (`1/month`).
    Daily,
    /// Two ascending numbers.
    Range,
    /// One of `segments:`.
    Segmentation,
    /// What a window is compared with (`versus`); and of a KPI.
    Versus,
    KpiVersus,
    /// `group/id` of a rule, which must be written.
    Rule,
    /// One of these words, which must be written.
    OneOf(&'static [&'static str]),
    /// A text, in words and as a regular expression.
    Text {
        wanted: &'static str,
        pattern: &'static str,
    },
}

impl Subjects {
    /// Whether they are features, or the score as one.
    #[must_use]
    pub fn are_features(self) -> bool {
        matches!(self, Self::Features { .. } | Self::Distributions | Self::Numbers | Self::Categories)
    }

    /// The key that names the subject.
    #[must_use]
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Features { .. }
            | Self::Distributions
            | Self::Numbers
            | Self::Categories
            | Self::Kpi
            | Self::Measured => Some("of"),
            Self::Segmentation => Some("by"),
            Self::Only(_) => None,
        }
    }
}

impl Counts {
    #[must_use]
    pub fn reads_labels(self) -> bool {
        matches!(self, Self::Pairs | Self::DecidedPairs | Self::Errors | Self::Classes)
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
            Self::AtMost(key) => std::slice::from_ref(key),
            Self::Drop => &["max"],
            Self::Any => &["lt", "lte", "gt", "gte", "warn"],
            Self::Band | Self::Usual(Side::Lt) => &["lt", "lte", "gt", "gte", "between", "warn"],
            Self::Usual(Side::Lte) => &["lte", "lt", "gt", "gte", "between", "warn"],
            Self::Usual(Side::Gt | Side::Gte) => &["gte", "gt", "lt", "lte", "between", "warn"],
            Self::Full | Self::UsualFull(Side::Lt | Side::Lte) => {
                &["lt", "lte", "gt", "gte", "between", "max_increase", "max_drop", "warn"]
            }
            Self::UsualFull(Side::Gt | Side::Gte) => {
                &["gte", "gt", "lt", "lte", "between", "max_increase", "max_drop", "warn"]
            }
        }
    }

    /// Whether it may be a pair of numbers.
    #[must_use]
    pub fn takes_band(self) -> bool {
        matches!(self, Self::Band | Self::Full | Self::Usual(_) | Self::UsualFull(_))
    }

    /// Whether it may be a change.
    #[must_use]
    pub fn takes_change(self) -> bool {
        matches!(self, Self::Full | Self::UsualFull(_))
    }

    /// How a value must lie to the limit to pass; `None` where the rule says it.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::AtMost(_) | Self::Drop => Some(Side::Lte),
            Self::Any | Self::Band | Self::Full | Self::Usual(_) | Self::UsualFull(_) => None,
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
            Self::FromZero => (0.0..=MOST_VALUE).contains(&limit.value()),
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
            Self::FromZero => "a number from 0 to 1e12",
        }
    }

    /// Whether its numbers may be larger than 1, and then changes of them too.
    #[must_use]
    pub fn is_wide(self) -> bool {
        matches!(self, Self::Value | Self::FromZero)
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
            Self::Fraction | Self::Percent => Some((0.0, 1.0, "a fraction from 0 to 1")),
            Self::Difference => Some((-1.0, 1.0, "a fraction from -1 to 1")),
        }
    }
}
