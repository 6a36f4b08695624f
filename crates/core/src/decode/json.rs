//! JSON events by a compiled plan: values go straight into the slots of their model (`fields`), from where a batch takes them.
//! `walk` passes over an event, `fields` reads the envelope. In the steady state (known names, known values) nothing is
//! allocated.

use std::sync::Arc;

use super::checks::{self, Checks};
use super::coder::{Coder, Word};
use super::notes::Notes;
use super::plan::Plan;
use super::scan::Scanner;
use super::seen::Seen;
use super::short::ShortText;
use super::time::TimeFormat;
use super::{Reason, Reject};
use crate::event::{EventKind, FieldMap, Fresh, Limits};
use crate::schema::Schema;

mod fields;
mod numbers;
mod walk;

pub use fields::Values;
use fields::{Plain, Stop, Walk};

/// What became of an event that was not rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
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
    checks: Checks,
    plain: Plain,
    coder: Coder,
    values: Values,
    /// Numbers the events, so that `seen` marks need no clearing.
    event: u64,
}

/// An event that was read: its values in the slots of its model, for a batch to take.
pub struct Event<'d> {
    /// The index of its model.
    pub model: usize,
    pub ts: i64,
    pub values: &'d mut Values,
    pub schema: &'d Schema,
    pub coder: &'d mut Coder,
    pub notes: &'d mut Notes,
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

impl JsonDecoder {
    #[must_use]
    pub fn new(schemas: &[Arc<Schema>], format: &Format, kind: EventKind, limits: Limits) -> Self {
        let models = schemas.iter().map(|schema| {
            let checks = Checks::new(kind, schema, limits);
            ModelDecoder {
                plan: Plan::new(schema, &format.fields, kind),
                plain: Plain::new(&checks, &limits),
                checks,
                coder: Coder::new(schema),
                values: Values::new(schema),
                word: ShortText::word_of(&schema.model),
                schema: Arc::clone(schema),
                event: 0,
            }
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

    /// The model of the last event, and likely of the next.
    #[must_use]
    pub fn guess(&self) -> usize {
        self.guess
    }

    /// What any event of a model has had so far.
    #[must_use]
    pub fn seen(&self, model: usize) -> Seen {
        self.models.get(model).map(|m| Seen::of(&m.plan, &m.schema)).unwrap_or_default()
    }

    /// Begins a batch of the guessed model, if nothing is in it yet.
    pub fn begin(&mut self, fresh: &mut Fresh) {
        if !fresh.is_empty() {
            return;
        }
        if let Some(model) = self.models.get_mut(self.guess)
            && model.coder.begin(fresh)
        {
            // What rejected events brought is forgotten with the rest.
            model.values.fresh.clear();
        }
    }

    /// Reads an event into its model's slots, or `None` for a model without a policy; `record_ts` is the record's own time
    /// in ms. What is read has passed every check.
    ///
    /// # Errors
    /// A broken envelope, or a value that is refused.
    #[inline]
    pub fn event(&mut self, bytes: &[u8], record_ts: i64) -> Result<Option<Event<'_>>, Reject> {
        let Some((model, ts)) = self.read(bytes, record_ts)? else { return Ok(None) };
        let Self { models, notes, .. } = self;
        let Some(ModelDecoder { schema, coder, values, checks, .. }) = models.get_mut(model) else { return Ok(None) };
        values.check(checks)?;
        Ok(Some(Event { model, ts, values, schema, coder, notes }))
    }

    /// Reads an event into its model's slots: the model and the time, or `None` for a model without a policy.
    fn read(&mut self, bytes: &[u8], record_ts: i64) -> Result<Option<(usize, i64)>, Reject> {
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
            let ts = self.models.get(at).and_then(|m| m.values.ts);
            let ts = ts.ok_or_else(|| Reject::new(Reason::NoTime, "the event has no time"))?;
            return Ok(Some((at, checks::time(ts, record_ts, self.time.future)?)));
        }
    }

    /// Walks one event by model `at`'s plan; returns whether the event names its model.
    fn walk_event(&mut self, at: usize, bytes: &[u8]) -> Result<bool, Stop> {
        // Some programs begin every text with a byte order mark, and every file.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Some((before, rest)) = self.models.split_at_mut_checked(at) else { return Err(Stop::UnknownModel) };
        let Some((model, after)) = rest.split_first_mut() else { return Err(Stop::UnknownModel) };
        let (before, after) = (&*before, &*after);
        let find = |name: &str| {
            let is = |m: &ModelDecoder| m.schema.model == name;
            before.iter().position(is).or_else(|| after.iter().position(is).map(|i| i + at + 1))
        };
        model.values.reset();
        model.event += 1;
        let mut walk = Walk {
            scanner: Scanner::new(bytes, self.limits.depth),
            event: model.event,
            schema: &model.schema,
            plan: &mut model.plan,
            coder: &mut model.coder,
            row: &mut model.values,
            limits: &self.limits,
            checks: &model.checks,
            plain: model.plain,
            model_word: model.word,
            time: &self.time,
            scratch: &mut self.scratch,
            text: &mut self.text,
            names_model: false,
            others: &find,
        };
        walk.object(0)?;
        walk.scanner.end()?;
        Ok(walk.names_model)
    }
}

#[cfg(test)]
mod tests;
