//! What files of all kinds of events share: the checks of `decode::checks` by columns, which columns hold the features, columns by name.

use std::path::Path;
use std::sync::Arc;

use super::cells::{Cell, Cells};
use super::scores::ScoreColumns;
use super::{ColumnFile, FileError, FileRows, Piece, Pieces};
use crate::source::options::FileOptions;
use driftgate_core::decode::checks::{self, Checks};
use driftgate_core::decode::columns::{ClassScores, Columns};
use driftgate_core::decode::notes::Unmapped;
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::{Reason, Reject};
use driftgate_core::event::{EventKind, Field, FieldMap, Flag, Ids, code, numeric};
use driftgate_core::schema::{Classes, Schema};

/// What receives rejected rows: their number from 1, and why.
pub type Rejects<'a> = &'a mut dyn FnMut(u64, Reject);

/// What all kinds of files and all threads that read one share: the file, and which columns hold the features.
pub(super) struct EventFile {
    pub(super) file: Arc<ColumnFile>,
    pub(super) schema: Arc<Schema>,
    options: FileOptions,
    checks: Checks,
    /// Columns of numeric features, categorical features and attributes.
    numeric: Vec<Option<String>>,
    categorical: Vec<Option<String>>,
    attributes: Vec<Option<String>>,
    /// Per attribute: the categorical feature that the same column holds.
    twins: Vec<Option<usize>>,
    scores: ScoreColumns,
}

/// The rows of a piece that are events of this model.
pub(super) struct Events<'f> {
    file: &'f EventFile,
    rows: FileRows,
    ids: Option<Cells>,
    /// Where the envelope has a version.
    versions: Option<Cells>,
    /// Rows of other models.
    pub(super) ignored: u64,
}

/// Why a row is no event of this model.
enum Unfit {
    OtherModel,
    Rejected(Reject),
}

/// Rows that are no events of this model, by the order of the checks.
type UnfitRows = Vec<(usize, Unfit)>;

/// What the text of an envelope's field is worth: usable, empty, another one than is read here, or, from `REFUSED` on, refused.
mod class {
    pub const FINE: u32 = 0;
    pub const EMPTY: u32 = 1;
    pub const OTHER: u32 = 2;
    pub const REFUSED: u32 = 3;
}

impl EventFile {
    pub(super) fn open(
        path: &Path,
        kind: EventKind,
        schema: Arc<Schema>,
        options: &FileOptions,
    ) -> Result<(Self, Pieces), FileError> {
        let fields = &options.format.fields;
        let column = |field: &Field| fields.column(*field).to_owned();
        // A model of several classes has no score or decision of its own, and another one no such class.
        let is_other = |field: &Field| match field {
            Field::Prediction => schema.classes.is_empty(),
            Field::Score | Field::Decision => !schema.classes.is_empty(),
            _ => false,
        };
        let is_measured = |field: &Field| matches!(field, Field::Metric | Field::Value | Field::Weight);
        let mut wanted: Vec<String> = Field::ALL
            .iter()
            .filter(|field| !field.is_object() && !is_measured(field) && !is_other(field))
            .map(column)
            .collect();
        let named = schema.numeric.iter().chain(&schema.categorical).chain(&schema.attributes);
        wanted.extend(
            named.flat_map(|n| fields.columns_of(n)).chain(schema.kpis.iter().map(String::as_str)).map(str::to_owned),
        );
        if !schema.metrics.is_empty() {
            wanted.extend([Field::Metric, Field::Value, Field::Weight].iter().map(column));
        }
        let (mut file, mut pieces) = ColumnFile::open(path, &wanted, &options.null_values)?;
        let scores = ScoreColumns::of(file.columns(), &schema, fields);
        // Which classes it has scores of is known only now.
        if !scores.is_empty() {
            wanted.extend(scores.all().cloned());
            (file, pieces) = ColumnFile::open(path, &wanted, &options.null_values)?;
        }
        file.require(&[fields.column(Field::Ts)])?;
        let found = |names: &[String]| -> Vec<Option<String>> {
            let column = |name: &String| fields.columns_of(name).find(|c| file.has(c)).map(str::to_owned);
            names.iter().map(column).collect()
        };
        let (numeric, categorical, attributes) =
            (found(&schema.numeric), found(&schema.categorical), found(&schema.attributes));
        let twin = |column: &Option<String>| {
            column.as_ref().and_then(|c| categorical.iter().position(|f: &Option<String>| f.as_ref() == Some(c)))
        };
        let twins = attributes.iter().map(twin).collect();
        let checks = Checks::new(kind, &schema, options.limits);
        let options = options.clone();
        Ok((Self { file, schema, options, checks, numeric, categorical, attributes, twins, scores }, pieces))
    }

