//! Which versions a caller registered, as opposed to those that exist only because a signal named them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::embedded::Embedded;
use crate::telemetry::events::registry::{Question, RegistryUnanswered};
use driftgate_core::audit::names::{DRIFTGATE, OWN_ACTORS};
use driftgate_core::intake::newcomers::Registered;

impl Registered for Embedded {
    fn registered(&self, model: &str) -> Option<BTreeSet<String>> {
        let found = self.read(|tx| {
            tx.prepare_cached(
                "SELECT version FROM versions WHERE model = ?1 AND registered_by IS NOT ?2
                 UNION SELECT version FROM stages WHERE model = ?1",
            )?
            .query_map(params![model, DRIFTGATE], |row| row.get(0))?
            .collect()
        });
        found
            .inspect_err(|e| {
                RegistryUnanswered { model, version: None, question: Question::Registered, error: e }.emit();
            })
            .ok()
    }
}

/// Who is said to have registered a version.
pub(super) fn by(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached("SELECT registered_by FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()
}

/// A version that a signal or the external registry brought here was registered by a caller; returns whether that is new.
pub(super) fn take_over(tx: &Connection, model: &str, version: &str, actor: &str) -> rusqlite::Result<bool> {
    let is_own = |actor: &str| OWN_ACTORS.contains(&actor);
    if is_own(actor) || !by(tx, model, version)?.is_some_and(|by| is_own(&by)) {
        return Ok(false);
    }
    tx.prepare_cached("UPDATE versions SET registered_by = ?3 WHERE model = ?1 AND version = ?2")?
        .execute([model, version, actor])?;
    Ok(true)
}
