//! Of a file of shared rows the section of one bucket.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use driftgate_core::batch::{BatchError, Rows, SharedHeader};

/// No header is longer: it holds names that are bounded.
const MOST_HEADER: u64 = 1 << 30;

/// Reads what a file has of a bucket.
///
/// # Errors
/// A file that cannot be read or is none.
pub fn section(path: &Path, bucket: u32) -> Result<(SharedHeader, Rows), BatchError> {
    let name = path.display().to_string();
    let unreadable = |e: io::Error| BatchError::Input(format!("{name} cannot be read: {e}"));
    let unsound = || BatchError::Unsound(name.clone());
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(|_| unsound())?;
    let size = SharedHeader::length(&start).filter(|size| *size <= length.min(MOST_HEADER)).ok_or_else(unsound)?;
    let mut header = vec![0; usize::try_from(size).map_err(|_| unsound())?];
    file.read_exact(&mut header).map_err(|_| unsound())?;
    let header = SharedHeader::read(&name, &header)?;
    let range = header.section(size, bucket).filter(|range| range.end <= length).ok_or_else(unsound)?;
    let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(|_| unsound())?];
    file.read_exact_at(&mut bytes, range.start).map_err(unreadable)?;
    let rows = Rows::read(&name, &bytes)?;
    Ok((header, rows))
}
