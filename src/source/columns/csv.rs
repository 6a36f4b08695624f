//! A CSV file in blocks of whole records, parsed by polars with every column as text.

use std::io::Read;

use polars::io::csv::read::_csv_read_internal::{read_chunk, validate_utf8};
use polars::prelude::{CsvParseOptions, DataFrame, DataType, Field, PlSmallStr, Schema};

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
    parser: CsvParser,
}

/// What makes columns of a block; any thread's.
#[derive(Clone, Default)]
pub struct CsvParser {
    schema: Schema,
    projection: Vec<usize>,
    names: Vec<String>,
}

impl CsvBlocks {
    /// Reads the header; returns the reader and the names of the columns, none for an empty file.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn open(input: Box<dyn Read + Send>) -> Result<(Self, Vec<String>), String> {
        let mut blocks = Self { input, pending: Vec::new(), ended: false, parser: CsvParser::default() };
        let end = blocks.fill()?;
        let header = blocks.pending.get(..first_record_end(&blocks.pending).unwrap_or(end)).unwrap_or_default();
        let consumed = header.len();
        let text = std::str::from_utf8(header).map_err(|_| "its header is not UTF-8".to_owned())?;
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
        let columns = if text.is_empty() { Vec::new() } else { fields(text) };
        blocks.pending.drain(..consumed);
        // Columns go by their place, since a header may name one twice.
        blocks.parser.schema = (0..columns.len()).map(|i| Field::new(place(i), DataType::String)).collect();
        Ok((blocks, columns))
    }

    /// Chooses the columns to read by their index, in order, and the names they get.
    pub fn project(&mut self, columns: Vec<(usize, String)>) {
        (self.parser.projection, self.parser.names) = columns.into_iter().unzip();
    }

    /// What parses this file's blocks.
    #[must_use]
    pub fn parser(&self) -> &CsvParser {
        &self.parser
    }

    /// The next whole records and how many, `None` at the end.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn cut(&mut self) -> Result<Option<(Vec<u8>, u64)>, String> {
        if self.parser.projection.is_empty() {
            return Ok(None);
        }
        loop {
            let end = self.fill()?;
            if end == 0 {
                return Ok(None);
            }
            let rest = self.pending.split_off(end);
            let block = std::mem::replace(&mut self.pending, rest);
            let block = if self.parser.schema.len() > 1 { without_blank_lines(block) } else { block };
            // A block of blank lines is no end.
            if !block.is_empty() {
                let rows = records(&block);
                return Ok(Some((block, rows)));
            }
        }
    }

    /// Reads until a block is there; returns where its last whole record ends.
    fn fill(&mut self) -> Result<usize, String> {
        let mut wanted = BLOCK;
        loop {
            while !self.ended && self.pending.len() < wanted {
                let more = (wanted - self.pending.len()) as u64;
                let read = self.input.by_ref().take(more).read_to_end(&mut self.pending).map_err(|e| e.to_string())?;
                self.ended = read == 0;
            }
            if self.ended {
                return Ok(self.pending.len());
            }
            if let Some(end) = last_record_end(&self.pending) {
                return Ok(end);
            }
            if wanted >= MAX_RECORD {
                return Err(format!("a record is longer than {} MiB: a quote is not closed", MAX_RECORD >> 20));
            }
            wanted *= 2;
        }
    }
}

impl CsvParser {
    /// The columns of a block, on this thread alone: polars' readers of files parse on threads of their own.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn parse(&self, block: &[u8]) -> Result<DataFrame, String> {
        if !validate_utf8(block) {
            return Err("it is not UTF-8".to_owned());
        }
        let options = CsvParseOptions::default();
        let rows = usize::try_from(records(block)).unwrap_or(0);
        let (schema, projection) = (&self.schema, &self.projection);
        let frame =
            read_chunk(block, &options, schema, false, projection, 0, rows, None, usize::MAX, block.len(), Some(0));
        let mut frame = frame.map_err(|e| e.to_string())?;
        if frame.height() != rows {
            return Err(format!("it is malformed: {rows} records were read as {} rows", frame.height()));
        }
        for (&at, name) in self.projection.iter().zip(&self.names) {
            frame.rename(&place(at), PlSmallStr::from_str(name)).map_err(|e| e.to_string())?;
        }
        Ok(frame)
    }
}

