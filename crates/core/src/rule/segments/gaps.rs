//! Gaps and ratios of rates between segments.

use serde_json::Value;

use super::super::result::{Judged, at_least, limit, upper, warned};
use super::super::types::{Status, Upper};
use super::listed::{ComparedSegments, unit};
use crate::codec::number::number;
use crate::stats::fairness::{self, Rate};
use crate::stats::limit::Limit;

impl ComparedSegments<'_> {
    pub(super) fn gap(&self, rate: Rate, limit_: Upper, least: u64) -> Judged {
        let eligible = rate.eligible(&self.confusions, least);
        let found = fairness::gap(&self.confusions, &eligible, rate);
        let status = found.map_or(Status::Insufficient, |g| upper(g.exact, limit_));
        let mut evidence = vec![
            ("lower", number(found.as_ref().map(|g| g.lower))),
            ("upper", number(found.as_ref().map(|g| g.upper))),
        ];
        evidence.extend(self.ends(rate, found.as_ref().map(|g| (g.highest, g.lowest))));
        evidence.push(("limit", limit("lt", limit_.lt)));
        let few = || self.too_few(&eligible, least, unit(rate));
        let reason = if found.is_none() { few() } else { warned(status, limit_) };
        let reference = self.reference_of(rate, least, |c, e| fairness::gap(c, e, rate).map(|g| g.value));
        let decides = self.extremes(rate, &eligible, found.as_ref().map(|g| (g.highest, g.lowest)));
        self.finish(status, found.map(|g| g.value), evidence, reason, (&eligible, &decides), reference)
    }

    pub(super) fn equalized_odds(&self, limit_: Upper, least: u64) -> Judged {
        let (tpr, fpr) = (Rate::Tpr.eligible(&self.confusions, least), Rate::Fpr.eligible(&self.confusions, least));
        let found = fairness::equalized_odds(&self.confusions, &tpr, &fpr);
        let value = found.as_ref().map(|e| e.worst.value);
        let status = found.map_or(Status::Insufficient, |e| upper(e.worst.exact, limit_));
        // The two rates' gaps are compared with one limit: best and worst are those of the rate with the larger gap.
        let rate = found.as_ref().map(|e| e.rate);
        let mut evidence = vec![
            ("lower", number(found.as_ref().map(|e| e.worst.lower))),
            ("upper", number(found.as_ref().map(|e| e.worst.upper))),
            ("driven_by", rate.map_or(Value::Null, |r| r.name().into())),
        ];
        let ends = found.as_ref().map(|e| (e.worst.highest, e.worst.lowest));
        evidence.extend(self.ends(rate.unwrap_or(Rate::Tpr), ends));
        evidence.push(("limit", limit("lt", limit_.lt)));
        let eligible: Vec<usize> = tpr.iter().copied().filter(|i| fpr.binary_search(i).is_ok()).collect();
        let few = || self.too_few(&eligible, least, "positives and as many negatives");
        let reason = if found.is_none() { few() } else { warned(status, limit_) };
        let reference = self.reference_of(Rate::Tpr, least, |c, e| {
            fairness::equalized_odds(c, e, &Rate::Fpr.eligible(c, least)).map(|e| e.worst.value)
        });
        let decides = self.extremes(rate.unwrap_or(Rate::Tpr), &eligible, ends);
        self.finish(status, value, evidence, reason, (&eligible, &decides), reference)
    }

    pub(super) fn disparate_impact(&self, gte: Limit, least: u64) -> Judged {
        let eligible = Rate::Selection.eligible(&self.confusions, least);
        let found = if eligible.len() < 2 { None } else { fairness::disparate_impact(&self.confusions, &eligible) };
        let status = found.map_or(Status::Insufficient, |i| at_least(i.exact, gte));
        let mut evidence = self.ends(Rate::Selection, found.as_ref().map(|i| (i.highest, i.lowest))).to_vec();
        evidence.push(("limit", limit("gte", gte)));
        let reason = found.is_none().then(|| {
            self.too_few(&eligible, least, unit(Rate::Selection))
                .unwrap_or_else(|| "nobody is selected in any segment".to_owned())
        });
        let reference =
            self.reference_of(Rate::Selection, least, |c, e| fairness::disparate_impact(c, e).map(|i| i.value));
        let decides = self.extremes(Rate::Selection, &eligible, found.as_ref().map(|i| (i.highest, i.lowest)));
        self.finish(status, found.map(|i| i.value), evidence, reason, (&eligible, &decides), reference)
    }
}
