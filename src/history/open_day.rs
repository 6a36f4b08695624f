//! The file of a day that is appended to: records one after the other, each with its length and a checksum. What a crash cut off at the end is
//! left out when it is read, and cut off before more is appended.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::private;
use crate::telemetry::events::history::RecordCut;

/// The first bytes of the file: what it is, and its format.
pub const HEAD: &[u8; 8] = b"DRFGHST1";
/// Length and checksum before each record.
pub const FRAME: usize = 8;

/// A file of a day, open to be appended to.
pub struct OpenDay {
    file: File,
    /// Whole records, and the head.
    bytes: u64,
    dirty: bool,
}

impl OpenDay {
    /// Opens the file, or makes it. An incomplete record at its end is cut off, and that is logged.
    ///
    /// # Errors
    /// A file that cannot be read or written, or is none of ours.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = private::append(path)?;
        let found = fs::read(path)?;
        let whole = if found.len() < HEAD.len() && HEAD.starts_with(&found) { 0 } else { whole(&found)? };
        let mut bytes = whole as u64;
        if whole < found.len() {
            RecordCut { file: path, bytes: (found.len() - whole) as u64 }.emit();
            file.set_len(bytes)?;
        }
        if bytes == 0 {
            file.write_all(HEAD)?;
            bytes = HEAD.len() as u64;
        }
        Ok(Self { file, bytes, dirty: true })
    }

    /// Appends records. Where that fails, what was written of them is cut off.
    ///
    /// # Errors
    /// A disk that does not take them.
    pub fn append<'r>(&mut self, records: impl IntoIterator<Item = &'r [u8]>) -> io::Result<()> {
        let mut framed = Vec::new();
        for record in records {
            let length = u32::try_from(record.len()).map_err(io::Error::other)?;
            framed.extend_from_slice(&length.to_le_bytes());
            framed.extend_from_slice(&checksum(record));
            framed.extend_from_slice(record);
        }
        if let Err(e) = self.file.write_all(&framed) {
            let _ = self.file.set_len(self.bytes);
            return Err(e);
        }
        self.bytes += framed.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// Puts what was appended on the disk.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

fn checksum(record: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = *blake3::hash(record).as_bytes();
    [a, b, c, d]
}

/// The records of a file's bytes, up to the first that is not whole.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    framed(bytes.strip_prefix(HEAD).unwrap_or_default()).map(|(_, record)| record)
}

/// The records of bytes behind the head, up to the first that is not whole, each with its length and checksum.
pub fn framed(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; FRAME], &[u8])> {
    std::iter::from_fn(move || {
        let (frame, after) = rest.split_first_chunk::<FRAME>()?;
        let [a, b, c, d, sum @ ..] = *frame;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        let record = after.get(..length)?;
        if checksum(record) != sum {
            return None;
        }
        rest = after.get(length..).unwrap_or_default();
        Some((frame, record))
    })
}

/// The bytes of a file behind the first `known` ones, or behind its head where none are known, and where they begin. A file without a head has
/// none: it is being made.
///
/// # Errors
/// A file that cannot be read.
pub fn behind(file: &File, known: u64) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    let from = known.max(HEAD.len() as u64);
    if length <= from {
        return Ok((known, Vec::new()));
    }
    if known == 0 {
        let mut head = [0; HEAD.len()];
        file.read_exact_at(&mut head, 0)?;
        if head != *HEAD {
            return Ok((0, Vec::new()));
        }
    }
    let mut bytes = vec![0; usize::try_from(length - from).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
    Ok((from, bytes))
}

/// How many bytes the head and the whole records take.
fn whole(bytes: &[u8]) -> io::Result<usize> {
    if !bytes.starts_with(HEAD) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file of the history: move it elsewhere"));
    }
    Ok(HEAD.len() + records(bytes).map(|record| FRAME + record.len()).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(path: &Path) -> Vec<Vec<u8>> {
        records(&fs::read(path).unwrap()).map(<[u8]>::to_vec).collect()
    }

    proptest! {
        #[test]
        fn wherever_a_file_is_cut_its_whole_records_stay_and_more_can_be_appended(
            given in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
            at in any::<prop::sample::Index>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("1970-01-01.open");
            OpenDay::open(&path).unwrap().append(given.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(&read(&path), &given);
            let bytes = fs::read(&path).unwrap();
            let cut = at.index(bytes.len() + 1);
            fs::write(&path, &bytes[..cut]).unwrap();
            let mut ends = given.iter().scan(HEAD.len(), |end, r| { *end += FRAME + r.len(); Some(*end) });
            let left = ends.by_ref().take_while(|end| *end <= cut).count();
            let mut day = OpenDay::open(&path).unwrap();
            day.append([b"more".as_slice()]).unwrap();
            day.sync().unwrap();
            let mut expected = given[..left].to_vec();
            expected.push(b"more".to_vec());
            prop_assert_eq!(read(&path), expected);
        }
    }

    #[test]
    fn a_damaged_record_ends_the_file_and_another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1970-01-01.open");
        OpenDay::open(&path).unwrap().append([b"one".as_slice(), b"two"]).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), [b"one"]);
        drop(OpenDay::open(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap().len(), HEAD.len() + FRAME + 3);
        fs::write(&path, "something else").unwrap();
        assert!(OpenDay::open(&path).is_err());
    }
}
