//! The columns of the table, and rows from them. A column that is not there has no values: a projection leaves it out.

use polars_core::prelude::*;

use crate::history::record::series::{joined, split};
use crate::history::record::{Bin, Measured};
use crate::history::row::Row;
use driftgate_core::judge::verdict::Status;

/// What is read of a series beside its names.
const OF_WINDOW: [&str; 20] = [
    "stage",
    "window_start",
    "window_end",
    "complete",
    "metric",
    "status",
    "value",
    "lower",
    "upper",
    "limit",
    "limit_side",
    "warn",
    "n",
    "missing",
    "invalid",
    "reference_n",
    "reason",
    "pending",
    "muted",
    "predictions",
];
/// The column of the segment; files of releases before do not have it.
pub const SEGMENT: &str = "segment";
/// The column of the bins' names; it has no value where there is no distribution.
pub const BIN_NAMES: &str = "bins";
/// The distribution.
pub const BINS: [&str; 3] = [BIN_NAMES, "bin_reference", "bin_window"];

/// Of it what a line is drawn from.
const OF_LINE: [&str; 5] = ["window_end", "status", "value", "limit", "warn"];

/// How much is read of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// What a line is drawn from: ends, statuses, values and limits.
    Line,
    #[default]
    Numbers,
    /// With the distributions.
    Bins,
}

/// The names of the columns that a series is read by.
pub fn names(detail: Detail) -> impl Iterator<Item = &'static str> {
    let (of_window, more): (&[&str], &[&str]) = match detail {
        Detail::Line => (&OF_LINE, &[]),
        Detail::Numbers => (&OF_WINDOW, &["labels"]),
        Detail::Bins => (&OF_WINDOW, &[BINS[0], BINS[1], BINS[2], "labels"]),
    };
    of_window.iter().chain(more).copied()
}

/// The table of rows.
pub fn frame(model: &str, rows: &[Row]) -> PolarsResult<DataFrame> {
    let columns = vec![
        texts("model", rows, |_| Some(model)),
        texts("version", rows, |r| Some(&r.version)),
        texts("stage", rows, |r| r.stage.as_deref()),
        texts("group", rows, |r| Some(&r.group)),
        texts("rule", rows, |r| Some(&r.of.rule)),
        texts("metric", rows, |r| Some(&r.of.metric)),
        texts("subject", rows, |r| Some(split(&r.of.subject).0)),
        texts(SEGMENT, rows, |r| r.of.segment()),
        times("window_start", rows, |r| r.start_ms),
        times("window_end", rows, |r| r.end_ms),
        flags("complete", rows, |r| r.complete),
        texts("status", rows, |r| Some(r.of.status.name())),
        numbers("value", rows, |r| r.of.value),
        numbers("lower", rows, |r| r.of.lower),
        numbers("upper", rows, |r| r.of.upper),
        numbers("limit", rows, |r| r.of.limit),
        texts("limit_side", rows, |r| r.of.side.as_deref()),
        numbers("warn", rows, |r| r.of.warn),
        counts("n", rows, |r| r.of.n),
        counts("missing", rows, |r| r.of.missing),
        counts("invalid", rows, |r| r.of.invalid),
        counts("reference_n", rows, |r| r.of.reference_n),
        texts("reason", rows, |r| r.of.reason.as_deref()),
        flags("pending", rows, |r| r.of.pending),
        flags("muted", rows, |r| r.of.muted),
        counts("predictions", rows, |r| Some(r.predictions)),
        counts("labels", rows, |r| Some(r.labels)),
        bin_names(rows),
        bin_counts("bin_reference", rows, |bin| bin.reference),
        bin_counts("bin_window", rows, |bin| bin.window),
    ];
    DataFrame::new(rows.len(), columns)
}

fn texts<'r>(name: &str, rows: &'r [Row], of: impl Fn(&'r Row) -> Option<&'r str>) -> Column {
    let values: StringChunked = rows.iter().map(of).collect();
    values.with_name(name.into()).into_column()
}

fn numbers(name: &str, rows: &[Row], of: impl Fn(&Row) -> Option<f64>) -> Column {
    let values: Float64Chunked = rows.iter().map(of).collect();
    values.with_name(name.into()).into_column()
}

fn counts(name: &str, rows: &[Row], of: impl Fn(&Row) -> Option<u64>) -> Column {
    let values: Int64Chunked = rows.iter().map(|row| of(row).and_then(|n| i64::try_from(n).ok())).collect();
    values.with_name(name.into()).into_column()
}

