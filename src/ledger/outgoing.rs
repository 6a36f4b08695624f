//! What waits to be told to others: read in order, taken off once it was delivered. A restart goes on where it was.

use rusqlite::params;

use super::Embedded;
use crate::registry::RegistryError;

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

impl Embedded {
    /// The next things for a sink, the oldest first.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn outgoing(&self, sink: Sink, most: usize) -> Result<Vec<Outgoing>, RegistryError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(|tx| {
            tx.prepare_cached("SELECT id, key, body, at FROM outgoing WHERE sink = ?1 ORDER BY id LIMIT ?2")?
                .query_map(params![sink.name(), most], |row| {
                    Ok(Outgoing { id: row.get(0)?, key: row.get(1)?, body: row.get(2)?, at_ms: row.get(3)? })
                })?
                .collect()
        })
    }

    /// How many things wait, by sink: records and posts, and models that MLflow is to be told something of.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn waiting(&self) -> Result<Vec<(String, u64)>, RegistryError> {
        self.read(|tx| {
            let mut waiting: Vec<(String, u64)> = tx
                .prepare_cached("SELECT sink, count(*) FROM outgoing GROUP BY sink ORDER BY sink")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
                .collect::<Result<_, _>>()?;
            waiting.extend(self.undelivered_to_mlflow(tx)?);
            waiting.sort();
            Ok(waiting)
        })
    }

    /// Takes off what was delivered.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn delivered(&self, ids: &[i64]) -> Result<(), RegistryError> {
        self.write(0, |change| {
            let mut delete = change.prepare_cached("DELETE FROM outgoing WHERE id = ?1")?;
            for id in ids {
                delete.execute([id])?;
            }
            Ok(())
        })
    }
}
