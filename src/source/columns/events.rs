//! Files of predictions, labels, features and measurements as batches of events.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::cells::{Cell, Cells};
use super::event_file::{Envelope, EventFile, push_ids};
use super::nulls::NullTexts;
pub use super::stream::{EventReader, EventStream, Rejects};
use super::{ColumnReader, FileError, Piece, Pieces, Rows};
use driftgate_core::decode::coder::Coder;
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::time::TimeFormat;
use driftgate_core::decode::{check_value, check_weight};
use driftgate_core::event::{
    FeatureBatch, FeatureColumns, Field, FieldMap, Fresh, LabelBatch, Limits, MeasurementBatch, PredictionBatch, code,
};
use driftgate_core::schema::{Classes, Schema};

/// Which columns hold an event's fields, and how times are written in theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFields {
    pub map: FieldMap,
    pub time: TimeFormat,
    /// The texts of a CSV file that mean null, in every column.
    pub null_values: Arc<NullTexts>,
}

pub type PredictionFile = EventStream<PredictionReader>;
pub type LabelFile = EventStream<LabelReader>;
pub type FeatureFile = EventStream<FeatureReader>;
pub type MeasurementFile = EventStream<MeasurementReader>;

/// Reads predictions.
pub struct PredictionReader {
    file: Arc<EventFile>,
    coder: Coder,
    /// Per attribute: the categorical feature that the same column holds, whose codes spare hashing it twice.
    twin: Vec<Option<usize>>,
    /// Per attribute: its code by its twin's code.
    by_twin: Vec<Vec<u32>>,
    /// Attribute codes of a batch.
    codes: Vec<Vec<u32>>,
    notes: Notes,
}

impl PredictionReader {
    fn new(file: Arc<EventFile>) -> Self {
        let twin = |column: &Option<String>| {
            column.as_ref().and_then(|c| file.categorical.iter().position(|f| f.as_ref() == Some(c)))
        };
        let twin: Vec<Option<usize>> = file.attributes.iter().map(twin).collect();
        let none = vec![Vec::new(); twin.len()];
        let coder = Coder::new(&file.schema);
        Self { file, coder, twin, by_twin: none.clone(), codes: none, notes: Notes::default() }
    }

    /// Reads the attributes' codes of these rows.
    fn attributes(&mut self, rows: &Rows, features: &FeatureColumns) -> Result<(), FileError> {
        for (attribute, codes) in self.codes.iter_mut().enumerate() {
            codes.clear();
            let twin = self.twin.get(attribute).copied().flatten().and_then(|slot| features.categorical.get(slot));
            if let (Some(twin), Some(known)) = (twin, self.by_twin.get(attribute)) {
                codes.extend(twin.iter().map(|&c| known.get(c as usize).copied().unwrap_or(c)));
                continue;
            }
            let (coder, column) = (&mut self.coder, self.file.attributes.get(attribute).and_then(Option::as_deref));
            self.file.codes(rows, column, code::MISSING, |text| coder.attribute(attribute, text), codes)?;
        }
        Ok(())
    }

    /// Joins the attributes' codes to those of the segmentations.
    fn segments(&mut self, rows: usize, out: &mut [Vec<u32>], fresh: &mut Fresh) {
        let mut of_row = vec![code::MISSING; self.codes.len()];
        for row in 0..rows {
            for (slot, codes) in of_row.iter_mut().zip(&self.codes) {
                *slot = codes.get(row).copied().unwrap_or(code::MISSING);
            }
            for (s, column) in out.iter_mut().enumerate() {
                column.push(self.coder.segment(s, &of_row, fresh));
            }
        }
    }
}

impl EventReader for PredictionReader {
    type Batch = PredictionBatch;

    fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<(Self, Pieces), FileError> {
        let (file, pieces) = EventFile::open(path, schema, fields, limits, record_ts)?;
        let mut needed = vec![fields.map.column(Field::Ts), fields.map.column(Field::Version)];
        if file.schema.needs_id {
            needed.push(fields.map.column(Field::PredictionId));
        }
        file.file.require(&needed)?;
        Ok((Self::new(Arc::new(file)), pieces))
    }

    fn fork(&self) -> Self {
        Self::new(Arc::clone(&self.file))
    }

    fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    fn seen(&self) -> Seen {
        self.file.seen()
    }

