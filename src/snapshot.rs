//! Training snapshots to baselines: a Parquet or CSV file's columns by what the policy says they are. Unlike events,
//! a snapshot must be right: what does not fit the policy is an error that names the column. Where the bytes come from
//! is `fetch`.

mod fetch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::baseline::{Baseline, BaselineError, Coded, KIND, SnapshotColumns};
use crate::event::{Flag, numeric};
use crate::frame;
use crate::policy::{Policy, RuleKind};
use crate::source::columns::cells::Cells;
use crate::source::columns::{ColumnReader, FileError, Rows, quoted};

/// What is wrong with a snapshot, all of it.
#[derive(Debug)]
pub struct SnapshotErrors(pub Vec<SnapshotError>);

impl Display for SnapshotErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SnapshotErrors {}

impl<E: Into<SnapshotError>> From<E> for SnapshotErrors {
    fn from(e: E) -> Self {
        Self(vec![e.into()])
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(
        "cannot name a snapshot by version {version:?}: it holds {found:?}, which could lead to another file; register the version under a plain name"
    )]
    BadVersion { version: String, found: String },
    #[error("cannot fetch the snapshot {location:?}: {cause}")]
    Fetch { location: String, cause: String },
    #[error("snapshot: {0}")]
    File(#[from] FileError),
    #[error("snapshot {location:?} has no column {column:?}, which the policy names under {role}; its columns are {}", quoted(.columns))]
    NoColumn { location: String, column: String, role: &'static str, columns: Vec<String> },
    #[error("snapshot {location:?}: column {column:?} holds {holds}, the policy lists it under {role}; {}", remedy(.role))]
    NotNumeric { location: String, column: String, holds: String, role: &'static str },
    #[error(
        "snapshot {location:?}: column {column:?} holds {holds}, the policy lists it under {role}; write texts, numbers or booleans"
    )]
    NotText { location: String, column: String, holds: String, role: &'static str },
    #[error("snapshot {location:?}: column {column:?}, row {row}: {value:?} is not a number, the policy lists it under {role}; {}", remedy(.role))]
    NotANumber { location: String, column: String, row: u64, value: String, role: &'static str },
    #[error(
        "snapshot {location:?}: column {column:?}, row {row}: {value:?} is not a label; write 0 or 1, or map it under labels.values"
    )]
    NotALabel { location: String, column: String, row: u64, value: String },
    #[error("snapshot {location:?}: {source}")]
    Baseline { location: String, source: BaselineError },
}

fn remedy(role: &str) -> &'static str {
    if role == "features.numeric" { "write numbers, or list it under features.categorical" } else { "write numbers" }
}

/// Where the snapshot of a version lies, by the policy; `None` where the policy names none.
///
/// # Errors
/// A version that would lead out of the folder.
pub fn location_for(policy: &Policy, version: &str) -> Result<Option<String>, SnapshotErrors> {
    let Some(pattern) = &policy.baseline.snapshot else { return Ok(None) };
    let bad = ["/", "\\", "..", "%", "?", "#"].into_iter().find(|bad| version.contains(bad)).map(str::to_owned);
    let bad = bad.or_else(|| version.chars().find(|c| c.is_control()).map(String::from));
    if let Some(found) = bad.or_else(|| version.is_empty().then(String::new)) {
        return Err(SnapshotError::BadVersion { version: version.to_owned(), found }.into());
    }
    Ok(Some(pattern.replace("{version}", version)))
}

/// Fetches a snapshot (a path relative to the policy, or a URL) and builds the version's baseline from it, or reads the
/// baseline if it is one.
///
/// # Errors
/// What cannot be fetched, read, or does not fit the policy.
pub fn load(policy: &Policy, version: &str, location: &str) -> Result<Baseline, SnapshotErrors> {
    let bytes = fetch::fetch(&policy.directory, location)
        .map_err(|cause| SnapshotError::Fetch { location: location.to_owned(), cause })?;
    let wrong = |source| SnapshotError::Baseline { location: location.to_owned(), source };
    if frame::is(KIND, &bytes) {
        return Baseline::decode(&bytes, policy).map_err(|e| wrong(e).into());
    }
    let sha256 = frame::sha256_hex(&bytes);
    let columns = read(policy, bytes, location)?;
    Baseline::build(policy, version, location, &sha256, &columns)
        .map_err(|errors| SnapshotErrors(errors.into_iter().map(wrong).collect()))
}

