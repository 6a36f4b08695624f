//! Which versions somebody registered, beside those that are only there because a signal named them.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::{Embedded, signals};
use crate::intake::newcomers::Registered;

impl Registered for Embedded {
    fn registered(&self, model: &str) -> Option<BTreeSet<String>> {
        let found = self.read(|tx| {
            tx.prepare_cached(
                "SELECT version FROM versions WHERE model = ?1 AND registered_by IS NOT ?2
                 UNION SELECT version FROM stages WHERE model = ?1",
            )?
            .query_map(params![model, signals::ACTOR], |row| row.get(0))?
            .collect()
        });
        found
            .inspect_err(
                |e| tracing::warn!(model, error = %e, "the registry does not say which versions are registered"),
            )
            .ok()
    }
}

/// A version that a signal brought here was registered by somebody.
pub(super) fn take_over(tx: &Connection, model: &str, version: &str, actor: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE versions SET registered_by = ?3 WHERE model = ?1 AND version = ?2 AND registered_by = ?4",
    )?
    .execute(params![model, version, actor, signals::ACTOR])?;
    Ok(())
}
