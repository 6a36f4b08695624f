//! A column of a Parquet or CSV file as cells: numbers, texts, codes, flags and times by the rules of the event schema.
//! The readers of events and of snapshots decide which column has which meaning.

use std::ops::RangeInclusive;
use std::sync::Arc;

use polars_core::prelude::{
    BooleanChunked, CategoricalMapping, DataType, Float64Chunked, Int64Chunked, PolarsResult, Series, StringChunked,
    TimeUnit, UInt32Chunked, UInt64Chunked,
};

use super::clock::{self, Clock};
use super::decimals::{self, Decimal, Decimals};
use super::values::{cut, is_missing, not_a_number, parse_number, time_of_tick};
use super::{texts, widen};
use driftgate_core::decode::time::TimeFormat;
use driftgate_core::decode::{Reason, Reject};
use driftgate_core::event::{self, Flag, code, numeric};
use driftgate_core::schema::{Classes, boolean, canonical_number};
use driftgate_core::seeded::Map;

/// A column's values in one of the few forms the readers know.
#[derive(Clone, Debug)]
pub enum Cells {
    /// Texts of a typed file.
    Text(StringChunked),
    /// Texts of a CSV file, whose type is read off the text.
    Csv(StringChunked),
    /// Dictionary-encoded texts (categories, enumerations).
    Dictionary(UInt32Chunked, Arc<CategoricalMapping>),
    Integer(Int64Chunked),
    Unsigned(UInt64Chunked),
    Float(Float64Chunked),
    /// Decimals of which whole ones are too long for doubles: the doubles nearest to them, and their texts.
    Long(Float64Chunked, StringChunked),
    Bool(BooleanChunked),
    /// Days and instants, in ticks since the epoch.
    Time {
        ticks: Int64Chunked,
        clock: Clock,
    },
    /// So many nulls.
    Null(usize),
    /// So many values of a type nothing can be read from (lists, structs), and the type.
    Other(usize, String),
}

/// One cell as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Missing,
    /// It has no text.
    Invalid,
    Text(&'a str),
}

impl Cells {
    /// The cells of a series; `csv` when its texts come from a file without types.
    ///
    /// # Errors
    /// When polars cannot cast although it says that it can.
    pub fn of(series: &Series, csv: bool) -> PolarsResult<Self> {
        Ok(match series.dtype() {
            DataType::String if csv => Self::Csv(series.str()?.clone()),
            DataType::String => Self::Text(series.str()?.clone()),
            DataType::Binary => Self::Text(texts::of_bytes(series.binary()?)),
            DataType::Categorical(_, names) | DataType::Enum(_, names) => {
                let codes = series.to_physical_repr().cast(&DataType::UInt32)?;
                Self::Dictionary(codes.u32()?.clone(), Arc::clone(names))
            }
            DataType::UInt64 => Self::Unsigned(series.u64()?.clone()),
            t if t.is_integer() => Self::Integer(series.cast(&DataType::Int64)?.i64()?.clone()),
            DataType::Float32 => Self::Float(widen::singles(series.f32()?)),
            DataType::Decimal(_, scale) => {
                let column = series.decimal()?.physical();
                let values: Vec<_> = column.iter().map(|v| v.map(|v| Decimal::new(v, *scale))).collect();
                match decimals::numbers(&values) {
                    Decimals::Whole(c) => Self::Integer(c),
                    Decimals::Doubles(c) => Self::Float(c),
                    Decimals::Long(numbers, texts) => Self::Long(numbers, texts),
                }
            }
            t if t.is_float() => Self::Float(series.cast(&DataType::Float64)?.f64()?.clone()),
            DataType::Boolean => Self::Bool(series.bool()?.clone()),
            DataType::Date => Self::time(series, clock::DAY_NS, false)?,
            DataType::Datetime(unit, zone) => {
                let nanoseconds = match unit {
                    TimeUnit::Nanoseconds => 1,
                    TimeUnit::Microseconds => 1_000,
                    TimeUnit::Milliseconds => clock::MS_NS,
                };
                Self::time(series, nanoseconds, zone.is_some())?
            }
            DataType::Null => Self::Null(series.len()),
            other => Self::Other(series.len(), format!("{other}")),
        })
    }

