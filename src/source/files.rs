//! Event files of any format as pieces: given out in the file's order, decoded by any thread.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::avro::{AvroBlock, AvroDecoder, AvroFile};
use super::columns::events::EventReader;
use super::columns::{self, FileError};
use super::jsonl::{Blocks, LineBlock, LineDecoder};
use super::kserve;
use super::options::{Chunk, FileOptions};
use super::packed::{packing, plain_extension, unpacked};
use super::partitions::{Members, hour_of};
use super::table_lines::TableLines;
use driftgate_core::batch::Part;
use driftgate_core::decode::seen::Seen;
use driftgate_core::kserve::pairs::Counts;
use driftgate_core::kserve::{INFERENCE_TABLE, Joiner, Logged};
use driftgate_core::pipeline::batch::Batch;
use driftgate_core::schema::Schema;

/// What the names of event files end in; the parenthesis is open.
pub(super) const ENDINGS: &str =
    ".parquet, .avro, .csv, .jsonl or .ndjson (the last three also with .gz or .zst behind it";

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("{name} cannot be read: {cause}")]
    Read { name: String, cause: String },
    #[error("{name}: files end in {ENDINGS}; or - for JSON lines on standard input); this one does not")]
    Extension { name: String },
    #[error("{name} has no {what}")]
    Part { name: String, what: String },
    #[error(
        "{name}: requests and responses (`format: kserve`, `oip`, `sagemaker`) are read from JSON lines, whole files of them; convert the file to .jsonl, one a line (of KServe's logger, events in structured mode)"
    )]
    Kserve { name: String },
    #[error(transparent)]
    Columns(#[from] FileError),
}

/// What kind of file a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Columns,
    JsonLines,
    /// An Avro container file.
    Avro,
}

impl FileKind {
    /// By extension; `-` is JSON lines on standard input.
    ///
    /// # Errors
    /// Any other name.
    pub fn of(path: &Path) -> Result<Self, StreamError> {
        if path == Path::new("-") {
            return Ok(Self::JsonLines);
        }
        match plain_extension(path).as_deref() {
            Some("jsonl" | "ndjson" | "json") => Ok(Self::JsonLines),
            Some("csv") => Ok(Self::Columns),
            // They are packed within, where each block says how.
            Some("parquet") if packing(path).is_none() => Ok(Self::Columns),
            Some("avro") if packing(path).is_none() => Ok(Self::Avro),
            _ => Err(StreamError::Extension { name: path.display().to_string() }),
        }
    }
}

/// What the path of a file of lines says of each line; of requests and responses nothing.
fn members(path: &Path, kind: FileKind, options: &FileOptions, schema: &Schema) -> Option<Arc<Members>> {
    let is_read = kind == FileKind::JsonLines && options.kserve.is_none();
    let members = is_read.then(|| Members::of(path, &options.format.fields, schema))?;
    (!members.is_empty()).then(|| Arc::new(members))
}

/// When the records of a file of ground truth were collected.
fn written(path: &Path, options: &FileOptions) -> Option<i64> {
    options.kserve.as_ref().filter(|settings| settings.logged == Logged::GroundTruth).and_then(|_| hour_of(path))
}

/// A file of lines, unpacked while it is read.
///
/// # Errors
/// A file that cannot be opened.
pub fn open_text(path: &Path) -> io::Result<Box<dyn io::Read + Send>> {
    unpacked(path, File::open(path)?)
}

/// A piece of a file, to be decoded by any thread.
pub enum Piece {
    Lines(LineBlock),
    Columns(columns::Piece),
    Avro(AvroBlock),
}

/// An event file being read: gives pieces in the file's order.
pub struct FileStream<B: Batch> {
    pub path: PathBuf,
    /// Bytes to read, where known.
    pub bytes: Option<u64>,
    reader: FileReader<B>,
    schema: Arc<Schema>,
    options: FileOptions,
    /// Of a file whose lines are halves of predictions.
    joiner: Option<Box<Joiner>>,
    /// What stands in its path, for each line.
    members: Option<Arc<Members>>,
    /// When its records were collected, by its path, in ms: of records that have no time.
    written: Option<i64>,
}

#[allow(clippy::large_enum_variant, reason = "there is one a file, which is not moved")]
enum FileReader<B: Batch> {
    Lines(Blocks),
    Columns { first: EventReader<B>, pieces: columns::Pieces, ended: bool },
    Avro(AvroFile),
}

/// Decodes pieces of one file; one per thread.
#[allow(clippy::large_enum_variant, reason = "there is one a file and thread, which is not moved")]
pub enum PieceDecoder<B: Batch> {
    Lines(LineDecoder),
    Columns(EventReader<B>),
    /// The name of the file, for errors.
    Avro(Result<AvroDecoder, String>, String),
}

