//! JSON events to batch rows by a compiled plan: values go straight into the row's slots, then into the columns.
//! In the steady state (known names, known values) nothing is allocated.

use std::sync::Arc;

use super::coder::Coder;
use super::plan::{EventKind, Field, Fields, Meaning, Plan, Slot};
use super::scan::{Scanner, Token};
use super::{Limits, Reason, Reject, check_time, check_value, check_weight, parse_rfc3339};
use crate::event::{FeatureBatch, Flag, Fresh, LabelBatch, MeasurementBatch, PredictionBatch, code, numeric};
use crate::schema::{Schema, canonical_number};

/// How a source writes its integer times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimeUnit {
    Seconds,
    #[default]
    Millis,
    Micros,
    Nanos,
}

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
    pub fields: Fields,
    pub time: TimeUnit,
    /// The model of events that name none.
    pub model: Option<usize>,
}

/// Attribute slot that no key has set.
const UNSET: u32 = code::SPECIAL - 1;

/// The row being decoded.
#[derive(Debug, Default)]
struct Row {
    id: String,
    has_id: bool,
    version: u32,
    stage: u32,
    ts: Option<i64>,
    score: f64,
    decision: Flag,
    latency_ms: f64,
    error: Flag,
    label: Flag,
    numeric: Vec<f64>,
    categorical: Vec<u32>,
    attributes: Vec<u32>,
    segments: Vec<u32>,
    kpis: Vec<Flag>,
    /// Of a measurement: the metric's slot, `code::MISSING` for one that no rule reads, `None` for none at all.
    metric: Option<u32>,
    value: f64,
    n: f64,
    fresh: Fresh,
}

impl Row {
    fn reset(&mut self) {
        self.id.clear();
        self.has_id = false;
        self.version = code::MISSING;
        self.stage = code::MISSING;
        self.ts = None;
        self.score = numeric::MISSING;
        self.decision = Flag::Missing;
        self.latency_ms = numeric::MISSING;
        self.error = Flag::Missing;
        self.label = Flag::Missing;
        self.numeric.fill(numeric::MISSING);
        self.categorical.fill(code::MISSING);
        self.attributes.fill(UNSET);
        self.segments.fill(UNSET);
        self.kpis.fill(Flag::Missing);
        self.metric = None;
        self.value = numeric::MISSING;
        self.n = numeric::MISSING;
    }
}

