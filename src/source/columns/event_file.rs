//! What files of all kinds of events share: the envelope's checks, which columns hold the features, and columns
//! of a batch by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::cells::{Cell, Cells};
use super::events::{FileFields, Rejects};
use super::{ColumnReader, FileError, Rows};
use crate::decode::coder::Coder;
use crate::decode::{Limits, Reason, Reject, check_time, check_value, check_weight};
use crate::event::{FeatureColumns, Flag, Fresh, Ids, code, numeric};
use crate::schema::Schema;

/// What all kinds of files share: the reader, the columns of features, and the rows that are no events.
pub(super) struct EventFile {
    pub(super) reader: ColumnReader,
    pub(super) schema: Arc<Schema>,
    pub(super) fields: FileFields,
    pub(super) limits: Limits,
    pub(super) record_ts: i64,
    pub(super) ignored: u64,
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

/// Why a row is no event of this model.
enum Outcome {
    OtherModel,
    Rejected(Reject),
}

impl EventFile {
    pub(super) fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<Self, FileError> {
        let f = fields;
        let mut wanted: Vec<String> = [
            &f.prediction_id,
            &f.model,
            &f.version,
            &f.ts,
            &f.score,
            &f.label,
            &f.latency_ms,
            &f.error,
            &f.decision,
            &f.stage,
        ]
        .map(Clone::clone)
        .to_vec();
        let named = schema.numeric.iter().chain(&schema.categorical).chain(&schema.attributes);
        wanted.extend(named.flat_map(|n| f.columns_of(n)).map(str::to_owned));
        wanted.extend(schema.kpis.iter().cloned());
        if !schema.metrics.is_empty() {
            wanted.extend([&f.metric, &f.value, &f.n].map(Clone::clone));
        }
        let reader = ColumnReader::open(path, &wanted)?;
        reader.require(&[&f.ts])?;
        let found = |names: &[String]| -> Vec<Option<String>> {
            let column = |name: &String| f.columns_of(name).find(|c| reader.has(c)).map(str::to_owned);
            names.iter().map(column).collect()
        };
        let (numeric, categorical, attributes) =
            (found(&schema.numeric), found(&schema.categorical), found(&schema.attributes));
        Ok(Self {
            reader,
            schema,
            fields: fields.clone(),
            limits,
            record_ts,
            ignored: 0,
            numeric,
            categorical,
            attributes,
        })
    }

    /// The next rows that are events of this model, and their times.
    pub(super) fn next(
        &mut self,
        envelope: Envelope,
        ts: &mut Vec<i64>,
        rejects: Rejects<'_>,
    ) -> Result<Option<Rows>, FileError> {
        let Some(mut rows) = self.reader.next()? else { return Ok(None) };
        let mut outcomes: Vec<Option<Outcome>> = std::iter::repeat_with(|| None).take(rows.len()).collect();
        let mut any = false;
        let mut mark = |row: usize, outcome: Outcome| {
            if let Some(slot @ None) = outcomes.get_mut(row) {
                *slot = Some(outcome);
                any = true;
            }
        };
        if let Some(models) = self.texts(&rows, &self.fields.model)? {
            self.each_envelope_text(&models, "model", |row, text| match text {
                Ok(None) => {}
                Ok(Some(name)) if name == self.schema.model => {}
                Ok(Some(_)) => mark(row, Outcome::OtherModel),
                Err(reject) => mark(row, Outcome::Rejected(reject)),
            });
        }
        if let Some(times) = self.cells(&rows, &self.fields.ts)? {
            let mut row = 0;
            times.each_time(|time| {
                let time = time.and_then(|t| check_time(t, self.record_ts));
                ts.push(*time.as_ref().unwrap_or(&0));
                if let Err(reject) = time {
                    mark(row, Outcome::Rejected(reject));
                }
                row += 1;
            });
        }
        let checks = [
            (&self.fields.version, envelope.version, "version", Reason::NoVersion),
            (&self.fields.prediction_id, envelope.id, "prediction id", Reason::NoId),
        ];
        for (column, needed, what, reason) in checks.into_iter().filter(|c| c.1 || c.3 == Reason::NoId) {
            let Some(cells) = self.texts(&rows, column)? else { continue };
            self.each_envelope_text(&cells, what, |row, text| match text {
                Ok(None) if needed => mark(row, Outcome::Rejected(Reject::new(reason, format!("the {what} is empty")))),
                Ok(_) => {}
                Err(reject) => mark(row, Outcome::Rejected(reject)),
            });
        }
        if envelope.measured {
            self.check_measured(&rows, |row, reject| mark(row, Outcome::Rejected(reject)))?;
        }
        if any {
            let keep: Vec<bool> = outcomes.iter().map(Option::is_none).collect();
            for (number, outcome) in (rows.first..).zip(outcomes) {
                match outcome {
                    None => {}
                    Some(Outcome::OtherModel) => self.ignored += 1,
                    Some(Outcome::Rejected(reject)) => rejects(number, reject),
                }
            }
            rows.filter(&keep).map_err(|cause| self.reader.broken(cause))?;
            let mut kept = keep.into_iter();
            ts.retain(|_| kept.next().unwrap_or(false));
        }
        Ok(Some(rows))
    }

