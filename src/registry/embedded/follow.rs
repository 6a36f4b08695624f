//! Keeping in step with a registry elsewhere: what others moved there is reported and followed, not fought; versions that
//! appear there are known here. Approvals, evidence of tests and the like never come from there.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::change::Change;
use super::mirror::{self, Due};
use super::pointers::{self, Move};
use super::{Embedded, dossier, identity, name};
use crate::promotion::evidence;
use crate::registry::RegistryError;
use crate::registry::mlflow::pull::{Found, FoundVersion};

/// As whom a change that somebody made elsewhere is written down.
pub(super) const ACTOR: &str = "mlflow";

/// A pointer that somebody else moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub stage: String,
    pub expected: Option<String>,
    /// `None`: it was taken away.
    pub found: Option<String>,
}

/// What came of a look at the registry elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Pointers that others moved.
    pub drifts: Vec<Drift>,
    /// Versions that were deleted there.
    pub lost: Vec<String>,
    /// Versions that took a deleted one's number.
    pub anew: Vec<String>,
    /// What is to be written there.
    pub due: Due,
}

impl Embedded {
    /// Takes over what was found in the registry elsewhere, and says what is to be changed there. A pointer stands in three
    /// places: here, there, and where it stood there when we last wrote or saw it. One that moved there and not here was moved
    /// by somebody, and ours follows; so it does where both moved. One that moved here alone is to be moved there.
    ///
    /// # Errors
    /// A registry that fails; nothing was taken over then.
    pub fn follow(&self, model: &str, found: &Found, now_ms: i64) -> Result<Followed, RegistryError> {
        self.write(now_ms, |change| {
            let mut followed = Followed::default();
            for version in &found.versions {
                if take_version(change, model, version)? {
                    followed.anew.push(version.version.clone());
                }
            }
            for version in &found.gone {
                if identity::lose(change, model, version)? {
                    followed.lost.push(version.clone());
                }
            }
            for (stage, version) in mirror::being_written(change, model)? {
                if found.aliases.get(&stage) == Some(&version) {
                    mirror::mirrored(change, model, &stage, &version)?;
                } else {
                    mirror::not_written(change, model, &stage)?;
                }
            }
            let ours = mirror::pointers(change, model)?;
            let known = mirror::last_seen(change, model)?;
            let stages: BTreeSet<&String> = ours.keys().chain(known.keys()).chain(found.aliases.keys()).collect();
            let mut to_move = Vec::new();
            for stage in stages {
                let place = Place {
                    ours: ours.get(stage).map(String::as_str),
                    known: known.get(stage).map(String::as_str),
                    there: found.aliases.get(stage).map(String::as_str),
                };
                match place.asks(|| mirror::stood_before(change, model, stage))? {
                    Asks::Nothing => {}
                    Asks::Note(version) => mirror::mirrored(change, model, stage, version)?,
                    Asks::Follow => followed.drifts.extend(take_move(change, model, stage, place.known, place.there)?),
                    Asks::Move { expected } => to_move.push((stage.clone(), expected.map(str::to_owned))),
                }
            }
            followed.due = mirror::due(change, model, found, to_move)?;
            Ok(followed)
        })
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

/// Where a pointer stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    ours: Option<&'a str>,
    /// There, when we last wrote or saw it.
    known: Option<&'a str>,
    there: Option<&'a str>,
}

/// What is to be done about it.
enum Asks<'a> {
    Nothing,
    /// Both agree.
    Note(&'a str),
    /// Somebody moved it there.
    Follow,
    /// It moved here.
    Move {
        expected: Option<&'a str>,
    },
}

impl<'a> Place<'a> {
    /// `before` is where ours stood before its last move: asked where nothing was ever written or seen there.
    fn asks(self, before: impl FnOnce() -> rusqlite::Result<Option<String>>) -> rusqlite::Result<Asks<'a>> {
        let Self { ours, known, there } = self;
        Ok(match (ours, there) {
            (Some(ours), Some(there)) if ours == there => {
                if known == Some(there) {
                    Asks::Nothing
                } else {
                    Asks::Note(there)
                }
            }
            // Ours was taken away here, or never stood: an alias is never deleted.
            (None, there) if there == known => Asks::Nothing,
            (Some(_), Some(there)) if known == Some(there) => Asks::Move { expected: known },
            (Some(ours), None) if known != Some(ours) => Asks::Move { expected: known },
            (Some(_), Some(there)) if known.is_none() && before()?.as_deref() == Some(there) => {
                Asks::Move { expected: Some(there) }
            }
            _ => Asks::Follow,
        })
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
        identity::take_away(change, model, stage, "somebody took it away in MLflow, or deleted the version")?;
        return Ok(Some(Drift { stage: stage.to_owned(), expected: expected.map(str::to_owned), found: None }));
    };
    mirror::mirrored(change, model, stage, found)?;
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

/// Registers a version that appeared elsewhere and fills in what we lack; what is here already stays. One that was deleted
/// there and made again is another version under the same number: it is reported, and not taken for the old one. Whether it
/// is such a one.
fn take_version(change: &Change<'_>, model: &str, found: &FoundVersion) -> Result<bool, RegistryError> {
    let version = found.version.as_str();
    if name("the version", version).is_err() {
        return Ok(false);
    }
    let mut anew = false;
    let known: Option<Option<i64>> = change
        .prepare_cached("SELECT created_elsewhere_ms FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()?;
    match known {
        Some(Some(known)) => match found.created_ms {
            Some(created) if created != known => {
                identity::make_anew(change, model, version, (known, created))?;
                anew = true;
            }
            _ => identity::find_again(change, model, version)?,
        },
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
            "UPDATE versions SET created_elsewhere_ms = coalesce(?3, created_elsewhere_ms), snapshot = coalesce(snapshot, ?4),
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
    Ok(anew)
}
