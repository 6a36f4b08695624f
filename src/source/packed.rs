//! Files of lines that are packed as a whole: their names say how, and they are unpacked while they are read.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952; several members one behind the other are one text.
    Gzip,
    /// RFC 8878; the same of frames.
    Zstd,
}

/// How a file's name says that it is packed, if it does.
#[must_use]
pub fn packing(path: &Path) -> Option<Packing> {
    match extension(path)?.as_str() {
        "gz" => Some(Packing::Gzip),
        "zst" => Some(Packing::Zstd),
        _ => None,
    }
}

/// What follows the last dot of a name in lower case, without the ending that says how the file is packed.
#[must_use]
pub fn plain_extension(path: &Path) -> Option<String> {
    match (packing(path), path.file_stem()) {
        (Some(_), Some(stem)) => extension(Path::new(stem)),
        _ => extension(path),
    }
}

fn extension(path: &Path) -> Option<String> {
    path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase)
}

/// A file's text, unpacked while it is read as its name says.
///
/// # Errors
/// No memory for unpacking.
pub fn unpacked(path: &Path, packed: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    Ok(match packing(path) {
        None => Box::new(packed),
        Some(Packing::Gzip) => Box::new(Named(flate2::read::MultiGzDecoder::new(packed), "gzip")),
        Some(Packing::Zstd) => Box::new(Named(zstd::stream::read::Decoder::new(packed)?, "zstd")),
    })
}

/// A reader whose errors say that the file does not unpack.
struct Named<R>(R, &'static str);

impl<R: Read> Read for Named<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => io::Error::new(e.kind(), format!("it does not unpack as {}: {e}", self.1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    }

    fn read(name: &str, packed: Vec<u8>) -> Result<String, String> {
        let mut text = String::new();
        let unpacked = unpacked(Path::new(name), io::Cursor::new(packed)).map_err(|e| e.to_string())?;
        let mut unpacked = unpacked;
        unpacked.read_to_string(&mut text).map_err(|e| e.to_string())?;
        Ok(text)
    }

    #[test]
    fn parts_that_were_packed_alone_are_one_text() {
        assert_eq!(read("x.jsonl", b"a".to_vec()), Ok("a".into()));
        assert_eq!(read("x.csv.GZ", [gzip(b"a\n"), gzip(b"b")].concat()), Ok("a\nb".into()));
        let zstd = |text: &[u8]| zstd::stream::encode_all(text, 1).unwrap();
        assert_eq!(read("x.jsonl.zst", [zstd(b"a\n"), zstd(b"b")].concat()), Ok("a\nb".into()));
    }

    #[test]
    fn what_is_cut_or_none_is_an_error_with_its_name() {
        let packed = gzip(b"some text that is long enough to be cut within it");
        for (name, bytes, says) in [
            ("x.jsonl.gz", packed[..packed.len() - 9].to_vec(), "gzip"),
            ("x.jsonl.gz", b"{\"plain\": 1}".to_vec(), "gzip"),
            ("x.jsonl.zst", b"{\"plain\": 1}".to_vec(), "zstd"),
        ] {
            let error = read(name, bytes).unwrap_err();
            assert!(error.contains(&format!("it does not unpack as {says}")), "{error}");
        }
    }

    #[test]
    fn the_ending_before_the_packings_says_what_is_in_the_file() {
        for (name, expected) in
            [("a/x.CSV.gz", Some("csv")), ("x.jsonl", Some("jsonl")), ("x.gz", None), (".zst", None)]
        {
            assert_eq!(plain_extension(Path::new(name)).as_deref(), expected, "{name}");
        }
    }
}
