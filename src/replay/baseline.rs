//! A version's baseline, from where its policy or a registration says that the snapshot is.

use std::sync::Arc;

use crate::snapshot::{self, Reach, SnapshotErrors};
use crate::stores::Stores;
use driftgate_core::intake::versions::Reference;
use driftgate_core::policy::Policy;

/// A version's reference as the policy says where its snapshot is; `location` overrides the policy's. It is read on so
/// many threads.
#[must_use]
pub fn reference(policy: &Policy, version: &str, location: Option<&str>, threads: usize) -> Reference {
    let found = try_reference(policy, version, location, threads, &Stores::default(), Reach::Anything);
    found.unwrap_or_else(|errors| Reference::Failed(errors.to_string()))
}

/// The same with the errors of its snapshot as they are.
///
/// # Errors
/// What cannot be fetched, read, or does not fit the policy.
pub fn try_reference(
    policy: &Policy,
    version: &str,
    location: Option<&str>,
    threads: usize,
    stores: &Stores,
    reach: Reach<'_>,
) -> Result<Reference, SnapshotErrors> {
    let named = match location {
        Some(l) => Some(l.to_owned()),
        None => snapshot::location_for(policy, version)?,
    };
    let Some(location) = named else {
        return Ok(Reference::Failed(format!(
            "version {version:?} has no snapshot: neither the registry nor the policy's baseline.snapshot names one"
        )));
    };
    let baseline = snapshot::load_on(policy, version, &location, threads, stores, reach)?;
    Ok(match baseline.digest() {
        Ok(sha256) => Reference::Baseline { baseline: Arc::new(baseline), sha256: sha256.into() },
        Err(e) => Reference::Failed(e.to_string()),
    })
}
