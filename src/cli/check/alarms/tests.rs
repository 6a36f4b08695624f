//! The figures that these are compared with were simulated independently, with numpy and scipy.

use std::path::Path;

use super::*;

fn policy(features: &str, checks: &str) -> Policy {
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: m\nfeatures: {{{features}}}\nscore: {{threshold: 0.5}}\nsegments: [region]\nlabels: {{horizon: 1d}}\nchecks:\n{checks}"
    );
    driftgate_core::policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
}

fn one(window: &str, rule: &str) -> Alarm {
    let checks = format!("  g:\n    window: {{{window}}}\n    rules:\n    - {rule}\n");
    alarms(&policy("numeric: [a]", &checks), None, &Simulated::default()).remove(0)
}

/// Shares of windows, and of days (of windows where a slide is longer), that block.
fn shares(alarm: &Alarm) -> (f64, f64) {
    (alarm.blocking.unwrap(), alarm.days_a_month.unwrap() / 30.0)
}

fn near(found: f64, expected: f64, within: f64) -> bool {
    (found - expected).abs() <= within
}

#[test]
fn psi_alarms_as_an_independent_simulation_says() {
    // Of windows of 200 in 10 bins 1.7% reach 0.1; of days of them, an hour every five minutes, 88%.
    let alarm = one("size: 1h, slide: 5m", "psi: {of: a, lt: 0.1}");
    let (windows, days) = shares(&alarm);
    assert!(near(windows, 0.0171, 0.004) && near(days, 0.877, 0.06), "{windows} {days}");
    let (windows, days) = shares(&one("size: 1h, slide: 5m", "psi: {of: a, lt: 0.15}"));
    assert!(near(windows, 0.00055, 0.0004) && near(days, 0.086, 0.05), "{windows} {days}");
    let (_, days) = shares(&one("size: 1d, slide: 1h", "psi: {of: a, lt: 0.12}"));
    assert!(near(days, 0.034, 0.02), "{days}");
    // The customary limit is far from chance.
    assert!(one("size: 1h, slide: 5m", "psi: {of: a, lt: 0.2}").days_a_month.unwrap() < 0.3);
    let said = alarm.lint().unwrap();
    assert_eq!(said.path, "checks.g.rules[0].psi");
    assert!(
        said.message.starts_with("it blocks on about 2") && said.message.contains("raise `min_samples`"),
        "{}",
        said.message
    );
    assert!(alarm.finds[0].starts_with("a shift of 0."), "{:?}", alarm.finds);
}

#[test]
fn p_values_alarm_all_day_and_holm_is_no_cure() {
    let (windows, days) = shares(&one("size: 1h, slide: 5m", "ks_p: {of: a, gte: 0.01}"));
    assert!(near(windows, 0.0098, 0.003) && near(days, 0.68, 0.08), "{windows} {days}");
    let (_, days) = shares(&one("size: 6h, slide: 1h", "ks_p: {of: a, gte: 0.01}"));
    assert!(near(days, 0.129, 0.05), "{days}");
    // Twenty features, each at a twentieth of the level: 8% of days each, four of five days one of them.
    let names: Vec<String> = (0..20).map(|i| format!("f{i}")).collect();
    let features = format!("numeric: [{}]", names.join(", "));
    let checks = "  g:\n    window: {size: 1h, slide: 5m}\n    rules:\n    - ks_p: {of: features, gte: 0.01, correction: holm}\n    - ks_lcb: {of: features, lte: 0.05}\n";
    let found = alarms(&policy(&features, checks), None, &Simulated::default());
    let (_, days) = shares(&found[0]);
    assert!(days > 0.6 && days < 0.95, "{days}");
    assert!(found[0].lint().unwrap().message.contains("not for the windows of a day: write `ks_lcb`"));
    assert!(found[1].days_a_month.unwrap() < 0.3 && found[1].lint().is_none());
}

