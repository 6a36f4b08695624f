//! Pictures of the pages over data and a clock that are always the same, compared with those in `docs/images` by a browser.
//! `DRIFTGATE_WRITE_PICTURES=1 cargo test --release -p driftgate --lib pictures` writes them anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Server;
use super::status_view::{END, HOUR};
use crate::history::columns::{self, Row, rows_of, settled};
use crate::history::{Options, Reader, Window};
use crate::http::{Access, Tokens};
use crate::ledger::Embedded;
use crate::view::{Keep, ModelView, SourceView, VersionView, View};
use driftgate_core::intake::Counters;
use driftgate_core::judge::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};
use driftgate_core::policy;
use driftgate_core::promotion::version::Registration;

type Model = (&'static str, &'static str, &'static [(&'static str, Status)]);
/// Models with their team, and the status of their versions.
const MODELS: [Model; 6] = [
    ("fraud_detector", "payments", &[("6", Status::Pass), ("7", Status::Block)]),
    ("churn", "growth", &[("12", Status::Pass)]),
    ("credit_limit", "payments", &[("3", Status::Warn), ("4", Status::Pass)]),
    ("delivery_time", "logistics", &[("21", Status::Pass)]),
    ("pricing", "growth", &[("8", Status::Pass), ("9", Status::Insufficient)]),
    ("search_ranking", "search", &[("44", Status::Pass)]),
];
const FEATURES: [&str; 8] = ["amount", "age", "balance", "distance", "hour", "items", "merchant_age", "velocity"];
const BINS: u64 = 10;
/// So many days of windows are on disk.
const DAYS: i64 = 8;
/// A window of a version that drifts moves so many windows before the end.
const MOVED: i64 = 30;

fn policy_of(model: &str, team: &str) -> Arc<policy::Policy> {
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: {model}\nmetadata: {{team: {team}}}\nfeatures: {{numeric: [{}]}}\nscore: {{threshold: 0.5}}\n\
         segments: [country]\nlabels: {{horizon: 1d}}\nchecks:\n  \
         drift: {{window: {{size: 1h, slide: 1h}}, stale_after: 2d, rules: [psi: {{of: features, lt: 0.2, warn: 0.1}}, ks_p: {{of: features, gte: 0.001}}]}}\n  \
         fairness: {{window: {{size: 1d, slide: 1d}}, stale_after: 2d, rules: [tpr_gap: {{by: country, lt: 0.1}}]}}\n\
         transitions:\n- {{from: staging, to: prod, evidence: [code_commit], checks: [drift, fairness], approvals: {{roles: {{owner: 1, reviewer: 1}}}}}}\n",
        FEATURES.join(", ")
    );
    Arc::new(policy::parse(&text, Path::new("policy.yaml")).unwrap())
}

/// Counts that look like chance, and are the same each time.
fn noise(seed: u64, below: u64) -> u64 {
    let mixed = (seed ^ seed >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) % below
}

/// The bins of a feature: the last hours of one that moves lie further right.
fn bins(feature: u64, end_ms: i64, moves: bool) -> Value {
    let late = (END - end_ms) / HOUR < MOVED;
    let shift = if moves && late { u64::try_from(MOVED - (END - end_ms) / HOUR).unwrap_or(0) } else { 0 };
    let at = u64::try_from(end_ms / HOUR).unwrap_or(0);
    let bin = |i: u64| {
        let le = if i + 1 == BINS { Value::Null } else { json!((i + 1) * (10 + feature)) };
        let window = 560 + noise(at * 131 + feature * 17 + i, 80) + i * i * shift;
        json!({"le": le, "reference": 5000, "window": window})
    };
    (0..BINS).map(bin).collect::<Vec<Value>>().into()
}

fn result(rule: &str, metric: &'static str, subject: &str, value: f64, more: Vec<(&'static str, Value)>) -> RuleResult {
    let status = match (metric, value) {
        ("psi", 0.2..) | ("tpr_gap", 0.1..) => Status::Block,
        ("psi", 0.1..) => Status::Warn,
        _ => Status::Pass,
    };
    let mut evidence =
        vec![("n", json!(6000)), ("missing", json!(12)), ("invalid", json!(0)), ("reference_n", json!(50_000))];
    evidence.extend(more);
    RuleResult {
        evidence: evidence.into(),
        ..super::status_view::result(rule, metric, subject, status, Some(value), vec![])
    }
}

/// A window of a version; `amount` of one that drifts moves in the end.
fn drift(model: &str, version: &str, worst: Status, end_ms: i64) -> Verdict {
    let hours = (END - end_ms) / HOUR;
    let mut results = Vec::new();
    for (at, name) in (0_u64..).zip(FEATURES) {
        let moves = at == 0 && worst == Status::Block;
        let base = 0.004 + 0.0005 * f64::from(u32::try_from(noise(at * 7919 + hours.unsigned_abs(), 30)).unwrap_or(0));
        let late = f64::from(u32::try_from((MOVED - hours).max(0)).unwrap_or(0));
        let value = if moves {
            base + 0.012 * late
        } else if at == 1 && worst == Status::Warn {
            0.12 + base
        } else {
            base
        };
        let shown = Some(bins(at, end_ms, moves).into());
        let psi = result("drift/psi", "psi", name, value, vec![("limit", json!({"lt": 0.2}))]);
        let ks = result("drift/ks_p", "ks_p", name, 0.2 + 10.0 * base, vec![("limit", json!({"gte": 0.001}))]);
        results.extend([RuleResult { bins: shown, ..psi }, ks]);
    }
    if worst == Status::Insufficient {
        for of in &mut results {
            (of.status, of.value, of.bins) = (worst, None, None);
            of.reason = Some("n 41 is below min_samples 500".to_owned());
        }
    }
    verdict(model, version, "drift", end_ms, results)
}