    /// Which names the file has columns for.
    pub(super) fn seen(&self) -> Seen {
        let there = |columns: &[Option<String>]| columns.iter().map(Option::is_some).collect();
        let has = |field| self.file.has(self.column(field)) || field == Field::Prediction && !self.scores.is_empty();
        let optional = Field::ALL.iter().filter(|field| field.is_optional());
        Seen {
            numeric: there(&self.numeric),
            categorical: there(&self.categorical),
            attributes: there(&self.attributes),
            kpis: self.schema.kpis.iter().map(|kpi| self.file.has(kpi)).collect(),
            fields: optional.filter(|field| has(**field)).copied().collect(),
            nested: ["features", "segments", "kpi", "scores"].into_iter().find(|c| self.file.has(c)).map(str::to_owned),
        }
    }

    pub(super) fn fields(&self) -> &FieldMap {
        &self.options.format.fields
    }

    /// The column that holds a field.
    fn column(&self, field: Field) -> &str {
        self.fields().column(field)
    }

    /// The rows of a piece that are events of this model and pass every check, and their times.
    pub(super) fn read(&self, piece: Piece, ts: &mut Vec<i64>, rejects: Rejects<'_>) -> Result<Events<'_>, FileError> {
        let mut rows = self.file.read(piece)?;
        let malformed = rows.take_malformed().into_iter();
        let malformed = malformed.map(|m| (m.row, Unfit::Rejected(Reject::new(Reason::BadRecord, m.why))));
        let mut unfit: UnfitRows = malformed.collect();
        if let Some(models) = self.texts(&rows, self.column(Field::Model))? {
            self.check_texts(&models, Field::Model, |name| name == self.schema.model, &mut unfit);
        }
        if let Some(times) = self.cells(&rows, self.column(Field::Ts))? {
            self.times(&times, ts, &mut unfit);
        }
        let (mut versions, mut ids) = (None, None);
        for &field in self.checks.texts().iter().filter(|field| **field != Field::Model) {
            let Some(cells) = self.texts(&rows, self.column(field))? else { continue };
            if !cells.all_texts_within(self.checks.passes_within(field)) {
                self.check_texts(&cells, field, |_| true, &mut unfit);
            }
            match field {
                Field::Version => versions = Some(cells),
                Field::PredictionId => ids = Some(cells),
                _ => {}
            }
        }
        self.check_numbers(&rows, &mut unfit)?;
        let mut ignored = 0;
        if !unfit.is_empty() {
            let mut keep = vec![true; rows.len()];
            // Of several unfit of a row the first check's counts.
            unfit.sort_by_key(|(row, _)| *row);
            unfit.dedup_by_key(|(row, _)| *row);
            for (row, found) in unfit {
                keep.get_mut(row).into_iter().for_each(|kept| *kept = false);
                match found {
                    Unfit::OtherModel => ignored += 1,
                    Unfit::Rejected(reject) => rejects(rows.first + row as u64, reject),
                }
            }
            rows.filter(&keep);
            let mut kept = keep.into_iter();
            ts.retain(|_| kept.next().unwrap_or(false));
            for (cells, field) in [(&mut versions, Field::Version), (&mut ids, Field::PredictionId)] {
                if cells.is_some() {
                    *cells = self.texts(&rows, self.column(field))?;
                }
            }
        }
        Ok(Events { file: self, rows, ids, versions, ignored })
    }

    /// Appends the times, zero for those that are none.
    fn times(&self, times: &Cells, ts: &mut Vec<i64>, unfit: &mut UnfitRows) {
        let FileOptions { record_ts, format, .. } = &self.options;
        let (format, future) = (&format.time, format.time.future);
        if times.times_within(format, &checks::times(*record_ts, future), ts) {
            return;
        }
        let mut row = 0;
        times.each_time(format, |time| {
            let time = time.and_then(|t| checks::time(t, *record_ts, future));
            ts.push(*time.as_ref().unwrap_or(&0));
            unfit.extend(time.err().map(|reject| (row, Unfit::Rejected(reject))));
            row += 1;
        });
    }

    /// Checks the texts of a field; those that are not `ours` are of other models.
    fn check_texts(&self, cells: &Cells, field: Field, ours: impl Fn(&str) -> bool, unfit: &mut UnfitRows) {
        let missing = self.checks.needed().find(|(needed, ..)| *needed == field).map(|(_, reason, _)| reason);
        let mut classes = Vec::with_capacity(cells.len());
        let mut refused = Vec::new();
        let class = |text: &str| {
            if text.is_empty() {
                return class::EMPTY;
            }
            match self.checks.text(field, text) {
                Ok(()) if ours(text) => class::FINE,
                Ok(()) => class::OTHER,
                Err(reject) => {
                    let class = u32::try_from(refused.len()).map_or(code::INVALID, |at| class::REFUSED + at);
                    refused.push(reject);
                    class
                }
            }
        };
        cells.codes(class, &mut classes);
        let what = checks::name(field);
        for (row, class) in classes.into_iter().enumerate().filter(|(_, class)| *class != class::FINE) {
            let found = match class {
                class::OTHER => Unfit::OtherModel,
                class::EMPTY | code::MISSING => {
                    let Some(reason) = missing else { continue };
                    Unfit::Rejected(Reject::new(reason, format!("the {what} is empty")))
                }
                class => {
                    let unreadable =
                        || Reject::new(Reason::BadText, format!("the {what} column holds {}", cells.holds()));
                    Unfit::Rejected(refused.get((class - class::REFUSED) as usize).cloned().unwrap_or_else(unreadable))
                }
            };
            unfit.push((row, found));
        }
    }

    /// Checks the numbers of which some are refused.
    fn check_numbers(&self, rows: &FileRows, unfit: &mut UnfitRows) -> Result<(), FileError> {
        let mut cells = Vec::new();
        for &field in self.checks.numbers() {
            cells.clear();
            self.numbers(rows, Some(self.column(field)), &mut cells)?;
            let refused = cells.iter().map(|&cell| self.checks.number(field, cell)).enumerate();
            unfit.extend(refused.filter_map(|(row, checked)| Some((row, Unfit::Rejected(checked.err()?)))));
        }
        Ok(())
    }

    fn cells(&self, rows: &FileRows, column: &str) -> Result<Option<Cells>, FileError> {
        rows.cells(column).map_err(|cause| self.file.broken(rows.first - 1, format!("column {column:?}: {cause}")))
    }

    /// The cells of an envelope field that is a text.
    fn texts(&self, rows: &FileRows, column: &str) -> Result<Option<Cells>, FileError> {
        Ok(self.cells(rows, column)?.map(Cells::raw))
    }

    /// Appends a column of numbers, missing where the file has no such column.
    fn numbers(&self, rows: &FileRows, column: Option<&str>, out: &mut Vec<f64>) -> Result<(), FileError> {
        match column.map(|c| self.cells(rows, c)).transpose()?.flatten() {
            Some(cells) => cells.numbers(out),
            None => out.resize(out.len() + rows.len(), numeric::MISSING),
        }
        Ok(())
    }

    /// Appends a column of flags, missing where the file has no such column; what stands for no class is noted.
    fn flags(
        &self,
        rows: &FileRows,
        column: &str,
        classes: &Classes,
        unmapped: Option<&mut Unmapped>,
        out: &mut Vec<Flag>,
    ) -> Result<(), FileError> {
        let start = out.len();
        match self.cells(rows, column)? {
            Some(cells) => {
                cells.flags(classes, out);
                if let Some(unmapped) = unmapped {
                    let invalid = out.iter().skip(start).enumerate().filter(|(_, flag)| **flag == Flag::Invalid);
                    invalid.for_each(|(row, _)| match unmapped.count {
                        0 => unmapped.add(&cells.show(row)),
                        _ => unmapped.count += 1,
                    });
                }
            }
            None => out.resize(out.len() + rows.len(), Flag::Missing),
        }
        Ok(())
    }

    /// Appends a column of codes; texts beyond the bound get `too_long`.
    fn codes(
        &self,
        rows: &FileRows,
        column: Option<&str>,
        too_long: u32,
        mut intern: impl FnMut(&str) -> u32,
        out: &mut Vec<u32>,
    ) -> Result<(), FileError> {
        let bound = self.options.limits.string_bytes;
        match column.map(|c| self.cells(rows, c)).transpose()?.flatten() {
            Some(cells) => cells.codes(|text| if text.len() <= bound { intern(text) } else { too_long }, out),
            None => out.resize(out.len() + rows.len(), code::MISSING),
        }
        Ok(())
    }

    /// Appends the codes of an envelope field that is a text; empty and overlong texts are missing.
    fn names(&self, cells: Option<&Cells>, rows: usize, mut intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) {
        let bound = self.options.limits.string_bytes;
        match cells {
            Some(cells) => {
                cells.codes(|t| if t.is_empty() || t.len() > bound { code::MISSING } else { intern(t) }, out);
            }
            None => out.resize(out.len() + rows, code::MISSING),
        }
    }
}

impl Columns for Events<'_> {
    type Error = FileError;

