//! JSON events to batch rows by a compiled plan: values go straight into the row's slots (`row`), then into the columns.
//! `walk` passes over an event, `fields` reads the envelope. In the steady state (known names, known values) nothing is
//! allocated.

use std::sync::Arc;

use super::coder::{Coder, Word};
use super::notes::Notes;
use super::plan::Plan;
use super::scan::Scanner;
use super::seen::Seen;
use super::short::ShortText;
use super::time::TimeFormat;
use super::{Reason, Reject, check_time, check_value, check_weight};
use crate::event::{
    EventKind, FeatureBatch, FieldMap, Flag, Fresh, LabelBatch, Limits, MeasurementBatch, PredictionBatch, code,
    numeric,
};
use crate::schema::Schema;

mod fields;
mod numbers;
mod row;
mod walk;

use row::{Row, UNSET};
use walk::Walk;

/// What became of an event that was not rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A row was added to the batch of this model.
    Row(usize),
    /// The event's model has no policy here.
    UnknownModel,
}

/// What a source's events look like.
#[derive(Clone, Debug, Default)]
pub struct Format {
    pub fields: FieldMap,
    pub time: TimeFormat,
    /// The model of events that name none.
    pub model: Option<usize>,
}

/// The decoder of one model's events of one kind.
struct ModelDecoder {
    schema: Arc<Schema>,
    /// The model's name as a short text.
    word: Word,
    plan: Plan,
    coder: Coder,
    row: Row,
    /// Numbers the events, so that `seen` marks need no clearing.
    event: u64,
}

/// Decodes the JSON events of one source, for all models.
pub struct JsonDecoder {
    models: Vec<ModelDecoder>,
    limits: Limits,
    time: TimeFormat,
    default_model: Option<usize>,
    /// The model of the last event: the guess for the next.
    guess: usize,
    scratch: String,
    text: String,
    /// What is worth telling of the events so far.
    pub notes: Notes,
}

/// What ended the walk over an event early.
enum Stop {
    Reject(Reject),
    /// The event belongs to this model, not to the guessed one.
    OtherModel(usize),
    UnknownModel,
}

impl From<Reject> for Stop {
    fn from(r: Reject) -> Self {
        Self::Reject(r)
    }
}

impl JsonDecoder {
    #[must_use]
    pub fn new(schemas: &[Arc<Schema>], format: &Format, kind: EventKind, limits: Limits) -> Self {
        let models = schemas.iter().map(|schema| ModelDecoder {
            plan: Plan::new(schema, &format.fields, kind),
            coder: Coder::new(schema),
            row: Row {
                numeric: vec![numeric::MISSING; schema.numeric.len()],
                categorical: vec![code::MISSING; schema.categorical.len()],
                attributes: vec![UNSET; schema.attributes.len()],
                segments: vec![UNSET; schema.attributes.len()],
                kpis: vec![Flag::Missing; schema.kpis.len()],
                ..Row::default()
            },
            word: ShortText::word_of(&schema.model),
            schema: Arc::clone(schema),
            event: 0,
        });
        Self {
            models: models.collect(),
            limits,
            time: format.time.clone(),
            default_model: format.model,
            guess: format.model.unwrap_or(0),
            scratch: String::new(),
            text: String::new(),
            notes: Notes::default(),
        }
    }

