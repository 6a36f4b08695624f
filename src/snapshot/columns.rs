//! A snapshot's columns being read: a Parquet file's by several threads, each column whole; a CSV file's block by block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::{SnapshotError, SnapshotErrors};
use super::spread;
use crate::source::columns::cells::{Cell, Cells};
use crate::source::columns::{ColumnFile, FileRows, Format, Pieces};
use driftgate_core::baseline::{Coded, NumericReference, SnapshotColumns};
use driftgate_core::event::{Flag, numeric};
use driftgate_core::policy::{Policy, Target, Task};
use driftgate_core::schema::Classes;
use driftgate_core::seeded::Map;

/// What the policy lists numeric features under.
const FEATURE: &str = "features.numeric";
/// The column of predicted classes,
const PREDICTION: &str = "baseline.columns.prediction";
/// and the column of labels.
const LABEL: &str = "baseline.columns.label";

/// A snapshot has no more rows than this,
const MOST_ROWS: u64 = 200_000_000;
/// and no more values are held at a time: 4 GiB of numbers.
const MOST_VALUES: u64 = 1 << 29;

/// A text of a category or segment is no longer than this,
const MOST_TEXT: usize = 64 << 10;
/// and those of a column that differ are together no longer than this.
const MOST_TEXTS: usize = 1 << 30;

/// A snapshot being read.
pub struct ProfileBuilder<'p> {
    policy: &'p Policy,
    rows: usize,
    /// Numeric features, the score if there is one, columns of texts by name, the label if there is one.
    columns: Vec<Column<'p>>,
}

/// A column being read.
struct Column<'p> {
    policy: &'p Policy,
    /// The file that is read.
    location: Arc<str>,
    name: &'p str,
    role: &'static str,
    values: Values,
    /// What was built of the numbers.
    reference: Option<NumericReference>,
    errors: Vec<SnapshotError>,
}

enum Values {
    Numbers(Vec<f64>),
    Texts(Texts),
    Labels(Vec<Flag>),
    /// Places among the policy's classes.
    Classes(Vec<f64>),
}

/// A column of texts and the codes of its distinct values.
#[derive(Default)]
struct Texts {
    coded: Coded,
    codes: Map<String, u32>,
    /// Bytes of the distinct values.
    bytes: usize,
    /// Why no more is read.
    over: Option<String>,
}

