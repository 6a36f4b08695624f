//! Rows of a Parquet or CSV file as the default JSON events: a batch of each column is written as JSON values first, then
//! rows are put together from them. What a replay of the file would read is what the events say.

use std::collections::BTreeMap;
use std::path::Path;

use crate::source::columns::FileError;
use crate::source::columns::cells::{Cell, Cells};
use crate::source::columns::nulls::NullTexts;
use crate::source::columns::reader::ColumnReader;
use crate::source::columns::values::parse_number;
use driftgate_core::decode::Reason;
use driftgate_core::decode::time::TimeFormat;
use driftgate_core::event::{self, EventKind, numeric};
use driftgate_core::pipeline::kinds;
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;

/// How a column's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A text as the file spells it: ids, versions, names.
    Text,
    /// The canonical text of a category or segment value.
    Canonical,
    /// A number unchanged, else integer milliseconds.
    Time,
    Number,
    /// 0, 1, booleans, and texts that the policy may map to them.
    Flag,
}

/// One batch of a column as JSON; a value without bytes is left out.
#[derive(Debug, Default)]
struct Column {
    json: Vec<u8>,
    ends: Vec<usize>,
}

impl Column {
    fn get(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).and_then(|r| self.ends.get(r)).copied().unwrap_or(0);
        let end = self.ends.get(row).copied().unwrap_or(start);
        self.json.get(start..end).unwrap_or_default()
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.json);
        self.ends.push(self.json.len());
    }

    /// Writes a batch's cells; `values` are the label texts the policy knows.
    fn fill(&mut self, cells: &Cells, form: Form, values: &BTreeMap<String, bool>) {
        self.json.clear();
        self.ends.clear();
        match form {
            Form::Time => self.times(cells),
            Form::Number => self.numbers(cells, &BTreeMap::new()),
            Form::Flag => self.numbers(cells, values),
            Form::Text => self.texts(cells, true),
            Form::Canonical => self.texts(cells, false),
        }
    }

    fn texts(&mut self, cells: &Cells, empty_is_missing: bool) {
        cells.each_text(|cell| {
            self.push(|out| match cell {
                Cell::Missing => {}
                Cell::Text("") if empty_is_missing => {}
                Cell::Invalid => out.extend_from_slice(b"[]"),
                Cell::Text(text) => string(text, out),
            });
        });
    }

    fn times(&mut self, cells: &Cells) {
        // In which unit they are is for the topic's source to say.
        if matches!(cells, Cells::Integer(_) | Cells::Unsigned(_) | Cells::Float(_) | Cells::Long(..)) {
            return self.numbers(cells, &BTreeMap::new());
        }
        // What is no time goes along as it is, to be rejected where it is read.
        let mut as_text: Option<Self> = None;
        let mut row = 0;
        cells.each_time(&TimeFormat::default(), |time| {
            match time {
                Ok(ms) => self.push(|out| out.extend_from_slice(itoa::Buffer::new().format(ms).as_bytes())),
                Err(reject) if reject.reason == Reason::NoTime => self.push(|_| {}),
                Err(_) => {
                    let texts = as_text.get_or_insert_with(|| {
                        let mut texts = Self::default();
                        texts.texts(cells, false);
                        texts
                    });
                    self.push(|out| out.extend_from_slice(texts.get(row)));
                }
            }
            row += 1;
        });
    }

    fn numbers(&mut self, cells: &Cells, values: &BTreeMap<String, bool>) {
        match cells {
            Cells::Integer(c) => c.iter().for_each(|x| self.push(|out| x.into_iter().for_each(|x| integer(x, out)))),
            Cells::Unsigned(c) => c.iter().for_each(|x| self.push(|out| x.into_iter().for_each(|x| integer(x, out)))),
            Cells::Float(c) | Cells::Long(c, _) => {
                c.iter().for_each(|x| self.push(|out| x.into_iter().for_each(|x| float(x, out))));
            }
            Cells::Bool(c) => c.iter().for_each(|x| {
                let text: &[u8] = x.map_or(b"", |yes| if yes { b"true" } else { b"false" });
                self.push(|out| out.extend_from_slice(text));
            }),
            Cells::Csv(c) => c.iter().for_each(|x| {
                self.push(|out| x.into_iter().for_each(|text| csv_number(text, values, out)));
            }),
            // No numbers: they are counted as invalid where they are read, and must be there for that.
            Cells::Text(_) | Cells::Dictionary(..) | Cells::Time { .. } | Cells::Null(_) | Cells::Other(..) => {
                self.texts(cells, false);
            }
        }
    }
}

fn integer(x: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(x).as_bytes());
}

