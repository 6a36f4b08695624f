//! Rules on segments: gaps of rates between them, their safe bounds, falls below the training snapshot. Segments that are
//! too small are named and left out; fewer than two that are not make a gap `insufficient`.

use serde_json::{Map, Value, json};

use super::rules::{Judged, Window, at_least, at_most, limit, real, upper, warned};
use super::verdict::{Status, number};
use crate::baseline::Baseline;
use crate::policy::{GapMeasure, LabelAttribute, RuleKind, Upper};
use crate::stats::fairness::{self, Confusion, Rate};
use crate::stats::limit::Limit;
use crate::window::tally::SegmentCounts;

/// Two-sided α of intervals that are shown, and of `tpr_drop_lcb`; one-sided 0.05 per family in `tpr_gap_lcb`.
const ALPHA: f64 = 0.05;

/// So many segments of a result are listed: those that decide first. The others are counted.
const MOST_LISTED: usize = 200;

/// One segment in the window and in the snapshot.
struct Segment<'a> {
    name: &'a str,
    counts: SegmentCounts,
    reference: Option<Confusion>,
}

/// Reads a window's segments of one segmentation.
pub(super) struct Reader<'w, 'a> {
    window: &'w Window<'a>,
    subject: String,
    segments: Vec<Segment<'w>>,
    /// Pairs without a segment.
    unsegmented: u64,
    confusions: Vec<Confusion>,
    /// Every prediction with a decision is counted, and no label.
    selection: bool,
    /// How many rows that depend on each other count as one, in rules that have a bound.
    design_effect: f64,
    /// The snapshot's segments.
    reference: Option<&'w std::collections::BTreeMap<String, Confusion>>,
}

impl<'w, 'a> Reader<'w, 'a> {
    pub fn new(window: &'w Window<'a>, baseline: &'w Baseline, kind: &RuleKind, by: usize) -> Self {
        let selection = kind.selection_by().is_some();
        let reference =
            if selection { baseline.selection(by) } else { baseline.segments.get(by).and_then(Option::as_ref) };
        let read = |c: &SegmentCounts| if selection { c.decisions() } else { c.confusion };
        let at = window.reads.segmentations.binary_search(&by).ok();
        let counted = at.and_then(|s| window.tally.segments.get(s));
        let named = (0_u32..).zip(counted.into_iter().flatten()).filter(|(_, c)| read(c).total() > 0);
        let mut segments: Vec<Segment<'w>> = named
            .filter_map(|(code, counts)| {
                let name = window.names.segment(by, code)?;
                Some(Segment { name, counts: *counts, reference: reference.and_then(|r| r.get(name)).copied() })
            })
            .collect();
        segments.sort_unstable_by_key(|s| s.name);
        Self {
            subject: window.policy.segments.get(by).map_or_else(String::new, |s| s.name.clone()),
            // Where both are counted, it is pairs that are counted without a segment.
            unsegmented: at
                .filter(|s| window.reads.labelled.get(*s) != Some(&selection))
                .and_then(|s| window.tally.unsegmented.get(s))
                .copied()
                .unwrap_or(0),
            confusions: segments.iter().map(|s| read(&s.counts)).collect(),
            selection,
            design_effect: kind.design_effect().map_or(1.0, |written| baseline.design_effect(written)),
            segments,
            reference,
            window,
        }
    }

    pub fn judge(&self, kind: &RuleKind) -> Judged {
        match kind {
            RuleKind::Gap { measure: GapMeasure::EqualizedOdds, limit, min_positives, .. } => {
                self.equalized_odds(*limit, *min_positives)
            }
            RuleKind::Gap { measure, limit, min_positives, .. } => {
                let rate = match measure {
                    GapMeasure::Fpr => Rate::Fpr,
                    GapMeasure::Selection => Rate::Selection,
                    GapMeasure::Tpr | GapMeasure::EqualizedOdds => Rate::Tpr,
                };
                self.gap(rate, *limit, *min_positives)
            }
            RuleKind::DisparateImpact { gte, min_positives, .. } => self.disparate_impact(*gte, *min_positives),
            RuleKind::TprGapLcb { lte, min_positives, reference, .. } => {
                self.gap_bound(*lte, *min_positives, reference.as_deref())
            }
            RuleKind::TprDrop { max, min_positives, lcb: false, .. } => self.drop(*max, *min_positives),
            RuleKind::TprDrop { max, min_positives, lcb: true, .. } => self.drop_bound(*max, *min_positives),
            _ => Judged::insufficient(self.subject.clone(), "not a rule on segments"),
        }
    }

