//! Reads the results' topic on behalf of whoever owns the ledger: from where the registry says that it has applied them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::record::{self, Said};
use crate::checkpoint::Position;
use crate::cluster::sets::{self, Arrived, SetsError};
use crate::ledger::Applied;
use crate::telemetry::events::cluster::SetsUnreadable;

/// What a commit said.
#[derive(Debug, PartialEq, Eq)]
pub struct SaidAt {
    /// The offset of its last record.
    pub end: i64,
    /// Reading goes on here after a restart.
    pub next: i64,
    pub said: Said,
}

/// The reader.
pub struct Tail {
    sets: sets::Tail,
    topic: String,
    /// So many items of the next set were applied.
    items: u64,
}

impl Tail {
    /// Reads partition 0 of `topic` on from what was applied.
    ///
    /// # Errors
    /// Properties that librdkafka refuses; brokers that do not answer.
    pub fn open(
        properties: &BTreeMap<String, String>,
        topic: &str,
        applied: Option<Applied>,
    ) -> Result<Self, SetsError> {
        let start = applied.map_or_else(Position::default, |applied| Position { next: applied.next, end: applied.end });
        let sets = sets::Tail::open(properties, (topic, 0), start)?;
        let items = applied.filter(|_| !sets.begins_anew()).map_or(0, |applied| applied.items);
        Ok(Self { sets, topic: topic.to_owned(), items })
    }

    /// The next set that was not applied; of a set that was applied in part, the rest, with how many items of it were applied. `None` where none
    /// came within this time.
    pub fn next(&mut self, within: Duration) -> Option<(SaidAt, u64)> {
        let Arrived { end, next, unit, document } = self.sets.next(within)?;
        match record::said(&document) {
            Ok(mut said) => {
                let done = std::mem::take(&mut self.items);
                said.items.drain(..usize::try_from(done).unwrap_or(usize::MAX).min(said.items.len()));
                Some((SaidAt { end, next, said }, done))
            }
            Err(e) => {
                let why = format!("the results of {unit:?} that end at offset {end}: {e}");
                SetsUnreadable { topic: &self.topic, why: &why }.emit();
                None
            }
        }
    }
}
