//! A change of the registry: one transaction with its audit records and the facts that others hear of. All of it is on disk
//! before anything is sent: what goes outward waits in the table `outgoing` until it was delivered.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::error::RegistryError;
use super::{attested, mirror};
use crate::artifact::Artifacts;
use driftgate_core::audit::Event;
use driftgate_core::audit::chain::{self, Entry, Head};
use driftgate_core::audit::signed_head::Signer;
use driftgate_core::fact::tags::{self, Tags};
use driftgate_core::fact::{External, Fact, Message, topic, webhook};

/// Where changes are sent, beside the registry itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sink {
    /// The signals topic: signals with what became of them, weights and phases of rollouts.
    Signals,
    /// The verdicts topic: what does not wait in memory.
    Verdicts,
    /// One of the addresses, by its place in the configuration: each hears of everything, at its own pace.
    Webhook(usize),
    /// It is kept in step by comparing, without a queue.
    Registry(External),
    /// The topic that audit checkpoints are anchored in.
    Anchor,
    /// The registries that versions' artifacts lie in.
    Oci,
}

impl Sink {
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Signals => "signals".to_owned(),
            Self::Verdicts => "verdicts".to_owned(),
            Self::Webhook(at) => format!("webhook-{at}"),
            Self::Registry(external) => external.actor().to_owned(),
            Self::Anchor => "anchor".to_owned(),
            Self::Oci => "oci".to_owned(),
        }
    }
}

/// Something that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub id: i64,
    pub key: String,
    /// JSON.
    pub body: String,
    /// Wall clock, ms.
    pub at_ms: i64,
}

/// A transaction under way.
pub(super) struct Change<'t> {
    tx: &'t Transaction<'t>,
    sinks: &'t [Sink],
    /// What is known of artifacts.
    pub artifacts: &'t Artifacts,
    pub now_ms: i64,
    appended: Cell<bool>,
}

impl Deref for Change<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.tx
    }
}

impl<'t> Change<'t> {
    pub fn new(tx: &'t Transaction<'t>, sinks: &'t [Sink], artifacts: &'t Artifacts, now_ms: i64) -> Self {
        Self { tx, sinks, artifacts, now_ms, appended: Cell::new(false) }
    }

    /// Adds a record to the audit log.
    pub fn audit(&self, actor: &str, of: (&str, Option<&str>), event: &Event) -> Result<(), RegistryError> {
        let (model, version) = of;
        let (event, payload) = event.to_parts();
        let (actor, version) = (actor.to_owned(), version.map(str::to_owned));
        let entry = Entry { actor, event, model: Some(model.to_owned()), version, payload };
        let stored = chain::append(head(self)?.as_ref(), entry, self.now_ms);
        self.prepare_cached("INSERT INTO audit (seq, bytes, hash) VALUES (?1, ?2, ?3)")?.execute(params![
            stored.seq.cast_signed(),
            stored.bytes,
            stored.hash
        ])?;
        self.appended.set(true);
        Ok(())
    }

    /// Something happened: what each system outside gets of it is queued, and so is what the external registry shall say.
    pub fn happened(&self, fact: &Fact<'_>) -> Result<(), RegistryError> {
        for sink in self.sinks {
            let message = match sink {
                Sink::Signals => topic::signals(fact),
                Sink::Verdicts => topic::verdicts(fact),
                Sink::Anchor => topic::anchors(fact),
                Sink::Webhook(_) => webhook::event(fact),
                Sink::Oci => attested::message(self, fact, self.now_ms)?,
                // It is kept in step by comparing.
                Sink::Registry(_) => None,
            };
            if let Some(Message { key, body }) = message {
                self.prepare_cached("INSERT INTO outgoing (sink, key, body, at) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![sink.name(), key, body, self.now_ms])?;
            }
        }
        match tags::tags(fact) {
            Some(Tags { model, version, tags }) => Ok(mirror::tag(self, model, version, &tags)?),
            None => Ok(()),
        }
    }

    /// Signs the head of the audit log if it moved. Every signature is kept: a record changed later disagrees with its own.
    pub fn seal(&self, signer: Option<&Signer>) -> Result<(), RegistryError> {
        let (true, Some(signer)) = (self.appended.get(), signer) else { return Ok(()) };
        let Some(head) = head(self)? else { return Ok(()) };
        let checkpoint = signer.sign(&head, self.now_ms);
        let json = serde_json::to_string(&checkpoint).map_err(|e| RegistryError::Audit(e.to_string()))?;
        self.prepare_cached("INSERT OR REPLACE INTO audit_checkpoints (seq, json) VALUES (?1, ?2)")?
            .execute(params![head.seq.cast_signed(), json])?;
        self.happened(&Fact::Sealed(&checkpoint))
    }
}

/// The last record of the audit log.
pub(super) fn head(tx: &Connection) -> rusqlite::Result<Option<Head>> {
    tx.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok(Head { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: row.get(1)? }))
        .optional()
}
