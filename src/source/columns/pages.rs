//! Where the pages of a Parquet column lie, read off their headers, so that a run of rows is read without the others'
//! bytes and without a dictionary that it does not use.

use std::io::Cursor;
use std::ops::Range;

use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
use polars_parquet_format::{Encoding, PageHeader, PageType};

/// Bytes read to find a header in; longer ones are read again.
const HEADER: u64 = 256;
/// A header longer than this is none.
const MOST_HEADER: u64 = 1 << 20;

/// The pages of one column in one row group.
#[derive(Debug, PartialEq, Eq)]
pub struct Pages {
    dictionary: Option<Range<u64>>,
    data: Vec<Page>,
}

/// A page of values.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    /// In the row group.
    rows: Range<usize>,
    /// In the file, with the header.
    bytes: Range<u64>,
    /// Whether its values are indexes into the dictionary.
    coded: bool,
}

/// What must be read of a column for a run of rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    /// The rows of the pages, in the row group.
    pub rows: Range<usize>,
    /// Bytes of the dictionary, if a page needs it.
    pub dictionary: Option<Range<u64>>,
    /// Bytes of the pages.
    pub data: Range<u64>,
}

impl Pages {
    /// Reads the headers of a column's pages in `chunk`, the column's bytes; `read` reads a range of the file.
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    pub fn scan(
        chunk: Range<u64>,
        rows: usize,
        read: impl Fn(Range<u64>, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut pages = Self { dictionary: None, data: Vec::new() };
        let (mut at, mut row, mut bytes) = (chunk.start, 0, Vec::new());
        while row < rows {
            let (header, length) = header(at..chunk.end, &read, &mut bytes)?;
            let body = u64::try_from(header.compressed_page_size).map_err(|_| "it is damaged: a page of no size")?;
            let end = at.saturating_add(length).saturating_add(body);
            if end > chunk.end {
                return Err("it is damaged: a page ends behind its column".to_owned());
            }
            let data = match (header.type_, &header.data_page_header, &header.data_page_header_v2) {
                (PageType::DICTIONARY_PAGE, ..) if pages.dictionary.is_none() && pages.data.is_empty() => None,
                (PageType::DATA_PAGE, Some(h), _) => Some((h.num_values, h.encoding)),
                (PageType::DATA_PAGE_V2, _, Some(h)) => Some((h.num_values, h.encoding)),
                _ => return Err("it is damaged: a page is neither of values nor the dictionary".to_owned()),
            };
            match data {
                None => pages.dictionary = Some(at..end),
                Some((values, encoding)) => {
                    let values = usize::try_from(values).map_err(|_| "it is damaged: a page of no length")?;
                    let coded = matches!(encoding, Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY);
                    pages.data.push(Page { rows: row..row.saturating_add(values), bytes: at..end, coded });
                    row = row.saturating_add(values);
                }
            }
            at = end;
        }
        if row != rows {
            return Err(format!("it is damaged: a column holds {row} rows where {rows} are promised"));
        }
        Ok(pages)
    }

    /// What to read for these rows; `None` if there are none.
    #[must_use]
    pub fn span(&self, rows: &Range<usize>) -> Option<Span> {
        let from = self.data.partition_point(|p| p.rows.end <= rows.start);
        let to = self.data.partition_point(|p| p.rows.start < rows.end);
        let pages = self.data.get(from..to)?;
        let (first, last) = (pages.first()?, pages.last()?);
        Some(Span {
            rows: first.rows.start..last.rows.end,
            dictionary: self.dictionary.clone().filter(|_| pages.iter().any(|p| p.coded)),
            data: first.bytes.start..last.bytes.end,
        })
    }

    /// The last row up to `rows.end` that a page starts with, `rows.end` if there is none or a page starts there: where
    /// to end a run of rows so that no page is read twice. The dictionary's last page ends a run, too, since what comes
    /// after it does not need it.
    #[must_use]
    pub fn cut(&self, rows: &Range<usize>) -> usize {
        let from = self.data.partition_point(|p| p.rows.start <= rows.start);
        let to = self.data.partition_point(|p| p.rows.start <= rows.end);
        let starts = self.data.get(from..to).unwrap_or_default();
        let plain = starts.iter().find(|p| !p.coded).map(|p| p.rows.start).filter(|&start| self.coded_until(start));
        plain.or_else(|| starts.last().map(|p| p.rows.start)).unwrap_or(rows.end)
    }

    /// Whether the page that ends at this row is the dictionary's.
    fn coded_until(&self, row: usize) -> bool {
        self.data.iter().any(|p| p.rows.end == row && p.coded)
    }
}

/// The header at the start of `within`, and its length.
fn header(
    within: Range<u64>,
    read: impl Fn(Range<u64>, &mut Vec<u8>) -> Result<(), String>,
    bytes: &mut Vec<u8>,
) -> Result<(PageHeader, u64), String> {
    let mut length = HEADER;
    loop {
        let end = within.end.min(within.start.saturating_add(length));
        read(within.start..end, bytes)?;
        let mut cursor = Cursor::new(bytes.as_slice());
        match PageHeader::read_from_in_protocol(&mut TCompactInputProtocol::new(&mut cursor, bytes.len())) {
            Ok(header) => return Ok((header, cursor.position())),
            Err(_) if end < within.end && length < MOST_HEADER => length *= 16,
            Err(e) => return Err(format!("it is damaged: a page has no header ({e})")),
        }
    }
}
