//! The examples, exercises and projects of a course on promoting models between stages, through the command line. None
//! needs Kafka: the registry is a file, and verdicts come from `replay`. Examples 2 and 3 need a stream: see `rollouts`.

use std::cell::RefCell;

use serde_json::{Map, Value, json};

use super::support::{Folder, Run, lines};

#[path = "course/trust.rs"]
mod trust;

const POLICY: &str = include_str!("course/policy.yaml");
const EXERCISE_1: &str = include_str!("../../config/policies/exercise-1.yaml");
const RUN: &str = include_str!("course/run.json");

/// Name, role, models and actor of each token; its text is `secret(NAME)`.
const TOKENS: [(&str, &str, &str, &str); 6] = [
    ("owner", "approver:owner", "*", "owner@company"),
    ("reviewer", "approver:reviewer", "*", "reviewer@company"),
    ("ann", "approver:owner,reviewer", "*", "ann@company"),
    ("viewer", "viewer", "*", "viewer@company"),
    ("churn", "approver", "churn_*", "carl@company"),
    ("ci", "operator", "*", "ci@company"),
];

fn secret(name: &str) -> String {
    format!("{name}-secret-of-these-tests-0123456789")
}

const MINUTE: i64 = 60_000;
/// Predictions of a version a minute.
const EACH: i64 = 30;

/// A policy, a registry and the people around them.
struct Team {
    folder: Folder,
    model: &'static str,
    /// Everything that was printed.
    said: RefCell<String>,
}

impl Team {
    /// With the policy of these tests.
    fn new(model: &'static str) -> Self {
        Self::with(model, &POLICY.replace("MODEL", model))
    }

    fn with(model: &'static str, policy: &str) -> Self {
        let folder = Folder::new();
        folder.write("policy.yaml", policy);
        folder.write(
            "driftgate.yaml",
            "policies: [policy.yaml]\nregistry: {embedded: {path: state/registry.db}}\nhttp: {tokens_file: tokens}\n",
        );
        let token = |(name, role, models, actor): (&str, &str, &str, &str)| {
            folder.write_secret(&format!("{name}.token"), secret(name) + "\n");
            format!("{} {role} {models} {actor}\n", secret(name))
        };
        folder.write_secret("tokens", TOKENS.map(token).concat());
        let rows: String =
            (0..1000).map(|i| format!("{},{},{}\n", i % 10, 0.1 + 0.8 * f64::from(i % 2), i % 2)).collect();
        folder.write("train.csv", format!("x,score,label\n{rows}"));
        folder.write("requirements.lock", "onnxruntime==1.20.0\n");
        Self { folder, model, said: RefCell::default() }
    }

    /// Whoever can write the registry's file; `VERB …` is about this model: `MODEL` stands for its name.
    fn run(&self, arguments: &str) -> Run {
        let arguments = arguments.replace("MODEL", self.model);
        let run = self.folder.driftgate(&format!("{arguments} --config driftgate.yaml"));
        self.said.borrow_mut().extend([run.stdout.as_str(), run.stderr.as_str()]);
        run
    }

    /// Somebody with a token.
    fn by(&self, name: &str, arguments: &str) -> Run {
        self.run(&format!("{arguments} --token-file {name}.token"))
    }

    /// Which version a stage's pointer stands on.
    fn standing(&self, stage: &str) -> Option<String> {
        let status = self.run("status MODEL --json").exits(0).json();
        let versions = status["versions"].as_array().unwrap();
        let stands = versions.iter().find(|v| v["stages"].as_array().unwrap().contains(&json!(stage)));
        stands.map(|v| v["version"].as_str().unwrap().to_owned())
    }

    /// Everything that the way to prod asks for, with changes; null takes a kind out.
    fn evidence(&self, changes: Value) -> String {
        let mut all = json!({
            "env_lock": "sha256:".to_owned() + &"ab".repeat(32),
            "tests": {"passed": 120, "failed": 0},
            "security_scan": {"critical": 0, "high": 0, "secrets": 0},
            "schema": {"age": "int32", "plan": "string", "tenure": {"type": "float64", "required": true}},
            "offline": {"auc": 0.93},
            "data_snapshot": "s3://bucket/train-2024-09-01",
            "code_commit": "git:1234abcd",
        });
        let Value::Object(changes) = changes else { panic!("no object: {changes}") };
        all.as_object_mut().unwrap().extend(changes);
        let given: Map<String, Value> =
            all.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        self.folder.write("evidence.json", Value::Object(given).to_string());
        "--evidence evidence.json".to_owned()
    }

