//! Promotion records as they are kept, with their end, and the verdicts that go into them.

use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;

use super::change::Change;
use super::error::RegistryError;
use crate::telemetry::events::registry::ChampionUnreadable;
use driftgate_core::codec::time::utc;

/// Writes the end of a promotion into its record.
pub(super) fn finish(change: &Change<'_>, id: &str, status: &str) -> Result<(), RegistryError> {
    let Some(mut record) = stored(change, id)? else { return Ok(()) };
    // The first end counts, but what was promoted may still be rolled back.
    let ended = record.get("status").and_then(Value::as_str) != Some("approved");
    if ended && status != "rolled_back" {
        return Ok(());
    }
    if let Some(fields) = record.as_object_mut() {
        fields.insert("status".into(), status.into());
        fields.insert("ended_at".into(), utc(change.now_ms).into());
    }
    change.prepare_cached("UPDATE promotions SET record = ?2 WHERE id = ?1")?.execute([id, &record.to_string()])?;
    Ok(())
}

/// Why the promotion tries something again that was rolled back, if it does.
pub(super) fn retried(tx: &Connection, id: &str) -> Result<Option<String>, RegistryError> {
    let record = stored(tx, id)?;
    Ok(record.and_then(|r| r.get("retry")?.as_str().map(str::to_owned)))
}

pub(super) fn stored(tx: &Connection, id: &str) -> Result<Option<Value>, RegistryError> {
    let text: Option<String> = tx
        .prepare_cached("SELECT record FROM promotions WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The champion's verdicts stand in the record beside the candidate's; one that cannot be read leaves them out.
pub(super) fn champions(tx: &Connection, model: &str, version: &str) -> Result<Vec<Value>, RegistryError> {
    match verdicts_of(tx, model, version) {
        Err(RegistryError::Conflict(why)) => {
            ChampionUnreadable { model, version, error: &why }.emit();
            Ok(Vec::new())
        }
        found => found,
    }
}

pub(super) fn verdicts_of(tx: &Connection, model: &str, version: &str) -> Result<Vec<Value>, RegistryError> {
    let texts: Vec<String> = tx
        .prepare_cached("SELECT json FROM verdicts WHERE model = ?1 AND version = ?2 ORDER BY group_name")?
        .query_map([model, version], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let read = |text: &String| {
        serde_json::from_str(text).map_err(|e| {
            let whose = format!("version {version:?} of {model:?}");
            RegistryError::Conflict(format!(
                "a verdict of {whose} cannot be read: {e}; wait for its group's next window"
            ))
        })
    };
    texts.iter().map(read).collect()
}
