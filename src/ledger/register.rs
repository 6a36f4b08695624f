//! Versions that are registered and judged: added, listed, and their latest verdicts.

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::names::{name, normal_digest, stage_name};
use super::pointers::{self, Move};
use super::versions::{add_version, fill, keep_verdict, record, version_row, with_state};
use super::{identity, registered};
use driftgate_core::audit::event::{Event, Register, Registered};
use driftgate_core::promotion::version::{Registration, VersionRecord};

impl Embedded {
    /// Adds a version; the same registration again changes nothing. A `stage` is set only where its pointer never stood on the
    /// version: registering again after a rollback does not promote again.
    ///
    /// # Errors
    /// A version that is there with other digests, a bad name, or a registry that fails.
    pub fn register(
        &self,
        registration: &Registration,
        actor: &str,
        now_ms: i64,
    ) -> Result<VersionRecord, RegistryError> {
        self.write(now_ms, |change| register(change, registration, actor))
    }

    /// One version; `None` where there is none.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn version(&self, model: &str, version: &str) -> Result<Option<VersionRecord>, RegistryError> {
        self.read(|tx| record(tx, model, version))
    }

    /// All versions of a model (of all models for `None`), in the order they were registered.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn versions(&self, model: Option<&str>) -> Result<Vec<VersionRecord>, RegistryError> {
        self.read(|tx| {
            let mut all = tx.prepare_cached("SELECT * FROM versions WHERE model = ?1 OR ?1 IS NULL ORDER BY id")?;
            all.query_map([model], version_row)?.map(|row| with_state(tx, row?)).collect()
        })
    }

    /// Keeps the latest verdict of a (version, group) as JSON. The version need not be registered. An older verdict than the one
    /// that is kept changes nothing.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn record_verdict(
        &self,
        model: &str,
        version: &str,
        group: &str,
        end_ms: i64,
        json: &str,
    ) -> Result<(), RegistryError> {
        self.write(0, |change| Ok(keep_verdict(change, model, version, group, end_ms, json)?))
    }

    /// The latest verdict of each group of a version as JSON, by group.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn verdicts(&self, model: &str, version: &str) -> Result<Vec<String>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT json FROM verdicts WHERE model = ?1 AND version = ?2 ORDER BY group_name")?
                .query_map([model, version], |row| row.get(0))?
                .collect()
        })
    }
}

/// Registers a version; the same registration again changes nothing.
pub(super) fn register(
    tx: &Change<'_>,
    registration: &Registration,
    actor: &str,
) -> Result<VersionRecord, RegistryError> {
    let registration = &Registration {
        snapshot_sha256: registration.snapshot_sha256.as_deref().map(normal_digest),
        artifact_sha256: registration.artifact_sha256.as_deref().map(normal_digest),
        ..registration.clone()
    };
    let Registration { model, version, stage, .. } = registration;
    name("the model", model)?;
    name("the version", version)?;
    stage.as_deref().map_or(Ok(()), stage_name)?;
    let old = record(tx, model, version)?;
    add_version(tx, model, version, actor)?;
    let taken_over = registered::take_over(tx, model, version, actor)?;
    fill(tx, registration)?;
    let new = record(tx, model, version)?.unwrap_or_default();
    // Also where the external registry or a signal had brought all of it: whose wish it is counts among who may approve.
    if taken_over || old.as_ref() != Some(&new) {
        let given = Register::Given(Registered::new(registration, new.differing()));
        tx.audit(actor, (model, Some(version)), &Event::Register(given))?;
        // Counted against what the external registry named so far.
        if old.as_ref().is_some_and(|old| old.snapshot_in_use() != new.snapshot_in_use()) {
            identity::replace_snapshot(tx, model, version)?;
        }
    }
    // Registering again promotes nothing again; a pointer that was taken away is put back.
    let rolled_back = old.is_some_and(|old| old.rolled_back.is_some());
    if let Some(stage) = stage
        && (!pointers::has_stood(tx, model, stage, version)?
            || (!rolled_back && pointers::standing(tx, model, stage)?.is_none()))
    {
        let new = Move { model, stage, to: version, actor, reason: "registered", rollback: false };
        pointers::make(tx, &new)?;
    }
    let missing = || RegistryError::UnknownVersion { model: model.clone(), version: version.clone() };
    record(tx, model, version)?.ok_or_else(missing)
}