#[test]
fn gaps_of_few_positives_alarm_in_nine_windows_of_ten() {
    // Five segments with 30 positives each and a rate of 0.8: a gap of 0.1 in 92.4% of windows.
    let alarm = one("size: 7d, slide: 7d", "tpr_gap: {by: region, lt: 0.1}");
    let windows = alarm.blocking.unwrap();
    assert!(near(windows, 0.924, 0.02), "{windows}");
    assert!(near(alarm.days_a_month.unwrap(), 30.0 / 7.0 * 0.924, 0.1));
    let said = alarm.lint().unwrap().message;
    assert!(said.contains("5 segments of 30") && said.contains("tpr_gap_lcb"), "{said}");
    // 200 positives do not help against 0.03: 95.9%.
    let windows = one("size: 7d, slide: 7d", "tpr_gap: {by: region, lt: 0.03, min_positives: 200}").blocking.unwrap();
    assert!(near(windows, 0.9585, 0.02), "{windows}");
    for quiet in ["tpr_gap_lcb: {by: region, lte: 0.03}", "tpr_gap: {by: region, lt: 0.1, min_positives: 3000}"] {
        let alarm = one("size: 7d, slide: 7d", quiet);
        assert!(alarm.lint().is_none(), "{quiet}: {:?}", alarm.days_a_month);
    }
}

#[test]
fn a_kpi_that_is_asked_to_last_alarms_and_the_always_valid_interval_does_not() {
    // Two windows of half an hour in a row, every five minutes: they share most of their events. 78% of days.
    let (windows, days) = shares(&one("size: 30m, slide: 5m", "kpi_drop: {of: ctr, max: {relative: 0.01}, for: 2}"));
    assert!(near(windows, 0.0098, 0.004) && near(days, 0.7785, 0.09), "{windows} {days}");
    let alarm = one("size: 30m, slide: 5m", "kpi_drop: {of: ctr, max: {relative: 0.01}}");
    assert!(alarm.lint().is_none() && alarm.finds[0].starts_with("a rate lower by"), "{alarm:?}");
}

#[test]
fn what_the_policy_does_not_say_is_not_made_up() {
    for rule in ["latency_p95_ms: {lt: 80}", "error_rate: {lt: 0.01}", "measured: {of: x, lt: 1}", "auc: {gte: 0.7}"] {
        let alarm = one("size: 1h, slide: 1h", rule);
        assert!(alarm.days_a_month.is_none() && !alarm.assumes.is_empty() && alarm.lint().is_none(), "{alarm:?}");
    }
    // A category without a snapshot; a rule that never blocks is not warned of.
    let checks = "  g:\n    window: {size: 1h, slide: 5m}\n    enforce: observe\n    rules:\n    - psi: {of: features, lt: 0.1}\n    - missing_rate: {of: features, max_increase: 0.05}\n";
    let found = alarms(&policy("numeric: [a], categorical: [c]", checks), None, &Simulated::default());
    assert!(found[0].assumes.contains("1 categorical features left out") && found[0].lint().is_none(), "{found:?}");
    assert_eq!(found[1].days_a_month, Some(0.0));
}

#[test]
fn it_is_the_same_each_time() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/policies/example.yaml")).unwrap();
    let policy = driftgate_core::policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"));
    let figures = |found: &[Alarm]| found.iter().map(|a| (a.rule.clone(), a.days_a_month)).collect::<Vec<_>>();
    let first = alarms(&policy, None, &Simulated::default());
    assert_eq!(figures(&first), figures(&alarms(&policy, None, &Simulated::default())));
    assert!(table(&first).to_string().contains("days a month"));
}

#[test]
fn what_another_policy_had_simulated_is_what_it_would_be_alone() {
    let simulated = Simulated::default();
    let of = |model: &str, lt: &str| {
        let text = format!("numeric: [{model}, b]");
        policy(
            &text,
            &format!(
                "  drift: {{window: {{size: 1h, slide: 1h}}, rules: [{{psi: {{of: features, lt: {lt}}}}}, {{ks_p: {{of: features, gte: 0.01}}}}]}}"
            ),
        )
    };
    for (model, lt) in [("a", "0.2"), ("c", "0.2"), ("a", "0.05")] {
        let policy = of(model, lt);
        let (known, alone) = (alarms(&policy, None, &simulated), alarms(&policy, None, &Simulated::default()));
        assert_eq!(format!("{known:?}"), format!("{alone:?}"));
    }
}
