//! `rollout:`: how the traffic moves.

use super::*;

/// A policy with a rollout, given as the inside of `rollout: {…}`, and rules that a comparison can read.
fn with(rollout: &str) -> String {
    with_rules(
        "[{psi: {of: features, lt: 0.2}}, {latency_p99_ms: {lt: 200}}, {latency_p95_ms: {lt: 80}}]
  plain:
    window: {size: 1h, slide: 1h}
    rules: [{error_rate: {lt: 0.01}}, {latency_p50_ms: {lt: 20}}]
  kpi:
    window: {size: 1h, slide: 1h}
    rules: [{error_rate: {lt: 0.01}}, {kpi_drop: {id: clicks, of: ctr, max: {relative: 0.01}}}]",
    ) + &format!("transitions: [{{from: a, to: b, rollout: {{{rollout}}}}}]\n")
}

const PLAN: &str = "steps: [{weight: 10, for: 30m}, {weight: 100, bake: 1h}], checks: [plain, g]";

fn rollout(more: &str) -> Rollout {
    let policy = read(&with(&format!("{PLAN}{more}"))).unwrap_or_else(|errors| panic!("{errors}"));
    policy.transitions[0].rollout.clone().unwrap()
}

#[test]
fn what_is_left_out_asks_for_nothing() {
    assert_eq!(
        rollout(""),
        Rollout {
            external: false,
            steps: vec![
                RolloutStep { weight: 10.0, hold: Some(1_800_000), bake: None },
                RolloutStep { weight: 100.0, hold: None, bake: Some(3_600_000) },
            ],
            checks: vec![1, 0],
            pause_on_inconclusive: true,
            initial_delay: 0,
            dry_run: false,
            traffic: Vec::new(),
            confirm: false,
            compare: None,
        }
    );
}

#[test]
fn options() {
    let read = rollout(", initial_delay: 5m, dry_run: true, confirm: true, on_inconclusive: fail, shadow: 1h");
    assert_eq!(
        (read.initial_delay, read.dry_run, read.confirm, read.pause_on_inconclusive),
        (300_000, true, true, false)
    );
    assert_eq!(read.steps[0], RolloutStep { weight: 0.0, hold: Some(3_600_000), bake: None });
    assert_eq!(read.steps.len(), 3);
    let mirrored = super::read(&with(&PLAN.replace("[{weight", "[{weight: 0, for: 1h}, {weight"))).unwrap();
    assert_eq!(mirrored.transitions[0].rollout.as_ref().unwrap().steps, read.steps);
}

#[test]
fn a_comparison_finds_its_rules() {
    let read = rollout(", compare: {of: ctr, min_gain: {relative: 0.015}}").compare.unwrap();
    let expected = Compare {
        group: 2,
        rule: 1,
        min_gain: Tolerance::Relative(at(0.015)),
        confidence: at(0.95),
        latency: None,
        design_effect: 1.0,
    };
    assert_eq!(read, expected);
    let latency = "latency: {max_increase: {absolute: 12}}";
    let read = rollout(&format!(", compare: {{of: ctr, min_gain: {{absolute: 0.01}}, confidence: 0.99, {latency}}}"));
    let expected = LatencyCompare { group: 0, rule: 2, max_increase: Tolerance::Absolute(at(12.0)) };
    assert_eq!(read.compare.unwrap().latency, Some(expected), "the p95 of the checks, wherever it stands");
    assert_eq!(read.compare.unwrap().confidence, at(0.99));
    let plain = PLAN.replace("[plain, g]", "[plain]");
    let text = with(&format!("{plain}, compare: {{of: ctr, min_gain: {{absolute: 0}}, {latency}}}"));
    let policy = super::read(&text).unwrap();
    let read = policy.transitions[0].rollout.as_ref().unwrap().compare.unwrap().latency.unwrap();
    assert_eq!((read.group, read.rule), (1, 1), "another quantile where there is no p95");
}

