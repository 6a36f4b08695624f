//! What is fuzzed: each target takes bytes as a stranger would send them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use driftgate::checkpoint::{CheckpointError, Store};
use driftgate::http::{Access, App, Tokens, Traffic, router};
use driftgate::ledger::Embedded;
use driftgate::replay::{Input, InputFile, Observer};
use driftgate::sink::ingest::Ingest;
use driftgate::source::options::FileOptions;
use driftgate::{config, daemon, replay, snapshot, view};
use driftgate_core::baseline::Baseline;
use driftgate_core::codec::hash::sha256_hex;
use driftgate_core::decode::Reject;
use driftgate_core::decode::decoder::Format;
use driftgate_core::event::{EventKind, Limits};
use driftgate_core::intake::Setup;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::verdict::{Signal, Verdict};
use driftgate_core::pipeline::Pipeline;
use driftgate_core::policy::{self, Policy};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

/// Something that takes foreign bytes; whether it could use them.
pub trait Target {
    fn take(&self, input: &[u8]) -> bool;

    /// Inputs beside those of the corpus.
    fn seeds(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

pub const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: train.csv, columns: {score: score, label: label}}
features: {numeric: [x], categorical: [c]}
score: {threshold: 0.5}
segments: [c, c*region]
labels: {horizon: 1h, attribute: label_time, lateness: 10m}
lateness: 10m
min_samples: 1
checks:
  drift:
    window: {size: 2h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2}
    - ks_p: {of: [x, score], gte: 0.01}
    - missing_rate: {of: features, max_increase: 0.05}
  fairness:
    window: {size: 2h, slide: 1h}
    rules:
    - tpr_gap: {by: c, lt: 0.2, min_positives: 1}
    - kpi_drop: {of: ctr, max: {absolute: 0.1}}
  slo:
    window: {size: 1m, slide: 1m}
    rules:
    - latency_p95_ms: {lt: 80}
    - error_rate: {lt: 0.01, unit: fraction}
";

const TRAIN: &str = "x,c,region,score,label\n1,a,eu,0.1,0\n2,b,eu,0.9,1\n3,a,us,0.7,1\n4,b,us,0.2,0\n";

/// A folder with the policy and its snapshot.
pub struct Bench {
    folder: tempfile::TempDir,
    pub policy: Arc<Policy>,
}

impl Bench {
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.csv"), TRAIN).unwrap();
        let policy = policy::parse(text, &folder.path().join("policy.yaml")).unwrap();
        Self { folder, policy: Arc::new(policy) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> InputFile {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        let options = FileOptions {
            format: Format::default(),
            null_values: Arc::default(),
            limits: Limits::default(),
            record_ts: 1_800_000_000_000,
            threads: 1,
            kserve: None,
        };
        InputFile { path, more: Vec::new(), options }
    }

    /// A replay; whether it judged or counted something.
    pub fn replay(&self, predictions: InputFile, labels: InputFile) -> bool {
        let policy = Arc::clone(&self.policy);
        let input = Input { policy, predictions, others: [(EventKind::Labels, labels)].into() };
        let done = replay::run(&input, &mut Finite);
        done.is_ok_and(|outcome| outcome.counters.predictions + outcome.counters.labels > 0)
    }
}

/// Checks what comes out of a replay.
struct Finite;

impl Observer for Finite {
    fn verdict(&mut self, verdict: &Verdict, _: &[Signal]) -> anyhow::Result<()> {
        let text = serde_json::to_string(verdict)?;
        // JSON has no other numbers than finite ones; a value that is none reads as null, and has a reason.
        let read: Value = serde_json::from_str(&text)?;
        for result in read["results"].as_array().into_iter().flatten() {
            let conclusive = result["status"] != "insufficient";
            assert!(!(conclusive && result["value"].is_null() && result["reason"].is_null()), "{result}");
        }
        Ok(())
    }

    fn reject(&mut self, _: &Path, _: u64, reject: &Reject, _: &[u8]) -> anyhow::Result<()> {
        assert!(!reject.detail.is_empty());
        Ok(())
    }

    fn reference(&mut self, _: &str, _: &Reference) {}