    /// Calls `each` with the row and the reason of every measurement that is none.
    fn check_measured(&self, rows: &Rows, mut each: impl FnMut(usize, Reject)) -> Result<(), FileError> {
        if let Some(metrics) = self.texts(rows, &self.fields.metric)? {
            self.each_envelope_text(&metrics, "metric", |row, text| match text {
                Ok(Some(_)) => {}
                Ok(None) => each(row, Reject::new(Reason::NoMetric, "the metric is empty")),
                Err(reject) => each(row, reject),
            });
        }
        let mut cells = Vec::with_capacity(rows.len());
        self.numbers(rows, Some(&self.fields.value), &mut cells)?;
        cells.iter().enumerate().for_each(|(row, &x)| check_value(x).err().into_iter().for_each(|r| each(row, r)));
        cells.clear();
        self.numbers(rows, Some(&self.fields.n), &mut cells)?;
        cells.iter().enumerate().for_each(|(row, &x)| check_weight(x).err().into_iter().for_each(|r| each(row, r)));
        Ok(())
    }

    fn cells(&self, rows: &Rows, column: &str) -> Result<Option<Cells>, FileError> {
        rows.cells(column).map_err(|cause| self.reader.broken(format!("column {column:?}: {cause}")))
    }

    /// The cells of an envelope field that is a text.
    fn texts(&self, rows: &Rows, column: &str) -> Result<Option<Cells>, FileError> {
        Ok(self.cells(rows, column)?.map(Cells::raw))
    }

    /// Calls `each` with the row and the text of every cell of an envelope field; `None` is null or empty.
    fn each_envelope_text(&self, cells: &Cells, what: &str, mut each: impl FnMut(usize, Result<Option<&str>, Reject>)) {
        let mut row = 0;
        let bound = self.limits.string_bytes;
        cells.each_text(|cell| {
            let text = match cell {
                Cell::Missing | Cell::Text("") => Ok(None),
                Cell::Text(text) if text.len() <= bound => Ok(Some(text)),
                Cell::Text(_) => Err(Reject::new(Reason::BadText, format!("the {what} is longer than {bound} bytes"))),
                Cell::Invalid => {
                    Err(Reject::new(Reason::BadText, format!("the {what} column holds {}", cells.holds())))
                }
            };
            each(row, text);
            row += 1;
        });
    }

    /// Appends a column of numbers, missing where the file has no such column.
    pub(super) fn numbers(&self, rows: &Rows, column: Option<&str>, out: &mut Vec<f64>) -> Result<(), FileError> {
        match column.map(|c| self.cells(rows, c)).transpose()?.flatten() {
            Some(cells) => cells.numbers(out),
            None => out.resize(out.len() + rows.len(), numeric::MISSING),
        }
        Ok(())
    }

    /// Appends a column of flags, missing where the file has no such column.
    pub(super) fn flags(
        &self,
        rows: &Rows,
        column: &str,
        values: &BTreeMap<String, bool>,
        out: &mut Vec<Flag>,
    ) -> Result<(), FileError> {
        match self.cells(rows, column)? {
            Some(cells) => cells.flags(values, out),
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
        mut intern: impl FnMut(&str) -> u32,
        out: &mut Vec<u32>,
    ) -> Result<(), FileError> {
        let bound = self.limits.string_bytes;
        match self.texts(rows, column)? {
            Some(cells) => {
                cells.codes(|t| if t.is_empty() || t.len() > bound { code::MISSING } else { intern(t) }, out);
            }
            None => out.resize(out.len() + rows.len(), code::MISSING),
        }
        Ok(())
    }

    pub(super) fn ids(&self, rows: &Rows, ids: &mut Ids) -> Result<(), FileError> {
        match self.texts(rows, &self.fields.prediction_id)? {
            Some(cells) => cells.each_text(|cell| ids.push(if let Cell::Text(text) = cell { text } else { "" })),
            None => (0..rows.len()).for_each(|_| ids.push("")),
        }
        Ok(())
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
