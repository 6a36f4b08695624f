//! Gaps and ratios of metrics between segments.

use serde_json::Value;

use super::super::limits::Limits;
use super::super::result::Judged;
use super::super::types::Status;
use super::listed::{ComparedSegments, small_reference, unit};
use crate::codec::number::number;
use crate::stats::fairness::{self, Confusion, EqualizedOdds, Gap, Rate};
use crate::stats::quality::Metric;
use crate::stats::ratio::Ratio;

/// A comparison of segments, judged.
struct Judgement {
    status: Status,
    reason: Option<String>,
    /// What is compared with the limit: the comparison, or its change against the snapshot's.
    value: Option<f64>,
    limits: Limits,
    now: Option<Ratio>,
}

impl Judgement {
    /// Judges a comparison; `missing` says why there is none.
    fn new(
        limits: Limits,
        now: Option<Ratio>,
        snapshot: Option<Ratio>,
        missing: impl FnOnce() -> Option<String>,
    ) -> Self {
        let compared = match limits.change() {
            None => now,
            Some((change, tolerance)) => now.zip(snapshot).and_then(|(now, then)| change.of(tolerance, now, then)),
        };
        let (status, reason) = match (now, compared) {
            (None, _) => (Status::Insufficient, missing()),
            (_, None) => (Status::Insufficient, Some("the snapshot has no value to compare with".to_owned())),
            (_, Some(value)) => limits.status(value),
        };
        Self { status, reason, value: compared.map(Ratio::value), limits, now }
    }

    /// The limit, the interval of the comparison, and beside a change what it is now.
    fn evidence(&self, interval: Option<(f64, f64)>) -> Vec<(&'static str, Value)> {
        let is_change = self.limits.change().is_some();
        let interval = interval.filter(|_| !is_change);
        let mut evidence = vec![("lower", number(interval.map(|i| i.0))), ("upper", number(interval.map(|i| i.1)))];
        if is_change {
            evidence.push(("now", number(self.now.map(Ratio::value))));
        }
        evidence
    }
}

/// The place of a segment among names.
pub(super) fn place<'n>(mut names: impl Iterator<Item = &'n str>, wanted: Option<&str>) -> Option<usize> {
    names.position(|name| Some(name) == wanted)
}

