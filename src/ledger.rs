//! The registry in an `SQLite` file: safe for several threads and processes, every change one synced transaction.
//! Tables are in `schema`, stage pointers in `pointers`, what a signal does in `signals`; versions, freezes and
//! verdicts are here.

mod audit;
mod batch;
mod change;
mod dossier;
mod elsewhere;
mod follow;
pub mod held;
pub mod home;
mod identity;
mod likeness;
mod mirror;
mod outgoing;
mod pointers;
mod promotions;
mod registered;
mod rollback;
mod rollouts;
mod schema;
mod signals;
#[cfg(test)]
mod tests;
mod unblock;
mod upgrade;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

pub use batch::{Given, GivenVerdict, Stream, Taken};
pub use dossier::GivenApproval;
pub use elsewhere::{Found, FoundVersion, Op};
pub use follow::{Drift, Followed};
pub use identity::{Problem, UNCONFIRMED};
pub use likeness::Likeness;
pub use mirror::Due;
pub use outgoing::{Outgoing, Sink};
pub use promotions::{Desk, Live, Promotion, Wish};
pub use rollouts::{FROZEN, Told};
pub use schema::is_busy;
pub use unblock::Unblocked;

use super::artifact::Artifacts;
use crate::registry::{ActiveBlock, Applied, Registration, Registry, RegistryError, StageMove, VersionRecord};
use crate::snapshot::places::Places;
use crate::stores::Stores;
use change::Change;
use driftgate_core::audit::event::{Event, Register, Registered};
use driftgate_core::audit::names;
pub use driftgate_core::audit::names::OWN_ACTORS;
use driftgate_core::audit::signed_head::Signer;
use driftgate_core::judge::verdict::Signal;
use pointers::Move;

/// A registry in an `SQLite` file. Calls block, for up to five seconds while another process writes.
#[derive(Debug)]
pub struct Embedded {
    connection: Mutex<Connection>,
    /// Reads while the other one writes, or waits to; a registry in memory has none.
    reader: Option<Mutex<Connection>>,
    /// Signs the head of the audit log.
    signer: Option<Signer>,
    /// The id of another key that signed before.
    other_key: Option<String>,
    /// Where changes are told to.
    sinks: Vec<Sink>,
    /// Artifacts that are read, and what was found of them.
    artifacts: Artifacts,
    /// Whoever asks waits until artifacts are read to their end.
    waits_for_artifacts: bool,
    /// Versions that are promoted by themselves, if they may be, once their artifacts are read.
    promoted_later: Mutex<HashSet<(String, String)>>,
    /// Transactions that were written.
    written: AtomicU64,
}

