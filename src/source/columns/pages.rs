//! The places of a Parquet column's pages, read from their headers, so that a run of rows is read without the others'
//! bytes and without a dictionary that it does not use.

use std::io::Cursor;
use std::ops::Range;

use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
use polars_parquet_format::{Encoding, PageHeader, PageType};

/// Bytes read to find a header in; longer ones are read again.
const HEADER: u64 = 256;
/// No writer of a readable file makes a page that unpacks to more.
const MOST_UNPACKED: i32 = 1 << 30;
/// All pages of a column in a row group unpack to no more than this: a reader may need them at once.
const MOST_TOGETHER: u64 = 4 << 30;
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

/// The bytes of a column that a run of rows needs.
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
    /// The error in the file, for people.
    pub fn scan(
        chunk: Range<u64>,
        rows: usize,
        read: impl Fn(Range<u64>, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut pages = Self { dictionary: None, data: Vec::new() };
        let (mut at, mut row, mut bytes, mut unpacked) = (chunk.start, 0, Vec::new(), 0_u64);
        while row < rows {
            let (header, length) = header(at..chunk.end, &read, &mut bytes)?;
            let body = u64::try_from(header.compressed_page_size).map_err(|_| "it is damaged: a page of no size")?;
            if header.uncompressed_page_size > MOST_UNPACKED {
                return Err(format!("a page unpacks to {} bytes, more than 1 GiB", header.uncompressed_page_size));
            }
            unpacked += u64::try_from(header.uncompressed_page_size).unwrap_or(0);
            if unpacked > MOST_TOGETHER {
                return Err("a column unpacks to more than 4 GiB in one row group: write smaller row groups".to_owned());
            }
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

    /// The bytes to read for these rows; `None` if there are none.
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

    /// Where to end a run of about so many rows that starts at `start`: with a page, so that few are read twice; up to
    /// `most` rows where no page ends before. Where a writer gave the dictionary up is the end of a run up to twice that
    /// long: reading a long dictionary for each of several runs costs as much as their values.
    #[must_use]
    pub fn cut(&self, start: usize, rows: usize, most: usize) -> usize {
        let from = self.data.partition_point(|p| p.rows.start <= start);
        let up_to = |rows: usize| self.data.partition_point(|p| p.rows.start <= start.saturating_add(rows));
        let starts = |rows: usize| self.data.get(from..up_to(rows)).unwrap_or_default();
        let coded = from.checked_sub(1).and_then(|at| self.data.get(at)).is_some_and(|p| p.coded);
        let given_up = starts(most.saturating_mul(2)).iter().find(|p| coded && !p.coded);
        let end = given_up.or_else(|| starts(rows).last()).or_else(|| starts(most).first());
        end.map_or(start.saturating_add(most), |p| p.rows.start)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A dictionary of bytes 0..10, then pages of ten bytes each, with so many rows; the first of them use the dictionary.
    fn pages(coded: usize, rows: &[usize]) -> Pages {
        let mut row = 0;
        let page = |(i, &rows): (usize, &usize)| {
            row += rows;
            let at = 10 + 10 * i as u64;
            Page { rows: row - rows..row, bytes: at..at + 10, coded: i < coded }
        };
        Pages { dictionary: Some(0..10), data: rows.iter().enumerate().map(page).collect() }
    }

    #[test]
    fn a_span_is_the_pages_of_its_rows_and_the_dictionary_if_one_needs_it() {
        let pages = pages(2, &[20, 20, 20, 20]);
        let span = |rows: Range<usize>| pages.span(&rows).unwrap();
        assert_eq!(span(0..20), Span { rows: 0..20, dictionary: Some(0..10), data: 10..20 });
        assert_eq!(span(19..41), Span { rows: 0..60, dictionary: Some(0..10), data: 10..40 });
        assert_eq!(span(40..80), Span { rows: 40..80, dictionary: None, data: 30..50 });
        assert_eq!(pages.span(&(80..90)), None);
    }

    #[test]
    fn runs_end_with_pages_and_where_the_dictionary_was_given_up() {
        let plain = pages(0, &[20, 20, 20, 20]);
        assert_eq!([plain.cut(0, 50, 50), plain.cut(40, 30, 30), plain.cut(0, 10, 10)], [40, 60, 10]);
        assert_eq!([plain.cut(0, 10, 50), plain.cut(0, 30, 50), plain.cut(5, 10, 14)], [20, 20, 19]);
        let mixed = pages(3, &[20, 20, 15, 20, 20]);
        let cuts = [(0, 30), (0, 20), (20, 20), (55, 25)].map(|(start, rows)| mixed.cut(start, rows, rows));
        assert_eq!(cuts, [55, 20, 55, 75]);
        assert_eq!(mixed.cut(0, 10, 30), 55);
    }

    #[test]
    fn headers_that_are_none_are_errors() {
        for bytes in [vec![], vec![0; 40], vec![255; 40]] {
            let read = |range: Range<u64>, out: &mut Vec<u8>| {
                let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                *out = bytes[range].to_vec();
                Ok(())
            };
            let said = Pages::scan(0..bytes.len() as u64, 10, read).unwrap_err();
            assert!(said.starts_with("it is damaged: "), "{said}");
        }
    }
}