/// The shortest text that reads back as the same number; NaN is missing, and an infinity overflows again when read.
fn float(x: f64, out: &mut Vec<u8>) {
    if x.is_nan() {
        return;
    }
    if x.is_infinite() {
        out.extend_from_slice(if x > 0.0 { b"1e999" } else { b"-1e999" });
        return;
    }
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, &x);
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// A text of a CSV file where a number or a flag belongs.
fn csv_number(text: &str, values: &BTreeMap<String, bool>, out: &mut Vec<u8>) {
    let text = text.trim();
    if values.contains_key(text) {
        return string(text, out);
    }
    if let Ok(x) = text.parse::<i64>() {
        return integer(x, out);
    }
    let x = parse_number(text);
    if numeric::is_invalid(x) { string(text, out) } else { float(x, out) }
}

/// A column and where in the event it goes.
#[derive(Debug)]
struct Field {
    column: String,
    form: Form,
    /// `"name":`
    key: Vec<u8>,
    /// The value where the file has none.
    default: Vec<u8>,
    batch: Column,
}

impl Field {
    fn new(name: &str, form: Form) -> Self {
        let mut key = Vec::new();
        string(name, &mut key);
        key.push(b':');
        Self { column: name.to_owned(), form, key, default: Vec::new(), batch: Column::default() }
    }
}

/// Fields that share an object: the event itself, or one inside it under its key.
#[derive(Debug)]
struct Object {
    /// `"features":{`, empty for the event itself.
    open: Vec<u8>,
    fields: Vec<Field>,
}

/// A file's rows as events, in file order.
pub struct Rows {
    reader: ColumnReader,
    objects: Vec<Object>,
    /// The prediction ids, where events are keyed by them.
    ids: Option<Field>,
    values: BTreeMap<String, bool>,
    /// Rows of this batch, and the next one to write.
    rows: usize,
    row: usize,
}

/// The kind of events a file holds, by its columns (or a message's keys).
///
/// # Errors
/// Columns of two kinds.
pub fn kind_of<'a>(names: impl Iterator<Item = &'a str>, kpis: &[String]) -> anyhow::Result<EventKind> {
    let (mut labels, mut predictions, mut metric, mut value) = (false, false, false, false);
    for name in names {
        labels |= matches!(name, "label" | "kpi") || kpis.iter().any(|k| k == name);
        predictions |= matches!(name, "score" | "version");
        metric |= name == "metric";
        value |= name == "value";
    }
    if metric && value && !labels {
        return Ok(EventKind::Measurements);
    }
    match (labels, predictions) {
        (true, true) => Err(anyhow::anyhow!(
            "the file has both labels and predictions: choose with --kind predictions or --kind labels"
        )),
        (true, false) => Ok(EventKind::Labels),
        (false, true) => Ok(EventKind::Predictions),
        (false, false) => Ok(EventKind::Features),
    }
}

impl Rows {
    /// Opens a file; without a kind, its columns say it.
    ///
    /// # Errors
    /// A file that cannot be read, or without a column that such events need.
    pub fn open(path: &Path, policy: &Policy, kind: Option<EventKind>) -> anyhow::Result<(Self, EventKind)> {
        let columns = ColumnReader::open(path, &[])?.columns().to_vec();
        let kind = kind.map_or_else(|| kind_of(columns.iter().map(String::as_str), &policy.kpis), Ok)?;
        let mut objects = objects(policy, kind, &columns);
        for object in &mut objects {
            object.fields.retain(|f| columns.contains(&f.column) || !f.default.is_empty());
        }
        let wanted: Vec<String> = objects.iter().flat_map(|o| &o.fields).map(|f| f.column.clone()).collect();
        let reader =
            ColumnReader::open_with(path, &wanted, &NullTexts::listed(policy.baseline.null_values.as_deref()))?;
        require(&reader, policy, kind)?;
        let keyed = kind.has(event::Field::PredictionId) && reader.has("prediction_id");
        let ids = keyed.then(|| Field::new("prediction_id", Form::Text));
        let values = policy.labels.as_ref().map(|l| l.values.clone()).unwrap_or_default();
        Ok((Self { reader, objects, ids, values, rows: 0, row: 0 }, kind))
    }

