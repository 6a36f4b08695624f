//! How long a breach lasts before it fails a rollout: a duration, and some of the last windows (`for: 3 of 5`).

use super::*;

fn run() -> Run {
    Run::of(policy_with(PLAN, "3 of 5"))
}

fn notes(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Note(text) = effect { Some(text.as_str()) } else { None })
        .collect()
}

#[test]
fn a_measured_good_window_ends_a_breach_and_a_gap_does_not() {
    let mut run = Run::new(PLAN);
    run.breach(0, 5);
    run.pass(5, 6);
    assert!(run.state.breaches.is_empty());
    assert_eq!(run.breach(6, 11), [], "counted anew");
    run.see(&slo(12, Status::Insufficient));
    assert_eq!(run.state.breaches["slo/p95"].since_ms, 7 * MINUTE, "an unmeasured window does not end it");
    assert_eq!(run.breach(12, 13).len(), 3);
}

#[test]
fn a_gap_longer_than_for_starts_the_breach_over_and_says_so() {
    let mut run = Run::new(PLAN);
    run.breach(0, 3);
    let effects = run.see(&slo(20, Status::Block));
    assert!(matches!(&effects[..], [Effect::Note(text)] if text.contains("inconclusive")), "{effects:?}");
    assert_eq!(run.state.breaches["slo/p95"].since_ms, 20 * MINUTE);
    assert_eq!(run.breach(20, 24), []);
    assert_eq!(run.breach(24, 25).len(), 3);
}

#[test]
fn three_of_five_fail_it_and_it_says_since_when() {
    let mut run = run();
    // Breaches at 1, 8, 10 and 12: the first is none of the last five.
    run.breach(0, 1);
    run.pass(1, 7);
    assert!(run.state.breaches.is_empty(), "none of the last five breached");
    let effects = run.see(&slo(8, Status::Block));
    assert!(matches!(notes(&effects)[..], [note] if !note.contains("gap")), "{effects:?}");
    run.pass(8, 9);
    assert_eq!(run.breach(9, 10), []);
    run.pass(10, 11);
    assert_eq!(run.state.breaches["slo/p95"].since_ms, 8 * MINUTE);
    let effects = run.see(&slo(12, Status::Block));
    let reason = effects.iter().find_map(|e| if let Effect::Failed { reason } = e { Some(reason) } else { None });
    assert!(reason.unwrap().ends_with("for 4m, since 1970-01-01T00:08:00Z"), "{effects:?}");
}

#[test]
fn since_is_the_first_of_the_last_five_that_breached() {
    let mut run = run();
    for (end, status) in (1..).zip([Status::Block, Status::Pass, Status::Pass, Status::Block, Status::Pass]) {
        assert_eq!(acts(&run.see(&slo(end, status))), []);
    }
    assert_eq!(run.state.breaches["slo/p95"].since_ms, MINUTE);
    // A window that was not measured is none of the five.
    run.see(&slo(6, Status::Insufficient));
    assert_eq!(run.state.breaches["slo/p95"].since_ms, MINUTE);
    let effects = run.see(&slo(7, Status::Block));
    assert_eq!(notes(&effects), [""; 0], "the breach goes on");
    assert_eq!(
        (run.state.breaches["slo/p95"].since_ms, &run.state.breaches["slo/p95"].ends[..]),
        (4 * MINUTE, &[4 * MINUTE, 7 * MINUTE][..])
    );
}

#[test]
fn a_gap_longer_than_the_windows_starts_over_and_no_step_ends_while_any_breached() {
    let mut run = run();
    run.breach(0, 2);
    let effects = run.see(&slo(9, Status::Block));
    assert!(matches!(notes(&effects)[..], [note] if note.contains("gap longer than 3 of 5 windows")), "{effects:?}");
    assert_eq!(run.state.breaches["slo/p95"].ends, [9 * MINUTE]);
    run.pass(9, 27);
    run.breach(27, 28);
    assert_eq!(run.pass(28, 32), [], "one of the last five breached");
    assert_eq!(run.pass(32, 33), [Effect::SetWeight(50.0)]);
}

#[test]
fn a_breach_that_was_written_down_before_has_no_ends_and_goes_on() {
    let old: Breaching =
        serde_json::from_value(json!({"since_ms": 5, "breach": {"first_end": 5, "windows": 1, "last_end": 5}}))
            .unwrap();
    assert_eq!((old.since_ms, old.ends.len()), (5, 0));
    assert!(!serde_json::to_string(&old).unwrap().contains("ends"));
}
