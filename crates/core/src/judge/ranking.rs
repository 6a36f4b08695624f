//! Which results matter most: how near a value is to its limit, times the importance of the feature that it is about (`importance:` of the policy).
//! Results of policies without it have no rank, and stay in the order in which they are.

use std::cmp::Reverse;

use serde_json::Value;

use super::verdict::RuleResult;
use crate::rule;
use crate::rule::definition::Bounds;

/// A ratio is at most this, so that it stays finite where a limit or a value is 0.
const MOST: f64 = 1e6;

impl RuleResult {
    /// The importance of its feature, from 0 on, if the policy gives it one.
    #[must_use]
    pub fn importance(&self) -> Option<f64> {
        self.read("importance").filter(|weight: &f64| weight.is_finite())
    }

    /// How near the value is to its limit, from 0 to 1e6: 1 is at it, more is beyond it.
    ///
    /// Of a limit from above, and of a change, it is value ÷ limit; of a limit from below limit ÷ value; of `between: [a, b]` the distance from the middle
    /// ÷ half of the width; of a p-value ln p ÷ ln limit (p is the adjusted one where there is one), which grows as p falls and is 1 at the limit.
    /// `None` without a value or a limit, and where a ratio has no meaning: of a limit below 0, or 0 from below, and a p-value's limit of 1.
    #[must_use]
    pub fn nearness(&self) -> Option<f64> {
        let value = self.value?;
        let limits = self.get("limit")?;
        let (key, limit) = limits.as_object()?.iter().next()?;
        if rule::find(&self.metric).is_some_and(|definition| definition.bounds == Bounds::PValue) {
            return of_p_value(self.ln_p(value), limit.as_f64()?);
        }
        let near = match (key.as_str(), limit) {
            ("between", Value::Array(ends)) => from_the_middle(value, ends.first()?.as_f64()?, ends.get(1)?.as_f64()?),
            ("gt" | "gte", limit) => from_above(value, limit.as_f64()?),
            (_, Value::Object(change)) => from_below(value, change.values().next()?.as_f64()?),
            (_, limit) => from_below(value, limit.as_f64()?),
        };
        near.filter(|near| near.is_finite())
    }

    /// What it is ranked by: how near its value is to the limit, times the importance of its feature; `None` without either.
    #[must_use]
    pub fn rank(&self) -> Option<f64> {
        // Most policies give none, and nothing is compared then.
        let importance = self.importance()?;
        Some(self.nearness()? * importance).filter(|rank| rank.is_finite())
    }

    /// The logarithm of the p-value that decides.
    fn ln_p(&self, p: f64) -> f64 {
        let adjusted = self.read::<f64>("adjusted").filter(|p| *p > 0.0).map(f64::ln);
        adjusted.or_else(|| self.read("ln_p")).unwrap_or_else(|| p.max(f64::MIN_POSITIVE).ln())
    }
}

fn of_p_value(ln_p: f64, limit: f64) -> Option<f64> {
    // The limit of a p-value lies above 0; at 1 its logarithm is 0.
    (limit > 0.0 && limit < 1.0).then(|| (ln_p / limit.ln()).clamp(0.0, MOST))
}

/// Of a value that has to lie below its limit.
fn from_below(value: f64, limit: f64) -> Option<f64> {
    if limit > 0.0 {
        Some((value / limit).clamp(0.0, MOST))
    } else {
        (limit == 0.0).then_some(if value > 0.0 { MOST } else { 0.0 })
    }
}

/// Of a value that has to lie above its limit.
fn from_above(value: f64, limit: f64) -> Option<f64> {
    (limit > 0.0).then(|| if value > 0.0 { (limit / value).min(MOST) } else { MOST })
}

fn from_the_middle(value: f64, low: f64, high: f64) -> Option<f64> {
    let half = (high - low) / 2.0;
    (half > 0.0).then(|| ((value - low - half).abs() / half).min(MOST))
}

