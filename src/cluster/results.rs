//! What a unit says to the registry, by way of a topic: verdicts, signals, and what was done of what the registry asked for. A set of them is in
//! the transaction of the commit that it belongs to, so that each is in the topic once, with the content that the state leads to; whoever owns
//! the ledger reads the topic and applies them.
//!
//! `record` is what is in the topic, `tail` reads it.

mod record;
mod tail;

use std::sync::{Arc, Mutex};

use driftgate_core::pipeline::lock;

use crate::sink::Item;
use crate::transaction::Record;

pub use record::{Noted, Said};
pub use tail::{SaidAt, Tail};

/// What one unit says, as it counts.
pub struct Results {
    topic: String,
    unit: String,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What was done and is not committed yet.
    notes: Vec<Noted>,
    /// What was committed of it, as long as the registry has not heeded it.
    told: Vec<Noted>,
    /// Records of the commit under way, and how many of the notes they have.
    staged: (Vec<Record>, usize),
    /// Records of other topics that go with it.
    beside: Vec<Record>,
}

impl Results {
    /// Of the unit with this key.
    #[must_use]
    pub fn new(topic: &str, unit: &str) -> Self {
        Self { topic: topic.to_owned(), unit: unit.to_owned(), inner: Mutex::default() }
    }

    /// Says with the next commit that something was done, unless that was said.
    pub fn note(&self, noted: Noted) {
        let mut inner = lock(&self.inner);
        if !inner.notes.contains(&noted) && !inner.told.contains(&noted) {
            inner.notes.push(noted);
        }
    }

    /// Whether it was said, or will be with the next commit.
    #[must_use]
    pub fn has_noted(&self, noted: &Noted) -> bool {
        let inner = lock(&self.inner);
        inner.notes.contains(noted) || inner.told.contains(noted)
    }

    /// Forgets what was said of a kind of things that the registry does not ask for any more.
    pub fn heeded(&self, is_asked: impl Fn(&Noted) -> bool) {
        lock(&self.inner).told.retain(is_asked);
    }

    /// The commit that comes next has these items.
    ///
    /// # Errors
    /// Items that cannot be serialized.
    pub fn stage(&self, items: &[Arc<Item>]) -> anyhow::Result<()> {
        let mut inner = lock(&self.inner);
        let notes = inner.notes.len();
        inner.staged = (Vec::new(), 0);
        if items.is_empty() && notes == 0 {
            return Ok(());
        }
        let said = Said { items: items.iter().map(|item| Item::clone(item)).collect(), notes: inner.notes.clone() };
        inner.staged = (record::records(&self.topic, &self.unit, &said)?, notes);
        Ok(())
    }

    /// The commit that comes next has these records of other topics, too.
    pub fn stage_beside(&self, records: Vec<Record>) {
        lock(&self.inner).beside = records;
    }

    /// The records of the commit under way.
    #[must_use]
    pub fn staged(&self) -> Vec<Record> {
        let inner = lock(&self.inner);
        inner.staged.0.iter().chain(&inner.beside).cloned().collect()
    }

    /// How the commit ended: what was staged is in the topic, or is not.
    pub fn ended(&self, is_done: bool) {
        let mut inner = lock(&self.inner);
        let (_, notes) = std::mem::take(&mut inner.staged);
        inner.beside.clear();
        if is_done {
            let told: Vec<Noted> = inner.notes.drain(..notes).collect();
            inner.told.extend(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_goes_with_one_commit_and_is_said_again_only_once_it_was_heeded() {
        let results = Results::new("r", "u");
        let note = || Noted::CountedAnew { model: "m".into(), version: "1".into() };
        results.note(note());
        results.note(note());
        results.stage(&[]).unwrap();
        assert_eq!(results.staged().len(), 1);
        // Refused: the next commit has it.
        results.ended(false);
        assert!(results.staged().is_empty() && results.has_noted(&note()));
        results.stage(&[]).unwrap();
        // What comes meanwhile is another commit's.
        let later = Noted::CountedAnew { model: "m".into(), version: "2".into() };
        results.note(later.clone());
        results.ended(true);
        results.note(note());
        results.stage(&[]).unwrap();
        let said = record::said(&crate::cluster::sets::read(&results.staged())).unwrap();
        assert_eq!(said.notes, [later]);
        results.ended(true);
        results.stage(&[]).unwrap();
        assert!(results.staged().is_empty());
        results.heeded(|_| false);
        assert!(!results.has_noted(&note()));
    }
}
