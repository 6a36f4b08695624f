//! Tests of the join table: who meets whom, whatever the order of reading and the moment of a sweep.

use super::*;
use crate::event::Flag;

const BOUNDS: Bounds = Bounds { horizon: 100, early: 10 };

fn pending(ts: i64) -> Pending {
    Pending::new(ts, 0, 0, 1, u32::MAX, Flag::Yes)
}

fn outcome(ts: i64, label: Flag) -> JoinOutcome {
    JoinOutcome { ts, label, kpis: 0, kpis_yes: 0, value: 0, in_time: true }
}

fn id(text: &str) -> PredictionId {
    PredictionId::of(text)
}

/// A prediction of a version: whether it counts, and the labels that it joins.
fn score(join: &mut Join, name: &str, version: u32, ts: i64) -> (bool, Vec<Flag>) {
    let mut pairs = Vec::new();
    let arrival = join.prediction(id(name), Pending { version, ..pending(ts) }, &[7], |p| {
        assert_eq!((p.segments, p.prediction.version, p.prediction.ts), (&[7][..], version, ts));
        pairs.push(p.outcome.label);
    });
    (arrival != Arrival::Duplicate, pairs)
}

fn predict(join: &mut Join, name: &str, ts: i64) -> (bool, usize) {
    let (counts, pairs) = score(join, name, 0, ts);
    (counts, pairs.len())
}

/// What a label comes to, and the pairs: version and time of the prediction.
fn label(join: &mut Join, name: &str, outcome: JoinOutcome) -> (Met, Vec<(u32, i64)>) {
    let mut pairs = Vec::new();
    let met = join.label(id(name), outcome, |p| {
        assert_eq!((p.segments, p.outcome.label), (&[7][..], outcome.readable().label));
        pairs.push((p.prediction.version, p.prediction.ts));
    });
    (met, pairs)
}

#[track_caller]
fn meets(join: &mut Join, name: &str, outcome: JoinOutcome, expected: &[(u32, i64)]) {
    assert_eq!(label(join, name, outcome), (Met::Pairs(expected.len() as u64), expected.to_vec()));
}

#[test]
fn a_pair_joins_once_in_either_order_and_within_its_bounds() {
    let mut j = Join::new(BOUNDS, 1);
    assert_eq!(predict(&mut j, "a", 50), (true, 0));
    assert_eq!(predict(&mut j, "a", 51), (false, 0));
    meets(&mut j, "a", outcome(150, Flag::Yes), &[(0, 50)]);
    assert_eq!(label(&mut j, "a", outcome(150, Flag::No)).0, Met::Duplicate);
    assert_eq!(label(&mut j, "b", outcome(40, Flag::Yes)).0, Met::Waits);
    assert_eq!(
        label(&mut j, "b", outcome(40, Flag::No)).0,
        Met::Waits,
        "the first read wins once the prediction is there"
    );
    assert_eq!((j.earliest_waiting(0), j.earliest_waiting(41)), (Some(40), None));
    assert_eq!(score(&mut j, "b", 0, 50), (true, vec![Flag::Yes]));
    assert_eq!(j.earliest_waiting(0), None);
    assert_eq!(predict(&mut j, "c", 50), (true, 0));
    assert_eq!(label(&mut j, "c", outcome(151, Flag::Yes)).0, Met::Waits, "a millisecond beyond the horizon");
    assert_eq!(label(&mut j, "c", outcome(149, Flag::Yes)).0, Met::Duplicate, "but it took the place");
    assert_eq!(label(&mut j, "d", outcome(39, Flag::Yes)).0, Met::Waits);
    assert_eq!(predict(&mut j, "d", 50), (true, 0), "11 ms early is one too many");
}