    fn schema(&self) -> &Schema {
        &self.file.schema
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn ids(&self, out: &mut Ids) {
        out.reserve(self.rows.len());
        match &self.ids {
            Some(cells) => cells.each_text(|cell| out.push(if let Cell::Text(text) = cell { text } else { "" })),
            None => (0..self.rows.len()).for_each(|_| out.push("")),
        }
    }

    fn versions(&self, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) {
        self.file.names(self.versions.as_ref(), self.rows.len(), intern, out);
    }

    fn names(&self, field: Field, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) -> Result<(), FileError> {
        let cells = self.file.texts(&self.rows, self.file.column(field))?;
        self.file.names(cells.as_ref(), self.rows.len(), intern, out);
        Ok(())
    }

    fn numbers(&self, field: Field, out: &mut Vec<f64>) -> Result<(), FileError> {
        self.file.numbers(&self.rows, Some(self.file.column(field)), out)
    }

    fn flags(
        &self,
        field: Field,
        classes: &Classes,
        unmapped: Option<&mut Unmapped>,
        out: &mut Vec<Flag>,
    ) -> Result<(), FileError> {
        self.file.flags(&self.rows, self.file.column(field), classes, unmapped, out)
    }

    fn scores(&self) -> Result<Option<ClassScores>, FileError> {
        self.file.scores.read(self.rows.len(), |name, out| self.file.numbers(&self.rows, name, out))
    }

    fn kpi(&self, kpi: usize, unmapped: &mut Unmapped, out: &mut Vec<Flag>) -> Result<(), FileError> {
        let Some(column) = self.file.schema.kpis.get(kpi) else { return Ok(()) };
        self.file.flags(&self.rows, column, &Classes::default(), Some(unmapped), out)
    }

    fn numeric(&self, slot: usize, out: &mut Vec<f64>) -> Result<(), FileError> {
        self.file.numbers(&self.rows, named(&self.file.numeric, slot), out)
    }

    fn categorical(&self, slot: usize, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) -> Result<(), FileError> {
        self.file.codes(&self.rows, named(&self.file.categorical, slot), code::INVALID, intern, out)
    }

    fn attribute(&self, slot: usize, intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) -> Result<(), FileError> {
        self.file.codes(&self.rows, named(&self.file.attributes, slot), code::MISSING, intern, out)
    }

    fn twin(&self, attribute: usize) -> Option<usize> {
        self.file.twins.get(attribute).copied().flatten()
    }
}

/// The column of a slot, where the file has one.
fn named(columns: &[Option<String>], slot: usize) -> Option<&str> {
    columns.get(slot).and_then(Option::as_deref)
}
