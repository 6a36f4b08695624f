//! A writer's schema compiled for one plan: where each field goes, and how its value is written.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, NamespaceRef, RecordSchema, UuidSchema};

use super::super::framing::SchemaRef;
use super::super::plan::Plan;
use super::super::put::Place;
use super::super::{Reason, Reject};
use super::Writer;
use crate::event::TimeUnit;

/// A decoder that has compiled more programs than this starts again: producers that write a schema per message.
const MOST_PROGRAMS: usize = 4096;
/// Records of one schema, each counted once per place that it is read to.
const MOST_RECORDS: usize = 10_000;

/// How a value is written.
#[derive(Debug)]
pub enum Kind {
    Null,
    Boolean,
    /// `int` and `long`, which are written alike, and times of the day.
    Integer,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Symbols(Box<[String]>),
    /// The digits behind the point, and the size where it is fixed.
    Decimal(usize, Option<usize>),
    /// 16 bytes.
    Uuid,
    /// Days since 1970.
    Date,
    /// An instant as a number of these since 1970, or what a clock shows as one.
    Instant(TimeUnit),
    Clock(TimeUnit),
    Array(Box<Kind>),
    /// The node of the plan that its keys are looked up in.
    Map(Box<Kind>, Option<usize>),
    Union(Box<[Kind]>),
    /// The index of a record; whether it has places of its own.
    Record(usize, bool),
}

/// A field of a record: where its value goes, if anywhere, and how it is written.
#[derive(Debug)]
pub struct Step {
    pub(super) to: Option<Place>,
    pub kind: Kind,
}

/// What reads the values of one schema.
#[derive(Debug)]
pub struct Program {
    pub root: Kind,
    /// The fields of each record, in their order.
    pub records: Vec<Vec<Step>>,
}

/// Programs by schema.
#[derive(Debug, Default)]
pub struct Programs {
    /// The schema of the last message is the guess for the next.
    last: Option<(SchemaRef, usize)>,
    by_schema: HashMap<SchemaRef, usize>,
    programs: Vec<Program>,
}

impl Programs {
    #[must_use]
    pub fn has(&self, at: SchemaRef) -> bool {
        self.last.is_some_and(|(last, _)| last == at) || self.by_schema.contains_key(&at)
    }

    /// The program of a schema.
    pub(super) fn get(&mut self, at: SchemaRef) -> Option<&Program> {
        let index = match self.last {
            Some((last, index)) if last == at => index,
            _ => {
                let index = *self.by_schema.get(&at)?;
                self.last = Some((at, index));
                index
            }
        };
        self.programs.get(index)
    }

    /// Compiles a schema for a plan.
    ///
    /// # Errors
    /// A schema that refers to others that are not there, or is too large.
    pub fn compile(&mut self, at: SchemaRef, writer: &Writer, plan: &Plan) -> Result<(), Reject> {
        let refused =
            |why: String| Reject::new(Reason::UnknownSchema, format!("the schema {at} cannot be used: {why}"));
        let program = compiled(writer, plan).map_err(refused)?;
        if self.programs.len() >= MOST_PROGRAMS {
            *self = Self::default();
        }
        self.by_schema.insert(at, self.programs.len());
        self.programs.push(program);
        Ok(())
    }
}

/// A schema compiled for a plan.
pub fn compiled(writer: &Writer, plan: &Plan) -> Result<Program, String> {
    let mut names = HashMap::new();
    for schema in writer.others.iter().chain([&writer.schema]) {
        collect(schema, None, &mut names);
    }
    let mut compiler = Compiler { plan, names, known: HashMap::new(), records: Vec::new() };
    let root = compiler.kind(&writer.schema, None, Some(0))?;
    Ok(Program { root, records: compiler.records })
}

/// Named schemas, by their full names.
fn collect<'s>(schema: &'s Schema, within: NamespaceRef<'s>, known: &mut HashMap<String, &'s Schema>) {
    let full = |name: &Name| name.fullname(within);
    match schema {
        Schema::Record(record) => {
            known.insert(full(&record.name), schema);
            let within = record.name.namespace().or(within);
            record.fields.iter().for_each(|field| collect(&field.schema, within, known));
        }
        Schema::Enum(symbols) => drop(known.insert(full(&symbols.name), schema)),
        Schema::Fixed(fixed)
        | Schema::Duration(fixed)
        | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. })
        | Schema::Uuid(UuidSchema::Fixed(fixed)) => drop(known.insert(full(&fixed.name), schema)),
        Schema::Array(array) => collect(&array.items, within, known),
        Schema::Map(map) => collect(&map.types, within, known),
        Schema::Union(union) => union.variants().iter().for_each(|variant| collect(variant, within, known)),
        _ => {}
    }
}

