//! Evidence, approvals and overrides of a version, as they are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::versions::value;
use driftgate_core::promotion::model_signing::{self, Manifest};
use driftgate_core::promotion::types::{Approval, Evidence, Override};

/// What the attached signature of a version lists, where it is a bundle.
pub(super) fn signed_list(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<Arc<Manifest>>> {
    let text: Option<String> = tx
        .prepare_cached("SELECT value FROM evidence WHERE model = ?1 AND version = ?2 AND kind = 'signature'")?
        .query_row([model, version], |row| row.get(0))
        .optional()?;
    let value = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(value.as_ref().and_then(model_signing::listed))
}

pub(super) fn evidence_of(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<BTreeMap<String, Evidence>> {
    tx.prepare_cached("SELECT kind, value, actor, at FROM evidence WHERE model = ?1 AND version = ?2 ORDER BY kind")?
        .query_map([model, version], |row| {
            let text: String = row.get(1)?;
            let kind: String = row.get(0)?;
            let value = value(text);
            Ok((kind.clone(), Evidence { kind, value, actor: row.get(2)?, at_ms: row.get(3)? }))
        })?
        .collect()
}

pub(super) fn approvals_of(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Vec<Approval>> {
    tx.prepare_cached(
        "SELECT stage, actor, role, at, artifact_sha256, policy_sha256, evidence_sha256, comment, basis FROM approvals
         WHERE model = ?1 AND version = ?2 ORDER BY id",
    )?
    .query_map([model, version], approval)?
    .collect()
}

pub(super) fn overrides_of(
    tx: &Connection,
    model: &str,
    version: &str,
    now_ms: i64,
) -> rusqlite::Result<Vec<Override>> {
    tx.prepare_cached(
        "SELECT rule, subject, until, reason, actor, at FROM overrides
         WHERE model = ?1 AND version = ?2 AND until > ?3 ORDER BY id",
    )?
    .query_map(params![model, version, now_ms], exception)?
    .collect()
}

/// A row of `approvals`.
pub(super) fn approval(row: &Row<'_>) -> rusqlite::Result<Approval> {
    // A file that no release with this column has opened does not have it.
    let has_basis = row.as_ref().column_index("basis").is_ok();
    let basis: Option<String> = if has_basis { row.get("basis")? } else { None };
    Ok(Approval {
        to: row.get("stage")?,
        actor: row.get("actor")?,
        role: row.get("role")?,
        at_ms: row.get("at")?,
        artifact_sha256: row.get("artifact_sha256")?,
        policy_sha256: row.get("policy_sha256")?,
        evidence_sha256: row.get("evidence_sha256")?,
        basis: basis.and_then(|text| serde_json::from_str(&text).ok()),
        comment: row.get("comment")?,
    })
}

/// A row of `overrides`.
pub(super) fn exception(row: &Row<'_>) -> rusqlite::Result<Override> {
    Ok(Override {
        rule: row.get("rule")?,
        subject: row.get("subject")?,
        until_ms: row.get("until")?,
        reason: row.get("reason")?,
        actor: row.get("actor")?,
        at_ms: row.get("at")?,
    })
}
