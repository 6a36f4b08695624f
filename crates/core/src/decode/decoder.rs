//! The events of a source by a compiled plan, in the format that its messages are written in: values go straight into the slots
//! of their model, from where a batch takes them. `json`, `avro` and `protobuf` pass over an event. In the steady state (known names, known
//! values, known schemas) nothing is allocated.

use std::sync::Arc;

use super::avro::{self, Programs};
use super::checks::{self, Checks};
use super::cloudevents::{Attribute, Envelope, Headers};
use super::coder::{Coder, Word};
use super::framing::{self, Framed, Indexes, SchemaRef};
use super::json::{Plain, Stop, Values, Walk};
use super::notes::Notes;
use super::plan::Plan;
use super::protobuf;
use super::scan::Scanner;
use super::seen::Seen;
use super::short::short_word;
use super::time::TimeFormat;
use super::wire::{Found, Wire};
use super::{Reason, Reject};
use crate::event::{EventKind, FieldMap, Fresh, Limits};
use crate::schema::Schema;

/// What became of an event that was not rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A row was added to the batch of this model.
    Row(usize),
    /// The event's model has no policy here.
    UnknownModel,
    /// The schema that the event was written with is not there yet: nothing was read of it, and it is to be given again.
    Waits,
}

/// A message of a topic, or a line of a file.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    pub value: &'m [u8],
    /// The header that names the value's schema, of a message that has one.
    pub schema_header: Option<&'m [u8]>,
    /// All its headers, of a message whose attributes stand there.
    pub headers: Option<&'m dyn Headers>,
    /// The record's own time in ms.
    pub record_ts: i64,
}

