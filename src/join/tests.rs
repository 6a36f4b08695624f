//! Tests of the join table: who meets whom, whatever the order of reading and the moment of a sweep.

use super::*;

const BOUNDS: Bounds = Bounds { horizon: 100, early: 10 };

fn pending(ts: i64) -> Pending {
    Pending::new(ts, 0, 0, 1, u32::MAX, Flag::Yes)
}

fn outcome(ts: i64, label: Flag) -> Outcome {
    Outcome { ts, label, kpis: 0, kpis_yes: 0, in_time: true }
}

fn id(text: &str) -> PredictionId {
    PredictionId::of(text)
}

fn predict(join: &mut Join, name: &str, ts: i64) -> (bool, usize) {
    let mut pairs = 0;
    let arrival = join.prediction(id(name), pending(ts), &[7], |p| pairs += usize::from(p.segments == [7]));
    (arrival != Arrival::Duplicate, pairs)
}

#[test]
fn a_pair_joins_once_in_either_order_and_within_its_bounds() {
    let mut j = Join::new(BOUNDS, 1);
    assert_eq!(predict(&mut j, "a", 50), (true, 0));
    assert_eq!(predict(&mut j, "a", 51), (false, 0));
    assert!(
        matches!(j.label(id("a"), outcome(150, Flag::Yes)), Met::Pair(p) if p.segments == [7] && p.outcome.label == Flag::Yes)
    );
    assert_eq!(j.label(id("a"), outcome(150, Flag::No)), Met::Duplicate);
    assert_eq!(j.label(id("b"), outcome(40, Flag::Yes)), Met::Waits);
    assert_eq!(j.label(id("b"), outcome(40, Flag::No)), Met::Waits, "the first read wins once the prediction is there");
    assert_eq!((j.earliest_waiting(0), j.earliest_waiting(41)), (Some(40), None));
    assert_eq!(predict(&mut j, "b", 50), (true, 1));
    assert_eq!(j.earliest_waiting(0), None);
    assert_eq!(predict(&mut j, "c", 50), (true, 0));
    assert_eq!(j.label(id("c"), outcome(151, Flag::Yes)), Met::Waits, "a millisecond beyond the horizon");
    assert_eq!(j.label(id("c"), outcome(149, Flag::Yes)), Met::Duplicate, "but it took the place");
    assert_eq!(j.label(id("d"), outcome(39, Flag::Yes)), Met::Waits);
    assert_eq!(predict(&mut j, "d", 50), (true, 0), "11 ms early is one too many");
}

#[test]
fn kpis_without_a_label_leave_the_labels_place_free() {
    for none in [Flag::Missing, Flag::Invalid] {
        let mut j = Join::new(BOUNDS, 1);
        predict(&mut j, "a", 50);
        let kpi = |ts, label| Outcome { kpis: 1, kpis_yes: 1, ..outcome(ts, label) };
        assert!(matches!(j.label(id("a"), kpi(60, none)), Met::Pair(p) if p.outcome.kpis == 1));
        assert!(matches!(j.label(id("a"), outcome(61, Flag::Yes)), Met::Pair(p) if p.outcome.label == Flag::Yes));
        assert_eq!(j.label(id("a"), outcome(61, Flag::No)), Met::Duplicate);
        assert_eq!(j.label(id("a"), kpi(61, none)), Met::Duplicate);
        // Before their prediction, and beyond its horizon.
        j.label(id("b"), kpi(55, none));
        j.label(id("b"), outcome(56, Flag::No));
        assert_eq!(predict(&mut j, "b", 50), (true, 2));
        predict(&mut j, "c", 50);
        assert_eq!(j.label(id("c"), kpi(151, none)), Met::Waits);
        assert!(matches!(j.label(id("c"), outcome(140, Flag::Yes)), Met::Pair(p) if p.outcome.label == Flag::Yes));
    }
}

#[test]
fn a_sweep_drops_what_the_streams_have_passed_and_no_more() {
    let mut j = Join::new(BOUNDS, 1);
    predict(&mut j, "old", 100);
    predict(&mut j, "new", 101);
    j.label(id("orphan"), outcome(190, Flag::Yes));
    assert_eq!(j.sweep(200), Swept::default());
    assert_eq!(j.sweep(213), Swept { unlabelled: 2, unmatched: 0 });
    assert_eq!(j.sweep(301), Swept { unlabelled: 0, unmatched: 1 });
    assert_eq!(j.sizes(), (0, 0));
    predict(&mut j, "again", 300);
    assert!(matches!(j.label(id("again"), outcome(300, Flag::No)), Met::Pair(p) if p.segments == [7]));
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
            assert!(matches!(j.label(id("a"), outcome(140, Flag::Yes)), Met::Pair(p) if p.prediction.ts == 50));
        }
        assert!(matches!(j.label(id("a"), outcome(160, Flag::No)), Met::Pair(p) if p.prediction.ts == 151));
    }
}

#[test]
fn a_label_holds_its_place_for_as_long_as_the_bounds_say_whenever_the_sweep_runs() {
    for sweep in [false, true] {
        let mut j = Join::new(BOUNDS, 1);
        // The first label is too early to join, but not too far to take the place.
        j.label(id("a"), outcome(40, Flag::Yes));
        if sweep {
            j.sweep(140);
        }
        assert_eq!(predict(&mut j, "a", 150), (true, 0));
        assert_eq!(j.label(id("a"), outcome(151, Flag::No)), Met::Duplicate);
        // Further away it takes none.
        j.label(id("b"), outcome(40, Flag::Yes));
        if sweep {
            j.sweep(151);
        }
        assert_eq!(predict(&mut j, "b", 151), (true, 0));
        assert!(matches!(j.label(id("b"), outcome(152, Flag::No)), Met::Pair(_)));
    }
}

#[test]
fn a_restored_table_joins_like_the_first() {
    let mut j = Join::new(BOUNDS, 1);
    predict(&mut j, "a", 50);
    j.label(id("b"), outcome(55, Flag::Yes));
    let state = j.state();
    let mut again = Join::restore(BOUNDS, 1, state.clone());
    assert_eq!(again.state(), state);
    assert!(matches!(again.label(id("a"), outcome(60, Flag::Yes)), Met::Pair(p) if p.segments == [7]));
    assert_eq!(predict(&mut again, "b", 50), (true, 1));
}