impl<B: Batch> PieceDecoder<B> {
    /// Decodes a piece into `spare`, an empty batch. The piece's memory comes back, where it can be used again.
    ///
    /// # Errors
    /// A file that is damaged there.
    pub fn decode(&mut self, piece: Piece, spare: B) -> Result<(Chunk<B>, Option<LineBlock>), FileError> {
        match (piece, self) {
            (Piece::Lines(block), Self::Lines(decoder)) => Ok((decoder.decode(&block, spare), Some(block))),
            (Piece::Columns(piece), Self::Columns(reader)) => {
                let mut chunk = Chunk::of(spare);
                let rejects = &mut chunk.rejects;
                chunk.unknown_model =
                    reader.read(piece, &mut chunk.batch, &mut |row, reject| rejects.push((row, reject, Vec::new())))?;
                chunk.notes = reader.take_notes();
                chunk.notes.times(chunk.batch.times());
                Ok((chunk, None))
            }
            (Piece::Avro(block), Self::Avro(decoder, path)) => {
                let broken = |cause| FileError::Broken { path: path.clone(), format: columns::Format::Avro, cause };
                let decoder = decoder.as_mut().map_err(|why| broken(why.clone()))?;
                Ok((decoder.decode(block, spare).map_err(broken)?, None))
            }
            // A file gives pieces of its own kind only.
            (_, _) => Ok((Chunk::of(spare), None)),
        }
    }
}

impl<B: Batch> PieceDecoder<B> {
    /// What any event that this decoder read has had.
    #[must_use]
    pub fn seen(&self) -> Seen {
        match self {
            Self::Lines(decoder) => decoder.seen(),
            Self::Columns(reader) => reader.seen(),
            Self::Avro(decoder, _) => decoder.as_ref().map(AvroDecoder::seen).unwrap_or_default(),
        }
    }
}

impl<B: Batch> FileStream<B> {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be opened, of an unknown kind, or without a column that is needed.
    pub fn open(path: &Path, schema: &Arc<Schema>, options: &FileOptions) -> Result<Self, StreamError> {
        let unreadable = |e: io::Error| StreamError::Read { name: path.display().to_string(), cause: e.to_string() };
        let kind = FileKind::of(path)?;
        let is_table = kind == FileKind::Columns
            && options.kserve.as_ref().is_some_and(|settings| settings.logged == Logged::Databricks);
        if kind != FileKind::JsonLines && options.kserve.is_some() && !is_table {
            return Err(StreamError::Kserve { name: path.display().to_string() });
        }
        let joiner = options.kserve.as_ref().map(|settings| Joiner::new((**settings).clone(), options.limits));
        let (reader, bytes) = match kind {
            FileKind::JsonLines if path == Path::new("-") => {
                (FileReader::Lines(Blocks::new(Box::new(io::stdin()), false, options.limits)), None)
            }
            FileKind::JsonLines => {
                let bytes = std::fs::metadata(path).ok().map(|m| m.len()).filter(|_| packing(path).is_none());
                let text = open_text(path).map_err(unreadable)?;
                (FileReader::Lines(Blocks::new(text, true, options.limits)), bytes)
            }
            FileKind::Avro => {
                let bytes = std::fs::metadata(path).ok().map(|m| m.len());
                (FileReader::Avro(AvroFile::open(path).map_err(unreadable)?), bytes)
            }
            FileKind::Columns if is_table => {
                let lines = TableLines::open(path, &INFERENCE_TABLE, &["request", "response", "timestamp_ms"])?;
                (FileReader::Lines(Blocks::new(Box::new(lines), true, options.limits).begun()), None)
            }
            FileKind::Columns => {
                let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
                let (first, pieces) = EventReader::open(path, Arc::clone(schema), options)?;
                (FileReader::Columns { first, pieces, ended: false }, Some(bytes))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            bytes,
            reader,
            schema: Arc::clone(schema),
            options: options.clone(),
            joiner: joiner.map(Box::new),
            members: members(path, kind, options, schema),
            written: written(path, options),
        })
    }