/// What a source's events look like.
#[derive(Clone, Debug, Default)]
pub struct Format {
    pub fields: FieldMap,
    pub time: TimeFormat,
    /// The model of events that name none.
    pub model: Option<usize>,
    pub wire: Wire,
    /// Whether that is the data of CloudEvents.
    pub cloudevents: bool,
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
    /// How Avro values are read by the plan, by the schema that they were written with.
    programs: Programs,
    /// How Protobuf values are read, by the message that they were written as.
    messages: protobuf::Programs,
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

/// What was read of a message.
pub enum Read<'d> {
    Event(Event<'d>),
    /// The event's model has no policy here.
    UnknownModel,
    /// Its schema is not there yet.
    Waits,
}

/// Decodes the events of one source, for all models.
pub struct EventDecoder {
    models: Vec<ModelDecoder>,
    limits: Limits,
    wire: Wire,
    /// What surrounds each event; `None` where nothing does.
    envelope: Option<Box<Envelope>>,
    time: TimeFormat,
    default_model: Option<usize>,
    /// The model of the last event: the guess for the next.
    guess: usize,
    scratch: String,
    text: String,
    /// What is worth telling of the events so far.
    pub notes: Notes,
}

/// What a pass over a message came to.
enum Came {
    /// The index of its model, and its time.
    Event(usize, i64),
    UnknownModel,
    Waits,
}

/// A value, and how it is written.
#[derive(Clone, Copy)]
enum Reads<'m> {
    Json(&'m [u8]),
    Avro(SchemaRef, &'m [u8]),
    Protobuf(SchemaRef, Indexes, &'m [u8]),
}

impl EventDecoder {
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
                word: short_word(&schema.model).unwrap_or(1),
                programs: Programs::default(),
                messages: protobuf::Programs::default(),
                schema: Arc::clone(schema),
                event: 0,
            }
        });
        let models: Vec<ModelDecoder> = models.collect();
        let envelope = || Envelope::new(models.iter().map(|model| &model.plan), format.wire.is_json(), limits.depth);
        Self {
            envelope: format.cloudevents.then(envelope).map(Box::new),
            models,
            limits,
            wire: format.wire.clone(),
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

    /// Whether headers of messages say which schema a value was written with.
    #[must_use]
    pub fn reads_schema_header(&self) -> bool {
        self.wire.is_framed()
    }

    /// Whether attributes of events may stand in headers of messages.
    #[must_use]
    pub fn reads_attributes(&self) -> bool {
        self.envelope.is_some()
    }

    /// Reads an event into its model's slots. What is read has passed every check.
    ///
    /// # Errors
    /// A broken envelope, or a value that is refused.
    #[inline]
    pub fn event(&mut self, message: Message<'_>) -> Result<Read<'_>, Reject> {
        let (model, ts) = match self.read(message)? {
            Came::Event(model, ts) => (model, ts),
            Came::UnknownModel => return Ok(Read::UnknownModel),
            Came::Waits => return Ok(Read::Waits),
        };
        let Self { models, notes, .. } = self;
        let Some(ModelDecoder { schema, coder, values, checks, .. }) = models.get_mut(model) else {
            return Ok(Read::UnknownModel);
        };
        values.check(checks)?;
        Ok(Read::Event(Event { model, ts, values, schema, coder, notes }))
    }

    /// Reads an event into its model's slots: the model and the time.
    fn read(&mut self, message: Message<'_>) -> Result<Came, Reject> {
        let Message { value, headers, .. } = message;
        if value.len() > self.limits.message_bytes {
            return Err(Reject::new(
                Reason::TooLarge,
                format!("{} bytes, the bound is {}", value.len(), self.limits.message_bytes),
            ));
        }
        let Some(mut envelope) = self.envelope.take() else { return self.read_data(message, &[]) };
        let came = envelope.open(value, headers).and_then(|place| {
            let data = envelope.data(&place, value);
            self.read_data(Message { value: data, ..message }, &envelope.attributes)
        });
        self.envelope = Some(envelope);
        came
    }

    /// Reads an event's data, and the attributes around it, into its model's slots.
    fn read_data(&mut self, message: Message<'_>, attributes: &[Attribute]) -> Result<Came, Reject> {
        let Message { value, schema_header, record_ts, .. } = message;
        // Without a frame there is one schema, or none.
        let framed = match &self.wire {
            Wire::Protobuf(_) => framing::unframed_protobuf(value, schema_header)?,
            wire => {
                let (at, value) = if wire.is_framed() {
                    framing::unframed(value, schema_header)?
                } else {
                    (SchemaRef::default(), value)
                };
                Framed { at, indexes: Indexes::default(), value }
            }
        };
        let mut guess = self.guess;
        loop {
            let Some(walked) = self.walk_as_written(guess, framed, attributes)? else { return Ok(Came::Waits) };
            let named = match walked {
                Ok(named) => named,
                Err(Stop::OtherModel(other)) => {
                    guess = other;
                    continue;
                }
                Err(Stop::UnknownModel) => return Ok(Came::UnknownModel),
                Err(Stop::Reject(reject)) => return Err(reject),
            };
            if !named {
                match self.default_model {
                    None => return Err(Reject::new(Reason::NoModel, "the event names no model")),
                    Some(default) if default != guess => {
                        guess = default;
                        continue;
                    }
                    Some(_) => {}
                }
            }
            self.guess = guess;
            let ts = self.models.get(guess).and_then(|m| m.values.ts);
            let ts = ts.ok_or_else(|| Reject::new(Reason::NoTime, "the event has no time"))?;
            return Ok(Came::Event(guess, checks::time(ts, record_ts, self.time.future)?));
        }
    }

    /// Walks one event by model `guess`'s plan; `None`: its schema is not there yet.
    fn walk_as_written(
        &mut self,
        guess: usize,
        framed: Framed<'_>,
        attributes: &[Attribute],
    ) -> Result<Option<Result<bool, Stop>>, Reject> {
        let Framed { at, indexes, value } = framed;
        let is_known = |models: &[ModelDecoder]| models.get(guess).is_none_or(|model| model.programs.has(at));
        let is_message = |models: &[ModelDecoder]| models.get(guess).is_none_or(|m| m.messages.has(at, indexes));
        match &self.wire {
            Wire::Json | Wire::JsonSchema => return Ok(Some(self.walk(guess, Reads::Json(value), attributes))),
            Wire::Avro(schemas) if !is_known(&self.models) => match schemas.find(at) {
                Found::Waits => return Ok(None),
                Found::Refused(why) => return Err(Reject::new(Reason::UnknownSchema, why)),
                Found::Avro(writer) => self.compile(guess, at, &writer)?,
                Found::Protobuf(_) => return Err(other_type(at, "PROTOBUF", "avro")),
            },
            Wire::AvroOf(writer) if !is_known(&self.models) => {
                let writer = Arc::clone(writer);
                self.compile(guess, at, &writer)?;
            }
            Wire::Avro(_) | Wire::AvroOf(_) => {}
            Wire::Protobuf(schemas) => {
                if !is_message(&self.models) {
                    match schemas.find(at) {
                        Found::Waits => return Ok(None),
                        Found::Refused(why) => return Err(Reject::new(Reason::UnknownSchema, why)),
                        Found::Protobuf(definitions) => self.compile_message(guess, at, indexes, &definitions)?,
                        Found::Avro(_) => return Err(other_type(at, "AVRO", "protobuf")),
                    }
                }
                return Ok(Some(self.walk(guess, Reads::Protobuf(at, indexes, value), attributes)));
            }
            Wire::ProtobufOf(definitions) => {
                if !is_message(&self.models) {
                    let definitions = Arc::clone(definitions);
                    self.compile_message(guess, at, indexes, &definitions)?;
                }
                return Ok(Some(self.walk(guess, Reads::Protobuf(at, indexes, value), attributes)));
            }
        }
        Ok(Some(self.walk(guess, Reads::Avro(at, value), attributes)))
    }

    /// Compiles how a model reads what was written with a schema.
    fn compile(&mut self, model: usize, at: SchemaRef, writer: &avro::Writer) -> Result<(), Reject> {
        self.models.get_mut(model).map_or(Ok(()), |model| model.programs.compile(at, writer, &model.plan))
    }

    /// Compiles how a model reads what was written as a message.
    fn compile_message(
        &mut self,
        model: usize,
        at: SchemaRef,
        indexes: Indexes,
        of: &protobuf::Definitions,
    ) -> Result<(), Reject> {
        self.models.get_mut(model).map_or(Ok(()), |model| model.messages.compile(at, indexes, of, &model.plan))
    }

    /// Walks one event by model `at`'s plan; returns whether the event names its model.
    fn walk(&mut self, at: usize, reads: Reads<'_>, attributes: &[Attribute]) -> Result<bool, Stop> {
        let text = match reads {
            // Some programs begin every text with a byte order mark, and every file.
            Reads::Json(text) => text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            Reads::Avro(..) | Reads::Protobuf(..) => &[],
        };
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
            scanner: Scanner::new(text, self.limits.depth),
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
        attributes.iter().try_for_each(|attribute| attribute.put(&mut walk))?;
        match reads {
            Reads::Json(_) => {
                walk.object(0)?;
                walk.scanner.end()?;
            }
            Reads::Avro(at, value) => model.programs.read(at, value, &mut walk)?,
            Reads::Protobuf(at, indexes, value) => model.messages.read(at, indexes, value, &mut walk)?,
        }
        Ok(walk.names_model)
    }
}

/// A schema of another type than the source's format.
fn other_type(at: SchemaRef, of_type: &str, format: &str) -> Reject {
    let detail = format!(
        "the schema {at} is of the type {of_type}, and the source's format is `{format}`: write the format of its messages"
    );
    Reject::new(Reason::UnknownSchema, detail)
}
