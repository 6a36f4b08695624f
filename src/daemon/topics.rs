//! A configured topic: its decoder, the batches it fills, and what it rejected.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Message as _};

use super::sources;
use crate::config::SourceConfig;
use crate::decode::json::{Format, JsonDecoder, Outcome};
use crate::decode::plan::EventKind;
use crate::decode::{Limits, Reason, Reject};
use crate::event::{FeatureBatch, LabelBatch, MeasurementBatch, PredictionBatch};
use crate::schema::Schema;

/// Batches of one kind, one a model.
pub enum Batches {
    Predictions(Vec<PredictionBatch>),
    Labels(Vec<LabelBatch>),
    Features(Vec<FeatureBatch>),
    Measurements(Vec<MeasurementBatch>),
}

/// A rejected message and where it came from.
pub struct DeadLetter {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub reject: Reject,
    /// Empty unless the configuration asks for it.
    pub payload: Vec<u8>,
}

/// One topic.
pub struct Topic {
    pub name: String,
    pub kind: EventKind,
    decoder: JsonDecoder,
    pub batches: Batches,
    /// Models this topic speaks of, by index.
    pub models: Vec<usize>,
    keep_payload: bool,
    pub events: u64,
    pub rejected: BTreeMap<Reason, u64>,
    pub unknown_model: u64,
    pub dead: Vec<DeadLetter>,
}

/// At most so many dead letters wait to be sent; beyond, they are only counted.
const DEAD_BOUND: usize = 10_000;

impl Topic {
    #[must_use]
    pub fn new(config: &SourceConfig, schemas: &[Arc<Schema>], limits: Limits, keep_payload: bool) -> Self {
        let kind = sources::kind(config.kind);
        let index = |name: &String| schemas.iter().position(|s| s.model == *name);
        let named: Vec<usize> = config.models.iter().chain(&config.model).filter_map(index).collect();
        let models: Vec<usize> = if named.is_empty() { (0..schemas.len()).collect() } else { named.clone() };
        let format = Format { model: named.first().copied(), ..sources::format(config) };
        let batches = match kind {
            EventKind::Predictions => Batches::Predictions(
                schemas
                    .iter()
                    .map(|s| PredictionBatch::new(s.numeric.len(), s.categorical.len(), s.segmentations.len()))
                    .collect(),
            ),
            EventKind::Labels => Batches::Labels(schemas.iter().map(|s| LabelBatch::new(s.kpis.len())).collect()),
            EventKind::Features => Batches::Features(
                schemas.iter().map(|s| FeatureBatch::new(s.numeric.len(), s.categorical.len())).collect(),
            ),
            EventKind::Measurements => Batches::Measurements(vec![MeasurementBatch::default(); schemas.len()]),
        };
        Self {
            name: config.topic.clone(),
            kind,
            decoder: JsonDecoder::new(schemas, &format, kind, limits),
            batches,
            models,
            keep_payload,
            events: 0,
            rejected: BTreeMap::new(),
            unknown_model: 0,
            dead: Vec::new(),
        }
    }

    /// Decodes a message into the batches.
    pub fn read(&mut self, message: &BorrowedMessage<'_>, now_ms: i64) {
        self.events += 1;
        let bytes = message.payload().unwrap_or(&[]);
        let record_ts = message.timestamp().to_millis().unwrap_or(now_ms);
        let outcome = match &mut self.batches {
            Batches::Predictions(b) => self.decoder.prediction(bytes, record_ts, b),
            Batches::Labels(b) => self.decoder.label(bytes, record_ts, b),
            Batches::Features(b) => self.decoder.features(bytes, record_ts, b),
            Batches::Measurements(b) => self.decoder.measurement(bytes, record_ts, b),
        };
        match outcome {
            Ok(Outcome::Row(_)) => {}
            Ok(Outcome::UnknownModel) => self.unknown_model += 1,
            Err(reject) => {
                *self.rejected.entry(reject.reason).or_default() += 1;
                if self.dead.len() < DEAD_BOUND {
                    let payload = if self.keep_payload { bytes.to_vec() } else { Vec::new() };
                    self.dead.push(DeadLetter {
                        topic: message.topic().to_owned(),
                        partition: message.partition(),
                        offset: message.offset(),
                        reject,
                        payload,
                    });
                }
            }
        }
    }
}
