//! The one trait that the batches of each kind of event implement; `kinds` has the implementations and the list. A batch is
//! filled from JSON events (`push`) or from a piece of a file of columns (`fill`), learns what its codes mean to the intake, is
//! admitted, and is counted by a worker. Whatever reads, admits or counts events does it through this trait, for all kinds
//! alike: what is done per event is generic, what is done per batch may be `dyn Batch`.

use std::ops::Range;

use crate::decode::Reject;
use crate::decode::columns::{ColumnCoder, Columns};
use crate::decode::decoder::{Decoded, Event, EventDecoder, Message, Read};
use crate::decode::notes::Notes;
use crate::event::{EventKind, FieldMap, Fresh};
use crate::intake::count::Worker;
use crate::intake::job::Job;
use crate::intake::{DecoderId, Intake, SourceId};
use crate::policy::Policy;
use crate::schema::Schema;

/// Events of one kind, one source partition and one model, in the order they were read.
pub trait Batch: Send + Sync {
    /// The kind of these events.
    fn kind() -> EventKind
    where
        Self: Sized;

    /// A batch without rows, for events of this schema.
    fn empty(schema: &Schema) -> Self
    where
        Self: Sized;

    /// Whether a policy reads such events.
    #[must_use]
    fn is_read_by(_policy: &Policy) -> bool
    where
        Self: Sized,
    {
        true
    }

    /// The columns that a file must have to hold such events; `has` tells which there are.
    fn columns<'f>(schema: &'f Schema, fields: &'f FieldMap, has: &dyn Fn(&str) -> bool) -> Vec<&'f str>
    where
        Self: Sized;

    /// The rows' times.
    fn times(&self) -> &[i64];

    /// The same, for a reader of columns, which reads them before it fills the rest.
    fn times_mut(&mut self) -> &mut Vec<i64>;

    fn rows(&self) -> usize {
        self.times().len()
    }

    /// The rows' versions; none where events have none.
    fn versions(&self) -> &[u32] {
        &[]
    }

    /// What tells a row's event from others, if anything does.
    fn key(&self, _row: usize) -> Option<u64> {
        None
    }

    /// Makes room, so that decoding does not allocate event by event.
    fn make_room(&mut self, rows: usize);

    /// Empties the batch for reuse; its memory stays.
    fn reset(&mut self);

    /// Where the batch says what codes mean for the first time; `None` where events have no codes.
    fn fresh(&mut self) -> Option<&mut Fresh> {
        None
    }

    /// Whether it says what codes mean for the first time.
    fn has_news(&self) -> bool {
        false
    }

    /// The first event's id; empty where events have none.
    #[allow(clippy::unnecessary_literal_bound, reason = "those with ids lend them")]
    fn first_id(&self) -> &str {
        ""
    }

    /// Adds a JSON event, which has passed every check (`decode::checks`).
    fn push(&mut self, event: Event<'_>);

    /// Fills the empty batch with the events of a piece of a file of columns, whose times it has already.
    ///
    /// # Errors
    /// A damaged file.
    fn fill<C: Columns>(&mut self, columns: &C, coder: &mut ColumnCoder, notes: &mut Notes) -> Result<(), C::Error>
    where
        Self: Sized;

    /// Takes over what the batch's codes mean, and translates its versions. Every batch comes here, in its decoder's order.
    fn learn(&mut self, intake: &mut Intake, decoder: DecoderId);

    /// Versions of a batch that was learned from, whose baselines its rows have to wait for, each with the first row that has it.
    fn unknown_versions(&self, _intake: &Intake) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// Translates rows of a batch that was learned from, once no version of them is unknown. Each row comes here once, and in
    /// order.
    fn translate(&mut self, intake: &mut Intake, decoder: DecoderId, rows: Range<usize>);

    /// Admits the translated batch: the rows that count are the job.
    fn admit(&self, intake: &mut Intake, source: SourceId, job: &mut Job);

    /// Counts the admitted batch into a worker's panes.
    fn count(&self, worker: &mut Worker, job: &Job);
}

/// Something that is done alike for every kind of event.
pub trait PerKind {
    type Output;

    /// Does it for the kind whose batches are `B`.
    fn of<B: Batch + 'static>(self) -> Self::Output;
}

/// Decodes a JSON event into the batch of its model; `record_ts` is the record's own time in ms.
///
/// # Errors
/// The rejection; nothing was added.
pub fn decode<B: Batch>(
    decoder: &mut EventDecoder,
    bytes: &[u8],
    record_ts: i64,
    out: &mut [B],
) -> Result<Decoded, Reject> {
    decode_message(decoder, Message { value: bytes, schema_header: None, headers: None, record_ts }, out)
}

/// Decodes a message, in its source's format, into the batch of its model.
///
/// # Errors
/// The rejection; nothing was added.
pub fn decode_message<B: Batch>(
    decoder: &mut EventDecoder,
    message: Message<'_>,
    out: &mut [B],
) -> Result<Decoded, Reject> {
    let first = out.get_mut(decoder.guess());
    if let Some(fresh) = first.filter(|batch| batch.rows() == 0).and_then(B::fresh) {
        decoder.begin(fresh);
    }
    let event = match decoder.event(message)? {
        Read::Event(event) => event,
        Read::UnknownModel => return Ok(Decoded::UnknownModel),
        Read::Waits => return Ok(Decoded::Waits),
    };
    let model = event.model;
    let Some(batch) = out.get_mut(model) else { return Ok(Decoded::UnknownModel) };
    batch.push(event);
    Ok(Decoded::Row(model))
}