    fn read(&mut self, piece: Piece, out: &mut PredictionBatch, rejects: Rejects<'_>) -> Result<u64, FileError> {
        out.clear();
        let envelope = Envelope { version: true, id: self.file.schema.needs_id, measured: false };
        let events = self.file.read(piece, envelope, &mut out.ts, rejects)?;
        if self.coder.begin(&mut out.fresh) {
            self.by_twin.iter_mut().for_each(Vec::clear);
        }
        let (file, coder, fresh) = (&self.file, &mut self.coder, &mut out.fresh);
        let rows = &events.rows;
        push_ids(events.ids.as_ref(), rows.len(), &mut out.ids);
        file.names_of(events.versions.as_ref(), rows.len(), |t| coder.version(t, fresh), &mut out.version);
        file.names(rows, file.column(Field::Stage), |t| coder.stage(t, fresh), &mut out.stage)?;
        file.numbers(rows, Some(file.column(Field::Score)), &mut out.score)?;
        file.numbers(rows, Some(file.column(Field::LatencyMs)), &mut out.latency_ms)?;
        file.flags(
            rows,
            file.column(Field::Decision),
            &file.schema.decisions,
            Some(&mut self.notes.decisions),
            &mut out.decision,
        )?;
        let errors = Some(&mut self.notes.errors).filter(|_| file.schema.reads_error);
        file.flags(rows, file.column(Field::Error), &Classes::default(), errors, &mut out.error)?;
        let (twin, by_twin) = (&self.twin, &mut self.by_twin);
        file.features(rows, coder, &mut out.features, fresh, |coder, slot, category, text| {
            for (attribute, codes) in by_twin.iter_mut().enumerate().filter(|(a, _)| twin.get(*a) == Some(&Some(slot)))
            {
                // Category codes are given in order, so a new one is right behind the known ones.
                if category < code::SPECIAL && category as usize == codes.len() {
                    codes.push(coder.attribute(attribute, text));
                }
            }
        })?;
        self.attributes(rows, &out.features)?;
        self.segments(rows.len(), &mut out.segments, &mut out.fresh);
        Ok(events.ignored)
    }
}

/// Reads labels and KPI outcomes.
pub struct LabelReader {
    file: Arc<EventFile>,
    notes: Notes,
}

impl EventReader for LabelReader {
    type Batch = LabelBatch;

    fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<(Self, Pieces), FileError> {
        let (file, pieces) = EventFile::open(path, schema, fields, limits, record_ts)?;
        let mut needed = vec![fields.map.column(Field::Ts), fields.map.column(Field::PredictionId)];
        if !file.schema.kpis.iter().any(|k| file.file.has(k)) {
            needed.push(fields.map.column(Field::Label));
        }
        file.file.require(&needed)?;
        Ok((Self { file: Arc::new(file), notes: Notes::default() }, pieces))
    }

    fn fork(&self) -> Self {
        Self { file: Arc::clone(&self.file), notes: Notes::default() }
    }

    fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    fn seen(&self) -> Seen {
        self.file.seen()
    }

    fn read(&mut self, piece: Piece, out: &mut LabelBatch, rejects: Rejects<'_>) -> Result<u64, FileError> {
        out.clear();
        let envelope = Envelope { version: false, id: true, measured: false };
        let events = self.file.read(piece, envelope, &mut out.ts, rejects)?;
        let rows = &events.rows;
        push_ids(events.ids.as_ref(), rows.len(), &mut out.ids);
        let unmapped = Some(&mut self.notes.labels);
        self.file.flags(rows, self.file.column(Field::Label), &self.file.schema.labels, unmapped, &mut out.label)?;
        for (kpi, column) in self.file.schema.kpis.iter().zip(&mut out.kpis) {
            self.file.flags(rows, kpi, &Classes::default(), Some(&mut self.notes.kpis), column)?;
        }
        Ok(events.ignored)
    }
}

/// Reads the features stream.
pub struct FeatureReader {
    file: Arc<EventFile>,
    coder: Coder,
}

impl EventReader for FeatureReader {
    type Batch = FeatureBatch;

    fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<(Self, Pieces), FileError> {
        let (file, pieces) = EventFile::open(path, schema, fields, limits, record_ts)?;
        if file.numeric.iter().chain(&file.categorical).all(Option::is_none) {
            let names: Vec<&str> =
                file.schema.numeric.iter().chain(&file.schema.categorical).map(String::as_str).collect();
            file.file.require(&names)?;
        }
        let coder = Coder::new(&file.schema);
        Ok((Self { file: Arc::new(file), coder }, pieces))
    }

