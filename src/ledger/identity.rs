//! Which version a number stands for. An external registry may give the number of a deleted version to another: what was attached, approved,
//! judged and moved was the deleted one's. A version that it lost cannot be promoted until it is back.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::mirror;
use driftgate_core::codec::time::utc;

/// The kind of an alias that no caller with the right has confirmed here.
pub const UNCONFIRMED: &str = "unconfirmed_stage";

/// Something that the registry elsewhere says otherwise, or does not have any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `registry_drift`; [`UNCONFIRMED`]: an alias there that no caller with the right has confirmed here.
    pub kind: &'static str,
    pub model: String,
    /// The version that is gone, or that the pointer is on: ours, of an unconfirmed one theirs.
    pub version: Option<String>,
    /// The pointer that is void, or is elsewhere.
    pub stage: Option<String>,
    /// When it was noticed: wall clock, RFC 3339.
    pub since: String,
    pub detail: String,
}

impl Embedded {
    /// Where the external registry says something else of a model (of all for `None`): pointers that stand for nothing any more, aliases
    /// that others moved or took away there, versions that were deleted there.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn problems(&self, model: Option<&str>) -> Result<Vec<Problem>, RegistryError> {
        self.read(|tx| {
            let stages = "SELECT model, stage, version, at, reason FROM lost_stages WHERE model = ?1 OR ?1 IS NULL ORDER BY model, stage";
            let mut found: Vec<Problem> = tx
                .prepare_cached(stages)?
                .query_map([model], |row| {
                    let (stage, version, why): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(4)?);
                    Ok(Problem {
                        kind: "registry_drift",
                        model: row.get(0)?,
                        since: utc(row.get(3)?),
                        detail: format!("{stage} stood on version {version} and stands on none that counts: {why}"),
                        version: Some(version),
                        stage: Some(stage),
                    })
                })?
                .collect::<Result<_, _>>()?;
            found.extend(moved(tx, model)?);
            let versions = "SELECT model, version, lost_at FROM versions
                            WHERE lost_at IS NOT NULL AND (model = ?1 OR ?1 IS NULL) ORDER BY id";
            let lost = tx.prepare_cached(versions)?.query_map([model], |row| {
                let (model, version, at): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let detail = lost_sentence(&model, &version, at);
                Ok(Problem { kind: "registry_drift", model, version: Some(version), stage: None, since: utc(at), detail })
            })?
            .collect::<Result<Vec<_>, _>>()?;
            found.extend(lost);
            Ok(found)
        })
    }

    /// Versions of a model that the external registry had when it was last asked.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn known_elsewhere(&self, model: &str) -> Result<Vec<String>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached(
                "SELECT version FROM versions
                 WHERE model = ?1 AND created_elsewhere_ms IS NOT NULL AND lost_at IS NULL ORDER BY id",
            )?
            .query_map([model], |row| row.get(0))?
            .collect()
        })
    }

    /// Versions whose number was a deleted one's, and whose counts still hold what that one counted.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn to_count_anew(&self, model: &str) -> Result<Vec<String>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT version FROM versions WHERE model = ?1 AND count_anew ORDER BY id")?
                .query_map([model], |row| row.get(0))?
                .collect()
        })
    }

    /// Versions whose snapshot is another one since they were registered.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn snapshots_replaced(&self, model: &str) -> Result<Vec<String>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT version FROM versions WHERE model = ?1 AND snapshot_replaced ORDER BY id")?
                .query_map([model], |row| row.get(0))?
                .collect()
        })
    }

    /// A version's baseline is being loaded anew; a restart looks at it in any case.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn snapshot_taken(&self, model: &str, version: &str) -> Result<(), RegistryError> {
        self.write(0, |change| {
            change
                .prepare_cached("UPDATE versions SET snapshot_replaced = 0 WHERE model = ?1 AND version = ?2")?
                .execute([model, version])?;
            Ok(())
        })
    }

    /// A version is counted anew, and will be after a restart.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn counted_anew(&self, model: &str, version: &str) -> Result<(), RegistryError> {
        self.write(0, |change| {
            change
                .prepare_cached("UPDATE versions SET count_anew = 0 WHERE model = ?1 AND version = ?2")?
                .execute([model, version])?;
            Ok(())
        })
    }
}