impl Embedded {
    /// Opens the registry at `path`; makes the file and its folder where they are missing.
    ///
    /// # Errors
    /// A path that cannot be opened or written, a damaged file, or one of another format.
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        Self::open_within(path, schema::PATIENCE)
    }

    /// The same, waiting no longer than this for other processes.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_within(path: &Path, patience: Duration) -> Result<Self, RegistryError> {
        let connection = schema::open(path, patience)?;
        let reader = Some(Mutex::new(schema::reader(path, patience)?));
        let signer = crate::audit_key::open(&Self::key_path(path)).map_err(|e| RegistryError::Audit(e.to_string()))?;
        let other_key = likeness::note_key(&connection, &signer.public_key().id())?;
        let upgraded = upgrade::is_due(&connection)?;
        let connection = Mutex::new(connection);
        let registry = Self {
            connection,
            reader,
            signer: Some(signer),
            other_key,
            sinks: Vec::new(),
            artifacts: Artifacts::new(Places::default(), Stores::default(), Some(path)),
            waits_for_artifacts: false,
            promoted_later: Mutex::default(),
            written: AtomicU64::new(0),
        };
        if upgraded {
            registry.write(crate::clock::now_ms(), upgrade::settle)?;
        }
        Ok(registry)
    }

    /// Where the key that signs the audit log of a registry lies: beside it.
    #[must_use]
    pub fn key_path(path: &Path) -> PathBuf {
        crate::audit_key::beside(path)
    }

    /// The registry, telling its changes to these sinks, too.
    #[must_use]
    pub fn telling(self, sinks: Vec<Sink>) -> Self {
        Self { sinks, ..self }
    }

    /// The registry, with artifacts that may lie elsewhere, too.
    #[must_use]
    pub fn with_artifacts(self, artifacts: Artifacts) -> Self {
        Self { artifacts, ..self }
    }

    /// The registry, waiting until artifacts are read, however long that takes: for a process that ends with its answer.
    #[must_use]
    pub fn waiting_for_artifacts(self) -> Self {
        Self { waits_for_artifacts: true, ..self }
    }

    /// Whether whoever asks waits until artifacts are read.
    #[must_use]
    pub fn waits_for_artifacts(&self) -> bool {
        self.waits_for_artifacts
    }

    /// Whether a version is promoted later already; from now on it is.
    #[must_use]
    pub fn promotes_later(&self, model: &str, version: &str) -> bool {
        let mut later = self.promoted_later.lock().unwrap_or_else(PoisonError::into_inner);
        !later.insert((model.to_owned(), version.to_owned()))
    }

    /// It was promoted, or may not be.
    pub fn promoted(&self, model: &str, version: &str) {
        let mut later = self.promoted_later.lock().unwrap_or_else(PoisonError::into_inner);
        later.remove(&(model.to_owned(), version.to_owned()));
    }

    /// A registry that goes with the process.
    ///
    /// # Errors
    /// `SQLite` without memory.
    pub fn in_memory() -> Result<Self, RegistryError> {
        let mut connection = Connection::open_in_memory()?;
        schema::prepare(&mut connection)?;
        let connection = Mutex::new(connection);
        Ok(Self {
            connection,
            reader: None,
            signer: None,
            other_key: None,
            sinks: Vec::new(),
            artifacts: Artifacts::default(),
            waits_for_artifacts: false,
            promoted_later: Mutex::default(),
            written: AtomicU64::new(0),
        })
    }

    /// Puts a stage pointer onto a registered version. `None`: it stood there already, nothing was written down.
    /// A version that is new to prod ends the model's freeze; one that returns does not.
    ///
    /// # Errors
    /// A version that is not there, a bad stage name, or a registry that fails.
    pub fn set_stage(
        &self,
        model: &str,
        stage: &str,
        version: &str,
        actor: &str,
        reason: &str,
        now_ms: i64,
    ) -> Result<Option<StageMove>, RegistryError> {
        registered::stage_name(stage)?;
        self.write(now_ms, |change| {
            dossier::known(change, model, version)?;
            pointers::make(change, &Move { model, stage, to: version, actor, reason, rollback: false })
        })
    }

    /// The last move of a stage pointer.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn last_move(&self, model: &str, stage: &str) -> Result<Option<StageMove>, RegistryError> {
        self.read(|tx| pointers::last_move(tx, model, stage))
    }

    /// Since when (event time) and why the model takes no automatic rollback; `None` if it does.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn frozen(&self, model: &str) -> Result<Option<String>, RegistryError> {
        self.read(|tx| frozen(tx, model))
    }

    /// Lets automatic rollbacks of a model happen again; `false` if they were not frozen.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn resume(&self, model: &str, actor: &str, now_ms: i64) -> Result<bool, RegistryError> {
        self.write(now_ms, |change| thaw(change, model, actor))
    }

    /// Stops automatic actions on a model until it is resumed; `false` if they are stopped already.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn freeze(&self, model: &str, actor: &str, reason: &str, now_ms: i64) -> Result<bool, RegistryError> {
        self.write(now_ms, |change| {
            if frozen(change, model)?.is_some() {
                return Ok(false);
            }
            change.audit(actor, (model, None), &Event::Freeze { reason: reason.to_owned() })?;
            freeze(change, model, &driftgate_core::codec::time::utc(now_ms), &format!("by {actor}: {reason}"))?;
            Ok(true)
        })
    }

    /// One transaction that takes the write lock first, so that it never fails half-way for another's write.
    fn write<T>(
        &self,
        now_ms: i64,
        work: impl FnOnce(&Change<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let change = Change::new(&tx, &self.sinks, &self.artifacts, now_ms);
        let out = work(&change)?;
        change.seal(self.signer.as_ref())?;
        tx.commit()?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(out)
    }

    /// How many transactions this process has written; each is synced to the disk.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// As `read`, for what can fail in other ways than the database's.
    fn read_checked<T>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.lock_to_read();
        let tx = connection.transaction()?;
        look(&tx)
    }

    fn lock_to_read(&self) -> MutexGuard<'_, Connection> {
        self.reader.as_ref().unwrap_or(&self.connection).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One picture: all its queries see the same state.
    fn read<T>(&self, look: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, RegistryError> {
        let mut connection = self.lock_to_read();
        let tx = connection.transaction()?;
        Ok(look(&tx)?)
    }
}

impl Registry for Embedded {
    /// A `stage` is set only where its pointer never stood on the version: registering again after a rollback does not
    /// promote again.
    fn register(&self, registration: &Registration, actor: &str, now_ms: i64) -> Result<VersionRecord, RegistryError> {
        self.write(now_ms, |change| register(change, registration, actor))
    }

    fn version(&self, model: &str, version: &str) -> Result<Option<VersionRecord>, RegistryError> {
        self.read(|tx| record(tx, model, version))
    }