    fn time(series: &Series, nanoseconds: i128, zoned: bool) -> PolarsResult<Self> {
        let ticks = series.to_physical_repr().cast(&DataType::Int64)?.i64()?.clone();
        Ok(Self::Time { ticks, clock: Clock::new(nanoseconds, zoned) })
    }

    /// The same cells with the texts of a CSV file as they are written: ids and versions, where 1.10 is not 1.1.
    #[must_use]
    pub fn raw(self) -> Self {
        match self {
            Self::Csv(c) => Self::Text(c),
            other => other,
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(c) | Self::Csv(c) => c.len(),
            Self::Dictionary(c, _) => c.len(),
            Self::Integer(c) | Self::Time { ticks: c, .. } => c.len(),
            Self::Unsigned(c) => c.len(),
            Self::Float(c) | Self::Long(c, _) => c.len(),
            Self::Bool(c) => c.len(),
            Self::Null(n) | Self::Other(n, _) => *n,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column's type, for messages.
    #[must_use]
    pub fn holds(&self) -> String {
        match self {
            Self::Text(_) | Self::Csv(_) => "text (String)".to_owned(),
            Self::Dictionary(..) => "text (Categorical)".to_owned(),
            Self::Integer(_) | Self::Unsigned(_) => "integers".to_owned(),
            Self::Long(..) => "decimals".to_owned(),
            Self::Float(_) => "floats".to_owned(),
            Self::Bool(_) => "booleans".to_owned(),
            Self::Time { clock, .. } if clock.is_days() => "dates (Date)".to_owned(),
            Self::Time { .. } => "times (Datetime)".to_owned(),
            Self::Null(_) => "only nulls".to_owned(),
            Self::Other(_, kind) => format!("values of type {kind}"),
        }
    }

    /// Whether nothing can be read from it, since its values have parts (structs, lists).
    #[must_use]
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::Other(..))
    }

