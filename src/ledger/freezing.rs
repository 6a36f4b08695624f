//! Freezes: automatic actions on a model stop until it is resumed.

use rusqlite::{Connection, OptionalExtension, params};

use super::change::Change;
use super::error::RegistryError;
use driftgate_core::audit::Event;

pub(super) fn frozen(tx: &Connection, model: &str) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached(
        "SELECT 'since ' || frozen_since || ': ' || frozen_reason FROM models
         WHERE model = ?1 AND frozen_since IS NOT NULL",
    )?
    .query_row([model], |row| row.get(0))
    .optional()
}

pub(super) fn freeze(tx: &Connection, model: &str, since: &str, reason: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO models (model, frozen_since, frozen_reason) VALUES (?1, ?2, ?3)
         ON CONFLICT (model) DO UPDATE SET
             frozen_since = excluded.frozen_since, frozen_reason = excluded.frozen_reason",
    )?
    .execute([model, since, reason])?;
    Ok(())
}

/// Ends a freeze; whether there was one.
pub(super) fn thaw(change: &Change<'_>, model: &str, actor: &str) -> Result<bool, RegistryError> {
    let ended = change
        .prepare_cached(
            "UPDATE models SET frozen_since = NULL, frozen_reason = NULL, resumed_at = ?2, resumed_by = ?3
             WHERE model = ?1 AND frozen_since IS NOT NULL",
        )?
        .execute(params![model, change.now_ms, actor])?;
    if ended > 0 {
        change.audit(actor, (model, None), &Event::Resume {})?;
    }
    Ok(ended > 0)
}
