//! Promotions against a stream: the canary that goes through, the breach that returns, the champion and its challenger.
//! Event time is made: hours pass as fast as Kafka takes them.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::broker::{Daemon, brokers, publish, read, topic, wait_for};
use super::support::Folder;

/// A minute of event time, ms.
const MINUTE: i64 = 60_000;
/// Predictions of a version a minute.
const EACH: i64 = 30;

/// Tokens of the people in these tests.
const TOKENS: &str = "op-token operator * ci@company\n\
                      owner-token approver:owner * owner@company\n\
                      reviewer-token approver:reviewer * reviewer@company\n";

/// The same for every model here; `KPI` and `ROLLOUT` are filled in.
const POLICY: &str = "\
apiVersion: driftgate/v1
model: MODEL
baseline: {snapshot: \"train.csv\", columns: {score: score, label: label}}
features: {numeric: [x], categorical: []}
score: {threshold: 0.5}
segments: [region]
labels: {horizon: 1h, lateness: 10s}
lateness: 10s
min_samples: 20
checks:
  drift:
    window: {size: 1h, slide: 30m}
    stale_after: 90d
    rules: [{psi: {of: features, lt: 0.2, warn: 0.1}}]
  fairness:
    window: {size: 1h, slide: 30m}
    stale_after: 90d
    rules: [{tpr_gap: {by: region, lt: 0.03, min_positives: 30}}]
  slo:
    window: {size: 1m, slide: 1m}
    stale_after: 90d
    rules: [{latency_p95_ms: {id: p95, lt: 80}}, {error_rate: {lt: 0.01, unit: fraction}}]
KPItransitions:
- from: staging
  to: prod
  evidence: [artifact_digest, data_snapshot, code_commit]
  checks: [drift, fairness, slo]
  approvals: {roles: {owner: 1, reviewer: 1}, distinct: true, expires: 72h}
  rollout: ROLLOUT
rollback: {to: last_stable, triggers: [{rule: slo/p95, for: 5m}, {rule: slo/error_rate, for: 5m}]}
";

/// One model with its topics and its stream, which goes on from minute to minute.
struct Service {
    model: &'static str,
    folder: Folder,
    predictions: String,
    labels: String,
    signals: String,
    /// The event time of minute 0, ms.
    start: i64,
}

/// What a version does in a minute.
#[derive(Clone, Copy)]
struct Traffic {
    version: &'static str,
    stage: &'static str,
    latency_ms: f64,
    /// Of 30 predictions, how many are clicked.
    clicks: i64,
}

fn serving(version: &'static str, stage: &'static str) -> Traffic {
    Traffic { version, stage, latency_ms: 62.0, clicks: 12 }
}

impl Service {
    fn new(model: &'static str, kpi: &str, rollout: &str, extra: &str) -> Self {
        let folder = Folder::new();
        let policy = POLICY.replace("MODEL", model).replace("KPI", kpi).replace("ROLLOUT", rollout);
        folder.write("policy.yaml", policy);
        let rows: String = (0..1000).map(|i| format!("{},{},{}\n", i % 10, 0.1 + 0.8 * f64::from(i % 2), i % 2)).collect();
        folder.write("train.csv", format!("x,score,label\n{rows}"));
        folder.write("tokens", TOKENS);
        for name in ["op", "owner", "reviewer"] {
            folder.write(&format!("{name}.token"), format!("{name}-token\n"));
        }
        let service = Self {
            model,
            predictions: topic(&format!("{model}-predictions"), 1),
            labels: topic(&format!("{model}-labels"), 1),
            signals: topic(&format!("{model}-signals"), 1),
            start: (now_ms() - 60 * 60 * MINUTE) / (60 * MINUTE) * (60 * MINUTE),
            folder,
        };
        service.folder.write(
            "driftgate.yaml",
            format!(
                "policies: [policy.yaml]\n\
                 kafka: {{brokers: \"{}\", group: \"{}\"}}\n\
                 sources:\n\
                 - {{topic: \"{}\", kind: predictions, format: json}}\n\
                 - {{topic: \"{}\", kind: labels, format: json}}\n\
                 idle_after: 1s\n\
                 publish: {{signals: \"{}\"}}\n\
                 state: {{path: state, every: 1s}}\n\
                 http: {{listen: \"127.0.0.1:0\", tokens_file: tokens}}\n{extra}",
                brokers(),
                service.predictions,
                service.predictions,
                service.labels,
                service.signals
            ),
        );
        service
    }

    fn config(&self) -> PathBuf {
        self.folder.path("driftgate.yaml")
    }

    /// Publishes the minutes [from, to) of some versions, with the labels of every prediction.
    fn minutes(&self, from: i64, to: i64, versions: &[Traffic]) {
        let mut predictions = Vec::new();
        let mut labels = Vec::new();
        for minute in from..to {
            for i in 0..EACH {
                let ts = self.start + minute * MINUTE + i * MINUTE / EACH;
                for t in versions {
                    let id = format!("{}-{minute}-{i}", t.version);
                    let positive = i % 2;
                    let event = json!({
                        "prediction_id": id, "model": self.model, "version": t.version, "ts": ts, "stage": t.stage,
                        "score": if positive == 1 { 0.9 } else { 0.1 }, "features": {"x": (i + minute) % 10},
                        "latency_ms": t.latency_ms, "error": false, "segments": {"region": if i % 4 < 2 { "eu" } else { "us" }},
                    });
                    predictions.push((0, id.clone(), event.to_string().into_bytes()));
                    let label = json!({
                        "prediction_id": id, "model": self.model, "ts": ts, "label": positive,
                        "kpi": {"ctr": i64::from(i < t.clicks)},
                    });
                    labels.push((0, id, label.to_string().into_bytes()));
                }
            }
        }
        publish(&self.labels, labels);
        publish(&self.predictions, predictions);
    }

    fn run(&self, daemon: &Daemon, token: &str, arguments: &str) -> super::support::Run {
        let token = self.folder.path(&format!("{token}.token"));
        self.folder.driftgate(&format!("{arguments} --server {} --token-file {}", daemon.url, token.display()))
    }

    fn status(&self, daemon: &Daemon) -> Value {
        serde_json::from_str(&daemon.get(&format!("/api/v1/models/{}/status", self.model)).1).unwrap()
    }

    /// Which version a stage's pointer stands on.
    fn standing(&self, daemon: &Daemon, stage: &str) -> Option<String> {
        let status = self.status(daemon);
        let versions = status["versions"].as_array().unwrap();
        let stands = versions.iter().find(|v| v["stages"].as_array().unwrap().contains(&json!(stage)));
        stands.map(|v| v["version"].as_str().unwrap().to_owned())
    }

    /// Waits for a phase and a weight of the rollout.
    fn wait_for_rollout(&self, daemon: &Daemon, phase: &str, weight: f64) -> Value {
        let reached = || {
            let rollout = self.status(daemon)["rollout"].clone();
            (rollout["phase"] == phase && rollout["weight"] == weight).then_some(rollout)
        };
        wait_for(&format!("{phase} at {weight}%"), reached)
    }

    /// Registers the champion in prod and the challenger in staging, with what the gate asks for.
    fn register(&self, daemon: &Daemon, champion: &str, challenger: &str) {
        self.folder.write("model.bin", format!("weights of {challenger}"));
        self.folder.write(
            "evidence.json",
            json!({"data_snapshot": "sha256:".to_owned() + &"ab".repeat(32), "code_commit": "git:1234abcd", "offline": {"auc": 0.935}}).to_string(),
        );
        let model = self.model;
        self.run(daemon, "op", &format!("register {model} {champion} --stage prod")).exits(0);
        let artifact = self.folder.path("model.bin");
        let evidence = self.folder.path("evidence.json");
        self.run(
            daemon,
            "op",
            &format!(
                "register {model} {challenger} --stage staging --artifact {} --evidence {}",
                artifact.display(),
                evidence.display()
            ),
        )
        .exits(0);
    }

    /// Both sign; before, the gate waits for them.
    fn approve(&self, daemon: &Daemon, version: &str) {
        let model = self.model;
        self.run(daemon, "op", &format!("gate {model} {version} --to prod")).exits(4).prints("0 of 2 approvals");
        self.run(daemon, "op", &format!("promote {model} {version}")).exits(4);
        self.run(daemon, "owner", &format!("approve {model} {version} --to prod")).exits(0).prints("1 of 2 approvals");
        self.run(daemon, "owner", &format!("approve {model} {version} --to prod --role reviewer")).exits(2);
        self.run(daemon, "reviewer", &format!("approve {model} {version} --to prod")).exits(0);
        self.run(daemon, "op", &format!("gate {model} {version} --to prod")).exits(0);
    }

    /// Waits until the gate has judged the latest drift and fairness windows of a version.
    fn wait_for_gate(&self, daemon: &Daemon, version: &str, code: i32) {
        wait_for(&format!("the gate of {version} to answer {code}"), || {
            (self.run(daemon, "op", &format!("gate {} {version} --to prod", self.model)).code == Some(code)).then_some(())
        });
    }
}

fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

const CANARY: &str =
    "{controller: driftgate, steps: [{weight: 10, for: 30m}, {weight: 50, for: 2h}, {weight: 100, bake: 1h}], checks: [slo]}";

#[test]
fn example_2_fraud_detector_v7_goes_through_its_canary_and_returns_to_v6_after_five_minutes_of_breach() {
    let service = Service::new("fraud_detector", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    // The shadow test on staging: two hours beside production.
    let shadow = [serving("6", "prod"), serving("7", "staging")];
    service.minutes(0, 121, &shadow);
    service.wait_for_gate(&daemon, "7", 4);
    service.approve(&daemon, "7");
    let promoted = service.run(&daemon, "op", "promote fraud_detector 7 --json").exits(0).json();
    assert_eq!(promoted["record"]["rollback_to"], 6, "{promoted}");
    assert_eq!(promoted["record"]["approvers"], json!(["owner@company", "reviewer@company"]));
    assert_eq!(promoted["record"]["checks"]["auc"], 0.935);
    assert!(promoted["record"]["checks"]["latency_p95_ms"].as_f64().is_some_and(|p95| (p95 - 62.0).abs() < 1.0));
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    assert_eq!(service.standing(&daemon, "canary").as_deref(), Some("7"));
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"));
    service.run(&daemon, "op", "promote fraud_detector 7").exits(2);

    // Ten percent for thirty minutes, fifty for two hours: neither a minute less.
    let canary = [serving("6", "prod"), serving("7", "canary")];
    service.minutes(121, 150, &canary);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    service.minutes(150, 153, &canary);
    service.wait_for_rollout(&daemon, "Progressing", 50.0);
    // The controller outlives its process.
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(&service.config(), &[]);
    service.minutes(153, 274, &canary);
    service.wait_for_rollout(&daemon, "Promoting", 100.0);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("7"));
    let all = [serving("7", "prod")];
    service.minutes(274, 336, &all);
    service.wait_for_rollout(&daemon, "Succeeded", 100.0);
    let records: Value =
        serde_json::from_str(&daemon.get("/api/v1/models/fraud_detector/versions/7/promotions").1).unwrap();
    assert_eq!(records["promotions"][0]["status"], "promoted");

    // Four minutes of breach are not five.
    let slow = [Traffic { latency_ms: 120.0, ..serving("7", "prod") }];
    service.minutes(336, 341, &slow);
    service.minutes(341, 350, &all);
    let judged_until = |minute: i64| {
        let end = jiff_utc(service.start + minute * MINUTE);
        wait_for("the slo windows", || {
            let status = daemon.get("/api/v1/models/fraud_detector/versions/7/verdicts?group=slo&limit=1").1;
            let verdicts: Value = serde_json::from_str(&status).unwrap();
            (verdicts["verdicts"][0]["window"]["end"].as_str()? >= end.as_str()).then_some(())
        });
    };
    judged_until(348);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("7"), "four minutes moved prod");
    service.minutes(350, 357, &slow);
    let back = wait_for("the return to 6", || (service.standing(&daemon, "prod")? == "6").then_some(()));
    assert_eq!(back, ());
    let status = service.status(&daemon);
    assert_eq!(status["rollback_pending"]["to"], "6", "{status}");
    assert!(status["frozen"].as_str().unwrap().contains("rolled back to \"6\""), "{status}");
    let signal = wait_for("the rollback signal", || {
        read(&service.signals).into_iter().find(|s| s["action"] == "rollback")
    });
    assert_eq!((&signal["version"], &signal["rollback_to"]), (&json!("7"), &json!("6")));
    // What was rolled back is not tried again by itself, and not by hand without a reason.
    service.run(&daemon, "op", "promote fraud_detector 7").exits(1).prints("rolled back");
    // The stream shows the old version serving.
    service.minutes(357, 362, &[serving("6", "prod")]);
    wait_for("the confirmation", || service.status(&daemon)["rollback_pending"].is_null().then_some(()));
    let weights: Vec<f64> =
        read(&service.signals).iter().filter(|s| s["action"] == "weight").filter_map(|s| s["weight"].as_f64()).collect();
    assert_eq!(weights, [10.0, 50.0, 100.0], "each weight was told once");
    service.run(&daemon, "op", "resume fraud_detector").exits(0).prints("goes on by itself again");
    let history = service.run(&daemon, "op", "history fraud_detector --json").exits(0).stdout;
    for event in ["register", "evidence", "approval", "promotion", "rollback", "rollback_confirmed", "resume"] {
        assert!(history.contains(&format!("\"{event}\"")), "no {event} in {history}");
    }
    assert_eq!(daemon.stop(), Some(0));
    let config = service.config();
    service.folder.driftgate(&format!("audit verify --config {}", config.display())).exits(0);
}

