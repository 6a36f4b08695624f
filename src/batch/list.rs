//! A file cut into parts of about the same size, by what its format allows.

use std::path::Path;
use std::sync::Arc;

use crate::source::columns::nulls::NullTexts;
use crate::source::columns::{ColumnFile, Format};
use crate::source::files::{FileKind, StreamError};
use crate::source::packed::packing;

/// The names of the parts of a file, in order: of Parquet whole row groups of about so many bytes, of JSON lines ranges of bytes, of CSV
/// the file. A file with nothing in it is one part.
///
/// # Errors
/// A file that cannot be read.
pub fn list(path: &Path, bytes: u64) -> Result<Vec<String>, StreamError> {
    let name = path.display().to_string();
    let length =
        std::fs::metadata(path).map_err(|e| StreamError::Read { name: name.clone(), cause: e.to_string() })?.len();
    let bytes = bytes.max(1);
    match FileKind::of(path)? {
        // What is packed, or says where its rows end only as it is read, is one part.
        FileKind::JsonLines if path == Path::new("-") || packing(path).is_some() => Ok(vec![name]),
        FileKind::Avro => Ok(vec![name]),
        FileKind::JsonLines => {
            let parts = length.div_ceil(bytes);
            if parts <= 1 || crate::source::lines::part(path, 0, 1).is_ok_and(|part| part.is_none()) {
                return Ok(vec![name]);
            }
            let at = |n: u64| u64::try_from(u128::from(length) * u128::from(n) / u128::from(parts)).unwrap_or(length);
            Ok((0..parts).map(|n| format!("{name}:{}..{}", at(n), at(n + 1))).collect())
        }
        FileKind::Columns => {
            let (file, pieces) = ColumnFile::open(path, &[], &Arc::new(NullTexts::default()))?;
            let groups = pieces.rows_of_groups().filter(|_| file.format() == Format::Parquet);
            Ok(groups.map_or_else(|| vec![name.clone()], |groups| runs(&name, &groups, length, bytes)))
        }
    }
}

/// Runs of row groups of about so many bytes, by their rows.
fn runs(name: &str, groups: &[usize], length: u64, bytes: u64) -> Vec<String> {
    let rows: usize = groups.iter().sum();
    let whole = || vec![name.to_owned()];
    if rows == 0 || groups.len() <= 1 {
        return whole();
    }
    let most = u128::from(bytes) * rows as u128 / u128::from(length.max(1));
    let (mut parts, mut from, mut held) = (Vec::new(), 0, 0_u128);
    for (at, rows) in groups.iter().enumerate() {
        if at > from && held + *rows as u128 > most {
            parts.push((from, at));
            (from, held) = (at, 0);
        }
        held += *rows as u128;
    }
    parts.push((from, groups.len()));
    if parts.len() == 1 {
        return whole();
    }
    let named = |(from, to): (usize, usize)| {
        if from + 1 == to { format!("{name}:{from}") } else { format!("{name}:{from}-{}", to - 1) }
    };
    parts.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_are_gathered_up_to_a_size() {
        assert_eq!(runs("x", &[10, 10, 10, 10, 10], 500, 200), ["x:0-1", "x:2-3", "x:4"]);
        assert_eq!(runs("x", &[10, 50, 10], 70, 1), ["x:0", "x:1", "x:2"]);
        assert_eq!(runs("x", &[10, 10], 100, 1_000), ["x"]);
        assert_eq!([runs("x", &[], 10, 1), runs("x", &[0, 0], 10, 1), runs("x", &[5], 10, 1)], [["x"], ["x"], ["x"]]);
    }
}