struct Compiler<'c> {
    plan: &'c Plan,
    names: HashMap<String, &'c Schema>,
    /// Records that were begun, by name and by the node that they are read to.
    known: HashMap<(String, Option<usize>), usize>,
    records: Vec<Vec<Step>>,
}

impl<'c> Compiler<'c> {
    /// How a value is written; `node`: the node of the plan that the fields of a record here are looked up in.
    fn kind(&mut self, schema: &'c Schema, within: NamespaceRef<'c>, node: Option<usize>) -> Result<Kind, String> {
        Ok(match schema {
            Schema::Null => Kind::Null,
            Schema::Boolean => Kind::Boolean,
            Schema::Int | Schema::Long | Schema::TimeMillis | Schema::TimeMicros => Kind::Integer,
            Schema::Float => Kind::Float,
            Schema::Double => Kind::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Kind::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Kind::Text,
            Schema::Uuid(UuidSchema::Fixed(_)) => Kind::Uuid,
            Schema::Fixed(fixed) | Schema::Duration(fixed) => Kind::Fixed(fixed.size),
            Schema::Enum(symbols) => Kind::Symbols(symbols.symbols.clone().into()),
            Schema::Decimal(DecimalSchema { scale, inner, .. }) => {
                let size = match inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
                };
                Kind::Decimal(*scale, size)
            }
            Schema::Date => Kind::Date,
            Schema::TimestampMillis => Kind::Instant(TimeUnit::Millis),
            Schema::TimestampMicros => Kind::Instant(TimeUnit::Micros),
            Schema::TimestampNanos => Kind::Instant(TimeUnit::Nanos),
            Schema::LocalTimestampMillis => Kind::Clock(TimeUnit::Millis),
            Schema::LocalTimestampMicros => Kind::Clock(TimeUnit::Micros),
            Schema::LocalTimestampNanos => Kind::Clock(TimeUnit::Nanos),
            Schema::Array(array) => Kind::Array(Box::new(self.kind(&array.items, within, None)?)),
            Schema::Map(map) => Kind::Map(Box::new(self.kind(&map.types, within, None)?), node),
            Schema::Union(union) => {
                let kinds = union.variants().iter().map(|variant| self.kind(variant, within, node));
                Kind::Union(kinds.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => self.record(record, within, node)?,
            Schema::Ref { name } => {
                let full = name.fullname(within);
                let found = self.names.get(&full).copied();
                let found = found.ok_or_else(|| format!("it refers to {full}, which no schema defines"))?;
                self.kind(found, name.namespace().or(within), node)?
            }
        })
    }

    fn record(
        &mut self,
        record: &'c RecordSchema,
        within: NamespaceRef<'c>,
        node: Option<usize>,
    ) -> Result<Kind, String> {
        let key = (record.name.fullname(within), node);
        // A record that holds itself is begun once.
        if let Some(&known) = self.known.get(&key) {
            return Ok(Kind::Record(known, node.is_some()));
        }
        if self.records.len() >= MOST_RECORDS {
            return Err(format!("it has more than {MOST_RECORDS} records"));
        }
        let at = self.records.len();
        self.known.insert(key, at);
        self.records.push(Vec::new());
        let within = record.name.namespace().or(within);
        let mut steps = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let to = node.and_then(|node| Some((node, self.plan.nodes.get(node)?.find(&field.name)?)));
            let meaning = to.and_then(|(node, key)| self.plan.nodes.get(node)?.meanings.get(key));
            let child = meaning.and_then(|meaning| meaning.child);
            steps.push(Step { to, kind: self.kind(&field.schema, within, child)? });
        }
        if let Some(record) = self.records.get_mut(at) {
            *record = steps;
        }
        Ok(Kind::Record(at, node.is_some()))
    }
}
