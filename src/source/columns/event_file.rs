//! The part that files of all kinds of events share: the envelope's checks, which columns hold the features, and columns
//! of a batch by name.

use std::path::Path;
use std::sync::Arc;

use super::cells::{Cell, Cells};
use super::events::FileFields;
use super::stream::Rejects;
use super::{ColumnFile, FileError, Piece, Pieces, Rows};
use driftgate_core::decode::coder::Coder;
use driftgate_core::decode::notes::Unmapped;
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::{Reason, Reject, check_time, check_value, check_weight};
use driftgate_core::event::{FeatureColumns, Field, Flag, Fresh, Ids, Limits, code, numeric};
use driftgate_core::schema::{Classes, Schema};

/// The part that all kinds of files, and all threads that read one, share: the file, and which columns hold the features.
pub(super) struct EventFile {
    pub(super) file: Arc<ColumnFile>,
    pub(super) schema: Arc<Schema>,
    pub(super) fields: FileFields,
    pub(super) limits: Limits,
    pub(super) record_ts: i64,
    /// Columns of the policy's numeric features, categorical features and attributes.
    pub(super) numeric: Vec<Option<String>>,
    pub(super) categorical: Vec<Option<String>>,
    pub(super) attributes: Vec<Option<String>>,
}

/// Which envelope fields an event must have, beside the time.
#[derive(Clone, Copy)]
pub(super) struct Envelope {
    pub(super) version: bool,
    pub(super) id: bool,
    /// The metric, value and `n` of a measurement.
    pub(super) measured: bool,
}

/// The rows of a piece that are events of this model.
pub(super) struct Events {
    pub(super) rows: Rows,
    pub(super) ids: Option<Cells>,
    /// Where the envelope has a version.
    pub(super) versions: Option<Cells>,
    /// How many rows were of other models.
    pub(super) ignored: u64,
}

/// Why a row is no event of this model.
enum Outcome {
    OtherModel,
    Rejected(Reject),
}

/// Rows that are no events of this model, by the order of the checks.
type Outcomes = Vec<(usize, Outcome)>;

/// The text behind a code of the envelope.
mod class {
    pub const FINE: u32 = 0;
    pub const EMPTY: u32 = 1;
    pub const LONG: u32 = 2;
    pub const OTHER: u32 = 3;
}

