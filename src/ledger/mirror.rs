//! What the external registry shall say: the pointers of the ledger as aliases, and the tags of each version. Both are state, written with the
//! change that they follow from; the mirror compares them with what is there, as often as it takes. A
//! version that it does not have yet gets what is due to it once it is registered there.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::elsewhere::{Found, FoundVersion, Op};
use super::error::RegistryError;

/// What is to be written to the external registry, and what cannot be yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Each may be carried out any number of times.
    pub ops: Vec<Op>,
    /// Versions that it does not have: their pointers and tags wait.
    pub unregistered: Vec<String>,
}

/// Notes that a model has a change that the external registry is to get.
pub(super) fn changed(tx: &Connection, model: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO mirror (model, changed, settled) VALUES (?1, 1, 0)
         ON CONFLICT (model) DO UPDATE SET changed = changed + 1",
    )?
    .execute([model])?;
    Ok(())
}

/// Says what tags of a version shall be; others of it stay.
pub(super) fn tag(tx: &Connection, model: &str, version: &str, tags: &[(String, String)]) -> rusqlite::Result<()> {
    for (key, value) in tags {
        tx.prepare_cached(
            "INSERT INTO mirror_tags (model, version, key, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (model, version, key) DO UPDATE SET value = excluded.value",
        )?
        .execute([model, version, key, value])?;
    }
    changed(tx, model)
}

pub(super) fn mirrored(tx: &Connection, model: &str, alias: &str, version: &str) -> Result<(), RegistryError> {
    tx.prepare_cached("INSERT OR REPLACE INTO mirrored (model, alias, version) VALUES (?1, ?2, ?3)")?
        .execute([model, alias, version])?;
    not_written(tx, model, alias)
}

/// An alias is not about to be moved any more.
pub(super) fn not_written(tx: &Connection, model: &str, alias: &str) -> Result<(), RegistryError> {
    tx.prepare_cached("DELETE FROM mirror_writes WHERE model = ?1 AND alias = ?2")?.execute([model, alias])?;
    Ok(())
}

/// Aliases that we were about to move when the process died, and where to.
pub(super) fn being_written(tx: &Connection, model: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    pairs(tx, "SELECT alias, version FROM mirror_writes WHERE model = ?1", model)
}

/// Where each alias of a model stood in the external registry when we last wrote or saw it.
pub(super) fn last_seen(tx: &Connection, model: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    pairs(tx, "SELECT alias, version FROM mirrored WHERE model = ?1", model)
}

/// Where the model's pointers stand; without those that stand for nothing any more.
pub(super) fn pointers(tx: &Connection, model: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    let standing = "SELECT stage, version FROM stages AS s
                    WHERE model = ?1 AND NOT EXISTS (
                        SELECT 1 FROM lost_stages AS l WHERE l.model = s.model AND l.stage = s.stage)";
    pairs(tx, standing, model)
}

/// Aliases that another client moved, and the version that they are on there (`None`: none), until they agree or ours moves.
pub(super) fn moved_elsewhere(tx: &Connection, model: &str) -> rusqlite::Result<BTreeMap<String, Option<String>>> {
    tx.prepare_cached("SELECT stage, version FROM moved_elsewhere WHERE model = ?1")?
        .query_map([model], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Notes that another client moved an alias, and where it is there now.
pub(super) fn moved_there(
    tx: &Connection,
    model: &str,
    alias: &str,
    version: Option<&str>,
    now_ms: i64,
) -> Result<(), RegistryError> {
    match version {
        Some(version) => mirrored(tx, model, alias, version)?,
        None => forget(tx, model, alias)?,
    }
    tx.prepare_cached("INSERT OR REPLACE INTO moved_elsewhere (model, stage, version, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![model, alias, version, now_ms])?;
    Ok(())
}

/// An alias is on no version there.
pub(super) fn forget(tx: &Connection, model: &str, alias: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM mirrored WHERE model = ?1 AND alias = ?2")?.execute([model, alias])?;
    Ok(())
}

/// An alias is not reported any more: both agree, or ours moved and is to be moved there.
pub(super) fn agrees(tx: &Connection, model: &str, alias: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM moved_elsewhere WHERE model = ?1 AND stage = ?2")?.execute([model, alias])?;
    Ok(())
}

fn pairs(tx: &Connection, query: &str, model: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    tx.prepare_cached(query)?.query_map([model], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Where a pointer was before it was put onto the version that it is on.
pub(super) fn stood_before(tx: &Connection, model: &str, stage: &str) -> rusqlite::Result<Option<String>> {
    let from: Option<Option<String>> = tx
        .prepare_cached(
            "SELECT from_version FROM stage_moves WHERE model = ?1 AND stage = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([model, stage], |row| row.get(0))
        .optional()?;
    Ok(from.flatten())
}

/// What of a model differs in the external registry: `aliases` are those to move there, with where they are expected to stand.
pub(super) fn due(
    tx: &Connection,
    model: &str,
    found: &Found,
    aliases: Vec<(String, Option<String>)>,
) -> rusqlite::Result<Due> {
    let there: BTreeMap<&str, &FoundVersion> = found.versions.iter().map(|v| (v.version.as_str(), v)).collect();
    let (of, mut due) = (found.of, Due::default());
    let wanted = pointers(tx, model)?;
    for (alias, expected) in aliases {
        let Some(version) = wanted.get(&alias) else { continue };
        match there.get(version.as_str()) {
            Some(found) => due.ops.push(Op::SetAlias {
                model: model.to_owned(),
                alias,
                version: version.clone(),
                expected,
                created_ms: found.created_ms,
            }),
            None => due.unregistered.push(version.clone()),
        }
    }
    for (version, tags) in wanted_tags(tx, model)? {
        match there.get(version.as_str()) {
            Some(found) => {
                let tags = of.differing(&found.tags, tags);
                if !tags.is_empty() {
                    due.ops.push(Op::SetTags { model: model.to_owned(), version, tags, created_ms: found.created_ms });
                }
            }
            None => due.unregistered.push(version),
        }
    }
    due.unregistered.sort_unstable();
    due.unregistered.dedup();
    Ok(due)
}

/// By version, in the order they were first written: a status follows its reasons.
fn wanted_tags(tx: &Connection, model: &str) -> rusqlite::Result<BTreeMap<String, Vec<(String, String)>>> {
    let mut tags: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut all = tx.prepare_cached("SELECT version, key, value FROM mirror_tags WHERE model = ?1 ORDER BY rowid")?;
    let mut rows = all.query([model])?;
    while let Some(row) = rows.next()? {
        tags.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?));
    }
    Ok(tags)
}
