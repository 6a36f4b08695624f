//! The first rows of a file, whatever its name says it is: its bytes decide.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value};

use super::detect::{self, Format, Message};
use crate::cli::load::avro::AvroLines;
use crate::source::columns::ColumnFile;
use crate::source::columns::cells::{Cell, Cells};
use crate::source::columns::reader::ColumnReader;
use crate::source::files::FileKind;
use driftgate_core::decode::time::TimeFormat;

/// Bytes of the start that decide what a file is.
const START: u64 = 64 << 10;
/// Bytes of a line; a longer one is none.
const LONGEST: u64 = 16 << 20;

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// From the outside to the inside.
    pub formats: Vec<Format>,
    pub rows: Vec<Value>,
    /// Lines that are no JSON, as they stand.
    pub others: Vec<Message>,
    /// What keeps driftgate from reading the file, a sentence each.
    pub problems: Vec<String>,
}

/// Reads at most so many rows.
///
/// # Errors
/// A file that cannot be opened or is damaged.
pub fn read(path: &Path, most: usize) -> anyhow::Result<Read> {
    let opened = || format!("{} cannot be read", path.display());
    if std::fs::metadata(path).with_context(opened)?.is_dir() {
        return Err(anyhow!("{} is a folder: name one file of it", path.display()));
    }
    let start = start(File::open(path).with_context(opened)?).with_context(opened)?;
    let outer = detect::by_first_bytes(&start);
    let mut read = Read { formats: outer.into_iter().collect(), ..Read::default() };
    match outer {
        Some(Format::Parquet) => columns(path, "file.parquet", most, &mut read)?,
        Some(Format::AvroContainer) => {
            let lines = BufReader::new(AvroLines::open(path)?);
            for line in lines.lines().take(most) {
                read.rows.extend(detect::json(line.with_context(opened)?.as_bytes()));
            }
        }
        Some(Format::Gzip | Format::Zstd) => {
            let unpack = || unpacked(path, outer).with_context(opened);
            let inner = self::start(unpack()?).with_context(opened)?;
            text(path, &inner, unpack()?, most, &mut read)?;
        }
        _ => text(path, &start, Box::new(File::open(path).with_context(opened)?), most, &mut read)?,
    }
    named(path, &mut read);
    Ok(read)
}

fn start(file: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(START).read_to_end(&mut start)?;
    Ok(start)
}

