//! Where a value has to lie, how a value or an interval lies to it, and changes against a reference.

use super::super::types::{Side, Tolerance};
use crate::stats::limit::{Amount, Limit};
use crate::stats::ratio::Ratio;

/// Which way a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Increase,
    Drop,
}

/// Where a value has to lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Region {
    /// On this side of a limit.
    Side(Side, Limit),
    /// From the one to the other, both included.
    Between(Limit, Limit),
    /// No further above or below the reference than this.
    Change(Change, Tolerance),
    /// No further above or below the reference than so many of its standard deviations.
    Sigmas(Change, Limit),
}

/// How a value, or an interval that encloses it, lies to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    Inside,
    InPart,
    Outside,
}

impl Region {
    /// As the policy spells it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Side(side, _) => side.name(),
            Self::Between(..) => "between",
            Self::Change(change, _) | Self::Sigmas(change, _) => change.key(),
        }
    }

    fn holds(self, value: Amount) -> bool {
        match self {
            Self::Side(side, limit) => side.passes(limit.order(value)),
            Self::Between(low, high) => low.order(value).is_ge() && high.order(value).is_le(),
            Self::Change(_, tolerance) => tolerated(tolerance).order(value).is_le(),
            Self::Sigmas(_, limit) => limit.order(value).is_le(),
        }
    }

    pub(super) fn lies(self, [lower, upper]: [Amount; 2]) -> Lies {
        let apart = match self {
            // An interval over both ends of the region breaks it in part.
            Self::Between(low, high) => low.order(upper).is_lt() || high.order(lower).is_gt(),
            _ => !self.holds(lower) && !self.holds(upper),
        };
        match (apart, self.holds(lower) && self.holds(upper)) {
            (true, _) => Lies::Outside,
            (false, true) => Lies::Inside,
            (false, false) => Lies::InPart,
        }
    }

    /// Why a value outside of it warns.
    pub(super) fn warned(self) -> String {
        match self {
            Self::Side(side, limit) => {
                let lies = match side {
                    Side::Lt => "at or above",
                    Side::Lte => "above",
                    Side::Gt => "at or below",
                    Side::Gte => "below",
                };
                format!("{lies} warn {limit}")
            }
            Self::Between(low, high) => format!("outside of warn [{low}, {high}]"),
            Self::Change(_, tolerance) => format!("above warn {}", tolerated(tolerance)),
            Self::Sigmas(_, limit) => format!("above warn {limit} standard deviations"),
        }
    }

    /// Whether a warning at `inner` says something before this region is left.
    pub(super) fn encloses(self, inner: Self) -> bool {
        match (self, inner) {
            (Self::Side(Side::Lt | Side::Lte, limit), Self::Side(_, warn))
            | (Self::Sigmas(_, limit), Self::Sigmas(_, warn)) => warn < limit,
            (Self::Side(Side::Gt | Side::Gte, limit), Self::Side(_, warn)) => warn > limit,
            (Self::Between(low, high), Self::Between(from, to)) => {
                low <= from && to <= high && (low, high) != (from, to)
            }
            (Self::Change(_, limit), Self::Change(_, warn)) => tolerated(warn) < tolerated(limit),
            _ => false,
        }
    }
}

pub(crate) fn tolerated(tolerance: Tolerance) -> Limit {
    match tolerance {
        Tolerance::Absolute(limit) | Tolerance::Relative(limit) => limit,
    }
}

impl Change {
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Increase => "max_increase",
            Self::Drop => "max_drop",
        }
    }

    /// The change from the reference to the value, exactly and in the tolerance's terms; `None` relative to 0.
    pub(crate) fn of(self, tolerance: Tolerance, value: Ratio, reference: Ratio) -> Option<Ratio> {
        let by = match self {
            Self::Increase => value.minus(reference)?,
            Self::Drop => reference.minus(value)?,
        };
        match tolerance {
            Tolerance::Absolute(_) => Some(by),
            Tolerance::Relative(_) => by.over(reference),
        }
    }

    /// The same of amounts: exactly where both are exact and the change is; else of their values.
    pub(crate) fn of_amounts(self, tolerance: Tolerance, value: Amount, reference: Amount) -> Option<Amount> {
        if let (Amount::Exact(value), Amount::Exact(reference)) = (value, reference)
            && let Some(by) = self.of(tolerance, value, reference)
        {
            return Some(Amount::Exact(by));
        }
        let ends = |amount: Amount| (amount.value(), amount.value());
        self.of_intervals(tolerance, ends(value), ends(reference)).map(|(by, _)| Amount::Float(by))
    }

    /// The same of values with their intervals: the change of what is taken, and the least and the most that it can be.
    pub(crate) fn of_values(
        self,
        tolerance: Tolerance,
        (now, of_now): (f64, (f64, f64)),
        (then, of_then): (f64, (f64, f64)),
    ) -> Option<(f64, (f64, f64))> {
        let interval = self.of_intervals(tolerance, of_now, of_then)?;
        let by = match self {
            Self::Increase => now - then,
            Self::Drop => then - now,
        };
        let value = match tolerance {
            Tolerance::Absolute(_) => by,
            Tolerance::Relative(_) => by / then,
        };
        Some((value, interval))
    }

    /// The same of intervals: the least and the most that the change can be.
    pub(crate) fn of_intervals(
        self,
        tolerance: Tolerance,
        (low, high): (f64, f64),
        (from, to): (f64, f64),
    ) -> Option<(f64, f64)> {
        match (tolerance, self) {
            (Tolerance::Absolute(_), Self::Increase) => Some((low - to, high - from)),
            (Tolerance::Absolute(_), Self::Drop) => Some((from - high, to - low)),
            // Of values from 0 on the change relative to the reference is that of their quotient.
            (Tolerance::Relative(_), _) if from <= 0.0 => None,
            (Tolerance::Relative(_), Self::Increase) => Some((low / to - 1.0, high / from - 1.0)),
            (Tolerance::Relative(_), Self::Drop) => Some((1.0 - high / from, 1.0 - low / to)),
        }
    }
}