    /// Writes the next event into `out` and gives its key, if it has one; `None` at the end of the file.
    ///
    /// # Errors
    /// A damaged file.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Option<&[u8]>>, FileError> {
        out.clear();
        if self.row >= self.rows && !self.batch()? {
            return Ok(None);
        }
        let row = self.row;
        self.row += 1;
        out.push(b'{');
        for object in &self.objects {
            let mut opened = object.open.is_empty();
            for field in &object.fields {
                let value = match field.batch.get(row) {
                    [] => field.default.as_slice(),
                    value => value,
                };
                if value.is_empty() {
                    continue;
                }
                if out.last() != Some(&b'{') {
                    out.push(b',');
                }
                if !opened {
                    out.extend_from_slice(&object.open);
                    opened = true;
                }
                out.extend_from_slice(&field.key);
                out.extend_from_slice(value);
            }
            if opened && !object.open.is_empty() {
                out.push(b'}');
            }
        }
        out.push(b'}');
        let Some(ids) = &self.ids else { return Ok(Some(None)) };
        let id = ids.batch.get(row);
        Ok(Some((!id.is_empty()).then_some(id)))
    }

    /// Reads and writes the next batch's columns; false at the end.
    fn batch(&mut self) -> Result<bool, FileError> {
        let Some(rows) = self.reader.next()? else { return Ok(false) };
        (self.rows, self.row) = (rows.len(), 0);
        for field in self.objects.iter_mut().flat_map(|o| &mut o.fields) {
            let cells =
                rows.cells(&field.column).map_err(|e| self.reader.broken(format!("column {:?}: {e}", field.column)))?;
            let Some(cells) = cells else { continue };
            let cells = if field.form == Form::Text { cells.raw() } else { cells };
            // The label alone has texts of its own.
            let none = BTreeMap::new();
            field.batch.fill(&cells, field.form, if field.column == "label" { &self.values } else { &none });
        }
        if let Some(ids) = &mut self.ids
            && let Some(cells) = rows.cells("prediction_id").map_err(|e| self.reader.broken(e))?
        {
            ids.batch.json.clear();
            ids.batch.ends.clear();
            cells.raw().each_text(|cell| {
                ids.batch.push(|out| {
                    if let Cell::Text(text) = cell {
                        out.extend_from_slice(text.as_bytes());
                    }
                });
            });
        }
        Ok(true)
    }
}

/// How the values of a field are written.
fn form_of(field: event::Field) -> Form {
    use event::Field as F;
    match field {
        F::PredictionId | F::Model | F::Version | F::Stage | F::Metric => Form::Text,
        F::Ts => Form::Time,
        F::Score | F::Scores | F::LatencyMs | F::Value | F::Weight => Form::Number,
        F::Label | F::Error | F::Decision | F::Kpi => Form::Flag,
        F::Prediction | F::Segments | F::Features => Form::Canonical,
    }
}

/// What such an event may hold, in the order it is written.
fn objects(policy: &Policy, kind: EventKind, columns: &[String]) -> Vec<Object> {
    let named = |names: &[String], form| names.iter().map(move |n| Field::new(n, form)).collect::<Vec<_>>();
    let mut objects: Vec<Object> = Vec::new();
    for &of_event in kind.fields() {
        let form = match of_event {
            event::Field::Label if policy.is_multiclass() => Form::Canonical,
            _ => form_of(of_event),
        };
        let members = match of_event {
            event::Field::Features => {
                let mut features = named(&policy.features.numeric, Form::Number);
                features.extend(named(&policy.features.categorical, form));
                features
            }
            event::Field::Segments => {
                // A categorical feature is a segment attribute unchanged; a number's text could differ from the file's.
                let mut attributes = Schema::new(policy).attributes;
                attributes.retain(|a| !policy.features.categorical.contains(a));
                named(&attributes, form)
            }
            event::Field::Kpi => named(&policy.kpis, form),
            event::Field::Scores | event::Field::Prediction if !policy.is_multiclass() => continue,
            event::Field::Scores => {
                let class = |column: &String| Some((column.clone(), column.strip_prefix("scores.")?.to_owned()));
                let scores = columns.iter().filter_map(class);
                scores.map(|(column, class)| Field { column, ..Field::new(&class, form) }).collect()
            }
            _ => {
                let mut field = Field::new(of_event.name(), form);
                if of_event == event::Field::Model {
                    string(&policy.model, &mut field.default);
                }
                match objects.last_mut().filter(|object| object.open.is_empty()) {
                    Some(top) => top.fields.push(field),
                    None => objects.push(Object { open: Vec::new(), fields: vec![field] }),
                }
                continue;
            }
        };
        objects.push(Object { open: format!("\"{}\":{{", of_event.name()).into_bytes(), fields: members });
    }
    objects
}

/// Checks that the file has what its events cannot be without.
fn require(reader: &ColumnReader, policy: &Policy, kind: EventKind) -> Result<(), FileError> {
    let (schema, fields) = (Schema::new(policy), event::FieldMap::default());
    reader.require(&kinds::columns(kind, &schema, &fields, &|column| reader.has(column)))
}

#[cfg(test)]
mod tests;