    fn name(&self, at: Option<usize>) -> Value {
        at.and_then(|i| self.segments.get(i)).map_or(Value::Null, |s| s.name.into())
    }

    /// The two ends of a gap by what is good for those who are judged: a high TPR, a low FPR. Of selection nothing is known
    /// to be good.
    fn ends(&self, rate: Rate, ends: Option<(usize, usize)>) -> [(&'static str, Value); 2] {
        let (highest, lowest) = (self.name(ends.map(|e| e.0)), self.name(ends.map(|e| e.1)));
        match rate {
            Rate::Tpr => [("best", highest), ("worst", lowest)],
            Rate::Fpr => [("best", lowest), ("worst", highest)],
            Rate::Selection => [("highest", highest), ("lowest", lowest)],
        }
    }

    fn finish(
        &self,
        status: Status,
        value: Option<f64>,
        mut evidence: Vec<(&'static str, Value)>,
        reason: Option<String>,
        (eligible, decides): (&[usize], &dyn Fn(usize) -> f64),
        reference: Option<f64>,
    ) -> Judged {
        let counted = if self.selection { Confusion::total } else { Confusion::positives };
        let n: u64 = self.confusions.iter().map(counted).sum();
        evidence.push(("n", n.into()));
        evidence.push(("reference_value", number(reference)));
        if self.unsegmented > 0 {
            evidence.push(("unsegmented", self.unsegmented.into()));
        }
        let listed = self.most_decisive(eligible, decides);
        if listed.len() < self.segments.len() {
            let left_out = |among: &dyn Fn(&usize) -> bool| {
                (0..self.segments.len()).filter(|i| listed.binary_search(i).is_err() && among(i)).collect::<Vec<_>>()
            };
            let n: u64 = left_out(&|_| true).into_iter().filter_map(|i| self.confusions.get(i)).map(counted).sum();
            let eligible = left_out(&|i| eligible.binary_search(i).is_ok()).len();
            let all = self.segments.len() - listed.len();
            evidence.push(("segments_left_out", json!({"segments": all, "eligible": eligible, "n": n})));
        }
        evidence.push(("segments", self.listed(&listed, eligible)));
        Judged { subject: self.subject.clone(), status, value, evidence, reason, bins: None }
    }

    fn too_few(&self, eligible: &[usize], least: u64, what: &str) -> Option<String> {
        (eligible.len() < 2).then(|| {
            format!("{} of {} segments have {least} {what}, two are needed", eligible.len(), self.segments.len())
        })
    }

    fn gap(&self, rate: Rate, limit_: Upper, least: u64) -> Judged {
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

    fn reference_of(&self, rate: Rate, least: u64, f: impl Fn(&[Confusion], &[usize]) -> Option<f64>) -> Option<f64> {
        let confusions: Vec<Confusion> = self.reference?.values().copied().collect();
        f(&confusions, &rate.eligible(&confusions, least))
    }

    fn equalized_odds(&self, limit_: Upper, least: u64) -> Judged {
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

    fn disparate_impact(&self, gte: Limit, least: u64) -> Judged {
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

    fn gap_bound(&self, lte: Limit, least: u64, reference: Option<&str>) -> Judged {
        let eligible = Rate::Tpr.eligible(&self.confusions, least);
        let base = reference.map(|name| self.segments.iter().position(|s| s.name == name));
        let found = match base {
            // The named segment is not in this window.
            Some(None) => None,
            Some(Some(at)) => fairness::tpr_gap_lcb(&self.confusions, &eligible, ALPHA, Some(at), self.design_effect),
            None => fairness::tpr_gap_lcb(&self.confusions, &eligible, ALPHA, None, self.design_effect),
        };
        let (status, reason) = match &found {
            None => (
                Status::Insufficient,
                Some(
                    self.too_few(&eligible, least, "positives")
                        .unwrap_or_else(|| "the reference segment is not eligible".to_owned()),
                ),
            ),
            Some(b) if b.exceeds(lte.value()) => (Status::Block, None),
            Some(b) if b.underpowered(lte.value()) => (Status::Warn, Some("underpowered".to_owned())),
            Some(_) => (Status::Pass, None),
        };
        let mut evidence = vec![
            ("lower", number(found.as_ref().map(|b| b.lcb))),
            ("upper", number(found.as_ref().map(|b| b.upper))),
            ("best", self.name(found.as_ref().map(|b| b.best))),
            ("worst", self.name(found.as_ref().map(|b| b.worst))),
            ("alpha", number(found.as_ref().map(|b| b.alpha_pair))),
            ("limit", limit("lte", lte)),
        ];
        evidence.extend(self.effect());
        let snapshot = self.reference_of(Rate::Tpr, least, |c, e| fairness::gap(c, e, Rate::Tpr).map(|g| g.value));
        let decides = self.extremes(Rate::Tpr, &eligible, found.as_ref().map(|b| (b.best, b.worst)));
        self.finish(status, found.map(|b| b.lcb), evidence, reason, (&eligible, &decides), snapshot)
    }

    /// The segments with so many positives here and in the snapshot.
    fn comparable(&self, least: u64, there: u64) -> Vec<usize> {
        let in_snapshot =
            |i: &usize| self.segments.get(*i).and_then(|s| s.reference).is_some_and(|r| r.positives() >= there.max(1));
        Rate::Tpr.eligible(&self.confusions, least).into_iter().filter(in_snapshot).collect()
    }

    /// How far each of the segments has fallen below the snapshot, with intervals at two-sided `alpha`.
    fn falls(&self, eligible: &[usize], alpha: f64) -> Vec<(usize, fairness::Fall)> {
        let fall = |&i: &usize| {
            let s = self.segments.get(i)?;
            let now = &s.counts.confusion;
            Some((i, fairness::fall_below(&s.reference?, now, Rate::Tpr, alpha, self.design_effect)?))
        };
        eligible.iter().filter_map(fall).collect()
    }

    fn drop(&self, max: Limit, least: u64) -> Judged {
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
    fn drop_bound(&self, max: Limit, least: u64) -> Judged {
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

    /// The design effect, where there is one.
    fn effect(&self) -> Option<(&'static str, Value)> {
        (self.design_effect > 1.0).then(|| ("design_effect", number(Some(self.design_effect))))
    }

    /// How near a rate stands to either end of all: these decide over gaps.
    fn extremes(&self, rate: Rate, eligible: &[usize], ends: Option<(usize, usize)>) -> impl Fn(usize) -> f64 + use<> {
        let value = |i: &usize| self.confusions.get(*i).and_then(|c| rate.value(c)).unwrap_or(f64::NAN);
        let mut sorted = eligible.to_vec();
        sorted.sort_by(|a, b| value(a).total_cmp(&value(b)).then(a.cmp(b)));
        let mut places = vec![u64::MAX; self.segments.len()];
        for (place, i) in sorted.iter().enumerate() {
            if let Some(slot) = places.get_mut(*i) {
                *slot = place.min(sorted.len() - 1 - place) as u64;
            }
        }
        move |i| match ends {
            Some((a, b)) if a == i || b == i => f64::INFINITY,
            _ => -real(places.get(i).copied().unwrap_or(u64::MAX)),
        }
    }

    /// The segments that are listed, by place: all, or those that `decides` says most of; one that is too small only where there
    /// is room, the larger first.
    fn most_decisive(&self, eligible: &[usize], decides: &dyn Fn(usize) -> f64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.segments.len()).collect();
        if order.len() > MOST_LISTED {
            let key = |i: &usize| {
                let is_eligible = eligible.binary_search(i).is_ok();
                let size = self.confusions.get(*i).map_or(0, Confusion::total);
                (is_eligible, if is_eligible { decides(*i) } else { 0.0 }, size)
            };
            order.sort_by_cached_key(|i| {
                let (is_eligible, decides, size) = key(i);
                // Largest first; of equals by name.
                std::cmp::Reverse((is_eligible, Decides(decides), size, std::cmp::Reverse(*i)))
            });
            order.truncate(MOST_LISTED);
            order.sort_unstable();
        }
        order
    }

    /// Segments by name, with their rates here and in the snapshot.
    fn listed(&self, listed: &[usize], eligible: &[usize]) -> Value {
        let prediction_time =
            self.window.policy.labels.as_ref().is_some_and(|l| l.attribute == LabelAttribute::PredictionTime);
        let list = listed.iter().filter_map(|i| Some((*i, self.segments.get(*i)?))).map(|(i, s)| {
            let mut m = Map::new();
            m.insert("segment".into(), s.name.into());
            let [no, yes] = s.counts.predicted;
            if self.selection {
                selected(&mut m, s);
                m.insert("eligible".into(), eligible.binary_search(&i).is_ok().into());
                m.insert("predicted".into(), json!({"positive": yes, "negative": no}));
                return Value::Object(m);
            }
            let c = s.counts.confusion;
            let interval = Rate::Tpr.interval(&c);
            for (key, n) in [("tp", c.tp), ("fn", c.fn_), ("fp", c.fp), ("tn", c.tn)] {
                m.insert(key.into(), n.into());
            }
            m.insert("tpr".into(), number(Rate::Tpr.value(&c)));
            m.insert("tpr_lower".into(), number(interval.map(|i| i.0)));
            m.insert("tpr_upper".into(), number(interval.map(|i| i.1)));
            m.insert("reference_tpr".into(), number(s.reference.and_then(|r| Rate::Tpr.value(&r))));
            m.insert("eligible".into(), eligible.binary_search(&i).is_ok().into());
            m.insert("predicted".into(), json!({"positive": yes, "negative": no}));
            if prediction_time {
                let (u1, u0) = (yes.saturating_sub(c.selected()), no.saturating_sub(c.fn_ + c.tn));
                let bounds = fairness::label_bounds(c.tp, c.fn_, u1, u0);
                m.insert("tpr_lowest".into(), number(bounds.as_ref().map(|b| b.lo)));
                m.insert("tpr_highest".into(), number(bounds.as_ref().map(|b| b.hi)));
            }
            Value::Object(m)
        });
        list.collect()
    }
}

/// How far each segment has fallen; those without a fall decide nothing.
fn deepest<F: Fn(&fairness::Fall) -> f64>(falls: &[(usize, fairness::Fall)], by: F) -> impl Fn(usize) -> f64 + use<F> {
    let depths: std::collections::BTreeMap<usize, f64> = falls.iter().map(|(i, f)| (*i, by(f))).collect();
    move |i| depths.get(&i).copied().unwrap_or(f64::NEG_INFINITY)
}

/// How much a segment decides.
#[derive(PartialEq)]
struct Decides(f64);

impl Eq for Decides {}

impl PartialOrd for Decides {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decides {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Who is selected in a segment, here and in the snapshot.
fn selected(m: &mut Map<String, Value>, s: &Segment<'_>) {
    let c = s.counts.decisions();
    let interval = Rate::Selection.interval(&c);
    m.insert("selected".into(), c.selected().into());
    m.insert("n".into(), c.total().into());
    m.insert("selection_rate".into(), number(Rate::Selection.value(&c)));
    m.insert("selection_rate_lower".into(), number(interval.map(|i| i.0)));
    m.insert("selection_rate_upper".into(), number(interval.map(|i| i.1)));
    m.insert("reference_selection_rate".into(), number(s.reference.and_then(|r| Rate::Selection.value(&r))));
}

fn unit(rate: Rate) -> &'static str {
    match rate {
        Rate::Tpr => "positives",
        Rate::Fpr => "negatives",
        Rate::Selection => "predictions with a decision",
    }
}
