//! The batches of a partition's reader, one per model. Calls are dynamic per turn and per batch; a message is decoded by code that knows
//! its kind.

use std::sync::Arc;

use super::halves::HalvesReader;
use super::read::MessageLog;
use crate::source::kafka::{Outcome, Partition};
use driftgate_core::decode::cloudevents::Headers;
use driftgate_core::decode::decoder::{Decoded, EventDecoder, Message};
use driftgate_core::decode::framing;
use driftgate_core::event::EventKind;
use driftgate_core::pipeline::batch::{Batch, PerKind, decode_message};
use driftgate_core::pipeline::kinds;
use driftgate_core::schema::Schema;

/// What a turn reads of its partition.
pub struct Turn<'t> {
    pub partition: &'t mut Partition,
    /// The offset of the first message that was ever read.
    pub first: &'t mut Option<i64>,
    /// At most so many messages.
    pub most: usize,
    /// The time of messages that carry none.
    pub now_ms: i64,
}

/// Batches of one kind, one per model.
pub trait Batches: Send {
    /// Decodes messages that are there already; returns how many.
    fn drain(
        &mut self,
        turn: Turn<'_>,
        decoder: &mut EventDecoder,
        log: &mut MessageLog,
        halves: Option<&mut HalvesReader>,
    ) -> usize;

    /// Decodes rows of requests and responses that a checkpoint kept; whether there are any.
    fn begin(&mut self, halves: &mut HalvesReader, rows: Vec<u8>, now_ms: i64, decoder: &mut EventDecoder) -> bool;

    /// Each model's batch.
    fn each(&mut self) -> Vec<(usize, &mut dyn Batch)>;

    /// Takes out a model's batch, and leaves an empty one for events of this schema.
    fn take(&mut self, model: usize, schema: &Schema) -> Option<Box<dyn Batch>>;
}

/// Empty batches for events of this kind.
pub fn empty(kind: EventKind, schemas: &[Arc<Schema>]) -> Box<dyn Batches> {
    struct Empty<'s>(&'s [Arc<Schema>]);
    impl PerKind for Empty<'_> {
        type Output = Box<dyn Batches>;

        fn of<B: Batch + 'static>(self) -> Box<dyn Batches> {
            Box::new(self.0.iter().map(|schema| B::empty(schema)).collect::<Vec<B>>())
        }
    }
    kinds::of_kind(kind, Empty(schemas))
}

impl<B: Batch + 'static> Batches for Vec<B> {
    fn drain(
        &mut self,
        turn: Turn<'_>,
        decoder: &mut EventDecoder,
        log: &mut MessageLog,
        mut halves: Option<&mut HalvesReader>,
    ) -> usize {
        let Turn { partition, first, most, now_ms } = turn;
        partition.drain(most, |message| {
            first.get_or_insert(message.offset());
            if message.is_tombstone() {
                log.read.tombstones += 1;
                return Outcome::Read;
            }
            let record_ts = message.timestamp_ms().unwrap_or(now_ms);
            if let Some(halves) = &mut halves {
                halves.take(message, record_ts, decoder, log, self);
                return Outcome::Read;
            }
            let schema_header = if decoder.reads_schema_header() { message.header(framing::HEADER) } else { None };
            let headers = decoder.reads_attributes().then_some(message as &dyn Headers);
            let read = Message { value: message.payload(), schema_header, headers, record_ts };
            let outcome = decode_message(decoder, read, self);
            if outcome == Ok(Decoded::Waits) {
                return Outcome::Held;
            }
            log.read.events += 1;
            log.note(message, outcome);
            Outcome::Read
        })
    }

    fn begin(&mut self, halves: &mut HalvesReader, rows: Vec<u8>, now_ms: i64, decoder: &mut EventDecoder) -> bool {
        halves.begin(rows, now_ms, decoder, self)
    }

    fn each(&mut self) -> Vec<(usize, &mut dyn Batch)> {
        self.iter_mut().enumerate().map(|(model, batch)| (model, batch as &mut dyn Batch)).collect()
    }

    fn take(&mut self, model: usize, schema: &Schema) -> Option<Box<dyn Batch>> {
        Some(Box::new(std::mem::replace(self.get_mut(model)?, B::empty(schema))))
    }
}
