//! What parsed rules are made of: subjects, limits, tolerances, and how a value has to lie to its limit.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::stats::limit::Limit;

/// What a check or a window came to, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = VerdictStatus))]
pub enum Status {
    Pass,
    Warn,
    Insufficient,
    Block,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Pass, Self::Warn, Self::Insufficient, Self::Block];

    /// Which of several results speaks for all, the greatest: one that was not measured hides none that was.
    #[must_use]
    pub fn severity(self) -> u8 {
        match self {
            Self::Insufficient => 0,
            Self::Pass => 1,
            Self::Warn => 2,
            Self::Block => 3,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Insufficient => "insufficient",
            Self::Block => "block",
        }
    }

    /// 0 pass, 1 warn, 2 insufficient, 3 block: the value of the `check_status` metric.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Warn => 1,
            Self::Insufficient => 2,
            Self::Block => 3,
        }
    }
}

/// What a rule on features looks at; indexes into the policy's lists of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    Numeric(usize),
    Categorical(usize),
    Score,
    /// The label of joined pairs, as the categories 0 and 1, or one of the policy's classes.
    Label,
    /// The predicted class, one of the policy's.
    Prediction,
}

/// A rule's subject with the limits that hold for it (after `except`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject<L> {
    pub target: Target,
    pub limit: L,
}

/// How p-values of one window are corrected for their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    None,
    Bonferroni,
    Holm,
    Bh,
}

/// A change that is tolerated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    Absolute(Limit),
    Relative(Limit),
}

/// Measured values, and limits on them, lie within plus and minus this.
pub const MOST_VALUE: f64 = 1e12;

/// What a `measured` rule computes from a window's measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Of the values, each weighted by its `n`.
    Mean,
    Max,
    Min,
    /// Of the values times their `n`.
    Sum,
}

impl Aggregate {
    pub const ALL: [Self; 4] = [Self::Mean, Self::Max, Self::Min, Self::Sum];

    /// As the policy and the verdict spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sum => "sum",
        }
    }
}

/// How a value must lie to its limit to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Side {
    pub const ALL: [Self; 4] = [Self::Lt, Self::Lte, Self::Gt, Self::Gte];

    /// As the policy and the verdict spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
        }
    }

    /// Whether a value that compares so with its limit passes.
    #[must_use]
    pub fn passes(self, order: Ordering) -> bool {
        match self {
            Self::Lt => order.is_lt(),
            Self::Lte => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Gte => order.is_ge(),
        }
    }
}

/// Blocks where the value does not lie on `side` of `limit`, warns where it does not of `warn`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    pub side: Side,
    pub limit: Limit,
    pub warn: Option<Limit>,
}
