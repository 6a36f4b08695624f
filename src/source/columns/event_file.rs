//! The part that files of all kinds of events share: the envelope's checks, which columns hold the features, and columns
//! of a batch by name.

use std::path::Path;
use std::sync::Arc;

use super::cells::{Cell, Cells};
use super::{ColumnFile, FileError, FileRows, Piece, Pieces};
use crate::source::options::FileOptions;
use driftgate_core::decode::columns::Columns;
use driftgate_core::decode::notes::Unmapped;
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::{Reason, Reject, check_time, check_value, check_weight};
use driftgate_core::event::{EventKind, Field, FieldMap, Flag, Ids, code, numeric};
use driftgate_core::schema::{Classes, Schema};

/// What receives rejected rows: their number counted from 1, and why.
pub type Rejects<'a> = &'a mut dyn FnMut(u64, Reject);

/// What all kinds of files and all threads that read one share: the file, and which columns hold the features.
pub(super) struct EventFile {
    pub(super) file: Arc<ColumnFile>,
    pub(super) schema: Arc<Schema>,
    options: FileOptions,
    /// Columns of the policy's numeric features, categorical features and attributes.
    numeric: Vec<Option<String>>,
    categorical: Vec<Option<String>>,
    attributes: Vec<Option<String>>,
    /// Per attribute: the categorical feature that the same column holds.
    twins: Vec<Option<usize>>,
}

/// The rows of a piece that are events of this model.
pub(super) struct Events<'f> {
    file: &'f EventFile,
    rows: FileRows,
    ids: Option<Cells>,
    /// Where the envelope has a version.
    versions: Option<Cells>,
    /// How many rows were of other models.
    pub(super) ignored: u64,
}

/// Why a row is no event of this model.
enum Unfit {
    OtherModel,
    Rejected(Reject),
}

/// Rows that are no events of this model, by the order of the checks.
type UnfitRows = Vec<(usize, Unfit)>;

/// What the text of an envelope's field is worth: usable, empty, too long, or another one than is read here.
mod class {
    pub const FINE: u32 = 0;
    pub const EMPTY: u32 = 1;
    pub const LONG: u32 = 2;
    pub const OTHER: u32 = 3;
}

impl EventFile {
    pub(super) fn open(path: &Path, schema: Arc<Schema>, options: &FileOptions) -> Result<(Self, Pieces), FileError> {
        let fields = &options.format.fields;
        let column = |field: &Field| fields.column(*field).to_owned();
        let is_measured = |field: &Field| matches!(field, Field::Metric | Field::Value | Field::Weight);
        let mut wanted: Vec<String> =
            Field::ALL.iter().filter(|field| !field.is_object() && !is_measured(field)).map(column).collect();
        let named = schema.numeric.iter().chain(&schema.categorical).chain(&schema.attributes);
        wanted.extend(named.flat_map(|n| fields.columns_of(n)).map(str::to_owned));
        wanted.extend(schema.kpis.iter().cloned());
        if !schema.metrics.is_empty() {
            wanted.extend([Field::Metric, Field::Value, Field::Weight].iter().map(column));
        }
        let (file, pieces) = ColumnFile::open(path, &wanted, &options.null_values)?;
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
        Ok((Self { file, schema, options: options.clone(), numeric, categorical, attributes, twins }, pieces))
    }

    /// Which names the file has columns for.
    pub(super) fn seen(&self) -> Seen {
        let there = |columns: &[Option<String>]| columns.iter().map(Option::is_some).collect();
        let optional = Field::ALL.iter().filter(|field| field.is_optional());
        Seen {
            numeric: there(&self.numeric),
            categorical: there(&self.categorical),
            attributes: there(&self.attributes),
            kpis: self.schema.kpis.iter().map(|kpi| self.file.has(kpi)).collect(),
            fields: optional.filter(|field| self.file.has(self.column(**field))).copied().collect(),
            nested: ["features", "segments", "kpi"].into_iter().find(|c| self.file.has(c)).map(str::to_owned),
        }
    }

    pub(super) fn fields(&self) -> &FieldMap {
        &self.options.format.fields
    }

    /// The column that holds a field.
    fn column(&self, field: Field) -> &str {
        self.fields().column(field)
    }

