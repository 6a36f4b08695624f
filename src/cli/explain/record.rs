//! Where a version comes from and what people did with it: lineage, approvals, overrides, promotions, the way back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use driftgate_core::audit::sentence::short;
use driftgate_core::judge::verdict::utc;
use driftgate_core::promotion::types::{Approval, Evidence, Override, RollbackTarget};

/// What made a version.
#[derive(Deserialize)]
pub struct Lineage {
    snapshot: Option<String>,
    snapshot_sha256: Option<String>,
    artifact: Option<String>,
    artifact_sha256: Option<String>,
    baseline_sha256: Option<String>,
    policy_sha256: Option<String>,
    evidence: Vec<Evidence>,
    #[serde(default)]
    reported: BTreeMap<String, Value>,
    #[serde(default)]
    differing: Vec<String>,
}

pub fn lineage(out: &mut String, lineage: &Lineage) {
    out.push_str("\nlineage\n");
    let fields = [
        ("snapshot", &lineage.snapshot),
        ("snapshot sha256", &lineage.snapshot_sha256),
        ("artifact", &lineage.artifact),
        ("artifact sha256", &lineage.artifact_sha256),
        ("baseline sha256", &lineage.baseline_sha256),
        ("policy sha256", &lineage.policy_sha256),
    ];
    for (name, value) in fields {
        let _ = writeln!(out, "  {name:<16} {}", value.as_deref().unwrap_or("–"));
    }
    for Evidence { kind, value, actor, at_ms } in &lineage.evidence {
        let _ = writeln!(out, "  {kind:<16} {}   by {actor}, {}", short(value), utc(*at_ms));
    }
    if lineage.evidence.is_empty() {
        out.push_str("  no evidence is attached\n");
    }
    if !lineage.reported.is_empty() {
        out.push_str("  reported by MLflow, not confirmed:\n");
    }
    for (kind, value) in &lineage.reported {
        let _ = writeln!(out, "    {kind:<16} {}", short(value));
    }
    for differing in &lineage.differing {
        let _ = writeln!(out, "  differs: {differing}");
    }
}

pub fn approvals(out: &mut String, approvals: &[Approval], overrides: &[Override]) {
    if !approvals.is_empty() {
        out.push_str("\napprovals\n");
    }
    for Approval { to, actor, role, at_ms, comment, .. } in approvals {
        let comment = comment.as_ref().map_or_else(String::new, |comment| format!(": {comment}"));
        let _ = writeln!(out, "  {actor} as {role} for {to}, {}{comment}", utc(*at_ms));
    }
    if !overrides.is_empty() {
        out.push_str("\noverrides\n");
    }
    for Override { rule, subject, until_ms, reason, actor, .. } in overrides {
        let subject = subject.as_deref().unwrap_or("(every subject)");
        let _ = writeln!(out, "  {rule} {subject} until {} by {actor}: {reason}", utc(*until_ms));
    }
}

pub fn way_back(out: &mut String, target: Option<&RollbackTarget>) {
    let _ = match target {
        None => writeln!(out, "\nway back: none, no stable version has been in prod"),
        Some(RollbackTarget { version, caution: None }) => writeln!(out, "\nway back: version {version}"),
        Some(RollbackTarget { version, caution: Some(caution) }) => {
            writeln!(out, "\nway back: version {version}, with caution: {caution}")
        }
    };
}

/// A line each, the newest first.
pub fn promotions(out: &mut String, promotions: &[Value]) {
    if !promotions.is_empty() {
        out.push_str("\npromotions\n");
    }
    for record in promotions {
        let text = |key: &str| record.get(key).filter(|v| !v.is_null()).map(short);
        let or = |key: &str| text(key).unwrap_or_else(|| "–".to_owned());
        let ended = text("ended_at").map_or_else(String::new, |at| format!(" {at}"));
        let comment = text("comment").map_or_else(String::new, |comment| format!(": {comment}"));
        let _ = writeln!(
            out,
            "  {}  {} → {} by {}, {}{ended}, back to {}{comment}",
            or("at"),
            or("from_stage"),
            or("to_stage"),
            or("actor"),
            or("status"),
            or("rollback_to")
        );
    }
}