#[test]
fn kpis_without_a_label_leave_the_labels_place_free() {
    for none in [Flag::Missing, Flag::Invalid] {
        let mut j = Join::new(BOUNDS, 1);
        predict(&mut j, "a", 50);
        let kpi = |ts, label| JoinOutcome { kpis: 1, kpis_yes: 1, ..outcome(ts, label) };
        meets(&mut j, "a", kpi(60, none), &[(0, 50)]);
        meets(&mut j, "a", outcome(61, Flag::Yes), &[(0, 50)]);
        assert_eq!(label(&mut j, "a", outcome(61, Flag::No)).0, Met::Duplicate);
        assert_eq!(label(&mut j, "a", kpi(61, none)).0, Met::Duplicate);
        // Before their prediction, and beyond its horizon.
        label(&mut j, "b", kpi(55, none));
        label(&mut j, "b", outcome(56, Flag::No));
        assert_eq!(predict(&mut j, "b", 50), (true, 2));
        predict(&mut j, "c", 50);
        assert_eq!(label(&mut j, "c", kpi(151, none)).0, Met::Waits);
        meets(&mut j, "c", outcome(140, Flag::Yes), &[(0, 50)]);
    }
}

#[test]
fn a_label_joins_the_prediction_of_every_version() {
    // Before it, after it, and around it: by when the three versions are read.
    for before in 0..=3 {
        for restart in [false, true] {
            let mut j = Join::new(BOUNDS, 1);
            let mut joined = Vec::new();
            for version in 0..3 {
                if version == before {
                    joined.extend(label(&mut j, "a", outcome(55, Flag::No)).1);
                    if restart {
                        j = Join::restore(BOUNDS, 1, j.state());
                    }
                }
                let ts = 50 + i64::from(version);
                let (counts, pairs) = score(&mut j, "a", version, ts);
                assert_eq!((counts, pairs.len()), (true, usize::from(version >= before)));
                joined.extend(pairs.iter().map(|_| (version, ts)));
                assert!(!score(&mut j, "a", version, ts).0, "the same version again");
            }
            if before == 3 {
                joined.extend(label(&mut j, "a", outcome(55, Flag::No)).1);
            }
            assert_eq!(joined, [(0, 50), (1, 51), (2, 52)], "after {before}");
            assert_eq!(label(&mut j, "a", outcome(55, Flag::No)).0, Met::Duplicate);
            assert_eq!(label(&mut j, "a", outcome(56, Flag::Yes)), (Met::Duplicate, vec![]));
            assert_eq!((j.sizes(), j.is_mirrored()), ((3, 0), true));
        }
    }
}

#[test]
fn a_label_that_came_first_waits_for_every_version_within_its_bounds() {
    let mut j = Join::new(BOUNDS, 1);
    label(&mut j, "a", outcome(50, Flag::Yes));
    assert_eq!(j.earliest_waiting(0), Some(50));
    assert_eq!(score(&mut j, "a", 0, 55), (true, vec![Flag::Yes]));
    assert_eq!(j.earliest_waiting(0), None);
    assert_eq!(score(&mut j, "a", 1, 60), (true, vec![Flag::Yes]), "10 ms early");
    assert_eq!(score(&mut j, "a", 2, 61), (true, vec![]), "11 ms early is one too many");
    // Too early for it, it leaves its place free: it was another version's.
    meets(&mut j, "a", outcome(70, Flag::No), &[(2, 61)]);
    // Sweeps drop nothing that may still be met.
    for (watermark, joins) in [(55, true), (60, true), (66, false)] {
        let mut j = Join::new(BOUNDS, 1);
        label(&mut j, "b", outcome(50, Flag::Yes));
        score(&mut j, "b", 0, 50);
        j.sweep(watermark);
        assert_eq!(score(&mut j, "b", 1, watermark), (true, vec![Flag::Yes; usize::from(joins)]), "{watermark}");
    }
}

#[test]
fn kpis_join_every_version_too_and_each_once() {
    let mut j = Join::new(BOUNDS, 1);
    let kpi = |ts, kpis| JoinOutcome { kpis, kpis_yes: kpis, ..outcome(ts, Flag::Missing) };
    score(&mut j, "a", 0, 50);
    meets(&mut j, "a", kpi(51, 1), &[(0, 50)]);
    meets(&mut j, "a", outcome(52, Flag::Yes), &[(0, 50)]);
    meets(&mut j, "a", kpi(53, 3), &[(0, 50)]);
    let mut kpis = Vec::new();
    j.prediction(id("a"), Pending { version: 1, ..pending(50) }, &[7], |p| {
        kpis.push((p.outcome.kpis, p.outcome.label));
    });
    assert_eq!(kpis, [(1, Flag::Missing), (0, Flag::Yes), (2, Flag::Missing)]);
}

