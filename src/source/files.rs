//! Event files of any format as pieces: given out in the file's order, decoded by any thread.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::columns::events::{
    EventReader, FeatureReader, FileFields, LabelReader, MeasurementReader, PredictionReader,
};
use super::columns::{self, FileError};
use super::jsonl::{Block, Blocks, LineDecoder};
use driftgate_core::decode::Reject;
use driftgate_core::decode::json::{Format, JsonDecoder, Outcome};
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::{EventKind, FeatureBatch, LabelBatch, Limits, MeasurementBatch, PredictionBatch};
use driftgate_core::schema::Schema;

/// Decoded events and those that were rejected.
pub struct Chunk<B> {
    pub batch: B,
    /// Line or row within the file or, for lines, within the piece; why; and the line's bytes where there are any.
    pub rejects: Vec<(u64, Reject, Vec<u8>)>,
    /// How many lines the piece holds.
    pub lines: u64,
    /// Events of models without a policy here.
    pub unknown_model: u64,
    /// Remarks about the others.
    pub notes: Notes,
}

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("{name} cannot be read: {cause}")]
    Read { name: String, cause: String },
    #[error(
        "{name}: files end in .parquet, .csv, .jsonl or .ndjson (or - for JSON lines on standard input); this one does not"
    )]
    Extension { name: String },
    #[error(transparent)]
    Columns(#[from] FileError),
}

/// Batches that files can be read into.
pub trait StreamBatch: Send + Sized + 'static {
    const KIND: EventKind;
    /// The reader of Parquet and CSV files.
    type Columns: EventReader<Batch = Self>;

    fn empty(schema: &Schema) -> Self;

    fn rows(&self) -> usize {
        self.times().len()
    }

    /// The rows' times.
    fn times(&self) -> &[i64];

    /// Makes room, so that decoding does not allocate event by event.
    fn make_room(&mut self, rows: usize);

    /// Empties the batch for reuse; its memory stays.
    fn reset(&mut self);

    /// Whether it carries texts of new codes.
    fn has_news(&self) -> bool;

    /// Decodes one JSON event into the batch.
    ///
    /// # Errors
    /// The rejection; nothing was added.
    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject>;
}

impl StreamBatch for PredictionBatch {
    type Columns = PredictionReader;

    const KIND: EventKind = EventKind::Predictions;

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.numeric.len(), schema.categorical.len(), schema.segmentations.len())
    }

    fn times(&self) -> &[i64] {
        &self.ts
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn reset(&mut self) {
        self.clear();
    }

    fn has_news(&self) -> bool {
        !self.fresh.is_empty()
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.prediction(bytes, record_ts, std::slice::from_mut(self))
    }
}

impl StreamBatch for LabelBatch {
    type Columns = LabelReader;

    const KIND: EventKind = EventKind::Labels;

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.kpis.len())
    }

    fn times(&self) -> &[i64] {
        &self.ts
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn reset(&mut self) {
        self.clear();
    }

    fn has_news(&self) -> bool {
        false
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.label(bytes, record_ts, std::slice::from_mut(self))
    }
}

impl StreamBatch for FeatureBatch {
    type Columns = FeatureReader;

    const KIND: EventKind = EventKind::Features;

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.numeric.len(), schema.categorical.len())
    }

    fn times(&self) -> &[i64] {
        &self.ts
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn reset(&mut self) {
        self.clear();
    }

    fn has_news(&self) -> bool {
        !self.fresh.is_empty()
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.features(bytes, record_ts, std::slice::from_mut(self))
    }
}

impl StreamBatch for MeasurementBatch {
    type Columns = MeasurementReader;

    const KIND: EventKind = EventKind::Measurements;

    fn empty(_: &Schema) -> Self {
        Self::default()
    }

    fn times(&self) -> &[i64] {
        &self.ts
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn reset(&mut self) {
        self.clear();
    }

    fn has_news(&self) -> bool {
        !self.fresh.is_empty()
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.measurement(bytes, record_ts, std::slice::from_mut(self))
    }
}

/// The kind of file that a name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Columns,
    JsonLines,
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
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("parquet" | "csv") => Ok(Self::Columns),
            Some("jsonl" | "ndjson" | "json") => Ok(Self::JsonLines),
            _ => Err(StreamError::Extension { name: path.display().to_string() }),
        }
    }
}

/// How event files are read.
#[derive(Clone, Debug)]
pub struct FileOptions {
    pub format: Format,
    pub columns: FileFields,
    pub limits: Limits,
    /// The time that "in the future" is measured from, in ms.
    pub record_ts: i64,
    pub threads: usize,
}

/// A piece of a file, to be decoded by any thread.
pub enum Piece {
    Lines(Block),
    Columns(columns::Piece),
}

