//! The limit of a `psi` rule: a number that is written, or what PSI comes to without drift (`alpha`).

use serde_json::{Value, json};

use super::super::certain;
use super::super::definition::{Definition, Opt, Takes};
use super::super::limits::Limits;
use super::super::options::{ReadLimit, limit};
use super::super::result::Certain;
use super::super::types::{Bound, Side, Status};
use crate::stats::limit::Limit;
use crate::stats::psi::null_quantile;
use crate::yaml::Map;

/// A PSI limit below the 99.9% quantile of PSI without drift.
const WITHIN_CHANCE: &str = "the limit is within chance at this n";

pub(crate) const ALPHA: Opt = Opt {
    key: "alpha",
    takes: Takes::Number {
        wanted: "a probability above 0 and below 1",
        bounds: &[("exclusiveMinimum", 0.0), ("exclusiveMaximum", 1.0)],
    },
    default: "",
    documentation: "In place of a limit: blocks at or above what PSI exceeds with this probability without drift, (1/n + 1/m)·χ²(bins − 1) at \
        the n and m of each window and the snapshot. The result's `limit` is the one that was used.",
};
pub(crate) const FLOOR: Opt = Opt {
    key: "floor",
    takes: Takes::Number { wanted: "a PSI above 0", bounds: &[("exclusiveMinimum", 0.0)] },
    default: "",
    documentation: "With `alpha`: the limit is at least this, so that large windows do not block for a PSI that does not matter.",
};

/// What PSI is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PsiLimit {
    Written(Limits),
    Chance(Chance),
}

/// PSI's own quantile without drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// The probability of a block without drift, in (0, 1).
    pub alpha: f64,
    pub floor: Option<f64>,
    pub warn: Option<Limit>,
}

impl Chance {
    /// The limit at these sizes: `(1/n + 1/m)·χ²_isf(α, bins − 1)`, at least the floor. `None` without a sample.
    #[must_use]
    pub fn limit(&self, n: u64, m: u64, bins: usize) -> Option<f64> {
        Some(null_quantile(n, m, bins, self.alpha)?.max(self.floor.unwrap_or(0.0)))
    }
}

impl PsiLimit {
    /// The limit as one bound; one by chance is known of a window only, and never below its floor.
    pub(super) fn bound(&self) -> Bound {
        match self {
            Self::Written(limits) => limits.bound(),
            Self::Chance(chance) => Bound {
                side: Side::Lt,
                limit: chance.floor.and_then(Limit::of).unwrap_or(Limit::ZERO),
                warn: chance.warn,
            },
        }
    }

    /// An interval of PSI at these sizes against the limit.
    pub(super) fn certain(&self, (lower, upper): (f64, f64), (n, m): (u64, u64), bins: usize) -> Option<Certain> {
        match self {
            Self::Written(limits) => Some(certain::of(limits, (lower, upper))),
            Self::Chance(chance) => {
                let blocks = lower >= chance.limit(n, m, bins)?;
                Some(Certain { lower, upper, blocks })
            }
        }
    }

    /// The status of a value at these sizes, why it warns, and the limit for the evidence.
    pub(super) fn judge(
        &self,
        value: Option<f64>,
        (n, m): (u64, u64),
        bins: usize,
    ) -> (Option<(Status, Option<String>)>, Value) {
        match self {
            Self::Written(limits) => (value.map(|value| limits.status(value)), limits.evidence()),
            Self::Chance(chance) => {
                let limit = chance.limit(n, m, bins);
                let warned = |value: f64| chance.warn.filter(|warn| warn.order(value).is_ge());
                let status = value.zip(limit).map(|(value, limit)| match warned(value) {
                    _ if value >= limit => (Status::Block, None),
                    Some(warn) => (Status::Warn, Some(format!("at or above warn {warn}"))),
                    None => (Status::Pass, None),
                });
                (status, json!({"lt": limit, "alpha": chance.alpha, "floor": chance.floor}))
            }
        }
    }
}

impl ReadLimit for PsiLimit {
    fn in_options(map: &Map, base: Option<Self>, definition: &'static Definition) -> Option<Self> {
        let Some(alpha) = map.get(ALPHA.key) else {
            if let (Some(item), None) = (map.get(FLOOR.key), base) {
                return item.fail("a floor without `alpha`: the limit that is written does not depend on n");
            }
            let base = base.and_then(|base| if let Self::Written(limits) = base { Some(limits) } else { None });
            return Limits::in_options(map, base, definition).map(Self::Written);
        };
        let keys = definition.limit.keys().iter().filter(|key| **key != "warn");
        if let Some(key) = keys.copied().find(|key| map.get(key).is_some()) {
            return alpha
                .fail(format!("both `{key}` and `alpha`: keep one limit, and write the other as a rule of its own"));
        }
        let (found, floor) = (ALPHA.optional_number(map), FLOOR.optional_number(map));
        let warn = match map.get("warn") {
            Some(item) => Some(limit(&item, definition.bounds)?),
            None => None,
        };
        Some(Self::Chance(Chance { alpha: found??, floor: floor?, warn }))
    }
}

/// Why PSI warns, and whether its limit lies where PSI comes without any drift.
pub(super) fn note(warns: Option<String>, limits: Limits, is_within: impl Fn(f64) -> bool) -> Option<String> {
    let within = |limit: Limit| is_within(limit.value());
    match (warns, limits.upper().is_some_and(within)) {
        (None, false) => None,
        (None, true) => Some(WITHIN_CHANCE.to_owned()),
        (Some(warns), true) => Some(format!("{warns}; {WITHIN_CHANCE}")),
        (Some(warns), false) if limits.bound().warn.is_some_and(within) && limits.upper().is_some() => {
            Some(format!("{warns}, which is within chance at this n"))
        }
        (Some(warns), false) => Some(warns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_quantile_at_the_sizes_and_at_least_the_floor() {
        let chance = |floor| Chance { alpha: 0.001, floor, warn: None };
        // scipy 1.17: (1/500 + 1/10000)*chi2.isf(0.001, 9) = 0.0585716…
        let limit = chance(None).limit(500, 10_000, 10).unwrap();
        assert!((limit - 0.0021 * 27.877_164_871_256_57).abs() < 1e-12, "{limit}");
        assert_eq!(chance(Some(0.1)).limit(500, 10_000, 10), Some(0.1));
        assert_eq!(chance(Some(0.1)).limit(0, 10_000, 10), None);
        let of = |value| PsiLimit::Chance(chance(Some(0.1))).judge(Some(value), (500, 10_000), 10).0.unwrap().0;
        assert_eq!((of(0.1), of(0.0999)), (Status::Block, Status::Pass), "a value at the limit blocks");
    }
}
