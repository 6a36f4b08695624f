//! What a replay reports: to its observer while it runs, and at its end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::ReplayError;
use driftgate_core::decode::{Reason, Reject};
use driftgate_core::intake::Counters;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::verdict::{Signal, Verdict};
use driftgate_core::pipeline::Pipeline;

/// Receives what happens while a replay runs.
pub trait Observer: Send {
    /// A verdict with the signals that follow from it, in the order of verdicts.
    ///
    /// # Errors
    /// What ends the replay.
    fn verdict(&mut self, verdict: &Verdict, signals: &[Signal]) -> anyhow::Result<()>;

    /// An event was rejected: file, line or row, why, and its bytes where there are any.
    ///
    /// # Errors
    /// What ends the replay.
    fn reject(&mut self, file: &std::path::Path, line: u64, reject: &Reject, payload: &[u8]) -> anyhow::Result<()>;

    /// A version's baseline was loaded, or could not be.
    fn reference(&mut self, version: &str, reference: &Reference);

    /// Events counted so far, and how many bytes of the predictions were read of how many.
    ///
    /// # Errors
    /// What ends the replay.
    fn progress(&mut self, pipeline: &Pipeline, read: u64, total: Option<u64>) -> anyhow::Result<()>;
}

/// What a replay came to.
#[derive(Clone, Debug, Default)]
pub struct ReplayOutcome {
    pub counters: Counters,
    /// Predictions by version.
    pub versions: BTreeMap<String, u64>,
    pub rejected: BTreeMap<Reason, u64>,
    pub unknown_model: u64,
    /// Versions without a baseline, and why.
    pub failed: BTreeMap<String, String>,
    pub waiting: (usize, usize),
    /// What is worth saying of the files, a sentence each.
    pub remarks: Vec<String>,
}

/// What the observer receives, in order.
pub(super) enum Event {
    Verdict(Verdict, Vec<Signal>),
    Reject { path: PathBuf, line: u64, reject: Reject, payload: Vec<u8> },
    UnknownModel(u64),
    Reference(String, Reference),
}

/// Hands events on to the observer, and keeps count.
pub(super) struct Report<'o> {
    pub outcome: ReplayOutcome,
    pub observer: &'o mut dyn Observer,
}

impl Report<'_> {
    pub fn take(&mut self, note: Event) -> Result<(), ReplayError> {
        match note {
            Event::Verdict(verdict, signals) => self.observer.verdict(&verdict, &signals)?,
            Event::Reject { path, line, reject, payload } => {
                *self.outcome.rejected.entry(reject.reason).or_default() += 1;
                self.observer.reject(&path, line, &reject, &payload)?;
            }
            Event::UnknownModel(events) => self.outcome.unknown_model += events,
            Event::Reference(version, found) => {
                if let Reference::Failed(why) = &found {
                    self.outcome.failed.insert(version.clone(), why.clone());
                }
                self.observer.reference(&version, &found);
            }
        }
        Ok(())
    }
}