impl EventFile {
    pub(super) fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<(Self, Pieces), FileError> {
        let column = |field: &Field| fields.map.column(*field).to_owned();
        let is_measured = |field: &Field| matches!(field, Field::Metric | Field::Value | Field::Weight);
        let mut wanted: Vec<String> =
            Field::ALL.iter().filter(|field| !field.is_object() && !is_measured(field)).map(column).collect();
        let named = schema.numeric.iter().chain(&schema.categorical).chain(&schema.attributes);
        wanted.extend(named.flat_map(|n| fields.map.columns_of(n)).map(str::to_owned));
        wanted.extend(schema.kpis.iter().cloned());
        if !schema.metrics.is_empty() {
            wanted.extend([Field::Metric, Field::Value, Field::Weight].iter().map(column));
        }
        let (file, pieces) = ColumnFile::open(path, &wanted, &fields.null_values)?;
        file.require(&[fields.map.column(Field::Ts)])?;
        let found = |names: &[String]| -> Vec<Option<String>> {
            let column = |name: &String| fields.map.columns_of(name).find(|c| file.has(c)).map(str::to_owned);
            names.iter().map(column).collect()
        };
        let (numeric, categorical, attributes) =
            (found(&schema.numeric), found(&schema.categorical), found(&schema.attributes));
        Ok((Self { file, schema, fields: fields.clone(), limits, record_ts, numeric, categorical, attributes }, pieces))
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

    /// The column that holds a field.
    pub(super) fn column(&self, field: Field) -> &str {
        self.fields.map.column(field)
    }

    /// The rows of a piece that are events of this model, and their times.
    pub(super) fn read(
        &self,
        piece: Piece,
        envelope: Envelope,
        ts: &mut Vec<i64>,
        rejects: Rejects<'_>,
    ) -> Result<Events, FileError> {
        let mut rows = self.file.read(piece)?;
        let malformed = rows.take_malformed().into_iter();
        let malformed = malformed.map(|m| (m.row, Outcome::Rejected(Reject::new(Reason::BadRecord, m.why))));
        let mut outcomes: Outcomes = malformed.collect();
        if let Some(models) = self.texts(&rows, self.column(Field::Model))? {
            let own = |name: &str| if name == self.schema.model { class::FINE } else { class::OTHER };
            self.check_texts(&models, "model", None, own, &mut outcomes);
        }
        if let Some(times) = self.cells(&rows, self.column(Field::Ts))? {
            self.times(&times, ts, &mut outcomes);
        }
        let fine = |_: &str| class::FINE;
        let mut versions = None;
        if envelope.version {
            versions = self.texts(&rows, self.column(Field::Version))?;
            let reason = Some(Reason::NoVersion);
            versions.iter().for_each(|c| self.check_texts(c, "version", reason, fine, &mut outcomes));
        }
        let mut ids = self.texts(&rows, self.column(Field::PredictionId))?;
        if let Some(cells) = ids.as_ref().filter(|ids| !ids.all_texts_within(self.limits.string_bytes)) {
            let reason = Some(Reason::NoId).filter(|_| envelope.id);
            self.check_texts(cells, "prediction id", reason, fine, &mut outcomes);
        }
        if envelope.measured {
            self.check_measured(&rows, &mut outcomes)?;
        }
        let mut ignored = 0;
        if !outcomes.is_empty() {
            let mut keep = vec![true; rows.len()];
            // Of several outcomes of a row the first check's counts.
            outcomes.sort_by_key(|(row, _)| *row);
            outcomes.dedup_by_key(|(row, _)| *row);
            for (row, outcome) in outcomes {
                keep.get_mut(row).into_iter().for_each(|kept| *kept = false);
                match outcome {
                    Outcome::OtherModel => ignored += 1,
                    Outcome::Rejected(reject) => rejects(rows.first + row as u64, reject),
                }
            }
            rows.filter(&keep);
            let mut kept = keep.into_iter();
            ts.retain(|_| kept.next().unwrap_or(false));
            ids = self.texts(&rows, self.column(Field::PredictionId))?;
            versions = if envelope.version { self.texts(&rows, self.column(Field::Version))? } else { None };
        }
        Ok(Events { rows, ids, versions, ignored })
    }

    /// Appends the times, zero for those that are none.
    fn times(&self, times: &Cells, ts: &mut Vec<i64>, outcomes: &mut Outcomes) {
        if times.times_within(&self.fields.time, &(0..=self.record_ts.saturating_add(self.fields.time.future)), ts) {
            return;
        }
        let mut row = 0;
        times.each_time(&self.fields.time, |time| {
            let time = time.and_then(|t| check_time(t, self.record_ts, self.fields.time.future));
            ts.push(*time.as_ref().unwrap_or(&0));
            outcomes.extend(time.err().map(|reject| (row, Outcome::Rejected(reject))));
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
        outcomes: &mut Outcomes,
    ) {
        let bound = self.limits.string_bytes;
        let mut classes = Vec::with_capacity(cells.len());
        let class = |text: &str| match text.len() {
            0 => class::EMPTY,
            length if length > bound => class::LONG,
            _ => of(text),
        };
        cells.codes(class, &mut classes);
        for (row, class) in classes.into_iter().enumerate().filter(|(_, class)| *class != class::FINE) {
            let outcome = match class {
                class::OTHER => Outcome::OtherModel,
                class::EMPTY | code::MISSING => {
                    let Some(reason) = missing else { continue };
                    Outcome::Rejected(Reject::new(reason, format!("the {what} is empty")))
                }
                class::LONG => {
                    Outcome::Rejected(Reject::new(Reason::BadText, format!("the {what} is longer than {bound} bytes")))
                }
                _ => {
                    let detail = format!("the {what} column holds {}", cells.holds());
                    Outcome::Rejected(Reject::new(Reason::BadText, detail))
                }
            };
            outcomes.push((row, outcome));
        }
    }

    /// Checks the fields of a measurement.
    fn check_measured(&self, rows: &Rows, outcomes: &mut Outcomes) -> Result<(), FileError> {
        if let Some(metrics) = self.texts(rows, self.column(Field::Metric))? {
            self.check_texts(&metrics, "metric", Some(Reason::NoMetric), |_| class::FINE, outcomes);
        }
        let mut cells = Vec::with_capacity(rows.len());
        self.numbers(rows, Some(self.column(Field::Value)), &mut cells)?;
        let rejected = |row, reject| (row, Outcome::Rejected(reject));
        outcomes.extend(cells.iter().enumerate().filter_map(|(row, &x)| Some(rejected(row, check_value(x).err()?))));
        cells.clear();
        self.numbers(rows, Some(self.column(Field::Weight)), &mut cells)?;
        outcomes.extend(cells.iter().enumerate().filter_map(|(row, &x)| Some(rejected(row, check_weight(x).err()?))));
        Ok(())
    }

    fn cells(&self, rows: &Rows, column: &str) -> Result<Option<Cells>, FileError> {
        rows.cells(column).map_err(|cause| self.file.broken(rows.first - 1, format!("column {column:?}: {cause}")))
    }

    /// The cells of an envelope field that is a text.
    fn texts(&self, rows: &Rows, column: &str) -> Result<Option<Cells>, FileError> {
        Ok(self.cells(rows, column)?.map(Cells::raw))
    }

    /// Appends a column of numbers, missing where the file has no such column.
    pub(super) fn numbers(&self, rows: &Rows, column: Option<&str>, out: &mut Vec<f64>) -> Result<(), FileError> {
        match column.map(|c| self.cells(rows, c)).transpose()?.flatten() {
            Some(cells) => cells.numbers(out),
            None => out.resize(out.len() + rows.len(), numeric::MISSING),
        }
        Ok(())
    }

    /// Appends a column of flags, missing where the file has no such column; a value of no class is noted.
    pub(super) fn flags(
        &self,
        rows: &Rows,
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
    pub(super) fn codes(
        &self,
        rows: &Rows,
        column: Option<&str>,
        too_long: u32,
        mut intern: impl FnMut(&str) -> u32,
        out: &mut Vec<u32>,
    ) -> Result<(), FileError> {
        let bound = self.limits.string_bytes;
        match column.map(|c| self.cells(rows, c)).transpose()?.flatten() {
            Some(cells) => cells.codes(|text| if text.len() <= bound { intern(text) } else { too_long }, out),
            None => out.resize(out.len() + rows.len(), code::MISSING),
        }
        Ok(())
    }

    /// Appends the codes of an envelope field that is a text; empty and overlong texts are missing.
    pub(super) fn names(
        &self,
        rows: &Rows,
        column: &str,
        intern: impl FnMut(&str) -> u32,
        out: &mut Vec<u32>,
    ) -> Result<(), FileError> {
        let cells = self.texts(rows, column)?;
        self.names_of(cells.as_ref(), rows.len(), intern, out);
        Ok(())
    }

    /// The same of cells that were read already.
    pub(super) fn names_of(
        &self,
        cells: Option<&Cells>,
        rows: usize,
        mut intern: impl FnMut(&str) -> u32,
        out: &mut Vec<u32>,
    ) {
        let bound = self.limits.string_bytes;
        match cells {
            Some(cells) => {
                cells.codes(|t| if t.is_empty() || t.len() > bound { code::MISSING } else { intern(t) }, out);
            }
            None => out.resize(out.len() + rows, code::MISSING),
        }
    }

    /// Appends the features' columns; `also` sees each new category of a slot, with its code.
    pub(super) fn features(
        &self,
        rows: &Rows,
        coder: &mut Coder,
        out: &mut FeatureColumns,
        fresh: &mut Fresh,
        mut also: impl FnMut(&mut Coder, usize, u32, &str),
    ) -> Result<(), FileError> {
        for (column, values) in self.numeric.iter().zip(&mut out.numeric) {
            self.numbers(rows, column.as_deref(), values)?;
        }
        for (slot, (column, codes)) in self.categorical.iter().zip(&mut out.categorical).enumerate() {
            let intern = |text: &str| {
                let code = coder.category(slot, text, fresh);
                also(coder, slot, code, text);
                code
            };
            self.codes(rows, column.as_deref(), code::INVALID, intern, codes)?;
        }
        Ok(())
    }
}

/// Appends ids, empty where there are none.
pub(super) fn push_ids(cells: Option<&Cells>, rows: usize, ids: &mut Ids) {
    ids.reserve(rows);
    match cells {
        Some(cells) => cells.each_text(|cell| ids.push(if let Cell::Text(text) = cell { text } else { "" })),
        None => (0..rows).for_each(|_| ids.push("")),
    }
}
