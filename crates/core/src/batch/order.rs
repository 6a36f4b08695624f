//! What of a policy or of its events a replay decides by the order of rows, so that parts cannot be counted alone.

use super::error::BatchError;
use super::scan::Scan;
use crate::event::EventKind;
use crate::policy::{Policy, Traffic};
use crate::yaml::units::show_duration;

/// Refuses kinds of events that parts cannot be counted of.
///
/// # Errors
/// Such a kind.
pub fn check_kind(kind: EventKind) -> Result<(), BatchError> {
    if kind == EventKind::Features {
        return Err(BatchError::Order(
            "events of the features stream count for the versions that predictions show to be active".to_owned(),
        ));
    }
    Ok(())
}

/// Whether any group counts the model's traffic.
#[must_use]
pub(super) fn by_model(policy: &Policy) -> bool {
    policy.groups.iter().any(|g| g.traffic == Traffic::Model)
}

/// Refuses a model's traffic where a version is not active from its first prediction up to the last event: then what is left out
/// depends on what was read before it.
///
/// # Errors
/// The version.
pub(super) fn check_traffic(policy: &Policy, scans: &[Scan]) -> Result<(), BatchError> {
    let predictions = || scans.iter().filter(|s| s.split.kind == EventKind::Predictions);
    if !by_model(policy) {
        return Ok(());
    }
    if let Some(scan) = predictions().find(|s| s.rejected > 0) {
        return Err(BatchError::Order(format!(
            "`traffic: model` counts for every version that is named, and {} has events that were rejected",
            scan.split.name
        )));
    }
    let Some(last) = predictions().filter_map(|s| s.run.map(|run| run.latest)).max() else { return Ok(()) };
    for (version, first) in predictions().flat_map(|s| &s.versions) {
        if first.saturating_add(policy.retire_after) < last {
            return Err(BatchError::Order(format!(
                "`traffic: model` counts for version {version:?} up to `retire_after` ({}) behind its last prediction, and the predictions \
                 reach further than that behind its first",
                show_duration(policy.retire_after)
            )));
        }
    }
    Ok(())
}