fn place(i: usize) -> PlSmallStr {
    PlSmallStr::from_string(i.to_string())
}

/// Ends of records: line feeds outside quotes.
fn record_ends(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    memchr::memchr2_iter(b'"', b'\n', bytes).filter_map(move |at| {
        if bytes.get(at) == Some(&b'"') {
            quoted = !quoted;
            return None;
        }
        (!quoted).then_some(at + 1)
    })
}

/// How many records a block holds.
fn records(block: &[u8]) -> u64 {
    let ends = if memchr::memchr(b'"', block).is_none() {
        memchr::memchr_iter(b'\n', block).count()
    } else {
        record_ends(block).count()
    };
    let open = last_record_end(block) != Some(block.len()) && !block.is_empty();
    ends as u64 + u64::from(open)
}

/// Drops blank lines, which hold no record where a record has several fields; polars reads them as rows of nulls.
fn without_blank_lines(block: Vec<u8>) -> Vec<u8> {
    let has = |needle: &[u8]| {
        block.starts_with(needle.get(1..).unwrap_or_default()) || memchr::memmem::find(&block, needle).is_some()
    };
    if !has(b"\n\n") && !has(b"\n\r\n") {
        return block;
    }
    let mut out = Vec::with_capacity(block.len());
    let mut start = 0;
    for end in record_ends(&block).chain([block.len()]) {
        let record = block.get(start..end).unwrap_or_default();
        if !record.trim_ascii().is_empty() {
            out.extend_from_slice(record);
        }
        start = end;
    }
    out
}

fn first_record_end(bytes: &[u8]) -> Option<usize> {
    record_ends(bytes).next()
}

fn last_record_end(bytes: &[u8]) -> Option<usize> {
    if memchr::memchr(b'"', bytes).is_none() {
        return memchr::memrchr(b'\n', bytes).map(|at| at + 1);
    }
    record_ends(bytes).last()
}

/// The fields of one record (RFC 4180).
fn fields(record: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    let mut chars = record.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                out.last_mut().into_iter().for_each(|f| f.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            _ => out.last_mut().into_iter().for_each(|f| f.push(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Cursor;

    use super::*;

    impl CsvBlocks {
        fn next(&mut self) -> Result<Option<DataFrame>, String> {
            let Some((block, rows)) = self.cut()? else { return Ok(None) };
            let frame = self.parser.parse(&block)?;
            assert_eq!(frame.height() as u64, rows);
            Ok(Some(frame))
        }
    }

    #[test]
    fn records_end_outside_quotes() {
        assert_eq!(last_record_end(b"a,b\n1,2\n3"), Some(8));
        assert_eq!(last_record_end(b"a,\"b\n1\",2\n3,\"x\n"), Some(10));
        assert_eq!(last_record_end(b"abc"), None);
        assert_eq!(fields("a,\"b,\"\"c\"\"\",,d"), ["a", "b,\"c\"", "", "d"]);
    }

    #[test]
    fn blocks_keep_every_row() {
        let mut text = String::from("\u{feff}id,note\r\n");
        for i in 0..400_000 {
            let _ = write!(text, "{i},\"line one\nline \"\"two\"\", {i}\"\r\n");
        }
        assert!(text.len() > 2 * BLOCK);
        let (mut blocks, columns) = CsvBlocks::open(Box::new(Cursor::new(text.into_bytes()))).unwrap();
        assert_eq!(columns, ["id", "note"]);
        blocks.project(vec![(0, "id".to_owned()), (1, "note".to_owned())]);
        let mut row = 0;
        while let Some(frame) = blocks.next().unwrap() {
            let (ids, notes) = (frame.column("id").unwrap(), frame.column("note").unwrap());
            for (id, note) in ids.str().unwrap().iter().zip(notes.str().unwrap().iter()) {
                assert_eq!(id, Some(row.to_string().as_str()));
                assert_eq!(note, Some(format!("line one\nline \"two\", {row}").as_str()));
                row += 1;
            }
        }
        assert_eq!(row, 400_000);
    }
}
