//! The join table against its rules written down as simply as can be, over any interleaving of predictions, labels and
//! sweeps; with blocks of a few rows, so that blocks are begun, straddled and dropped.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::meeting::Meeting;
use super::*;
use crate::event::Flag;

#[derive(Clone, Debug)]
struct Held {
    new: Pending,
    segments: Vec<u32>,
    marks: Marks,
}

/// What a label is kept for, and by what.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    /// No prediction met it.
    Waits,
    /// For predictions of other versions.
    Met,
    /// The same, as the first of its id, beside the prediction of this time.
    Beside(i64),
}

/// The rules: an id's predictions and labels, in the order they were read.
struct Rules {
    bounds: Bounds,
    pending: BTreeMap<u128, Vec<Held>>,
    labels: BTreeMap<u128, Vec<(JoinOutcome, Kept)>>,
    swept_at: i64,
}

type Joined = (Pending, Vec<u32>, JoinOutcome);

impl Rules {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, pending: BTreeMap::new(), labels: BTreeMap::new(), swept_at: i64::MIN }
    }

    fn prediction(&mut self, id: u128, new: Pending, segments: &[u32], pairs: &mut Vec<Joined>) -> Arrival {
        let b = self.bounds;
        let held = self.pending.entry(id).or_default();
        if held.iter().any(|h| h.new.version == new.version && new.ts <= h.new.ts + b.horizon) {
            return Arrival::Duplicate;
        }
        let beside = held.iter().any(|h| h.new.version != new.version && (h.new.ts - new.ts).abs() <= b.horizon);
        let (mut ended, mut marks) = (Ended::default(), Marks::default());
        for (n, (outcome, kept)) in self.labels.entry(id).or_default().iter_mut().enumerate() {
            let rel = outcome.ts - new.ts;
            // One that was met before is for this prediction too, unless it is too early, or was for an earlier one of the
            // version.
            let for_own = |h: &Held| {
                let rel = outcome.ts - h.new.ts;
                h.new.version == new.version && rel >= -b.early - b.horizon && rel <= b.horizon
            };
            if *kept != Kept::Waits && (rel < -b.early || held.iter().any(for_own)) {
                continue;
            }
            let meeting = b.meet(new.ts, &mut marks, outcome);
            if let Meeting::Joins(outcome) = meeting {
                pairs.push((new, segments.to_vec(), outcome));
            }
            if *kept == Kept::Waits {
                *kept = match meeting {
                    Meeting::Apart => Kept::Waits,
                    Meeting::Joins(_) if n == 0 => Kept::Beside(new.ts),
                    Meeting::Joins(_) => Kept::Met,
                    Meeting::Duplicate => {
                        ended.duplicates += 1;
                        Kept::Met
                    }
                    Meeting::OutOfBounds => {
                        ended.out_of_bounds += 1;
                        Kept::Met
                    }
                };
            }
        }
        held.push(Held { new, segments: segments.to_vec(), marks });
        if beside { Arrival::Beside(ended) } else { Arrival::New(ended) }
    }

    fn label(&mut self, id: u128, outcome: JoinOutcome, pairs: &mut Vec<Joined>) -> Met {
        let (b, outcome) = (self.bounds, outcome.readable());
        let labels = self.labels.entry(id).or_default();
        if labels.iter().any(|(known, _)| *known == outcome) {
            return Met::Duplicate;
        }
        let (mut met, mut duplicate, mut out, mut joined) = (false, false, false, Vec::new());
        let mut done = Vec::new();
        for held in self.pending.get_mut(&id).into_iter().flatten() {
            let rel = outcome.ts - held.new.ts;
            if done.contains(&held.new.version) || met && rel < -b.early {
                continue;
            }
            match b.meet(held.new.ts, &mut held.marks, &outcome) {
                Meeting::Apart => continue,
                Meeting::Duplicate => duplicate = true,
                Meeting::OutOfBounds => out = true,
                Meeting::Joins(outcome) => joined.push((held.new, held.segments.clone(), outcome)),
            }
            met = true;
            done.push(held.new.version);
        }
        labels.push((
            outcome,
            match joined.first() {
                Some((prediction, ..)) if labels.is_empty() => Kept::Beside(prediction.ts),
                _ if met => Kept::Met,
                _ => Kept::Waits,
            },
        ));
        let pairs_of = joined.len() as u64;
        pairs.extend(joined);
        match (pairs_of, out, duplicate) {
            (1.., ..) => Met::Pairs(pairs_of),
            (0, true, _) => Met::OutOfBounds,
            (0, false, true) => Met::Duplicate,
            (0, false, false) => Met::Waits,
        }
    }

    fn sweep(&mut self, watermark: i64) -> Swept {
        let b = self.bounds;
        if watermark < self.swept_at.saturating_add(b.horizon / SWEEPS_PER_HORIZON) {
            return Swept::default();
        }
        self.swept_at = watermark;
        let mut swept = Swept::default();
        let from = watermark - b.horizon - b.early;
        for held in self.pending.values_mut() {
            held.retain(|h| {
                swept.unlabelled += u64::from(h.new.ts < from && !h.marks.labelled);
                h.new.ts >= from
            });
        }
        for labels in self.labels.values_mut() {
            labels.retain(|(o, kept)| match kept {
                Kept::Waits => {
                    swept.unmatched += u64::from(o.ts < from);
                    o.ts >= from
                }
                Kept::Met => o.ts >= watermark - b.early,
                Kept::Beside(ts) => *ts >= from,
            });
        }
        swept
    }

    fn waiting(&self) -> impl Iterator<Item = i64> {
        self.labels.values().flatten().filter(|(_, kept)| *kept == Kept::Waits).map(|(o, _)| o.ts)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Predict { id: u128, new: Pending, segments: Vec<u32> },
    Label { id: u128, outcome: JoinOutcome },
    Sweep(i64),
    Restart,
}

