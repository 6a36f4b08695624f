//! Stage pointers that a person moves, their history, and freezes.

use super::embedded::Embedded;
use super::error::RegistryError;
use super::freezing::{freeze, frozen, thaw};
use super::names::stage_name;
use super::pointers::{self, Move};
use super::versions;
use driftgate_core::audit::Event;
use driftgate_core::codec::time::utc;
use driftgate_core::promotion::version::StageMove;

impl Embedded {
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
        stage_name(stage)?;
        self.write(now_ms, |change| {
            versions::known(change, model, version)?;
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

    /// The moves of a model's stage pointers, the oldest first.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn history(&self, model: &str) -> Result<Vec<StageMove>, RegistryError> {
        self.read(|tx| pointers::history(tx, model))
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
            freeze(change, model, &utc(now_ms), &format!("by {actor}: {reason}"))?;
            Ok(true)
        })
    }
}
