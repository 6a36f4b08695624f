//! Laws over arbitrary runs: windows of both versions in order, with commands and answers at any time.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Slo { champion: bool, gap: i64, p95: Status, error_rate: Status, complete: bool },
    Kpi { yes: u64, champion_yes: u64 },
    Pause,
    Resume,
    Abort,
    Promote,
    Gate(bool),
    GateWaits,
    External(bool),
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![12 => Just(Status::Pass), 1 => Just(Status::Warn), 1 => Just(Status::Insufficient), 2 => Just(Status::Block)]
}

fn event() -> impl Strategy<Value = Event> {
    let rarely_bad = prop_oneof![60 => Just(Status::Pass), 1 => Just(Status::Block)];
    let window = (any::<bool>(), 0..8_i64, status(), rarely_bad, prop::bool::weighted(0.95));
    prop_oneof![
        60 => window.prop_map(|(champion, gap, p95, error_rate, complete)| {
            Event::Slo { champion, gap: (gap - 5).max(0), p95, error_rate, complete }
        }),
        10 => (80..140_u64, 80..120_u64).prop_map(|(yes, champion_yes)| Event::Kpi { yes, champion_yes }),
        2 => Just(Event::Pause),
        4 => Just(Event::Resume),
        1 => prop::bool::weighted(0.1).prop_map(|abort| if abort { Event::Abort } else { Event::Resume }),
        1 => Just(Event::Promote),
        4 => prop::bool::weighted(0.8).prop_map(Event::Gate),
        2 => Just(Event::GateWaits),
        1 => any::<bool>().prop_map(Event::External),
    ]
}

fn rollout() -> impl Strategy<Value = String> {
    let steps = "steps: [{weight: 10, for: 5m}, {weight: 50, for: 10m}, {weight: 100, bake: 10m}], checks: [slo]";
    let plans = prop_oneof![
        4 => Just(steps.to_owned()),
        2 => Just(format!("{steps}, compare: {{of: ctr, min_gain: {{absolute: 0.0}}, latency: {{max_increase: {{relative: 1}}}}}}")),
        1 => Just("controller: external, checks: [slo]".to_owned()),
    ];
    (plans, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(plan, delay, fail, confirm)| {
        let delay = if delay { ", initial_delay: 2m" } else { "" };
        let fail = if fail { ", on_inconclusive: fail" } else { "" };
        let confirm = if confirm { ", confirm: true" } else { "" };
        format!("{plan}{delay}{fail}{confirm}")
    })
}

/// The event's verdict at the time its version has come to, if it is one; `now` is of candidate, champion and KPI.
fn judged(event: &Event, now: &mut [i64; 3]) -> Option<Verdict> {
    match event {
        Event::Slo { champion, gap, p95, error_rate, complete } => {
            let clock = &mut now[usize::from(*champion)];
            *clock += 1 + gap;
            let mut verdict = slo_of(if *champion { "6" } else { "7" }, *clock, *p95, *error_rate);
            verdict.window.complete = *complete;
            Some(verdict)
        }
        Event::Kpi { yes, champion_yes } => {
            now[2] = (now[2] + 1).max(now[0]);
            let evidence: Vec<(&'static str, Value)> = vec![
                ("rate", json!(yes * 10)),
                ("n", 1000.into()),
                ("champion", "6".into()),
                ("champion_rate", json!(champion_yes * 10)),
                ("champion_n", 9000.into()),
            ];
            let evidence = evidence
                .into_iter()
                .map(
                    |(name, v)| {
                        if name.ends_with("rate") { (name, json!(v.as_f64().unwrap() / 10_000.0)) } else { (name, v) }
                    },
                )
                .collect();
            let ctr = RuleResult { evidence, ..result("kpi/ctr", "kpi_drop", Status::Pass, 0.0) };
            Some(verdict("7", "kpi", now[2] - 2, now[2], vec![ctr]))
        }
        _ => None,
    }
}