    fn progress(&mut self, _: &Pipeline, _: u64, _: Option<u64>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Predictions in a file of one format.
pub struct Events {
    bench: Bench,
    name: &'static str,
}

impl Events {
    pub fn new(name: &'static str) -> Self {
        Self { bench: Bench::new(POLICY), name }
    }
}

pub const LABEL: &[u8] = br#"{"prediction_id":"p1","ts":1700000100000,"label":1,"kpi":{"ctr":1}}"#;
pub const PREDICTION: &[u8] =
    br#"{"prediction_id":"p1","version":"1","ts":1700000000000,"score":0.7,"features":{"x":1.5,"c":"a"}}"#;

impl Target for Events {
    fn take(&self, input: &[u8]) -> bool {
        self.bench.replay(self.bench.file(self.name, input), self.bench.file("l.jsonl", LABEL))
    }
}

/// Labels as JSON lines.
pub struct Labels(Bench);

impl Labels {
    pub fn new() -> Self {
        Self(Bench::new(POLICY))
    }
}

impl Target for Labels {
    fn take(&self, input: &[u8]) -> bool {
        self.0.replay(self.0.file("p.jsonl", PREDICTION), self.0.file("l.jsonl", input))
    }
}

/// A training snapshot.
pub struct Snapshot {
    bench: Bench,
    name: &'static str,
}

impl Snapshot {
    pub fn new(name: &'static str) -> Self {
        Self { bench: Bench::new(POLICY), name }
    }
}

impl Target for Snapshot {
    fn take(&self, input: &[u8]) -> bool {
        let path = self.bench.path(self.name);
        std::fs::write(&path, input).unwrap();
        let loaded = snapshot::load(&self.bench.policy, "1", &path.display().to_string());
        loaded.is_ok_and(|baseline| !baseline.encode().unwrap().is_empty())
    }
}

/// A policy file.
pub struct PolicyText;

impl Target for PolicyText {
    fn take(&self, input: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(input) else { return false };
        match policy::parse(text, Path::new("policy.yaml")) {
            Ok(policy) => {
                let _ = policy::lint::lint(&policy);
                true
            }
            Err(errors) => {
                assert!(errors.to_string().contains("policy.yaml"), "{errors}");
                false
            }
        }
    }
}

/// A configuration file.
pub struct ConfigurationText;

impl Target for ConfigurationText {
    fn take(&self, input: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(input) else { return false };
        match config::parse(text, Path::new("d.yaml")) {
            Ok(_) => true,
            Err(errors) => {
                assert!(errors.to_string().contains("d.yaml"), "{errors}");
                false
            }
        }
    }
}

/// A frame's payload with a digest that fits, so that what is inside is reached.
pub fn sealed(file: &[u8]) -> Vec<u8> {
    const HEADER: usize = 20;
    const CHECKSUM: usize = 32;
    let Some(payload) = file.get(HEADER..file.len().saturating_sub(CHECKSUM)) else { return file.to_vec() };
    let mut out = file[..12].to_vec();
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(payload);
    let sum = Sha256::digest(&out);
    out.extend_from_slice(&sum);
    out
}

/// A daemon's checkpoint.
pub struct CheckpointFile(tempfile::TempDir);

impl CheckpointFile {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Target for CheckpointFile {
    fn take(&self, input: &[u8]) -> bool {
        // A process that another test starts just then holds the lock until it runs something else.
        let store = loop {
            match Store::open(self.0.path()) {
                Err(CheckpointError::Locked { .. }) => std::thread::sleep(std::time::Duration::from_millis(1)),
                opened => break opened.unwrap(),
            }
        };
        let mut good = false;
        for bytes in [input.to_vec(), sealed(input)] {
            std::fs::write(self.0.path().join("checkpoint.bin"), bytes).unwrap();
            good |= store.load().is_ok();
        }
        good
    }

    /// Those that the tests keep of released versions, without their chunks.
    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![sealed(&[b"DRFGCKPT\x04\0\0\0", &[0; 8][..], &[0; 3], &[0; 32]].concat())]
    }
}

/// A built baseline.
pub struct BaselineFile {
    bench: Bench,
}

impl BaselineFile {
    pub fn new() -> Self {
        Self { bench: Bench::new(POLICY) }
    }
}

impl Target for BaselineFile {
    fn take(&self, input: &[u8]) -> bool {
        [input.to_vec(), sealed(input)].iter().any(|bytes| {
            let Ok(baseline) = Baseline::decode(bytes, &self.bench.policy) else { return false };
            sha256_hex(&baseline.encode().unwrap()).len() == 64
        })
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let path = self.bench.path("train.csv").display().to_string();
        vec![snapshot::load(&self.bench.policy, "1", &path).unwrap().encode().unwrap()]
    }
}

/// Requests to every route, with a token that may do everything.
pub struct Http {
    router: axum::Router,
    runtime: tokio::runtime::Runtime,
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

impl Http {
    pub fn new() -> Self {
        let bench = Bench::new(POLICY);
        let registry = Arc::new(Embedded::in_memory().unwrap());
        let view = view::Shared::default();
        daemon::show(&Pipeline::new(Arc::clone(&bench.policy), Setup::default(), 1), registry.as_ref(), &view);
        view.write().started = true;
        let tokens = Tokens::parse(&format!("{TOKEN} operator+approver * tester")).unwrap();
        let router = router(App {
            view,
            registry,
            access: Arc::new(Access::open(tokens)),
            now_ms: || 1_700_000_000_000,
            history: None,
            traffic: Traffic::default(),
            ingest: Ingest::default(),
            series: driftgate::http::metrics::Options::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { router, runtime }
    }
}

impl Target for Http {
    /// The first line is method and path, the rest the body.
    fn take(&self, input: &[u8]) -> bool {
        let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
        let (line, body) = input.split_at(end);
        let Ok((method, path)) = std::str::from_utf8(line).map(|line| line.split_once(' ').unwrap_or(("GET", line)))
        else {
            return false;
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(Body::from(body.get(1..).unwrap_or_default().to_vec()));
        let Ok(request) = request else { return false };
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert!(!status.is_server_error() || status == 503, "{status}: {}", String::from_utf8_lossy(&text));
            status.is_success()
        })
    }
}