    fn fork(&self) -> Self {
        Self { file: Arc::clone(&self.file), coder: Coder::new(&self.file.schema) }
    }

    fn seen(&self) -> Seen {
        self.file.seen()
    }

    fn read(&mut self, piece: Piece, out: &mut FeatureBatch, rejects: Rejects<'_>) -> Result<u64, FileError> {
        out.clear();
        let envelope = Envelope { version: false, id: false, measured: false };
        let events = self.file.read(piece, envelope, &mut out.ts, rejects)?;
        self.coder.begin(&mut out.fresh);
        self.file.features(&events.rows, &mut self.coder, &mut out.features, &mut out.fresh, |_, _, _, _| {})?;
        Ok(events.ignored)
    }
}

/// Reads measurements.
pub struct MeasurementReader {
    file: Arc<EventFile>,
    coder: Coder,
}

impl EventReader for MeasurementReader {
    type Batch = MeasurementBatch;

    fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<(Self, Pieces), FileError> {
        let (file, pieces) = EventFile::open(path, schema, fields, limits, record_ts)?;
        let needed = [Field::Ts, Field::Version, Field::Metric, Field::Value];
        file.file.require(&needed.map(|field| fields.map.column(field)))?;
        let coder = Coder::new(&file.schema);
        Ok((Self { file: Arc::new(file), coder }, pieces))
    }

    fn fork(&self) -> Self {
        Self { file: Arc::clone(&self.file), coder: Coder::new(&self.file.schema) }
    }

    fn seen(&self) -> Seen {
        self.file.seen()
    }

    fn read(&mut self, piece: Piece, out: &mut MeasurementBatch, rejects: Rejects<'_>) -> Result<u64, FileError> {
        out.clear();
        let envelope = Envelope { version: true, id: false, measured: true };
        let events = self.file.read(piece, envelope, &mut out.ts, rejects)?;
        self.coder.begin(&mut out.fresh);
        let (file, coder, fresh) = (&self.file, &mut self.coder, &mut out.fresh);
        let rows = &events.rows;
        file.names_of(events.versions.as_ref(), rows.len(), |t| coder.version(t, fresh), &mut out.version);
        file.names(
            rows,
            file.column(Field::Metric),
            |t| file.schema.metric(t).unwrap_or(code::MISSING),
            &mut out.metric,
        )?;
        // The remaining rows have passed the same checks.
        let mut cells = Vec::with_capacity(rows.len());
        file.numbers(rows, Some(file.column(Field::Value)), &mut cells)?;
        out.value.extend(cells.iter().map(|&x| check_value(x).unwrap_or_default()));
        cells.clear();
        file.numbers(rows, Some(file.column(Field::Weight)), &mut cells)?;
        out.n.extend(cells.iter().map(|&x| check_weight(x).unwrap_or(1)));
        Ok(events.ignored)
    }
}

/// The versions in a file of predictions of this model.
///
/// # Errors
/// When the file cannot be read or has no version column.
pub fn versions(path: &Path, fields: &FileFields, model: &str, limits: Limits) -> Result<BTreeSet<String>, FileError> {
    let (version, model_column) = (fields.map.column(Field::Version), fields.map.column(Field::Model));
    let wanted = [version.to_owned(), model_column.to_owned()];
    let mut reader = ColumnReader::open_with(path, &wanted, &fields.null_values)?.lenient();
    reader.require(&[version])?;
    let mut found = BTreeSet::new();
    while let Some(mut rows) = reader.next()? {
        let cells = |rows: &Rows, column: &str| match rows.cells(column) {
            Ok(cells) => Ok(cells.map(Cells::raw)),
            Err(cause) => Err(reader.broken(cause)),
        };
        if let Some(models) = cells(&rows, model_column)? {
            let mut keep = Vec::with_capacity(rows.len());
            models.each_text(|cell| {
                keep.push(matches!(cell, Cell::Missing | Cell::Text("")) || cell == Cell::Text(model));
            });
            rows.filter(&keep);
        }
        if let Some(versions) = cells(&rows, version)? {
            let add = |text: &str| {
                if !text.is_empty() && text.len() <= limits.string_bytes && !found.contains(text) {
                    found.insert(text.to_owned());
                }
                0
            };
            versions.codes(add, &mut Vec::with_capacity(rows.len()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
