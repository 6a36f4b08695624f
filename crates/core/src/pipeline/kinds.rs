//! The kinds of events: what makes the batches of each a `Batch`, and the one list of them.

use std::ops::Range;

use super::batch::{Batch, PerKind};
use super::classes::{classes, note, predicted};
use crate::decode::checks;
use crate::decode::columns::{ColumnCoder, Columns};
use crate::decode::decoder::Event;
use crate::decode::notes::Notes;
use crate::event::{
    EventKind, FeatureBatch, Field, FieldMap, Flag, Fresh, LabelBatch, MeasurementBatch, PredictionBatch, code, numeric,
};
use crate::intake::count::Worker;
use crate::intake::job::Job;
use crate::intake::{DecoderId, Intake, SourceId};
use crate::policy::Policy;
use crate::schema::{Classes, Schema};

/// The one list: which batches hold events of which kind.
pub fn of_kind<P: PerKind>(kind: EventKind, what: P) -> P::Output {
    match kind {
        EventKind::Predictions => what.of::<PredictionBatch>(),
        EventKind::Labels => what.of::<LabelBatch>(),
        EventKind::Features => what.of::<FeatureBatch>(),
        EventKind::Measurements => what.of::<MeasurementBatch>(),
    }
}

/// Whether a policy reads events of this kind: labels where it joins them, measurements where rules read them.
#[must_use]
pub fn is_read_by(kind: EventKind, policy: &Policy) -> bool {
    struct Read<'p>(&'p Policy);
    impl PerKind for Read<'_> {
        type Output = bool;

        fn of<B: Batch + 'static>(self) -> bool {
            B::is_read_by(self.0)
        }
    }
    of_kind(kind, Read(policy))
}

/// The columns that a file must have to hold events of this kind, by the names that `fields` gives them.
#[must_use]
pub fn columns<'f>(
    kind: EventKind,
    schema: &'f Schema,
    fields: &'f FieldMap,
    has: &dyn Fn(&str) -> bool,
) -> Vec<&'f str> {
    struct Needed<'f, 'h>(&'f Schema, &'f FieldMap, &'h dyn Fn(&str) -> bool);
    impl<'f> PerKind for Needed<'f, '_> {
        type Output = Vec<&'f str>;

        fn of<B: Batch + 'static>(self) -> Vec<&'f str> {
            B::columns(self.0, self.1, self.2)
        }
    }
    of_kind(kind, Needed(schema, fields, has))
}

/// How a batch keeps its rows, alike for all kinds; `fresh` where its events have codes.
macro_rules! rows {
    ($($fresh:ident)?) => {
        fn times(&self) -> &[i64] {
            &self.ts
        }

        fn times_mut(&mut self) -> &mut Vec<i64> {
            &mut self.ts
        }

        fn make_room(&mut self, rows: usize) {
            self.reserve(rows);
        }

        fn reset(&mut self) {
            self.clear();
        }
        $(
            fn fresh(&mut self) -> Option<&mut Fresh> {
                Some(&mut self.$fresh)
            }

            fn has_news(&self) -> bool {
                !self.$fresh.is_empty()
            }
        )?
    };
}