    /// Registers version 6 in prod, and version 7 with all it needs, so that it moves to staging by itself.
    fn register_6_and_7(&self, auc_of_7: f64) {
        let evidence = self.evidence(json!({"offline": {"auc": 0.9}}));
        self.run(&format!("register MODEL 6 --stage prod {evidence}")).exits(0);
        self.folder.write("model.bin", "weights of version 7");
        let evidence = self.evidence(json!({"offline": {"auc": auc_of_7}}));
        self.run(&format!("register MODEL 7 --artifact model.bin --baseline-version 6 {evidence}")).exits(0);
        assert_eq!(self.standing("staging").as_deref(), Some("7"));
    }

    /// Judges an hour of traffic, (version, stage, latency in ms), and keeps the verdicts as the daemon does.
    fn judge(&self, versions: &[(&str, &str, f64)]) {
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        let start = (now - 180 * MINUTE) / (60 * MINUTE) * (60 * MINUTE);
        let (mut predictions, mut labels) = (Vec::new(), Vec::new());
        // Until the watermark has passed the hour.
        for (minute, i) in (0..62).flat_map(|minute| (0..EACH).map(move |i| (minute, i))) {
            let ts = start + minute * MINUTE + i * MINUTE / EACH;
            for (version, stage, latency) in versions {
                let id = format!("{version}-{minute}-{i}");
                let region = if i % 4 < 2 { "eu" } else { "us" };
                predictions.push(json!({
                    "prediction_id": id, "model": self.model, "version": version, "ts": ts, "stage": stage,
                    "score": if i % 2 == 1 { 0.9 } else { 0.1 }, "features": {"x": (i + minute) % 10},
                    "latency_ms": latency, "error": false, "segments": {"region": region},
                }));
                let clicked = i64::from(i < 12);
                labels.push(json!({
                    "prediction_id": id, "model": self.model, "ts": ts, "label": i % 2, "kpi": {"ctr": clicked}
                }));
            }
        }
        self.folder.write("predictions.jsonl", lines(predictions.into_iter()));
        self.folder.write("labels.jsonl", lines(labels.into_iter()));
        self.folder
            .driftgate("replay --policy policy.yaml --predictions predictions.jsonl --labels labels.jsonl --verdicts verdicts.jsonl")
            .exits(0);
        let registry = rusqlite::Connection::open(self.folder.path("state/registry.db")).unwrap();
        for verdict in self.folder.json_lines("verdicts.jsonl").iter().filter(|v| v["window"]["complete"] == true) {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let end = text(&verdict["window"]["end"]).parse::<jiff::Timestamp>().unwrap().as_millisecond();
            let (version, group) = (text(&verdict["version"]), text(&verdict["group"]));
            registry
                .execute(
                    "INSERT OR REPLACE INTO verdicts (model, version, group_name, end_ms, json) VALUES (?1, ?2, ?3, ?4, ?5)",
                    (self.model, version, group, end, verdict.to_string()),
                )
                .unwrap();
        }
    }
}

