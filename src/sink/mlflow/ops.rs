//! What driftgate tells MLflow: operations, each of which may be carried out any number of times, and the tags that show a
//! version's gates to those who look at MLflow.
//!
//! MLflow numbers versions itself, so none is made here: an operation on a version that is missing, or that was made
//! anew under the same number, is refused for good. An alias that another client moved is left where it is, and no
//! alias is ever deleted.

use super::client::{Mlflow, ModelVersion};
use super::error::MlflowError;
use crate::ledger::Op;
use crate::sink::external::Delivered;
use driftgate_core::fact::External;

/// Carries out an operation.
///
/// # Errors
/// It was not delivered and stays due: a server that is out of reach or fails, credentials or rights that do not suffice,
/// an address that is not MLflow's (the last two wait for an operator: see `MlflowError::is_transient`). Delivering again is
/// safe.
pub fn deliver(mlflow: &Mlflow, op: &Op) -> Result<Delivered, MlflowError> {
    let done = match op {
        Op::SetAlias { model, alias, version, expected, created_ms } => {
            match target(mlflow, model, version, *created_ms)? {
                Ok(_) => set_alias(mlflow, model, alias, version, expected.as_deref()),
                Err(refused) => Ok(Delivered::Refused(refused)),
            }
        }
        Op::SetTags { model, version, tags, created_ms } => match target(mlflow, model, version, *created_ms)? {
            Ok(found) => set_tags(mlflow, &found, tags),
            Err(refused) => Ok(Delivered::Refused(refused)),
        },
    };
    match done {
        // The version went while this was under way, or MLflow does not take the alias.
        Err(e) if e.is_final() => Ok(Delivered::Refused(e.to_string())),
        done => done,
    }
}

/// The version an operation is about, or why it cannot be.
fn target(
    mlflow: &Mlflow,
    model: &str,
    version: &str,
    created_ms: Option<i64>,
) -> Result<Result<ModelVersion, String>, MlflowError> {
    let Some(found) = mlflow.version(model, version)? else {
        return Ok(Err(format!("MLflow has no version {version:?} of {model:?}, and it numbers versions itself")));
    };
    match (created_ms, found.creation_timestamp) {
        (Some(known), Some(now)) if known != now => Ok(Err(format!(
            "version {version:?} of {model:?} was deleted and made anew in MLflow: it was created at {known} ms, this one at \
             {now} ms"
        ))),
        _ => Ok(Ok(found)),
    }
}

fn set_alias(
    mlflow: &Mlflow,
    model: &str,
    alias: &str,
    version: &str,
    expected: Option<&str>,
) -> Result<Delivered, MlflowError> {
    let read = || Ok::<_, MlflowError>(mlflow.model(model)?.and_then(|mut found| found.aliases.remove(alias)));
    match read()? {
        Some(found) if found == version => return Ok(Delivered::Already),
        Some(found) if Some(found.as_str()) != expected => return Ok(Delivered::Drift { found: Some(found) }),
        _ => {}
    }
    mlflow.set_alias(model, alias, version)?;
    // MLflow has no compare-and-set: another's write may have come between, and won.
    let found = read()?;
    Ok(if found.as_deref() == Some(version) { Delivered::Done } else { Delivered::Drift { found } })
}

fn set_tags(mlflow: &Mlflow, found: &ModelVersion, tags: &[(String, String)]) -> Result<Delivered, MlflowError> {
    let mut delivered = Delivered::Already;
    for (key, value) in tags {
        let (key, value) = (External::Mlflow.key(key), External::Mlflow.value(value));
        if found.tags.get(&key).is_none_or(|old| *old != value) {
            mlflow.set_version_tag(&found.name, &found.version, &key, &value)?;
            delivered = Delivered::Done;
        }
    }
    Ok(delivered)
}

#[cfg(test)]
mod tests;