/// An event file being read: gives pieces in the file's order.
pub struct FileStream<B: StreamBatch> {
    pub path: PathBuf,
    /// Bytes to read, where known.
    pub bytes: Option<u64>,
    reader: Reader<B>,
    schema: Arc<Schema>,
    options: FileOptions,
}

enum Reader<B: StreamBatch> {
    Lines(Blocks),
    Columns { first: B::Columns, pieces: columns::Pieces, ended: bool },
}

/// Decodes pieces of one file; one a thread.
#[allow(clippy::large_enum_variant, reason = "there is one a file and thread, which is not moved")]
pub enum PieceDecoder<B: StreamBatch> {
    Lines(LineDecoder),
    Columns(B::Columns),
}

impl<B: StreamBatch> PieceDecoder<B> {
    /// Decodes a piece into `spare`, an empty batch. The piece's memory comes back, where it can be used again.
    ///
    /// # Errors
    /// A file that is damaged there.
    pub fn decode(&mut self, piece: Piece, spare: B) -> Result<(Chunk<B>, Option<Block>), FileError> {
        match (piece, self) {
            (Piece::Lines(block), Self::Lines(decoder)) => Ok((decoder.decode(&block, spare), Some(block))),
            (Piece::Columns(piece), Self::Columns(reader)) => {
                let mut chunk =
                    Chunk { batch: spare, rejects: Vec::new(), lines: 0, unknown_model: 0, notes: Notes::default() };
                let rejects = &mut chunk.rejects;
                chunk.unknown_model =
                    reader.read(piece, &mut chunk.batch, &mut |row, reject| rejects.push((row, reject, Vec::new())))?;
                chunk.notes = reader.take_notes();
                chunk.notes.times(chunk.batch.times());
                Ok((chunk, None))
            }
            // A file gives pieces of its own kind only.
            (_, _) => Ok((
                Chunk { batch: spare, rejects: Vec::new(), lines: 0, unknown_model: 0, notes: Notes::default() },
                None,
            )),
        }
    }
}

impl<B: StreamBatch> PieceDecoder<B> {
    /// The names that any event of this decoder has had.
    #[must_use]
    pub fn seen(&self) -> Seen {
        match self {
            Self::Lines(decoder) => decoder.seen(),
            Self::Columns(reader) => reader.seen(),
        }
    }
}

impl<B: StreamBatch> FileStream<B> {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be opened, of an unknown kind, or without a column that is needed.
    pub fn open(path: &Path, schema: &Arc<Schema>, options: &FileOptions) -> Result<Self, StreamError> {
        let unreadable = |e: io::Error| StreamError::Read { name: path.display().to_string(), cause: e.to_string() };
        let (reader, bytes) = match FileKind::of(path)? {
            FileKind::JsonLines if path == Path::new("-") => {
                (Reader::Lines(Blocks::new(Box::new(io::stdin()), false, options.limits)), None)
            }
            FileKind::JsonLines => {
                let file = File::open(path).map_err(unreadable)?;
                let bytes = file.metadata().ok().map(|m| m.len());
                (Reader::Lines(Blocks::new(Box::new(file), true, options.limits)), bytes)
            }
            FileKind::Columns => {
                let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
                let schema = Arc::clone(schema);
                let (first, pieces) =
                    B::Columns::open(path, schema, &options.columns, options.limits, options.record_ts)?;
                (Reader::Columns { first, pieces, ended: false }, Some(bytes))
            }
        };
        Ok(Self { path: path.to_owned(), bytes, reader, schema: Arc::clone(schema), options: options.clone() })
    }

    /// A decoder of this file's pieces.
    #[must_use]
    pub fn decoder(&self) -> PieceDecoder<B> {
        match &self.reader {
            Reader::Lines(_) => PieceDecoder::Lines(LineDecoder::new::<B>(&self.schema, &self.options)),
            Reader::Columns { first, .. } => PieceDecoder::Columns(first.fork()),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// A file that cannot be read on.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, StreamError> {
        match &mut self.reader {
            Reader::Lines(blocks) => match blocks.next_block() {
                Ok(block) => Ok(block.map(Piece::Lines)),
                Err(e) => Err(StreamError::Read { name: self.path.display().to_string(), cause: e.to_string() }),
            },
            Reader::Columns { pieces, ended, .. } => {
                let piece = pieces.next()?;
                *ended = piece.is_none();
                Ok(piece.map(Piece::Columns))
            }
        }
    }

    /// Takes the memory of a decoded piece back.
    pub fn give_back(&mut self, block: Block) {
        if let Reader::Lines(blocks) = &mut self.reader {
            blocks.give_back(block);
        }
    }

    /// Bytes read so far, for progress.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        match &self.reader {
            Reader::Lines(blocks) => blocks.read,
            // How much of a file its pieces are is not known, only when it is read.
            Reader::Columns { ended, .. } => self.bytes.filter(|_| *ended).unwrap_or(0),
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
        matches!(self.reader, Reader::Lines(_))
    }
}
