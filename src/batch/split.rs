//! The name of a part of a file: `FILE`, `FILE:3` and `FILE:0-3` (row groups of Parquet), `FILE:0..4096` (bytes of JSON lines).

use std::path::PathBuf;

use driftgate_core::batch::Part;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name:?} names no part of a file: the range {range} is empty")]
pub struct SplitError {
    name: String,
    range: String,
}

/// The file and the part of it that a name stands for.
///
/// # Errors
/// A range with nothing in it.
pub fn split(name: &str) -> Result<(PathBuf, Part), SplitError> {
    let whole = || Ok((PathBuf::from(name), Part::Whole));
    let Some((file, range)) = name.rsplit_once(':').filter(|(file, _)| !file.is_empty()) else { return whole() };
    let empty = || SplitError { name: name.to_owned(), range: range.to_owned() };
    if let Some((from, to)) = range.split_once("..") {
        let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else { return whole() };
        return if from < to { Ok((file.into(), Part::Bytes { from, to })) } else { Err(empty()) };
    }
    let (from, last) = range.split_once('-').unwrap_or((range, range));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (true, true, Ok(from), Ok(last)) = (digits(from), digits(last), from.parse::<u32>(), last.parse::<u32>())
    else {
        return whole();
    };
    match last.checked_add(1).filter(|to| from < *to) {
        Some(to) => Ok((file.into(), Part::Groups { from, to })),
        None => Err(empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_and_a_part_of_it() {
        let of = |name: &str| split(name).map(|(file, part)| (file.display().to_string(), part));
        let groups = |from, to| Part::Groups { from, to };
        for (name, file, part) in [
            ("data.parquet", "data.parquet", Part::Whole),
            ("data.parquet:2", "data.parquet", groups(2, 3)),
            ("a b/data.parquet:0-3", "a b/data.parquet", groups(0, 4)),
            ("x.jsonl:10..20", "x.jsonl", Part::Bytes { from: 10, to: 20 }),
            ("c:d:1-1", "c:d", groups(1, 2)),
            ("2026-01-01T00:00:00.parquet", "2026-01-01T00:00:00.parquet", Part::Whole),
            ("x:", "x:", Part::Whole),
            (":3", ":3", Part::Whole),
            ("x:-3", "x:-3", Part::Whole),
            ("x:a..b", "x:a..b", Part::Whole),
        ] {
            assert_eq!(of(name), Ok((file.to_owned(), part)), "{name}");
        }
        for empty in ["x:3-2", "x:9..9"] {
            assert!(of(empty).is_err(), "{empty}");
        }
    }
}
