//! Blocks that a person ends: what they were raised for is not judged any more, or is known and accepted. The pipeline is
//! told, so that the next window that breaks a limit blocks anew.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::versions::{known, record};
use driftgate_core::audit::Event;
use driftgate_core::fact::{self, Fact};
use driftgate_core::promotion::types::ActiveBlock;

/// A block that a person ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unblocked {
    pub version: String,
    pub group: String,
    /// The end of the window that raised it, ms.
    pub since_ms: i64,
}

impl Embedded {
    /// Ends the active blocks of a version, or the one of `group`; which they were.
    ///
    /// # Errors
    /// A version that is not there or has no such block, or a registry that fails.
    pub fn unblock(
        &self,
        model: &str,
        version: &str,
        group: Option<&str>,
        actor: &str,
        reason: &str,
        now_ms: i64,
    ) -> Result<Vec<ActiveBlock>, RegistryError> {
        self.write(now_ms, |change| {
            known(change, model, version)?;
            let all = record(change, model, version)?.map(|r| r.blocks).unwrap_or_default();
            let groups: Vec<&str> = all.iter().map(|b| b.group.as_str()).collect();
            let blocked = match groups.as_slice() {
                [] => "it has none".to_owned(),
                groups => format!("it is blocked by {}", groups.join(", ")),
            };
            let ended: Vec<ActiveBlock> =
                all.iter().filter(|b| group.is_none_or(|group| b.group == group)).cloned().collect();
            if ended.is_empty() {
                let of = group.map_or_else(String::new, |group| format!(" of the group {group:?}"));
                return Err(RegistryError::Conflict(format!(
                    "version {version:?} of {model:?} has no active block{of}: {blocked}"
                )));
            }
            ended.iter().try_for_each(|block| end(change, (model, version), block, actor, reason))?;
            Ok(ended)
        })
    }

    /// Blocks of a model that a person ended, and that the pipeline does not know of.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn unblocked(&self, model: &str) -> Result<Vec<Unblocked>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT version, group_name, since_ms FROM unblocked WHERE model = ?1")?
                .query_map([model], |row| {
                    Ok(Unblocked { version: row.get(0)?, group: row.get(1)?, since_ms: row.get(2)? })
                })?
                .collect()
        })
    }

    /// The pipeline knows of these ends, and will after a restart.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn heeded_unblocked(&self, model: &str, heeded: &[Unblocked]) -> Result<(), RegistryError> {
        self.write(0, |change| {
            let mut delete = change.prepare_cached(
                "DELETE FROM unblocked WHERE model = ?1 AND version = ?2 AND group_name = ?3 AND since_ms <= ?4",
            )?;
            heeded.iter().try_for_each(|Unblocked { version, group, since_ms }| {
                delete.execute(params![model, version, group, since_ms]).map(|_| ())
            })?;
            Ok(())
        })
    }

    /// Whether a block of a group was raised by the window that ends there, as far as this registry knows.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn was_told_of_block(
        &self,
        model: &str,
        version: &str,
        group: &str,
        since_ms: i64,
    ) -> Result<bool, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached(
                "SELECT 1 FROM signals
                 WHERE model = ?1 AND version = ?2 AND group_name = ?3 AND action = 'block' AND ts_ms = ?4",
            )?
            .exists(params![model, version, group, since_ms])
        })
    }
}

fn end(
    change: &Change<'_>,
    (model, version): (&str, &str),
    block: &ActiveBlock,
    actor: &str,
    reason: &str,
) -> Result<(), RegistryError> {
    let ActiveBlock { group, since, reasons, signal_id, .. } = block;
    change
        .prepare_cached("DELETE FROM blocks WHERE model = ?1 AND version = ?2 AND group_name = ?3")?
        .execute([model, version, group])?;
    let since_ms = since.parse::<jiff::Timestamp>().map_or(i64::MAX, jiff::Timestamp::as_millisecond);
    change
        .prepare_cached(
            "INSERT OR REPLACE INTO unblocked (model, version, group_name, since_ms) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![model, version, group, since_ms])?;
    let event = Event::Unblock {
        group: group.clone(),
        reason: reason.to_owned(),
        since: since.clone(),
        reasons: reasons.clone(),
        signal_id: signal_id.clone(),
    };
    change.audit(actor, (model, Some(version)), &event)?;
    let text: Option<Option<String>> = change
        .prepare_cached("SELECT body FROM signals WHERE signal_id = ?1")?
        .query_row([signal_id], |row| row.get(0))
        .optional()?;
    let text = text.flatten();
    let at_ms = change.now_ms;
    change.happened(&Fact::Unblocked(fact::Unblocked {
        model,
        version,
        block,
        text: text.as_deref(),
        actor,
        reason,
        at_ms,
    }))
}