    /// The rows of a piece that are events of this model and kind, and their times.
    pub(super) fn read(
        &self,
        piece: Piece,
        (kind, needs_id): (EventKind, bool),
        ts: &mut Vec<i64>,
        rejects: Rejects<'_>,
    ) -> Result<Events<'_>, FileError> {
        let mut rows = self.file.read(piece)?;
        let malformed = rows.take_malformed().into_iter();
        let malformed = malformed.map(|m| (m.row, Unfit::Rejected(Reject::new(Reason::BadRecord, m.why))));
        let mut unfit: UnfitRows = malformed.collect();
        if let Some(models) = self.texts(&rows, self.column(Field::Model))? {
            let own = |name: &str| if name == self.schema.model { class::FINE } else { class::OTHER };
            self.check_texts(&models, "model", None, own, &mut unfit);
        }
        if let Some(times) = self.cells(&rows, self.column(Field::Ts))? {
            self.times(&times, ts, &mut unfit);
        }
        let fine = |_: &str| class::FINE;
        let mut versions = None;
        if kind.has(Field::Version) {
            versions = self.texts(&rows, self.column(Field::Version))?;
            let reason = Some(Reason::NoVersion);
            versions.iter().for_each(|c| self.check_texts(c, "version", reason, fine, &mut unfit));
        }
        let mut ids = self.texts(&rows, self.column(Field::PredictionId))?;
        if let Some(cells) = ids.as_ref().filter(|ids| !ids.all_texts_within(self.options.limits.string_bytes)) {
            let reason = Some(Reason::NoId).filter(|_| needs_id);
            self.check_texts(cells, "prediction id", reason, fine, &mut unfit);
        }
        if kind.has(Field::Metric) {
            self.check_measured(&rows, &mut unfit)?;
        }
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
            ids = self.texts(&rows, self.column(Field::PredictionId))?;
            versions = if kind.has(Field::Version) { self.texts(&rows, self.column(Field::Version))? } else { None };
        }
        Ok(Events { file: self, rows, ids, versions, ignored })
    }

    /// Appends the times, zero for those that are none.
    fn times(&self, times: &Cells, ts: &mut Vec<i64>, unfit: &mut UnfitRows) {
        if times.times_within(
            &self.options.format.time,
            &(0..=self.options.record_ts.saturating_add(self.options.format.time.future)),
            ts,
        ) {
            return;
        }
        let mut row = 0;
        times.each_time(&self.options.format.time, |time| {
            let time = time.and_then(|t| check_time(t, self.options.record_ts, self.options.format.time.future));
            ts.push(*time.as_ref().unwrap_or(&0));
            unfit.extend(time.err().map(|reject| (row, Unfit::Rejected(reject))));
            row += 1;
        });
    }

    /// Checks the texts of an envelope field: `missing` rejects null and empty ones, `of` reads the others.
    fn check_texts(
        &self,
        cells: &Cells,
        what: &str,
        missing: Option<Reason>,
        of: impl Fn(&str) -> u32,
        unfit: &mut UnfitRows,
    ) {
        let bound = self.options.limits.string_bytes;
        let mut classes = Vec::with_capacity(cells.len());
        let class = |text: &str| match text.len() {
            0 => class::EMPTY,
            length if length > bound => class::LONG,
            _ => of(text),
        };
        cells.codes(class, &mut classes);
        for (row, class) in classes.into_iter().enumerate().filter(|(_, class)| *class != class::FINE) {
            let found = match class {
                class::OTHER => Unfit::OtherModel,
                class::EMPTY | code::MISSING => {
                    let Some(reason) = missing else { continue };
                    Unfit::Rejected(Reject::new(reason, format!("the {what} is empty")))
                }
                class::LONG => {
                    Unfit::Rejected(Reject::new(Reason::BadText, format!("the {what} is longer than {bound} bytes")))
                }
                _ => {
                    let detail = format!("the {what} column holds {}", cells.holds());
                    Unfit::Rejected(Reject::new(Reason::BadText, detail))
                }
            };
            unfit.push((row, found));
        }
    }

    /// Checks what makes a measurement.
    fn check_measured(&self, rows: &FileRows, unfit: &mut UnfitRows) -> Result<(), FileError> {
        if let Some(metrics) = self.texts(rows, self.column(Field::Metric))? {
            self.check_texts(&metrics, "metric", Some(Reason::NoMetric), |_| class::FINE, unfit);
        }
        let mut cells = Vec::with_capacity(rows.len());
        self.numbers(rows, Some(self.column(Field::Value)), &mut cells)?;
        let rejected = |row, reject| (row, Unfit::Rejected(reject));
        unfit.extend(cells.iter().enumerate().filter_map(|(row, &x)| Some(rejected(row, check_value(x).err()?))));
        cells.clear();
        self.numbers(rows, Some(self.column(Field::Weight)), &mut cells)?;
        unfit.extend(cells.iter().enumerate().filter_map(|(row, &x)| Some(rejected(row, check_weight(x).err()?))));
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
