//! A configured topic, and the reader of each of its partitions: its decoder, the batches it fills, and what it rejected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::{rejections, sources};
use crate::config::SourceConfig;
use crate::sink::dead_letters::DeadLetter;
use crate::source::files::StreamBatch;
use crate::source::kafka::Message;
use driftgate_core::decode::Reason;
use driftgate_core::decode::json::{Format, JsonDecoder, Outcome};
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::{
    EventKind, FeatureBatch, FieldMap, LabelBatch, Limits, MeasurementBatch, PredictionBatch, TimeUnit,
};
use driftgate_core::schema::Schema;

/// Batches of one kind, one a model.
pub enum Batches {
    Predictions(Vec<PredictionBatch>),
    Labels(Vec<LabelBatch>),
    Features(Vec<FeatureBatch>),
    Measurements(Vec<MeasurementBatch>),
}

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

/// What was read of a topic, by one of its partitions or by all.
#[derive(Clone, Debug, Default)]
pub struct Read {
    pub events: u64,
    pub rejected: BTreeMap<Reason, u64>,
    pub unknown_model: u64,
    /// Messages without a value, which are no events.
    pub tombstones: u64,
    /// What is worth telling of the events that count.
    pub notes: Notes,
    /// Events that count, by model.
    pub rows: BTreeMap<usize, u64>,
}

impl Read {
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.unknown_model += other.unknown_model;
        self.tombstones += other.tombstones;
        self.notes.merge(&other.notes);
        for (model, n) in &other.rows {
            *self.rows.entry(*model).or_default() += n;
        }
        for (reason, n) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += n;
        }
    }
}

/// The reader of one partition.
pub struct Reader {
    decoder: JsonDecoder,
    pub batches: Batches,
    keep_payload: bool,
    /// So much of a rejected message goes along.
    most_payload: usize,
    pub read: Read,
    pub dead: Vec<DeadLetter>,
    /// By reason: when a rejected message was described last.
    described: BTreeMap<Reason, Instant>,
}

/// At most so many dead letters of a turn are sent; beyond, they are only counted.
const DEAD_BOUND: usize = 10_000;

impl Topic {
    #[must_use]
    pub fn new(config: &SourceConfig, schemas: &[Arc<Schema>], limits: Limits, keep_payload: bool) -> Self {
        let index = |name: &String| schemas.iter().position(|s| s.model == *name);
        let named: Vec<usize> = config.models.iter().chain(&config.model).filter_map(index).collect();
        Self {
            name: config.topic.clone(),
            kind: config.kind,
            format: Format { model: named.first().copied(), ..sources::format(config) },
            models: if named.is_empty() { (0..schemas.len()).collect() } else { named },
            schemas: schemas.to_vec(),
            limits,
            keep_payload,
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
    pub fn reader(&self) -> Reader {
        let schemas = &self.schemas;
        let batches = match self.kind {
            EventKind::Predictions => Batches::Predictions(empty(schemas)),
            EventKind::Labels => Batches::Labels(empty(schemas)),
            EventKind::Features => Batches::Features(empty(schemas)),
            EventKind::Measurements => Batches::Measurements(empty(schemas)),
        };
        Reader {
            decoder: JsonDecoder::new(schemas, &self.format, self.kind, self.limits),
            batches,
            keep_payload: self.keep_payload,
            most_payload: self.limits.message_bytes,
            read: Read::default(),
            dead: Vec::new(),
            described: BTreeMap::new(),
        }
    }
}

/// An empty batch a model.
fn empty<B: StreamBatch>(schemas: &[Arc<Schema>]) -> Vec<B> {
    schemas.iter().map(|s| B::empty(s)).collect()
}

fn look_at<B: StreamBatch>(batches: &[B], notes: &mut Notes, rows: &mut BTreeMap<usize, u64>) {
    for (model, batch) in batches.iter().enumerate().filter(|(_, b)| b.rows() > 0) {
        notes.times(batch.times());
        *rows.entry(model).or_default() += batch.rows() as u64;
    }
}

impl Reader {
    /// Looks at what a turn brought, before it is counted.
    pub fn look(&mut self) {
        let Self { decoder, batches, read, .. } = self;
        let mut notes = std::mem::take(&mut decoder.notes);
        match batches {
            Batches::Predictions(b) => look_at(b, &mut notes, &mut read.rows),
            Batches::Labels(b) => look_at(b, &mut notes, &mut read.rows),
            Batches::Features(b) => look_at(b, &mut notes, &mut read.rows),
            Batches::Measurements(b) => look_at(b, &mut notes, &mut read.rows),
        }
        read.notes.merge(&notes);
    }

    /// What any event of a model has had.
    #[must_use]
    pub fn seen(&self, model: usize) -> Seen {
        self.decoder.seen(model)
    }

    /// Decodes a message into the batches.
    pub fn take(&mut self, message: &Message<'_>, now_ms: i64) {
        if message.is_tombstone() {
            self.read.tombstones += 1;
            return;
        }
        self.read.events += 1;
        let bytes = message.payload();
        let record_ts = message.timestamp_ms().unwrap_or(now_ms);
        let outcome = match &mut self.batches {
            Batches::Predictions(b) => self.decoder.prediction(bytes, record_ts, b),
            Batches::Labels(b) => self.decoder.label(bytes, record_ts, b),
            Batches::Features(b) => self.decoder.features(bytes, record_ts, b),
            Batches::Measurements(b) => self.decoder.measurement(bytes, record_ts, b),
        };
        match outcome {
            Ok(Outcome::Row(_)) => {}
            Ok(Outcome::UnknownModel) => self.read.unknown_model += 1,
            Err(reject) => {
                *self.read.rejected.entry(reject.reason).or_default() += 1;
                if self.dead.len() < DEAD_BOUND {
                    // Of a message that is larger than any that counts, the beginning tells enough.
                    let kept = bytes.get(..self.most_payload).unwrap_or(bytes);
                    let payload = if self.keep_payload { kept.to_vec() } else { Vec::new() };
                    let now = Instant::now();
                    let due = self.described.get(&reject.reason).is_none_or(|at| now - *at >= rejections::EVERY);
                    let read = due.then(|| {
                        self.described.insert(reject.reason, now);
                        rejections::described(bytes)
                    });
                    self.dead.push(DeadLetter {
                        topic: message.topic(),
                        partition: message.partition(),
                        offset: message.offset(),
                        reject,
                        payload,
                        read,
                    });
                }
            }
        }
    }
}