impl Batch for PredictionBatch {
    fn kind() -> EventKind {
        EventKind::Predictions
    }

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.numeric.len(), schema.categorical.len(), schema.segmentations.len())
    }

    fn columns<'f>(schema: &'f Schema, fields: &'f FieldMap, _: &dyn Fn(&str) -> bool) -> Vec<&'f str> {
        let id = Some(Field::PredictionId).filter(|_| schema.needs_id);
        [Field::Ts, Field::Version].into_iter().chain(id).map(|field| fields.column(field)).collect()
    }

    rows!(fresh);

    fn versions(&self) -> &[u32] {
        &self.version
    }

    fn key(&self, row: usize) -> Option<u64> {
        self.ids.key(row)
    }

    fn first_id(&self) -> &str {
        self.ids.text(0)
    }

    fn push(&mut self, event: Event<'_>) {
        let Event { ts, values, schema, coder, notes, .. } = event;
        if !schema.classes.is_empty() {
            values.choose_class();
        }
        if values.decision == Flag::Invalid {
            note(&mut notes.decisions, schema, &values.unmapped);
        }
        if values.error == Flag::Invalid && schema.reads_error {
            notes.errors.add(&values.bad_error);
        }
        self.ids.push(&values.id);
        self.ts.push(ts);
        self.version.push(values.version);
        self.stage.push(values.stage);
        self.score.push(values.score);
        self.decision.push(values.decision);
        self.latency_ms.push(values.latency_ms);
        self.error.push(values.error);
        values.push_features(&mut self.features);
        values.push_segments(coder, &mut self.segments);
        self.fresh.append(&mut values.fresh);
    }

    fn fill<C: Columns>(&mut self, columns: &C, coder: &mut ColumnCoder, notes: &mut Notes) -> Result<(), C::Error> {
        coder.begin(&mut self.fresh);
        let schema = columns.schema();
        columns.ids(&mut self.ids);
        let fresh = &mut self.fresh;
        columns.versions(|text| coder.codes.version(text, fresh), &mut self.version);
        columns.names(Field::Stage, |text| coder.codes.stage(text, fresh), &mut self.stage)?;
        columns.numbers(Field::LatencyMs, &mut self.latency_ms)?;
        if schema.classes.is_empty() {
            columns.numbers(Field::Score, &mut self.score)?;
            columns.flags(Field::Decision, &schema.decisions, Some(&mut notes.decisions), &mut self.decision)?;
        } else {
            predicted(columns, &mut notes.decisions, &mut self.score)?;
            let known = self.decision.len();
            let flag = |class: &f64| if numeric::is_invalid(*class) { Flag::Invalid } else { Flag::Missing };
            self.decision.extend(self.score.iter().skip(known).map(flag));
        }
        let errors = Some(&mut notes.errors).filter(|_| schema.reads_error);
        columns.flags(Field::Error, &Classes::default(), errors, &mut self.error)?;
        coder.features_and_segments(columns, &mut self.features, &mut self.segments, &mut self.fresh)
    }

    fn learn(&mut self, intake: &mut Intake, decoder: DecoderId) {
        intake.learn(decoder, self);
    }

    fn unknown_versions(&self, intake: &Intake) -> Vec<(usize, String)> {
        intake.unknown_versions(self)
    }

    fn translate(&mut self, intake: &mut Intake, decoder: DecoderId, rows: Range<usize>) {
        intake.translate_rows(decoder, self, rows);
    }

    fn admit(&self, intake: &mut Intake, source: SourceId, job: &mut Job) {
        intake.predictions(source, self, job);
    }

    fn count(&self, worker: &mut Worker, job: &Job) {
        worker.predictions(job, self);
    }
}

impl Batch for LabelBatch {
    fn kind() -> EventKind {
        EventKind::Labels
    }

    fn empty(schema: &Schema) -> Self {
        Self { numbers: schema.has_numbers(), ..Self::new(schema.kpis.len()) }
    }

    fn is_read_by(policy: &Policy) -> bool {
        policy.labels.is_some()
    }

    fn columns<'f>(schema: &'f Schema, fields: &'f FieldMap, has: &dyn Fn(&str) -> bool) -> Vec<&'f str> {
        // One that tells a KPI's outcome need not tell the label.
        let label = Some(Field::Label).filter(|_| !schema.kpis.iter().any(|kpi| has(kpi)));
        [Field::Ts, Field::PredictionId].into_iter().chain(label).map(|field| fields.column(field)).collect()
    }

    rows!();

    fn key(&self, row: usize) -> Option<u64> {
        self.ids.key(row)
    }

    fn first_id(&self) -> &str {
        self.ids.text(0)
    }

    fn push(&mut self, event: Event<'_>) {
        let Event { ts, values, schema, notes, .. } = event;
        if values.label == Flag::Invalid && !schema.is_regression {
            note(&mut notes.labels, schema, &values.unmapped);
        }
        if values.kpis.contains(&Flag::Invalid) {
            notes.kpis.add(&values.bad_kpi);
        }
        self.ids.push(&values.id);
        self.ts.push(ts);
        self.label.push(values.label);
        if self.numbers {
            self.value.push(values.label_value);
        }
        self.kpis.iter_mut().zip(&values.kpis).for_each(|(column, &x)| column.push(x));
    }

    fn fill<C: Columns>(&mut self, columns: &C, _: &mut ColumnCoder, notes: &mut Notes) -> Result<(), C::Error> {
        let schema = columns.schema();
        columns.ids(&mut self.ids);
        if schema.has_numbers() {
            if schema.is_regression {
                columns.numbers(Field::Label, &mut self.value)?;
            } else {
                classes(columns, Field::Label, &mut notes.labels, &mut self.value)?;
            }
            let known = self.label.len();
            self.label.extend(self.value.iter().skip(known).map(|value| numeric::flag(*value)));
        } else {
            columns.flags(Field::Label, &schema.labels, Some(&mut notes.labels), &mut self.label)?;
        }
        self.kpis.iter_mut().enumerate().try_for_each(|(kpi, out)| columns.kpi(kpi, &mut notes.kpis, out))
    }

