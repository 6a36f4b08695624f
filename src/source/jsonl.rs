//! JSON lines from a file or standard input: cut into blocks at line ends by one reader, decoded by any number of threads,
//! each with a decoder of its own.

use std::io::{self, Read};
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use super::options::{Chunk, FileOptions};
use super::partitions::Members;
use driftgate_core::decode::decoder::{Decoded, EventDecoder, Format};
use driftgate_core::decode::seen::Seen;
use driftgate_core::decode::{Reason, Reject};
use driftgate_core::event::Limits;
use driftgate_core::pipeline::batch::{Batch, decode};
use driftgate_core::schema::Schema;

/// Bytes of one block, about, unless its lines are so long that they would be few.
const BLOCK: usize = 1 << 20;
/// Lines worth having in a block: counting them reads the grid and the counts of each feature once per block.
const LINES: usize = 512;
/// Most bytes of a block, about, however long its lines are.
const MOST_BLOCK: usize = 8 << 20;

/// What became of the lines of a block whose events are joined.
#[derive(Debug, Default)]
pub struct Joined {
    /// The number within the block of the line that completed the pair of each row.
    pub origins: Vec<u64>,
    /// Lines that are no events, each with its number within the block.
    pub refused: Vec<(u64, Reject, Vec<u8>)>,
    /// How many lines the block had.
    pub lines: u64,
}

/// A run of whole lines.
#[derive(Debug, Default)]
pub struct LineBlock {
    /// The lines, and behind them remains of the memory's last use.
    bytes: Vec<u8>,
    filled: usize,
    /// A line before the first that was too long to keep: its length.
    too_long: Option<usize>,
    /// The lines are rows of joined events, which came from others.
    joined: Option<Box<Joined>>,
    /// What stands in the path of their file.
    members: Option<Arc<Members>>,
}

impl LineBlock {
    /// The same lines, of a file with this in its path.
    pub(super) fn of_path(self, members: Option<Arc<Members>>) -> Self {
        Self { members, ..self }
    }

    pub(super) fn lines(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or(&[])
    }

    /// How many lines were skipped before the first.
    pub(super) fn skipped(&self) -> u64 {
        u64::from(self.too_long.is_some())
    }

    /// A block of the rows that came of this one's lines.
    pub(super) fn with(&self, rows: Vec<u8>, joined: Joined) -> Self {
        Self { filled: rows.len(), bytes: rows, too_long: self.too_long, joined: Some(Box::new(joined)), members: None }
    }
}

/// Cuts an input into blocks of whole lines.
pub struct Blocks {
    input: Box<dyn Read + Send>,
    /// Whether to wait until a block is full: of a file, not of a pipe, whose next line may be long in coming.
    full: bool,
    /// The bound on a line.
    most: usize,
    /// Bytes to read for the next block.
    wanted: usize,
    /// The start of the line that the last block cut.
    rest: Vec<u8>,
    ended: bool,
    /// Whether the first bytes were looked at.
    begun: bool,
    /// Lines end with a carriage return alone, as those of old Mac programs.
    carriage: bool,
    /// Bytes read so far.
    pub read: u64,
    /// Memory of blocks that were decoded.
    spare: Vec<Vec<u8>>,
}

impl Blocks {
    #[must_use]
    pub fn new(input: Box<dyn Read + Send>, full: bool, limits: Limits) -> Self {
        Self {
            input,
            full,
            most: limits.message_bytes,
            wanted: BLOCK,
            rest: Vec::new(),
            ended: false,
            begun: false,
            carriage: false,
            read: 0,
            spare: Vec::new(),
        }
    }

    /// The same where the input begins within a file whose lines end with line feeds.
    #[must_use]
    pub fn begun(self) -> Self {
        Self { begun: true, ..self }
    }

    /// Takes the memory of a decoded block back.
    pub fn give_back(&mut self, block: LineBlock) {
        self.spare.push(block.bytes);
    }

