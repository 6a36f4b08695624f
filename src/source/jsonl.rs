//! JSON lines from a file or standard input: cut into blocks at line ends, decoded by several threads, given on in the
//! order of the file.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use memchr::{memchr, memrchr};

use super::files::{Chunk, FileOptions, StreamBatch, StreamError};
use crate::decode::json::{Format, JsonDecoder, Outcome};
use crate::decode::{Reason, Reject};
use crate::schema::Schema;

/// Bytes of one block.
const BLOCK: usize = 1 << 20;
/// Blocks on their way to and from a decoder.
const IN_FLIGHT: usize = 2;

/// A run of whole lines.
struct Block {
    bytes: Vec<u8>,
    /// Number of the first line, from 1.
    first_line: u64,
    /// Lines that were too long to keep: their number and length so far.
    too_long: Vec<(u64, usize)>,
}

/// Decoded blocks in the order of the file.
pub struct JsonLines<B> {
    decoders: Vec<Receiver<Result<Chunk<B>, StreamError>>>,
    next: usize,
}

impl<B: StreamBatch> JsonLines<B> {
    /// Starts reading `input` with `threads` decoders. `bytes_read` counts what was read, for progress.
    pub fn start(
        input: Box<dyn Read + Send>,
        name: &str,
        schema: &Arc<Schema>,
        options: &FileOptions,
        bytes_read: Arc<AtomicU64>,
    ) -> Self {
        let FileOptions { format, limits, record_ts, threads, .. } = options;
        let (limits, record_ts) = (*limits, *record_ts);
        let mut to_decoders = Vec::new();
        let mut decoders = Vec::new();
        for decoder in 0..(*threads).max(1) {
            let (send_block, blocks) = sync_channel::<io::Result<Block>>(IN_FLIGHT);
            let (send_chunk, chunks) = sync_channel(IN_FLIGHT);
            let worker = Decoder {
                json: JsonDecoder::new(
                    std::slice::from_ref(schema),
                    &Format { model: Some(0), ..format.clone() },
                    B::KIND,
                    limits,
                ),
                schema: Arc::clone(schema),
                record_ts,
                decoder,
                rows: 0,
                name: name.to_owned(),
            };
            thread::spawn(move || worker.run::<B>(&blocks, &send_chunk));
            to_decoders.push(send_block);
            decoders.push(chunks);
        }
        let most = limits.message_bytes;
        thread::spawn(move || read_blocks(input, most, &to_decoders, &bytes_read));
        Self { decoders, next: 0 }
    }
}

impl<B> Iterator for JsonLines<B> {
    type Item = Result<Chunk<B>, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Blocks go round the decoders, so the first one that has ended is the end.
        let item = self.decoders.get(self.next)?.recv().ok();
        self.next = (self.next + 1) % self.decoders.len();
        item
    }
}

/// Cuts the input into blocks of whole lines and deals them out in turn.
fn read_blocks(
    mut input: Box<dyn Read + Send>,
    most: usize,
    decoders: &[SyncSender<io::Result<Block>>],
    bytes_read: &AtomicU64,
) {
    let mut turn = (0..decoders.len()).cycle();
    let mut send = |block| turn.next().and_then(|i| decoders.get(i)).is_some_and(|d| d.send(block).is_ok());
    let mut block = Block { bytes: Vec::with_capacity(BLOCK * 2), first_line: 1, too_long: Vec::new() };
    // Bytes of a line that is being skipped because it is longer than the bound.
    let mut skipping: Option<usize> = None;
    let mut buffer = vec![0; BLOCK];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                send(Err(e));
                return;
            }
        };
        bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        let mut fresh = buffer.get(..read).unwrap_or(&[]);
        if let Some(skipped) = skipping {
            let Some(end) = memchr(b'\n', fresh) else {
                skipping = Some(skipped + fresh.len());
                continue;
            };
            if let Some(last) = block.too_long.last_mut() {
                last.1 = skipped + end;
            }
            skipping = None;
            fresh = fresh.get(end + 1..).unwrap_or(&[]);
            block.first_line += 1;
        }
        block.bytes.extend_from_slice(fresh);
        let Some(end) = memrchr(b'\n', &block.bytes) else {
            if block.bytes.len() > most {
                // Only this line is in the block.
                block.too_long.push((block.first_line, block.bytes.len()));
                skipping = Some(block.bytes.len());
                block.bytes.clear();
            }
            continue;
        };
        let rest = block.bytes.split_off(end + 1);
        let lines = memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
        let next =
            Block { bytes: Vec::with_capacity(BLOCK * 2), first_line: block.first_line + lines, too_long: Vec::new() };
        if !send(Ok(std::mem::replace(&mut block, next))) {
            return;
        }
        block.bytes.extend_from_slice(&rest);
    }
    if !block.bytes.is_empty() || !block.too_long.is_empty() {
        send(Ok(block));
    }
}

