//! Runs, by the decision and the reasons.

use std::path::Path;

use serde_json::json;

use super::super::GateVerdict;
use super::*;
use crate::promotion::types::GateOutcome;

const NOW: i64 = 1_772_366_400_000;
const HEX: &str = crate::promotion::testing::HEX;

const POLICY: &str = "apiVersion: driftgate/v1
model: claims_risk
features: {numeric: [age, amount]}
score: {threshold: 0.5}
segments: [country]
labels: {horizon: 30d}
checks:
  drift:
    window: {size: 1d, slide: 1d}
    rules: [{psi: {of: features, lt: 0.2, warn: 0.1}}]
  fairness:
    window: {size: 7d, slide: 7d}
    rules: [{tpr_gap: {by: country, lt: 0.03}}]
  slo:
    window: {size: 1m, slide: 1m}
    rules: [{latency_p95_ms: {id: p95, lt: 80}}, {error_rate: {lt: 0.01}}]
transitions:
- from: dev
  to: staging
  evidence: [artifact_digest, env_lock, tests, security_scan]
  schema: {allow: [add_optional]}
  offline: [{metric: auc, min_gain: {absolute: 0.02}}]
- from: staging
  to: prod
  evidence: [data_snapshot, code_commit]
  checks: [drift, fairness, slo]
  offline: [{metric: auc, min_gain: {absolute: 0.02}}]
  approvals: {roles: {owner: 1, reviewer: 1}, expires: 72h}
  rollout: {steps: [{weight: 10, for: 30m}, {weight: 100, bake: 1h}], checks: [slo]}
rollback: {triggers: [{rule: slo/p95, for: 5m}]}
";

const RUN: &str = r#"{
  "model": "claims_risk",
  "version": 12,
  "baseline_version": 10,
  "offline": {"auc": 0.901, "baseline_auc": 0.892},
  "online": {"latency_p95_ms": 95, "error_rate": 0.004},
  "drift": {"psi": 0.18},
  "fairness": {"tpr_gap": 0.05},
  "approvals": ["owner@org"],
  "required_approvals": 2
}"#;

fn policy(text: &str) -> Policy {
    crate::policy::parse(text, Path::new("p.yaml")).unwrap()
}

/// The exercise's run with changes: top-level keys set, or taken out by null.
fn run(changes: Value) -> String {
    let mut run: Map<String, Value> = serde_json::from_str(RUN).unwrap();
    let Value::Object(changes) = changes else { panic!("no object: {changes}") };
    run.extend(changes);
    Value::Object(run).to_string()
}

/// A run that passes.
fn good(changes: Value) -> String {
    let mut all = json!({
        "offline": {"auc": 0.95, "baseline_auc": 0.93},
        "online": {"latency_p95_ms": 62, "error_rate": 0.004},
        "drift": {"psi": 0.07},
        "fairness": {"tpr_gap": 0.02},
        "approvals": ["owner@org", {"actor": "bob@org", "role": "reviewer"}],
        "evidence": {"env_lock": "uv.lock", "tests": {"passed": 12, "failed": 0}, "security_scan": "pass"},
        "artifacts": {"model_digest": HEX, "data_snapshot": "s3://bucket/train", "code_commit": "git:1234abcd", "image": 3},
        "rollback_to": 10,
    });
    let Value::Object(changes) = changes else { panic!("no object: {changes}") };
    all.as_object_mut().unwrap().extend(changes);
    run(all)
}

fn ask(run: &str) -> Answer {
    decide(&policy(POLICY), run, None, NOW).unwrap()
}

#[track_caller]
fn has(answer: &Answer, outcome: GateOutcome, detail: &str) {
    assert!(
        answer.gates.iter().any(|g| g.outcome == outcome && g.detail.contains(detail)),
        "no gate {outcome:?} with {detail} in {:#?}",
        answer.gates
    );
}

#[test]
fn the_exercise_blocks_for_every_reason() {
    let answer = ask(RUN);
    assert_eq!((answer.verdict, answer.version.as_str(), answer.to.as_str()), (GateVerdict::Block, "12", "prod"));
    assert_eq!(
        answer.reasons,
        [
            "fairness/tpr_gap 0.05 >= 0.03",
            "slo/p95 95 ms >= 80 ms",
            "auc 0.901 is +0.009 against 0.892 of version 10 (baseline), below the +0.02 asked for",
            "lineage is incomplete: data_snapshot, code_commit, artifact_digest, env_lock, security_scan, tests missing; attach as evidence",
            "no rollback target: no stable version has been in prod; register the first one there with driftgate register MODEL VERSION --stage prod",
            "1 of 2 approvals: owner by owner@org; reviewer is missing",
        ]
    );
    has(&answer, GateOutcome::Warn, "drift/psi 0.18 < 0.2, at or above warn 0.1");
    has(&answer, GateOutcome::Pass, "slo/error_rate 0.4% < 1%");
    assert_eq!(answer.verdict.exit_code(), 1);
}