/// Puts what matters most first: by rank, the greatest first, then what has none. What is alike stays in its order. Each rank is asked for once.
pub fn sort<T>(items: &mut [T], of: impl Fn(&T) -> Option<f64>) {
    // Ranks are from 0 on, and so in the order of their bits; -0 is 0.
    items.sort_by_cached_key(|item| Reverse(of(item).map(|rank| (rank + 0.0).to_bits())));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::verdict::Status;
    use super::*;

    fn result(metric: &'static str, value: Option<f64>, limit: Value, importance: Option<f64>) -> RuleResult {
        let mut evidence = vec![("limit", limit)];
        evidence.extend(importance.map(|weight| ("importance", json!(weight))));
        RuleResult {
            rule: format!("g/{metric}"),
            metric: metric.into(),
            subject: "a".into(),
            status: Status::Pass,
            value,
            evidence: evidence.into(),
            reason: None,
            since: None,
            pending: false,
            muted: false,
            bins: None,
        }
    }

    fn near(metric: &'static str, value: f64, limit: Value) -> Option<f64> {
        result(metric, Some(value), limit, None).nearness()
    }

    #[test]
    fn nearness_is_one_at_the_limit_whatever_its_form() {
        for (metric, value, limit, expected) in [
            ("psi", 0.3, json!({"lt": 0.2}), Some(1.5)),
            ("psi", 0.2, json!({"lt": 0.2}), Some(1.0)),
            ("accuracy", 0.8, json!({"gte": 0.9}), Some(1.125)),
            ("accuracy", 0.0, json!({"gte": 0.9}), Some(1e6)),
            ("mean", 5.0, json!({"between": [1.0, 5.0]}), Some(1.0)),
            ("mean", 3.0, json!({"between": [1.0, 5.0]}), Some(0.0)),
            ("mean", -1.0, json!({"between": [1.0, 5.0]}), Some(2.0)),
            ("mean", 0.3, json!({"max_increase": {"relative": 0.1}}), Some(3.0)),
            ("mean", 6.0, json!({"max_drop": {"sigmas": 3.0}}), Some(2.0)),
            ("missing_rate", -0.1, json!({"max_increase": 0.05}), Some(0.0)),
            ("new_categories", 0.5, json!({"lte": 0.0}), Some(1e6)),
            ("new_categories", 0.0, json!({"lte": 0.0}), Some(0.0)),
            ("mean", -3.0, json!({"lt": -2.0}), None),
            ("mean", 3.0, json!({"gte": 0.0}), None),
            ("psi", 0.3, json!({}), None),
        ] {
            let found = near(metric, value, limit.clone());
            let is_same = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-9 * expected.max(1.0),
                (found, expected) => found == expected,
            };
            assert!(is_same, "{metric} {value} {limit}: {found:?}");
        }
        assert_eq!(result("psi", None, json!({"lt": 0.2}), Some(1.0)).rank(), None);
    }

    #[test]
    fn p_values_are_measured_by_their_logarithms_the_adjusted_one_first() {
        assert_eq!(near("ks_p", 0.01, json!({"gte": 0.01})), Some(1.0));
        assert!((near("ks_p", 1e-4, json!({"gte": 0.01})).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(near("ks_p", 1.0, json!({"gte": 0.01})), Some(0.0));
        assert_eq!(near("ks_p", 0.5, json!({"gte": 1.0})), None);
        assert!(near("ks_p", 0.0, json!({"gte": 0.01})).unwrap() > 100.0);
        let evidence = |ln_p: f64, adjusted: Value| {
            vec![("ln_p", json!(ln_p)), ("adjusted", adjusted), ("limit", json!({"gte": 0.01}))]
        };
        let one = |ln_p, adjusted, p| RuleResult {
            evidence: evidence(ln_p, adjusted).into(),
            ..result("ks_p", Some(p), json!({}), None)
        };
        let limit = 0.01_f64.ln();
        // A p-value that is 0 as a float is told apart by its logarithm.
        assert!((one(-900.0, Value::Null, 0.0).nearness().unwrap() - -900.0 / limit).abs() < 1e-9);
        assert!((one(limit * 2.0, json!(0.01), 1e-4).nearness().unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_matters_more_comes_first_and_what_has_no_rank_last_in_its_order() {
        let of = |value, weight| result("psi", Some(value), json!({"lt": 0.2}), weight);
        let mut all = vec![
            of(0.9, None),
            of(0.4, Some(0.1)),
            of(0.3, Some(0.4)),
            of(0.8, None),
            of(0.8, Some(0.05)),
            of(9.0, Some(0.0)),
        ];
        sort(&mut all, RuleResult::rank);
        let found: Vec<(Option<f64>, Option<f64>)> = all.iter().map(|r| (r.value, r.importance())).collect();
        assert_eq!(
            found,
            [
                (Some(0.3), Some(0.4)),
                (Some(0.4), Some(0.1)),
                (Some(0.8), Some(0.05)),
                (Some(9.0), Some(0.0)),
                (Some(0.9), None),
                (Some(0.8), None)
            ]
        );
    }

    proptest! {
        #[test]
        fn a_rank_is_finite_and_grows_with_what_is_worse(
            (a, b) in (0.0..1e9f64, 0.0..1e9f64),
            limit in 1e-6..1.0f64,
            weight in 0.0..1e6f64,
        ) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let rank = |metric, value, key: &str| result(metric, Some(value), json!({ key: limit }), Some(weight)).rank().unwrap();
            prop_assert!(rank("psi", low, "lt") <= rank("psi", high, "lt") && rank("psi", high, "lt").is_finite());
            prop_assert!(rank("accuracy", low, "gte") >= rank("accuracy", high, "gte"));
            let p = |value: f64| (value / 1e9).min(1.0);
            prop_assert!(rank("ks_p", p(low), "gte") >= rank("ks_p", p(high), "gte") && rank("ks_p", p(low), "gte").is_finite());
        }
    }
}
