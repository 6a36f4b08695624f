//! `by` of rules on distances: each segment's distribution against the same segment of the reference. The rule is judged in every segment by
//! itself, and the segment that is worst is its result.

use serde_json::{Value, json};

use super::counts::WindowCounts;
use super::names::PolicyNames;
use super::properties::{Opt, Takes};
use super::result::Judged;
use super::types::{Bound, Side, Status, Target};
use crate::codec::number::number;
use crate::yaml::{Map, units};

/// Of so many segments that do not pass, the worst ones, the bins stand in the result.
const MOST_WITH_BINS: usize = 12;

/// A rule compares at most so many features by segment.
const MOST_FEATURES: usize = 20;

/// The segmentation whose segments are compared.
pub(super) const BY: Opt = Opt {
    key: "by",
    takes: Takes::Segmentation,
    default: "",
    documentation: "Compares each segment of this segmentation with the same segment of the reference, in the bins of the whole snapshot. The worst \
        segment is the result; all of them stand in `segments`. Features are named in `of`, at most 20, and `features` is not among them; the values and the \
        segment come with the prediction. The 100 segments with the most rows of the snapshot are compared, the others are counted \
        (`not_compared`, `segments_left_out`).",
};

/// The segmentation that a rule on a distance names, if it names one.
#[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
pub(super) fn read(options: &[Opt], map: &Map, names: &PolicyNames) -> Option<Option<usize>> {
    let known = options.iter().any(|option| option.takes == Takes::Segmentation);
    let Some(item) = map.get(BY.key).filter(|_| known) else { return Some(None) };
    let of = map.get("of");
    let subjects = match &of {
        Some(of) if of.is_list() => of.list("feature names").unwrap_or_default(),
        Some(of) => vec![of.clone()],
        None => Vec::new(),
    };
    for subject in &subjects {
        // What is no name is reported with the other options.
        let (name, why) = match subject.scalar() {
            Some("features") => {
                ("features", "`by` needs named features, as each is counted by segment: write `of: [amount, age]`")
            }
            Some("label") => ("label", "labels are not counted by segment: write a feature or `score`"),
            Some("prediction") if names.classes.is_some() => {
                ("prediction", "predicted classes are not counted by segment: write a feature")
            }
            _ => continue,
        };
        return subject.fail(format!("{} beside `by`: {why}", units::quote(name)));
    }
    if subjects.len() > MOST_FEATURES {
        return item.fail(format!(
            "{} features by segment: a rule compares at most {MOST_FEATURES}; write several rules",
            subjects.len()
        ));
    }
    names.segmentation_of(&item).map(Some)
}

/// Judges each segment by `judge`, and gives the worst of each subject, which has this limit.
pub(super) fn judge(
    window: &dyn WindowCounts,
    by: usize,
    subjects: impl Iterator<Item = (Target, Bound)>,
    judge: &dyn Fn(&dyn WindowCounts) -> Vec<Judged>,
) -> Vec<Judged> {
    let mut found: Vec<(String, Vec<Judged>)> = Vec::new();
    window.each_segment(by, &mut |name, segment| found.push((name.to_owned(), judge(segment))));
    let mut results = worst_of_each(window, by, subjects, &found);
    // What was counted of each segment goes along to whoever keeps it.
    for (name, judged) in found {
        for (result, of_segment) in results.iter_mut().zip(judged) {
            if let (Some(bins), Some(of_segment)) = (&mut result.bins, of_segment.bins) {
                bins.by_segment.push((name.clone(), of_segment.own));
            }
        }
    }
    results
}

fn worst_of_each(
    window: &dyn WindowCounts,
    by: usize,
    subjects: impl Iterator<Item = (Target, Bound)>,
    found: &[(String, Vec<Judged>)],
) -> Vec<Judged> {
    let of = |(at, (target, bound)): (usize, (Target, Bound))| {
        let each: Vec<(&str, &Judged)> =
            found.iter().filter_map(|(name, judged)| Some((name.as_str(), judged.get(at)?))).collect();
        worst(window, target, by, bound.side, &each)
    };
    subjects.enumerate().map(of).collect()
}

