//! Gaps and ratios between segments of what is no proportion: errors of predicted numbers, balanced accuracy of several classes. They show no
//! interval; within a budget they have one.

use serde_json::{Map, Value, json};

use super::super::limits::Limits;
use super::super::result::{Certain, Judged};
use super::super::types::Status;
use super::certain::{self, SegmentBounds, Sides};
use super::gaps::place;
use super::listed::{MOST_LISTED, named_ends, small_reference, too_few};
use crate::codec::number::number;
use crate::stats::limit::Amount;

/// A segment's value of a metric.
#[derive(Clone, Copy)]
pub(super) struct SegmentAmount<'w> {
    pub name: &'w str,
    /// How many labelled predictions it rests on.
    pub n: u64,
    pub value: Option<Amount>,
}

/// A window's segments of one segmentation by the value of one metric.
pub(super) struct ComparedAmounts<'w> {
    /// The segmentation's name.
    pub subject: &'w str,
    /// The metric's name, and of what a segment must have enough.
    pub metric: &'static str,
    pub unit: &'static str,
    /// Whether a high value is good; `None` where neither end is.
    pub high_is_good: Option<bool>,
    /// By name.
    pub each: Vec<SegmentAmount<'w>>,
    /// The segments of what is compared with, by name; `None` where nothing is known of them.
    pub reference: Option<Vec<SegmentAmount<'w>>>,
    /// Labelled predictions without a segment.
    pub unsegmented: u64,
}

/// What a rule compares, and with which limits.
pub(super) struct Comparing<'r> {
    pub is_ratio: bool,
    pub limits: Limits,
    /// The segment that the others are compared with.
    pub reference: Option<&'r str>,
    /// The fewest labelled predictions of a segment, and of all.
    pub least: u64,
    pub min_samples: Option<u64>,
}

/// A comparison, and the names of the segments with the larger and the smaller value.
type Found<'w> = (Amount, &'w str, &'w str);

