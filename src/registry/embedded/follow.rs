//! Keeping in step with a registry elsewhere: what others moved there is reported and followed, not fought; versions that
//! appear there are known here. Approvals, evidence of tests and the like never come from there.

use std::sync::atomic::Ordering;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::change::{Change, Sink};
use super::pointers::{self, Move};
use super::{Embedded, dossier, name};
use crate::promotion::evidence;
use crate::registry::RegistryError;
use crate::registry::mlflow::pull::{Found, FoundVersion, moves};

/// As whom a change that somebody made elsewhere is written down.
const ACTOR: &str = "mlflow";

/// A pointer that somebody else moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub stage: String,
    pub expected: Option<String>,
    /// `None`: it was taken away.
    pub found: Option<String>,
}

impl Embedded {
    /// How often something was moved elsewhere by us: to be asked before looking there.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Takes over what was found in the registry elsewhere; what others moved there is given back. While a change of ours
    /// is on its way, or where one got there since `epoch`, pointers are left alone: what was found may be from before.
    ///
    /// # Errors
    /// A registry that fails; nothing was taken over then.
    pub fn follow(&self, model: &str, found: &Found, epoch: u64, now_ms: i64) -> Result<Vec<Drift>, RegistryError> {
        self.write(now_ms, |change| {
            for version in &found.versions {
                take_version(change, model, version)?;
            }
            let on_its_way: bool = change
                .prepare_cached("SELECT 1 FROM outgoing WHERE sink = ?1 AND key = ?2 LIMIT 1")?
                .exists([Sink::Mlflow.name().as_str(), model])?;
            if on_its_way || self.epoch() != epoch {
                return Ok(Vec::new());
            }
            let known: std::collections::BTreeMap<String, String> = change
                .prepare_cached("SELECT alias, version FROM mirrored WHERE model = ?1")?
                .query_map([model], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let mut drifts = Vec::new();
            for moved in moves(&known, &found.aliases) {
                drifts.extend(take_move(change, model, &moved.alias, moved.known.as_deref(), moved.found.as_deref())?);
            }
            Ok(drifts)
        })
    }

    /// What an alias elsewhere stands on now, after we moved it or found it moved.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn mirrored(&self, model: &str, alias: &str, version: &str) -> Result<(), RegistryError> {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.write(0, |change| mirrored(change, model, alias, version))
    }

    /// An alias that we wanted to move stood where somebody else had put it.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn drifted(
        &self,
        model: &str,
        stage: &str,
        expected: Option<&str>,
        found: Option<&str>,
        now_ms: i64,
    ) -> Result<Option<Drift>, RegistryError> {
        self.write(now_ms, |change| take_move(change, model, stage, expected, found))
    }
}

/// Whether something was moved that we knew to stand elsewhere; what we see for the first time is just taken over.
fn take_move(
    change: &Change<'_>,
    model: &str,
    stage: &str,
    expected: Option<&str>,
    found: Option<&str>,
) -> Result<Option<Drift>, RegistryError> {
    let ours = pointers::standing(change, model, stage)?;
    let Some(found) = found else {
        change.prepare_cached("DELETE FROM mirrored WHERE model = ?1 AND alias = ?2")?.execute([model, stage])?;
        let told = json!({"stage": stage, "expected": expected, "found": null});
        change.audit(ACTOR, "registry_drift", (model, ours.as_deref()), told.clone())?;
        change.announce(model, &json!({"event": "registry_drift", "model": model, "drift": told}))?;
        pointers::clear(change, model, stage, ACTOR, "taken away there by somebody else")?;
        return Ok(Some(Drift { stage: stage.to_owned(), expected: expected.map(str::to_owned), found: None }));
    };
    mirrored(change, model, stage, found)?;
    if ours.as_deref() == Some(found) || name("the stage", stage).is_err() {
        return Ok(None);
    }
    super::add_version(change, model, found, ACTOR)?;
    let drift = Drift {
        stage: stage.to_owned(),
        expected: expected.map(str::to_owned).or(ours),
        found: Some(found.to_owned()),
    };
    let is_news = drift.expected.is_none();
    if !is_news {
        let told = json!({"stage": stage, "expected": drift.expected, "found": found});
        change.audit(ACTOR, "registry_drift", (model, Some(found)), told.clone())?;
        change.announce(model, &json!({"event": "registry_drift", "model": model, "drift": told}))?;
    }
    let reason = if is_news { "found there" } else { "moved there by somebody else" };
    let new = Move { model, stage, to: found, actor: ACTOR, reason, rollback: false, foreign: true };
    pointers::make(change, &new)?;
    Ok((!is_news).then_some(drift))
}

