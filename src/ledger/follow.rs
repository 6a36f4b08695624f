//! Keeping in step with a registry elsewhere. What others moved there is reported, and neither followed nor fought; versions
//! that appear there are known here, and what their tags say is shown. It decides nothing: anybody who may edit a model there
//! can write it.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::anew;
use super::change::Change;
use super::elsewhere::{Found, FoundVersion};
use super::embedded::Embedded;
use super::error::RegistryError;
use super::mirror::{self, Due};
use super::names::name;
use super::versions::{add_version, reported_of};
use driftgate_core::audit::event::{Event, Register, RegistryDrift};
use driftgate_core::fact::{External, Fact};
use driftgate_core::promotion::evidence;

/// A pointer that another client of the external registry moved.
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
    /// Writes down what was found in the registry elsewhere, and says what is to be changed there. A pointer stands in three
    /// places: here, there, and where it stood there when we last wrote or saw it. One that moved there was moved by somebody,
    /// also where ours moved at the same time: that is told once, ours stays where it is, and so does theirs until ours moves
    /// again. One that moved here alone is to be moved there.
    ///
    /// # Errors
    /// A registry that fails; nothing was taken over then.
    pub fn follow(&self, model: &str, found: &Found, now_ms: i64) -> Result<Followed, RegistryError> {
        self.write(now_ms, |change| {
            let mut followed = Followed::default();
            for version in &found.versions {
                if take_version(change, found.of, model, version)? {
                    followed.anew.push(version.version.clone());
                }
            }
            for version in &found.gone {
                if anew::lose(change, found.of, model, version)? {
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
            let told = mirror::moved_elsewhere(change, model)?;
            let stages: BTreeSet<&String> =
                ours.keys().chain(known.keys()).chain(told.keys()).chain(found.aliases.keys()).collect();
            let mut to_move = Vec::new();
            for stage in stages {
                let place = Place {
                    ours: ours.get(stage).map(String::as_str),
                    known: known.get(stage).map(String::as_str),
                    there: found.aliases.get(stage).map(String::as_str),
                    told: told.get(stage).map(Option::as_deref),
                };
                match place.asks(|| mirror::stood_before(change, model, stage))? {
                    Asks::Nothing => {}
                    Asks::Note(version) => {
                        mirror::mirrored(change, model, stage, version)?;
                        mirror::agrees(change, model, stage)?;
                    }
                    Asks::Forget => {
                        mirror::forget(change, model, stage)?;
                        mirror::agrees(change, model, stage)?;
                    }
                    Asks::Tell => {
                        followed.drifts.extend(tell_move(change, found.of, (model, stage), place.known, place.there)?);
                    }
                    Asks::Move { expected } => to_move.push((stage.clone(), expected.map(str::to_owned))),
                }
            }
            followed.due = mirror::due(change, model, found, to_move)?;
            Ok(followed)
        })
    }

    /// An alias that we wanted to move is where another client had put it.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn drifted(
        &self,
        of: External,
        (model, stage): (&str, &str),
        expected: Option<&str>,
        found: Option<&str>,
        now_ms: i64,
    ) -> Result<Option<Drift>, RegistryError> {
        self.write(now_ms, |change| tell_move(change, of, (model, stage), expected, found))
    }
}

/// Where a pointer is.
#[derive(Clone, Copy)]
struct Place<'a> {
    ours: Option<&'a str>,
    /// There, when we last wrote or saw it.
    known: Option<&'a str>,
    there: Option<&'a str>,
    /// Where it was told to stand there since somebody else moved it.
    told: Option<Option<&'a str>>,
}

/// What is to be done about it.
enum Asks<'a> {
    Nothing,
    /// Both agree.
    Note(&'a str),
    /// It is on no version, here and there.
    Forget,
    /// Another client moved it there.
    Tell,
    /// It moved here.
    Move {
        expected: Option<&'a str>,
    },
}

impl<'a> Place<'a> {
    /// `before` is where ours stood before its last move: asked where nothing was ever written or seen there.
    fn asks(self, before: impl FnOnce() -> rusqlite::Result<Option<String>>) -> rusqlite::Result<Asks<'a>> {
        let Self { ours, known, there, told } = self;
        Ok(match (ours, there) {
            (Some(ours), Some(there)) if ours == there => {
                if known == Some(there) && told.is_none() {
                    Asks::Nothing
                } else {
                    Asks::Note(there)
                }
            }
            (None, None) => Asks::Forget,
            (_, there) if told == Some(there) => Asks::Nothing,
            // Another client has moved it: where it goes next is reported, too.
            _ if told.is_some() => Asks::Tell,
            // Ours was taken away here, or never stood: an alias is never deleted.
            (None, there) if there == known => Asks::Nothing,
            (Some(_), there) if there == known => Asks::Move { expected: known },
            (Some(ours), None) if known != Some(ours) => Asks::Move { expected: known },
            (Some(_), Some(there)) if known.is_none() && before()?.as_deref() == Some(there) => {
                Asks::Move { expected: Some(there) }
            }
            _ => Asks::Tell,
        })
    }
}

