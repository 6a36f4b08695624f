//! Pauses, commands, the gate's answers, and another controller's.

use super::*;

#[test]
fn too_little_data_at_the_end_pauses_and_a_resumed_step_runs_once_more() {
    let mut run = Run::new(PLAN);
    run.see(&slo(10, Status::Insufficient));
    assert_eq!(run.pass(10, 29), [], "in the middle of a step it does not matter");
    let effects = run.see(&slo(30, Status::Insufficient));
    assert!(matches!(&effects[..], [Effect::Note(text)] if text.starts_with("paused: ")), "{effects:?}");
    assert_eq!(run.pass(30, 90), [], "it waits for a person");
    assert!(run.state.paused.as_deref().is_some_and(|why| why.contains("slo is insufficient")));
    assert_eq!(run.input(Input::Resume).len(), 1);
    assert_eq!(run.pass(90, 119), []);
    assert_eq!(run.pass(119, 120), [Effect::SetWeight(50.0)]);
    let mut run = Run::new(&format!("{PLAN}, on_inconclusive: fail"));
    run.pass(0, 29);
    run.see(&slo(30, Status::Insufficient));
    assert_eq!(run.state.phase, Phase::Failed);
    assert!(run.state.why.starts_with("inconclusive: "));
}

#[test]
fn a_pause_stops_the_clock_and_not_the_guard() {
    let mut run = Run::new(PLAN);
    run.pass(0, 20);
    assert_eq!(run.input(Input::Pause("lunch".into())), [Effect::Note("paused: lunch".into())]);
    assert_eq!(run.pass(20, 80), []);
    run.input(Input::Resume);
    assert_eq!(run.state.pauses, [Pause { from_ms: 20 * MINUTE, to_ms: Some(80 * MINUTE) }]);
    // [80, 81) is the first window after it: ten minutes are left.
    assert_eq!(run.pass(80, 89), []);
    assert_eq!(run.pass(89, 90), [Effect::SetWeight(50.0)]);
    assert_eq!((run.state.measured.len(), run.state.pauses.len()), (0, 0), "a step starts anew");
    run.input(Input::Pause("again".into()));
    run.breach(90, 95);
    assert_eq!(run.breach(95, 96).len(), 3, "harm is harm");
}

#[test]
fn windows_in_a_pause_are_no_measurements() {
    let mut run = Run::new("steps: [{weight: 10, for: 1m}, {weight: 100, bake: 1h}], checks: [slo]");
    run.input(Input::Pause("wait".into()));
    run.pass(0, 5);
    run.input(Input::Resume);
    assert!(run.state.measured.is_empty());
    // Of [4, 6) a minute lies in the pause: time has passed, and nothing is measured.
    run.see(&verdict("7", "slo", 4, 6, slo(6, Status::Pass).results));
    assert_eq!(run.state.phase, Phase::Progressing);
    run.pass(6, 7);
    assert_eq!(run.state.phase, Phase::WaitingPromotion);
}

#[test]
fn a_breach_that_began_in_a_pause_holds_the_step() {
    let mut run = Run::new("steps: [{weight: 10, for: 3m}, {weight: 100, bake: 1h}], checks: [slo]");
    run.pass(0, 2);
    run.input(Input::Pause("wait".into()));
    run.pass(2, 3);
    run.input(Input::Resume);
    let across = |p95| verdict("7", "slo", 2, 9, vec![result("slo/p95", "latency_p95_ms", p95, 62.0)]);
    let mut well = Run { policy: run.policy.clone(), state: run.state.clone(), first: Vec::new() };
    well.see(&across(Status::Pass));
    assert_eq!(well.state.phase, Phase::WaitingPromotion);
    run.see(&across(Status::Block));
    assert_eq!(run.state.phase, Phase::Progressing);
    assert_eq!(run.state.measured["slo"], GroupMeasurements { good: 2, last: Status::Pass });
    run.pass(9, 10);
    assert_eq!(run.state.phase, Phase::WaitingPromotion);
}

#[test]
fn pauses_count_for_the_part_that_lies_between() {
    let mut run = Run::new(PLAN);
    run.state.pauses = vec![Pause { from_ms: 10, to_ms: Some(20) }, Pause { from_ms: 30, to_ms: None }];
    for (from, to, elapsed) in
        [(0, 5, 5), (0, 15, 10), (0, 25, 15), (15, 25, 5), (20, 30, 10), (0, 50, 20), (40, 50, 0)]
    {
        assert_eq!(run.state.elapsed_ms(from, to), elapsed, "{from} to {to}");
    }
}

#[test]
fn abort() {
    let mut run = Run::new(PLAN);
    let effects = run.input(Input::Abort("wrong model".into()));
    let reason = "aborted: wrong model".to_owned();
    assert_eq!(effects, [Effect::SetWeight(0.0), Effect::Failed { reason }, Effect::Phase(Phase::Failed)]);
    assert_eq!(run.pass(0, 30), []);
    let mut run = Run::baking(PLAN);
    let effects = run.input(Input::Abort("wrong model".into()));
    assert!(matches!(&effects[..], [Effect::RollBack { .. }, Effect::SetWeight(_), Effect::Phase(Phase::Failed)]));
}