fn mirrored(change: &Change<'_>, model: &str, alias: &str, version: &str) -> Result<(), RegistryError> {
    change
        .prepare_cached("INSERT OR REPLACE INTO mirrored (model, alias, version) VALUES (?1, ?2, ?3)")?
        .execute([model, alias, version])?;
    Ok(())
}

/// Registers a version that appeared elsewhere and fills in what we lack; what is here already stays. One that was deleted
/// there and made again is another version under the same number: it is reported, and not taken for the old one.
fn take_version(change: &Change<'_>, model: &str, found: &FoundVersion) -> Result<(), RegistryError> {
    let version = found.version.as_str();
    if name("the version", version).is_err() {
        return Ok(());
    }
    let known: Option<Option<i64>> = change
        .prepare_cached("SELECT created_elsewhere_ms FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()?;
    match known {
        Some(Some(created)) if Some(created) == found.created_ms => {}
        Some(Some(created)) => {
            change.audit(
                ACTOR,
                "registry_drift",
                (model, Some(version)),
                json!({"recreated": true, "created_ms": found.created_ms, "known_ms": created}),
            )?;
            // Whatever was approved or attached was for the other one.
            for table in ["evidence", "approvals"] {
                change.execute(&format!("DELETE FROM {table} WHERE model = ?1 AND version = ?2"), [model, version])?;
            }
            change.execute(
                "UPDATE versions SET snapshot = NULL, snapshot_sha256 = NULL, artifact_sha256 = NULL, artifact = NULL
                 WHERE model = ?1 AND version = ?2",
                [model, version],
            )?;
        }
        Some(None) => {}
        None => {
            super::add_version(change, model, version, ACTOR)?;
            change.audit(
                ACTOR,
                "register",
                (model, Some(version)),
                json!({"source": found.source, "run_id": found.run_id, "created_ms": found.created_ms}),
            )?;
        }
    }
    change
        .prepare_cached(
            "UPDATE versions SET created_elsewhere_ms = ?3, snapshot = coalesce(snapshot, ?4),
                 snapshot_sha256 = coalesce(snapshot_sha256, ?5), artifact_sha256 = coalesce(artifact_sha256, ?6),
                 baseline_version = coalesce(baseline_version, ?7)
             WHERE model = ?1 AND version = ?2",
        )?
        .execute(params![
            model,
            version,
            found.created_ms,
            found.snapshot,
            found.snapshot_sha256,
            found.artifact_sha256,
            found.baseline_version
        ])?;
    let mut offered = Vec::new();
    if !found.offline.is_empty() {
        offered.push(("offline", json!(found.offline)));
    }
    if let Some(commit) = &found.code_commit {
        offered.push(("code_commit", json!(commit)));
    }
    let kept = dossier::evidence_of(change, model, version)?;
    for (kind, value) in offered {
        // What somebody attached here is authenticated; it stands before what a tag says.
        if kept.get(kind).is_some_and(|e| e.actor != ACTOR) {
            continue;
        }
        let Ok(value) = evidence::check_value(kind, &value) else { continue };
        if kept.get(kind).is_some_and(|e| e.value == value) {
            continue;
        }
        change.audit(ACTOR, "evidence", (model, Some(version)), json!({"kind": kind, "value": value}))?;
        change
            .prepare_cached(
                "INSERT OR REPLACE INTO evidence (model, version, kind, value, actor, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![model, version, kind, value.to_string(), ACTOR, change.now_ms])?;
    }
    Ok(())
}
