//! A change of the registry: one transaction with its audit records and what it tells others. All of it is on disk
//! before anybody outside hears of it: what goes outward waits in the table `outgoing` until it was delivered.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Value;

use super::mirror;
use crate::artifact::Artifacts;
use crate::registry::RegistryError;
use driftgate_core::audit::chain::{self, Entry, Head};
use driftgate_core::audit::signed_head::Signer;

/// Where changes are told to, beside the registry itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sink {
    /// The signals topic: signals with what became of them, weights and phases of rollouts.
    Signals,
    /// The verdicts topic: what does not wait in memory.
    Verdicts,
    /// One of the addresses, by its place in the configuration: each hears of everything, at its own pace.
    Webhook(usize),
    /// It is kept in step by comparing, without a queue.
    Mlflow,
    /// The topic that audit checkpoints are anchored in.
    Anchor,
}

impl Sink {
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Signals => "signals".to_owned(),
            Self::Verdicts => "verdicts".to_owned(),
            Self::Webhook(at) => format!("webhook-{at}"),
            Self::Mlflow => "mlflow".to_owned(),
            Self::Anchor => "anchor".to_owned(),
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
    pub fn audit(
        &self,
        actor: &str,
        event: &str,
        of: (&str, Option<&str>),
        payload: Value,
    ) -> Result<(), RegistryError> {
        let (model, version) = of;
        let entry = Entry {
            actor: actor.to_owned(),
            event: event.to_owned(),
            model: Some(model.to_owned()),
            version: version.map(str::to_owned),
            payload,
        };
        let stored = chain::append(head(self)?.as_ref(), entry, self.now_ms);
        self.prepare_cached("INSERT INTO audit (seq, bytes, hash) VALUES (?1, ?2, ?3)")?.execute(params![
            stored.seq.cast_signed(),
            stored.bytes,
            stored.hash
        ])?;
        self.appended.set(true);
        Ok(())
    }

    /// Queues something for a sink, if there is one.
    pub fn tell(&self, sink: Sink, key: &str, body: &Value) -> Result<(), RegistryError> {
        if self.sinks.contains(&sink) { self.tell_text(sink, key, &body.to_string()) } else { Ok(()) }
    }

    /// The same with JSON that is written already.
    pub fn tell_text(&self, sink: Sink, key: &str, body: &str) -> Result<(), RegistryError> {
        if self.sinks.contains(&sink) {
            self.prepare_cached("INSERT INTO outgoing (sink, key, body, at) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![sink.name(), key, body, self.now_ms])?;
        }
        Ok(())
    }

    /// Queues something for every webhook.
    pub fn announce(&self, key: &str, body: &Value) -> Result<(), RegistryError> {
        let hooks = self.sinks.iter().filter(|sink| matches!(sink, Sink::Webhook(_)));
        hooks.copied().try_for_each(|hook| self.tell(hook, key, body))
    }

    /// Says what tags of a version (as `ops` names them) shall be in MLflow.
    pub fn tag(&self, model: &str, version: &str, tags: &[(String, String)]) -> Result<(), RegistryError> {
        Ok(mirror::tag(self, model, version, tags)?)
    }

    /// Signs the head of the audit log if it moved. Every signature is kept: a record changed later disagrees with its own.
    pub fn seal(&self, signer: Option<&Signer>) -> Result<(), RegistryError> {
        let (true, Some(signer)) = (self.appended.get(), signer) else { return Ok(()) };
        let Some(head) = head(self)? else { return Ok(()) };
        let checkpoint = signer.sign(&head, self.now_ms);
        let json = serde_json::to_value(&checkpoint).map_err(|e| RegistryError::Audit(e.to_string()))?;
        self.prepare_cached("INSERT OR REPLACE INTO audit_checkpoints (seq, json) VALUES (?1, ?2)")?
            .execute(params![head.seq.cast_signed(), json.to_string()])?;
        self.tell(Sink::Anchor, "audit", &json)
    }
}

/// The last record of the audit log.
pub(super) fn head(tx: &Connection) -> rusqlite::Result<Option<Head>> {
    tx.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok(Head { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: row.get(1)? }))
        .optional()
}