#[test]
fn a_run_that_has_everything_passes() {
    let answer = ask(&good(json!({})));
    assert_eq!((answer.verdict, &answer.reasons), (GateVerdict::Pass, &vec![]), "{answer}");
    let staging = decide(
        &policy(POLICY),
        &good(json!({"to_stage": "staging", "schema_diff": {"added_optional": ["plan"]}})),
        None,
        NOW,
    );
    let staging = staging.unwrap();
    assert_eq!((staging.verdict, staging.to.as_str()), (GateVerdict::Pass, "staging"), "{staging}");
    let waits = ask(&good(json!({"approvals": ["owner@org"]})));
    assert_eq!(waits.verdict, GateVerdict::Pending);
    let error = decide(&policy(POLICY), RUN, Some("x"), NOW).unwrap_err();
    assert!(error.to_string().contains("no transition to \"x\""), "{error}");
}

#[test]
fn what_the_run_lacks_is_inconclusive() {
    let answer =
        ask(&good(json!({"online": {"error_rate": 0.004, "latency_p95_ms": null}, "drift": {"psi": {"age": 0.05}}})));
    assert_eq!(answer.verdict, GateVerdict::Inconclusive);
    assert_eq!(
        answer.reasons,
        ["drift/psi: drift.psi of the run lacks amount", "slo/p95: the run has no latency_p95_ms"]
    );
}

#[test]
fn subjects_are_judged_by_their_own_limits() {
    let own = POLICY.replace(
        "lt: 0.2, warn: 0.1}}]",
        "lt: 0.2, except: {age: {lt: 0.5}}}}, {psi: {id: score, of: score, lt: 0.1}}]",
    );
    let of = |drift: Value| {
        let answer = decide(&policy(&own), &good(json!({"drift": drift})), None, NOW).unwrap();
        answer.reasons
    };
    assert_eq!(of(json!({"psi": {"age": 0.4, "amount": 0.3, "score": 0.05}})), ["drift/psi amount 0.3 >= 0.2"]);
    assert_eq!(of(json!({"psi": {"age": 0.4, "amount": 0.1, "score": 0.1}})), ["drift/score score 0.1 >= 0.1"]);
    assert_eq!(
        of(json!({"psi": 0.15})),
        ["drift/score 0.15 >= 0.1"],
        "one number is judged at the tightest limit of each rule"
    );
    assert_eq!(of(json!({"psi": 0.15, "score": 0.05})), Vec::<String>::new(), "a rule's id is its own");
    assert_eq!(of(json!({"psi": {"largest": 0.3}, "score": 0.05})), ["drift/psi largest 0.3 >= 0.2"]);
}

#[test]
fn numbers_that_may_be_of_another_rule_are_inconclusive() {
    let of = |rules: &str, fairness: Value| {
        let text = POLICY.replace("[{tpr_gap: {by: country, lt: 0.03}}]", rules);
        decide(&policy(&text), &good(json!({"fairness": fairness})), None, NOW).unwrap().reasons
    };
    let two = "[{gap: {of: recall, by: country, lt: 0.03}}, {gap: {id: fpr, of: fpr, by: country, lt: 0.03}}]";
    let said = of(two, json!({"gap": 0.01, "fpr": 0.05}));
    assert!(said[0].starts_with("fairness/fpr 0.05 >= 0.03"), "{said:?}");
    assert!(said[1].starts_with("fairness/gap: several rules are a gap"), "{said:?}");
    assert_eq!(of("[{gap: {of: recall, by: country, lt: 0.03}}]", json!({"gap": 0.05})), ["fairness/gap 0.05 >= 0.03"]);
    let change = of("[{recall: {max_drop: 0.1}}]", json!({"recall": 0.8}));
    assert!(change[0].starts_with("fairness/recall: the rule limits the change of recall"), "{change:?}");
    let band = "[{ratio: {of: recall, by: country, between: [0.8, 1.25]}}]";
    assert_eq!(of(band, json!({"ratio": 0.7})), ["fairness/ratio 0.7 < 0.8"]);
    assert_eq!(of(band, json!({"ratio": 1.3})), ["fairness/ratio 1.3 > 1.25"]);
}

