//! A snapshot's columns as far as a draft depends on them: what they hold, how many values differ, how many are missing.
//! Read in batches; memory is bounded by the number of columns.

use std::collections::{BTreeSet, HashSet};
use std::hash::BuildHasher as _;
use std::path::Path;

use crate::source::columns::cells::{Cell, Cells};
use crate::source::columns::reader::ColumnReader;
use crate::source::columns::{FileError, FileRows};
use driftgate_core::event::numeric;
use driftgate_core::seeded::Seeded;

/// Distinct values that are counted; beyond, there are many.
const TOLD_APART: usize = 100_000;
/// Distinct values whose texts are kept.
const KEPT: usize = 20;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers without decimals.
    Whole,
    Number,
    Bool,
    Text,
    Time,
    /// Nothing but nulls.
    Empty,
    /// A type that nothing can be read from.
    Opaque(String),
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Values that are there.
    pub count: u64,
    pub missing: u64,
    /// Values that differ; at `TOLD_APART` there may be more.
    pub distinct: usize,
    /// No value comes twice, as far as they were counted.
    pub all_differ: bool,
    /// Every value is a date, or begins with one.
    pub dates: bool,
    /// The texts of the values, in order, where there are at most `KEPT`.
    pub values: Vec<String>,
    /// Of the numbers; NaN where there are none.
    pub min: f64,
    pub max: f64,
}

/// A file's columns in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub rows: u64,
    pub columns: Vec<Column>,
}

/// Reads a Parquet or CSV file.
///
/// # Errors
/// A file that cannot be read, or is neither.
pub fn profile(path: &Path) -> Result<Profile, FileError> {
    let names = ColumnReader::open(path, &[])?.columns().to_vec();
    let mut reader = ColumnReader::open(path, &names)?;
    let mut building: Vec<Building> = names.into_iter().map(Building::new).collect();
    let mut rows = 0;
    while let Some(batch) = reader.next()? {
        rows += batch.len() as u64;
        for column in &mut building {
            column.add(&batch).map_err(|cause| reader.broken(cause))?;
        }
    }
    Ok(Profile { rows, columns: building.into_iter().map(Building::finish).collect() })
}

/// A column being read.
struct Building {
    name: String,
    /// What the file says it is; of a CSV file it shows in the values.
    kind: Option<Kind>,
    /// Every value so far is a number.
    numeric: bool,
    /// … and without decimals.
    whole: bool,
    count: u64,
    missing: u64,
    seen: HashSet<u64>,
    seeded: Seeded,
    repeats: bool,
    dates: bool,
    values: BTreeSet<String>,
    min: f64,
    max: f64,
}

impl Building {
    fn new(name: String) -> Self {
        Self {
            name,
            kind: None,
            numeric: true,
            whole: true,
            count: 0,
            missing: 0,
            seen: HashSet::new(),
            seeded: Seeded::default(),
            repeats: false,
            dates: true,
            values: BTreeSet::new(),
            min: f64::NAN,
            max: f64::NAN,
        }
    }

    fn add(&mut self, rows: &FileRows) -> Result<(), String> {
        let Some(cells) = rows.cells(&self.name)? else { return Ok(()) };
        match &cells {
            Cells::Bool(_) => self.kind = Some(Kind::Bool),
            Cells::Text(_) | Cells::Dictionary(..) => self.kind = Some(Kind::Text),
            Cells::Time { .. } => self.kind = Some(Kind::Time),
            Cells::Other(_, kind) => self.kind = Some(Kind::Opaque(kind.clone())),
            Cells::Csv(_)
            | Cells::Integer(_)
            | Cells::Unsigned(_)
            | Cells::Float(_)
            | Cells::Long(..)
            | Cells::Null(_) => {}
        }
        let mut numbers = Vec::new();
        if cells.is_numeric() {
            cells.numbers(&mut numbers);
        }
        for &x in &numbers {
            if numeric::is_invalid(x) {
                self.numeric = false;
            } else if !x.is_nan() {
                self.whole &= x.fract() == 0.0;
                self.min = self.min.min(x);
                self.max = self.max.max(x);
            }
        }
        let mut at = 0;
        cells.each_text(|cell| {
            // How a CSV file spells a missing number is no value.
            let absent = numbers.get(at).is_some_and(|x| x.is_nan() && !numeric::is_invalid(*x));
            at += 1;
            match cell {
                Cell::Text(text) if !absent => self.value(text),
                Cell::Text(_) | Cell::Missing | Cell::Invalid => self.missing += 1,
            }
        });
        Ok(())
    }

    fn value(&mut self, text: &str) {
        self.count += 1;
        self.dates = self.dates && is_date(text);
        if self.seen.len() < TOLD_APART {
            let is_new = self.seen.insert(self.seeded.hash_one(text));
            self.repeats |= !is_new;
            if is_new && self.values.len() <= KEPT {
                self.values.insert(text.to_owned());
            }
        }
    }

    fn finish(self) -> Column {
        let kind = match self.kind {
            Some(Kind::Opaque(kind)) => Kind::Opaque(kind),
            _ if self.count == 0 => Kind::Empty,
            Some(kind) => kind,
            None if !self.numeric => Kind::Text,
            None if self.whole => Kind::Whole,
            None => Kind::Number,
        };
        let values = if self.values.len() > KEPT { Vec::new() } else { self.values.into_iter().collect() };
        Column {
            name: self.name,
            kind,
            count: self.count,
            missing: self.missing,
            distinct: self.seen.len(),
            all_differ: !self.repeats && self.count > 0,
            dates: self.dates && self.count > 0,
            values,
            min: self.min,
            max: self.max,
        }
    }
}

/// Whether a text begins with a date, as 2013-03-01 or 2013/03/01.
fn is_date(text: &str) -> bool {
    let digits = |part: Option<&str>, length: usize| {
        part.is_some_and(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut parts = text.get(..10).unwrap_or_default().split(['-', '/']);
    digits(parts.next(), 4) && digits(parts.next(), 2) && digits(parts.next(), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_column_is_what_its_values_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(
            &path,
            "id,amount,visits,country,gone,flag\na1,0.5,3,DE,,true\na2,NA,3,US,,false\na3,7,,DE,,true\n",
        )
        .unwrap();
        let found = profile(&path).unwrap();
        let told: Vec<_> =
            found.columns.iter().map(|c| (c.name.as_str(), &c.kind, c.count, c.missing, c.distinct)).collect();
        assert_eq!(
            told,
            [
                ("id", &Kind::Text, 3, 0, 3),
                ("amount", &Kind::Number, 2, 1, 2),
                ("visits", &Kind::Whole, 2, 1, 1),
                ("country", &Kind::Text, 3, 0, 2),
                ("gone", &Kind::Empty, 0, 3, 0),
                ("flag", &Kind::Whole, 3, 0, 2),
            ]
        );
        let [id, amount, _, country, ..] = found.columns.as_slice() else { panic!("{found:?}") };
        assert!(id.all_differ && !country.all_differ && found.rows == 3);
        assert_eq!((amount.min, amount.max), (0.5, 7.0));
        assert_eq!(country.values, ["DE", "US"]);
    }

    #[test]
    fn a_parquet_column_is_what_its_type_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights/train_v1.parquet");
        let found = profile(&path).unwrap();
        let kind = |name: &str| found.columns.iter().find(|c| c.name == name).map(|c| c.kind.clone());
        assert_eq!((kind("carrier"), kind("temp")), (Some(Kind::Text), Some(Kind::Number)));
        assert!(found.columns.iter().all(|c| c.count + c.missing == found.rows));
    }
}
