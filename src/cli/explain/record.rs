//! Where a version comes from and what people did with it: lineage, approvals, overrides, promotions, the way back.

use std::fmt::Write as _;

use serde_json::Value;

use crate::api::{Lineage, PromotionRecord};
use driftgate_core::audit::sentence::short;
use driftgate_core::codec::time::utc;
use driftgate_core::promotion::types::{Approval, Evidence, Override, RollbackTarget};

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
        out.push_str("  reported by the external registry, not confirmed:\n");
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

/// One line per record, the newest first. A record that cannot be read is left out: releases before wrote others.
pub fn promotions(out: &mut String, promotions: &[Value]) {
    if !promotions.is_empty() {
        out.push_str("\npromotions\n");
    }
    for record in promotions.iter().filter_map(|record| serde_json::from_value::<PromotionRecord>(record.clone()).ok())
    {
        let text = |value: &Option<String>| value.as_deref().map(|text| short(&Value::from(text)));
        let or = |value: &Option<String>| text(value).unwrap_or_else(|| "–".to_owned());
        let ended = text(&record.ended_at).map_or_else(String::new, |at| format!(" {at}"));
        let comment = text(&record.comment).map_or_else(String::new, |comment| format!(": {comment}"));
        let _ = writeln!(
            out,
            "  {}  {} → {} by {}, {}{ended}, back to {}{comment}",
            or(&record.at),
            or(&record.from_stage),
            or(&record.to_stage),
            or(&record.actor),
            or(&record.status),
            record.rollback_to.as_ref().map_or_else(|| "–".to_owned(), short)
        );
    }
}