/// Writes down that somebody else moved a pointer there. Ours stays. What stands there where nothing ever stood here is told
/// in the status and no drift.
fn tell_move(
    change: &Change<'_>,
    of: External,
    (model, stage): (&str, &str),
    expected: Option<&str>,
    found: Option<&str>,
) -> Result<Option<Drift>, RegistryError> {
    let ours = mirror::pointers(change, model)?.remove(stage);
    if found.is_some() && ours.as_deref() == found {
        mirror::agrees(change, model, stage)?;
        mirror::mirrored(change, model, stage, found.unwrap_or_default())?;
        return Ok(None);
    }
    mirror::moved_there(change, model, stage, found, change.now_ms)?;
    let expected = expected.map(str::to_owned).or_else(|| ours.clone());
    if name("the stage", stage).is_err() {
        return Ok(None);
    }
    if let (None, Some(found)) = (&ours, found) {
        let reported = Event::Reported { kind: "stage".to_owned(), value: stage.into() };
        change.audit(of.actor(), (model, Some(found)), &reported)?;
        return Ok(None);
    }
    let drift = RegistryDrift::Moved {
        stage: stage.to_owned(),
        expected: expected.clone(),
        found: found.map(str::to_owned),
        ours: ours.clone(),
    };
    change.audit(of.actor(), (model, ours.as_deref().or(found)), &Event::RegistryDrift(drift.clone()))?;
    change.happened(&Fact::Drift { model, version: None, drift: &drift })?;
    Ok(Some(Drift { stage: stage.to_owned(), expected, found: found.map(str::to_owned) }))
}

/// Registers a version that appeared elsewhere, and writes down what is said of it there. One that was deleted
/// there and made again is another version under the same number: it is reported, and not taken for the old one. Whether it
/// is such a one.
fn take_version(change: &Change<'_>, of: External, model: &str, found: &FoundVersion) -> Result<bool, RegistryError> {
    let version = found.version.as_str();
    if name("the version", version).is_err() {
        return Ok(false);
    }
    let mut is_anew = false;
    let known: Option<Option<i64>> = change
        .prepare_cached("SELECT created_elsewhere_ms FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()?;
    match known {
        Some(Some(known)) => match found.created_ms {
            Some(created) if created != known => {
                anew::make_anew(change, of, (model, version), (known, created))?;
                is_anew = true;
            }
            _ => anew::find_again(change, of, model, version)?,
        },
        Some(None) => {}
        None => {
            add_version(change, model, version, of.actor())?;
            let (source, run_id) = (found.source.clone(), found.run_id.clone());
            let register = Register::Found { source, run_id, created_ms: found.created_ms };
            change.audit(of.actor(), (model, Some(version)), &Event::Register(register))?;
        }
    }
    change
        .prepare_cached(
            "UPDATE versions SET created_elsewhere_ms = coalesce(?3, created_elsewhere_ms)
             WHERE model = ?1 AND version = ?2",
        )?
        .execute(params![model, version, found.created_ms])?;
    report(change, of, model, found)?;
    Ok(is_anew)
}

/// Kinds that stay as they were first reported, until a caller with the right registers something else: a version is counted against one
/// baseline, whatever happens to the tags.
const FIRST_STAYS: [&str; 2] = ["snapshot", "snapshot_sha256"];

/// Writes down what the external registry says of a version. It is shown beside what was said here, and counts for nothing.
fn report(change: &Change<'_>, of: External, model: &str, found: &FoundVersion) -> Result<(), RegistryError> {
    let version = found.version.as_str();
    let text = |kind, value: &Option<String>| Some((kind, json!(value.as_ref()?)));
    let said = [
        text("snapshot", &found.snapshot),
        text("snapshot_sha256", &found.snapshot_sha256),
        text("artifact_sha256", &found.artifact_sha256),
        text("baseline_version", &found.baseline_version),
        text("code_commit", &found.code_commit),
        (!found.offline.is_empty()).then(|| ("offline", json!(found.offline))),
    ];
    let kept = reported_of(change, model, version)?;
    for (kind, value) in said.into_iter().flatten() {
        let is_known = kept.get(kind).is_some_and(|kept| *kept == value || FIRST_STAYS.contains(&kind));
        if is_known || value.to_string().len() > evidence::MOST_BYTES {
            continue;
        }
        let reported = Event::Reported { kind: kind.to_owned(), value: value.clone() };
        change.audit(of.actor(), (model, Some(version)), &reported)?;
        change
            .prepare_cached(
                "INSERT OR REPLACE INTO reported (model, version, kind, value, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![model, version, kind, value.to_string(), change.now_ms])?;
    }
    Ok(())
}
