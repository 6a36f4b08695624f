//! Champion and challenger: click rates over windows of 30 minutes that slide by 5.

use super::*;

const AB: &str = "steps: [{weight: 10, for: 2h}, {weight: 100, bake: 1h}], checks: [slo], \
    compare: {of: ctr, min_gain: {relative: 0.015}, latency: {max_increase: {relative: 0.05}}}";

/// Clicks and views of the candidate and the champion in the half hour before `end`.
fn kpi_of(champion: &str, end: i64, (yes, n): (u64, u64), (base_yes, base_n): (u64, u64)) -> Verdict {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let rate = |yes: u64, n: u64| json!(yes as f64 / n as f64);
    let evidence: Vec<(&'static str, Value)> = vec![
        ("rate", rate(yes, n)),
        ("n", n.into()),
        ("champion", champion.into()),
        ("champion_rate", rate(base_yes, base_n)),
        ("champion_n", base_n.into()),
    ];
    let ctr = RuleResult { evidence: evidence.into(), ..result("kpi/ctr", "kpi_drop", Status::Pass, 0.0) };
    verdict("7", "kpi", end - 30, end, vec![ctr])
}

fn kpi(end: i64, candidate: (u64, u64), champion: (u64, u64)) -> Verdict {
    kpi_of("6", end, candidate, champion)
}

fn latency(version: &str, end: i64, p95: f64) -> Verdict {
    verdict(version, "slo", end - 1, end, vec![result("slo/p95", "latency_p95_ms", Status::Pass, p95)])
}

/// Two hours of both versions; the KPI's windows overlap as they do, in the order they are judged.
fn two_hours(run: &mut Run, candidate: (u64, u64), champion: (u64, u64), p95: (f64, f64)) -> Vec<Effect> {
    let mut effects = Vec::new();
    for end in 1..=120 {
        if end % 5 == 0 {
            effects.extend(run.see(&kpi(end, candidate, champion)));
        }
        effects.extend(run.see(&latency("6", end, p95.1)));
        effects.extend(run.see(&latency("7", end, p95.0)));
    }
    effects
}

#[test]
fn a_gain_without_slowdown_promotes() {
    let mut run = Run::new(AB);
    let effects = two_hours(&mut run, (600, 5000), (4500, 45_000), (63.0, 60.0));
    assert_eq!(acts(&effects), [Effect::Phase(Phase::WaitingPromotion), Effect::AskGate]);
    // [0, 30), [30, 60), [60, 90), [90, 120): each click counts once.
    assert_eq!((run.state.comparison.candidate_yes, run.state.comparison.champion_n), (4 * 600, 4 * 45_000));
    assert_eq!(run.state.comparison.until_ms, Some(120 * MINUTE));
    let looks: Vec<i64> = run.state.looks.iter().map(|look| look.at_ms / MINUTE).collect();
    assert_eq!(looks, [30, 60, 90, 120]);
    let widths: Vec<f64> = run.state.looks.iter().map(|look| look.upper - look.lower).collect();
    assert!(widths.is_sorted_by(|before, after| before > after), "{widths:?}");
    assert!(run.state.looks.iter().all(|look| look.lower < look.difference && look.difference < look.upper));
    assert!(run.state.why.starts_with("ctr 0.12 of 20000 against the champion's 0.1 of 180000"), "{}", run.state.why);
}

#[test]
fn a_gain_that_is_not_sure_pauses_and_goes_on_counting_when_resumed() {
    let mut run = Run::new(AB);
    two_hours(&mut run, (103, 1000), (900, 9000), (60.0, 60.0));
    let paused = run.state.paused.clone().unwrap();
    assert!(paused.contains("but not surely one above 0"), "{paused}");
    run.input(Input::Resume);
    assert_eq!(run.state.comparison.candidate_n, 4000);
    run.see(&kpi(150, (103, 1000), (900, 9000)));
    assert_eq!(run.state.comparison.candidate_n, 5000);
    let mut run = Run::new(&format!("{AB}, on_inconclusive: fail"));
    two_hours(&mut run, (103, 1000), (900, 9000), (60.0, 60.0));
    assert_eq!(run.state.phase, Phase::Failed);
}

#[test]
fn a_sure_gain_that_is_too_small_pauses() {
    let mut run = Run::new(&AB.replace("0.015", "0.3"));
    two_hours(&mut run, (600, 5000), (4500, 45_000), (60.0, 60.0));
    assert!(run.state.paused.unwrap().contains("not the gain of 30%"));
}