    /// Whether the column can hold numbers.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Dictionary(..) | Self::Time { .. } | Self::Other(..))
    }

    /// Appends the cells as numbers: NaN and null are missing, all else that is no number is invalid.
    pub fn numbers(&self, out: &mut Vec<f64>) {
        match self {
            Self::Float(c) | Self::Long(c, _) => c.downcast_iter().for_each(|array| {
                let values = array.values().iter().map(|&x| numeric::cell(x));
                match array.validity().filter(|v| v.unset_bits() > 0) {
                    None => out.extend(values),
                    Some(valid) => {
                        out.extend(values.zip(valid.iter()).map(|(x, v)| if v { x } else { numeric::MISSING }));
                    }
                }
            }),
            #[allow(clippy::cast_precision_loss, reason = "features are doubles")]
            Self::Integer(c) => out.extend(c.iter().map(|x| x.map_or(numeric::MISSING, |x| x as f64))),
            #[allow(clippy::cast_precision_loss, reason = "features are doubles")]
            Self::Unsigned(c) => out.extend(c.iter().map(|x| x.map_or(numeric::MISSING, |x| x as f64))),
            Self::Bool(c) => out.extend(c.iter().map(|x| x.map_or(numeric::MISSING, |x| f64::from(u8::from(x))))),
            Self::Csv(c) => out.extend(c.iter().map(|x| x.map_or(numeric::MISSING, parse_number))),
            Self::Text(c) => out.extend(c.iter().map(|x| not_a_number(x.is_some()))),
            Self::Dictionary(c, _) => out.extend(c.iter().map(|x| not_a_number(x.is_some()))),
            Self::Time { ticks, .. } => out.extend(ticks.iter().map(|x| not_a_number(x.is_some()))),
            Self::Null(n) => out.resize(out.len() + n, numeric::MISSING),
            Self::Other(n, _) => out.resize(out.len() + n, numeric::INVALID),
        }
    }

    /// Calls `each` with the canonical text of every cell, in order.
    pub fn each_text(&self, mut each: impl FnMut(Cell<'_>)) {
        match self {
            Self::Text(c) | Self::Long(_, c) => c.iter().for_each(|x| each(x.map_or(Cell::Missing, Cell::Text))),
            Self::Csv(c) => c.iter().for_each(|x| match x {
                None => each(Cell::Missing),
                Some(text) => each(Cell::Text(boolean(text).unwrap_or(text))),
            }),
            Self::Null(n) => (0..*n).for_each(|_| each(Cell::Missing)),
            Self::Other(n, _) => (0..*n).for_each(|_| each(Cell::Invalid)),
            _ => {
                let mut text = String::new();
                for key in self.keys() {
                    match key {
                        None => each(Cell::Missing),
                        Some(key) => {
                            text.clear();
                            self.write(key, &mut text);
                            each(Cell::Text(&text));
                        }
                    }
                }
            }
        }
    }

    /// Appends one code per cell: `intern` gives the code of a text and is asked once per distinct value where that is cheap
    /// to know, else once per row.
    pub fn codes(&self, mut intern: impl FnMut(&str) -> u32, out: &mut Vec<u32>) {
        match self {
            Self::Text(c) | Self::Long(_, c) => texts::codes(c, code::MISSING, intern, out),
            Self::Csv(c) => {
                texts::codes(c, code::MISSING, |text| intern(boolean(text).unwrap_or(text)), out);
            }
            Self::Null(n) => out.resize(out.len() + n, code::MISSING),
            Self::Other(n, _) => out.resize(out.len() + n, code::INVALID),
            _ => {
                let mut known: Map<u64, u32> = Map::default();
                let mut text = String::new();
                out.extend(self.keys().into_iter().map(|key| {
                    let Some(key) = key else { return code::MISSING };
                    *known.entry(key).or_insert_with(|| {
                        text.clear();
                        self.write(key, &mut text);
                        intern(&text)
                    })
                }));
            }
        }
    }

    /// Appends the cells as yes or no. A CSV file's texts are read by their spelling.
    pub fn flags(&self, classes: &Classes, out: &mut Vec<Flag>) {
        match self {
            Self::Bool(c) => out.extend(c.iter().map(|x| x.map_or(Flag::Missing, |yes| classes.boolean(yes)))),
            Self::Csv(c) => out.extend(c.iter().map(|x| match x {
                None => Flag::Missing,
                Some(text) => match classes.text(text) {
                    Flag::Invalid if is_missing(text.trim()) => Flag::Missing,
                    flag => flag,
                },
            })),
            Self::Integer(_) | Self::Unsigned(_) | Self::Float(_) | Self::Long(..) => {
                let mut numbers = Vec::with_capacity(self.len());
                self.numbers(&mut numbers);
                out.extend(numbers.into_iter().map(|x| classes.number(x)));
            }
            Self::Time { .. } => self.each_text(|cell| {
                out.push(if cell == Cell::Missing { Flag::Missing } else { Flag::Invalid });
            }),
            Self::Text(_) | Self::Dictionary(..) | Self::Null(_) | Self::Other(..) => self.each_text(|cell| {
                out.push(match cell {
                    Cell::Missing => Flag::Missing,
                    Cell::Invalid => Flag::Invalid,
                    Cell::Text(text) => classes.text(text),
                });
            }),
        }
    }

    /// Appends the cells as milliseconds since the epoch if all are times of `within`; else appends nothing and says so.
    pub fn times_within(&self, format: &TimeFormat, within: &RangeInclusive<i64>, out: &mut Vec<i64>) -> bool {
        let (ticks, unit) = match self {
            Self::Integer(c) => (c, format.unit),
            Self::Time { ticks, clock } if clock.is_zoned() || format.is_utc() => match clock.per_ms() {
                Some(1) => (ticks, event::TimeUnit::Millis),
                Some(1_000) => (ticks, event::TimeUnit::Micros),
                Some(1_000_000) => (ticks, event::TimeUnit::Nanos),
                _ => return false,
            },
            _ => return false,
        };
        if ticks.null_count() > 0 {
            return false;
        }
        let start = out.len();
        for array in ticks.downcast_iter() {
            match unit {
                event::TimeUnit::Millis => out.extend_from_slice(array.values()),
                unit => out.extend(array.values().iter().map(|t| unit.millis(*t).unwrap_or(i64::MAX))),
            }
        }
        let all = out.iter().skip(start).fold(true, |all, ms| all & within.contains(ms));
        if !all {
            out.truncate(start);
        }
        all
    }

    /// Whether every cell is a text of one to `most` bytes, as far as is cheap to know.
    #[must_use]
    pub fn all_texts_within(&self, most: usize) -> bool {
        matches!(self, Self::Text(c) if texts::all_within(c, most))
    }

    /// Calls `each` with every cell as milliseconds since the epoch, in order.
    pub fn each_time(&self, format: &TimeFormat, mut each: impl FnMut(Result<i64, Reject>)) {
        let none = || Err(Reject::new(Reason::NoTime, "the time is null"));
        let text = |x: Option<&str>| match x {
            None => none(),
            Some(text) if is_missing(text.trim()) => Err(Reject::new(Reason::NoTime, "the time is empty")),
            Some(text) => format.text(text),
        };
        match self {
            Self::Integer(c) => c.iter().for_each(|x| each(x.map_or_else(none, |x| format.integer(x)))),
            Self::Unsigned(c) => c.iter().for_each(|x| {
                each(x.map_or_else(none, |x| format.integer(i64::try_from(x).unwrap_or(i64::MAX))));
            }),
            Self::Float(c) | Self::Long(c, _) => c.iter().for_each(|x| {
                each(x.filter(|x| !x.is_nan()).map_or_else(none, |x| format.float(x)));
            }),
            Self::Time { ticks, clock } => ticks.iter().for_each(|tick| {
                each(tick.map_or_else(none, |tick| time_of_tick(*clock, tick, format)));
            }),
            Self::Text(c) | Self::Csv(c) => c.iter().for_each(|x| each(text(x))),
            Self::Dictionary(..) => self.each_text(|cell| match cell {
                Cell::Text(t) => each(text(Some(t))),
                Cell::Missing | Cell::Invalid => each(none()),
            }),
            Self::Bool(_) | Self::Other(..) => {
                let detail = format!("the time column holds {}", self.holds());
                (0..self.len()).for_each(|_| each(Err(Reject::new(Reason::BadTime, detail.clone()))));
            }
            Self::Null(n) => (0..*n).for_each(|_| each(none())),
        }
    }

    /// The text of one cell, for messages.
    #[must_use]
    pub fn show(&self, row: usize) -> String {
        let mut shown = String::new();
        let mut at = 0;
        self.each_text(|cell| {
            if at == row {
                shown = match cell {
                    Cell::Missing => "null".to_owned(),
                    Cell::Invalid => "?".to_owned(),
                    Cell::Text(text) => cut(text),
                };
            }
            at += 1;
        });
        shown
    }

    /// Cells as keys that are equal where the values are; null and NaN have none. Only for the kinds `write` knows.
    fn keys(&self) -> Vec<Option<u64>> {
        match self {
            Self::Dictionary(c, _) => c.iter().map(|x| x.map(u64::from)).collect(),
            Self::Integer(c) | Self::Time { ticks: c, .. } => c.iter().map(|x| x.map(i64::cast_unsigned)).collect(),
            Self::Unsigned(c) => c.iter().collect(),
            Self::Float(c) => c.iter().map(|x| x.filter(|x| !x.is_nan()).map(f64::to_bits)).collect(),
            Self::Bool(c) => c.iter().map(|x| x.map(u64::from)).collect(),
            Self::Text(_) | Self::Csv(_) | Self::Long(..) | Self::Null(_) | Self::Other(..) => Vec::new(),
        }
    }

    /// Writes the canonical text of a key.
    fn write(&self, key: u64, out: &mut String) {
        match self {
            Self::Dictionary(_, names) => {
                out.push_str(u32::try_from(key).ok().and_then(|c| names.cat_to_str(c)).unwrap_or(""));
            }
            // Integers from 2^53 on are written as the number they are: telling apart beats looking like a double.
            Self::Integer(_) => out.push_str(itoa::Buffer::new().format(key.cast_signed())),
            Self::Unsigned(_) => out.push_str(itoa::Buffer::new().format(key)),
            Self::Float(_) => canonical_number(f64::from_bits(key), out),
            Self::Bool(_) => out.push_str(if key == 0 { "false" } else { "true" }),
            Self::Time { clock, .. } => out.push_str(&clock.iso(key.cast_signed())),
            Self::Text(_) | Self::Csv(_) | Self::Long(..) | Self::Null(_) | Self::Other(..) => {}
        }
    }
}

#[cfg(test)]
mod tests;