    /// Reads on behind the first `filled` bytes; returns how many came, none at the end.
    fn fill(&mut self, bytes: &mut Vec<u8>, filled: usize) -> io::Result<usize> {
        let end = filled + self.wanted;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        let room = bytes.get_mut(filled..end).unwrap_or(&mut []);
        let mut came = 0;
        while came < room.len() && !self.ended {
            match self.input.read(room.get_mut(came..).unwrap_or(&mut [])) {
                Ok(0) => self.ended = true,
                Ok(n) => came += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            if !self.full && came > 0 {
                break;
            }
        }
        self.read += came as u64;
        let fresh = room.get_mut(..came).unwrap_or(&mut []);
        if !self.begun && came > 0 {
            self.begun = true;
            // A last one may be half of a line end.
            self.carriage = memchr(b'\n', fresh).is_none() && memchr(b'\r', fresh).is_some_and(|at| at + 1 < came);
        }
        if self.carriage {
            fresh.iter_mut().filter(|b| **b == b'\r').for_each(|b| *b = b'\n');
        }
        Ok(came)
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    /// The meaning of the input's bytes.
    pub fn next_block(&mut self) -> io::Result<Option<LineBlock>> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        let mut filled = self.rest.len();
        if bytes.len() < filled {
            bytes.resize(filled, 0);
        }
        if let Some(start) = bytes.get_mut(..filled) {
            start.copy_from_slice(&self.rest);
        }
        self.rest.clear();
        while !self.ended {
            let came = self.fill(&mut bytes, filled)?;
            let fresh = bytes.get(filled..filled + came).unwrap_or(&[]);
            let last_end = memrchr(b'\n', fresh);
            if let (Some(end), false) = (last_end, self.ended) {
                self.rest.extend_from_slice(fresh.get(end + 1..).unwrap_or(&[]));
                let block = LineBlock { bytes, filled: filled + end + 1, ..LineBlock::default() };
                if self.full {
                    // By one of its lines, so that blocks depend on the file alone and cost no second look at it.
                    let line = memchr(b'\n', block.lines()).map_or(0, |end| end + 1);
                    self.wanted = line.saturating_mul(LINES).clamp(BLOCK, MOST_BLOCK);
                }
                return Ok(Some(block));
            }
            filled += came;
            if filled > self.most && last_end.is_none() && !self.ended {
                return self.skip(bytes, filled).map(Some);
            }
        }
        Ok((filled > 0).then(|| LineBlock { bytes, filled, ..LineBlock::default() }))
    }

    /// Skips a line that is too long to keep; the bytes behind it are the block.
    fn skip(&mut self, mut bytes: Vec<u8>, mut length: usize) -> io::Result<LineBlock> {
        loop {
            let came = self.fill(&mut bytes, 0)?;
            let fresh = bytes.get(..came).unwrap_or(&[]);
            if let Some(end) = memchr(b'\n', fresh) {
                self.rest.extend_from_slice(fresh.get(end + 1..).unwrap_or(&[]));
                return Ok(LineBlock { bytes, too_long: Some(length + end), ..LineBlock::default() });
            }
            length += came;
            if self.ended {
                return Ok(LineBlock { bytes, too_long: Some(length), ..LineBlock::default() });
            }
        }
    }
}

/// Decodes blocks; one per thread.
pub struct LineDecoder {
    json: EventDecoder,
    record_ts: i64,
    /// Rows of the last block, the guess for the next.
    rows: usize,
    /// A line with what stands in its file's path.
    scratch: Vec<u8>,
}

impl LineDecoder {
    #[must_use]
    pub fn new<B: Batch>(schema: &Arc<Schema>, options: &FileOptions) -> Self {
        let FileOptions { format, limits, record_ts, .. } = options;
        let format = Format { model: Some(0), ..format.clone() };
        let json = EventDecoder::new(std::slice::from_ref(schema), &format, B::kind(), *limits);
        Self { json, record_ts: *record_ts, rows: 0, scratch: Vec::new() }
    }

    /// The names that any event has had so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.json.seen(0)
    }