#[test]
fn mistakes() {
    let compare = |more: &str| format!(", compare: {{of: ctr, min_gain: {{relative: 0.015}}{more}}}");
    for (more, message) in [
        (", shadow: 1", "rollout.shadow: expected a duration"),
        (", initial_delay: soon", "rollout.initial_delay: expected a duration"),
        (", dry_run: yes", "rollout.dry_run: expected true or false"),
        (", confirm: 1", "rollout.confirm: expected true or false"),
        (", compare: {min_gain: {relative: 0.1}}", "compare.of: missing: write `of: ctr`"),
        (", compare: {of: ctr}", "compare.min_gain: missing"),
        (", compare: {of: ctr, min_gain: 0.1}", "say which of the two"),
        (
            ", compare: {of: clicks, min_gain: {relative: 0.1}}",
            "no `kpi_drop` rule reads the KPI \"clicks\"; known here: `ctr`",
        ),
        (&compare(", confidence: 0.5"), "expected a confidence above 0.5 and below 1"),
        (&compare(", confidence: 95"), "expected a confidence above 0.5 and below 1"),
        (&compare(", latency: {}"), "latency.max_increase: missing"),
        (
            &compare(", latency: {max_increase: {}}"),
            "expected one of `absolute` (milliseconds, 0 or more) and `relative`",
        ),
        (&compare(", latency: {max_increase: {relative: -1}}"), "expected a share, 0 or more"),
    ] {
        says(&with(&format!("{PLAN}{more}")), message);
    }
    let no_latency = PLAN.replace("[plain, g]", "[kpi]");
    says(
        &with(&format!("{no_latency}{}", compare(", latency: {max_increase: {relative: 0.1}}"))),
        "no group of the rollout's checks has a latency rule",
    );
    says(
        &with(&format!("{}, shadow: 1h", PLAN.replace("[{weight", "[{weight: 0, for: 1h}, {weight"))),
        "the first step has weight 0 already",
    );
    says(&with("controller: external, checks: [g], shadow: 1h"), "`shadow` is a step before the first");
    says(&with(&format!("controller: external, checks: [g]{}", compare(""))), "another controller takes them");
    says(
        &with(&format!("steps: [{{weight: 0, for: 1h}}, {{weight: 100, bake: 1h}}], checks: [g]{}", compare(""))),
        "only on a step between 0 and 100 do both versions have traffic",
    );
    says(
        &and("transitions: [{from: a, to: b, rollout: {steps: [{weight: 9, for: 1h}, {weight: 100, bake: 1h}], \
              checks: [g], compare: {of: ctr, min_gain: {relative: 0.1}}}}]\n"),
        "no rule reads the KPI \"ctr\": add `kpi_drop: {of: ctr",
    );
    // What a comparison reads is not missed where its group has an error of its own.
    let message = super::read(&with(&format!("{PLAN}{}", compare(""))).replace("lt: 20}", "lt: x}")).unwrap_err();
    assert!(!message.contains("compare"), "{message}");
}

#[test]
fn routers_of_the_traffic() {
    let read = rollout(
        ", traffic: [{gateway_api: {route: fraud, namespace: ml, rule: predict, stable: \"fraud-{champion}\", canary: \"fraud-{version}\"}},
          {istio: {virtual_service: fraud, host: fraud, stable: old, canary: new}}, {kserve: {inference_service: fraud}},
          {seldon: {experiment: fraud, stable: a, canary: b}}, {sagemaker: {endpoint: fraud, stable: a, canary: b}}, {webhook: {to: edge, body: '{\"w\": {weight}}'}}]",
    );
    let names: Vec<String> = read.traffic.iter().map(Router::name).collect();
    let expected = [
        "HTTPRoute ml/fraud",
        "VirtualService default/fraud",
        "InferenceService default/fraud",
        "Experiment default/fraud",
        "SageMaker endpoint fraud",
        "webhook edge",
    ];
    assert_eq!(names, expected);
    let Router::GatewayApi { backends, rule, is_grpc: false, .. } = &read.traffic[0] else { panic!("{read:?}") };
    assert_eq!((backends.canary.as_str(), rule.as_deref()), ("fraud-{version}", Some("predict")));
    assert_eq!(crate::policy::traffic::in_names(&backends.stable, "7", Some("6")).as_deref(), Some("fraud-6"));
    assert_eq!(crate::policy::traffic::in_names(&backends.stable, "7", None), None);
}

#[test]
fn a_router_that_cannot_be_is_refused_with_what_to_write() {
    for (traffic, expected) in [
        ("[{nginx: {}}]", "nginx"),
        ("[{}]", "expected one router, read 0"),
        (
            "[{kserve: {inference_service: a}, seldon: {experiment: a, stable: a, canary: b}}]",
            "expected one router, read 2",
        ),
        ("[{gateway_api: {route: a, stable: b, canary: b}}]", "write two names"),
        ("[{gateway_api: {route: a/b, stable: b, canary: c}}]", "expected a name of letters"),
        ("[{gateway_api: {route: .., stable: b, canary: c}}]", "expected a name of letters"),
        ("[{gateway_api: {route: a, namespace: \"m-{version}\", stable: b, canary: c}}]", "a namespace has no version"),
        ("[{kserve: {inference_service: a}}, {kserve: {inference_service: a, predictor: b}}]", "written twice"),
    ] {
        let text = with(&format!("{PLAN}, traffic: {traffic}"));
        let errors = super::read(&text).unwrap_err();
        assert!(errors.contains(expected), "{traffic}: {errors}");
    }
    let unknown = super::read(&with(&format!("{PLAN}, traffic: [{{nginx: {{}}}}]"))).unwrap_err();
    assert_eq!(unknown.lines().count(), 1, "{unknown}");
    let fraction = with(&format!(
        "{}, traffic: [{{kserve: {{inference_service: a}}}}]",
        PLAN.replace("weight: 10,", "weight: 0.5,")
    ));
    assert!(super::read(&fraction).unwrap_err().contains("KServe takes whole percents"));
    let external = with("controller: external, checks: [plain], traffic: [{kserve: {inference_service: a}}]");
    assert!(super::read(&external).unwrap_err().contains("another controller moves the traffic"));
}
