//! Rows of a file of columns as JSON lines, a column a member: for what is joined from lines, whatever file it came in.

use std::io::{self, Read};
use std::path::Path;

use super::columns::FileError;
use super::columns::cells::{Cell, Cells};
use super::columns::reader::ColumnReader;

/// The rows of a file, written as they are asked for.
pub struct TableLines {
    reader: ColumnReader,
    columns: Vec<String>,
    /// Lines that were not read yet.
    lines: Vec<u8>,
    at: usize,
}

impl TableLines {
    /// Opens a file to read those of the columns that it has; the needed ones must be there.
    ///
    /// # Errors
    /// A file that cannot be opened, or lacks a needed column.
    pub fn open(path: &Path, columns: &[&str], needed: &[&str]) -> Result<Self, FileError> {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let reader = ColumnReader::open(path, &columns)?;
        reader.require(needed)?;
        Ok(Self { reader, columns, lines: Vec::new(), at: 0 })
    }

    /// Writes the next rows; false at the end.
    fn fill(&mut self) -> Result<bool, String> {
        self.lines.clear();
        self.at = 0;
        let Some(rows) = self.reader.next().map_err(|e| e.to_string())? else { return Ok(false) };
        let mut lines: Vec<Vec<u8>> = vec![vec![b'{']; rows.len()];
        for column in &self.columns {
            let Some(cells) = rows.cells(column)? else { continue };
            let name = serde_json::to_string(column).unwrap_or_default();
            let is_number = matches!(cells, Cells::Integer(_) | Cells::Unsigned(_) | Cells::Float(_) | Cells::Long(..));
            let mut of_row = lines.iter_mut();
            cells.raw().each_text(|cell| {
                let (Some(line), Cell::Text(text)) = (of_row.next(), cell) else { return };
                if line.len() > 1 {
                    line.push(b',');
                }
                line.extend_from_slice(name.as_bytes());
                line.push(b':');
                if is_number {
                    line.extend_from_slice(text.as_bytes());
                } else {
                    // Writing a text to memory does not fail.
                    let _ = serde_json::to_writer(line, text);
                }
            });
        }
        for line in lines {
            self.lines.extend_from_slice(&line);
            self.lines.extend_from_slice(b"}\n");
        }
        Ok(true)
    }
}

impl Read for TableLines {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.lines.len() {
            if !self.fill().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let left = self.lines.get(self.at..).unwrap_or(&[]);
        let n = left.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), left.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}