impl Comparing<'_> {
    fn is_eligible(&self, segment: &SegmentAmount<'_>) -> bool {
        segment.n >= self.least.max(1) && segment.value.is_some()
    }

    /// Of segments by name, each with where its value lies at a level, those that are compared.
    pub fn sides<'c>(&self, segments: impl Iterator<Item = (SegmentAmount<'c>, SegmentBounds<'c>)>) -> Sides<'c> {
        let eligible = segments.filter(|(segment, _)| self.is_eligible(segment));
        let (names, each): (Vec<&str>, Vec<SegmentBounds<'c>>) =
            eligible.map(|(segment, bounds)| (segment.name, bounds)).unzip();
        let base = place(names.into_iter(), self.reference);
        Sides { each, base, is_to_base: self.reference.is_some() }
    }

    /// Where the gap or the ratio lies at a level.
    pub fn certain(&self, here: &Sides<'_>, there: Option<&Sides<'_>>, alpha: f64) -> Option<Certain> {
        let of = if self.is_ratio { certain::ratio } else { certain::gap };
        of(&self.limits, (here, there), alpha)
    }

    /// The gap or the ratio over eligible segments.
    fn of<'w>(&self, segments: &[SegmentAmount<'w>]) -> Option<Found<'w>> {
        let each: Vec<(&str, Amount)> = segments
            .iter()
            .filter(|segment| self.is_eligible(segment))
            .filter_map(|segment| Some((segment.name, segment.value?)))
            .collect();
        if each.len() < 2 {
            return None;
        }
        if let Some(reference) = self.reference {
            let base = each.iter().find(|(name, _)| *name == reference)?;
            let pairs = each.iter().filter(|(name, _)| *name != reference).filter_map(|of| self.beside(*of, *base));
            return pairs.reduce(|one, other| if self.is_worse(one.0, other.0) { other } else { one });
        }
        // Of equal ones the first by name.
        let of = |is_better: fn(std::cmp::Ordering) -> bool| {
            each.iter().copied().reduce(|one, other| if is_better(other.1.order(one.1)) { other } else { one })
        };
        let (high, low) = (of(std::cmp::Ordering::is_gt)?, of(std::cmp::Ordering::is_lt)?);
        let value = if self.is_ratio { low.1.over(high.1)? } else { high.1.minus(low.1) };
        Some((value, high.0, low.0))
    }

    /// A segment beside that of the reference.
    fn beside<'w>(&self, (name, value): (&'w str, Amount), (base_name, base): (&'w str, Amount)) -> Option<Found<'w>> {
        let is_higher = value.order(base).is_gt();
        let (high, low) = if is_higher { (name, base_name) } else { (base_name, name) };
        let compared = match (self.is_ratio, is_higher) {
            (true, _) => value.over(base)?,
            (false, true) => value.minus(base),
            (false, false) => base.minus(value),
        };
        Some((compared, high, low))
    }

    fn is_worse(&self, one: Amount, other: Amount) -> bool {
        if self.is_ratio { self.limits.is_worse(one, other) } else { other.order(one).is_gt() }
    }

    /// Judges the segments.
    pub fn judge(&self, segments: &ComparedAmounts<'_>) -> Judged {
        let found = self.of(&segments.each);
        let then = segments.reference.as_ref().and_then(|reference| self.of(reference));
        let (now, then_value) = (found.map(|found| found.0), then.map(|then| then.0));
        let compared = match self.limits.change() {
            None => now,
            Some((change, tolerance)) => {
                now.zip(then_value).and_then(|(now, then)| change.of_amounts(tolerance, now, then))
            }
        };
        let (status, reason) = match (now, compared) {
            (None, _) => (Status::Insufficient, Some(self.incomparable(segments))),
            (_, None) => (Status::Insufficient, Some("the reference has no value to compare with".to_owned())),
            (_, Some(value)) => self.limits.status(value),
        };
        let n: u64 = segments.each.iter().map(|segment| segment.n).sum();
        let (status, reason) = Limits::with_least((status, reason), n, self.min_samples);
        let value = |amount: Option<Amount>| number(amount.map(Amount::value));
        let mut evidence = Vec::new();
        evidence.extend(self.limits.is_change().then(|| ("now", value(now))));
        let (high, low) = found.map_or((Value::Null, Value::Null), |(_, high, low)| (high.into(), low.into()));
        evidence.extend(named_ends(segments.high_is_good, high, low));
        evidence.extend([("limit", self.limits.evidence()), ("n", n.into()), ("reference_value", value(then_value))]);
        evidence.extend((segments.unsegmented > 0).then(|| ("unsegmented", segments.unsegmented.into())));
        evidence.extend(self.listed(segments));
        let value = compared.map(Amount::value);
        Judged { subject: segments.subject.to_owned(), status, value, evidence, reason, bins: None }
    }

    /// Why nothing can be compared.
    fn incomparable(&self, segments: &ComparedAmounts<'_>) -> String {
        let (least, unit) = (self.least.max(1), segments.unit);
        let eligible = || segments.each.iter().filter(|segment| self.is_eligible(segment));
        let is_known = |name: &str| eligible().any(|segment| segment.name == name);
        match self.reference {
            _ if eligible().count() < 2 => too_few(eligible().count(), segments.each.len(), least, unit),
            Some(name) if !is_known(name) => small_reference(name, least, unit),
            _ => "it is 0 in every segment that it could be divided by".to_owned(),
        }
    }

    /// The segments by name, those at either end where they are many, and what is left out of them where they are many.
    fn listed(&self, segments: &ComparedAmounts<'_>) -> Vec<(&'static str, Value)> {
        let mut order: Vec<(usize, &SegmentAmount<'_>)> = segments.each.iter().enumerate().collect();
        let mut evidence = Vec::new();
        if order.len() > MOST_LISTED {
            // From either end of the eligible ones; then what is not, the larger first.
            let value = |segment: &SegmentAmount<'_>| segment.value.map_or(0.0, Amount::value);
            let (mut eligible, mut others): (Vec<_>, Vec<_>) =
                order.into_iter().partition(|(_, s)| self.is_eligible(s));
            eligible.sort_by(|(i, a), (j, b)| value(a).total_cmp(&value(b)).then(i.cmp(j)));
            others.sort_by_key(|(i, segment)| (std::cmp::Reverse(segment.n), *i));
            let (all, half) = (eligible.len(), MOST_LISTED / 2);
            let middle = if all > MOST_LISTED { eligible.drain(half..all - half).collect() } else { Vec::new() };
            let small = others.split_off(others.len().min(MOST_LISTED - eligible.len()));
            let left_out = middle.iter().chain(&small);
            let n: u64 = left_out.clone().map(|(_, segment)| segment.n).sum();
            let told = json!({"segments": left_out.count(), "eligible": middle.len(), "n": n});
            evidence.push(("segments_left_out", told));
            order = eligible.into_iter().chain(others).collect();
            order.sort_unstable_by_key(|(i, _)| *i);
        }
        let reference = |name: &str| segments.reference.as_ref()?.iter().find(|segment| segment.name == name)?.value;
        let one = |(_, segment): (usize, &SegmentAmount<'_>)| {
            let mut one = Map::new();
            one.insert("segment".into(), segment.name.into());
            one.insert("n".into(), segment.n.into());
            one.insert(segments.metric.into(), number(segment.value.map(Amount::value)));
            let then = number(reference(segment.name).map(Amount::value));
            one.insert(format!("reference_{}", segments.metric), then);
            one.insert("eligible".into(), self.is_eligible(segment).into());
            Value::Object(one)
        };
        evidence.push(("segments", order.into_iter().map(one).collect()));
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::Region;
    use super::super::super::types::Side;
    use super::*;
    use crate::stats::limit::Limit;

    fn comparing(is_ratio: bool, region: Region, reference: Option<&str>) -> Comparing<'_> {
        Comparing { is_ratio, limits: Limits { region, warn: None }, reference, least: 10, min_samples: None }
    }

    fn segments(each: &[(&'static str, u64, f64)]) -> ComparedAmounts<'static> {
        let one = |&(name, n, value): &(&'static str, u64, f64)| SegmentAmount {
            name,
            n,
            value: (!value.is_nan()).then_some(Amount::Float(value)),
        };
        ComparedAmounts {
            subject: "country",
            metric: "mae",
            unit: "labelled predictions",
            high_is_good: Some(false),
            each: each.iter().map(one).collect(),
            reference: None,
            unsegmented: 3,
        }
    }

    fn limit(side: Side, text: &str) -> Region {
        Region::Side(side, Limit::read(text).unwrap())
    }

    #[test]
    fn the_largest_less_the_smallest_of_eligible_segments_is_the_gap() {
        let of = segments(&[("a", 20, 4.0), ("b", 9, 99.0), ("c", 30, 1.5), ("d", 50, f64::NAN), ("e", 12, 4.0)]);
        let judged = comparing(false, limit(Side::Lt, "2.5"), None).judge(&of);
        assert_eq!((judged.status, judged.value), (Status::Block, Some(2.5)));
        let told = |key| judged.told(key).cloned().unwrap();
        assert_eq!((told("best"), told("worst"), told("n")), ("c".into(), "a".into(), 121.into()));
        assert_eq!(told("unsegmented"), 3);
        assert_eq!(
            told("segments")[1],
            json!({"segment": "b", "n": 9, "mae": 99.0, "reference_mae": null, "eligible": false})
        );
        let to_reference = comparing(false, limit(Side::Lt, "1"), Some("e")).judge(&of);
        assert_eq!((to_reference.value, to_reference.told("worst")), (Some(2.5), Some(&"e".into())));
        let few = comparing(false, limit(Side::Lt, "1"), Some("b")).judge(&of);
        assert_eq!((few.status, few.value), (Status::Insufficient, None));
        assert_eq!(few.reason.unwrap(), "the reference segment \"b\" does not have 10 labelled predictions");
        let one = comparing(false, limit(Side::Lt, "1"), None).judge(&segments(&[("a", 20, 4.0), ("b", 9, 1.0)]));
        assert_eq!(one.reason.unwrap(), "1 of 2 segments have 10 labelled predictions, two are needed");
    }

    #[test]
    fn ratios_are_of_the_smallest_over_the_largest_or_to_a_reference() {
        let of = segments(&[("a", 20, 4.0), ("c", 30, 1.0), ("e", 12, 5.0)]);
        assert_eq!(comparing(true, limit(Side::Gte, "0.8"), None).judge(&of).value, Some(0.2));
        let band = Region::Between(Limit::read("0.8").unwrap(), Limit::read("1.25").unwrap());
        let judged = comparing(true, band, Some("a")).judge(&of);
        assert_eq!(
            (judged.value, judged.status),
            (Some(0.25), Status::Block),
            "c is further beyond the band than e, which is at its end"
        );
        let zeros = segments(&[("a", 20, 0.0), ("b", 20, 0.0)]);
        let none = comparing(true, limit(Side::Gte, "0.8"), None).judge(&zeros);
        assert_eq!(
            (none.status, none.reason.as_deref()),
            (Status::Insufficient, Some("it is 0 in every segment that it could be divided by"))
        );
    }

    #[test]
    fn of_many_segments_those_at_either_end_are_listed() {
        let names: Vec<String> = (0..300).map(|i| format!("{i:03}")).collect();
        let amount = |(name, i): (&'static String, u32)| SegmentAmount {
            name,
            n: if i < 250 { 20 } else { 5 },
            value: Some(Amount::Float(f64::from(i))),
        };
        let names: &'static [String] = Box::leak(names.into_boxed_slice());
        let all = ComparedAmounts { each: names.iter().zip(0..).map(amount).collect(), ..segments(&[]) };
        let judged = comparing(false, limit(Side::Lt, "1"), None).judge(&all);
        let listed = judged.told("segments").unwrap().as_array().unwrap();
        assert_eq!(
            (listed.len(), &listed[99]["segment"], &listed[100]["segment"]),
            (200, &"099".into(), &"150".into())
        );
        assert_eq!(
            judged.told("segments_left_out"),
            Some(&json!({"segments": 100, "eligible": 50, "n": 50 * 20 + 50 * 5}))
        );
    }
}