/// Aliases that stand elsewhere than the pointers here.
fn moved(tx: &Connection, model: Option<&str>) -> rusqlite::Result<Vec<Problem>> {
    let moved = "SELECT m.model, m.stage, m.version, m.at, s.version FROM moved_elsewhere AS m
                 LEFT JOIN stages AS s ON s.model = m.model AND s.stage = m.stage AND NOT EXISTS (
                     SELECT 1 FROM lost_stages AS l WHERE l.model = m.model AND l.stage = m.stage)
                 WHERE m.model = ?1 OR ?1 IS NULL ORDER BY m.model, m.stage";
    let mut moved = tx.prepare_cached(moved)?;
    let rows = moved.query_map([model], |row| {
        let (stage, there, ours): (String, Option<String>, Option<String>) = (row.get(1)?, row.get(2)?, row.get(4)?);
        let since = utc(row.get(3)?);
        let (kind, detail) = match (&ours, &there) {
            (Some(ours), there) => {
                let there = there.as_ref().map_or("nothing".to_owned(), |v| format!("version {v}"));
                let detail = format!(
                    "{stage} stands on version {ours}; somebody moved its alias in the external registry, where it stands on {there}: put it \
                     back there, or promote by the gate"
                );
                ("registry_drift", detail)
            }
            (None, Some(there)) => {
                let detail = format!(
                    "the external registry says that {stage} stands on version {there}; nobody who may has said so here, so that it is no \
                     {stage} version and no target of a rollback"
                );
                (UNCONFIRMED, detail)
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Problem { kind, model: row.get(0)?, version: ours.or(there), stage: Some(stage), since, detail }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// When the version was made that took a deleted one's number (ms, by the external registry's clock): windows that ended by then were the
/// deleted one's.
pub(super) fn made_anew(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<i64>> {
    let anew: Option<Option<i64>> = tx
        .prepare_cached("SELECT anew_ms FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()?;
    Ok(anew.flatten())
}

/// Why nothing is promoted to or rolled back to a version, if the external registry lost it.
pub(super) fn lost(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<String>> {
    let at: Option<Option<i64>> = tx
        .prepare_cached("SELECT lost_at FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()?;
    Ok(at.flatten().map(|at| lost_sentence(model, version, at)))
}

fn lost_sentence(model: &str, version: &str, at: i64) -> String {
    format!(
        "registry_drift: the external registry has no version {version:?} of {model:?} any more (noticed {}): it was deleted there; \
         register it there again, or choose another version",
        utc(at)
    )
}

/// A pointer is void until it is put onto a version again. It stays where it is, so that no other version takes its
/// place without a gate.
pub(super) fn void(
    tx: &Connection,
    model: &str,
    stage: &str,
    version: &str,
    now_ms: i64,
    why: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO lost_stages (model, stage, version, at, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![model, stage, version, now_ms, why])?;
    Ok(())
}

/// A pointer is valid again.
pub(super) fn stands_again(change: &Change<'_>, model: &str, stage: &str) -> rusqlite::Result<()> {
    change.prepare_cached("DELETE FROM lost_stages WHERE model = ?1 AND stage = ?2")?.execute([model, stage])?;
    // It is moved there, too, also if another client moved it there before.
    mirror::agrees(change, model, stage)
}

/// A version's snapshot is another one than it may be counted against: the pipeline loads its baseline again.
pub(super) fn replace_snapshot(change: &Change<'_>, model: &str, version: &str) -> rusqlite::Result<()> {
    change
        .prepare_cached("UPDATE versions SET snapshot_replaced = 1 WHERE model = ?1 AND version = ?2")?
        .execute([model, version])?;
    Ok(())
}