    fn versions(&self, model: Option<&str>) -> Result<Vec<VersionRecord>, RegistryError> {
        self.read(|tx| {
            let mut all = tx.prepare_cached("SELECT * FROM versions WHERE model = ?1 OR ?1 IS NULL ORDER BY id")?;
            all.query_map([model], version_row)?.map(|row| with_state(tx, row?)).collect()
        })
    }

    fn history(&self, model: &str) -> Result<Vec<StageMove>, RegistryError> {
        self.read(|tx| pointers::history(tx, model))
    }

    fn apply(&self, signal: &Signal, now_ms: i64) -> Result<Applied, RegistryError> {
        self.write(now_ms, |change| signals::apply(change, signal))
    }

    /// The version need not be registered. An older verdict than the one that is kept changes nothing.
    fn record_verdict(
        &self,
        model: &str,
        version: &str,
        group: &str,
        end_ms: i64,
        json: &str,
    ) -> Result<(), RegistryError> {
        self.write(0, |change| Ok(keep_verdict(change, model, version, group, end_ms, json)?))
    }

    fn verdicts(&self, model: &str, version: &str) -> Result<Vec<String>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT json FROM verdicts WHERE model = ?1 AND version = ?2 ORDER BY group_name")?
                .query_map([model, version], |row| row.get(0))?
                .collect()
        })
    }
}

/// Registers a version; the same registration again changes nothing.
fn register(tx: &Change<'_>, registration: &Registration, actor: &str) -> Result<VersionRecord, RegistryError> {
    let registration = &Registration {
        snapshot_sha256: registration.snapshot_sha256.as_deref().map(registered::normal_digest),
        artifact_sha256: registration.artifact_sha256.as_deref().map(registered::normal_digest),
        ..registration.clone()
    };
    let Registration { model, version, stage, .. } = registration;
    name("the model", model)?;
    name("the version", version)?;
    stage.as_deref().map_or(Ok(()), registered::stage_name)?;
    let old = record(tx, model, version)?;
    add_version(tx, model, version, actor)?;
    let taken_over = registered::take_over(tx, model, version, actor)?;
    fill(tx, registration)?;
    let new = record(tx, model, version)?.unwrap_or_default();
    // Also where MLflow or a signal had brought all of it: whose wish it is counts among who may approve.
    if taken_over || old.as_ref() != Some(&new) {
        let given = Register::Given(Registered::new(registration, new.differing()));
        tx.audit(actor, (model, Some(version)), &Event::Register(given))?;
        // Counted against what MLflow named so far.
        if old.as_ref().is_some_and(|old| old.snapshot_in_use() != new.snapshot_in_use()) {
            identity::replace_snapshot(tx, model, version)?;
        }
    }
    // Whoever registers again promotes nothing again; a pointer that was taken away is put back.
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

/// Refuses what is no name.
fn name(what: &'static str, value: &str) -> Result<(), RegistryError> {
    match names::fault(value) {
        Some(why) => Err(RegistryError::BadName { what, value: value.chars().take(names::LONGEST).collect(), why }),
        None => Ok(()),
    }
}

/// Keeps the latest verdict of a group; one of a deleted version whose number another has taken is not that one's.
fn keep_verdict(
    tx: &Connection,
    model: &str,
    version: &str,
    group: &str,
    end_ms: i64,
    json: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO verdicts (model, version, group_name, end_ms, json)
         SELECT ?1, ?2, ?3, ?4, ?5
         WHERE NOT EXISTS (SELECT 1 FROM versions WHERE model = ?1 AND version = ?2 AND anew_ms >= ?4)
         ON CONFLICT (model, version, group_name) DO UPDATE SET end_ms = excluded.end_ms, json = excluded.json
         WHERE excluded.end_ms >= end_ms",
    )?
    .execute(params![model, version, group, end_ms, json])?;
    Ok(())
}

/// Adds a version without digests; one that is there stays.
fn add_version(tx: &Change<'_>, model: &str, version: &str, actor: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO versions (model, version, registered_at, registered_by) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (model, version) DO NOTHING",
    )?
    .execute(params![model, version, tx.now_ms, actor])?;
    Ok(())
}