fn worst(window: &dyn WindowCounts, target: Target, by: usize, side: Side, each: &[(&str, &Judged)]) -> Judged {
    let segmentation = window.segmentation(by);
    // Of equals the first by name.
    let key = |judged: &Judged| (judged.status.severity(), badness(judged, side));
    let mut chosen = None::<(&str, &Judged)>;
    for (name, judged) in each {
        let is_worse = chosen.is_none_or(|(_, other)| {
            let ((rank, bad), (other_rank, other_bad)) = (key(judged), key(other));
            rank > other_rank || rank == other_rank && bad > other_bad
        });
        if is_worse {
            chosen = Some((*name, *judged));
        }
    }
    let Some((name, of)) = chosen else {
        let why = format!("the snapshot has no segment of {segmentation}");
        return Judged::uncounted(window.target(target), why);
    };
    let mut result = of.clone();
    if result.status == Status::Insufficient {
        let why = result.reason.take().unwrap_or_default();
        result.reason = Some(format!("no segment of {segmentation} is compared; {name}: {why}"));
        (result.value, result.bins) = (None, None);
    }
    let count = |judged: &Judged, key: &str| judged.told(key).and_then(Value::as_u64).unwrap_or(0);
    let inside: u64 =
        each.iter().map(|(_, j)| ["n", "missing", "invalid"].iter().map(|key| count(j, key)).sum::<u64>()).sum();
    let all = window.distribution(target).map_or(0, |c| c.events());
    result.evidence.extend([
        ("by", segmentation.into()),
        ("segment", name.into()),
        ("not_compared", all.saturating_sub(inside).into()),
    ]);
    let left_out = window.segments_left_out(by);
    result.evidence.extend((left_out > 0).then(|| ("segments_left_out", json!({"segments": left_out}))));
    result.evidence.push(("segments", listed(each, side).into()));
    result
}