impl ComparedSegments<'_> {
    /// Where the segment stands that the others are compared with, if the rule names one and it is eligible.
    pub(super) fn base(&self, eligible: &[usize], reference: Option<&str>) -> Option<usize> {
        let at = place(self.each.iter().map(|s| s.name), reference)?;
        eligible.binary_search(&at).ok().map(|_| at)
    }

    /// The same among the snapshot's segments.
    fn base_in_snapshot(&self, reference: Option<&str>) -> Option<usize> {
        place(self.reference.as_ref()?.keys().map(String::as_str), reference)
    }

    /// Why nothing can be compared.
    fn incomparable(&self, eligible: &[usize], least: u64, metric: Metric, reference: Option<&str>) -> Option<String> {
        self.too_few(eligible, least, unit(metric)).or_else(|| {
            reference
                .filter(|_| self.base(eligible, reference).is_none())
                .map(|name| small_reference(name, least, unit(metric)))
        })
    }

    /// The largest less the smallest value of a metric; with a reference the largest difference to its value.
    pub(super) fn gap(&self, metric: Metric, limits: Limits, least: u64, reference: Option<&str>) -> Judged {
        let eligible = metric.eligible(&self.confusions, least);
        let gap = |confusions: &[Confusion], eligible: &[usize], base: Option<usize>| match reference {
            None => fairness::gap(confusions, eligible, metric),
            Some(_) => fairness::gap_to_reference(confusions, eligible, metric, base?),
        };
        let found: Option<Gap> = gap(&self.confusions, &eligible, self.base(&eligible, reference));
        let in_snapshot = self.base_in_snapshot(reference);
        let snapshot = self.reference_of(metric, least, |c, e| gap(c, e, in_snapshot).map(|g| g.exact));
        let few = || self.incomparable(&eligible, least, metric, reference);
        let judged = Judgement::new(limits, found.map(|g| g.exact), snapshot, few);
        let mut evidence = judged.evidence(found.as_ref().map(|g| (g.lower, g.upper)));
        let ends = found.as_ref().map(|g| (g.highest, g.lowest));
        evidence.extend(self.ends(metric, ends));
        evidence.push(("limit", limits.evidence()));
        let decides = self.extremes(metric, &eligible, ends);
        let Judgement { status, reason, value, .. } = judged;
        self.finish(status, value, evidence, reason, (&eligible, &decides), snapshot.map(Ratio::value))
    }

    pub(super) fn equalized_odds(&self, limits: Limits, least: u64) -> Judged {
        self.odds(limits, least, |odds| (odds.worst.exact, odds.worst.lower, odds.worst.upper))
    }

    /// The mean of the gaps of the true and the false positive rate.
    pub(super) fn average_odds(&self, limits: Limits, least: u64) -> Judged {
        self.odds(limits, least, |odds| (odds.exact_mean, odds.mean_lower, odds.mean_upper))
    }

    /// The gaps of two rates in one value with its interval: best and worst are those of the rate with the larger gap.
    fn odds(&self, limits: Limits, least: u64, of: impl Fn(&EqualizedOdds) -> (Ratio, f64, f64)) -> Judged {
        let (tpr, fpr) = (Rate::Tpr.eligible(&self.confusions, least), Rate::Fpr.eligible(&self.confusions, least));
        let found = fairness::equalized_odds(&self.confusions, &tpr, &fpr);
        let value = found.as_ref().map(&of);
        let eligible: Vec<usize> = tpr.iter().copied().filter(|i| fpr.binary_search(i).is_ok()).collect();
        let snapshot = self.reference_of(Rate::Tpr, least, |c, e| {
            fairness::equalized_odds(c, e, &Rate::Fpr.eligible(c, least)).map(|e| of(&e).0)
        });
        let few = || self.too_few(&eligible, least, "positives and as many negatives");
        let judged = Judgement::new(limits, value.map(|v| v.0), snapshot, few);
        let rate = found.as_ref().map(|e| e.rate);
        let mut evidence = judged.evidence(value.map(|v| (v.1, v.2)));
        evidence.push(("driven_by", rate.map_or(Value::Null, |r| r.name().into())));
        let ends = found.as_ref().map(|e| (e.worst.highest, e.worst.lowest));
        let rate = rate.unwrap_or(Rate::Tpr);
        evidence.extend(self.ends(rate, ends));
        evidence.push(("limit", limits.evidence()));
        let decides = self.extremes(rate.into(), &eligible, ends);
        let Judgement { status, reason, value, .. } = judged;
        self.finish(status, value, evidence, reason, (&eligible, &decides), snapshot.map(Ratio::value))
    }

    /// The smallest over the largest value of a metric; with a reference, of each segment's value over the reference's the one
    /// that lies worst to the limit.
    pub(super) fn ratio(&self, metric: Metric, limits: Limits, least: u64, reference: Option<&str>) -> Judged {
        let eligible = metric.eligible(&self.confusions, least);
        let ratio = |confusions: &[Confusion], eligible: &[usize], base: Option<usize>| {
            if reference.is_none() {
                return fairness::ratio(confusions, eligible, metric).map(|i| (i.exact, i.highest, i.lowest));
            }
            let ratios = fairness::ratios_to_reference(confusions, eligible, metric, base?);
            let worse = |one: (usize, Ratio), other: (usize, Ratio)| {
                if limits.is_worse(one.1, other.1) { other } else { one }
            };
            let (at, ratio) = ratios.into_iter().reduce(worse)?;
            let (highest, lowest) = if ratio > Ratio::ONE { (at, base?) } else { (base?, at) };
            Some((ratio, highest, lowest))
        };
        let comparable = eligible.len() >= 2;
        let base = self.base(&eligible, reference);
        let found = comparable.then(|| ratio(&self.confusions, &eligible, base)).flatten();
        let in_snapshot = self.base_in_snapshot(reference);
        let snapshot = self.reference_of(metric, least, |c, e| ratio(c, e, in_snapshot).map(|r| r.0));
        let zero = || match metric {
            Metric::Rate(Rate::Selection) => "nobody is selected in any segment".to_owned(),
            _ => "it is 0 in every segment".to_owned(),
        };
        let few = || Some(self.incomparable(&eligible, least, metric, reference).unwrap_or_else(zero));
        let judged = Judgement::new(limits, found.map(|f| f.0), snapshot, few);
        let ends = found.map(|(_, highest, lowest)| (highest, lowest));
        let mut evidence = self.ends(metric, ends).to_vec();
        evidence.push(("limit", limits.evidence()));
        let decides = self.extremes(metric, &eligible, ends);
        let Judgement { status, reason, value, .. } = judged;
        self.finish(status, value, evidence, reason, (&eligible, &decides), snapshot.map(Ratio::value))
    }
}