#[test]
fn a_sweep_drops_what_the_streams_have_passed_and_no_more() {
    let mut j = Join::new(BOUNDS, 1);
    predict(&mut j, "old", 100);
    predict(&mut j, "new", 101);
    label(&mut j, "orphan", outcome(190, Flag::Yes));
    assert_eq!(j.sweep(210), Swept::default());
    assert_eq!(j.sweep(223), Swept { unlabelled: 2, unmatched: 0 });
    assert_eq!(j.sweep(301), Swept { unlabelled: 0, unmatched: 1 });
    assert_eq!(j.sizes(), (0, 0));
    predict(&mut j, "again", 300);
    meets(&mut j, "again", outcome(300, Flag::No), &[(0, 300)]);
    // A label that was met is no unmatched one.
    assert_eq!(j.sweep(500), Swept::default());
    assert_eq!(j.sizes(), (0, 0));
}

#[test]
fn an_id_used_anew_beyond_the_horizon_is_another_prediction_whenever_the_sweep_runs() {
    for sweep in [false, true] {
        let mut j = Join::new(BOUNDS, 1);
        predict(&mut j, "a", 50);
        assert!(!predict(&mut j, "a", 150).0);
        if sweep {
            j.sweep(151);
        }
        assert!(predict(&mut j, "a", 151).0);
        assert!(!predict(&mut j, "a", 152).0);
        if !sweep {
            meets(&mut j, "a", outcome(140, Flag::Yes), &[(0, 50)]);
        }
        meets(&mut j, "a", outcome(160, Flag::No), &[(0, 151)]);
    }
}

#[test]
fn a_label_holds_its_place_for_as_long_as_the_bounds_say_whenever_the_sweep_runs() {
    for sweep in [false, true] {
        let mut j = Join::new(BOUNDS, 1);
        // The first label is too early to join, but not too far to take the place.
        label(&mut j, "a", outcome(40, Flag::Yes));
        if sweep {
            j.sweep(140);
        }
        assert_eq!(predict(&mut j, "a", 150), (true, 0));
        assert_eq!(label(&mut j, "a", outcome(151, Flag::No)).0, Met::Duplicate);
        // Further away it takes none.
        label(&mut j, "b", outcome(40, Flag::Yes));
        if sweep {
            j.sweep(151);
        }
        assert_eq!(predict(&mut j, "b", 151), (true, 0));
        meets(&mut j, "b", outcome(152, Flag::No), &[(0, 151)]);
    }
}

#[test]
fn many_labels_of_one_id_are_bounded() {
    let mut j = Join::new(BOUNDS, 1);
    predict(&mut j, "a", 50);
    meets(&mut j, "a", outcome(50, Flag::Yes), &[(0, 50)]);
    for ts in 51..1000 {
        let expected = if ts <= 150 {
            Met::Duplicate
        } else if j.sizes().1 < 156 {
            Met::Waits
        } else {
            Met::OutOfBounds
        };
        assert_eq!(label(&mut j, "a", outcome(ts, Flag::Yes)).0, expected, "{ts}");
    }
    assert_eq!(j.sizes(), (1, 156));
    // Many versions as well stand in nobody's way.
    for version in 1..40 {
        assert_eq!(score(&mut j, "a", version, 50), (true, vec![Flag::Yes]));
    }
    assert_eq!(j.sizes().0, 40);
    j.sweep(10_000);
    assert_eq!(j.sizes(), (0, 0));
}

#[test]
fn a_restored_table_joins_like_the_first() {
    let mut j = Join::new(BOUNDS, 1);
    predict(&mut j, "a", 50);
    label(&mut j, "b", outcome(55, Flag::Yes));
    let state = j.state();
    let mut again = Join::restore(BOUNDS, 1, state.clone());
    assert_eq!(again.state(), state);
    meets(&mut again, "a", outcome(60, Flag::Yes), &[(0, 50)]);
    assert_eq!(predict(&mut again, "b", 50), (true, 1));
}
