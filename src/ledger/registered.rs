//! Which versions somebody registered, beside those that are only there because a signal named them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Embedded, OWN_ACTORS, signals};
use crate::registry::RegistryError;
use driftgate_core::intake::newcomers::Registered;
use driftgate_core::policy::Policy;
use driftgate_core::promotion::evidence::sha256_hex;
use driftgate_core::yaml::is_slug;

/// The stages of every policy.
const STAGES: [&str; 4] = ["dev", "staging", "canary", "prod"];

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

/// A version that a signal or MLflow brought here was registered by somebody; whether it is so from now on.
pub(super) fn take_over(tx: &Connection, model: &str, version: &str, actor: &str) -> rusqlite::Result<bool> {
    if OWN_ACTORS.contains(&actor) {
        return Ok(false);
    }
    let changed = tx
        .prepare_cached(
            "UPDATE versions SET registered_by = ?3
             WHERE model = ?1 AND version = ?2 AND registered_by IN (?4, ?5)",
        )?
        .execute(params![model, version, actor, OWN_ACTORS[0], OWN_ACTORS[1]])?;
    Ok(changed > 0)
}

/// Who is said to have registered a version.
pub(super) fn by(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached("SELECT registered_by FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()
}

/// A digest as it is kept and compared: hexadecimal digits in lower case.
pub(super) fn normal_digest(text: &str) -> String {
    sha256_hex(text.trim()).unwrap_or_else(|| text.trim().to_ascii_lowercase())
}

/// Stages are written as policies write them, so that none looks like another.
pub(super) fn stage_name(stage: &str) -> Result<(), RegistryError> {
    super::name("the stage", stage)?;
    if is_slug(stage) {
        return Ok(());
    }
    let why = "use at most 64 of a-z, 0-9, `_` and `-`, like prod";
    Err(RegistryError::BadName { what: "the stage", value: stage.to_owned(), why })
}

/// Refuses a stage that the policy does not know. A policy without transitions takes others, too, in lower case.
pub(super) fn known_stage(policy: &Policy, stage: &str) -> Result<(), RegistryError> {
    stage_name(stage)?;
    let named = policy.transitions.iter().flat_map(|t| [t.from.as_str(), t.to.as_str()]);
    let mut known: Vec<&str> = STAGES.into_iter().chain(named).collect();
    let free = policy.transitions.is_empty() && !stage.contains(|c: char| c.is_ascii_uppercase());
    if free || known.contains(&stage) {
        return Ok(());
    }
    known.sort_unstable();
    known.dedup();
    let known = known.into_iter().map(str::to_owned).collect();
    Err(RegistryError::UnknownStage { model: policy.model.clone(), stage: stage.to_owned(), known })
}
