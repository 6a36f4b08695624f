//! What is replayed: a policy, and files of each kind of events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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

/// A file, those that follow it in the same stream, and how they are read.
#[derive(Clone, Debug)]
pub struct InputFile {
    pub path: PathBuf,
    pub more: Vec<PathBuf>,
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
        let bytes = |path: &Path| {
            if path.as_os_str() == "-" { None } else { std::fs::metadata(path).ok().map(|m| m.len()) }
        };
        self.paths().map(bytes).sum()
    }

    /// Its files in their order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.path).chain(&self.more).map(PathBuf::as_path)
    }

    /// What to call it: its file, or the first of them and how many there are.
    #[must_use]
    pub fn name(&self) -> PathBuf {
        match self.more.len() {
            0 => self.path.clone(),
            more => format!("{} and {more} more", self.path.display()).into(),
        }
    }
}
