//! The segments of one segmentation beside the snapshot's, and what every result over segments shows of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::counts::{Segment, Segments, SegmentsOf, WindowCounts};
use super::super::limits::Limits;
use super::super::result::{Judged, real};
use super::super::types::Status;
use crate::codec::number::number;
use crate::stats::fairness::{self, Confusion, Rate};
use crate::stats::multiclass::ByClass;
use crate::stats::quality::Metric;

/// So many segments of a result are listed: those that decide first. The others are counted.
pub(super) const MOST_LISTED: usize = 200;

/// A window's segments of one segmentation.
pub(super) struct ComparedSegments<'w> {
    window: &'w dyn WindowCounts,
    subject: &'w str,
    pub each: Vec<Segment<'w>>,
    /// Pairs without a segment.
    unsegmented: u64,
    pub confusions: Vec<Confusion>,
    /// Every prediction with a decision is counted, and no label.
    selection: bool,
    /// Which metric the rule names, and how; the older rules show the TPR, or who is selected.
    shown: Option<(&'static str, Metric)>,
    /// The rule's own minimum of samples over all segments.
    min_samples: Option<u64>,
    /// How many rows that depend on each other count as one, in rules that have a bound.
    pub design_effect: f64,
    /// The snapshot's segments.
    pub(super) reference: Option<Cow<'w, BTreeMap<String, Confusion>>>,
}

impl<'w> ComparedSegments<'w> {
    pub fn new(window: &'w dyn WindowCounts, by: usize, selection: bool, design_effect: f64) -> Self {
        let Segments { name, each, unsegmented, reference } = window.segments(by, selection);
        Self::of((window, name), each, unsegmented, reference.map(Cow::Borrowed), (selection, design_effect))
    }

    /// The segments of one class against all others, or without a class of right and wrong ones.
    pub fn of_class(
        window: &'w dyn WindowCounts,
        by: usize,
        segments: &SegmentsOf<'w, ByClass>,
        class: Option<usize>,
        design_effect: f64,
    ) -> Self {
        let of = |counts: &ByClass| class.map_or_else(|| counts.right(), |class| counts.against_others(class));
        let reference = segments.reference.as_ref().map(|each| {
            each.iter().map(|(name, counts)| ((*name).to_owned(), of(counts))).collect::<BTreeMap<String, Confusion>>()
        });
        let then = |name: &str| reference.as_ref().and_then(|known| known.get(name)).copied();
        let one = |(name, counts): &(&'w str, ByClass)| Segment {
            name,
            confusion: of(counts),
            predicted: [0; 2],
            reference: then(name),
        };
        let each = segments.each.iter().map(one).collect();
        let name = window.segmentation(by);
        Self::of((window, name), each, segments.unsegmented, reference.map(Cow::Owned), (false, design_effect))
    }

    fn of(
        (window, subject): (&'w dyn WindowCounts, &'w str),
        each: Vec<Segment<'w>>,
        unsegmented: u64,
        reference: Option<Cow<'w, BTreeMap<String, Confusion>>>,
        (selection, design_effect): (bool, f64),
    ) -> Self {
        let read = |s: &Segment<'_>| if selection { Confusion::of_decisions(s.predicted) } else { s.confusion };
        Self {
            window,
            subject,
            confusions: each.iter().map(read).collect(),
            each,
            unsegmented,
            selection,
            shown: None,
            min_samples: None,
            design_effect,
            reference,
        }
    }

    /// The same, showing the metric that the rule names.
    pub fn showing(self, name: &'static str, metric: Metric) -> Self {
        Self { shown: Some((name, metric)), ..self }
    }

    /// The same, `insufficient` below so many samples over all segments.
    pub fn with_least(self, min_samples: Option<u64>) -> Self {
        Self { min_samples, ..self }
    }

    /// What `n` counts of a segment: what the rule's metric rests on; in the older rules positives, or decisions.
    fn samples(&self, counts: &Confusion) -> u64 {
        match self.shown {
            Some((_, metric)) => metric.samples(counts),
            None if self.selection => counts.total(),
            None => counts.positives(),
        }
    }