/// The decoder of one model's events of one kind.
struct ModelDecoder {
    schema: Arc<Schema>,
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
    time: TimeUnit,
    default_model: Option<usize>,
    /// The model of the last event: the guess for the next.
    guess: usize,
    scratch: String,
    text: String,
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
            schema: Arc::clone(schema),
            event: 0,
        });
        Self {
            models: models.collect(),
            limits,
            time: format.time,
            default_model: format.model,
            guess: format.model.unwrap_or(0),
            scratch: String::new(),
            text: String::new(),
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
            return Ok(Some((at, check_time(ts, record_ts)?)));
        }
    }

    /// Walks one event by model `at`'s plan; returns whether the event names its model.
    fn walk_event(&mut self, at: usize, bytes: &[u8]) -> Result<bool, Stop> {
        let names: Option<usize> = None;
        let Some((before, rest)) = self.models.split_at_mut_checked(at) else { return Err(Stop::UnknownModel) };
        let Some((model, after)) = rest.split_first_mut() else { return Err(Stop::UnknownModel) };
        model.row.reset();
        model.event += 1;
        let mut walk = Walk {
            scanner: Scanner::new(bytes, self.limits.depth)?,
            event: model.event,
            schema: &model.schema,
            plan: &mut model.plan,
            coder: &mut model.coder,
            row: &mut model.row,
            limits: &self.limits,
            time: self.time,
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

/// One pass over one event.
struct Walk<'w, 'a> {
    scanner: Scanner<'a>,
    event: u64,
    schema: &'w Schema,
    plan: &'w mut Plan,
    coder: &'w mut Coder,
    row: &'w mut Row,
    limits: &'w Limits,
    time: TimeUnit,
    scratch: &'w mut String,
    text: &'w mut String,
    model_named: Option<usize>,
    /// The models before and after the guessed one, and its index.
    others: (&'w [ModelDecoder], &'w [ModelDecoder], usize),
}

impl Walk<'_, '_> {
    #[allow(
        clippy::indexing_slicing,
        reason = "nodes, keys, meanings and seen of a plan are built together; followed_by has one more"
    )]
    fn object(&mut self, at: usize) -> Result<(), Stop> {
        let mut more = self.scanner.enter_object()?;
        let mut previous = 0;
        while more {
            let node = &mut self.plan.nodes[at];
            // The key that followed last time is the guess.
            let guess = node.followed_by[previous];
            let found = if node.keys.get(guess).is_some_and(|key| self.scanner.key_is(key)) {
                Some(guess)
            } else {
                let found = node.find(self.scanner.key(self.scratch)?);
                if let Some(found) = found {
                    node.followed_by[previous] = found;
                }
                found
            };
            match found {
                None => {
                    self.scanner.value(self.scratch)?;
                }
                Some(key) => {
                    previous = key + 1;
                    let again = std::mem::replace(&mut node.seen[key], self.event) == self.event;
                    self.member(at, key, again)?;
                }
            }
            more = self.scanner.next_member()?;
        }
        Ok(())
    }

    #[allow(clippy::indexing_slicing, reason = "`at` and `key` come from `object`, which found them in the plan")]
    fn member(&mut self, at: usize, key: usize, again: bool) -> Result<(), Stop> {
        let meaning = &self.plan.nodes[at].meanings[key];
        if again && (meaning.field.is_some() || meaning.child.is_some()) {
            let name = &self.plan.nodes[at].keys[key];
            return Err(Reject::new(Reason::DuplicateKey, format!("the key {name:?} stands twice")).into());
        }
        if let Some(child) = meaning.child
            && self.scanner.at_object()
        {
            return self.object(child);
        }
        let meaning = meaning.clone();
        let token = self.scanner.value(self.scratch)?;
        if let Some(field) = meaning.field {
            self.field(field, token)?;
        }
        self.values(&meaning, token, again);
        Ok(())
    }

    /// The text of a token that stands where a string belongs: strings, and numbers and booleans in canonical form.
    fn canonical<'t>(token: Token<'t>, scratch: &'t str, out: &'t mut String, bound: usize) -> Option<&'t str> {
        let text = match token {
            Token::Plain(text) => text,
            Token::Escaped => scratch,
            Token::Bool(true) => "true",
            Token::Bool(false) => "false",
            Token::Number(_, "-0") => "0",
            Token::Number(_, text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => text,
            Token::Number(x, _) => {
                out.clear();
                canonical_number(x, out);
                out
            }
            Token::Null | Token::Composite => return None,
        };
        (text.len() <= bound).then_some(text)
    }

    fn values(&mut self, meaning: &Meaning, token: Token<'_>, again: bool) {
        let missing = token == Token::Null;
        match meaning.feature {
            Some(Slot::Numeric(i)) => {
                if let Some(slot) = self.row.numeric.get_mut(i) {
                    *slot = if again { numeric::INVALID } else { number(token) };
                }
            }
            Some(Slot::Categorical(i)) => {
                let text = Self::canonical(token, self.scratch, self.text, self.limits.string_bytes);
                let code = match text {
                    _ if again => code::INVALID,
                    Some(text) => self.coder.category(i, text, &mut self.row.fresh),
                    None if missing => code::MISSING,
                    None => code::INVALID,
                };
                if let Some(slot) = self.row.categorical.get_mut(i) {
                    *slot = code;
                }
            }
            None => {}
        }
        for (slot, from_segments) in [(meaning.attribute, false), (meaning.segment, true)] {
            let Some(slot) = slot else { continue };
            let text = Self::canonical(token, self.scratch, self.text, self.limits.string_bytes);
            let code = match text {
                Some(text) if !again => self.coder.attribute(slot, text),
                _ => code::MISSING,
            };
            let row = if from_segments { &mut self.row.segments } else { &mut self.row.attributes };
            if let Some(place) = row.get_mut(slot) {
                *place = code;
            }
        }
        if let Some(place) = meaning.kpi.and_then(|i| self.row.kpis.get_mut(i)) {
            *place = if again { Flag::Invalid } else { flag(token) };
        }
    }

    fn field(&mut self, field: Field, token: Token<'_>) -> Result<(), Stop> {
        match field {
            Field::Score => self.row.score = number(token),
            Field::LatencyMs => self.row.latency_ms = number(token),
            Field::Error => self.row.error = flag(token),
            Field::Decision => self.row.decision = flag(token),
            Field::Value => self.row.value = number(token),
            Field::Weight => self.row.n = number(token),
            Field::Label => self.row.label = self.label(token),
            Field::Ts => self.row.ts = self.time(token)?,
            Field::Model => return self.model(token),
            Field::PredictionId => {
                if let Some(id) = Self::bounded(token, self.scratch, self.text, self.limits, "prediction id")? {
                    self.row.id.push_str(id);
                    self.row.has_id = true;
                }
            }
            Field::Version => {
                let text = Self::bounded(token, self.scratch, self.text, self.limits, "version")?;
                if let Some(text) = text {
                    self.row.version = self.coder.version(text, &mut self.row.fresh);
                }
            }
            Field::Metric => {
                let name = Self::bounded(token, self.scratch, self.text, self.limits, "metric")?;
                self.row.metric = name.map(|name| self.schema.metric(name).unwrap_or(code::MISSING));
            }
            Field::Stage => {
                let text = Self::canonical(token, self.scratch, self.text, self.limits.string_bytes);
                self.row.stage = text.map_or(code::MISSING, |t| self.coder.stage(t, &mut self.row.fresh));
            }
        }
        Ok(())
    }

    /// A text of the envelope: `None` for null, an error for what is no text or too long.
    fn bounded<'t>(
        token: Token<'t>,
        scratch: &'t str,
        out: &'t mut String,
        limits: &Limits,
        what: &str,
    ) -> Result<Option<&'t str>, Reject> {
        if token == Token::Null {
            return Ok(None);
        }
        if token == Token::Composite {
            return Err(Reject::new(Reason::BadText, format!("the {what} is an array or object")));
        }
        match Self::canonical(token, scratch, out, limits.string_bytes) {
            Some("") => Ok(None),
            Some(text) => Ok(Some(text)),
            None => {
                Err(Reject::new(Reason::BadText, format!("the {what} is longer than {} bytes", limits.string_bytes)))
            }
        }
    }

    fn model(&mut self, token: Token<'_>) -> Result<(), Stop> {
        let Some(name) = Self::bounded(token, self.scratch, self.text, self.limits, "model")? else { return Ok(()) };
        if name == self.schema.model {
            self.model_named = Some(self.others.2);
            return Ok(());
        }
        let (before, after, at) = self.others;
        let is = |m: &ModelDecoder| m.schema.model == name;
        let other = before.iter().position(is).or_else(|| after.iter().position(is).map(|i| i + at + 1));
        Err(other.map_or(Stop::UnknownModel, Stop::OtherModel))
    }

    fn label(&self, token: Token<'_>) -> Flag {
        let text = match token {
            Token::Plain(text) => text,
            Token::Escaped => self.scratch,
            other => return flag(other),
        };
        self.schema.label_values.get(text).map_or(Flag::Invalid, |&yes| yes.into())
    }

    fn time(&self, token: Token<'_>) -> Result<Option<i64>, Reject> {
        let text = match token {
            Token::Null => return Ok(None),
            Token::Number(x, text) => {
                // Integers as they stand; 1.7e12 and 5.0 as the integers they are.
                #[allow(clippy::cast_possible_truncation, reason = "integral and below 2^63")]
                let integer =
                    text.parse::<i64>().ok().or_else(|| (x.fract() == 0.0 && x.abs() < 9.2e18).then_some(x as i64));
                let millis = integer.and_then(|i| match self.time {
                    TimeUnit::Seconds => i.checked_mul(1000),
                    TimeUnit::Millis => Some(i),
                    TimeUnit::Micros => Some(i.div_euclid(1000)),
                    TimeUnit::Nanos => Some(i.div_euclid(1_000_000)),
                });
                // Epoch seconds with a fraction are common; other units have none.
                #[allow(clippy::cast_possible_truncation, reason = "bounded by the comparison")]
                let seconds =
                    (self.time == TimeUnit::Seconds && x.abs() < 9.2e15).then_some((x * 1000.0).floor() as i64);
                return millis.or(seconds).map(Some).ok_or_else(|| {
                    Reject::new(Reason::BadTime, format!("the time {text} is not integer milliseconds"))
                });
            }
            Token::Plain(text) => text,
            Token::Escaped => self.scratch,
            Token::Bool(_) | Token::Composite => {
                return Err(Reject::new(Reason::BadTime, "the time is neither a number nor a text"));
            }
        };
        match parse_rfc3339(text) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Reject::new(
                Reason::BadTime,
                format!("the time {:?} is not RFC 3339", text.chars().take(40).collect::<String>()),
            )),
        }
    }
}

/// A numeric cell of a token: booleans are 1 and 0, other types are invalid.
#[inline]
fn number(token: Token<'_>) -> f64 {
    match token {
        Token::Number(x, _) => x,
        Token::Bool(yes) => f64::from(u8::from(yes)),
        Token::Null => numeric::MISSING,
        Token::Plain(_) | Token::Escaped | Token::Composite => numeric::INVALID,
    }
}

/// 0, 1, true or false.
#[inline]
fn flag(token: Token<'_>) -> Flag {
    match token {
        Token::Bool(yes) => yes.into(),
        Token::Number(0.0, _) => Flag::No,
        Token::Number(1.0, _) => Flag::Yes,
        Token::Null => Flag::Missing,
        _ => Flag::Invalid,
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
