//! The segments of a result, each with a series of its own.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;

use super::measured::{Measured, bins_of, finite};
use super::series::joined;
use driftgate_core::judge::evidence::{Bin, ComparedSegment};
use driftgate_core::judge::verdict::{RuleResult, Status};

/// So many segments of a result are kept: those that do not pass, then those with the most values in training.
const MOST: usize = 24;

/// What is kept of the segments of a result, of which `whole` is kept. A rate of a segment is not judged by itself: it passes where it is
/// compared with others', and has no limit.
#[must_use]
pub fn of(result: &RuleResult, whole: &Measured) -> Vec<Measured> {
    let mut all = if result.get("by").is_some() { compared(result, whole) } else { rates(result, whole) };
    all.sort_by_cached_key(|of| {
        let is_fine = matches!(of.status, Status::Pass | Status::Insufficient);
        (is_fine, Reverse(of.reference_n.or(of.n)), of.subject.clone())
    });
    all.truncate(MOST);
    all
}

fn compared(result: &RuleResult, whole: &Measured) -> Vec<Measured> {
    let mut distributions: BTreeMap<&str, Vec<Bin>> = result.distributions_by_segment().collect();
    let of = |of: ComparedSegment| Measured {
        subject: joined(&whole.subject, &of.segment),
        status: of.status,
        value: finite(of.value),
        n: of.n,
        reference_n: of.reference_n,
        reason: of.reason,
        bins: bins_of(distributions.remove(of.segment.as_str()).unwrap_or(of.bins)),
        ..alike(whole)
    };
    result.compared_segments().into_iter().map(of).collect()
}

fn rates(result: &RuleResult, whole: &Measured) -> Vec<Measured> {
    let all: Vec<Value> = result.get("segments").and_then(|all| all.as_array().cloned()).unwrap_or_default();
    let of = |rate: Rate| Measured {
        subject: joined(&whole.subject, &rate.segment),
        status: if rate.is_compared { Status::Pass } else { Status::Insufficient },
        value: Some(rate.value),
        lower: Some(rate.lower),
        upper: Some(rate.upper),
        n: rate.n,
        limit: None,
        side: None,
        warn: None,
        ..alike(whole)
    };
    all.iter().filter_map(Rate::read).map(of).collect()
}

/// A series of the same rule with the same limits, and without values.
fn alike(whole: &Measured) -> Measured {
    Measured {
        rule: whole.rule.clone(),
        metric: whole.metric.clone(),
        limit: whole.limit,
        side: whole.side.clone(),
        warn: whole.warn,
        muted: whole.muted,
        ..Measured::nothing()
    }
}

/// The rate of a segment with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    pub segment: String,
    /// What was measured, such as `tpr`.
    pub metric: String,
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
    /// In training.
    pub reference: Option<f64>,
    pub n: Option<u64>,
    /// Whether it is large enough to be compared with the others.
    pub is_compared: bool,
}

impl Rate {
    /// Rules name their rates differently; what has an interval has `_lower` and `_upper` behind its name. `None` of anything else.
    #[must_use]
    pub fn read(of: &Value) -> Option<Self> {
        let fields = of.as_object()?;
        let metric = fields.keys().find_map(|key| key.strip_suffix("_lower"))?.to_owned();
        let real = |key: &str| fields.get(key).and_then(Value::as_f64).filter(|x| x.is_finite());
        let count = |key: &str| fields.get(key).and_then(Value::as_u64);
        let positives = || Some(count("tp")?.saturating_add(count("fn")?));
        Some(Self {
            segment: fields.get("segment")?.as_str()?.to_owned(),
            value: real(&metric)?,
            lower: real(&format!("{metric}_lower"))?,
            upper: real(&format!("{metric}_upper"))?,
            reference: real(&format!("reference_{metric}")),
            n: count("n").or_else(positives),
            is_compared: fields.get("eligible").and_then(Value::as_bool).unwrap_or(true),
            metric,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::series::split;
    use super::super::tests::measured;
    use super::*;
    use driftgate_core::rule::distributions::Distributions;

    fn result(rule: &str, subject: &str, evidence: Vec<(&'static str, Value)>) -> RuleResult {
        RuleResult {
            rule: rule.into(),
            metric: "psi".into(),
            subject: subject.into(),
            status: Status::Block,
            value: Some(0.4),
            evidence: evidence.into(),
            reason: None,
            since: None,
            pending: false,
            muted: false,
            bins: None,
        }
    }

    #[test]
    fn segments_that_are_compared_with_training_keep_their_values_the_failing_ones_first() {
        let bins = json!([{"le": 1.5, "reference": 5, "window": 3}, {"le": null, "reference": 5, "window": 9}]);
        let mut all: Vec<Value> = (0..40)
            .map(|at| json!({"segment": format!("s{at:02}"), "status": "pass", "value": 0.01, "n": 9, "reference_n": at}))
            .collect();
        all.push(
            json!({"segment": "bad", "status": "block", "value": 0.4, "n": 70, "reference_n": 3, "bins": bins.clone()}),
        );
        let of_all = result("drift/psi", "temp", vec![("by", "origin".into()), ("segments", json!(all))]);
        let kept = of(&of_all, &Measured { muted: true, ..measured("drift/psi", "temp", 0.4) });
        let counted = Distributions {
            own: json!([]).into(),
            by_segment: vec![("s38".to_owned(), bins.clone().into()), ("not kept".to_owned(), bins.into())],
        };
        let with_counted = of(&RuleResult { bins: Some(counted), ..of_all }, &measured("drift/psi", "temp", 0.4));
        let sizes: Vec<usize> = with_counted.iter().take(4).map(|of| of.bins.len()).collect();
        assert_eq!(sizes, [2, 0, 2, 0], "of the failing one and of what came along");
        assert_eq!(kept.len(), MOST);
        let names: Vec<&str> = kept.iter().filter_map(|of| split(&of.subject).1).collect();
        assert_eq!(names[..3], ["bad", "s39", "s38"]);
        let bad = &kept[0];
        assert_eq!((bad.value, bad.n, bad.reference_n, bad.bins.len()), (Some(0.4), Some(70), Some(3), 2));
        assert_eq!((bad.limit, bad.side.as_deref(), bad.warn, bad.muted), (Some(0.2), Some("lt"), Some(0.1), true));
        assert!(kept[1].bins.is_empty() && kept[1].status == Status::Pass);
    }

    #[test]
    fn rates_of_segments_keep_their_intervals_and_have_no_limit() {
        let all = json!([
            {"segment": "a", "tp": 3, "fn": 1, "tpr": 0.75, "tpr_lower": 0.3, "tpr_upper": 0.95, "eligible": true},
            {"segment": "b", "tp": 1, "fn": 0, "tpr": 1.0, "tpr_lower": 0.2, "tpr_upper": 1.0, "eligible": false},
            {"segment": "no interval", "tpr": 1.0},
        ]);
        let of_all = result("f/gap", "origin", vec![("segments", all)]);
        let kept = of(&of_all, &measured("f/gap", "origin", 0.1));
        let told: Vec<_> = kept.iter().map(|of| (split(&of.subject), of.value, of.lower, of.n, of.status)).collect();
        assert_eq!(
            told,
            [
                (("origin", Some("a")), Some(0.75), Some(0.3), Some(4), Status::Pass),
                (("origin", Some("b")), Some(1.0), Some(0.2), Some(1), Status::Insufficient),
            ]
        );
        assert!(kept.iter().all(|of| of.limit.is_none() && of.warn.is_none() && of.bins.is_empty()));
    }
}