fn input<'a>(event: &Event, verdict: Option<&'a Verdict>) -> Input<'a> {
    match (event, verdict) {
        (_, Some(verdict)) => Input::Verdict(verdict),
        (Event::Pause, _) => Input::Pause("by hand".into()),
        (Event::Abort, _) => Input::Abort("by hand".into()),
        (Event::Promote, _) => Input::Promote,
        (Event::Gate(pass), _) => Input::Gate { pass: *pass, why: "so".into() },
        (Event::GateWaits, _) => Input::GateWaits("files are read".into()),
        (Event::External(succeeded), _) => Input::External { succeeded: *succeeded, why: "so".into() },
        _ => Input::Resume,
    }
}

/// Feeds all events; `between` may replace the state before each.
fn run(rollout: &str, events: &[Event], mut between: impl FnMut(&mut Run, &Event)) -> (Run, Vec<Effect>) {
    let mut run = Run::new(rollout);
    let mut effects = run.first.clone();
    let mut now = [0; 3];
    for event in events {
        between(&mut run, event);
        let verdict = judged(event, &mut now);
        effects.extend(run.input(input(event, verdict.as_ref())));
    }
    (run, effects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_state_written_down_and_read_back_goes_on_alike(rollout in rollout(), events in prop::collection::vec(event(), 0..120)) {
        let (whole, effects) = run(&rollout, &events, |_, _| {});
        let (split, pieces) = run(&rollout, &events, |run, _| {
            let text = serde_json::to_string(&run.state).unwrap();
            run.state = serde_json::from_str(&text).unwrap();
        });
        prop_assert_eq!(effects, pieces);
        prop_assert_eq!(whole.state, split.state);
    }

    #[test]
    fn an_input_fed_twice_changes_nothing(rollout in rollout(), events in prop::collection::vec(event(), 0..120)) {
        let mut run = Run::new(&rollout);
        let mut now = [0; 3];
        for event in &events {
            let verdict = judged(event, &mut now);
            run.input(input(event, verdict.as_ref()));
            let state = run.state.clone();
            prop_assert_eq!(run.input(input(event, verdict.as_ref())), []);
            prop_assert_eq!(&run.state, &state);
        }
    }

    #[test]
    fn weights_rise_until_it_fails_and_only_the_gate_promotes(rollout in rollout(), events in prop::collection::vec(event(), 0..200)) {
        let mut weight = -1.0;
        let mut run = Run::new(&rollout);
        let mut now = [0; 3];
        let mut seen = run.first.clone();
        for event in &events {
            let verdict = judged(event, &mut now);
            let asked = run.state.gate_asked;
            let effects = run.input(input(event, verdict.as_ref()));
            if effects.contains(&point("prod")) {
                prop_assert!(
                    asked && matches!(event, Event::Gate(true)) || run.state.external && matches!(event, Event::External(true))
                );
            }
            if run.state.phase == Phase::Succeeded && !run.state.external && !effects.is_empty() {
                prop_assert!(run.state.measured["slo"].good > 0 && run.state.breaches.is_empty());
            }
            seen.extend(effects);
        }
        for effect in &seen {
            match effect {
                Effect::SetWeight(new) if *new > 0.0 => {
                    prop_assert!(*new > weight);
                    weight = *new;
                }
                Effect::SetWeight(_) => weight = f64::INFINITY,
                _ => {}
            }
        }
        let failed = run.state.phase == Phase::Failed;
        let said = seen.iter().filter(|e| matches!(e, Effect::Failed { .. } | Effect::RollBack { .. })).count();
        prop_assert_eq!(said, usize::from(failed));
        prop_assert!(!failed || run.state.weight.abs() < 1e-9);
    }
}

#[test]
fn arbitrary_runs_reach_every_phase() {
    // The laws above say little about phases that no run comes to.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::HashSet::new();
    for _ in 0..300 {
        let (rollout, events) =
            (rollout(), prop::collection::vec(event(), 0..200)).new_tree(&mut runner).unwrap().current();
        let (_, effects) = run(&rollout, &events, |run, _| {
            reached.insert(run.state.phase);
        });
        reached.extend(effects.iter().filter_map(|e| if let Effect::Phase(phase) = e { Some(*phase) } else { None }));
    }
    assert_eq!(reached.len(), 6, "{reached:?}");
}
