//! Bounds of gaps, and drops of each segment's rate below the snapshot's.

use super::super::result::{Judged, at_most, limit, real};
use super::super::types::Status;
use super::listed::{ComparedSegments, unit};
use crate::codec::number::number;
use crate::stats::fairness::{self, Rate};
use crate::stats::limit::Limit;

/// Two-sided α of intervals that are shown, and of `tpr_drop_lcb`; one-sided 0.05 per family in `tpr_gap_lcb`.
const ALPHA: f64 = 0.05;

impl ComparedSegments<'_> {
    /// A bound of the gap of a rate; `comparisons` is of how many such gaps the worst one is taken, for which each is corrected (Bonferroni).
    pub(super) fn gap_bound(
        &self,
        (rate, comparisons): (Rate, u64),
        lte: Limit,
        least: u64,
        reference: Option<&str>,
    ) -> Judged {
        let alpha = ALPHA / real(comparisons.max(1));
        let eligible = rate.eligible(&self.confusions, least);
        let base = reference.map(|name| self.each.iter().position(|s| s.name == name));
        let found = match base {
            // The named segment is not in this window.
            Some(None) => None,
            Some(at) => fairness::gap_lcb(&self.confusions, &eligible, rate, alpha, at, self.design_effect),
            None => fairness::gap_lcb(&self.confusions, &eligible, rate, alpha, None, self.design_effect),
        };
        let (status, reason) = match &found {
            None => (
                Status::Insufficient,
                Some(
                    self.too_few(&eligible, least, unit(rate))
                        .unwrap_or_else(|| "the reference segment is not eligible".to_owned()),
                ),
            ),
            Some(b) if b.exceeds(lte.value()) => (Status::Block, None),
            Some(b) if b.underpowered(lte.value()) => (Status::Warn, Some("underpowered".to_owned())),
            Some(_) => (Status::Pass, None),
        };
        let mut evidence =
            vec![("lower", number(found.as_ref().map(|b| b.lcb))), ("upper", number(found.as_ref().map(|b| b.upper)))];
        evidence.extend(self.ends(rate, found.as_ref().map(|b| (b.highest, b.lowest))));
        evidence.extend([("alpha", number(found.as_ref().map(|b| b.alpha_pair))), ("limit", limit("lte", lte))]);
        evidence.extend(self.effect());
        let snapshot = self.reference_of(rate, least, |c, e| fairness::gap(c, e, rate).map(|g| g.value));
        let decides = self.extremes(rate.into(), &eligible, found.as_ref().map(|b| (b.highest, b.lowest)));
        self.finish(status, found.map(|b| b.lcb), evidence, reason, (&eligible, &decides), snapshot)
    }

    /// The segments with so many positives here and in the snapshot.
    pub(super) fn comparable(&self, least: u64, there: u64) -> Vec<usize> {
        let in_snapshot =
            |i: &usize| self.each.get(*i).and_then(|s| s.reference).is_some_and(|r| r.positives() >= there.max(1));
        Rate::Tpr.eligible(&self.confusions, least).into_iter().filter(in_snapshot).collect()
    }

    /// How far each of the segments has fallen below the snapshot, with intervals at two-sided `alpha`.
    fn falls(&self, eligible: &[usize], alpha: f64) -> Vec<(usize, fairness::Fall)> {
        let fall = |&i: &usize| {
            let s = self.each.get(i)?;
            let now = &s.confusion;
            Some((i, fairness::fall_below(&s.reference?, now, Rate::Tpr, alpha, self.design_effect)?))
        };
        eligible.iter().filter_map(fall).collect()
    }

    pub(super) fn drop(&self, max: Limit, least: u64) -> Judged {
        let eligible = self.comparable(least, least);
        let falls = self.falls(&eligible, ALPHA);
        let decides = deepest(&falls, |f| f.value);
        let worst = falls.into_iter().max_by(|(_, a), (_, b)| a.exact.cmp(&b.exact));
        let (status, reason) = match &worst {
            None => (Status::Insufficient, Some(format!("no segment has {least} positives here and in the snapshot"))),
            Some((_, f)) => (at_most(f.exact, max), None),
        };
        let evidence = vec![
            ("lower", number(worst.as_ref().map(|(_, f)| f.lower))),
            ("upper", number(worst.as_ref().map(|(_, f)| f.upper))),
            ("worst", self.name(worst.as_ref().map(|(i, _)| *i))),
            ("limit", limit("max", max)),
        ];
        self.finish(status, worst.map(|(_, f)| f.value), evidence, reason, (&eligible, &decides), None)
    }

    /// The bound takes the sizes of both samples into account, so any in the snapshot will do. The largest of S bounds decides:
    /// each is at two-sided α/S (Bonferroni).
    pub(super) fn drop_bound(&self, max: Limit, least: u64) -> Judged {
        let eligible = self.comparable(least, 1);
        let alpha = ALPHA / real(eligible.len().max(1) as u64);
        let falls = self.falls(&eligible, alpha);
        let decides = deepest(&falls, |f| f.lower);
        let worst = falls.into_iter().max_by(|(_, a), (_, b)| a.lower.total_cmp(&b.lower));
        let (status, reason) = match &worst {
            None => {
                (Status::Insufficient, Some(format!("no segment has {least} positives here and any in the snapshot")))
            }
            Some((_, f)) => (at_most(f.lower, max), None),
        };
        let mut evidence = vec![
            ("lower", number(worst.as_ref().map(|(_, f)| f.lower))),
            ("upper", number(worst.as_ref().map(|(_, f)| f.upper))),
            ("worst", self.name(worst.as_ref().map(|(i, _)| *i))),
            ("alpha", number(Some(alpha).filter(|_| worst.is_some()))),
            ("limit", limit("max", max)),
        ];
        evidence.extend(self.effect());
        self.finish(status, worst.map(|(_, f)| f.lower), evidence, reason, (&eligible, &decides), None)
    }
}

/// How far each segment has fallen; those without a fall decide nothing.
fn deepest<F: Fn(&fairness::Fall) -> f64>(falls: &[(usize, fairness::Fall)], by: F) -> impl Fn(usize) -> f64 + use<F> {
    let depths: std::collections::BTreeMap<usize, f64> = falls.iter().map(|(i, f)| (*i, by(f))).collect();
    move |i| depths.get(&i).copied().unwrap_or(f64::NEG_INFINITY)
}
