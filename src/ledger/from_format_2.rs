//! What MLflow shall say, of a registry that had a queue instead: from its blocks, approvals and audit log, and from what the
//! queue still held.

use rusqlite::Connection;
use serde_json::Value;

use super::dossier_rows::approvals_of;
use super::elsewhere::Op;
use super::error::RegistryError;
use super::mirror::{changed, tag};
use super::versions::{version_row, with_state};
use driftgate_core::fact::tags;
use driftgate_core::promotion::version::VersionRecord;

/// Fills the tables of a registry that had a queue instead: from its blocks, approvals and audit log, and from what the
/// queue still held. The queue's rows for MLflow are done with.
pub(super) fn fill(tx: &Connection) -> Result<(), RegistryError> {
    let bodies = |query: &str| -> rusqlite::Result<Vec<String>> {
        tx.prepare(query)?.query_map([], |row| row.get(0))?.collect()
    };
    for text in bodies("SELECT bytes FROM audit ORDER BY seq")? {
        if let Ok(record) = serde_json::from_str::<Value>(&text) {
            of_audit(tx, &record)?;
        }
    }
    for VersionRecord { model, version, blocks, .. } in all_versions(tx)? {
        for block in blocks {
            tag(tx, &model, &version, &tags::block_tags(&block.group, "block", &block.reasons, &block.since))?;
        }
        let approvals = approvals_of(tx, &model, &version)?;
        for approval in &approvals {
            tag(tx, &model, &version, &[tags::approvals_tag(&approval.to, &approvals)])?;
        }
    }
    for text in bodies("SELECT body FROM outgoing WHERE sink = 'mlflow' ORDER BY id")? {
        if let Ok(Op::SetTags { model, version, tags, .. }) = serde_json::from_str(&text) {
            tag(tx, &model, &version, &tags)?;
        }
    }
    for model in bodies("SELECT DISTINCT model FROM stages")? {
        changed(tx, &model)?;
    }
    tx.execute("DELETE FROM outgoing WHERE sink = 'mlflow'", [])?;
    Ok(())
}

fn all_versions(tx: &Connection) -> rusqlite::Result<Vec<VersionRecord>> {
    let mut all = tx.prepare("SELECT * FROM versions ORDER BY id")?;
    all.query_map([], version_row)?.map(|row| with_state(tx, row?)).collect()
}

/// The tags that a record of the audit log stands for.
fn of_audit(tx: &Connection, record: &Value) -> rusqlite::Result<()> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let payload = record.get("payload").unwrap_or(&Value::Null);
    let (Some(event), Some(model), Some(version)) =
        (text(record, "event"), text(record, "model"), text(record, "version"))
    else {
        return Ok(());
    };
    match event.as_str() {
        "registry_drift" if payload.get("recreated") == Some(&Value::Bool(true)) => {
            tx.execute("DELETE FROM mirror_tags WHERE model = ?1 AND version = ?2", [&model, &version])?;
        }
        "rollback" => {
            if let (Some(to), Some(ts)) = (text(payload, "to"), text(payload, "ts")) {
                let reason = text(payload, "reason").unwrap_or_default();
                tag(tx, &model, &version, &[tags::rollback_tag(&version, Some(&to), &reason, &ts)])?;
            }
        }
        "gate" => {
            if let (Some(stage), Some(verdict)) = (text(payload, "to"), text(payload, "verdict")) {
                let reasons = payload.get("reasons").and_then(Value::as_array).cloned().unwrap_or_default();
                let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
                let policy = text(payload, "policy_sha256").unwrap_or_default();
                let decided_at = text(record, "ts").unwrap_or_default();
                tag(tx, &model, &version, &tags::decided_tags(&stage, &verdict, &reasons, &policy, &decided_at))?;
            }
        }
        _ => {}
    }
    Ok(())
}
