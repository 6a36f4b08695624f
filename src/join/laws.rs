//! The join table against its rules written down as simply as can be, over any interleaving of predictions, labels and
//! sweeps; with blocks of a few rows, so that blocks are begun, straddled and dropped.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::meeting::Meeting;
use super::*;

#[derive(Clone, Debug)]
struct Held {
    new: Pending,
    segments: Vec<u32>,
    marks: Marks,
}

/// The rules: an id's predictions and waiting labels, in the order they were read.
struct Rules {
    bounds: Bounds,
    pending: BTreeMap<u128, Vec<Held>>,
    waiting: BTreeMap<u128, Vec<Outcome>>,
    swept_at: i64,
}

type Joined = (Pending, Vec<u32>, Outcome);

impl Rules {
    fn prediction(&mut self, id: u128, new: Pending, segments: &[u32], pairs: &mut Vec<Joined>) -> Arrival {
        let held = self.pending.entry(id).or_default();
        if held.iter().any(|h| new.ts <= h.new.ts + self.bounds.horizon) {
            return Arrival::Duplicate;
        }
        let (mut ended, mut marks) = (Ended::default(), Marks::default());
        let waiting = self.waiting.remove(&id).unwrap_or_default();
        let mut left = Vec::new();
        for outcome in waiting {
            match self.bounds.meet(new.ts, &mut marks, &outcome) {
                Meeting::Apart => left.push(outcome),
                Meeting::Joins(outcome) => pairs.push((new, segments.to_vec(), outcome)),
                Meeting::Duplicate => ended.duplicates += 1,
                Meeting::OutOfBounds => ended.out_of_bounds += 1,
            }
        }
        if !left.is_empty() {
            self.waiting.insert(id, left);
        }
        held.push(Held { new, segments: segments.to_vec(), marks });
        Arrival::New(ended)
    }

    fn label(&mut self, id: u128, outcome: Outcome, pairs: &mut Vec<Joined>) -> &'static str {
        for held in self.pending.get_mut(&id).into_iter().flatten() {
            match self.bounds.meet(held.new.ts, &mut held.marks, &outcome) {
                Meeting::Apart => {}
                Meeting::Duplicate => return "duplicate",
                Meeting::OutOfBounds => return "out of bounds",
                Meeting::Joins(outcome) => {
                    pairs.push((held.new, held.segments.clone(), outcome));
                    return "pair";
                }
            }
        }
        let waiting = self.waiting.entry(id).or_default();
        if waiting.contains(&outcome) {
            return "duplicate";
        }
        waiting.push(outcome);
        "waits"
    }

    fn sweep(&mut self, watermark: i64) -> Swept {
        if watermark < self.swept_at.saturating_add(self.bounds.horizon / SWEEPS_PER_HORIZON) {
            return Swept::default();
        }
        self.swept_at = watermark;
        let mut swept = Swept::default();
        for held in self.pending.values_mut() {
            held.retain(|h| {
                let keep = h.new.ts >= watermark - self.bounds.horizon;
                swept.unlabelled += u64::from(!keep && !h.marks.labelled);
                keep
            });
        }
        for waiting in self.waiting.values_mut() {
            waiting.retain(|o| {
                let keep = o.ts >= watermark - self.bounds.horizon - self.bounds.early;
                swept.unmatched += u64::from(!keep);
                keep
            });
        }
        self.pending.retain(|_, held| !held.is_empty());
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        swept
    }
}

#[derive(Clone, Debug)]
enum Op {
    Predict { id: u128, new: Pending, segments: Vec<u32> },
    Label { id: u128, outcome: Outcome },
    Sweep(i64),
    Restart,
}

fn any_flag() -> impl Strategy<Value = Flag> {
    prop_oneof![Just(Flag::Yes), Just(Flag::No), Just(Flag::Missing), Just(Flag::Invalid)]
}

/// Outcomes that say something.
fn any_outcome() -> impl Strategy<Value = Outcome> {
    (any_time(), any_flag(), 0..4_u32, 0..4_u32, any::<bool>())
        .prop_map(|(ts, label, kpis, yes, in_time)| Outcome { ts, label, kpis, kpis_yes: kpis & yes, in_time })
        .prop_filter("an outcome that says nothing is not joined", |o| !o.is_empty())
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
        let mut rules =
            Rules { bounds, pending: BTreeMap::new(), waiting: BTreeMap::new(), swept_at: i64::MIN };
        for op in ops {
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            match op {
                Op::Predict { id, new, segments } => {
                    join.touch_for_predictions(&[id, id + 1]);
                    let pair = |p: Pair<'_>| found.push((p.prediction, p.segments.to_vec(), p.outcome));
                    let arrival = join.prediction(PredictionId(id), new, &segments, pair);
                    prop_assert_eq!(arrival, rules.prediction(id, new, &segments, &mut expected));
                }
                Op::Label { id, outcome } => {
                    join.touch_for_labels(&[id, id + 1]);
                    let met = match join.label(PredictionId(id), outcome) {
                        Met::Pair(p) => {
                            found.push((p.prediction, p.segments.to_vec(), p.outcome));
                            "pair"
                        }
                        Met::Waits => "waits",
                        Met::Duplicate => "duplicate",
                        Met::OutOfBounds => "out of bounds",
                    };
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
            prop_assert_eq!(join.sizes(), (rules.pending.len(), rules.waiting.len()));
            let earliest = |from| rules.waiting.values().flatten().map(|o| o.ts).filter(|ts| *ts >= from).min();
            for from in [i64::MIN, 300] {
                prop_assert_eq!(join.earliest_waiting(from), earliest(from));
            }
        }
    }
}