    /// Labels have no codes.
    fn learn(&mut self, _: &mut Intake, _: DecoderId) {}

    fn translate(&mut self, _: &mut Intake, _: DecoderId, _: Range<usize>) {}

    fn admit(&self, intake: &mut Intake, source: SourceId, job: &mut Job) {
        intake.labels(source, self, job);
    }

    fn count(&self, worker: &mut Worker, job: &Job) {
        worker.labels(job, self);
    }
}

impl Batch for FeatureBatch {
    fn kind() -> EventKind {
        EventKind::Features
    }

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.numeric.len(), schema.categorical.len())
    }

    fn columns<'f>(schema: &'f Schema, fields: &'f FieldMap, has: &dyn Fn(&str) -> bool) -> Vec<&'f str> {
        let features = || schema.numeric.iter().chain(&schema.categorical).map(String::as_str);
        let mut needed = vec![fields.column(Field::Ts)];
        if !features().any(|feature| fields.columns_of(feature).any(has)) {
            needed.extend(features());
        }
        needed
    }

    rows!(fresh);

    fn push(&mut self, event: Event<'_>) {
        let Event { ts, values, .. } = event;
        self.ts.push(ts);
        values.push_features(&mut self.features);
        self.fresh.append(&mut values.fresh);
    }

    fn fill<C: Columns>(&mut self, columns: &C, coder: &mut ColumnCoder, _: &mut Notes) -> Result<(), C::Error> {
        coder.begin(&mut self.fresh);
        coder.features(columns, &mut self.features, &mut self.fresh)
    }

    fn learn(&mut self, intake: &mut Intake, decoder: DecoderId) {
        intake.learn_features(decoder, self);
    }

    fn translate(&mut self, intake: &mut Intake, decoder: DecoderId, rows: Range<usize>) {
        intake.translate_features(decoder, self, rows);
    }

    fn admit(&self, intake: &mut Intake, source: SourceId, job: &mut Job) {
        intake.features(source, self, job);
    }

    /// It waits in the intake.
    fn count(&self, _: &mut Worker, _: &Job) {}
}

impl Batch for MeasurementBatch {
    fn kind() -> EventKind {
        EventKind::Measurements
    }

    fn empty(_: &Schema) -> Self {
        Self::default()
    }

    fn is_read_by(policy: &Policy) -> bool {
        !policy.measured.is_empty()
    }

    fn columns<'f>(_: &'f Schema, fields: &'f FieldMap, _: &dyn Fn(&str) -> bool) -> Vec<&'f str> {
        [Field::Ts, Field::Version, Field::Metric, Field::Value].map(|field| fields.column(field)).into()
    }

    rows!(fresh);

    fn versions(&self) -> &[u32] {
        &self.version
    }

    fn push(&mut self, event: Event<'_>) {
        let Event { ts, values, .. } = event;
        self.ts.push(ts);
        self.version.push(values.version);
        self.metric.push(values.metric.unwrap_or(code::MISSING));
        // Minus zero is zero.
        self.value.push(values.value + 0.0);
        self.n.push(checks::weight(values.n));
        self.fresh.append(&mut values.fresh);
    }

    fn fill<C: Columns>(&mut self, columns: &C, coder: &mut ColumnCoder, _: &mut Notes) -> Result<(), C::Error> {
        coder.begin(&mut self.fresh);
        let (schema, fresh) = (columns.schema(), &mut self.fresh);
        columns.versions(|text| coder.codes.version(text, fresh), &mut self.version);
        columns.names(Field::Metric, |text| schema.metric(text).unwrap_or(code::MISSING), &mut self.metric)?;
        let mut cells = Vec::with_capacity(columns.rows());
        columns.numbers(Field::Value, &mut cells)?;
        self.value.extend(cells.iter().map(|&x| x + 0.0));
        cells.clear();
        columns.numbers(Field::Weight, &mut cells)?;
        self.n.extend(cells.iter().map(|&x| checks::weight(x)));
        Ok(())
    }

    fn learn(&mut self, intake: &mut Intake, decoder: DecoderId) {
        intake.translate_measurements(decoder, self);
    }

    /// All that they have of the model's names are versions.
    fn translate(&mut self, _: &mut Intake, _: DecoderId, _: Range<usize>) {}

    fn admit(&self, intake: &mut Intake, source: SourceId, job: &mut Job) {
        intake.measurements(source, self, job);
    }

    fn count(&self, worker: &mut Worker, job: &Job) {
        worker.measurements(job, self);
    }
}
