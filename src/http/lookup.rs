//! A version as the view and the registry have it, and what the registry knows of models.

use std::collections::{BTreeMap, BTreeSet};

use super::app::{Shared, known_model, registry};
use super::problem::{Problem, named};
use crate::problems::ModelFacts;
use crate::view::{ModelView, VersionView};
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::VersionRecord;

/// A version that events or the registry know, as both have it.
pub(super) async fn pick_known(
    app: &Shared,
    model: &str,
    version: &str,
) -> Result<(ModelView, Option<VersionRecord>), Problem> {
    let (seen, records) = look(app, model).await?;
    let record = pick(model, version, &seen, &records)?.1.cloned();
    Ok((seen, record))
}

/// A model in the status view and its versions in the registry.
pub(super) async fn look(app: &Shared, model: &str) -> Result<(ModelView, Vec<VersionRecord>), Problem> {
    // First, so that names from outside reach the registry only if a policy has them.
    known_model(app, model)?;
    let name = model.to_owned();
    let records = registry(app, move |r| r.versions(Some(&name))).await?;
    Ok((known_model(app, model)?, records))
}

/// What the registry knows of models, by name: read in one turn.
pub(super) async fn facts(app: &Shared, names: Vec<String>) -> Result<BTreeMap<String, ModelFacts>, Problem> {
    registry(app, move |r| {
        let pending = r.pending_rollbacks()?;
        let of = |name: String| {
            let facts = ModelFacts {
                records: r.versions(Some(&name))?,
                frozen: r.frozen(&name)?,
                rollout: r.last_rollout(&name)?,
                pending: pending.iter().find(|p| p.model == name).cloned(),
                lost: r.problems(Some(&name))?,
                last_prod_move: r.last_move(&name, PROD)?,
            };
            Ok((name, facts))
        };
        names.into_iter().map(of).collect()
    })
    .await
}

/// The names of all versions of a model.
pub(super) fn names<'a>(seen: &'a ModelView, records: &'a [VersionRecord]) -> BTreeSet<&'a str> {
    seen.versions.keys().chain(records.iter().map(|r| &r.version)).map(String::as_str).collect()
}

/// A version in the status view and in the registry; it is in one of them.
pub(super) fn pick<'a>(
    model: &str,
    version: &str,
    seen: &'a ModelView,
    records: &'a [VersionRecord],
) -> Result<(Option<&'a VersionView>, Option<&'a VersionRecord>), Problem> {
    let found = (seen.versions.get(version), records.iter().find(|r| r.version == version));
    if found.0.is_none() && found.1.is_none() {
        let versions = named(names(seen, records));
        return Err(Problem::not_found(format!(
            "model {model:?} has no version {version:?}; its versions are {versions}"
        )));
    }
    Ok(found)
}
