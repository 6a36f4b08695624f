//! Parts of files of lines: a part has the lines that begin within a range of bytes.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use memchr::memchr;

/// Bytes by which it is known how a file's lines end.
const HEAD: u64 = 1 << 20;

/// The lines that begin within [from, to), and how many bytes they have. `None` for a file whose lines do not end with line feeds:
/// where they begin depends on what was read before.
///
/// # Errors
/// A file that cannot be read.
pub fn part(path: &Path, from: u64, to: u64) -> io::Result<Option<(impl Read + Send + use<>, u64)>> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    (&file).take(HEAD).read_to_end(&mut head)?;
    if memchr(b'\n', &head).is_none() && memchr(b'\r', &head).is_some_and(|at| at + 1 < head.len()) {
        return Ok(None);
    }
    let start = line_start(&mut file, from)?;
    let end = line_start(&mut file, to)?.max(start);
    file.seek(SeekFrom::Start(start))?;
    Ok(Some((file.take(end - start), end - start)))
}

/// Where the first line begins that begins at `at` or behind it; the end of the file where none does.
fn line_start(file: &mut File, at: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let Some(before) = at.checked_sub(1).filter(|_| at < length) else { return Ok(at.min(length)) };
    file.seek(SeekFrom::Start(before))?;
    let mut reader = BufReader::new(file);
    let mut skipped = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(length);
        }
        if let Some(end) = memchr(b'\n', bytes) {
            return Ok(before + skipped + end as u64 + 1);
        }
        let all = bytes.len();
        skipped += all as u64;
        reader.consume(all);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_the_file_and_each_line_is_in_the_part_where_it_begins(
            text in "[a-c\n]{0,60}",
            cuts in prop::collection::vec(0..70_u64, 0..6),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.jsonl");
            std::fs::write(&path, &text).unwrap();
            let mut cuts: Vec<u64> = cuts.into_iter().chain([0, text.len() as u64]).collect();
            cuts.sort_unstable();
            let mut all = String::new();
            for (from, to) in cuts.iter().zip(&cuts[1..]) {
                let (mut input, bytes) = part(&path, *from, *to).unwrap().unwrap();
                let start = all.len() as u64;
                input.read_to_string(&mut all).unwrap();
                prop_assert_eq!(all.len() as u64 - start, bytes);
                prop_assert!(bytes == 0 || (start >= *from && start < *to));
            }
            prop_assert_eq!(all, text);
        }
    }

    #[test]
    fn a_file_of_carriage_returns_has_no_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, "{}\r{}\r{}").unwrap();
        assert!(part(&path, 0, 4).unwrap().is_none());
    }
}
