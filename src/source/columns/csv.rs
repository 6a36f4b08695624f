//! A CSV file in blocks of whole records, parsed by polars with every column as text. A record that breaks the rules of
//! quotes (RFC 4180) is rejected alone, not the file: `records` finds its end.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use polars_core::prelude::{DataFrame, DataType, Field, IntoColumn as _, PlSmallStr, Schema};
use polars_io::csv::read::{
    _csv_read_internal::{read_chunk, validate_utf8},
    CsvParseOptions,
};

use super::nulls::NullTexts;
use super::records::{self, Records};

/// Bytes parsed at a time.
const BLOCK: usize = 4 << 20;
/// A record longer than this is a quote that is never closed.
const MAX_RECORD: usize = 64 << 20;

/// A reader of CSV blocks.
pub struct CsvBlocks {
    input: Box<dyn Read + Send>,
    /// Read but not handed out; starts at a record.
    pending: Vec<u8>,
    ended: bool,
    /// The line that `pending` starts in, counted from 1.
    line: u64,
    /// Lines end with a carriage return alone.
    carriage: bool,
    parser: CsvParser,
}

/// Some whole records, not parsed yet.
#[derive(Clone, Debug, Default)]
pub struct CsvBlock {
    bytes: Vec<u8>,
    /// The line of its first byte, counted from 1.
    line: u64,
    /// Malformed records; empty ones take their places.
    malformed: Vec<Malformed>,
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Its place among the records of its block.
    pub row: usize,
    /// Its place and its error, for people.
    pub why: String,
}

/// Turns a block into columns, on any thread.
#[derive(Clone, Default)]
pub struct CsvParser {
    schema: Schema,
    projection: Vec<usize>,
    names: Vec<String>,
    nulls: Arc<NullTexts>,
}

impl CsvBlocks {
    /// Reads the header; returns the reader and the names of the columns, none for an empty file.
    ///
    /// # Errors
    /// The error, for people.
    pub fn open(input: Box<dyn Read + Send>) -> Result<(Self, Vec<String>), String> {
        let mut blocks =
            Self { input, pending: Vec::new(), ended: false, line: 1, carriage: false, parser: CsvParser::default() };
        blocks.read(BLOCK)?;
        // Only old spreadsheets end lines so.
        if memchr::memchr(b'\n', &blocks.pending).is_none() && memchr::memchr(b'\r', &blocks.pending).is_some() {
            blocks.carriage = true;
            line_feeds(&mut blocks.pending);
        }
        let blank = records::blank_lines(&blocks.pending);
        blocks.line += records::lines(blocks.pending.get(..blank).unwrap_or_default());
        blocks.pending.drain(..blank);
        let end = records::first_end(&blocks.pending).unwrap_or(blocks.pending.len());
        let header = blocks.pending.get(..end).unwrap_or_default();
        let text = std::str::from_utf8(header).map_err(|_| "its header is not UTF-8".to_owned())?;
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
        if text.contains('\r') && !text.contains('"') {
            return Err(
                "its header ends with a carriage return alone, later lines with line feeds; end all lines alike"
                    .to_owned(),
            );
        }
        let columns = if text.is_empty() { Vec::new() } else { records::fields(text) };
        blocks.line += records::lines(header);
        blocks.pending.drain(..end);
        // Columns go by their place, since a header may name one twice.
        blocks.parser.schema = (0..columns.len()).map(|i| Field::new(place(i), DataType::String)).collect();
        Ok((blocks, columns))
    }

    /// Chooses the columns to read by their index, in order, and the names they get; and the texts that mean null.
    pub fn project(&mut self, columns: Vec<(usize, String)>, nulls: Arc<NullTexts>) {
        (self.parser.projection, self.parser.names) = columns.into_iter().unzip();
        self.parser.nulls = nulls;
    }

    /// The parser of this file's blocks.
    #[must_use]
    pub fn parser(&self) -> &CsvParser {
        &self.parser
    }

    /// The next whole records and how many, `None` at the end.
    ///
    /// # Errors
    /// The error, for people.
    pub fn cut(&mut self) -> Result<Option<(CsvBlock, u64)>, String> {
        if self.parser.projection.is_empty() {
            return Ok(None);
        }
        let columns = self.parser.schema.len();
        loop {
            let Records { end, malformed } = self.fill(columns)?;
            if end == 0 {
                return Ok(None);
            }
            let rest = self.pending.split_off(end);
            let bytes = std::mem::replace(&mut self.pending, rest);
            let line = self.line;
            self.line += records::lines(&bytes);
            let block = if malformed.is_empty() {
                CsvBlock { bytes, line, malformed: Vec::new() }
            } else {
                CsvBlock::without(&bytes, line, columns, malformed)
            };
            // A block of blank lines is no end.
            let rows = records::count(&without_blank_lines(&block.bytes, columns));
            if rows > 0 {
                return Ok(Some((block, rows)));
            }
        }
    }

    /// Reads until so many bytes are there, or all.
    fn read(&mut self, wanted: usize) -> Result<(), String> {
        while !self.ended && self.pending.len() < wanted {
            let (had, more) = (self.pending.len(), (wanted - self.pending.len()) as u64);
            let read = self.input.by_ref().take(more).read_to_end(&mut self.pending).map_err(|e| e.to_string())?;
            if self.carriage {
                line_feeds(self.pending.get_mut(had..).unwrap_or_default());
            }
            self.ended = read == 0;
        }
        Ok(())
    }

