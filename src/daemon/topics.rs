//! A configured topic, and the reader of each of its partitions: its decoder, the batches it fills (`batches`), and what was read and
//! rejected (`read`).

mod batches;
mod read;

use std::sync::Arc;

use super::sources;
use crate::config::SourceConfig;
use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::wire::Wire;
use driftgate_core::event::{EventKind, FieldMap, Limits, TimeUnit};
use driftgate_core::schema::Schema;

pub use batches::{Batches, Turn};
pub use read::{MessageLog, Read};

/// One topic.
pub struct Topic {
    pub name: String,
    pub kind: EventKind,
    /// Models this topic speaks of, by index.
    pub models: Vec<usize>,
    format: Format,
    schemas: Vec<Arc<Schema>>,
    limits: Limits,
    keep_payload: bool,
}

/// The reader of one partition.
pub struct TopicReader {
    decoder: EventDecoder,
    pub batches: Box<dyn Batches>,
    /// What was read, and what of it was rejected.
    pub log: MessageLog,
}

impl Topic {
    #[must_use]
    pub fn new(config: &SourceConfig, wire: Wire, schemas: &[Arc<Schema>], limits: Limits, keep_payload: bool) -> Self {
        let index = |name: &String| schemas.iter().position(|s| s.model == *name);
        let named: Vec<usize> = config.models.iter().chain(&config.model).filter_map(index).collect();
        Self {
            name: config.topic.clone(),
            kind: config.kind,
            format: Format { model: named.first().copied(), wire, ..sources::format(config) },
            models: if named.is_empty() { (0..schemas.len()).collect() } else { named },
            schemas: schemas.to_vec(),
            limits,
            keep_payload,
        }
    }

    /// The same topic, for models of which some have other schemas.
    #[must_use]
    pub fn with_schemas(&self, schemas: &[Arc<Schema>]) -> Self {
        Self {
            name: self.name.clone(),
            models: self.models.clone(),
            format: self.format.clone(),
            schemas: schemas.to_vec(),
            ..*self
        }
    }

    /// Where its events' fields stand, and in which unit their times are.
    #[must_use]
    pub fn places(&self) -> (&FieldMap, TimeUnit) {
        (&self.format.fields, self.format.time.unit)
    }

    /// How far ahead of its partition's pace an event's time may lie, in ms.
    #[must_use]
    pub fn future(&self) -> i64 {
        self.format.time.future
    }

    /// A reader of one of its partitions.
    #[must_use]
    pub fn reader(&self) -> TopicReader {
        TopicReader {
            decoder: EventDecoder::new(&self.schemas, &self.format, self.kind, self.limits),
            batches: batches::empty(self.kind, &self.schemas),
            log: MessageLog::new(self.keep_payload, self.limits.message_bytes),
        }
    }
}

impl TopicReader {
    /// Decodes messages of a partition that are there already; returns how many.
    pub fn drain(&mut self, turn: Turn<'_>) -> usize {
        self.batches.drain(turn, &mut self.decoder, &mut self.log)
    }

    /// Looks at what a turn brought, before it is counted.
    pub fn look(&mut self) {
        let Self { decoder, batches, log: MessageLog { read, .. } } = self;
        let mut notes = std::mem::take(&mut decoder.notes);
        for (model, batch) in batches.each().into_iter().filter(|(_, b)| b.rows() > 0) {
            notes.times(batch.times());
            *read.rows.entry(model).or_default() += batch.rows() as u64;
        }
        read.notes.merge(&notes);
    }

    /// What any event of a model has had.
    #[must_use]
    pub fn seen(&self, model: usize) -> Seen {
        self.decoder.seen(model)
    }
}