    /// Decodes a prediction into the batch of its model; `record_ts` is the record's own time in ms.
    ///
    /// # Errors
    /// A broken envelope; nothing is added then.
    pub fn prediction(&mut self, bytes: &[u8], record_ts: i64, out: &mut [PredictionBatch]) -> Result<Outcome, Reject> {
        if let Some(batch) = out.get_mut(self.guess).filter(|b| b.is_empty()) {
            self.begin(&mut batch.fresh);
        }
        let Some((at, ts)) = self.event(bytes, record_ts)? else { return Ok(Outcome::UnknownModel) };
        let (Some(model), Some(batch)) = (self.models.get_mut(at), out.get_mut(at)) else {
            return Ok(Outcome::UnknownModel);
        };
        let row = &mut model.row;
        if row.version == code::MISSING {
            return Err(Reject::new(Reason::NoVersion, "the event has no version"));
        }
        if model.schema.needs_id && !row.has_id {
            return Err(Reject::new(Reason::NoId, "the event has no prediction id, and the policy joins labels by it"));
        }
        if row.decision == Flag::Invalid {
            self.notes.decisions.add(&row.unmapped);
        }
        if row.error == Flag::Invalid && model.schema.reads_error {
            self.notes.errors.add(&row.bad_error);
        }
        batch.ids.push(&row.id);
        batch.ts.push(ts);
        batch.version.push(row.version);
        batch.stage.push(row.stage);
        batch.score.push(row.score);
        batch.decision.push(row.decision);
        batch.latency_ms.push(row.latency_ms);
        batch.error.push(row.error);
        batch.features.numeric.iter_mut().zip(&row.numeric).for_each(|(c, &x)| c.push(x));
        batch.features.categorical.iter_mut().zip(&row.categorical).for_each(|(c, &x)| c.push(x));
        // What stands under `segments` wins over the features.
        for (segment, feature) in row.segments.iter_mut().zip(&row.attributes) {
            if *segment == UNSET {
                *segment = *feature;
            }
            if *segment == UNSET {
                *segment = code::MISSING;
            }
        }
        for (s, column) in batch.segments.iter_mut().enumerate() {
            column.push(model.coder.segment(s, &row.segments, &mut row.fresh));
        }
        batch.fresh.append(&mut row.fresh);
        Ok(Outcome::Row(at))
    }

    /// Decodes a label (and KPI outcomes) into the batch of its model.
    ///
    /// # Errors
    /// A broken envelope; nothing is added then.
    pub fn label(&mut self, bytes: &[u8], record_ts: i64, out: &mut [LabelBatch]) -> Result<Outcome, Reject> {
        let Some((at, ts)) = self.event(bytes, record_ts)? else { return Ok(Outcome::UnknownModel) };
        let (Some(model), Some(batch)) = (self.models.get(at), out.get_mut(at)) else {
            return Ok(Outcome::UnknownModel);
        };
        let row = &model.row;
        if !row.has_id {
            return Err(Reject::new(Reason::NoId, "the label has no prediction id"));
        }
        if row.label == Flag::Invalid {
            self.notes.labels.add(&row.unmapped);
        }
        if row.kpis.contains(&Flag::Invalid) {
            self.notes.kpis.add(&row.bad_kpi);
        }
        batch.ids.push(&row.id);
        batch.ts.push(ts);
        batch.label.push(row.label);
        batch.kpis.iter_mut().zip(&row.kpis).for_each(|(c, &x)| c.push(x));
        Ok(Outcome::Row(at))
    }

    /// Decodes an event of the features stream into the batch of its model.
    ///
    /// # Errors
    /// A broken envelope; nothing is added then.
    pub fn features(&mut self, bytes: &[u8], record_ts: i64, out: &mut [FeatureBatch]) -> Result<Outcome, Reject> {
        if let Some(batch) = out.get_mut(self.guess).filter(|b| b.is_empty()) {
            self.begin(&mut batch.fresh);
        }
        let Some((at, ts)) = self.event(bytes, record_ts)? else { return Ok(Outcome::UnknownModel) };
        let (Some(model), Some(batch)) = (self.models.get_mut(at), out.get_mut(at)) else {
            return Ok(Outcome::UnknownModel);
        };
        let row = &mut model.row;
        batch.ts.push(ts);
        batch.features.numeric.iter_mut().zip(&row.numeric).for_each(|(c, &x)| c.push(x));
        batch.features.categorical.iter_mut().zip(&row.categorical).for_each(|(c, &x)| c.push(x));
        batch.fresh.append(&mut row.fresh);
        Ok(Outcome::Row(at))
    }

