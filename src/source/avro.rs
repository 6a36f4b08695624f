//! Avro object container files: blocks of values, decoded by any thread, by the schema that the file begins with. Source: the Apache Avro
//! 1.12 specification, "Object Container Files".

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use apache_avro::Codec;
use apache_avro::error::Details;

use super::options::{Chunk, FileOptions};
use driftgate_core::decode::avro::{Lengths, Writer};
use driftgate_core::decode::decoder::{Decoded, EventDecoder, Format};
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::wire::Wire;
use driftgate_core::decode::{Reason, Reject};
use driftgate_core::pipeline::batch::{Batch, decode};
use driftgate_core::schema::Schema;

const MAGIC: &[u8; 4] = b"Obj\x01";
/// A block, or a part of the header, has no more bytes than this.
const MOST_BYTES: u64 = 1 << 30;
/// A block has no more bytes than this once it is unpacked: as many are in memory per thread.
const MOST_UNPACKED: usize = 128 << 20;
/// The header holds a schema and a handful of texts.
const MOST_ENTRIES: u64 = 10_000;

/// A block of values as it stands in the file.
pub struct AvroBlock {
    /// The number of its first value in the file, from 0.
    first: u64,
    count: u64,
    packed: Vec<u8>,
}

/// A file that is read block by block.
pub struct AvroFile {
    bytes: Bytes,
    codec: Codec,
    marker: [u8; 16],
    writer: Arc<Writer>,
    /// Values of the blocks so far.
    values: u64,
}

fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Has the library unpack no block to more than is read here. The first call in the process decides, so each reader of files makes it.
pub fn bound_blocks() {
    apache_avro::util::max_allocation_bytes(MOST_UNPACKED);
}

impl AvroFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// A file that is none, or is packed in a way that is not known here.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut bytes = Bytes { input: BufReader::with_capacity(1 << 18, File::open(path)?), read: 0 };
        if bytes.array()? != *MAGIC {
            return Err(damaged("it does not begin as an Avro container file does (Obj and a 1)"));
        }
        let (mut schema, mut codec, mut entries) = (None, Codec::Null, 0);
        while let Some(count) = bytes.entries()? {
            entries += count;
            if entries > MOST_ENTRIES {
                return Err(damaged("its header has too many entries"));
            }
            for _ in 0..count {
                let (key, value) = (bytes.counted()?, bytes.counted()?);
                let text = || String::from_utf8_lossy(&value);
                match key.as_slice() {
                    b"avro.schema" => schema = Some(text().into_owned()),
                    b"avro.codec" => {
                        codec = Codec::from_str(&text()).map_err(|_| {
                            let name = text();
                            damaged(format!(
                                "it is packed by {name:?}: write it with deflate, snappy, zstandard or no codec"
                            ))
                        })?;
                    }
                    _ => {}
                }
            }
        }
        let schema = schema.ok_or_else(|| damaged("its header has no schema"))?;
        let writer = Arc::new(Writer::parse(&schema, &[]).map_err(damaged)?);
        Ok(Self { marker: bytes.array()?, bytes, codec, writer, values: 0 })
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    /// A file that is cut, or damaged between its blocks.
    pub fn next_block(&mut self) -> io::Result<Option<AvroBlock>> {
        if self.bytes.is_over()? {
            return Ok(None);
        }
        let count = self.bytes.long()?;
        let count = u64::try_from(count).map_err(|_| damaged(format!("a block has {count} rows")))?;
        let packed = self.bytes.counted()?;
        if self.bytes.array()? != self.marker {
            let at = self.bytes.read;
            return Err(damaged(format!("the mark behind a block is another one than the file's, before byte {at}")));
        }
        let first = self.values;
        self.values = self.values.saturating_add(count);
        Ok(Some(AvroBlock { first, count, packed }))
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.bytes.read
    }
}

/// A file's bytes in order.
struct Bytes {
    input: BufReader<File>,
    read: u64,
}

impl Bytes {
    fn is_over(&mut self) -> io::Result<bool> {
        Ok(self.input.fill_buf()?.is_empty())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut into = [0; N];
        self.input.read_exact(&mut into).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.cut(),
            _ => e,
        })?;
        self.read += N as u64;
        Ok(into)
    }

    fn cut(&self) -> io::Error {
        damaged(format!("it is cut behind byte {}", self.read))
    }

    /// A variable-length zig-zag number.
    fn long(&mut self) -> io::Result<i64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(damaged(format!("a number has more than 64 bits, before byte {}", self.read)))
    }

    /// How many entries the next block of a map has; `None` behind the last.
    fn entries(&mut self) -> io::Result<Option<u64>> {
        let count = self.long()?;
        if count < 0 {
            // The block's size in bytes follows.
            self.long()?;
        }
        Ok(Some(count.unsigned_abs()).filter(|count| *count > 0))
    }

    /// Bytes behind their number.
    fn counted(&mut self) -> io::Result<Vec<u8>> {
        let length = self.long()?;
        let length = u64::try_from(length).ok().filter(|length| *length <= MOST_BYTES);
        let length = length.ok_or_else(|| damaged(format!("a length is out of range, before byte {}", self.read)))?;
        let mut bytes = Vec::new();
        // A length that is not true takes no memory.
        (&mut self.input).take(length).read_to_end(&mut bytes)?;
        self.read += bytes.len() as u64;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(self.cut()) }
    }
}

