//! What the tests of formats decode with: events of a format against JSON events with the same values.

use std::sync::Arc;

use super::Reject;
use super::cloudevents::Headers;
use super::decoder::{Decoded, EventDecoder, Format, Message};
use super::framing::SchemaRef;
use super::wire::{Found, Schemas, Wire};
use crate::event::{EventKind, Limits, PredictionBatch};
use crate::pipeline::batch::decode_message;
use crate::schema::Schema;

/// The time of messages that carry none.
pub const NOW: i64 = 1_800_000_000_000;

/// A model with two features of each type.
fn schema(model: &str) -> Arc<Schema> {
    Arc::new(Schema {
        model: model.to_owned(),
        numeric: vec!["amount".into(), "age".into()],
        categorical: vec!["carrier".into(), "code".into()],
        attributes: vec!["origin".into(), "carrier".into()],
        segmentations: vec![vec![0], vec![1]],
        kpis: vec!["ctr".into()],
        needs_id: true,
        reads_error: true,
        ..Schema::default()
    })
}

/// Schemas that are there, by their ids from 0 on.
#[derive(Debug)]
pub struct Known(pub Vec<Found>);

impl Schemas for Known {
    fn find(&self, at: SchemaRef) -> Found {
        match at {
            SchemaRef::Id(id) => match self.0.get(id as usize) {
                Some(found) => found.clone(),
                None => Found::Refused(format!("no schema has the id {id}")),
            },
            SchemaRef::Guid(_) => Found::Waits,
        }
    }
}

/// A decoder of predictions of two models, and of one of several classes, and their batches.
pub struct Fixture {
    pub decoder: EventDecoder,
    pub out: Vec<PredictionBatch>,
}

impl Fixture {
    pub fn of(wire: Wire) -> Self {
        Self::with(&Format { wire, ..Format::default() })
    }

    pub fn with(format: &Format) -> Self {
        let classed = Schema { classes: ["a", "b", "c"].map(str::to_owned).to_vec(), ..(*schema("classed")).clone() };
        let schemas = [schema("flights"), schema("trains"), Arc::new(classed)];
        Self {
            decoder: EventDecoder::new(&schemas, format, EventKind::Predictions, Limits::default()),
            out: vec![PredictionBatch::new(2, 2, 2); 3],
        }
    }

    pub fn read(&mut self, bytes: &[u8]) -> Result<Decoded, Reject> {
        self.message(bytes, None)
    }

    pub fn message(&mut self, bytes: &[u8], headers: Option<&dyn Headers>) -> Result<Decoded, Reject> {
        let message = Message { value: bytes, schema_header: None, headers, record_ts: NOW };
        decode_message::<PredictionBatch>(&mut self.decoder, message, &mut self.out)
    }

    pub fn json(text: &str) -> Self {
        let mut json = Self::of(Wire::Json);
        json.read(text.as_bytes()).unwrap();
        json
    }

    /// What batches hold, for comparison.
    pub fn held(&self) -> String {
        format!("{:?}", self.out)
    }
}
