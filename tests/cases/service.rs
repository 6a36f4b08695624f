//! A model with a stream of its own: topics, tokens, a policy with a rollout, and traffic by the minute of event time.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::broker::{Daemon, brokers, publish, topic, wait_for};
use super::support::{Folder, Run};

/// A minute of event time, ms.
pub const MINUTE: i64 = 60_000;
/// Predictions of a version a minute.
const EACH: i64 = 30;

/// Name, roles, models and actor of the people in these tests.
const PEOPLE: [(&str, &str, &str, &str); 3] = [
    ("op", "operator", "*", "ci@company"),
    ("owner", "approver:owner", "*", "owner@company"),
    ("reviewer", "approver:reviewer", "*", "reviewer@company"),
];

/// Somebody's token.
pub fn token(name: &str) -> String {
    format!("{name}-token-of-these-tests-0123456789")
}

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
pub struct Service {
    pub model: String,
    pub folder: Folder,
    pub predictions: String,
    pub labels: String,
    pub signals: String,
    /// The event time of minute 0, ms.
    pub start: i64,
}

/// What a version does in a minute.
#[derive(Clone, Copy)]
pub struct Traffic {
    pub version: &'static str,
    pub stage: &'static str,
    pub latency_ms: f64,
    /// Of 30 predictions, how many are clicked.
    pub clicks: i64,
}

pub fn serving(version: &'static str, stage: &'static str) -> Traffic {
    Traffic { version, stage, latency_ms: 62.0, clicks: 12 }
}