/// Decodes blocks; one per thread.
pub struct AvroDecoder {
    events: EventDecoder,
    lengths: Lengths,
    codec: Codec,
    record_ts: i64,
    most_bytes: usize,
}

impl AvroDecoder {
    /// # Errors
    /// A schema that cannot be used.
    pub fn new<B: Batch>(file: &AvroFile, schema: &Arc<Schema>, options: &FileOptions) -> Result<Self, String> {
        let FileOptions { format, limits, record_ts, .. } = options;
        let format = Format {
            model: Some(0),
            wire: Wire::AvroOf(Arc::clone(&file.writer)),
            cloudevents: false,
            ..format.clone()
        };
        Ok(Self {
            events: EventDecoder::new(std::slice::from_ref(schema), &format, B::kind(), *limits),
            lengths: Lengths::new(&file.writer, limits.depth)?,
            codec: file.codec,
            record_ts: *record_ts,
            most_bytes: limits.message_bytes,
        })
    }

    /// The names that any event has had so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.events.seen(0)
    }

    /// Decodes a block into an empty batch. Where a value is not as the schema says, those behind it cannot be found: each is rejected.
    ///
    /// # Errors
    /// A block that does not unpack: why.
    pub fn decode<B: Batch>(&mut self, block: AvroBlock, batch: B) -> Result<Chunk<B>, String> {
        let mut chunk = Chunk::of(batch);
        let AvroBlock { first, count, packed: mut values } = block;
        bound_blocks();
        self.codec.decompress(&mut values).map_err(|e| match e.details() {
            Details::MemoryAllocation { maximum, .. } => {
                let most = maximum >> 20;
                format!("the block of row {first} unpacks to more than {most} MiB: write it with smaller blocks")
            }
            _ => format!("the block of row {first} does not unpack: {e}"),
        })?;
        if count > values.len() as u64 {
            return Err(format!("the block of row {first} says that it has {count} rows, in {} bytes", values.len()));
        }
        let mut rest = values.as_slice();
        for row in first..first + count {
            let (value, behind) = match self.lengths.of_first(rest) {
                Ok(length) => rest.split_at_checked(length).unwrap_or((rest, &[])),
                Err(reject) => {
                    let left = first + count - row;
                    let detail = format!("{}; {left} rows of its block cannot be read", reject.detail);
                    let kept = rest.get(..self.most_bytes).unwrap_or(rest).to_vec();
                    chunk.rejects.push((row, Reject::new(reject.reason, detail), kept));
                    let lost =
                        |row| (row, Reject::new(Reason::NotAvro, "it follows a row that cannot be read"), Vec::new());
                    chunk.rejects.extend((row + 1..first + count).map(lost));
                    rest = &[];
                    break;
                }
            };
            rest = behind;
            match decode(&mut self.events, value, self.record_ts, std::slice::from_mut(&mut chunk.batch)) {
                // The schema of a file is there.
                Ok(Decoded::Row(_) | Decoded::Waits) => {}
                Ok(Decoded::UnknownModel) => chunk.unknown_model += 1,
                Err(reject) => chunk.rejects.push((row, reject, value.to_vec())),
            }
        }
        if !rest.is_empty() {
            return Err(format!("{} bytes follow the {count} rows of the block of row {first}", rest.len()));
        }
        chunk.notes = std::mem::take(&mut self.events.notes);
        chunk.notes.times(chunk.batch.times());
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::ZstandardSettings;
    use driftgate_core::event::LabelBatch;

    const SCHEMA: &[u8] = br#"{"type":"record","name":"L","fields":[{"name":"prediction_id","type":"string"}]}"#;

    fn long(number: usize) -> Vec<u8> {
        let (mut rest, mut bytes) = (number * 2, Vec::new());
        while rest >= 0x80 {
            bytes.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes
    }

    /// A file of one block with this many rows and bytes, all of them zeros, packed by zstd.
    fn zeros(rows: usize, bytes: usize) -> Vec<u8> {
        let mut packed = vec![0; bytes];
        Codec::Zstandard(ZstandardSettings::default()).compress(&mut packed).unwrap();
        let counted = |bytes: &[u8]| [long(bytes.len()), bytes.to_vec()].concat();
        let header = [counted(b"avro.schema"), counted(SCHEMA), counted(b"avro.codec"), counted(b"zstandard")].concat();
        [MAGIC, &*long(2), &header, &long(0), &[7; 16], &long(rows), &counted(&packed), &[7; 16]].concat()
    }

    #[test]
    fn a_small_file_does_not_unpack_to_more_than_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.avro");
        let schema = Arc::new(Schema { model: "m".into(), needs_id: true, ..Schema::default() });
        for (bytes, says) in
            [(MOST_UNPACKED + 1, "unpacks to more than 128 MiB"), (9, "follow the 1 rows of the block")]
        {
            let written = zeros(1, bytes);
            assert!(written.len() < 100_000, "{} bytes", written.len());
            std::fs::write(&path, written).unwrap();
            let mut file = AvroFile::open(&path).unwrap();
            let mut decoder = AvroDecoder::new::<LabelBatch>(&file, &schema, &FileOptions::default()).unwrap();
            let block = file.next_block().unwrap().unwrap();
            let refused = decoder.decode(block, LabelBatch::new(0)).err().unwrap();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