#[test]
fn the_rates_of_a_runs_units_are_those_of_the_rule_table() {
    let rates = crate::rule::all().filter(|definition| definition.is_rate());
    let mut names: Vec<&str> = rates.map(|definition| definition.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["error_rate", "invalid_rate", "label_rate", "missing_rate", "selection_rate"]);
}

#[test]
fn rates_are_fractions_unless_the_run_says_percent() {
    let online = |rate: f64| json!({"latency_p95_ms": 62, "error_rate": rate});
    let answer = ask(&good(json!({"online": online(0.2)})));
    assert_eq!(answer.reasons, ["slo/error_rate 20% >= 1%; if the run means percent, it says so in `units`"]);
    let percent = json!({"error_rate": "percent"});
    assert_eq!(ask(&good(json!({"online": online(0.2), "units": percent}))).verdict, GateVerdict::Pass);
    let answer = ask(&good(json!({"online": online(1.0), "units": percent})));
    assert_eq!(answer.reasons, ["slo/error_rate 1% >= 1%"], "exactly at the limit");
    let written = policy(&POLICY.replace("error_rate: {lt: 0.01}", "error_rate: {lt: 1.1, unit: percent}"));
    let at = |rate: f64| decide(&written, &good(json!({"online": online(rate)})), None, NOW).unwrap().reasons;
    // In floats the limit would be 0.011000000000000001.
    assert!(at(0.011)[0].starts_with("slo/error_rate 1.1% >= 1.1%"), "{:?}", at(0.011));
    assert_eq!(at(0.010_999), Vec::<String>::new());
    let error = decide(&policy(POLICY), &good(json!({"online": online(4.0)})), None, NOW).unwrap_err();
    assert!(error.to_string().starts_with("online.error_rate: expected a fraction from 0 to 1, or `units:"), "{error}");
}

#[test]
fn a_promotion_record_is_a_run() {
    let record = json!({
        "model": "claims_risk", "version": 7, "from_stage": "staging", "to_stage": "prod",
        "approvers": ["owner@company", "reviewer@company"],
        "checks": {"auc": 0.935, "baseline_auc": 0.9, "latency_p95_ms": 62, "error_rate": 0.2, "drift_psi": 0.07,
                   "fairness_tpr_gap": 0.01, "cpu": 3},
        "units": {"error_rate": "percent"},
        "status": "approved", "rollback_to": 6,
        "tests": true, "env_lock": "uv.lock", "security_scan": {"critical": 0, "high": 0, "secrets": 0},
        "artifacts": {"model_digest": format!("sha256:{HEX}"), "data_snapshot": "s3://bucket/train-2024-09-01", "code_commit": "git:1234abcd"},
    });
    let answer = ask(&record.to_string());
    assert_eq!(answer.verdict, GateVerdict::Pass, "{answer}");
    has(&answer, GateOutcome::Pass, "auc 0.935 is +0.035 against 0.9 of the baseline");
    has(&answer, GateOutcome::Pass, "2 of 2 approvals: owner by owner@company; reviewer by reviewer@company");
    assert!(answer.notes.contains(&"checks.cpu: no rule that counts here judges it".to_owned()), "{:?}", answer.notes);
}

#[test]
fn approvals_of_a_run() {
    let of =
        |approvals: Value, required: u32| ask(&good(json!({"approvals": approvals, "required_approvals": required})));
    let answer = of(json!(["owner@org", "carl@org"]), 2);
    assert_eq!(
        answer.reasons,
        [
            "1 of 2 approvals: owner by owner@org; reviewer is missing; void: carl by carl@org (no such role is asked for)"
        ]
    );
    let old = json!(["owner@org", {"actor": "bob@org", "role": "reviewer", "at": "2026-02-20T00:00:00Z"}]);
    assert!(of(old, 2).reasons[0].ends_with("void: reviewer by bob@org (expired 2026-02-23T00:00:00Z)"));
    let answer = of(json!(["owner@org", "reviewer@org"]), 3);
    assert_eq!(answer.reasons, ["2 of 3 approvals that the run requires: owner@org, reviewer@org"]);
    assert_eq!(answer.verdict, GateVerdict::Pending);
    let named = POLICY.replace("reviewer: 1}", "reviewer: 1}, people: {reviewer: [carl@org]}");
    let answer = decide(&policy(&named), &good(json!({"approvals": ["owner@org", "carl@org"]})), None, NOW).unwrap();
    assert_eq!(answer.verdict, GateVerdict::Pass, "{answer}");
}

