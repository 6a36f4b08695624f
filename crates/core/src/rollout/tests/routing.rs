//! Traffic routers, and the share of the traffic that the candidate really gets.

use super::super::route::{Learnt, Next, desired, is_mirrored, is_settled, learn, next};
use super::*;

const ROUTER: &str = "HTTPRoute ml/fraud";
const ROUTED: &str = "steps: [{weight: 10, for: 30m}, {weight: 50, for: 2h}, {weight: 100, bake: 1h}], checks: [slo], \
                      traffic: [{gateway_api: {route: fraud, namespace: ml, stable: a, canary: b}}]";

fn confirmed(run: &mut Run, percent: f64, minute: i64) {
    learn(&mut run.state, ROUTER, 1, Learnt::Writing(percent));
    assert!(learn(&mut run.state, ROUTER, 1, Learnt::Confirmed { percent, at_ms: minute * MINUTE }));
}

/// A minute in which the candidate and the champion had so many predictions.
fn minute(run: &mut Run, end: i64, candidate: u64, champion: u64) -> Vec<Effect> {
    let of = |version: &str, predictions| {
        let judged = slo_of(version, end, Status::Pass, Status::Pass);
        Verdict { counted: Counted { predictions, labels: 0 }, ..judged }
    };
    let mut effects = run.see(&of("6", champion));
    effects.extend(run.see(&of("7", candidate)));
    effects
}

#[test]
fn a_router_is_written_first_and_then_only_over_what_was_written() {
    let mut run = Run::new(ROUTED);
    let wanted = desired(&run.state, Some("6"));
    assert_eq!(wanted, Some(10.0));
    assert_eq!(next(&run.state, ROUTER, 10.0, Some(70.0)), Next::Write, "the rollout takes it over");
    assert_eq!(next(&run.state, ROUTER, 10.0, Some(10.0)), Next::Confirm);
    confirmed(&mut run, 10.0, 1);
    assert_eq!(next(&run.state, ROUTER, 10.0, Some(40.0)), Next::Moved);
    assert_eq!(next(&run.state, ROUTER, 10.0, None), Next::Moved, "no percentage is none of ours");
    // The answer to a write was lost, and the weight rose meanwhile: both are ours.
    learn(&mut run.state, ROUTER, 1, Learnt::Writing(50.0));
    assert_eq!(next(&run.state, ROUTER, 75.0, Some(10.0)), Next::Write);
    assert_eq!(next(&run.state, ROUTER, 75.0, Some(50.0)), Next::Write);
    assert_eq!(next(&run.state, ROUTER, 75.0, Some(51.0)), Next::Moved);
}

#[test]
fn what_others_moved_waits_for_a_person_and_is_written_again_when_resumed() {
    let mut run = Run::new(ROUTED);
    confirmed(&mut run, 10.0, 1);
    assert!(learn(&mut run.state, ROUTER, 1, Learnt::Moved("argocd did".into())));
    assert!(!learn(&mut run.state, ROUTER, 1, Learnt::Moved("argocd did again".into())), "said once");
    run.input(Input::Pause("argocd did".into()));
    assert_eq!(next(&run.state, ROUTER, 10.0, Some(40.0)), Next::Moved);
    run.input(Input::Resume);
    assert_eq!(next(&run.state, ROUTER, 10.0, Some(40.0)), Next::Write);
}

#[test]
fn a_rollout_that_failed_takes_the_traffic_back_from_whoever_has_moved_it() {
    let mut run = Run::new(ROUTED);
    confirmed(&mut run, 10.0, 1);
    learn(&mut run.state, ROUTER, 1, Learnt::Moved("kubectl did".into()));
    run.input(Input::Abort("worse".into()));
    assert_eq!(desired(&run.state, Some("6")), Some(0.0));
    assert_eq!(next(&run.state, ROUTER, 0.0, Some(40.0)), Next::Write);
    assert!(!is_settled(&run.state, ROUTER, 0.0));
    confirmed(&mut run, 0.0, 3);
    assert!(is_settled(&run.state, ROUTER, 0.0), "it is left alone from here on");
}