#[test]
fn promote_skips_the_waits_and_not_the_gate() {
    let mut run = Run::new(PLAN);
    assert_eq!(acts(&run.input(Input::Promote)), [Effect::Phase(Phase::WaitingPromotion), Effect::AskGate]);
    assert_eq!(run.gate(false), []);
    assert_eq!(run.state.paused.as_deref(), Some("the gate did not pass: approval of owner has lapsed"));
    assert_eq!(run.gate(true), [], "nobody asked");
    assert_eq!(acts(&run.input(Input::Resume)), [Effect::AskGate]);
    run.gate(false);
    assert_eq!(acts(&run.input(Input::Promote)), [Effect::AskGate]);
    run.input(Input::Pause("hold on".into()));
    assert_eq!(run.gate(true), [], "the answer may be old when the pause is over");
    assert_eq!(acts(&run.input(Input::Resume)), [Effect::AskGate]);
    assert_eq!(run.gate(true), [Effect::Phase(Phase::Promoting), point("prod"), Effect::SetWeight(100.0)]);
    assert_eq!(run.input(Input::Promote), [], "a bake is nobody's to skip");
}

#[test]
fn a_gate_that_cannot_answer_yet_is_asked_again_and_pauses_nothing() {
    let mut run = Run::new(PLAN);
    let waits = || Input::GateWaits("model.bin is being read, 40%".into());
    assert_eq!(run.input(waits()), [], "nobody asked");
    run.pass(0, 150);
    assert_eq!(acts(&run.input(waits())), []);
    assert_eq!((run.state.phase, run.state.paused.as_deref()), (Phase::WaitingPromotion, None));
    assert_eq!(run.state.why, "the gate cannot answer yet: model.bin is being read, 40%");
    assert_eq!(run.input(waits()), [], "it is said once");
    assert_eq!(run.input(Input::AskAgain), [Effect::AskGate]);
    run.input(waits());
    run.input(Input::Pause("hold on".into()));
    assert_eq!(run.input(Input::AskAgain), []);
    assert_eq!(acts(&run.input(waits())), []);
    assert_eq!(acts(&run.input(Input::Resume)), [Effect::AskGate]);
    assert_eq!(run.gate(true), [Effect::Phase(Phase::Promoting), point("prod"), Effect::SetWeight(100.0)]);
    assert_eq!(run.input(Input::AskAgain), []);
}

#[test]
fn a_block_while_waiting_for_the_gate_fails_it() {
    let mut run = Run::new(PLAN);
    run.pass(0, 150);
    let effects = acts(&run.see(&slo_of("7", 151, Status::Pass, Status::Block)));
    assert!(matches!(&effects[..], [Effect::SetWeight(_), Effect::Failed { .. }, Effect::Phase(Phase::Failed)]));
    assert_eq!(run.gate(true), []);
}

#[test]
fn confirm_waits_for_a_person() {
    let mut run = Run::new(&format!("{PLAN}, confirm: true"));
    run.pass(0, 149);
    assert_eq!(run.pass(149, 150), [Effect::Phase(Phase::WaitingPromotion)]);
    assert_eq!(run.pass(150, 400), []);
    assert_eq!(run.gate(true), []);
    run.input(Input::Pause("night".into()));
    assert_eq!(acts(&run.input(Input::Resume)), [], "still unconfirmed");
    assert_eq!(acts(&run.input(Input::Promote)), [Effect::AskGate]);
}

#[test]
fn another_controller_moves_the_traffic() {
    let plan = "controller: external, checks: [slo]";
    let mut run = Run::new(plan);
    assert_eq!(acts(&run.first), [Effect::Phase(Phase::Progressing)]);
    assert_eq!(run.pass(0, 500), []);
    assert_eq!(run.input(Input::Promote), []);
    let done = |succeeded| Input::External { succeeded, why: "as the controller says".into() };
    assert_eq!(acts(&run.input(done(true))), [point("prod"), Effect::Phase(Phase::Succeeded)]);
    assert_eq!(run.input(done(false)), []);
    let mut run = Run::new(plan);
    let failed = |reason: &str| {
        let reason = reason.to_owned();
        [Effect::Note(reason.clone()), Effect::Failed { reason }, Effect::Phase(Phase::Failed)]
    };
    assert_eq!(run.input(done(false)), failed("as the controller says"));
    let mut run = Run::new(plan);
    let effects = run.see(&slo_of("7", 1, Status::Pass, Status::Block));
    assert!(matches!(&effects[..], [Effect::Note(_), Effect::Failed { .. }, Effect::Phase(Phase::Failed)]));
    assert_eq!(Run::new(PLAN).input(done(true)), [], "here nobody else moves it");
}