    pub(super) fn name(&self, at: Option<usize>) -> Value {
        at.and_then(|i| self.each.get(i)).map_or(Value::Null, |s| s.name.into())
    }

    /// The two ends of a gap by what is good for those who are judged: a high TPR, a low FPR. Of selection nothing is known
    /// to be good.
    pub(super) fn ends(&self, metric: impl Into<Metric>, ends: Option<(usize, usize)>) -> [(&'static str, Value); 2] {
        let (highest, lowest) = (self.name(ends.map(|e| e.0)), self.name(ends.map(|e| e.1)));
        named_ends(metric.into().high_is_good(), highest, lowest)
    }

    pub(super) fn finish(
        &self,
        status: Status,
        value: Option<f64>,
        mut evidence: Vec<(&'static str, Value)>,
        reason: Option<String>,
        (eligible, decides): (&[usize], &dyn Fn(usize) -> f64),
        reference: Option<f64>,
    ) -> Judged {
        let n: u64 = self.confusions.iter().map(|c| self.samples(c)).sum();
        let (status, reason) = Limits::with_least((status, reason), n, self.min_samples);
        evidence.push(("n", n.into()));
        evidence.push(("reference_value", number(reference)));
        if self.unsegmented > 0 {
            evidence.push(("unsegmented", self.unsegmented.into()));
        }
        let listed = self.most_decisive(eligible, decides);
        if listed.len() < self.each.len() {
            let left_out = |among: &dyn Fn(&usize) -> bool| {
                (0..self.each.len()).filter(|i| listed.binary_search(i).is_err() && among(i)).collect::<Vec<_>>()
            };
            let n: u64 =
                left_out(&|_| true).into_iter().filter_map(|i| self.confusions.get(i)).map(|c| self.samples(c)).sum();
            let eligible = left_out(&|i| eligible.binary_search(i).is_ok()).len();
            let all = self.each.len() - listed.len();
            evidence.push(("segments_left_out", json!({"segments": all, "eligible": eligible, "n": n})));
        }
        evidence.push(("segments", self.listed(&listed, eligible)));
        Judged { subject: self.subject.to_owned(), status, value, evidence, reason, bins: None }
    }

    pub(super) fn too_few(&self, eligible: &[usize], least: u64, what: &str) -> Option<String> {
        (eligible.len() < 2).then(|| too_few(eligible.len(), self.each.len(), least, what))
    }

    pub(super) fn reference_of<T>(
        &self,
        metric: impl Into<Metric>,
        least: u64,
        f: impl Fn(&[Confusion], &[usize]) -> Option<T>,
    ) -> Option<T> {
        let confusions: Vec<Confusion> = self.reference.as_ref()?.values().copied().collect();
        f(&confusions, &metric.into().eligible(&confusions, least))
    }

    /// How many rows that depend on each other count as one.
    pub(super) fn effect_of_rows(&self) -> f64 {
        if self.design_effect > 1.0 { self.design_effect } else { self.window.design_effect(None) }
    }

    /// The design effect, where there is one.
    pub(super) fn effect(&self) -> Option<(&'static str, Value)> {
        (self.design_effect > 1.0).then(|| ("design_effect", number(Some(self.design_effect))))
    }

    /// How near a rate stands to either end of all: these decide over gaps.
    pub(super) fn extremes(
        &self,
        metric: Metric,
        eligible: &[usize],
        ends: Option<(usize, usize)>,
    ) -> impl Fn(usize) -> f64 + use<> {
        let value = |i: &usize| self.confusions.get(*i).and_then(|c| metric.value(c)).unwrap_or(f64::NAN);
        let mut sorted = eligible.to_vec();
        sorted.sort_by(|a, b| value(a).total_cmp(&value(b)).then(a.cmp(b)));
        let mut places = vec![u64::MAX; self.each.len()];
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
        let mut order: Vec<usize> = (0..self.each.len()).collect();
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
        let prediction_time = self.window.labels_may_come();
        let list = listed.iter().filter_map(|i| Some((*i, self.each.get(*i)?))).map(|(i, s)| {
            let mut m = Map::new();
            m.insert("segment".into(), s.name.into());
            let [no, yes] = s.predicted;
            if self.selection {
                selected(&mut m, s);
                m.insert("eligible".into(), eligible.binary_search(&i).is_ok().into());
                m.insert("predicted".into(), json!({"positive": yes, "negative": no}));
                return Value::Object(m);
            }
            let c = s.confusion;
            for (key, n) in [("tp", c.tp), ("fn", c.fn_), ("fp", c.fp), ("tn", c.tn)] {
                m.insert(key.into(), n.into());
            }
            let (name, metric) = self.shown.unwrap_or(("tpr", Metric::Rate(Rate::Tpr)));
            measured(&mut m, (name, metric), &c, s.reference.as_ref());
            m.insert("eligible".into(), eligible.binary_search(&i).is_ok().into());
            m.insert("predicted".into(), json!({"positive": yes, "negative": no}));
            if prediction_time && metric == Metric::Rate(Rate::Tpr) {
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

/// A metric of a segment under the name that the rule gives it, here and in the snapshot.
fn measured(
    m: &mut Map<String, Value>,
    (name, metric): (&str, Metric),
    counts: &Confusion,
    reference: Option<&Confusion>,
) {
    let interval = metric.interval(counts);
    m.insert(name.into(), number(metric.value(counts)));
    m.insert(format!("{name}_lower"), number(interval.map(|i| i.0)));
    m.insert(format!("{name}_upper"), number(interval.map(|i| i.1)));
    m.insert(format!("reference_{name}"), number(reference.and_then(|r| metric.value(r))));
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
    let c = Confusion::of_decisions(s.predicted);
    let interval = Rate::Selection.interval(&c);
    m.insert("selected".into(), c.selected().into());
    m.insert("n".into(), c.total().into());
    m.insert("selection_rate".into(), number(Rate::Selection.value(&c)));
    m.insert("selection_rate_lower".into(), number(interval.map(|i| i.0)));
    m.insert("selection_rate_upper".into(), number(interval.map(|i| i.1)));
    m.insert("reference_selection_rate".into(), number(s.reference.and_then(|r| Rate::Selection.value(&r))));
}

/// The two ends by whether a high value is good for those who are judged; of some nothing is known to be good.
pub(super) fn named_ends(high_is_good: Option<bool>, highest: Value, lowest: Value) -> [(&'static str, Value); 2] {
    match high_is_good {
        Some(true) => [("best", highest), ("worst", lowest)],
        Some(false) => [("best", lowest), ("worst", highest)],
        None => [("highest", highest), ("lowest", lowest)],
    }
}

/// Why nothing can be compared where too few segments have enough.
pub(super) fn too_few(eligible: usize, all: usize, least: u64, what: &str) -> String {
    format!("{eligible} of {all} segments have {least} {what}, two are needed")
}

/// Why nothing can be compared with a segment that does not have enough.
pub(super) fn small_reference(name: &str, least: u64, what: &str) -> String {
    format!("the reference segment {name:?} does not have {least} {what}")
}

/// What a segment must have enough of.
pub(super) fn unit(metric: impl Into<Metric>) -> &'static str {
    match metric.into() {
        Metric::Rate(Rate::Tpr | Rate::Fnr) | Metric::F1 => "positives",
        Metric::Rate(Rate::Fpr | Rate::Specificity) => "negatives",
        Metric::Rate(Rate::Selection) => "predictions with a decision",
        Metric::Rate(Rate::Accuracy) => "labelled predictions",
        Metric::Rate(Rate::Precision | Rate::Fdr) => "positive decisions",
        Metric::Rate(Rate::For) => "negative decisions",
        Metric::BalancedAccuracy => "positives and as many negatives",
    }
}