/// Reads the columns the policy names from a Parquet or CSV file's bytes.
///
/// # Errors
/// A damaged file, missing columns and values that do not fit the policy.
pub fn read(policy: &Policy, bytes: Vec<u8>, location: &str) -> Result<SnapshotColumns, SnapshotErrors> {
    let (wanted, needed) = columns_of(policy);
    let mut reader = ColumnReader::from_bytes(location, bytes, &wanted)?;
    let missing: Vec<SnapshotError> = needed
        .into_iter()
        .filter(|(column, _)| !reader.has(column))
        .map(|(column, role)| SnapshotError::NoColumn {
            location: location.to_owned(),
            column,
            role,
            columns: reader.columns().to_vec(),
        })
        .collect();
    if !missing.is_empty() {
        return Err(SnapshotErrors(missing));
    }
    let mut building = Building::new(policy, location, &reader);
    while let Some(rows) = reader.next()? {
        building.add(&rows).map_err(|cause| reader.broken(cause))?;
    }
    building.finish()
}

/// The columns a policy names, and those the snapshot must have with what the policy names them under.
fn columns_of(policy: &Policy) -> (Vec<String>, Vec<(String, &'static str)>) {
    let mut needed: Vec<(String, &'static str)> = Vec::new();
    let mut need = |column: &String, role| {
        if !needed.iter().any(|(known, _)| known == column) {
            needed.push((column.clone(), role));
        }
    };
    policy.features.numeric.iter().for_each(|c| need(c, "features.numeric"));
    policy.features.categorical.iter().for_each(|c| need(c, "features.categorical"));
    policy.baseline.score_column.iter().for_each(|c| need(c, "baseline.columns.score"));
    policy.baseline.label_column.iter().for_each(|c| need(c, "baseline.columns.label"));
    for group in &policy.groups {
        for rule in &group.rules {
            if let RuleKind::TprDrop { by, .. } = rule.kind {
                policy
                    .segments
                    .get(by)
                    .iter()
                    .flat_map(|s| &s.parts)
                    .for_each(|c| need(c, "segments (and a tpr_drop rule reads it)"));
            }
        }
    }
    let parts = policy.segments.iter().flat_map(|s| &s.parts).cloned();
    (needed.iter().map(|(c, _)| c.clone()).chain(parts).collect(), needed)
}

/// A snapshot being read.
struct Building<'p> {
    policy: &'p Policy,
    location: &'p str,
    rows: usize,
    numeric: Vec<Vec<f64>>,
    /// Columns read as text: categorical features and segment attributes, each once.
    texts: BTreeMap<String, Texts>,
    score: Vec<f64>,
    label: Vec<Flag>,
    errors: Vec<SnapshotError>,
}

/// A column of texts and the codes of its distinct values.
#[derive(Default)]
struct Texts {
    coded: Coded,
    codes: hashbrown::HashMap<String, u32, rustc_hash::FxBuildHasher>,
}

impl<'p> Building<'p> {
    fn new(policy: &'p Policy, location: &'p str, reader: &ColumnReader) -> Self {
        let parts = policy.segments.iter().flat_map(|s| &s.parts);
        let texts = policy.features.categorical.iter().chain(parts).filter(|c| reader.has(c));
        Self {
            policy,
            location,
            rows: 0,
            numeric: vec![Vec::new(); policy.features.numeric.len()],
            texts: texts.map(|c| (c.clone(), Texts::default())).collect(),
            score: Vec::new(),
            label: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds rows; errors in their values are kept for the end.
    fn add(&mut self, rows: &Rows) -> Result<(), String> {
        let (policy, location) = (self.policy, self.location);
        self.rows += rows.len();
        let score = policy
            .baseline
            .score_column
            .iter()
            .zip(std::iter::once(&mut self.score))
            .map(|(c, out)| (c, out, "baseline.columns.score"));
        let features =
            policy.features.numeric.iter().zip(&mut self.numeric).map(|(c, out)| (c, out, "features.numeric"));
        for (column, out, role) in features.chain(score) {
            if let Some(cells) = rows.cells(column)? {
                let found = numbers(&cells, rows.first, column, location, role, out);
                note(&mut self.errors, found, column);
            }
        }
        for (column, texts) in &mut self.texts {
            let Some(cells) = rows.cells(column)? else { continue };
            if let Cells::Other(..) = cells {
                let (column, holds) = (column.clone(), cells.holds());
                let role =
                    if policy.features.categorical.contains(&column) { "features.categorical" } else { "segments" };
                let error =
                    SnapshotError::NotText { location: location.to_owned(), column: column.clone(), holds, role };
                note(&mut self.errors, Some(error), &column);
                continue;
            }
            texts.add(&cells);
        }
        self.add_labels(rows)
    }

    fn add_labels(&mut self, rows: &Rows) -> Result<(), String> {
        let Some(column) = &self.policy.baseline.label_column else { return Ok(()) };
        let Some(cells) = rows.cells(column)? else { return Ok(()) };
        let none = BTreeMap::new();
        let start = self.label.len();
        cells.flags(self.policy.labels.as_ref().map_or(&none, |l| &l.values), &mut self.label);
        let bad = self.label.iter().skip(start).position(|&l| l == Flag::Invalid);
        let error = bad.map(|row| SnapshotError::NotALabel {
            location: self.location.to_owned(),
            column: column.clone(),
            row: rows.first + row as u64,
            value: cells.show(row),
        });
        note(&mut self.errors, error, column);
        Ok(())
    }

    fn finish(self) -> Result<SnapshotColumns, SnapshotErrors> {
        if !self.errors.is_empty() {
            return Err(SnapshotErrors(self.errors));
        }
        let column = |name: &String| self.texts.get(name).map(|t| &t.coded);
        let segments = self.policy.segments.iter().map(|s| {
            let parts: Option<Vec<&Coded>> = s.parts.iter().map(column).collect();
            match parts.as_deref() {
                Some([single]) => Some((*single).clone()),
                Some(parts) => Some(Coded::cross(parts)),
                None => None,
            }
        });
        Ok(SnapshotColumns {
            rows: self.rows,
            segments: segments.collect(),
            categorical: self
                .policy
                .features
                .categorical
                .iter()
                .map(|c| column(c).cloned().unwrap_or_default())
                .collect(),
            numeric: self.numeric,
            score: self.policy.baseline.score_column.is_some().then_some(self.score),
            label: self.policy.baseline.label_column.is_some().then_some(self.label),
        })
    }
}

impl Texts {
    fn add(&mut self, cells: &Cells) {
        let (names, codes) = (&mut self.coded.names, &mut self.codes);
        let mut found = Vec::with_capacity(cells.len());
        cells.codes(
            |text| {
                codes.get(text).copied().unwrap_or_else(|| {
                    let code = u32::try_from(names.len()).unwrap_or(u32::MAX);
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

/// Keeps the first error of each column.
fn note(errors: &mut Vec<SnapshotError>, error: Option<SnapshotError>, of: &str) {
    let named = |e: &SnapshotError| match e {
        SnapshotError::NotNumeric { column, .. }
        | SnapshotError::NotText { column, .. }
        | SnapshotError::NotANumber { column, .. }
        | SnapshotError::NotALabel { column, .. } => column == of,
        _ => false,
    };
    if let Some(error) =
        error.filter(|new| !errors.iter().any(|e| named(e) && std::mem::discriminant(e) == std::mem::discriminant(new)))
    {
        errors.push(error);
    }
}

/// Appends a column's numbers; NaN is missing. Returns what is no number.
fn numbers(
    cells: &Cells,
    first: u64,
    column: &str,
    location: &str,
    role: &'static str,
    out: &mut Vec<f64>,
) -> Option<SnapshotError> {
    let (location, column) = (location.to_owned(), column.to_owned());
    if !cells.is_numeric() {
        return Some(SnapshotError::NotNumeric { location, column, holds: cells.holds(), role });
    }
    let start = out.len();
    cells.numbers(out);
    let bad = out.iter().skip(start).position(|&x| numeric::is_invalid(x))?;
    Some(SnapshotError::NotANumber { location, column, row: first + bad as u64, value: cells.show(bad), role })
}
