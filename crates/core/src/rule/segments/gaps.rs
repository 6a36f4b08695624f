//! Gaps and ratios of metrics between segments.

use serde_json::Value;

use super::super::measured::status;
use super::super::result::{Judged, limit};
use super::super::types::{Bound, Status};
use super::listed::{ComparedSegments, unit};
use crate::codec::number::number;
use crate::stats::fairness::{self, EqualizedOdds, Gap, Rate};
use crate::stats::quality::Metric;
use crate::stats::ratio::Ratio;

/// A status, and why.
type Judgement = (Status, Option<String>);

impl ComparedSegments<'_> {
    /// The status of a value, or why there is none.
    fn judgement(bound: Bound, exact: Option<Ratio>, missing: impl FnOnce() -> Option<String>) -> Judgement {
        exact.map_or_else(|| (Status::Insufficient, missing()), |value| status(bound, |limit| limit.order(value)))
    }

    /// Where the segment stands that the others are compared with, if the rule names one and it is eligible.
    pub(super) fn base(&self, eligible: &[usize], reference: Option<&str>) -> Option<usize> {
        let at = self.each.iter().position(|s| Some(s.name) == reference)?;
        eligible.binary_search(&at).ok().map(|_| at)
    }

    /// Why nothing can be compared.
    fn incomparable(&self, eligible: &[usize], least: u64, metric: Metric, reference: Option<&str>) -> Option<String> {
        self.too_few(eligible, least, unit(metric)).or_else(|| {
            reference
                .filter(|_| self.base(eligible, reference).is_none())
                .map(|name| format!("the reference segment {name:?} does not have {least} {}", unit(metric)))
        })
    }

    /// The largest less the smallest value of a metric; with a reference the largest difference to its value.
    pub(super) fn gap(&self, metric: Metric, bound: Bound, least: u64, reference: Option<&str>) -> Judged {
        let eligible = metric.eligible(&self.confusions, least);
        let found: Option<Gap> = match reference {
            None => fairness::gap(&self.confusions, &eligible, metric),
            Some(_) => self
                .base(&eligible, reference)
                .and_then(|base| fairness::gap_to_reference(&self.confusions, &eligible, metric, base)),
        };
        let few = || self.incomparable(&eligible, least, metric, reference);
        let (status, reason) = Self::judgement(bound, found.map(|g| g.exact), few);
        let mut evidence = vec![
            ("lower", number(found.as_ref().map(|g| g.lower))),
            ("upper", number(found.as_ref().map(|g| g.upper))),
        ];
        let ends = found.as_ref().map(|g| (g.highest, g.lowest));
        evidence.extend(self.ends(metric, ends));
        evidence.push(("limit", limit(bound.side.name(), bound.limit)));
        let in_snapshot = self.reference_of(metric, least, |c, e| fairness::gap(c, e, metric).map(|g| g.value));
        let decides = self.extremes(metric, &eligible, ends);
        self.finish(status, found.map(|g| g.value), evidence, reason, (&eligible, &decides), in_snapshot)
    }

    pub(super) fn equalized_odds(&self, bound: Bound, least: u64) -> Judged {
        let worst = |odds: &EqualizedOdds| (odds.worst.exact, odds.worst.lower, odds.worst.upper);
        self.odds(bound, least, worst)
    }

    /// The mean of the gaps of the true and the false positive rate.
    pub(super) fn average_odds(&self, bound: Bound, least: u64) -> Judged {
        self.odds(bound, least, |odds| (odds.exact_mean, odds.mean_lower, odds.mean_upper))
    }

    /// The gaps of two rates in one value with its interval: best and worst are those of the rate with the larger gap.
    fn odds(&self, bound: Bound, least: u64, of: impl Fn(&EqualizedOdds) -> (Ratio, f64, f64)) -> Judged {
        let (tpr, fpr) = (Rate::Tpr.eligible(&self.confusions, least), Rate::Fpr.eligible(&self.confusions, least));
        let found = fairness::equalized_odds(&self.confusions, &tpr, &fpr);
        let value = found.as_ref().map(&of);
        let eligible: Vec<usize> = tpr.iter().copied().filter(|i| fpr.binary_search(i).is_ok()).collect();
        let few = || self.too_few(&eligible, least, "positives and as many negatives");
        let (status, reason) = Self::judgement(bound, value.map(|v| v.0), few);
        let rate = found.as_ref().map(|e| e.rate);
        let mut evidence = vec![
            ("lower", number(value.map(|v| v.1))),
            ("upper", number(value.map(|v| v.2))),
            ("driven_by", rate.map_or(Value::Null, |r| r.name().into())),
        ];
        let ends = found.as_ref().map(|e| (e.worst.highest, e.worst.lowest));
        let rate = rate.unwrap_or(Rate::Tpr);
        evidence.extend(self.ends(rate, ends));
        evidence.push(("limit", limit(bound.side.name(), bound.limit)));
        let in_snapshot = self.reference_of(Rate::Tpr, least, |c, e| {
            fairness::equalized_odds(c, e, &Rate::Fpr.eligible(c, least)).map(|e| of(&e).0.value())
        });
        let decides = self.extremes(rate.into(), &eligible, ends);
        self.finish(status, value.map(|v| v.0.value()), evidence, reason, (&eligible, &decides), in_snapshot)
    }

    /// The smallest over the largest value of a metric; with a reference, of each segment's value over the reference's the one
    /// that lies worst to the limit.
    pub(super) fn ratio(&self, metric: Metric, bound: Bound, least: u64, reference: Option<&str>) -> Judged {
        let eligible = metric.eligible(&self.confusions, least);
        let found = match reference {
            None if eligible.len() < 2 => None,
            None => {
                let found = fairness::ratio(&self.confusions, &eligible, metric);
                found.map(|impact| (impact.exact, impact.highest, impact.lowest))
            }
            Some(_) => self.base(&eligible, reference).and_then(|base| {
                let ratios = fairness::ratios_to_reference(&self.confusions, &eligible, metric, base);
                let (at, ratio) = ratios.into_iter().reduce(|one, other| worse(bound, one, other))?;
                let (highest, lowest) = if ratio > Ratio::ONE { (at, base) } else { (base, at) };
                Some((ratio, highest, lowest))
            }),
        };
        let zero = || match metric {
            Metric::Rate(Rate::Selection) => "nobody is selected in any segment".to_owned(),
            _ => "it is 0 in every segment".to_owned(),
        };
        let few = || Some(self.incomparable(&eligible, least, metric, reference).unwrap_or_else(zero));
        let (status, reason) = Self::judgement(bound, found.map(|f| f.0), few);
        let ends = found.map(|(_, highest, lowest)| (highest, lowest));
        let mut evidence = self.ends(metric, ends).to_vec();
        evidence.push(("limit", limit(bound.side.name(), bound.limit)));
        let in_snapshot = self.reference_of(metric, least, |c, e| fairness::ratio(c, e, metric).map(|i| i.value));
        let decides = self.extremes(metric, &eligible, ends);
        self.finish(status, found.map(|f| f.0.value()), evidence, reason, (&eligible, &decides), in_snapshot)
    }
}

/// The one of two ratios that lies worse to the limit; the first of equals.
fn worse(bound: Bound, one: (usize, Ratio), other: (usize, Ratio)) -> (usize, Ratio) {
    use super::super::types::Side;
    let other_is_worse = match bound.side {
        Side::Lt | Side::Lte => other.1 > one.1,
        Side::Gt | Side::Gte => other.1 < one.1,
    };
    if other_is_worse { other } else { one }
}
