//! A status view made by hand: a model whose versions are blocked, fine and without a baseline.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::view::inputs::Example;
use crate::view::{CheckpointView, Keep, ModelView, SourceView, View};
use driftgate_core::decode::Reason;
use driftgate_core::intake::Counters;
use driftgate_core::judge::verdict::{Action, Counted, RuleResult, Status, Verdict, WindowSpan};
use driftgate_core::policy;

/// 2013-03-08T00:00:00Z, the end of the windows here.
pub const END: i64 = 1_362_700_800_000;
pub const HOUR: i64 = 3_600_000;
const POLICY: &str = "
apiVersion: driftgate/v1
model: credit eu
metadata: {team: ops, severity: page}
features: {numeric: [temp], categorical: [carrier]}
score: {threshold: 0.5}
segments: [origin]
labels: {horizon: 2d, lateness: 1h}
checks:
  drift: {window: {size: 7d, slide: 1d}, rules: [psi: {of: features, lt: 0.2}, psi: {id: psi_2, of: temp, lt: 0.3}, ks_p: {of: temp, gte: 0.01}]}
  fairness: {window: {size: 7d, slide: 1d}, rules: [tpr_gap: {by: origin, lt: 0.1}]}
  slo: {window: {size: 1m, slide: 1m}, rules: [latency_p95_ms: {lt: 80}, error_rate: {lt: 0.01, unit: fraction}]}
transitions:
- {from: dev, to: staging, checks: [drift]}
- {from: staging, to: prod, checks: [drift, slo]}
";
pub const MODEL: &str = "credit eu";

pub fn result(
    rule: &str,
    metric: &'static str,
    subject: &str,
    status: Status,
    value: Option<f64>,
    evidence: Vec<(&'static str, Value)>,
) -> RuleResult {
    let (rule, subject) = (rule.to_owned(), subject.to_owned());
    RuleResult {
        rule,
        metric: metric.into(),
        subject,
        status,
        value,
        evidence: evidence.into(),
        reason: None,
        since: None,
        pending: false,
        muted: false,
        bins: None,
    }
}

pub fn verdict(version: &str, group: &str, end: i64, results: Vec<RuleResult>) -> Arc<Verdict> {
    Arc::new(Verdict {
        verdict_id: format!("{version}-{group}-{end}"),
        model: MODEL.into(),
        version: version.into(),
        stage: Some("prod".into()),
        group: group.into(),
        window: WindowSpan { start: end - 7 * 24 * HOUR, end, complete: true },
        status: results.iter().map(|r| r.status).max().unwrap_or(Status::Pass),
        results,
        counted: Counted { predictions: 6012, labels: 5990 },
        policy_sha256: "p".into(),
        baseline_sha256: Some("b".into()),
    })
}

/// A model of which nothing was seen.
pub fn nothing_seen(policy: &str) -> View {
    let policy = Arc::new(policy::parse(policy, Path::new("policy.yaml")).unwrap());
    let counters =
        Counters { late: 3, joined: 5990, duplicate_predictions: 1, duplicate_labels: 2, ..Counters::default() };
    let closed = [("drift".to_owned(), END), ("fairness".to_owned(), i64::MIN)].into();
    let seen = ModelView {
        policy,
        counters,
        versions: [].into(),
        waiting: (7, 8),
        join_bytes: 9,
        closed,
        incomplete: 0,
        left_out: 0,
        refused: driftgate_core::intake::newcomers::Refused::default(),
    };
    View { started: true, models: [(MODEL.to_owned(), seen)].into(), ..View::default() }
}

/// A model with a blocked version, one that passes and one whose snapshot is not there.
pub fn status_view() -> View {
    let mut view = nothing_seen(POLICY);
    let limit = ("limit", json!({"lt": 0.2}));
    let blocking = RuleResult {
        since: Some(END),
        bins: Some(json!([{"le": 28.9, "reference": 5120, "window": 310}]).into()),
        ..result("drift/psi", "psi", "temp", Status::Block, Some(0.31), vec![limit])
    };
    let p_value = vec![("d", json!(0.125)), ("test", json!("ks")), ("limit", json!({"gte": 0.01}))];
    let segments =
        json!([{"segment": "EWR", "tpr": 0.75}, {"segment": "J\"K", "tpr": null}, {"segment": "LGA", "tpr": 0.5}]);
    let one = view.version_mut(MODEL, "1").unwrap();
    one.predictions = 6012;
    one.baseline = Some(Ok("b".into()));
    one.reference_rows = Some(50_009);
    one.push(
        verdict(
            "1",
            "drift",
            END - 24 * HOUR,
            vec![result("drift/psi", "psi", "temp", Status::Pass, Some(0.1), vec![])],
        ),
        Keep::default(),
    );
    one.push(
        verdict(
            "1",
            "drift",
            END,
            vec![
                blocking,
                result("drift/psi", "psi", "carrier", Status::Insufficient, None, vec![]),
                result("drift/psi_2", "psi", "temp", Status::Warn, Some(0.25), vec![]),
                result("drift/ks_p", "ks_p", "temp", Status::Pass, Some(0.0625), p_value),
            ],
        ),
        Keep::default(),
    );
    one.push(
        verdict(
            "1",
            "fairness",
            END,
            vec![result(
                "fairness/tpr_gap",
                "tpr_gap",
                "origin",
                Status::Warn,
                Some(0.25),
                vec![("segments", segments)],
            )],
        ),
        Keep::default(),
    );
    let slo = vec![
        result("slo/latency_p95_ms", "latency_p95_ms", "latency_ms", Status::Pass, Some(62.5), vec![]),
        result("slo/error_rate", "error_rate", "error", Status::Pass, Some(0.0), vec![]),
    ];
    one.push(verdict("1", "slo", END, slo), Keep::default());
    one.blocks.insert("drift".into(), vec!["drift/psi temp 0.31 breaks lt 0.2".into()]);
    let two = view.version_mut(MODEL, "2").unwrap();
    two.push(
        verdict("2", "drift", END, vec![result("drift/psi", "psi", "temp", Status::Pass, Some(0.01), vec![])]),
        Keep::default(),
    );
    let three = view.version_mut(MODEL, "3").unwrap();
    three.baseline = Some(Err("train_v3.parquet is not there".into()));
    view.sources.insert(
        ("predictions".into(), 0),
        SourceView { events: 10, next_offset: Some(90), high_watermark: Some(100), ..SourceView::default() },
    );
    view.sources.insert(("predictions".into(), 1), SourceView { events: 5, ..SourceView::default() });
    view.rejected.insert(("predictions".into(), Reason::NotJson), 4);
    view.unknown_model.insert("predictions".into(), 6);
    let input = view.inputs.entry("predictions".into()).or_default();
    input.update(std::time::Instant::now(), 15, &[(Reason::NotJson, 3)].into(), 6);
    let detail = "expected a value at byte 0, found \u{fc}".into();
    input
        .examples
        .insert(Reason::NotJson, Example { partition: 0, offset: 12, detail, read: "an empty message".into() });
    view.signals.insert((Action::Block, "registry".into(), "ok"), 1);
    view.checkpoint =
        CheckpointView { since: None, written: 2, failed: 0, last_ms: Some(END), last_bytes: 512, last_seconds: 0.25 };
    view
}