impl<'p> ProfileBuilder<'p> {
    pub fn new(policy: &'p Policy, location: &str, file: &ColumnFile) -> Self {
        let location: Arc<str> = location.into();
        let column = |name: &'p String, role, values| Column {
            policy,
            location: Arc::clone(&location),
            name,
            role,
            values,
            reference: None,
            errors: Vec::new(),
        };
        let numbers = |role| move |name| column(name, role, Values::Numbers(Vec::new()));
        let features = policy.features.numeric.iter().map(numbers(FEATURE));
        let score = policy.baseline.score_column.iter().map(|name| {
            if policy.is_multiclass() {
                column(name, PREDICTION, Values::Classes(Vec::new()))
            } else {
                column(name, "baseline.columns.score", Values::Numbers(Vec::new()))
            }
        });
        let parts = policy.segments.iter().flat_map(|s| &s.parts);
        let texts: BTreeSet<&String> =
            policy.features.categorical.iter().chain(parts).chain(&policy.unit).filter(|c| file.has(c)).collect();
        let texts = texts.into_iter().map(|name| {
            let feature = policy.features.categorical.contains(name);
            let role = if feature {
                "features.categorical"
            } else if policy.unit.as_ref() == Some(name) {
                "unit"
            } else {
                "segments"
            };
            column(name, role, Values::Texts(Texts::default()))
        });
        let label = policy.baseline.label_column.iter();
        let values = || match policy.task {
            Task::Binary => Values::Labels(Vec::new()),
            Task::Regression => Values::Numbers(Vec::new()),
            Task::Multiclass => Values::Classes(Vec::new()),
        };
        let label = label.map(|name| column(name, LABEL, values()));
        Self { policy, rows: 0, columns: features.chain(score).chain(texts).chain(label).collect() }
    }

    /// Reads all rows; errors in their values are kept for the end. With `build`, each column of numbers is made a reference
    /// where it was read, and only the numbers of the score and of features that rules compare by segment are kept.
    pub fn read(
        mut self,
        files: Vec<(Arc<ColumnFile>, Pieces)>,
        threads: usize,
        build: bool,
    ) -> Result<Self, SnapshotErrors> {
        let (mut whole, mut all) = (Vec::new(), 0_u64);
        let several = files.len() > 1;
        let named = |file: &ColumnFile| several.then(|| Arc::<str>::from(file.path()));
        // A Parquet file's columns are read one after the other on each thread, a CSV file's all together.
        let is_csv = files.iter().any(|(file, _)| file.format() == Format::Csv);
        let together = if is_csv { self.columns.len() } else { threads.min(self.columns.len()) };
        let location = self.columns.first().map_or_else(|| "".into(), |c| Arc::clone(&c.location));
        let bounded = move |rows: u64| bounded(rows, together, &location);
        for (file, mut pieces) in files {
            if file.format() == Format::Csv {
                while let Some(piece) = pieces.next()? {
                    bounded(all + pieces.rows())?;
                    let rows = file.read_whole(piece)?;
                    for column in &mut self.columns {
                        column.read_of(named(&file));
                        column.add(&rows).map_err(|cause| file.broken(rows.first - 1, cause))?;
                    }
                }
            } else {
                let groups = pieces.groups();
                bounded(all + pieces.rows())?;
                whole.extend(groups.into_iter().map(|piece| (Arc::clone(&file), piece)));
            }
            all += pieces.rows();
        }
        let read = |mut column: Column<'p>| {
            for (file, piece) in &whole {
                if column.is_too_large() {
                    break;
                }
                column.read_of(named(file));
                let rows = file.read(piece.clone())?;
                column.add(&rows).map_err(|cause| file.broken(rows.first - 1, cause))?;
            }
            if build && column.errors.is_empty() {
                column.build();
            }
            Ok(column)
        };
        let columns: Result<Vec<_>, SnapshotErrors> = spread::each(threads, self.columns, read).into_iter().collect();
        let rows = usize::try_from(all).unwrap_or(usize::MAX);
        Ok(Self { policy: self.policy, rows, columns: columns? })
    }

    /// The columns as the policy orders them, and the references that were built: of the features, then of the score.
    pub fn finish(self) -> Result<(SnapshotColumns, Vec<NumericReference>), SnapshotErrors> {
        let (mut errors, mut references) = (Vec::new(), Vec::new());
        let mut texts: BTreeMap<&str, Arc<Coded>> = BTreeMap::new();
        let (mut numbers, mut label, mut classes) = (Vec::new(), None, [None, None]);
        for column in self.columns {
            column.errors.into_iter().for_each(|error| note(&mut errors, error, column.name));
            references.extend(column.reference);
            match column.values {
                Values::Numbers(values) => numbers.push(values),
                Values::Texts(values) => {
                    texts.insert(column.name, Arc::new(values.coded));
                }
                Values::Labels(values) => label = Some(values),
                Values::Classes(places) => {
                    let [predictions, labels] = &mut classes;
                    *(if column.role == LABEL { labels } else { predictions }) = Some(places);
                }
            }
        }
        if !errors.is_empty() {
            return Err(SnapshotErrors(errors));
        }
        let of_numbers = self.policy.baseline.label_column.as_ref().filter(|_| self.policy.is_regression());
        let labels = of_numbers.and_then(|_| numbers.pop());
        let of_scores = self.policy.baseline.score_column.as_ref().filter(|_| !self.policy.is_multiclass());
        let score = of_scores.and_then(|_| numbers.pop());
        let classes = self.policy.is_multiclass().then_some(classes);
        let segments = self.policy.segments.iter().map(|s| {
            let parts: Option<Vec<&Arc<Coded>>> = s.parts.iter().map(|part| texts.get(part.as_str())).collect();
            match parts.as_deref() {
                Some([single]) => Some(Arc::clone(single)),
                Some(parts) => Some(Coded::cross(parts).into()),
                None => None,
            }
        });
        let segments = segments.collect();
        let categorical = self.policy.features.categorical.iter();
        let categorical = categorical.map(|c| texts.get(c.as_str()).cloned().unwrap_or_default()).collect();
        let unit = self.policy.unit.as_ref().and_then(|c| texts.get(c.as_str()).cloned());
        let rows = self.rows;
        Ok((
            SnapshotColumns {
                rows,
                numeric: numbers,
                categorical,
                score,
                label,
                numbers: labels,
                classes,
                segments,
                unit,
            },
            references,
        ))
    }
}