    /// Decodes a block into an empty batch. Rejects are numbered by the line within the block, from 0.
    pub fn decode<B: Batch>(&mut self, block: &LineBlock, batch: B) -> Chunk<B> {
        let mut chunk = Chunk::of(batch);
        chunk.batch.make_room(self.rows + self.rows / 8);
        if let Some(length) = block.too_long {
            let detail = format!("at least {length} bytes in one line");
            chunk.rejects.push((0, Reject::new(Reason::TooLarge, detail), Vec::new()));
            chunk.lines = 1;
        }
        let mut from = 0;
        let bytes = block.lines();
        for end in memchr_iter(b'\n', bytes).chain([bytes.len()]) {
            let text = bytes.get(from..end).unwrap_or(&[]);
            from = end + 1;
            // The last line end is not followed by a line.
            if end == bytes.len() && text.is_empty() {
                break;
            }
            let line = chunk.lines;
            chunk.lines += 1;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event = match &block.members {
                Some(members) => members.put(text, &mut self.scratch),
                None => text,
            };
            match decode(&mut self.json, event, self.record_ts, std::slice::from_mut(&mut chunk.batch)) {
                // Lines of files are JSON, which waits for no schema.
                Ok(Decoded::Row(_) | Decoded::Waits) => {}
                Ok(Decoded::UnknownModel) => chunk.unknown_model += 1,
                Err(reject) => chunk.rejects.push((line, reject, text.to_vec())),
            }
        }
        if let Some(joined) = &block.joined {
            let number =
                |at: u64| at.checked_sub(block.skipped()).and_then(|at| joined.origins.get(usize::try_from(at).ok()?));
            chunk.rejects.iter_mut().for_each(|(line, ..)| *line = number(*line).copied().unwrap_or(*line));
            chunk.rejects.extend(joined.refused.iter().cloned());
            chunk.rejects.sort_by_key(|(line, ..)| *line);
            chunk.lines = joined.lines;
        }
        self.rows = chunk.batch.rows();
        chunk.notes = std::mem::take(&mut self.json.notes);
        chunk.notes.times(chunk.batch.times());
        chunk
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use driftgate_core::event::LabelBatch;

    fn schema() -> Arc<Schema> {
        Arc::new(Schema { model: "m".into(), needs_id: true, reads_error: true, ..Schema::default() })
    }

    /// Decodes blocks by several decoders in turn.
    fn read(text: Vec<u8>, decoders: usize, limits: Limits) -> (Vec<i64>, Vec<(u64, String)>) {
        let options = FileOptions {
            format: Format::default(),
            null_values: Arc::default(),
            limits,
            record_ts: i64::MAX - 4_000_000,
            ..FileOptions::default()
        };
        let schema = schema();
        let mut blocks = Blocks::new(Box::new(io::Cursor::new(text)), true, limits);
        let mut decoders: Vec<_> = (0..decoders).map(|_| LineDecoder::new::<LabelBatch>(&schema, &options)).collect();
        let (mut times, mut rejects) = (Vec::new(), Vec::new());
        let (mut turn, mut lines) = (0, 1);
        while let Some(block) = blocks.next_block().unwrap() {
            let chunk = decoders[turn].decode(&block, LabelBatch::new(0));
            turn = (turn + 1) % decoders.len();
            times.extend(&chunk.batch.ts);
            rejects.extend(chunk.rejects.iter().map(|(line, r, _)| (lines + line, r.to_string())));
            lines += chunk.lines;
            blocks.give_back(block);
        }
        (times, rejects)
    }

    #[test]
    fn lines_come_in_the_files_order_whatever_the_threads_and_each_reject_has_its_line() {
        let mut text = String::new();
        for i in 0..100_000 {
            writeln!(text, "{{\"prediction_id\":\"{i}\",\"model\":\"m\",\"ts\":{i},\"label\":1}}").unwrap();
            if i % 30_000 == 7 {
                text.push_str("{\"broken\n\n");
            }
        }
        text.pop();
        for threads in [1, 3] {
            let (times, rejects) = read(text.clone().into_bytes(), threads, Limits::default());
            assert_eq!(times, (0..100_000).collect::<Vec<_>>());
            assert_eq!(rejects.iter().map(|r| r.0).collect::<Vec<_>>(), [9, 30_011, 60_013, 90_015]);
            assert!(rejects[0].1.starts_with("not_json: expected the string's end at byte 8"), "{}", rejects[0].1);
        }
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_of_any_kind_cost_no_line() {
        let lines: Vec<String> =
            (0..5).map(|i| format!("{{\"prediction_id\":\"{i}\",\"model\":\"m\",\"ts\":{i},\"label\":1}}")).collect();
        for end in ["\n", "\r\n", "\r"] {
            for (mark, last) in [("\u{feff}", end), ("", "")] {
                let (times, rejects) =
                    read(format!("{mark}{}{last}", lines.join(end)).into_bytes(), 1, Limits::default());
                assert_eq!((times, rejects), (vec![0, 1, 2, 3, 4], vec![]), "{end:?}");
            }
        }
        let (times, rejects) = read(format!("{}\rnope\r{}", lines[0], lines[1]).into_bytes(), 1, Limits::default());
        assert_eq!((times, rejects[0].0), (vec![0, 1], 2), "lines are counted");
    }

    #[test]
    fn blocks_hold_more_bytes_where_lines_are_long() {
        let blocks_of = |line: usize, full| {
            let text = [vec![b'y'; line - 1], vec![b'\n']].concat().repeat((40 << 20) / line);
            let mut blocks = Blocks::new(Box::new(io::Cursor::new(text)), full, Limits::default());
            std::iter::from_fn(move || blocks.next_block().unwrap().map(|b| b.lines().len() / line)).collect::<Vec<_>>()
        };
        let (narrow, wide, huge) = (blocks_of(1 << 10, true), blocks_of(8 << 10, true), blocks_of(64 << 10, true));
        assert_eq!(narrow, [1_024; 40]);
        assert_eq!(wide, [[128].as_slice(), &[512; 9], &[384]].concat());
        assert_eq!(huge, [16, 128, 128, 128, 128, 112], "no more than 8 MiB");
        assert_eq!(blocks_of(8 << 10, false), [128; 40], "what a pipe holds is not waited for");
    }

    #[test]
    fn a_line_of_fifty_megabytes_is_rejected_without_being_kept() {
        let mut text = b"{\"prediction_id\":\"a\",\"model\":\"m\",\"ts\":1}\n{\"x\":\"".to_vec();
        text.resize(text.len() + (50 << 20), b'y');
        text.extend_from_slice(b"\"}\n{\"prediction_id\":\"b\",\"model\":\"m\",\"ts\":2}\nnope\n");
        let (times, rejects) = read(text, 2, Limits::default());
        assert_eq!(times, [1, 2]);
        assert_eq!(rejects.len(), 2, "{rejects:?}");
        assert!(
            rejects.contains(&(2, format!("too_large: at least {} bytes in one line", (50 << 20) + 8))),
            "{rejects:?}"
        );
        assert!(rejects.iter().any(|r| r.0 == 4));
    }
}
