//! What MLflow has: the aliases of a registered model and its versions with what their tags and runs say, in
//! driftgate's terms. Approvals are never read from here: anybody who may edit a model can write its tags.

use std::collections::BTreeMap;

use super::client::{Mlflow, ModelVersion, Run};
use super::error::MlflowError;
use crate::ledger::{Found, FoundVersion};
use driftgate_core::fact::External;

/// Where MLflow's clients note the commit a run was started from.
const RUN_COMMIT: &str = "mlflow.source.git.commit";
/// A run in one of these states is taken to change no more.
const OVER: [&str; 3] = ["FINISHED", "FAILED", "KILLED"];

/// Runs that are over, by id, so that polling asks for each once. Metrics logged to a run after its end are seen by a
/// fresh cache only.
#[derive(Clone, Debug, Default)]
pub struct RunCache(BTreeMap<String, Run>);

/// Reads a registered model with its versions and their runs.
///
/// # Errors
/// A server that is out of reach, fails or refuses. A run that is gone or that may not be read is no error: the version's
/// `problems` name it.
pub fn pull(mlflow: &Mlflow, model: &str, runs: &mut RunCache) -> Result<Found, MlflowError> {
    let Some(registered) = mlflow.model(model)? else { return Ok(Found::default()) };
    // Runs that go on are asked for once a pull.
    let mut read: BTreeMap<String, Result<Run, String>> = BTreeMap::new();
    let mut versions = Vec::new();
    for version in mlflow.versions(model)? {
        if let Some(id) = &version.run_id
            && !runs.0.contains_key(id)
            && !read.contains_key(id)
        {
            match run(mlflow, id)? {
                Ok(run) if OVER.contains(&run.info.status.as_str()) => {
                    runs.0.insert(id.clone(), run);
                }
                run => {
                    read.insert(id.clone(), run);
                }
            }
        }
        let run = version.run_id.as_ref().and_then(|id| match runs.0.get(id) {
            Some(run) => Some(Ok(run)),
            None => read.get(id).map(Result::as_ref),
        });
        versions.push(described(version, run));
    }
    Ok(Found { of: External::Mlflow, exists: true, aliases: registered.aliases, versions, gone: Vec::new() })
}

/// Asks for those of the known versions that a pull did not find: a list in pages may pass over one while others are deleted.
///
/// # Errors
/// As `pull`.
pub fn confirm_gone(mlflow: &Mlflow, model: &str, known: Vec<String>, found: &mut Found) -> Result<(), MlflowError> {
    for version in known {
        if !found.versions.iter().any(|v| v.version == version) && mlflow.version(model, &version)?.is_none() {
            found.gone.push(version);
        }
    }
    Ok(())
}

fn run(mlflow: &Mlflow, id: &str) -> Result<Result<Run, String>, MlflowError> {
    match mlflow.run(id) {
        Ok(Some(run)) => Ok(Ok(run)),
        Ok(None) => Ok(Err(format!("its run {id} is not in MLflow: offline metrics come from tags only"))),
        Err(e) if e.is_denied() => Ok(Err(format!("its run {id} may not be read: {e}"))),
        Err(e) => Err(e),
    }
}

fn described(version: ModelVersion, run: Option<Result<&Run, &String>>) -> FoundVersion {
    let (run, problem) = match run {
        Some(Ok(run)) => (Some(run), None),
        Some(Err(problem)) => (None, Some(problem.clone())),
        None => (None, None),
    };
    let measured = run.map_or_else(BTreeMap::new, |run| run.data.metrics.clone());
    let mut found = FoundVersion::of_tags(version.tags, measured);
    found.problems.splice(..0, problem);
    found.code_commit = found.code_commit.or_else(|| run?.data.tags.get(RUN_COMMIT).cloned());
    FoundVersion {
        created_ms: version.creation_timestamp,
        version: version.version,
        status: version.status,
        source: version.source,
        run_id: version.run_id,
        ..found
    }
}

#[cfg(test)]
mod tests;