impl Column<'_> {
    /// The file that is read now, where there are several.
    fn read_of(&mut self, file: Option<Arc<str>>) {
        if let Some(file) = file {
            self.location = file;
        }
    }

    /// Nothing more of it is read.
    fn is_too_large(&self) -> bool {
        self.errors.iter().any(|e| matches!(e, SnapshotError::TooLarge { .. }))
    }

    fn build(&mut self) {
        // Labels that are numbers are built with all columns.
        let Values::Numbers(values) = &mut self.values else { return };
        if self.role == LABEL {
            return;
        }
        let feature = self.policy.features.numeric.iter().position(|name| name == self.name);
        let target = feature.filter(|_| self.role == FEATURE).map_or(Target::Score, Target::Numeric);
        self.reference = Some(NumericReference::new(self.policy, target, values));
        let by_segment = self.policy.rules().flat_map(|rule| rule.kind.by_segment()).any(|(_, of)| of == target);
        if self.role == FEATURE && !by_segment {
            *values = Vec::new();
        }
    }

    fn add(&mut self, rows: &FileRows) -> Result<(), String> {
        if self.is_too_large() {
            return Ok(());
        }
        let Some(cells) = rows.cells(self.name)? else { return Ok(()) };
        let (location, column, role) = (|| self.location.to_string(), self.name.to_owned(), self.role);
        let error = match &mut self.values {
            Values::Numbers(_) if !cells.is_numeric() => {
                Some(SnapshotError::NotNumeric { location: location(), column, holds: cells.holds(), role })
            }
            Values::Numbers(values) => {
                let start = values.len();
                cells.numbers(values);
                // NaN is missing.
                let bad = values.iter().skip(start).position(|&x| numeric::is_invalid(x));
                bad.map(|bad| SnapshotError::NotANumber {
                    location: location(),
                    column,
                    row: rows.first + bad as u64,
                    value: cells.show(bad),
                    role,
                })
            }
            Values::Texts(_) | Values::Classes(_) if matches!(cells, Cells::Other(..)) => {
                Some(SnapshotError::NotText { location: location(), column, holds: cells.holds(), role })
            }
            Values::Texts(texts) => {
                texts.add(&cells);
                texts.over.take().map(|what| {
                    let what = format!("has a column {column:?} that {what}");
                    SnapshotError::TooLarge { location: location(), what }
                })
            }
            Values::Classes(places) => {
                let start = places.len();
                classes_of(&cells, &self.policy.classes, places);
                let bad = places.iter().skip(start).position(|&place| numeric::is_invalid(place));
                bad.map(|bad| SnapshotError::NotAClass {
                    location: location(),
                    column,
                    row: rows.first + bad as u64,
                    value: cells.show(bad),
                })
            }
            Values::Labels(labels) => {
                let classes = self.policy.labels.as_ref().map(|l| Classes::new(&l.values)).unwrap_or_default();
                let start = labels.len();
                cells.flags(&classes, labels);
                let bad = labels.iter().skip(start).position(|&l| l == Flag::Invalid);
                bad.map(|bad| SnapshotError::NotALabel {
                    location: location(),
                    column,
                    row: rows.first + bad as u64,
                    value: cells.show(bad),
                })
            }
        };
        error.into_iter().for_each(|error| note(&mut self.errors, error, self.name));
        Ok(())
    }
}

/// The places of the classes that cells name; empty ones are missing, others invalid.
#[allow(clippy::cast_precision_loss, reason = "there are at most 100")]
fn classes_of(cells: &Cells, classes: &[String], out: &mut Vec<f64>) {
    cells.each_text(|cell| {
        out.push(match cell {
            Cell::Missing | Cell::Text("") => numeric::MISSING,
            Cell::Invalid => numeric::INVALID,
            Cell::Text(text) => {
                classes.iter().position(|class| class == text).map_or(numeric::INVALID, |place| place as f64)
            }
        });
    });
}

impl Texts {
    fn add(&mut self, cells: &Cells) {
        let (names, codes, bytes, over) = (&mut self.coded.names, &mut self.codes, &mut self.bytes, &mut self.over);
        let mut found = Vec::with_capacity(cells.len());
        cells.codes(
            |text| {
                if text.len() > MOST_TEXT || *bytes > MOST_TEXTS {
                    let what =
                        || format!("holds a text of {} bytes, or {bytes} bytes in texts that differ", text.len());
                    over.get_or_insert_with(what);
                    return u32::MAX;
                }
                codes.get(text).copied().unwrap_or_else(|| {
                    let code = u32::try_from(names.len()).unwrap_or(u32::MAX);
                    *bytes += text.len();
                    names.push(text.to_owned());
                    codes.insert(text.to_owned(), code);
                    code
                })
            },
            &mut found,
        );
        let known = names.len();
        self.coded.codes.extend(found.into_iter().map(|c| Some(c).filter(|&c| (c as usize) < known)));
    }
}

/// Refuses more values than fit into memory, of so many rows and of so many columns at a time.
fn bounded(rows: u64, columns: usize, location: &str) -> Result<(), SnapshotError> {
    if rows > MOST_ROWS || rows.saturating_mul(columns as u64) > MOST_VALUES {
        let (location, what) =
            (location.to_owned(), format!("has {rows} rows or more, {columns} columns of which are held at a time"));
        return Err(SnapshotError::TooLarge { location, what });
    }
    Ok(())
}

/// Keeps the first error of each kind of a column.
fn note(errors: &mut Vec<SnapshotError>, error: SnapshotError, of: &str) {
    let named = |e: &SnapshotError| match e {
        SnapshotError::NotNumeric { column, .. }
        | SnapshotError::NotText { column, .. }
        | SnapshotError::NotANumber { column, .. }
        | SnapshotError::NotAClass { column, .. }
        | SnapshotError::NotALabel { column, .. } => column == of,
        _ => false,
    };
    let kind = std::mem::discriminant(&error);
    if !errors.iter().any(|e| named(e) && std::mem::discriminant(e) == kind) {
        errors.push(error);
    }
}