fn jiff_utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

#[test]
fn a_breach_during_the_canary_ends_it_and_a_rollout_without_measurements_never_succeeds() {
    let service = Service::new("fraud_canary", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    service.minutes(0, 121, &[serving("6", "prod"), serving("7", "staging")]);
    service.wait_for_gate(&daemon, "7", 4);
    service.approve(&daemon, "7");
    service.run(&daemon, "op", "promote fraud_canary 7").exits(0);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    // The candidate gets no traffic: hours pass, and nothing is promoted.
    service.minutes(121, 400, &[serving("6", "prod")]);
    wait_for("hours without the candidate", || {
        let verdicts = daemon.get("/api/v1/models/fraud_canary/versions/6/verdicts?group=slo&limit=1").1;
        let verdicts: Value = serde_json::from_str(&verdicts).unwrap();
        (verdicts["verdicts"][0]["window"]["end"].as_str()? >= jiff_utc(service.start + 398 * MINUTE).as_str()).then_some(())
    });
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    // Held by a person, and let go again.
    service.run(&daemon, "op", "rollout pause fraud_canary --reason lunch").exits(0).prints("paused: lunch");
    service.run(&daemon, "op", "rollout resume fraud_canary").exits(0);
    let slow = Traffic { latency_ms: 120.0, ..serving("7", "canary") };
    service.minutes(400, 408, &[serving("6", "prod"), slow]);
    let failed = service.wait_for_rollout(&daemon, "Failed", 0.0);
    assert!(failed["why"].as_str().unwrap().contains("slo/p95"), "{failed}");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"));
    assert_eq!(service.standing(&daemon, "canary"), None);
    assert_eq!(daemon.stop(), Some(0));
}

const AB: &str = "{controller: driftgate, steps: [{weight: 10, for: 24h}, {weight: 100, bake: 1h}], checks: [slo], \
                  compare: {of: ctr, min_gain: {relative: 0.015}, latency: {max_increase: {relative: 0.05}}}}";
const CTR: &str = "\
  kpi:
    window: {size: 30m, slide: 30m}
    stale_after: 90d
    rules: [{kpi_drop: {id: ctr, of: ctr, max: {relative: 0.01}, versus: champion}}]
";

#[test]
fn example_3_recommendation_model_v22_wins_over_v21_by_its_clicks() {
    let service = Service::new("recommendation_model", CTR, AB, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "21", "22");
    service.minutes(0, 121, &[serving("21", "prod"), serving("22", "staging")]);
    service.wait_for_gate(&daemon, "22", 4);
    service.approve(&daemon, "22");
    service.run(&daemon, "op", "promote recommendation_model 22").exits(0).prints("10%");
    // A day of 90/10: the challenger is clicked more often, and no slower.
    let challenger = Traffic { clicks: 15, ..serving("22", "canary") };
    service.minutes(121, 121 + 24 * 60 - 60, &[serving("21", "prod"), challenger]);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    service.minutes(121 + 24 * 60 - 60, 121 + 25 * 60, &[serving("21", "prod"), challenger]);
    service.wait_for_rollout(&daemon, "Promoting", 100.0);
    service.minutes(121 + 25 * 60, 121 + 26 * 60 + 5, &[serving("22", "prod")]);
    service.wait_for_rollout(&daemon, "Succeeded", 100.0);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("22"));
    // The champion remains as what a rollback would return to.
    service
        .run(&daemon, "op", "rollback recommendation_model --reason practice --drill")
        .exits(0)
        .prints("from version 22 to 21");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("22"));
    assert_eq!(daemon.stop(), Some(0));
}