    /// Reads until whole records are there; returns where the last one ends, and which are none.
    fn fill(&mut self, columns: usize) -> Result<Records, String> {
        let mut wanted = BLOCK;
        loop {
            self.read(wanted)?;
            let found = records::find(&self.pending, columns, self.ended);
            if found.end > 0 || self.ended {
                return Ok(found);
            }
            if wanted >= MAX_RECORD {
                if records::lines(&self.pending) == 0 {
                    return Err(format!("line {} is longer than {} MiB", self.line, MAX_RECORD >> 20));
                }
                // Its first line is no record, then, and the next may be one.
                return Ok(records::find(&self.pending, columns, true));
            }
            wanted *= 2;
        }
    }
}

impl CsvBlock {
    /// A block whose malformed records are empty ones.
    fn without(bytes: &[u8], line: u64, columns: usize, malformed: Vec<records::Malformed>) -> Self {
        let mut out = Self { bytes: Vec::with_capacity(bytes.len()), line, malformed: Vec::new() };
        let (mut done, mut row, mut at) = (0, 0, line);
        for record in malformed {
            let before = bytes.get(done..record.bytes.start).unwrap_or_default();
            row += records::count(&without_blank_lines(before, columns));
            at += records::lines(before);
            out.bytes.extend_from_slice(before);
            out.bytes.extend(empty(columns));
            out.malformed.push(Malformed {
                row: usize::try_from(row).unwrap_or(usize::MAX),
                why: format!("line {at}: {}", record.why),
            });
            row += 1;
            at += records::lines(bytes.get(record.bytes.clone()).unwrap_or_default());
            done = record.bytes.end;
        }
        out.bytes.extend_from_slice(bytes.get(done..).unwrap_or_default());
        out
    }
}

impl CsvParser {
    /// The columns of a block, on this thread alone: polars' readers of files parse on threads of their own. Rows of null
    /// stand for the records that are malformed.
    ///
    /// # Errors
    /// The error, for people.
    pub fn parse(&self, block: &CsvBlock) -> Result<(DataFrame, Vec<Malformed>), String> {
        let mut malformed = block.malformed.clone();
        let frame = match self.frame(&block.bytes) {
            Ok(frame) => frame,
            Err(cause) => {
                let found = self.wrong(&block.bytes);
                if found.is_empty() {
                    return Err(cause);
                }
                let more = CsvBlock::without(&block.bytes, block.line, self.schema.len(), found);
                let frame = self.frame(&more.bytes)?;
                malformed.extend(more.malformed);
                malformed.sort_by_key(|m| m.row);
                frame
            }
        };
        Ok((frame, malformed))
    }

    fn frame(&self, bytes: &[u8]) -> Result<DataFrame, String> {
        if !validate_utf8(bytes) {
            return Err("it is not UTF-8".to_owned());
        }
        let block = without_blank_lines(bytes, self.schema.len());
        let options = CsvParseOptions { missing_is_null: self.nulls.has(""), ..CsvParseOptions::default() };
        let rows = usize::try_from(records::count(&block)).unwrap_or(0);
        let (schema, projection) = (&self.schema, &self.projection);
        let frame =
            read_chunk(&block, &options, schema, false, projection, 0, rows, None, usize::MAX, block.len(), Some(0));
        let mut frame = frame.map_err(|e| e.to_string())?;
        if frame.height() != rows {
            return Err(format!("it is malformed: {rows} records were read as {} rows", frame.height()));
        }
        for (&at, name) in self.projection.iter().zip(&self.names) {
            let found = frame.column(&place(at)).and_then(|c| c.str().map(|texts| self.nulls.out_of(texts)));
            if let Some(texts) = found.map_err(|e| e.to_string())? {
                frame.replace(&place(at), texts.into_column()).map_err(|e| e.to_string())?;
            }
            frame.rename(&place(at), PlSmallStr::from_str(name)).map_err(|e| e.to_string())?;
        }
        Ok(frame)
    }

    /// Records with more fields than there are columns, or that are not UTF-8.
    fn wrong(&self, bytes: &[u8]) -> Vec<records::Malformed> {
        let columns = self.schema.len();
        let mut found = Vec::new();
        let mut start = 0;
        for end in records::ends(bytes).chain([bytes.len()]) {
            let record = bytes.get(start..end).unwrap_or_default();
            let fields = records::number_of_fields(record);
            let why = if std::str::from_utf8(record).is_err() {
                Some("the record is not UTF-8; write the file in UTF-8".to_owned())
            } else if fields > columns {
                Some(format!("the record has {fields} fields, the header {columns}; put fields with commas in quotes"))
            } else {
                None
            };
            found.extend(why.map(|why| records::Malformed { bytes: start..end, why }));
            start = end;
        }
        found
    }
}

fn place(i: usize) -> PlSmallStr {
    PlSmallStr::from_string(i.to_string())
}

/// A record of nulls.
fn empty(columns: usize) -> Vec<u8> {
    let mut record = vec![b','; columns.saturating_sub(1)];
    record.push(b'\n');
    record
}

fn line_feeds(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|b| **b == b'\r').for_each(|b| *b = b'\n');
}

/// Drops blank lines, which hold no record where a record has several fields; polars reads them as rows of nulls.
fn without_blank_lines(block: &[u8], columns: usize) -> Cow<'_, [u8]> {
    let has = |needle: &[u8]| {
        block.starts_with(needle.get(1..).unwrap_or_default()) || memchr::memmem::find(block, needle).is_some()
    };
    if columns <= 1 || (!has(b"\n\n") && !has(b"\n\r\n")) {
        return block.into();
    }
    let mut out = Vec::with_capacity(block.len());
    let mut start = 0;
    for end in records::ends(block).chain([block.len()]) {
        let record = block.get(start..end).unwrap_or_default();
        if !record.trim_ascii().is_empty() {
            out.extend_from_slice(record);
        }
        start = end;
    }
    out.into()
}

#[cfg(test)]
mod tests;