    /// Decodes a measurement into the batch of its model.
    ///
    /// # Errors
    /// A broken envelope, or a value or `n` out of range; nothing is added then.
    pub fn measurement(
        &mut self,
        bytes: &[u8],
        record_ts: i64,
        out: &mut [MeasurementBatch],
    ) -> Result<Outcome, Reject> {
        if let Some(batch) = out.get_mut(self.guess).filter(|b| b.is_empty()) {
            self.begin(&mut batch.fresh);
        }
        let Some((at, ts)) = self.event(bytes, record_ts)? else { return Ok(Outcome::UnknownModel) };
        let (Some(model), Some(batch)) = (self.models.get_mut(at), out.get_mut(at)) else {
            return Ok(Outcome::UnknownModel);
        };
        let row = &mut model.row;
        if row.version == code::MISSING {
            return Err(Reject::new(Reason::NoVersion, "the event has no version"));
        }
        let metric = row.metric.ok_or_else(|| Reject::new(Reason::NoMetric, "the measurement has no metric"))?;
        let (value, n) = (check_value(row.value)?, check_weight(row.n)?);
        batch.ts.push(ts);
        batch.version.push(row.version);
        batch.metric.push(metric);
        batch.value.push(value);
        batch.n.push(n);
        batch.fresh.append(&mut row.fresh);
        Ok(Outcome::Row(at))
    }

    /// What any event of a model has had so far.
    #[must_use]
    pub fn seen(&self, model: usize) -> Seen {
        self.models.get(model).map(|m| Seen::of(&m.plan, &m.schema)).unwrap_or_default()
    }

    /// Begins a batch of the guessed model, if nothing is in it yet.
    fn begin(&mut self, fresh: &mut Fresh) {
        if !fresh.is_empty() {
            return;
        }
        if let Some(model) = self.models.get_mut(self.guess)
            && model.coder.begin(fresh)
        {
            // What rejected events brought is forgotten with the rest.
            model.row.fresh.clear();
        }
    }

    /// Reads an event into its model's row: the model and the time, or `None` for a model without a policy.
    fn event(&mut self, bytes: &[u8], record_ts: i64) -> Result<Option<(usize, i64)>, Reject> {
        if bytes.len() > self.limits.message_bytes {
            return Err(Reject::new(
                Reason::TooLarge,
                format!("{} bytes, the bound is {}", bytes.len(), self.limits.message_bytes),
            ));
        }
        let mut at = self.guess;
        loop {
            let named = match self.walk_event(at, bytes) {
                Ok(named) => named,
                Err(Stop::OtherModel(other)) => {
                    at = other;
                    continue;
                }
                Err(Stop::UnknownModel) => return Ok(None),
                Err(Stop::Reject(reject)) => return Err(reject),
            };
            if !named {
                match self.default_model {
                    None => return Err(Reject::new(Reason::NoModel, "the event names no model")),
                    Some(default) if default != at => {
                        at = default;
                        continue;
                    }
                    Some(_) => {}
                }
            }
            self.guess = at;
            let ts = self.models.get(at).and_then(|m| m.row.ts);
            let ts = ts.ok_or_else(|| Reject::new(Reason::NoTime, "the event has no time"))?;
            return Ok(Some((at, check_time(ts, record_ts, self.time.future)?)));
        }
    }

    /// Walks one event by model `at`'s plan; returns whether the event names its model.
    fn walk_event(&mut self, at: usize, bytes: &[u8]) -> Result<bool, Stop> {
        let names: Option<usize> = None;
        // Some programs begin every text with a byte order mark, and every file.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Some((before, rest)) = self.models.split_at_mut_checked(at) else { return Err(Stop::UnknownModel) };
        let Some((model, after)) = rest.split_first_mut() else { return Err(Stop::UnknownModel) };
        model.row.reset();
        model.event += 1;
        let mut walk = Walk {
            scanner: Scanner::new(bytes, self.limits.depth),
            event: model.event,
            schema: &model.schema,
            plan: &mut model.plan,
            coder: &mut model.coder,
            row: &mut model.row,
            limits: &self.limits,
            model_word: model.word,
            short_texts: self.limits.string_bytes >= 15,
            time: &self.time,
            scratch: &mut self.scratch,
            text: &mut self.text,
            model_named: names,
            others: (before, after, at),
        };
        walk.object(0)?;
        walk.scanner.end()?;
        Ok(walk.model_named.is_some())
    }
}

#[cfg(test)]
mod tests;