fn flags(name: &str, rows: &[Row], of: impl Fn(&Row) -> bool) -> Column {
    let values: BooleanChunked = rows.iter().map(|row| Some(of(row))).collect();
    values.with_name(name.into()).into_column()
}

fn times(name: &str, rows: &[Row], of: impl Fn(&Row) -> i64) -> Column {
    let values: Int64Chunked = rows.iter().map(|row| Some(of(row))).collect();
    values.with_name(name.into()).into_series().into_datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC)).into_column()
}

/// The names as a JSON array: pandas does not take lists of the texts that polars writes.
fn bin_names(rows: &[Row]) -> Column {
    let names = |row: &Row| {
        let names: Vec<&str> = row.of.bins.iter().map(|bin| bin.name.as_str()).collect();
        if names.is_empty() { None } else { serde_json::to_string(&names).ok() }
    };
    let values: StringChunked = rows.iter().map(names).collect();
    values.with_name("bins".into()).into_column()
}

fn bin_counts(name: &str, rows: &[Row], of: impl Fn(&Bin) -> u64) -> Column {
    let all = rows.iter().map(|row| row.of.bins.len()).sum();
    let mut lists = ListPrimitiveChunkedBuilder::<Int64Type>::new(name.into(), rows.len(), all, DataType::Int64);
    for row in rows {
        lists.append_values_iter(row.of.bins.iter().map(|bin| of(bin).cast_signed()));
    }
    lists.finish().into_column()
}

/// The rows of a table.
pub fn rows(frame: &DataFrame) -> Vec<Row> {
    let mut rows = without_bins(frame);
    Table { frame }.bins(rows.iter_mut().enumerate());
    rows
}

/// Those that are chosen by their places in ascending order, once they are known without their bins.
pub fn chosen_rows(frame: &DataFrame, choose: impl Fn(&[Row]) -> Vec<usize>) -> Vec<Row> {
    let rows = without_bins(frame);
    let mut chosen = choose(&rows).into_iter().peekable();
    let rows = rows.into_iter().enumerate();
    let mut rows: Vec<(usize, Row)> = rows.filter(|(at, _)| chosen.next_if_eq(at).is_some()).collect();
    Table { frame }.bins(rows.iter_mut().map(|(at, row)| (*at, row)));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn without_bins(frame: &DataFrame) -> Vec<Row> {
    let table = Table { frame };
    let height = frame.height();
    let mut rows: Vec<Row> = std::iter::repeat_with(nothing).take(height).collect();
    table.texts("version", &mut rows, |row, text| text.clone_into(&mut row.version));
    table.texts("stage", &mut rows, |row, text| row.stage = Some(text.to_owned()));
    table.texts("group", &mut rows, |row, text| text.clone_into(&mut row.group));
    table.texts("rule", &mut rows, |row, text| text.clone_into(&mut row.of.rule));
    table.texts("metric", &mut rows, |row, text| text.clone_into(&mut row.of.metric));
    table.texts("subject", &mut rows, |row, text| text.clone_into(&mut row.of.subject));
    table.texts(SEGMENT, &mut rows, |row, text| row.of.subject = joined(&row.of.subject, text));
    table.texts("limit_side", &mut rows, |row, text| row.of.side = Some(text.to_owned()));
    table.texts("reason", &mut rows, |row, text| row.of.reason = Some(text.to_owned()));
    table.texts("status", &mut rows, |row, text| {
        row.of.status = Status::ALL.into_iter().find(|s| s.name() == text).unwrap_or(Status::Insufficient);
    });
    table.integers("window_start", &mut rows, |row, ms| row.start_ms = ms);
    table.integers("window_end", &mut rows, |row, ms| row.end_ms = ms);
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    table.integers("n", &mut rows, |row, n| row.of.n = Some(count(n)));
    table.integers("missing", &mut rows, |row, n| row.of.missing = Some(count(n)));
    table.integers("invalid", &mut rows, |row, n| row.of.invalid = Some(count(n)));
    table.integers("reference_n", &mut rows, |row, n| row.of.reference_n = Some(count(n)));
    table.integers("predictions", &mut rows, |row, n| row.predictions = count(n));
    table.integers("labels", &mut rows, |row, n| row.labels = count(n));
    table.numbers("value", &mut rows, |row, x| row.of.value = Some(x));
    table.numbers("lower", &mut rows, |row, x| row.of.lower = Some(x));
    table.numbers("upper", &mut rows, |row, x| row.of.upper = Some(x));
    table.numbers("limit", &mut rows, |row, x| row.of.limit = Some(x));
    table.numbers("warn", &mut rows, |row, x| row.of.warn = Some(x));
    table.flags("complete", &mut rows, |row, is| row.complete = is);
    table.flags("pending", &mut rows, |row, is| row.of.pending = is);
    table.flags("muted", &mut rows, |row, is| row.of.muted = is);
    rows
}

/// A row without values.
fn nothing() -> Row {
    Row {
        version: String::new(),
        stage: None,
        group: String::new(),
        start_ms: 0,
        end_ms: 0,
        complete: false,
        predictions: 0,
        labels: 0,
        of: Measured::nothing(),
    }
}

/// Columns by name, given to rows.
struct Table<'f> {
    frame: &'f DataFrame,
}

