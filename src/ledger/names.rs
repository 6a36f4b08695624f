//! Names of models, versions and stages, and digests, as the ledger takes them.

use super::error::RegistryError;
use driftgate_core::audit::names;
use driftgate_core::policy::Policy;
use driftgate_core::promotion::value::parse_sha256_hex;
use driftgate_core::yaml::is_slug;

/// The stages of every policy.
const STAGES: [&str; 4] = ["dev", "staging", "canary", "prod"];

/// Refuses what is no name.
pub(super) fn name(what: &'static str, value: &str) -> Result<(), RegistryError> {
    match names::fault(value) {
        Some(why) => Err(RegistryError::BadName { what, value: value.chars().take(names::LONGEST).collect(), why }),
        None => Ok(()),
    }
}

/// A digest as it is kept and compared: hexadecimal digits in lower case.
pub(super) fn normal_digest(text: &str) -> String {
    parse_sha256_hex(text.trim()).unwrap_or_else(|| text.trim().to_ascii_lowercase())
}

/// Stages are written as policies write them, so that none looks like another.
pub(super) fn stage_name(stage: &str) -> Result<(), RegistryError> {
    name("the stage", stage)?;
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
