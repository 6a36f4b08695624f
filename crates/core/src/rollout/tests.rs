//! The controller, rollout by rollout. Minutes are event time; a window `slo(5, …)` is [4, 5) minutes.

mod comparison;
mod lasting;
mod laws;
mod people;
mod routing;

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::judge::verdict::{Counted, Evidence, RuleResult, Status, Verdict, WindowSpan};
use crate::policy::{Policy, parse};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60;
const PLAN: &str = "steps: [{weight: 10, for: 30m}, {weight: 50, for: 2h}, {weight: 100, bake: 1h}], checks: [slo]";

/// A rollout of version 7 over 6, under a policy with `rollout: {…}` as given.
struct Run {
    policy: Policy,
    state: State,
    first: Vec<Effect>,
}

fn policy(rollout: &str) -> Policy {
    policy_with(rollout, "5m")
}

/// The same with this `for` of the trigger on p95.
fn policy_with(rollout: &str, lasts: &str) -> Policy {
    let text = format!(
        "apiVersion: driftgate/v1
model: m
labels: {{horizon: 1h}}
checks:
  slo:
    window: {{size: 1m, slide: 1m}}
    rules: [{{latency_p95_ms: {{id: p95, lt: 80}}}}, {{error_rate: {{lt: 0.01}}}}]
  kpi:
    window: {{size: 30m, slide: 5m}}
    rules: [{{kpi_drop: {{id: ctr, of: ctr, max: {{relative: 0.01}}}}}}]
  watched:
    window: {{size: 1m, slide: 1m}}
    enforce: observe
    rules: [{{latency_p50_ms: {{lt: 10}}}}]
transitions:
- {{from: staging, to: prod, rollout: {{{rollout}}}}}
rollback: {{triggers: [{{rule: slo/p95, for: {lasts}}}, {{rule: kpi/ctr}}]}}
"
    );
    parse(&text, Path::new("p.yaml")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn identity() -> Identity {
    let text = |s: &str| s.to_owned();
    Identity {
        id: text("r1"),
        model: text("m"),
        candidate: text("7"),
        champion: Some(text("6")),
        from: text("staging"),
        to: text("prod"),
    }
}

fn verdict(version: &str, group: &str, start: i64, end: i64, results: Vec<RuleResult>) -> Verdict {
    Verdict {
        verdict_id: format!("{version}/{group}/{end}"),
        model: "m".into(),
        version: version.into(),
        stage: None,
        group: group.into(),
        window: WindowSpan { start: start * MINUTE, end: end * MINUTE, complete: true },
        status: results.iter().map(|r| r.status).max().unwrap_or(Status::Pass),
        results,
        counted: Counted { predictions: 1000, labels: 0 },
        policy_sha256: String::new(),
        baseline_sha256: None,
    }
}

fn result(rule: &str, metric: &'static str, status: Status, value: f64) -> RuleResult {
    RuleResult {
        rule: rule.into(),
        metric: metric.into(),
        subject: metric.into(),
        status,
        value: Some(value),
        evidence: Evidence::default(),
        reason: None,
        since: None,
        pending: false,
        muted: false,
        bins: None,
    }
}

/// The minute before `end`, with these statuses of p95 and error rate.
fn slo_of(version: &str, end: i64, p95: Status, error_rate: Status) -> Verdict {
    let results =
        vec![result("slo/p95", "latency_p95_ms", p95, 62.0), result("slo/error_rate", "error_rate", error_rate, 0.002)];
    verdict(version, "slo", end - 1, end, results)
}

fn slo(end: i64, p95: Status) -> Verdict {
    slo_of("7", end, p95, Status::Pass)
}

impl Run {
    fn new(rollout: &str) -> Self {
        Self::of(policy(rollout))
    }

    fn of(policy: Policy) -> Self {
        let (state, first) = start(identity(), &policy, policy.transitions[0].rollout.as_ref().unwrap(), 0);
        Self { policy, state, first }
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        let rollout = self.policy.transitions[0].rollout.as_ref().unwrap();
        step(&mut self.state, &self.policy, rollout, input)
    }

    fn see(&mut self, verdict: &Verdict) -> Vec<Effect> {
        self.input(Input::Verdict(verdict))
    }

    /// Passing minutes, the last one ending at `to`; the effects without the notes.
    fn pass(&mut self, from: i64, to: i64) -> Vec<Effect> {
        (from + 1..=to).flat_map(|end| acts(&self.see(&slo(end, Status::Pass)))).collect()
    }

    fn breach(&mut self, from: i64, to: i64) -> Vec<Effect> {
        (from + 1..=to).flat_map(|end| acts(&self.see(&slo(end, Status::Block)))).collect()
    }

    fn gate(&mut self, pass: bool) -> Vec<Effect> {
        acts(&self.input(Input::Gate { pass, why: "approval of owner has lapsed".into() }))
    }

    /// To the bake, which starts at minute 150.
    fn baking(rollout: &str) -> Self {
        let mut run = Self::new(rollout);
        run.pass(0, 150);
        run.gate(true);
        assert_eq!(run.state.phase, Phase::Promoting);
        run
    }
}

/// What is to be done: everything but notes.
fn acts(effects: &[Effect]) -> Vec<Effect> {
    effects.iter().filter(|effect| !matches!(effect, Effect::Note(_))).cloned().collect()
}

fn point(stage: &str) -> Effect {
    Effect::MovePointer { stage: stage.into(), to: "7".into() }
}

#[test]
fn ten_fifty_a_hundred() {
    let mut run = Run::new(PLAN);
    assert_eq!(
        acts(&run.first),
        [Effect::Phase(Phase::Progressing), point("canary"), Effect::SetWeight(10.0)],
        "without a delay the first step starts at once"
    );
    assert_eq!(run.pass(0, 29), []);
    assert_eq!(run.pass(29, 30), [Effect::SetWeight(50.0)]);
    assert_eq!((run.state.step, run.state.weight, run.state.step_started_ms), (1, 50.0, 30 * MINUTE));
    assert_eq!(run.pass(30, 30 + 2 * HOUR - 1), []);
    assert_eq!(run.pass(149, 150), [Effect::Phase(Phase::WaitingPromotion), Effect::AskGate]);
    assert_eq!(run.pass(150, 155), [], "waits for the answer");
    assert_eq!(run.gate(true), [Effect::Phase(Phase::Promoting), point("prod"), Effect::SetWeight(100.0)]);
    assert_eq!(run.pass(155, 155 + HOUR - 1), []);
    assert_eq!(run.pass(214, 215), [Effect::Phase(Phase::Succeeded)]);
    assert_eq!(run.state.why, "finished its bake");
    assert_eq!(run.breach(215, 230), [], "over is over");
}

#[test]
fn four_minutes_of_breach_do_not_fail_it_and_five_do() {
    let mut run = Run::new(PLAN);
    run.pass(0, 10);
    // Ends at 11 to 15: four minutes since the first.
    assert_eq!(run.breach(10, 15), []);
    assert_eq!(run.state.breaches["slo/p95"].since_ms, 11 * MINUTE);
    let effects = run.breach(15, 16);
    let [Effect::SetWeight(weight), Effect::Failed { reason }, Effect::Phase(Phase::Failed)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(weight.abs() < 1e-9);
    assert!(reason.contains("slo/p95") && reason.ends_with("for 5m, since 1970-01-01T00:11:00Z"), "{reason}");
    assert_eq!(run.state.why, *reason);
}

#[test]
fn no_step_ends_during_a_breach() {
    let mut run = Run::new(PLAN);
    run.pass(0, 28);
    assert_eq!(run.breach(28, 32), []);
    assert_eq!((run.state.step, run.state.phase), (0, Phase::Progressing));
    assert_eq!(run.pass(32, 33), [Effect::SetWeight(50.0)]);
}

#[test]
fn other_rules_fail_at_once() {
    let mut run = Run::new(PLAN);
    let effects = acts(&run.see(&slo_of("7", 1, Status::Pass, Status::Block)));
    assert!(matches!(&effects[1], Effect::Failed { reason } if reason.contains("slo/error_rate")), "{effects:?}");
    // Groups that do not enforce fail nothing; nor do mutes and what is still pending.
    let mut run = Run::new("steps: [{weight: 10, for: 30m}, {weight: 100, bake: 1h}], checks: [slo, watched]");
    let block = |rule, metric| result(rule, metric, Status::Block, 1.0);
    run.see(&verdict("7", "watched", 0, 1, vec![block("watched/latency_p50_ms", "latency_p50_ms")]));
    let muted = RuleResult { muted: true, ..block("slo/error_rate", "error_rate") };
    let pending = RuleResult { pending: true, ..block("slo/error_rate", "error_rate") };
    run.see(&verdict("7", "slo", 0, 1, vec![muted, pending]));
    run.see(&slo_of("6", 1, Status::Block, Status::Block));
    assert_eq!(run.state.phase, Phase::Progressing);
    let done = [Effect::Phase(Phase::WaitingPromotion), Effect::AskGate];
    assert_eq!(run.pass(1, 30), done, "an observed group is not waited for");
}

#[test]
fn what_takes_a_version_back_from_prod_ends_its_rollout_though_it_is_not_measured_by() {
    let mut run = Run::new(PLAN);
    let kpi = |status| verdict("7", "kpi", 0, 30, vec![result("kpi/ctr", "kpi_drop", status, 0.02)]);
    assert_eq!(acts(&run.see(&kpi(Status::Pass))), []);
    let mut run = Run::new(PLAN);
    let effects = acts(&run.see(&kpi(Status::Block)));
    assert!(matches!(&effects[1], Effect::Failed { reason } if reason.contains("kpi/ctr")), "{effects:?}");
}

#[test]
fn a_breach_during_the_bake_rolls_back() {
    let mut run = Run::baking(PLAN);
    assert_eq!(run.breach(150, 155), []);
    let effects = run.breach(155, 156);
    assert!(
        matches!(
            &effects[..],
            [Effect::RollBack { reason }, Effect::SetWeight(_), Effect::Phase(Phase::Failed)] if reason.contains("slo/p95")
        ),
        "{effects:?}"
    );
    assert!(run.state.weight.abs() < 1e-9);
}

#[test]
fn without_measurements_it_is_never_done() {
    let mut run = Run::new(PLAN);
    // Nothing of the candidate, then windows that started before the step, then some that are not complete.
    for end in 1..100 {
        assert_eq!(run.see(&slo_of("6", end, Status::Pass, Status::Pass)), []);
    }
    run.see(&verdict("7", "slo", -10, 100, slo(1, Status::Pass).results));
    assert_eq!((run.state.phase, run.state.step), (Phase::Progressing, 0));
    let mut partial = slo(101, Status::Pass);
    partial.window.complete = false;
    assert_eq!(run.see(&partial), []);
    assert!(run.state.measured.is_empty());
    // A verdict that judged nothing measures nothing either.
    let effects = run.see(&verdict("7", "slo", 100, 101, Vec::new()));
    assert!(matches!(&effects[..], [Effect::Note(text)] if text.contains("insufficient")), "{effects:?}");
    let mut run = Run::new("steps: [{weight: 10, for: 1m}, {weight: 100, bake: 1h}], checks: [watched]");
    assert!(matches!(&run.first[1], Effect::Note(text) if text.contains("will not advance")));
    run.see(&verdict(
        "7",
        "watched",
        0,
        9,
        vec![result("watched/latency_p50_ms", "latency_p50_ms", Status::Pass, 1.0)],
    ));
    assert_eq!(run.state.step, 0);
}

#[test]
fn every_group_must_have_come_to_the_end_of_the_step() {
    let mut run = Run::new("steps: [{weight: 10, for: 30m}, {weight: 100, bake: 1h}], checks: [slo, kpi]");
    run.pass(0, 40);
    let kpi = |start: i64, end| verdict("7", "kpi", start, end, vec![result("kpi/ctr", "kpi_drop", Status::Pass, 0.0)]);
    run.see(&kpi(-5, 25));
    assert_eq!(run.state.phase, Phase::Progressing, "of kpi there are 25 minutes, of a window that began before");
    run.see(&kpi(0, 30));
    assert_eq!(run.state.phase, Phase::WaitingPromotion);
    run.gate(true);
    assert_eq!(run.state.step_started_ms, 40 * MINUTE, "the bake starts behind every window seen");
}

#[test]
fn a_breach_ends_when_its_rule_is_muted_or_no_longer_watched() {
    let mut run = Run::new(PLAN);
    run.breach(0, 2);
    let mut muted = slo(3, Status::Block);
    muted.results[0].muted = true;
    run.see(&muted);
    assert!(run.state.breaches.is_empty());
    run.breach(3, 4);
    run.policy.rollback = None;
    run.pass(4, 5);
    assert!(run.state.breaches.is_empty());
    assert_eq!(run.breach(5, 6).len(), 3, "without a trigger it fails at once");
}

#[test]
fn an_initial_delay_runs_from_the_first_verdict() {
    let mut run = Run::new(&format!("{PLAN}, initial_delay: 5m"));
    assert_eq!(acts(&run.first), [Effect::Phase(Phase::Waiting)]);
    assert_eq!(run.breach(99, 104), [], "it warms up");
    let first = [Effect::Phase(Phase::Progressing), point("canary"), Effect::SetWeight(10.0)];
    assert_eq!(run.breach(104, 105), first);
    assert_eq!((run.state.step_started_ms, run.state.breaches.len()), (105 * MINUTE, 0));
    assert_eq!(run.pass(105, 135), [Effect::SetWeight(50.0)]);
    let mut run = Run::new(&format!("{PLAN}, initial_delay: 5m"));
    run.pass(0, 3);
    run.input(Input::Pause("wait".into()));
    run.pass(3, 13);
    run.input(Input::Resume);
    assert_eq!(run.pass(13, 15), []);
    assert_eq!(run.pass(15, 16), first, "a pause does not count");
}

#[test]
fn mirrored_traffic_first() {
    let mut run = Run::new(&format!("{PLAN}, shadow: 1h"));
    assert_eq!(acts(&run.first)[2], Effect::SetWeight(0.0));
    assert_eq!(run.pass(0, HOUR), [Effect::SetWeight(10.0)]);
    assert_eq!(run.pass(HOUR, HOUR + 30), [Effect::SetWeight(50.0)]);
}

#[test]
fn a_dry_run_decides_the_same_and_says_that_it_is_one() {
    let (mut dry, mut wet) = (Run::new(&format!("{PLAN}, dry_run: true")), Run::new(PLAN));
    assert!(dry.state.dry_run && !wet.state.dry_run);
    assert_eq!(acts(&dry.first), acts(&wet.first));
    assert_eq!(dry.pass(0, 150), wet.pass(0, 150));
    assert_eq!(dry.gate(true), wet.gate(true));
    assert_eq!(dry.breach(150, 160), wet.breach(150, 160));
}

#[test]
fn windows_seen_before_and_of_others_change_nothing() {
    let mut run = Run::new(PLAN);
    run.pass(0, 10);
    let before = run.state.clone();
    assert_eq!(run.see(&slo_of("7", 10, Status::Block, Status::Block)), []);
    assert_eq!(run.see(&slo_of("7", 9, Status::Block, Status::Block)), []);
    assert_eq!(run.see(&slo_of("5", 11, Status::Block, Status::Block)), []);
    let other = Verdict { model: "n".into(), ..slo_of("7", 11, Status::Block, Status::Block) };
    assert_eq!(run.see(&other), []);
    assert_eq!(run.see(&verdict("7", "unknown", 10, 11, vec![])), []);
    assert_eq!(run.state, before);
    // A window from before the rollout.
    let mut run = Run::new(PLAN);
    assert_eq!(run.see(&slo_of("7", 0, Status::Pass, Status::Block)), []);
    assert_eq!(run.state.phase, Phase::Progressing);
}

#[test]
fn the_plan_in_a_line() {
    let line = |rollout: &str| {
        let policy = policy(rollout);
        describe(&policy, policy.transitions[0].rollout.as_ref().unwrap())
    };
    assert_eq!(line(PLAN), "10% for 30m, 50% for 2h, 100% with a bake of 1h; checks slo; inconclusive pauses");
    assert_eq!(
        line(
            "steps: [{weight: 0.5, for: 24h}, {weight: 100, bake: 1h}], checks: [slo, kpi], on_inconclusive: fail, shadow: 1h, \
             initial_delay: 5m, confirm: true, dry_run: true, compare: {of: ctr, min_gain: {relative: 0.015}, \
             latency: {max_increase: {absolute: 5}}}"
        ),
        "mirrored traffic for 1h, 0.5% for 1d, 100% with a bake of 1h; checks slo, kpi; inconclusive fails; \
         starts 5m after the first verdict; ctr at least 1.5% above the champion's and latency at most 5 ms above, \
         95% confidence; a person confirms the last step; dry run"
    );
    assert_eq!(
        line("controller: external, checks: [slo]"),
        "another controller moves the traffic; checks slo; inconclusive pauses"
    );
}