#[test]
fn the_gain_is_compared_as_a_fraction() {
    // 0.1015 / 0.1 − 1 is below 0.015 in binary.
    let mut run = Run::new(AB);
    two_hours(&mut run, (1_015_000, 10_000_000), (1_000_000, 10_000_000), (60.0, 60.0));
    assert_eq!(run.state.phase, Phase::WaitingPromotion, "{}", run.state.why);
}

#[test]
fn a_slowdown_pauses() {
    let mut run = Run::new(AB);
    two_hours(&mut run, (600, 5000), (4500, 45_000), (63.1, 60.0));
    let paused = run.state.paused.unwrap();
    assert!(paused.ends_with("latency 63.1 ms is more than 5% above the champion's 60 ms"), "{paused}");
    let mut run = Run::new(AB);
    for end in 1..=120 {
        if end % 5 == 0 {
            run.see(&kpi(end, (600, 5000), (4500, 45_000)));
        }
        run.see(&latency("7", end, 60.0));
    }
    assert!(run.state.paused.unwrap().contains("the champion's latency was not measured"));
}

#[test]
fn harm_fails_at_the_first_look_that_shows_it() {
    let mut run = Run::new(AB);
    run.pass(0, 30);
    let effects = run.see(&kpi(30, (300, 5000), (4500, 45_000)));
    let [Effect::SetWeight(_), Effect::Failed { reason }, Effect::Phase(Phase::Failed)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(reason.starts_with("worse than the champion: ctr 0.06 of 5000"), "{reason}");
}

#[test]
fn only_windows_of_the_step_against_the_same_champion_count() {
    let mut run = Run::new(AB);
    run.see(&kpi(25, (600, 5000), (4500, 45_000)));
    assert_eq!(run.state.comparison, Comparison::default(), "it began before the step");
    run.see(&kpi_of("5", 30, (0, 5000), (45_000, 45_000)));
    run.see(&verdict("7", "kpi", 5, 35, vec![result("kpi/ctr", "kpi_drop", Status::Insufficient, 0.0)]));
    assert_eq!(run.state.comparison, Comparison::default());
    run.pass(0, 120);
    assert_eq!(run.state.paused, None, "the KPI's windows have not come to the end of the step");
    run.see(&kpi_of("5", 120, (600, 5000), (4500, 45_000)));
    assert!(run.state.paused.unwrap().contains("nothing counted on both sides"));
}

#[test]
fn windows_in_a_pause_are_not_counted() {
    let mut run = Run::new(AB);
    run.pass(0, 10);
    run.input(Input::Pause("look".into()));
    run.pass(10, 20);
    run.input(Input::Resume);
    run.see(&kpi(30, (600, 5000), (4500, 45_000)));
    assert_eq!(run.state.comparison.until_ms, None);
    run.see(&kpi(50, (600, 5000), (4500, 45_000)));
    assert_eq!(run.state.comparison.until_ms, Some(50 * MINUTE));
}

#[test]
fn mirrored_traffic_and_the_bake_are_not_compared() {
    let mut run = Run::new(&format!("{AB}, shadow: 1h"));
    run.see(&kpi(30, (0, 5000), (4500, 45_000)));
    assert_eq!((run.state.phase, run.state.comparison), (Phase::Progressing, Comparison::default()));
    run.input(Input::Promote);
    run.gate(true);
    run.see(&kpi(60, (0, 5000), (4500, 45_000)));
    assert_eq!((run.state.phase, run.state.comparison), (Phase::Promoting, Comparison::default()));
}

#[test]
fn the_confidence_is_the_whole_rollouts() {
    // A difference that one comparison at 5% finds, and one of ten at 0.5% does not.
    let steps: Vec<String> = (1..=10).map(|weight| format!("{{weight: {weight}, for: 1h}}, ")).collect();
    let many = AB.replace("{weight: 10, for: 2h}, ", &steps.concat());
    let (mut one, mut ten) = (Run::new(AB), Run::new(&many));
    let window = kpi(30, (425, 5000), (4500, 45_000));
    one.see(&window);
    ten.see(&window);
    assert_eq!((one.state.phase, ten.state.phase), (Phase::Failed, Phase::Progressing));
}

#[test]
fn each_step_counts_for_itself() {
    let mut run = Run::new(&AB.replace("{weight: 100", "{weight: 50, for: 2h}, {weight: 100"));
    two_hours(&mut run, (600, 5000), (4500, 45_000), (60.0, 60.0));
    assert_eq!((run.state.step, run.state.comparison), (1, Comparison::default()));
}