#[test]
fn example_1_churn_classifier_v3_promotes_to_staging() {
    let team = Team::new("churn_classifier");
    let v2 = team.evidence(json!({"offline": {"auc": 0.85}}));
    team.run(&format!("register MODEL 2 --stage prod {v2}")).exits(0);
    team.folder.write("v3.onnx", "weights of version 3");
    team.run("register MODEL 3 --artifact v3.onnx --baseline-version 2").exits(0).prints("artifact sha256");
    let gate = team.run("gate MODEL 3 --to staging").exits(1).prints("recomputed from its files");
    for missing in ["env_lock missing", "tests missing", "security_scan missing", "schema missing", "auc is not known"]
    {
        assert!(gate.stdout.contains(&format!("\n  - {missing}")), "{}", gate.stdout);
    }

    // One piece after the other; with the last one the pointer moves by itself.
    let schema =
        r#"schema={"age":"int32","plan":"string","tenure":"float64","region":{"type":"string","required":false}}"#;
    for piece in [
        "--env-lock requirements.lock --data-snapshot train.csv",
        r#"--set tests={"passed":120,"failed":0}"#,
        &format!("--set {schema}"),
        "--metric auc=0.88",
    ] {
        team.run(&format!("evidence add MODEL 3 {piece}")).exits(0);
        team.run("gate MODEL 3 --to staging").exits(1);
        assert_eq!(team.standing("staging"), None, "{piece}");
    }
    team.run("evidence add MODEL 3 --set security_scan=pass").exits(0);
    assert_eq!(team.standing("staging").as_deref(), Some("3"));
    team.run("history MODEL").exits(0).prints("staging");
    team.run("gate MODEL 3 --to staging")
        .exits(0)
        .prints("auc 0.88 is +0.03 against 0.85 of version 2 (baseline), at least the +0.02 asked for")
        .prints("schema against version 2 (champion): new and optional: region");

    // What does not fit blocks, and is named; everything else is there.
    let artifact = "sha256:".to_owned() + &"cd".repeat(32);
    let schemas = [
        ("4", json!({"age": "int32", "plan": "string"}), "removed: tenure"),
        (
            "5",
            json!({"age": "string", "plan": "string", "tenure": "float64"}),
            "changed its type: age (int32 to string)",
        ),
        (
            "6",
            json!({"age": "int32", "plan": "string", "tenure": "float64", "region": "string"}),
            "new and required: region",
        ),
    ];
    for (version, schema, reason) in schemas {
        let given = team.evidence(json!({"artifact_digest": artifact, "schema": schema, "offline": {"auc": 0.88}}));
        team.run(&format!("register MODEL {version} --baseline-version 2 {given}")).exits(0);
        let gate = team.run(&format!("gate MODEL {version} --to staging --json")).exits(1).json();
        let reasons = gate["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 1, "{gate}");
        assert!(reasons[0].as_str().unwrap().contains(reason), "{gate}");
    }
    // 0.869 is 0.019 more.
    let given = team.evidence(json!({"artifact_digest": artifact, "offline": {"auc": 0.869}}));
    team.run(&format!("register MODEL 7 --baseline-version 2 {given}")).exits(0);
    team.run("gate MODEL 7 --to staging").exits(1).prints("auc 0.869 is +0.019 against 0.85");
    // An artifact that is not what was registered.
    team.folder.write("v8.onnx", "weights of version 8");
    team.run("register MODEL 8 --artifact v8.onnx --baseline-version 2").exits(0);
    team.folder.write("v8.onnx", "other weights");
    team.evidence(json!({"offline": {"auc": 0.88}}));
    team.run("evidence add MODEL 8 --file evidence.json").exits(0);
    team.run("gate MODEL 8 --to staging").exits(1).prints("  - the artifact is mutable: recorded as sha256:");
    assert_eq!(team.standing("staging").as_deref(), Some("3"));
}

/// A text of the policy, and what stands there instead.
type Change<'a> = (&'a str, &'a str);

/// What `check` has to say of a policy: the place, and the sentence.
fn advice(policy: &str) -> Vec<(String, String)> {
    let folder = Folder::new();
    folder.write("policy.yaml", policy);
    let report = folder.driftgate("check --policy policy.yaml --json").exits(0).json();
    let warnings = report["policies"][0]["warnings"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    warnings.iter().map(|w| (text(&w["path"]), text(&w["message"]))).collect()
}

#[test]
fn exercise_1_the_policy_is_valid_and_complete() {
    // The gap that the exercise asks for is within chance at so few positives, and nothing else is amiss.
    let found = advice(EXERCISE_1);
    assert!(
        matches!(&found[..], [(path, message)] if path == "checks.fairness.rules[0].tpr_gap" && message.contains("without any drift")),
        "{found:?}"
    );
    let part = |from: &str, to: &str| {
        let start = EXERCISE_1.find(from).unwrap();
        let end = start + EXERCISE_1[start..].find(to).unwrap();
        EXERCISE_1[start..end].to_owned()
    };
    let rollout = part("  rollout:\n", "\n# An automatic rollback");
    let (rollback, keys) =
        (part("rollback:\n", "\n# The keys whose"), EXERCISE_1[EXERCISE_1.find("signing:").unwrap()..].to_owned());
    let mistakes: [(&str, &[Change], &str, &str); 9] = [
        (
            "no lineage",
            &[("data_snapshot, code_commit, ", "")],
            "transitions[1].evidence",
            "without data_snapshot, code_commit",
        ),
        (
            "only offline metrics",
            &[("checks: [drift, fairness, slo]", "checks: []")],
            "transitions[1].checks",
            "nothing promotes without a check",
        ),
        (
            "no SLO",
            &[("  checks: [drift, fairness, slo]", "  checks: [drift, fairness]"), (&rollout, "")],
            "transitions[1].checks",
            "no latency or error_rate rule",
        ),
        ("no canary", &[(&rollout, "")], "transitions[1].rollout", "all traffic moves at once"),
        ("mutable artifacts", &[("artifact_digest, ", "")], "transitions[1].evidence", "without artifact_digest"),
        ("signatures of anybody", &[(&keys, "")], "transitions[1].evidence", "no key is pinned"),
        ("no rollback plan", &[(&rollback, "")], "rollback", "a version that breaks in prod stays there"),
        (
            "no drift check",
            &[("checks: [drift, fairness, slo]", "checks: [fairness, slo]")],
            "transitions[1].checks",
            "no drift rule",
        ),
        (
            "no fairness check",
            &[("checks: [drift, fairness, slo]", "checks: [drift, slo]")],
            "transitions[1].checks",
            "no fairness rule",
        ),
    ];
    for (mistake, changes, place, sentence) in mistakes {
        let mut policy = EXERCISE_1.to_owned();
        for (from, to) in changes {
            assert!(policy.contains(from), "{mistake}: {from}");
            policy = policy.replace(from, to);
        }
        let found = advice(&policy);
        assert!(
            found.iter().any(|(path, message)| path == place && message.contains(sentence)),
            "{mistake}: {found:?}"
        );
    }
    let alone = EXERCISE_1.replace("{roles: {owner: 1, reviewer: 1}, distinct: true, expires: 72h}", "auto");
    assert!(advice(&alone)[0].1.starts_with("nobody is asked"), "{:?}", advice(&alone));
}

#[test]
fn exercise_2_claims_risk_v12_is_blocked() {
    let folder = Folder::new();
    folder.write("policy.yaml", EXERCISE_1);
    folder.write("run.json", RUN);
    let decided = folder.driftgate("decide --policy policy.yaml --run run.json").exits(1);
    assert!(decided.stdout.starts_with("block: claims_risk version 12 to prod\n"), "{}", decided.stdout);
    let answer = folder.driftgate("decide --policy policy.yaml --run run.json --json").exits(1).json();
    assert_eq!((&answer["verdict"], &answer["ok"]), (&json!("block"), &json!(false)));
    assert_eq!(
        answer["reasons"],
        json!([
            "fairness/tpr_gap 0.05 >= 0.03",
            "slo/p95 95 ms >= 80 ms",
            "auc 0.901 is +0.009 against 0.892 of version 10 (baseline), below the +0.02 asked for",
            "lineage is incomplete: data_snapshot, code_commit, artifact_digest, env_lock, pii_controls, security_scan, \
             signature, tests missing; attach as evidence",
            "no rollback target: no stable version has been in prod; register the first one there with driftgate register MODEL VERSION --stage prod",
            "1 of 2 approvals: owner by owner@org; reviewer is missing",
        ])
    );
    assert_eq!(answer["notes"], json!(["drift/psi 0.18 < 0.2, at or above warn 0.1"]));
    let gates = answer["gates"].as_array().unwrap();
    let rate = gates.iter().find(|gate| gate["gate"] == "slo/error_rate").unwrap();
    assert_eq!((&rate["outcome"], &rate["detail"]), (&json!("pass"), &json!("slo/error_rate 0.4% < 1%")));
}

#[test]
fn project_1_staging_by_itself_and_prod_by_two_people() {
    let team = Team::new("fraud_classifier");
    team.register_6_and_7(0.935);
    team.run("gate MODEL 7 --to prod").exits(3).prints("slo: no verdict yet");
    team.judge(&[("6", "prod", 62.0), ("7", "staging", 62.0)]);
    let waits = |said: &str| {
        team.run("gate MODEL 7 --to prod").exits(4).prints(said);
        team.run("promote MODEL 7").exits(4).prints(said);
        assert_eq!(team.standing("prod").as_deref(), Some("6"));
    };
    waits("0 of 2 approvals: owner is missing; reviewer is missing");
    // One person is one, in however many roles.
    team.by("ann", "approve MODEL 7 --role owner").exits(0);
    team.by("ann", "approve MODEL 7 --role reviewer").exits(0);
    waits("1 of 2 approvals: owner by ann@company; reviewer is missing");
    team.by("reviewer", "approve MODEL 7").exits(0).prints("2 of 2 approvals");
    team.run("gate MODEL 7 --to prod").exits(0);
    // What was signed is not what is there now.
    team.run(r#"evidence add MODEL 7 --set params={"depth":6}"#).exits(0);
    waits("(the evidence has changed since ");
    let policy = team.folder.read("policy.yaml");
    team.folder.write("policy.yaml", policy.replace("expires: 72h", "expires: 1ms"));
    team.by("owner", "approve MODEL 7").exits(0);
    team.by("reviewer", "approve MODEL 7").exits(0);
    waits("owner by owner@company (expired ");
    team.folder.write("policy.yaml", &policy);
    waits("owner by owner@company (the policy has changed since ");

    team.by("owner", "approve MODEL 7").exits(0);
    team.by("reviewer", "approve MODEL 7").exits(0);
    team.run("promote MODEL 7")
        .exits(0)
        .prints("rollout of fraud_classifier version 7: Progressing, 10% of the traffic");
    assert_eq!(team.standing("canary").as_deref(), Some("7"));
    assert_eq!(team.standing("prod").as_deref(), Some("6"), "prod moves with the last step");
}

#[test]
fn mini_challenge_a_promotion_note() {
    let team = Team::new("recommender");
    team.register_6_and_7(0.927);
    team.judge(&[("6", "prod", 62.0), ("7", "staging", 74.0)]);
    team.by("owner", "approve MODEL 7").exits(0);
    team.by("reviewer", "approve MODEL 7").exits(0);
    let note = team.by("ci", "promote MODEL 7 --comment slower_but_better --note").exits(0).stdout;
    let (gates, rest) = note.split_once("## Metrics").unwrap();
    for part in [
        "# Promotion of recommender version 7: staging → prod",
        "by ci@company",
        "slower_but_better",
        "`drift/psi` passed",
        "`fairness/tpr_gap` passed",
        "`slo/p95` passed",
        "`offline/auc` passed: auc 0.927 is +3% against 0.9 of version 6 (champion), at least the +3% asked for",
        "`approvals` passed: 2 of 2 approvals: owner by owner@company; reviewer by reviewer@company",
    ] {
        assert!(gates.contains(part), "no {part} in {note}");
    }
    // A latency is that of its histogram's bucket.
    let p95 = rest.lines().find(|line| line.starts_with("| latency_p95_ms |")).unwrap();
    let change: f64 = p95.rsplit('|').nth(1).unwrap().trim().trim_start_matches('+').parse().unwrap();
    assert!((change - 12.0).abs() < 0.5, "{p95}");
    for part in [
        "## Rollout plan\n\n10% for 30m, 50% for 2h, 100% with a bake of 1h; checks slo",
        "## Rollback criteria\n\nBack to version 6, by itself",
        "- slo/p95 blocks for 5m: latency_p95_ms at 80 ms or above",
        "- kpi/ctr blocks in one window: ctr down more than 1% against the champion, in windows of 30m",
        "- code_commit: git:1234abcd",
    ] {
        assert!(rest.contains(part), "no {part} in {note}");
    }
}