#[test]
fn whoever_the_run_says_asked_for_it_does_not_approve_it_where_the_policy_says_so() {
    let strict = POLICY.replace("reviewer: 1}", "reviewer: 1}, exclude: [requester]");
    let of = |changes| decide(&policy(&strict), &good(changes), None, NOW).unwrap();
    assert_eq!(of(json!({"actor": "ci@org"})).verdict, GateVerdict::Pass);
    let answer = of(json!({"actor": "Bob@org"}));
    assert_eq!(answer.verdict, GateVerdict::Pending);
    has(&answer, GateOutcome::Pending, "void: reviewer by bob@org (asked for the promotion, which excludes them)");
    // Nor do they count towards what the run itself asks for.
    let answer =
        of(json!({"actor": "ann@org", "approvals": ["owner@org", "reviewer@org", "ann@org"], "required_approvals": 3}));
    has(&answer, GateOutcome::Pending, "2 of 3 approvals that the run requires: owner@org, reviewer@org");
}

#[test]
fn a_champion_that_the_run_says_nothing_of_is_missed() {
    let versus = POLICY.replace("{absolute: 0.02}}]\n  approvals", "{absolute: 0.02}, versus: champion}]\n  approvals");
    let of = |changes| decide(&policy(&versus), &good(changes), None, NOW).unwrap();
    let answer = of(json!({"champion_version": 11}));
    assert_eq!(answer.verdict, GateVerdict::Inconclusive);
    assert_eq!(answer.reasons, ["auc of version 11 (champion) is not known: attach offline evidence to it"]);
    assert_eq!(of(json!({"offline": {"auc": 0.95, "champion_auc": 0.9}})).verdict, GateVerdict::Pass);
}

#[test]
fn a_mute_is_said() {
    let muted = format!("{POLICY}mute: [{{rule: slo/p95, until: 2027-01-01, reason: OPS-1}}]\n");
    let answer =
        decide(&policy(&muted), &good(json!({"online": {"latency_p95_ms": 95, "error_rate": 0}})), None, NOW).unwrap();
    assert_eq!(answer.verdict, GateVerdict::Pass, "{answer}");
    has(&answer, GateOutcome::Warn, "slo/p95 95 ms >= 80 ms (muted until 2027-01-01T00:00:00Z: OPS-1)");
}

#[test]
fn bad_runs_say_what_is_wrong_and_where() {
    for (run, says) in [
        ("{".to_owned(), "the run is not JSON: EOF"),
        ("[1]".to_owned(), "the run: expected an object, read [1]"),
        (r#"{"version": 1}"#.to_owned(), "the run has no `model`: add it, like \"model\": \"claims_risk\""),
        (run(json!({"model": "other"})), "the run is of model \"other\", the policy of \"claims_risk\""),
        (run(json!({"version": 1.5})), "version: expected a version, like 12 or \"12\", read 1.5"),
        (
            run(json!({"drift": {"psi": "0.1"}})),
            "drift.psi: expected a number, or an object of numbers by subject, read \"0.1\"",
        ),
        (run(json!({"drift": {"psi": -0.1}})), "drift.psi: expected 0 or more, read -0.1"),
        (run(json!({"offline": {"auc": "x"}})), "offline: offline: expected an object of numbers"),
        (
            run(json!({"artifacts": {"model_digest": "sha256:abc..."}})),
            "artifacts.model_digest: artifact_digest: expected a SHA-256",
        ),
        (run(json!({"evidence": {"test": true}})), "evidence.test: there is no evidence of kind \"test\""),
        (run(json!({"tests": true, "evidence": {"tests": false}})), "evidence.tests: the run says tests twice"),
        (run(json!({"approvals": "owner@org"})), "approvals: expected a list of who approved, read \"owner@org\""),
        (run(json!({"approvals": [{"role": "owner"}]})), "approvals[0]: expected an address like"),
        (run(json!({"approvals": [{"actor": "a", "at": "today"}]})), "approvals[0].at: expected a time"),
        (run(json!({"required_approvals": -1})), "required_approvals: expected a whole number"),
        (run(json!({"units": {"error_rate": "permille"}})), "units.error_rate: expected \"percent\" or \"fraction\""),
        (run(json!({"rollback_to": [6]})), "rollback_to: expected a version"),
    ] {
        let error = decide(&policy(POLICY), &run, None, NOW).unwrap_err().to_string();
        assert!(error.contains(says), "{error} does not contain {says}");
    }
}