fn unpacked(path: &Path, packing: Option<Format>) -> std::io::Result<Box<dyn std::io::Read + Send>> {
    let packed = BufReader::new(File::open(path)?);
    Ok(match packing {
        Some(Format::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        _ => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
    })
}

/// A file of text: JSON lines, or CSV.
fn text(
    path: &Path,
    start: &[u8],
    file: Box<dyn std::io::Read + Send>,
    most: usize,
    read: &mut Read,
) -> anyhow::Result<()> {
    let begins = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if let Some(inner) = detect::by_first_bytes(start) {
        read.formats.push(inner);
        read.problems.push(format!("{} within a packed file is not read: unpack it first", inner.says()));
    } else if begins.is_empty() {
        read.formats.push(Format::Empty);
    } else if matches!(begins.first(), Some(b'{' | b'[')) {
        json_lines(BufReader::new(file), most, read).with_context(|| format!("{} cannot be read", path.display()))?;
    } else if std::str::from_utf8(start).is_ok_and(is_table) || cut_text(start).is_some_and(is_table) {
        read.formats.push(Format::Csv);
        let packing = read.formats.first().copied();
        let name = match packing {
            Some(Format::Gzip) => "file.csv.gz",
            Some(Format::Zstd) => "file.csv.zst",
            _ => "file.csv",
        };
        columns(path, name, most, read)?;
    } else {
        read.formats.push(Format::Unknown);
        read.others.push(Message { value: Some(start.to_vec()), ..Message::default() });
    }
    Ok(())
}

/// The text before a character that the end of the start cuts.
fn cut_text(start: &[u8]) -> Option<&str> {
    let end = std::str::from_utf8(start).err()?.valid_up_to();
    start.get(..end).filter(|_| start.len() - end < 4).and_then(|text| std::str::from_utf8(text).ok())
}

/// Whether a text looks like CSV: no control characters, and a comma in its first line.
fn is_table(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.contains(',') && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn json_lines(mut lines: impl std::io::BufRead, most: usize, read: &mut Read) -> std::io::Result<()> {
    let mut first = None;
    let mut line = Vec::new();
    while read.rows.len() + read.others.len() < most {
        line.clear();
        if (&mut lines).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let message = Message { value: Some(line.trim_ascii().to_vec()), ..Message::default() };
        let seen = detect::message(&message);
        match seen.tree {
            Some(row) => {
                first.get_or_insert(seen.format);
                read.rows.push(row);
            }
            None => read.others.push(message),
        }
    }
    read.formats.push(first.unwrap_or(Format::Json));
    if read.rows.is_empty() {
        read.problems.push("its lines are no JSON objects: driftgate reads one object per line".to_owned());
    }
    Ok(())
}

/// The rows of a table under a name with the ending of its format.
fn columns(path: &Path, name: &str, most: usize, read: &mut Read) -> anyhow::Result<()> {
    // Under its own name, which need not say what it is.
    let said = |e: String| anyhow!("{}", e.replace(name, &path.display().to_string()));
    let open = |wanted: &[String]| {
        let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        let nulls = Arc::default();
        ColumnFile::from_file(name, file, wanted, &nulls).map_err(|e| said(e.to_string()))
    };
    let names = open(&[])?.0.columns().to_vec();
    let mut reader = ColumnReader::of(open(&names)?).lenient();
    if let Some(rows) = reader.next().map_err(|e| said(e.to_string()))? {
        let mut trees: Vec<Map<String, Value>> = vec![Map::new(); rows.len().min(most)];
        for name in &names {
            let Some(cells) = rows.cells(name).map_err(said)? else { continue };
            for (tree, value) in trees.iter_mut().zip(values(&cells)) {
                tree.insert(name.clone(), value);
            }
        }
        read.rows.extend(trees.into_iter().map(Value::Object));
    }
    Ok(())
}

/// Cells as JSON: of CSV, texts that are numbers or booleans are these; times are RFC 3339.
fn values(cells: &Cells) -> Vec<Value> {
    let mut values = Vec::with_capacity(cells.len());
    let number = |text: &str| detect::json(text.as_bytes()).filter(|v| v.is_number() || v.is_boolean());
    let typed =
        matches!(cells, Cells::Integer(_) | Cells::Unsigned(_) | Cells::Float(_) | Cells::Long(..) | Cells::Bool(_));
    let read = typed || matches!(cells, Cells::Csv(_));
    if let Cells::Float(column) = cells {
        // A whole number of a column of floats stays a float.
        values.extend(column.iter().map(|x| x.map_or(Value::Null, Value::from)));
        return values;
    }
    if let Cells::Time { .. } = cells {
        cells.each_time(&TimeFormat::default(), |time| {
            let time = time.ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            values.push(time.map_or(Value::Null, |time| Value::String(time.to_string())));
        });
        return values;
    }
    cells.each_text(|cell| {
        values.push(match cell {
            Cell::Missing => Value::Null,
            Cell::Invalid => Value::Array(Vec::new()),
            Cell::Text("") if read => Value::Null,
            Cell::Text(text) if read => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
            Cell::Text(text) => Value::String(text.to_owned()),
        });
    });
    values
}

/// The name has to say what the content is.
fn named(path: &Path, read: &mut Read) {
    let wanted = match read.formats.as_slice() {
        [Format::Parquet] => ".parquet",
        [Format::AvroContainer] => ".avro",
        [Format::Csv] => ".csv",
        [Format::Json] => ".jsonl",
        [Format::Gzip, Format::Csv] => ".csv.gz",
        [Format::Gzip, Format::Json] => ".jsonl.gz",
        [Format::Zstd, Format::Csv] => ".csv.zst",
        [Format::Zstd, Format::Json] => ".jsonl.zst",
        _ => return,
    };
    let name = path.to_string_lossy().to_ascii_lowercase();
    let lines = wanted.replace("jsonl", "ndjson");
    let json = wanted.replace("jsonl", "json");
    if FileKind::of(path).is_err() || ![wanted, &lines, &json].iter().any(|end| name.ends_with(end)) {
        read.problems.push(format!("driftgate goes by the name of a file: rename it to end in {wanted}"));
    }
}