fn any_flag() -> impl Strategy<Value = Flag> {
    prop_oneof![Just(Flag::Yes), Just(Flag::No), Just(Flag::Missing), Just(Flag::Invalid)]
}

/// Outcomes that say something.
fn any_outcome() -> impl Strategy<Value = JoinOutcome> {
    (any_time(), any_flag(), 0..4_u32, 0..4_u32, any::<bool>()).prop_map(|(ts, label, kpis, yes, in_time)| {
        let outcome = JoinOutcome { ts, label, kpis, kpis_yes: kpis & yes, value: 0, in_time };
        if outcome.is_empty() { JoinOutcome { label: Flag::No, ..outcome } } else { outcome }
    })
}

/// Codes that take two bytes, that do not, and the special ones.
fn any_code() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..5_u32, 1 => 65_500..65_600_u32, 1 => u32::MAX - 20..=u32::MAX, 1 => any::<u32>()]
}

fn any_time() -> impl Strategy<Value = i64> {
    // Now and then a time that is not within 24 days of the others.
    prop_oneof![40 => 0..900_i64, 1 => Just(5_000_000_000), 1 => Just(-5_000_000_000)]
}

fn any_op() -> impl Strategy<Value = Op> {
    let id = || (0..12_u128).prop_map(|id| id << 90 | id);
    prop_oneof![
        8 => (id(), any_time(), any_code(), any_code(), any_code(), any_flag(), prop::collection::vec(any_code(), 2))
            .prop_map(|(id, ts, version, groups, cell, predicted, segments)| Op::Predict {
                id,
                new: Pending::new(ts, version % 3, version, groups, cell, predicted),
                segments,
            }),
        8 => (id(), any_outcome()).prop_map(|(id, outcome)| Op::Label { id, outcome }),
        2 => (0..1000_i64).prop_map(Op::Sweep),
        1 => Just(Op::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn it_is_what_the_rules_say(ops in prop::collection::vec(any_op(), 0..200), rows in 1..7_usize) {
        let bounds = Bounds { horizon: 100, early: 10 };
        let mut join = Join::with_blocks(bounds, 2, rows);
        let mut rules = Rules::new(bounds);
        for op in ops {
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            let pair = |p: Pair<'_>| found.push((p.prediction, p.segments.to_vec(), p.outcome));
            match op {
                Op::Predict { id, new, segments } => {
                    join.touch_for_predictions(&[id, id + 1]);
                    let arrival = join.prediction(PredictionId(id), new, &segments, pair);
                    prop_assert_eq!(arrival, rules.prediction(id, new, &segments, &mut expected));
                }
                Op::Label { id, outcome } => {
                    join.touch_for_labels(&[id, id + 1]);
                    let met = join.label(PredictionId(id), outcome, pair);
                    prop_assert_eq!(met, rules.label(id, outcome, &mut expected));
                }
                Op::Sweep(to) => prop_assert_eq!(join.sweep(to), rules.sweep(to)),
                Op::Restart => {
                    let state = join.state();
                    join = Join::restore(bounds, 2, state.clone());
                    prop_assert_eq!(join.state(), state);
                }
            }
            prop_assert_eq!(found, expected);
            let held = rules.pending.values().map(Vec::len).sum::<usize>();
            prop_assert_eq!(join.sizes(), (held, rules.waiting().count()));
            for from in [i64::MIN, 300] {
                prop_assert_eq!(join.earliest_waiting(from), rules.waiting().filter(|ts| *ts >= from).min());
            }
        }
    }
}

/// What predictions and labels come to, in the order of `of`: false is the next prediction, true the next label.
fn run(bounds: Bounds, of: &[bool], predictions: &[(u128, Pending)], labels: &[(u128, JoinOutcome)]) -> Vec<Joined> {
    let mut join = Join::with_blocks(bounds, 0, 5);
    let (mut out, mut predictions, mut labels) = (Vec::new(), predictions.iter(), labels.iter());
    for label in of.iter().copied().chain([false].repeat(60)).chain([true].repeat(60)) {
        let pair = |p: Pair<'_>| out.push((p.prediction, p.segments.to_vec(), p.outcome));
        if label {
            if let Some((id, outcome)) = labels.next() {
                join.label(PredictionId(*id), *outcome, pair);
            }
        } else if let Some((id, new)) = predictions.next() {
            join.prediction(PredictionId(*id), *new, &[], pair);
        }
    }
    out.sort_by_key(|(p, _, o)| (p.version, p.ts, p.score_cell, o.ts, o.label as u32, o.kpis, o.kpis_yes, o.in_time));
    out
}

/// Predictions that are told apart by their score's cell.
fn any_predictions(times: std::ops::Range<i64>) -> impl Strategy<Value = Vec<(u128, Pending)>> {
    prop::collection::vec((0..3_u128, times, 0..3_u32), 0..60).prop_map(|all| {
        let all = (0_u32..).zip(all);
        all.map(|(n, (id, ts, version))| (id, Pending::new(ts, version, 0, 1, n, Flag::Yes))).collect()
    })
}

fn any_labels(times: std::ops::Range<i64>) -> impl Strategy<Value = Vec<(u128, JoinOutcome)>> {
    let label = (0..3_u128, times, any_outcome());
    prop::collection::vec(label.prop_map(|(id, ts, outcome)| (id, JoinOutcome { ts, ..outcome })), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn to_each_version_it_is_as_if_it_were_alone(
        order in prop::collection::vec(any::<bool>(), 120),
        predictions in any_predictions(0..60),
        labels in any_labels(0..60),
    ) {
        // No label is too early for a prediction.
        let bounds = Bounds { horizon: 40, early: 60 };
        let together = run(bounds, &order, &predictions, &labels);
        for version in 0..3 {
            let mut alone = predictions.clone();
            // Ids of their own for the others keep the order.
            alone.iter_mut().filter(|(_, p)| p.version != version).for_each(|(id, _)| *id += 100);
            let alone = run(bounds, &order, &alone, &labels);
            let of = |all: &[Joined]| all.iter().filter(|(p, ..)| p.version == version).cloned().collect::<Vec<_>>();
            prop_assert_eq!(of(&together), of(&alone));
        }
    }

    #[test]
    fn labels_read_sooner_or_later_join_the_same_predictions(
        orders in prop::collection::vec(prop::collection::vec(any::<bool>(), 120), 2),
        predictions in any_predictions(0..300),
        labels in any_labels(0..300),
    ) {
        let bounds = Bounds { horizon: 100, early: 10 };
        prop_assert_eq!(run(bounds, &orders[0], &predictions, &labels), run(bounds, &orders[1], &predictions, &labels));
    }
}