impl Table<'_> {
    fn column(&self, name: &str) -> Option<&Series> {
        self.frame.column(name).ok().map(Column::as_materialized_series)
    }

    fn texts(&self, name: &str, rows: &mut [Row], set: impl Fn(&mut Row, &str)) {
        let Some(values) = self.column(name).and_then(|c| c.str().ok()) else { return };
        each(values.iter(), rows, set);
    }

    fn numbers(&self, name: &str, rows: &mut [Row], set: impl Fn(&mut Row, f64)) {
        let Some(values) = self.column(name).and_then(|c| c.f64().ok()) else { return };
        each(values.iter(), rows, set);
    }

    fn flags(&self, name: &str, rows: &mut [Row], set: impl Fn(&mut Row, bool)) {
        let Some(values) = self.column(name).and_then(|c| c.bool().ok()) else { return };
        each(values.iter(), rows, set);
    }

    /// Counts, and times in ms.
    fn integers(&self, name: &str, rows: &mut [Row], set: impl Fn(&mut Row, i64)) {
        let Some(column) = self.column(name) else { return };
        let physical = column.to_physical_repr();
        let Ok(values) = physical.i64() else { return };
        each(values.iter(), rows, set);
    }

    /// The bins of rows with their places in the table.
    fn bins<'r>(&self, rows: impl Iterator<Item = (usize, &'r mut Row)>) {
        let counts = |name| Counts::of(self.column(name)?.list().ok()?);
        let names = self.column(BIN_NAMES).and_then(|c| c.str().ok());
        let (Some(names), Some(reference), Some(window)) = (names, counts("bin_reference"), counts("bin_window"))
        else {
            return;
        };
        // The windows of a series have the same bins, one after the other.
        let mut known = (String::new(), Vec::new());
        for (at, row) in rows {
            let Some(names) = names.get(at) else { continue };
            if known.0 != names {
                let Ok(read) = serde_json::from_str::<Vec<String>>(names) else { continue };
                known = (names.to_owned(), read);
            }
            let bins = known.1.iter().zip(reference.row(at).iter().zip(window.row(at)));
            let bin = |(name, (reference, window)): (&String, (&u64, &u64))| Bin {
                name: name.clone(),
                reference: *reference,
                window: *window,
            };
            row.of.bins = bins.map(bin).collect();
        }
    }
}

/// A column of lists of counts: all of them one after the other, and where those of each row end. A list for each row by itself would be a
/// series of polars, which takes longer to make than its counts to read.
struct Counts {
    values: Vec<u64>,
    ends: Vec<usize>,
}

impl Counts {
    /// `None` where the lists hold something else.
    fn of(lists: &ListChunked) -> Option<Self> {
        let mut all = Self { values: Vec::new(), ends: Vec::with_capacity(lists.len()) };
        for chunk in lists.downcast_iter() {
            let inner = Series::from_arrow("".into(), chunk.values().clone()).ok()?;
            let inner = inner.i64().ok()?;
            let mut offsets = chunk.offsets().iter().filter_map(|offset| usize::try_from(*offset).ok());
            let first = offsets.next()?;
            let before = all.values.len();
            all.ends.extend(offsets.map(|end| before + end.saturating_sub(first)));
            let most = all.ends.last().map_or(0, |end| end - before);
            let read = inner.iter().skip(first).take(most);
            all.values.extend(read.map(|n| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)));
        }
        Some(all)
    }

    /// The counts of a row; none of a row that there is not.
    fn row(&self, at: usize) -> &[u64] {
        let begin = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = begin.zip(self.ends.get(at).copied());
        range.and_then(|(begin, end)| self.values.get(begin..end)).unwrap_or_default()
    }
}

fn each<T>(values: impl Iterator<Item = Option<T>>, rows: &mut [Row], set: impl Fn(&mut Row, T)) {
    for (row, value) in rows.iter_mut().zip(values) {
        if let Some(value) = value {
            set(row, value);
        }
    }
}