#[test]
fn a_step_of_weight_0_is_mirrored_and_an_end_takes_the_mirror_away() {
    let mut run = Run::new(&format!("{ROUTED}, shadow: 1h"));
    let plan = run.policy.transitions[0].rollout.clone().unwrap();
    assert!(is_mirrored(&run.state, &plan));
    assert_eq!(desired(&run.state, Some("6")), Some(0.0));
    confirmed(&mut run, 0.0, 1);
    assert!(learn(&mut run.state, ROUTER, 1, Learnt::Mirrored(true)));
    assert!(!learn(&mut run.state, ROUTER, 1, Learnt::Mirrored(true)));
    run.input(Input::Abort("enough".into()));
    assert!(!is_mirrored(&run.state, &plan) && !is_settled(&run.state, ROUTER, 0.0));
    learn(&mut run.state, ROUTER, 1, Learnt::Mirrored(false));
    assert!(is_settled(&run.state, ROUTER, 0.0));
    let without = Run::new(ROUTED);
    let plan = without.policy.transitions[0].rollout.clone().unwrap();
    assert!(!is_mirrored(&without.state, &plan));
}

#[test]
fn after_the_end_the_traffic_follows_the_pointer() {
    let mut run = Run::baking(ROUTED);
    confirmed(&mut run, 100.0, 150);
    for end in 151..=211 {
        minute(&mut run, end, 1000, 0);
    }
    assert_eq!(run.state.phase, Phase::Succeeded, "{}", run.state.why);
    assert!(is_settled(&run.state, ROUTER, 100.0));
    assert_eq!(desired(&run.state, Some("7")), Some(100.0));
    assert_eq!(desired(&run.state, Some("6")), Some(0.0), "rolled back later");
    assert_eq!(desired(&run.state, Some("5")), None, "to a version that the rollout has no backend for");
    let state = State { routes: Vec::new(), ..run.state.clone() };
    assert_eq!(desired(&state, Some("7")), None, "a rollout of before the policy had routers");
    for state in [State { dry_run: true, ..run.state.clone() }, State { external: true, ..run.state }] {
        assert_eq!(desired(&state, Some("7")), None);
    }
}

#[test]
fn the_share_is_counted_from_when_the_routers_have_the_weight() {
    let mut run = Run::new(ROUTED);
    for end in 1..=5 {
        minute(&mut run, end, 500, 500);
    }
    assert_eq!((run.state.share.both, run.state.paused.clone()), (0, None), "nothing says that any router has it");
    confirmed(&mut run, 10.0, 7);
    for end in 6..=20 {
        minute(&mut run, end, 100, 900);
    }
    // From [7, 8) on; the last minute is counted with the first verdict after it.
    assert_eq!((run.state.share.candidate, run.state.share.both), (1200, 12_000));
    assert_eq!(run.state.paused, None);
    assert_eq!(measured(&run.state).unwrap(), "the candidate got 10% of 12000 predictions");
    let read: State = serde_json::from_str(&serde_json::to_string(&run.state).unwrap()).unwrap();
    assert_eq!(read, run.state);
}

#[test]
fn a_candidate_that_does_not_get_its_share_pauses_the_rollout() {
    let mut run = Run::new(ROUTED);
    confirmed(&mut run, 10.0, 0);
    let mut effects = Vec::new();
    for end in 1..=4 {
        effects.extend(minute(&mut run, end, 30, 970));
    }
    let why = run.state.paused.clone().unwrap();
    let expected = "the candidate gets 3% of the traffic (30 of 1000 predictions since 1970-01-01T00:00:00Z), where 10% are set: that is no chance";
    assert_eq!(why, expected);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Note(note) if note.contains(expected))));
    // Resumed, it is counted anew, and paused anew where nothing changed.
    run.input(Input::Resume);
    assert_eq!(run.state.share.both, 0);
    for end in 5..=8 {
        minute(&mut run, end, 30, 970);
    }
    assert!(run.state.paused.is_some());
}

#[test]
fn a_candidate_without_any_traffic_pauses_it_too_and_a_small_difference_does_not() {
    let mut run = Run::new(ROUTED);
    confirmed(&mut run, 10.0, 0);
    for end in 1..=4 {
        run.see(&Verdict {
            counted: Counted { predictions: 400, labels: 0 },
            ..slo_of("6", end, Status::Pass, Status::Pass)
        });
    }
    assert!(
        run.state.paused.as_deref().is_some_and(|why| why.contains("gets 0% of the traffic")),
        "{:?}",
        run.state.paused
    );
    let mut run = Run::new(ROUTED);
    confirmed(&mut run, 10.0, 0);
    for end in 1..=25 {
        minute(&mut run, end, 10_800, 89_200);
    }
    assert_eq!(run.state.paused, None, "10.8% of millions: a router divides no better");
}

#[test]
fn the_whole_traffic_is_a_share_as_well() {
    let mut run = Run::baking(ROUTED);
    confirmed(&mut run, 100.0, 150);
    for end in 151..=154 {
        minute(&mut run, end, 900, 100);
    }
    assert!(
        run.state.paused.as_deref().is_some_and(|why| why.contains("where 100% are set")),
        "{:?}",
        run.state.paused
    );
}