/// Writes the fields that a version lacks; one that it has must be the same, but for a snapshot that is corrected.
fn fill(tx: &Connection, new: &Registration) -> Result<(), RegistryError> {
    let Some(old) = record(tx, &new.model, &new.version)? else { return Ok(()) };
    let fields = [
        ("snapshot", old.snapshot, &new.snapshot),
        ("snapshot_sha256", old.snapshot_sha256, &new.snapshot_sha256),
        ("artifact_sha256", old.artifact_sha256, &new.artifact_sha256),
        ("artifact", old.artifact, &new.artifact),
        ("baseline_version", old.baseline_version, &new.baseline_version),
    ];
    for (field, old, given) in fields {
        if let (Some(old), Some(given)) = (old, given)
            && old != *given
            && !(new.corrects_snapshot && field.starts_with("snapshot"))
        {
            let (model, version) = (new.model.clone(), new.version.clone());
            return Err(RegistryError::Immutable { model, version, field, old, new: given.clone() });
        }
    }
    tx.prepare_cached(
        "UPDATE versions SET snapshot = CASE WHEN ?8 THEN coalesce(?3, snapshot) ELSE coalesce(snapshot, ?3) END,
             snapshot_sha256 = CASE WHEN ?8 THEN coalesce(?4, snapshot_sha256) ELSE coalesce(snapshot_sha256, ?4) END,
             artifact_sha256 = coalesce(artifact_sha256, ?5), artifact = coalesce(artifact, ?6),
             baseline_version = coalesce(baseline_version, ?7)
         WHERE model = ?1 AND version = ?2",
    )?
    .execute(params![
        new.model,
        new.version,
        new.snapshot,
        new.snapshot_sha256,
        new.artifact_sha256,
        new.artifact,
        new.baseline_version,
        new.corrects_snapshot,
    ])?;
    Ok(())
}

fn record(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<VersionRecord>> {
    tx.prepare_cached("SELECT * FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([model, version], version_row)
        .optional()?
        .map(|record| with_state(tx, record))
        .transpose()
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRecord> {
    // Older releases kept digests as they were given.
    let digest = |column| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.as_deref().map(registered::normal_digest))
    };
    Ok(VersionRecord {
        model: row.get("model")?,
        version: row.get("version")?,
        snapshot: row.get("snapshot")?,
        snapshot_sha256: digest("snapshot_sha256")?,
        artifact_sha256: digest("artifact_sha256")?,
        artifact: row.get("artifact")?,
        baseline_version: row.get("baseline_version")?,
        stages: Vec::new(),
        blocks: Vec::new(),
        registered_at: row.get("registered_at")?,
        rolled_back: row.get("rolled_back")?,
        lost_at: row.get("lost_at")?,
        anew_ms: row.get("anew_ms")?,
        reported: BTreeMap::new(),
    })
}

/// Adds what moves: stages and blocks, each by name, and what is reported. A pointer that stands for nothing is no stage.
fn with_state(tx: &Connection, mut record: VersionRecord) -> rusqlite::Result<VersionRecord> {
    let key = [&record.model, &record.version];
    record.reported = dossier::reported_of(tx, &record.model, &record.version)?;
    record.stages = tx
        .prepare_cached(
            "SELECT stage FROM stages AS s WHERE model = ?1 AND version = ?2
                 AND NOT EXISTS (SELECT 1 FROM lost_stages AS l WHERE l.model = s.model AND l.stage = s.stage)
             ORDER BY stage",
        )?
        .query_map(key, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    record.blocks = tx
        .prepare_cached(
            "SELECT group_name, since, reasons, signal_id, verdict_id FROM blocks
             WHERE model = ?1 AND version = ?2 ORDER BY group_name",
        )?
        .query_map(key, |row| {
            let reasons: String = row.get(2)?;
            Ok(ActiveBlock {
                group: row.get(0)?,
                since: row.get(1)?,
                // Whatever is in there, the block stands.
                reasons: serde_json::from_str(&reasons).unwrap_or_else(|_| vec![reasons]),
                signal_id: row.get(3)?,
                verdict_id: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(record)
}

fn frozen(tx: &Connection, model: &str) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached(
        "SELECT 'since ' || frozen_since || ': ' || frozen_reason FROM models
         WHERE model = ?1 AND frozen_since IS NOT NULL",
    )?
    .query_row([model], |row| row.get(0))
    .optional()
}

fn freeze(tx: &Connection, model: &str, since: &str, reason: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO models (model, frozen_since, frozen_reason) VALUES (?1, ?2, ?3)
         ON CONFLICT (model) DO UPDATE SET
             frozen_since = excluded.frozen_since, frozen_reason = excluded.frozen_reason",
    )?
    .execute([model, since, reason])?;
    Ok(())
}

/// Ends a freeze; whether there was one.
fn thaw(change: &Change<'_>, model: &str, actor: &str) -> Result<bool, RegistryError> {
    let ended = change
        .prepare_cached(
            "UPDATE models SET frozen_since = NULL, frozen_reason = NULL, resumed_at = ?2, resumed_by = ?3
             WHERE model = ?1 AND frozen_since IS NOT NULL",
        )?
        .execute(params![model, change.now_ms, actor])?;
    if ended > 0 {
        change.audit(actor, (model, None), &Event::Resume {})?;
    }
    Ok(ended > 0)
}
