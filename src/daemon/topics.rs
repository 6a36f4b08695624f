//! A configured topic, and the reader of each of its partitions: its decoder, the batches it fills (`batches`), what was read and
//! rejected (`read`), and requests and responses that wait for each other (`halves`).

mod batches;
mod halves;
mod read;

use std::sync::Arc;

use super::sources;
use crate::checkpoint::HalvesState;
use crate::config::{SourceConfig, SourceFormat};
use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::wire::Wire;
use driftgate_core::event::{EventKind, FieldMap, Limits, TimeUnit};
use driftgate_core::kserve::{Halves, Settings};
use driftgate_core::schema::Schema;

pub use batches::{Batches, Turn};
pub use halves::{HalvesReader, TopicHalves};
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
    /// Its events are requests and responses.
    pub halves: Option<Arc<TopicHalves>>,
    /// How they are read.
    logged: Option<Arc<Settings>>,
    /// What is added to the numbers of its partitions among those that `halves` knows: of responses to requests in another topic.
    lane: i32,
}

/// Numbers of partitions with responses begin here; Kafka's own are below.
const RESPONSES: i32 = 1 << 30;

/// The reader of one partition.
pub struct TopicReader {
    decoder: EventDecoder,
    pub batches: Box<dyn Batches>,
    /// What was read, and what of it was rejected.
    pub log: MessageLog,
    pub halves: Option<HalvesReader>,
    /// Rows that a checkpoint kept are in the batches, and wait for the first turn.
    pub restored: bool,
}

impl Topic {
    #[must_use]
    pub fn new(config: &SourceConfig, wire: Wire, schemas: &[Arc<Schema>], limits: Limits, keep_payload: bool) -> Self {
        let index = |name: &String| schemas.iter().position(|s| s.model == *name);
        let named: Vec<usize> = config.models.iter().chain(&config.model).filter_map(index).collect();
        let logged = match &config.format {
            SourceFormat::Kserve(settings) => Some(Arc::new((**settings).clone())),
            _ => None,
        };
        let halves =
            |settings: &Arc<Settings>| Arc::new(TopicHalves::new(config.topic.clone(), Arc::clone(settings), limits));
        Self {
            name: config.topic.clone(),
            kind: config.kind,
            format: Format { model: named.first().copied(), wire, ..sources::format(config) },
            models: if named.is_empty() { (0..schemas.len()).collect() } else { named },
            schemas: schemas.to_vec(),
            limits,
            keep_payload,
            halves: logged.as_ref().map(halves),
            logged,
            lane: 0,
        }
    }

    /// Its events are the responses to the requests of another topic.
    fn answer(&mut self, requests: &Arc<TopicHalves>) {
        self.halves = Some(Arc::clone(requests));
        self.lane = RESPONSES;
    }

    /// The number of a partition among those whose requests and responses meet.
    #[must_use]
    pub fn place(&self, partition: i32) -> i32 {
        self.lane + partition
    }

    /// The table of requests and responses, if it is its own and not that of another topic.
    #[must_use]
    pub fn own_halves(&self) -> Option<&TopicHalves> {
        self.halves.as_deref().filter(|_| self.lane == 0)
    }

    /// The same topic, for models of which some have other schemas.
    #[must_use]
    pub fn with_schemas(&self, schemas: &[Arc<Schema>]) -> Self {
        Self {
            name: self.name.clone(),
            models: self.models.clone(),
            format: self.format.clone(),
            schemas: schemas.to_vec(),
            halves: self.halves.clone(),
            logged: self.logged.clone(),
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

    /// A reader of this partition, with the rows that a checkpoint kept of it.
    #[must_use]
    pub fn begun(&self, partition: i32, now_ms: i64) -> TopicReader {
        let mut reader = self.reader();
        reader.begin(self, partition, now_ms);
        reader
    }

    /// A reader that takes the place of another one of the same partition.
    #[must_use]
    pub fn succeeding(&self, before: &mut TopicReader, now_ms: i64) -> TopicReader {
        let mut reader = self.reader();
        if let (Some(halves), Some(own)) = (&mut before.halves, &mut reader.halves) {
            let rows = halves.take_rows();
            if before.restored {
                reader.restored = reader.batches.begin(own, rows, now_ms, &mut reader.decoder);
            } else {
                own.keep_rows(rows);
            }
        }
        reader
    }

    /// A reader of one of its partitions.
    #[must_use]
    pub fn reader(&self) -> TopicReader {
        TopicReader {
            decoder: EventDecoder::new(&self.schemas, &self.format, self.kind, self.limits),
            batches: batches::empty(self.kind, &self.schemas),
            log: MessageLog::new(self.keep_payload, self.limits.message_bytes),
            halves: self.halves.as_ref().zip(self.logged.as_ref()).map(|(halves, logged)| {
                let models = self.schemas.iter().map(|schema| schema.model.clone()).collect();
                HalvesReader::new(
                    halves,
                    Halves::new((**logged).clone(), self.limits),
                    self.lane,
                    models,
                    self.format.model,
                )
            }),
            restored: false,
        }
    }
}

/// Has responses in topics of their own meet the requests that they answer.
pub fn connect(topics: &mut [Topic], sources: &[SourceConfig]) {
    for source in sources {
        let Some(requests) = &source.requests else { continue };
        let halves = topics.iter().find(|topic| topic.name == *requests).and_then(|topic| topic.halves.clone());
        let answers = topics.iter_mut().find(|topic| topic.name == source.topic);
        if let (Some(halves), Some(answers)) = (halves, answers) {
            answers.answer(&halves);
        }
    }
}

/// Has topics of requests and responses go on from what a checkpoint kept.
pub fn restore(topics: &[Topic], kept: Vec<HalvesState>) {
    for state in kept {
        let topic = topics.iter().find(|topic| topic.name == state.topic);
        if let Some(halves) = topic.and_then(|topic| topic.halves.as_ref()) {
            halves.restore(state);
        }
    }
}

impl TopicReader {
    /// Decodes messages of a partition that are there already; returns how many.
    pub fn drain(&mut self, turn: Turn<'_>) -> usize {
        self.batches.drain(turn, &mut self.decoder, &mut self.log, self.halves.as_mut())
    }

    /// Begins a partition of a topic with the rows that a checkpoint kept of it.
    fn begin(&mut self, topic: &Topic, partition: i32, now_ms: i64) {
        let Self { decoder, batches, halves: Some(reader), restored, .. } = self else { return };
        let rows = topic.halves.as_ref().map(|halves| halves.begin(topic.place(partition))).unwrap_or_default();
        *restored = batches.begin(reader, rows, now_ms, decoder);
    }

    /// Looks at what a turn brought, before it is counted.
    pub fn look(&mut self) {
        let Self { decoder, batches, log: MessageLog { read, .. }, .. } = self;
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