    /// Opens a part of a file.
    ///
    /// # Errors
    /// The same, and a part that such a file does not have.
    pub fn open_part(
        path: &Path,
        part: Part,
        schema: &Arc<Schema>,
        options: &FileOptions,
    ) -> Result<Self, StreamError> {
        let none = |what: &str| StreamError::Part { name: path.display().to_string(), what: what.to_owned() };
        if part != Part::Whole && options.kserve.is_some() {
            return Err(StreamError::Kserve { name: path.display().to_string() });
        }
        match part {
            Part::Whole => Self::open(path, schema, options),
            Part::Groups { from, to } => {
                let mut stream = Self::open(path, schema, options)?;
                let FileReader::Columns { pieces, .. } = &mut stream.reader else { return Err(none("row groups")) };
                let groups = pieces.rows_of_groups().map_or(0, |groups| groups.len());
                let (from, to) = (from as usize, to as usize);
                if to > groups || from >= to || !pieces.only(from..to) {
                    return Err(none(&format!("row groups {from} to {}", to.saturating_sub(1))));
                }
                Ok(stream)
            }
            Part::Bytes { from, to } => {
                if FileKind::of(path)? != FileKind::JsonLines || path == Path::new("-") || packing(path).is_some() {
                    return Err(none("ranges of bytes"));
                }
                let unreadable =
                    |e: io::Error| StreamError::Read { name: path.display().to_string(), cause: e.to_string() };
                let lines = super::lines::part(path, from, to).map_err(unreadable)?;
                let Some((input, bytes)) = lines else { return Err(none("line feeds between its lines")) };
                let blocks = Blocks::new(Box::new(input), true, options.limits);
                let blocks = if from > 0 { blocks.begun() } else { blocks };
                Ok(Self {
                    path: path.to_owned(),
                    bytes: Some(bytes),
                    reader: FileReader::Lines(blocks),
                    schema: Arc::clone(schema),
                    options: options.clone(),
                    joiner: None,
                    members: members(path, FileKind::JsonLines, options, schema),
                    written: None,
                })
            }
        }
    }

    /// Requests and responses of the file before may meet those of this one.
    pub fn follow(&mut self, before: &mut Self) {
        if before.joiner.is_some() {
            self.joiner = before.joiner.take();
        }
    }

    /// A decoder of this file's pieces.
    #[must_use]
    pub fn decoder(&self) -> PieceDecoder<B> {
        match &self.reader {
            FileReader::Lines(_) => PieceDecoder::Lines(LineDecoder::new::<B>(&self.schema, &self.options)),
            FileReader::Columns { first, .. } => PieceDecoder::Columns(first.fork()),
            FileReader::Avro(file) => PieceDecoder::Avro(
                AvroDecoder::new::<B>(file, &self.schema, &self.options),
                self.path.display().to_string(),
            ),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// A file that cannot be read on.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, StreamError> {
        match &mut self.reader {
            FileReader::Lines(blocks) => match blocks.next_block() {
                Ok(block) => Ok(block.map(|block| match &mut self.joiner {
                    None => Piece::Lines(block.of_path(self.members.clone())),
                    Some(joiner) => {
                        let rows = kserve::join(joiner, &block, self.written);
                        blocks.give_back(block);
                        Piece::Lines(rows)
                    }
                })),
                Err(e) => Err(StreamError::Read { name: self.path.display().to_string(), cause: e.to_string() }),
            },
            FileReader::Avro(file) => match file.next_block() {
                Ok(block) => Ok(block.map(Piece::Avro)),
                Err(e) => Err(StreamError::Read { name: self.path.display().to_string(), cause: e.to_string() }),
            },
            FileReader::Columns { pieces, ended, .. } => {
                let piece = pieces.next()?;
                *ended = piece.is_none();
                Ok(piece.map(Piece::Columns))
            }
        }
    }

    /// Takes the memory of a decoded piece back.
    pub fn give_back(&mut self, block: LineBlock) {
        if let FileReader::Lines(blocks) = &mut self.reader {
            blocks.give_back(block);
        }
    }

    /// What became of requests and responses, as far as the file was read, where its lines are such.
    #[must_use]
    pub fn halves(&self) -> Option<Counts> {
        self.joiner.as_ref().map(|joiner| joiner.counts())
    }

    /// Bytes read so far, for progress.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        match &self.reader {
            FileReader::Lines(blocks) => blocks.read,
            FileReader::Avro(file) => file.bytes_read(),
            // How much of a file its pieces are is not known, only when it is read.
            FileReader::Columns { ended, .. } => self.bytes.filter(|_| *ended).unwrap_or(0),
        }
    }

    /// An empty batch for this file's events.
    #[must_use]
    pub fn empty(&self) -> B {
        B::empty(&self.schema)
    }

    /// The number of the first line, for the numbers of rejected lines: rows of columns have theirs already.
    #[must_use]
    pub fn first_line(&self) -> u64 {
        u64::from(self.is_lines())
    }

    /// Whether its pieces are blocks of lines, not runs of rows.
    #[must_use]
    pub fn is_lines(&self) -> bool {
        matches!(self.reader, FileReader::Lines(_))
    }
}
