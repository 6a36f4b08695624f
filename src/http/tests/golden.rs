//! The answers of every route, byte for byte, over two worlds: a view of all that can be seen of a version, and the way of a
//! version to prod. `INSTA_UPDATE=always` writes them anew.

use std::fmt::Write as _;

use reqwest::Method;

use super::status_view::{END, MODEL, nothing_seen, result, status_view, verdict};
use super::{AT, OP, Server, VIEW, schema};
use crate::view::{Keep, View};
use driftgate_core::judge::verdict::Status;

const POLICY: &str = "
apiVersion: driftgate/v1
model: credit eu
features: {numeric: [temp]}
checks:
  slo: {window: {size: 1m, slide: 1m}, rules: [latency_p95_ms: {lt: 80}]}
transitions:
- {from: dev, to: staging, checks: [slo], evidence: [tests], approvals: {roles: {owner: 1}}}
- from: staging
  to: prod
  checks: [slo]
  approvals: {roles: {owner: 1}}
  rollout: {steps: [{weight: 10, for: 30m}, {weight: 100, bake: 1h}], checks: [slo]}
rollback: {to: last_stable, triggers: [{rule: slo/latency_p95_ms}]}
";

/// Versions 1 and 2, both with a verdict that passes.
fn passing() -> View {
    let mut view = nothing_seen(POLICY);
    for version in ["1", "2"] {
        let seen = view.version_mut(MODEL, version).unwrap();
        seen.predictions = 6012;
        seen.baseline = Some(Ok("b".into()));
        let p95 = result("slo/latency_p95_ms", "latency_p95_ms", "latency_ms", Status::Pass, Some(62.5), vec![]);
        seen.push(verdict(version, "slo", END, vec![p95]), Keep::default());
    }
    view
}

/// What was asked, and the bytes that came back.
fn told(server: &Server, asked: &[(&str, &str)]) -> String {
    let mut told = String::new();
    for (request, body) in asked {
        let (method, path) = request.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let path = path.replace('~', AT);
        let response = server.ask(method.clone(), &path, Some(OP), body);
        let status = response.status().as_u16();
        let is_json = response.headers().get("content-type").is_some_and(|media| media == "application/json");
        let text = response.text().unwrap();
        if is_json {
            schema::check(method.as_str(), &path, status, &serde_json::from_str(&text).unwrap());
        }
        let _ = writeln!(told, "{request} {body}\n{status} {text}\n");
    }
    told
}

fn tokens() -> String {
    format!("{OP} operator+approver credit* alice\n{VIEW} viewer * bob\n")
}

#[test]
fn what_is_seen_of_versions_is_answered_with_these_bytes() {
    let server = Server::showing(status_view(), &tokens());
    let asked = [
        "GET /live",
        "GET /ready",
        "GET /api/v1/status",
        "GET /api/v1/inputs",
        "GET /api/v1/models",
        "GET ~",
        "GET ~/status",
        "GET ~/history",
        "GET ~/rollout",
        "GET ~/versions/1",
        "GET ~/versions/2",
        "GET ~/versions/3",
        "GET ~/versions/1/verdicts",
        "GET ~/versions/1/explain",
        "GET ~/versions/3/explain",
        "GET ~/versions/1/promotions",
        "GET /api/v1/gate/credit%20eu/1?to=prod",
        "GET /api/v1/gate/credit%20eu/2?to=staging",
    ];
    insta::assert_snapshot!(told(&server, &asked.map(|request| (request, ""))));
}

#[test]
fn the_way_of_a_version_to_prod_is_answered_with_these_bytes() {
    let server = Server::showing(passing(), &tokens());
    let registration = r#"{"snapshot": "s3://train/2.parquet", "snapshot_sha256": "5555555555555555555555555555555555555555555555555555555555555555", "artifact_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "evidence": {"code_commit": "0123456789abcdef0123456789abcdef01234567"}}"#;
    let asked = [
        ("POST ~/versions/2", registration),
        ("POST ~/versions/2", registration),
        ("GET ~/versions/2", ""),
        ("POST ~/versions/2/promote", r#"{"to": "staging"}"#),
        ("POST ~/versions/2/evidence", r#"{"tests": "pass", "offline": {"auc": 0.88}}"#),
        ("POST ~/versions/2/approvals", r#"{"to": "staging", "role": "owner", "comment": "looks good"}"#),
        ("GET /api/v1/gate/credit%20eu/2?to=staging", ""),
        ("POST ~/versions/2/promote", r#"{"to": "staging", "comment": "release 2"}"#),
        ("POST ~/versions/2/approvals", r#"{"role": "owner"}"#),
        ("POST ~/versions/2/approvals", r#"{"role": "reviewer"}"#),
        ("POST ~/versions/2/promote", ""),
        ("GET ~/rollout", ""),
        ("POST ~/rollout", r#"{"action": "pause", "reason": "incident 42"}"#),
        ("GET ~/status", ""),
        ("GET ~/versions/2/explain", ""),
        ("POST ~/rollout", r#"{"action": "resume"}"#),
        ("POST ~/rollout", r#"{"action": "halt"}"#),
        ("POST ~/freeze", r#"{"reason": "incident 43"}"#),
        ("GET ~/status", ""),
        ("POST ~/resume", ""),
        ("POST ~/rollout", r#"{"action": "promote"}"#),
        ("GET ~/rollout", ""),
        ("POST ~/rollout", r#"{"action": "abort", "reason": "wrong artifact"}"#),
        ("GET ~/versions/2/promotions", ""),
        ("GET ~/versions/2/promotions?format=markdown", ""),
        ("POST ~/versions/2/overrides", r#"{"rule": "slo/latency_p95_ms", "for": "24h", "reason": "known"}"#),
        ("POST ~/versions/2/unblock", r#"{"reason": "the sensor was replaced"}"#),
        ("POST ~/versions/2/rollback", r#"{"reason": "a drill", "drill": true}"#),
        ("POST ~/versions/2/rollback", r#"{"reason": "slower than it was"}"#),
        ("POST ~/versions/1/rollback", r#"{"reason": "slower than it was"}"#),
        ("GET ~/versions/2/explain", ""),
        ("GET ~/status", ""),
        ("GET ~/history", ""),
        ("GET ~/history?limit=1", ""),
        ("POST /hooks/flagger/confirm-rollout", r#"{"name": "credit eu", "metadata": {"version": "2"}}"#),
    ];
    insta::assert_snapshot!(told(&server, &asked));
}