/// One decoding thread.
struct Decoder {
    json: JsonDecoder,
    schema: Arc<Schema>,
    record_ts: i64,
    decoder: usize,
    /// Rows of the last block, the guess for the next.
    rows: usize,
    name: String,
}

impl Decoder {
    fn run<B: StreamBatch>(
        mut self,
        blocks: &Receiver<io::Result<Block>>,
        chunks: &SyncSender<Result<Chunk<B>, StreamError>>,
    ) {
        for block in blocks {
            let chunk = match block {
                Ok(block) => Ok(self.decode(&block)),
                Err(cause) => Err(StreamError::Read { name: self.name.clone(), cause: cause.to_string() }),
            };
            if chunks.send(chunk).is_err() {
                return;
            }
        }
    }

    fn decode<B: StreamBatch>(&mut self, block: &Block) -> Chunk<B> {
        let mut chunk =
            Chunk { batch: B::empty(&self.schema), decoder: self.decoder, rejects: Vec::new(), unknown_model: 0 };
        chunk.batch.make_room(self.rows + self.rows / 8);
        for &(line, length) in &block.too_long {
            chunk.rejects.push((
                line,
                Reject::new(Reason::TooLarge, format!("at least {length} bytes in one line")),
                Vec::new(),
            ));
        }
        for (line, text) in (block.first_line..).zip(block.bytes.split(|b| *b == b'\n')) {
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match chunk.batch.decode(&mut self.json, text, self.record_ts) {
                Ok(Outcome::Row(_)) => {}
                Ok(Outcome::UnknownModel) => chunk.unknown_model += 1,
                Err(reject) => chunk.rejects.push((line, reject, text.to_vec())),
            }
        }
        self.rows = chunk.batch.rows();
        chunk
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::decode::Limits;
    use crate::event::LabelBatch;

    fn schema() -> Arc<Schema> {
        Arc::new(Schema {
            model: "m".into(),
            numeric: vec![],
            categorical: vec![],
            attributes: vec![],
            segmentations: vec![],
            kpis: vec![],
            metrics: vec![],
            label_values: [].into(),
            needs_id: true,
            prediction_time: false,
        })
    }

    fn read(text: Vec<u8>, threads: usize, limits: Limits) -> (Vec<i64>, Vec<(u64, String)>) {
        let input = Box::new(io::Cursor::new(text));
        let options = FileOptions {
            format: Format::default(),
            columns: crate::source::columns::events::FileFields::default(),
            limits,
            record_ts: i64::MAX - 4_000_000,
            threads,
        };
        let lines = JsonLines::<LabelBatch>::start(input, "x", &schema(), &options, Arc::default());
        let (mut times, mut rejects) = (Vec::new(), Vec::new());
        for chunk in lines {
            let chunk = chunk.unwrap();
            times.extend(&chunk.batch.ts);
            rejects.extend(chunk.rejects.iter().map(|(line, r, _)| (*line, r.to_string())));
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
