//! Rows of versions: what they are registered with, where their pointers stand, what blocks them, and their verdicts.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::change::Change;
use super::error::RegistryError;
use super::names::normal_digest;
use driftgate_core::promotion::types::ActiveBlock;
use driftgate_core::promotion::version::{Registration, VersionRecord};

/// Adds a version without digests; one that is there stays.
pub(super) fn add_version(tx: &Change<'_>, model: &str, version: &str, actor: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO versions (model, version, registered_at, registered_by) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (model, version) DO NOTHING",
    )?
    .execute(params![model, version, tx.now_ms, actor])?;
    Ok(())
}

/// Writes the fields that a version lacks; one that it has must be the same, but for a snapshot that is corrected.
pub(super) fn fill(tx: &Connection, new: &Registration) -> Result<(), RegistryError> {
    let Some(old) = record(tx, &new.model, &new.version)? else { return Ok(()) };
    let fields = [
        ("snapshot", old.snapshot, &new.snapshot),
        ("snapshot_sha256", old.snapshot_sha256, &new.snapshot_sha256),
        ("artifact_sha256", old.artifact_sha256, &new.artifact_sha256),
        ("artifact", old.artifact, &new.artifact),
        ("baseline_version", old.baseline_version, &new.baseline_version),
    ];
    for (field, old, given) in fields {
        if let (Some(old), Some(given)) = (old, given)
            && old != *given
            && !(new.corrects_snapshot && field.starts_with("snapshot"))
        {
            let (model, version) = (new.model.clone(), new.version.clone());
            return Err(RegistryError::Immutable { model, version, field, old, new: given.clone() });
        }
    }
    tx.prepare_cached(
        "UPDATE versions SET snapshot = CASE WHEN ?8 THEN coalesce(?3, snapshot) ELSE coalesce(snapshot, ?3) END,
             snapshot_sha256 = CASE WHEN ?8 THEN coalesce(?4, snapshot_sha256) ELSE coalesce(snapshot_sha256, ?4) END,
             artifact_sha256 = coalesce(artifact_sha256, ?5), artifact = coalesce(artifact, ?6),
             baseline_version = coalesce(baseline_version, ?7)
         WHERE model = ?1 AND version = ?2",
    )?
    .execute(params![
        new.model,
        new.version,
        new.snapshot,
        new.snapshot_sha256,
        new.artifact_sha256,
        new.artifact,
        new.baseline_version,
        new.corrects_snapshot,
    ])?;
    Ok(())
}

pub(super) fn record(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<VersionRecord>> {
    tx.prepare_cached("SELECT * FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], version_row)
        .optional()?
        .map(|record| with_state(tx, record))
        .transpose()
}

/// Fails where a version is not registered.
pub(super) fn known(tx: &Connection, model: &str, version: &str) -> Result<(), RegistryError> {
    if record(tx, model, version)?.is_none() {
        return Err(RegistryError::UnknownVersion { model: model.to_owned(), version: version.to_owned() });
    }
    Ok(())
}

pub(super) fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRecord> {
    // Older releases kept digests as they were given.
    let digest = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.as_deref().map(normal_digest));
    Ok(VersionRecord {
        model: row.get("model")?,
        version: row.get("version")?,
        snapshot: row.get("snapshot")?,
        snapshot_sha256: digest("snapshot_sha256")?,
        artifact_sha256: digest("artifact_sha256")?,
        artifact: row.get("artifact")?,
        baseline_version: row.get("baseline_version")?,
        stages: Vec::new(),
        blocks: Vec::new(),
        registered_at: row.get("registered_at")?,
        rolled_back: row.get("rolled_back")?,
        lost_at: row.get("lost_at")?,
        anew_ms: row.get("anew_ms")?,
        reported: BTreeMap::new(),
    })
}

/// Adds what moves: stages and blocks, each by name, and what is reported. A void pointer is no stage.
pub(super) fn with_state(tx: &Connection, mut record: VersionRecord) -> rusqlite::Result<VersionRecord> {
    let key = [&record.model, &record.version];
    record.reported = reported_of(tx, &record.model, &record.version)?;
    record.stages = tx
        .prepare_cached(
            "SELECT stage FROM stages AS s WHERE model = ?1 AND version = ?2
                 AND NOT EXISTS (SELECT 1 FROM lost_stages AS l WHERE l.model = s.model AND l.stage = s.stage)
             ORDER BY stage",
        )?
        .query_map(key, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    record.blocks = tx
        .prepare_cached(
            "SELECT group_name, since, reasons, signal_id, verdict_id FROM blocks
             WHERE model = ?1 AND version = ?2 ORDER BY group_name",
        )?
        .query_map(key, |row| {
            let reasons: String = row.get(2)?;
            Ok(ActiveBlock {
                group: row.get(0)?,
                since: row.get(1)?,
                // Whatever is in there, the block holds.
                reasons: serde_json::from_str(&reasons).unwrap_or_else(|_| vec![reasons]),
                signal_id: row.get(3)?,
                verdict_id: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(record)
}

/// What the external registry says of a version, by kind.
pub(super) fn reported_of(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<BTreeMap<String, Value>> {
    tx.prepare_cached("SELECT kind, value FROM reported WHERE model = ?1 AND version = ?2")?
        .query_map([model, version], |row| Ok((row.get(0)?, value(row.get(1)?))))?
        .collect()
}

/// What was attached, as it is kept: JSON, or a text of its own.
pub(super) fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// Keeps the latest verdict of a group; one of a deleted version whose number another has taken is not that one's.
pub(super) fn keep_verdict(
    tx: &Connection,
    model: &str,
    version: &str,
    group: &str,
    end_ms: i64,
    json: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO verdicts (model, version, group_name, end_ms, json)
         SELECT ?1, ?2, ?3, ?4, ?5
         WHERE NOT EXISTS (SELECT 1 FROM versions WHERE model = ?1 AND version = ?2 AND anew_ms >= ?4)
         ON CONFLICT (model, version, group_name) DO UPDATE SET end_ms = excluded.end_ms, json = excluded.json
         WHERE excluded.end_ms >= end_ms",
    )?
    .execute(params![model, version, group, end_ms, json])?;
    Ok(())
}