impl Service {
    pub fn new(model: &str, kpi: &str, rollout: &str, extra: &str) -> Self {
        let folder = Folder::new();
        let policy = POLICY.replace("MODEL", model).replace("KPI", kpi).replace("ROLLOUT", rollout);
        folder.write("policy.yaml", policy);
        let rows: String =
            (0..1000).map(|i| format!("{},{},{}\n", i % 10, 0.1 + 0.8 * f64::from(i % 2), i % 2)).collect();
        folder.write("train.csv", format!("x,score,label\n{rows}"));
        let line = |(name, roles, models, actor): (&str, &str, &str, &str)| {
            folder.write_secret(&format!("{name}.token"), token(name) + "\n");
            format!("{} {roles} {models} {actor}\n", token(name))
        };
        folder.write_secret("tokens", PEOPLE.map(line).concat());
        let service = Self {
            model: model.to_owned(),
            predictions: topic(&format!("{model}-predictions"), 1),
            labels: topic(&format!("{model}-labels"), 1),
            signals: topic(&format!("{model}-signals"), 1),
            start: (now_ms() - 60 * 60 * MINUTE) / (60 * MINUTE) * (60 * MINUTE),
            folder,
        };
        // Event time may run ahead of the clock by some minutes.
        service.folder.write(
            "driftgate.yaml",
            format!(
                "policies: [policy.yaml]\n\
                 kafka: {{brokers: \"{}\", group: \"{}\"}}\n\
                 sources:\n\
                 - {{topic: \"{}\", kind: predictions, format: json, future: 10m}}\n\
                 - {{topic: \"{}\", kind: labels, format: json, future: 10m}}\n\
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

    pub fn config(&self) -> PathBuf {
        self.folder.path("driftgate.yaml")
    }

    /// Publishes the minutes [from, to) of some versions, with the labels of every prediction.
    pub fn minutes(&self, from: i64, to: i64, versions: &[Traffic]) {
        self.shifted(from, to, versions, 0);
    }

    /// The same, with a feature that lies elsewhere than in training.
    pub fn shifted(&self, from: i64, to: i64, versions: &[Traffic], shift: i64) {
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
                        "score": if positive == 1 { 0.9 } else { 0.1 }, "features": {"x": (i + minute) % 10 + shift},
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

    pub fn run(&self, daemon: &Daemon, token: &str, arguments: &str) -> Run {
        let token = self.folder.path(&format!("{token}.token"));
        self.folder.driftgate(&format!("{arguments} --server {} --token-file {}", daemon.url, token.display()))
    }

    pub fn status(&self, daemon: &Daemon) -> Value {
        serde_json::from_str(&daemon.get(&format!("/api/v1/models/{}/status", self.model)).1).unwrap()
    }

    /// Which version a stage's pointer stands on.
    pub fn standing(&self, daemon: &Daemon, stage: &str) -> Option<String> {
        let status = self.status(daemon);
        let versions = status["versions"].as_array().unwrap();
        let stands = versions.iter().find(|v| v["stages"].as_array().unwrap().contains(&json!(stage)));
        stands.map(|v| v["version"].as_str().unwrap().to_owned())
    }

    /// Waits for a phase and a weight of the rollout.
    pub fn wait_for_rollout(&self, daemon: &Daemon, phase: &str, weight: f64) -> Value {
        let reached = || {
            let rollout = self.status(daemon)["rollout"].clone();
            (rollout["phase"] == phase && rollout["weight"] == weight).then_some(rollout)
        };
        wait_for(&format!("{phase} at {weight}%"), reached)
    }

    /// Waits until `status` tells of a problem with these words.
    pub fn wait_for_problem(&self, daemon: &Daemon, words: &[&str]) {
        wait_for(&format!("a problem that says {words:?}"), || {
            let problems = self.status(daemon)["problems"].as_array()?.clone();
            let says = |problem: &Value| {
                let text = problem["problem"].as_str().unwrap_or_default().to_owned();
                words.iter().all(|word| text.contains(word))
            };
            problems.iter().any(says).then_some(())
        });
    }

    /// Registers the champion in prod and the challenger in staging, with what the gate asks for.
    pub fn register(&self, daemon: &Daemon, champion: &str, challenger: &str) {
        self.folder.write("model.bin", format!("weights of {challenger}"));
        let artifact = self.folder.path("model.bin");
        self.register_artifact(daemon, champion, challenger, &artifact.display().to_string());
    }

    /// The same, with an artifact that is there already.
    pub fn register_artifact(&self, daemon: &Daemon, champion: &str, challenger: &str, artifact: &str) {
        self.folder.write(
            "evidence.json",
            json!({"data_snapshot": "sha256:".to_owned() + &"ab".repeat(32), "code_commit": "git:1234abcd", "offline": {"auc": 0.935}}).to_string(),
        );
        let model = &self.model;
        self.run(daemon, "op", &format!("register {model} {champion} --stage prod")).exits(0);
        let evidence = self.folder.path("evidence.json");
        self.run(
            daemon,
            "op",
            &format!(
                "register {model} {challenger} --stage staging --artifact {artifact} --evidence {}",
                evidence.display()
            ),
        )
        .exits(0);
    }

    /// Both sign; before, the gate waits for them.
    pub fn approve(&self, daemon: &Daemon, version: &str) {
        let model = &self.model;
        self.run(daemon, "op", &format!("gate {model} {version} --to prod")).exits(4).prints("0 of 2 approvals");
        self.run(daemon, "op", &format!("promote {model} {version}")).exits(4);
        self.run(daemon, "owner", &format!("approve {model} {version} --to prod")).exits(0).prints("1 of 2 approvals");
        self.run(daemon, "owner", &format!("approve {model} {version} --to prod --role reviewer")).exits(2);
        self.run(daemon, "reviewer", &format!("approve {model} {version} --to prod")).exits(0);
        self.run(daemon, "op", &format!("gate {model} {version} --to prod")).exits(0);
    }

    /// Waits until a version's service windows up to a minute are in the registry.
    pub fn wait_until_judged(&self, daemon: &Daemon, version: &str, minute: i64) {
        let (until, model) = (utc(self.start + minute * MINUTE), &self.model);
        wait_for(&format!("the windows of {version} up to minute {minute}"), || {
            let path = format!("/api/v1/models/{model}/versions/{version}");
            let seen: Value = serde_json::from_str(&daemon.get(&path).1).unwrap();
            (seen["recorded"]["slo"].as_str()? >= until.as_str()).then_some(())
        });
    }

    /// Waits until the gate has judged the latest drift and fairness windows of a version.
    pub fn wait_for_gate(&self, daemon: &Daemon, version: &str, code: i32) {
        wait_for(&format!("the gate of {version} to answer {code}"), || {
            (self.run(daemon, "op", &format!("gate {} {version} --to prod", self.model)).code == Some(code))
                .then_some(())
        });
    }
}

pub fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// An event time as verdicts write it.
pub fn utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

pub const CANARY: &str = "{controller: driftgate, steps: [{weight: 10, for: 30m}, {weight: 50, for: 2h}, {weight: 100, bake: 1h}], checks: [slo]}";