fn fairness(model: &str, version: &str) -> Verdict {
    let segment = |(name, tpr): (&str, f64)| {
        json!({"segment": name, "tp": 800, "fn": 100, "fp": 4, "tn": 90, "tpr": tpr, "tpr_lower": tpr - 0.02, "tpr_upper": tpr + 0.02,
            "reference_tpr": 0.88, "eligible": true})
    };
    let segments: Vec<Value> = [("AT", 0.86), ("CH", 0.89), ("DE", 0.88), ("FR", 0.87)].map(segment).into();
    let more = vec![("limit", json!({"lt": 0.1})), ("segments", segments.into())];
    verdict(model, version, "fairness", END, vec![result("fairness/tpr_gap", "tpr_gap", "country", 0.03, more)])
}

fn verdict(model: &str, version: &str, group: &str, end: i64, results: Vec<RuleResult>) -> Verdict {
    Verdict {
        verdict_id: format!("{model}-{version}-{group}-{end}"),
        model: model.to_owned(),
        version: version.to_owned(),
        stage: None,
        group: group.to_owned(),
        window: WindowSpan { start: end - HOUR, end, complete: true },
        status: results.iter().map(|of| of.status).max().unwrap_or(Status::Pass),
        results,
        counted: Counted { predictions: 6012, labels: 5990 },
        policy_sha256: "p".into(),
        baseline_sha256: Some("b".into()),
    }
}

fn seen() -> View {
    let mut view = View { started: true, ..View::default() };
    for (model, team, versions) in MODELS {
        let mut of = ModelView {
            policy: policy_of(model, team),
            counters: Counters::default(),
            versions: [].into(),
            waiting: (0, 0),
            join_bytes: 0,
            closed: [("drift".to_owned(), END), ("fairness".to_owned(), END)].into(),
            incomplete: 0,
            left_out: 0,
            refused: driftgate_core::intake::newcomers::Refused::default(),
        };
        for (version, worst) in versions {
            let mut seen = VersionView {
                predictions: 2_019_204,
                baseline: Some(Ok("b".into())),
                reference_rows: Some(50_000),
                ..VersionView::default()
            };
            seen.push(Arc::new(drift(model, version, *worst, END)), Keep::default());
            seen.push(Arc::new(fairness(model, version)), Keep::default());
            if *worst == Status::Block {
                seen.blocks.insert("drift".into(), vec!["drift/psi amount 0.364 breaks lt 0.2".into()]);
            }
            of.versions.insert((*version).to_owned(), seen);
        }
        view.models.insert(model.to_owned(), of);
    }
    let source = SourceView { events: 90, next_offset: Some(90), high_watermark: Some(90), ..SourceView::default() };
    view.sources.insert(("predictions".into(), 0), source);
    view
}

/// Eight days of every version, a file a day.
fn history(root: &Path) -> Reader {
    for (model, team, versions) in MODELS {
        let (folder, policy) = (root.join(model), policy_of(model, team));
        std::fs::create_dir_all(&folder).unwrap();
        let ends = (0..DAYS * 24).map(|hours| END - hours * HOUR);
        let of = |end| versions.iter().map(move |(version, worst)| drift(model, version, *worst, end));
        let windows = ends.flat_map(of).map(|verdict| Window::of(&verdict, &policy));
        let mut days = BTreeMap::<String, Vec<Row>>::new();
        for row in windows.flat_map(rows_of) {
            let name = jiff::Timestamp::from_millisecond(row.end_ms).unwrap().to_string();
            days.entry(name[..10].to_owned()).or_default().push(row);
        }
        for (name, rows) in days {
            let file = std::fs::File::create(folder.join(format!("{name}.parquet"))).unwrap();
            columns::write(model, &settled(rows), file).unwrap();
        }
    }
    Reader::of(Options { path: root.to_owned(), keep: Duration::from_hours(24 * 90), store: None })
}

fn registry() -> Embedded {
    let registry = Embedded::in_memory().unwrap();
    for (model, _, versions) in MODELS {
        for (at, (version, _)) in versions.iter().enumerate() {
            let registration = Registration {
                model: model.into(),
                version: (*version).into(),
                stage: Some(if at == 0 { "prod" } else { "staging" }.into()),
                snapshot: Some(format!("s3://models/{model}/{version}/train.parquet")),
                artifact_sha256: Some("4c1f".repeat(16)),
                ..Registration::default()
            };
            registry.register(&registration, "ci@company", END - 40 * HOUR).unwrap();
            let evidence = [("code_commit", "git:1f6b0c2"), ("data_snapshot", "s3://models/train.parquet")];
            let evidence = evidence.map(|(key, value)| (key.to_owned(), json!(value)));
            registry.attach(model, version, &evidence, "ci@company", END - 40 * HOUR).unwrap();
        }
    }
    registry
}

#[test]
fn the_pages_look_as_they_are_shown_in_the_documentation() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let access = Access::open(Tokens::parse("op-0123456789abcdef0123456789 operator * alice\n").unwrap());
    let server = Server::over(seen(), access, Some(history(folder.path())), registry());
    let version = "/models/fraud_detector/versions/7";
    let ran = Command::new(root.join("tests/support/browser.sh"))
        .args(["pictures", &server.base])
        .args([root.join("docs/images"), root.join("target/pictures")])
        .arg("overview=/")
        .arg(format!("version={version}"))
        .arg(format!("feature={version}/subjects/amount"))
        .arg(format!("promotion={version}/promotion"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && ran.stdout.ends_with(b"should be\n"), "{said}");
}
