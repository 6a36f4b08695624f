//! What is replayed: a policy, and a file of each kind of events.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::source::options::FileOptions;
use driftgate_core::event::EventKind;
use driftgate_core::policy::Policy;

/// What to replay.
#[derive(Clone, Debug)]
pub struct Input {
    pub policy: Arc<Policy>,
    pub predictions: InputFile,
    /// Files of the other kinds.
    pub others: BTreeMap<EventKind, InputFile>,
}

/// A file and how it is read.
#[derive(Clone, Debug)]
pub struct InputFile {
    pub path: PathBuf,
    pub options: FileOptions,
}

impl Input {
    /// All files with the kind of their events, the predictions first.
    pub(super) fn files(&self) -> impl Iterator<Item = (EventKind, &InputFile)> {
        let others = self.others.iter().map(|(kind, file)| (*kind, file));
        std::iter::once((EventKind::Predictions, &self.predictions)).chain(others)
    }
}

impl InputFile {
    /// How many bytes there are to read, where that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        if self.path.as_os_str() == "-" { None } else { std::fs::metadata(&self.path).ok().map(|m| m.len()) }
    }
}
