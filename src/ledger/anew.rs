//! Versions that the external registry lost, has again, or made anew under the number of a deleted one.

use rusqlite::params;

use super::change::Change;
use super::error::RegistryError;
use super::identity::void;
use super::{mirror, rollout_rows};
use driftgate_core::audit::event::{Event, RegistryDrift, True};
use driftgate_core::fact::{External, Fact};

/// Writes down what the external registry lost, and tells the webhooks.
fn report(
    change: &Change<'_>,
    of: External,
    (model, version): (&str, &str),
    what: RegistryDrift,
) -> Result<(), RegistryError> {
    change.happened(&Fact::Drift { model, version: Some(version), drift: &what })?;
    change.audit(of.actor(), (model, Some(version)), &Event::RegistryDrift(what))
}

/// A version is not in the external registry any more; whether that is news.
pub(super) fn lose(change: &Change<'_>, of: External, model: &str, version: &str) -> Result<bool, RegistryError> {
    let news = change
        .prepare_cached(
            "UPDATE versions SET lost_at = ?3
             WHERE model = ?1 AND version = ?2 AND lost_at IS NULL AND created_elsewhere_ms IS NOT NULL",
        )?
        .execute(params![model, version, change.now_ms])?;
    if news > 0 {
        report(change, of, (model, version), RegistryDrift::Deleted { deleted: True })?;
    }
    Ok(news > 0)
}

/// A version that was lost is there again, the same one.
pub(super) fn find_again(change: &Change<'_>, of: External, model: &str, version: &str) -> Result<(), RegistryError> {
    let back = change
        .prepare_cached("UPDATE versions SET lost_at = NULL WHERE model = ?1 AND version = ?2 AND lost_at IS NOT NULL")?
        .execute([model, version])?;
    if back > 0 {
        report(change, of, (model, version), RegistryDrift::Returned { returned: True })?;
    }
    Ok(())
}

/// The number of a deleted version stands for another one: whatever was attached, approved, judged, blocked or moved was the
/// deleted one's.
pub(super) fn make_anew(
    change: &Change<'_>,
    of: External,
    (model, version): (&str, &str),
    (known_ms, created_ms): (i64, i64),
) -> Result<(), RegistryError> {
    let drift = RegistryDrift::Recreated { recreated: True, created_ms: Some(created_ms), known_ms: Some(known_ms) };
    report(change, of, (model, version), drift)?;
    let why = format!("version {version} was deleted and made anew in {}", of.name());
    rollout_rows::end_by_drift(change, model, version, &why)?;
    for (stage, standing) in mirror::pointers(change, model)? {
        if standing == version {
            void(change, model, &stage, version, change.now_ms, &why)?;
        }
    }
    for table in [
        "evidence",
        "approvals",
        "overrides",
        "verdicts",
        "blocks",
        "unblocked",
        "mirror_tags",
        "mirror_writes",
        "mirrored",
        "moved_elsewhere",
        "reported",
    ] {
        change.execute(&format!("DELETE FROM {table} WHERE model = ?1 AND version = ?2"), [model, version])?;
    }
    change.execute(
        "DELETE FROM pending_rollbacks WHERE model = ?1 AND (from_version = ?2 OR to_version = ?2)",
        [model, version],
    )?;
    change.execute(
        "UPDATE versions SET snapshot = NULL, snapshot_sha256 = NULL, artifact_sha256 = NULL, artifact = NULL,
             baseline_version = NULL, rolled_back = NULL, lost_at = NULL, anew_ms = ?3, anew_noticed = ?4, count_anew = 1,
             snapshot_replaced = 0, registered_by = ?5
         WHERE model = ?1 AND version = ?2",
        params![model, version, created_ms, change.now_ms, of.actor()],
    )?;
    Ok(())
}