/// Every segment.
fn listed(each: &[(&str, &Judged)], side: Side) -> Vec<Value> {
    let with_bins = with_bins(each, side);
    let one = |(at, (name, judged)): (usize, &(&str, &Judged))| {
        let mut one = json!({
            "segment": name, "status": judged.status, "value": number(judged.value), "n": judged.told("n"),
            "reference_n": judged.told("reference_n"),
        });
        let bins = judged.bins.as_ref().filter(|_| with_bins.contains(&at)).and_then(|bins| bins.own.read().ok());
        let more = [("reason", judged.reason.as_deref().map(Value::from)), ("bins", bins)];
        if let Some(fields) = one.as_object_mut() {
            fields.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        one
    };
    each.iter().enumerate().map(one).collect()
}

/// The places of the worst segments that do not pass.
fn with_bins(each: &[(&str, &Judged)], side: Side) -> Vec<usize> {
    let key = |judged: &Judged| (judged.status.severity(), badness(judged, side));
    let mut failing: Vec<(usize, (u8, f64))> =
        each.iter().enumerate().map(|(at, (_, judged))| (at, key(judged))).collect();
    failing.retain(|(_, (rank, _))| *rank > Status::Pass.severity());
    failing.sort_by(|(_, (a, a_bad)), (_, (b, b_bad))| b.cmp(a).then(b_bad.total_cmp(a_bad)));
    failing.into_iter().take(MOST_WITH_BINS).map(|(at, _)| at).collect()
}

/// How bad a value is by the side of its limit; without one, how much was counted, so that the largest segment speaks.
fn badness(judged: &Judged, side: Side) -> f64 {
    let n = || judged.told("n").and_then(Value::as_f64).unwrap_or(0.0);
    match judged.value {
        _ if judged.status == Status::Insufficient => n(),
        Some(value) if matches!(side, Side::Gt | Side::Gte) => -value,
        Some(value) => value,
        None => f64::NEG_INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::stub::OneFeature;
    use super::*;

    fn judged(status: Status, value: Option<f64>, n: u64) -> Judged {
        let evidence = vec![("n", n.into()), ("missing", 1.into()), ("reference_n", 50.into())];
        let reason = (status == Status::Insufficient).then(|| format!("n {n} is few"));
        Judged { subject: "amount".into(), status, value, evidence, reason, bins: Some(json!([n]).into()) }
    }

    #[test]
    fn the_worst_segment_speaks_and_a_small_one_hides_none() {
        use Status::{Block, Insufficient, Pass, Warn};
        let window = OneFeature { cells: vec![0; 9], reference: vec![0; 9] };
        let of = |side, each: &[(&str, Judged)]| {
            let each: Vec<(&str, &Judged)> = each.iter().map(|(name, judged)| (*name, judged)).collect();
            let found = worst(&window, Target::Numeric(0), 0, side, &each);
            let segment = found.evidence.iter().find(|(key, _)| *key == "segment").unwrap().1.clone();
            (found.status, found.value, segment.as_str().unwrap().to_owned(), found.reason)
        };
        let small = || ("z", judged(Insufficient, Some(9.0), 2));
        let measured = [("a", judged(Pass, Some(0.1), 50)), ("b", judged(Warn, Some(0.15), 60)), small()];
        assert_eq!(of(Side::Lt, &measured), (Warn, Some(0.15), "b".into(), None));
        let equal = [("a", judged(Block, Some(0.3), 50)), ("b", judged(Block, Some(0.3), 60))];
        assert_eq!(of(Side::Lt, &equal).2, "a");
        let p_values = [("a", judged(Block, Some(0.001), 50)), ("b", judged(Block, Some(0.0001), 60))];
        assert_eq!(of(Side::Gte, &p_values).2, "b");
        let few = [("a", judged(Insufficient, None, 1)), small()];
        let (status, value, segment, reason) = of(Side::Lt, &few);
        assert_eq!((status, value, segment.as_str()), (Insufficient, None, "z"));
        assert_eq!(reason.unwrap(), "no segment of kind is compared; z: n 2 is few");
    }

    #[test]
    fn the_worst_segments_that_fail_have_their_bins() {
        let window = OneFeature { cells: vec![0; 9], reference: vec![0; 9] };
        let names: Vec<String> = (0..20).map(|i| format!("{i:02}")).collect();
        let status = |i: u8| if i < 5 { Status::Pass } else { Status::Block };
        let judged: Vec<Judged> = (0..20).map(|i| judged(status(i), Some(f64::from(i)), 20)).collect();
        let each: Vec<(&str, &Judged)> = names.iter().map(String::as_str).zip(&judged).collect();
        let with_bins = |side| -> Vec<String> {
            let found = worst(&window, Target::Numeric(0), 0, side, &each);
            let all = found.evidence.iter().find(|(key, _)| *key == "segments").unwrap().1.clone();
            let with = all.as_array().unwrap().iter().filter(|of| of.get("bins") == Some(&json!([20])));
            with.map(|of| of["segment"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(with_bins(Side::Lt), names[8..]);
        assert_eq!(with_bins(Side::Gte), names[5..17]);
    }

    #[test]
    fn every_segment_is_listed() {
        let window = OneFeature { cells: vec![5; 9], reference: vec![5; 9] };
        let (one, other) = (judged(Status::Pass, Some(0.1), 20), judged(Status::Insufficient, None, 3));
        let found = worst(&window, Target::Numeric(0), 0, Side::Lt, &[("a", &one), ("b", &other)]);
        let of = |key| found.evidence.iter().find(|(known, _)| *known == key).unwrap().1.clone();
        assert_eq!(of("not_compared"), 46 - 25, "45 values and a missing one, of which 23 and two are in segments");
        assert_eq!(of("segments").as_array().unwrap().len(), 2);
        assert_eq!(of("segments")[1]["reason"], "n 3 is few");
        assert!(of("segments").as_array().unwrap().iter().all(|of| of.get("bins").is_none()), "neither fails");
        let none = worst(&window, Target::Numeric(0), 0, Side::Lt, &[]);
        assert_eq!(
            (none.status, none.reason.as_deref()),
            (Status::Insufficient, Some("the snapshot has no segment of kind"))
        );
    }
}
