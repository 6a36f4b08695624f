//! Requests and responses of one topic (`format: kserve`). Their halves wait in a table that all partitions of the topic share; each
//! partition's reader has the rows of the pairs that its events completed, until they are counted. Both are in the checkpoint, with the
//! offsets behind them, so that after a crash no half is missing and none is read twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::read::MessageLog;
use crate::checkpoint::HalvesState;
use crate::source::kafka::Message;
use driftgate_core::decode::Reject;
use driftgate_core::decode::cloudevents::Headers;
use driftgate_core::decode::decoder::{Decoded, EventDecoder};
use driftgate_core::event::Limits;
use driftgate_core::kserve::pairs::{Counts, Pairs};
use driftgate_core::kserve::{Halves, Offered, Settings};
use driftgate_core::pipeline::batch::{Batch, decode};
use driftgate_core::pipeline::lock;

/// What a topic's partitions share, with those of the topic of its responses where it has one.
pub struct TopicHalves {
    /// The topic, or that of the requests.
    topic: String,
    settings: Arc<Settings>,
    limits: Limits,
    pairs: Mutex<Pairs>,
    /// By place: rows that a checkpoint kept, until the partition's reader takes them.
    kept: Mutex<BTreeMap<i32, Vec<u8>>>,
}

/// What the reader of one partition has.
pub struct HalvesReader {
    of: Arc<TopicHalves>,
    /// What is added to its partitions' numbers.
    lane: i32,
    halves: Halves,
    /// The models' names, by index, and the model of events that name none.
    models: Vec<String>,
    default_model: Option<usize>,
    /// Rows of the turns that are not counted yet.
    rows: Vec<u8>,
    /// Times that halves without a row came to, by model, until they are passed on.
    passed: BTreeMap<usize, Vec<i64>>,
    /// The rows of one pair.
    scratch: Vec<u8>,
}

impl TopicHalves {
    #[must_use]
    pub fn new(topic: String, settings: Arc<Settings>, limits: Limits) -> Self {
        let pairs = Mutex::new(Pairs::new(settings.wait, settings.most_bytes));
        Self { topic, settings, limits, pairs, kept: Mutex::default() }
    }

    /// Goes on from what a checkpoint kept.
    pub fn restore(&self, state: HalvesState) {
        *lock(&self.pairs) = Halves::new((*self.settings).clone(), self.limits).restore(&state.pairs);
        *lock(&self.kept) = state.rows.into_iter().collect();
    }

    /// What a checkpoint keeps of it; the readers' rows are added by the caller.
    #[must_use]
    pub fn state(&self) -> HalvesState {
        HalvesState { topic: self.topic.clone(), pairs: lock(&self.pairs).state(), rows: Vec::new() }
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.pairs).counts()
    }

    /// Places of partitions that are ahead of another one while memory is short.
    #[must_use]
    pub fn ahead(&self) -> Vec<i32> {
        lock(&self.pairs).ahead()
    }

    pub fn set_idle(&self, place: i32, idle: bool) {
        lock(&self.pairs).set_idle(place, idle);
    }

    /// A partition is read: its halves may meet any other's. Returns the rows that a checkpoint kept of it.
    pub fn begin(&self, place: i32) -> Vec<u8> {
        lock(&self.pairs).reads(place);
        lock(&self.kept).remove(&place).unwrap_or_default()
    }
}

impl HalvesReader {
    #[must_use]
    pub fn new(
        of: &Arc<TopicHalves>,
        halves: Halves,
        lane: i32,
        models: Vec<String>,
        default_model: Option<usize>,
    ) -> Self {
        Self {
            lane,
            halves,
            of: Arc::clone(of),
            models,
            default_model,
            rows: Vec::new(),
            passed: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    /// The topic under which a checkpoint keeps its rows.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.of.topic
    }

    /// Rows that are not counted yet.
    #[must_use]
    pub fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// Hands over the rows that are not counted yet.
    pub fn take_rows(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rows)
    }

    /// Rows that wait in batches elsewhere are kept until they are counted.
    pub fn keep_rows(&mut self, rows: Vec<u8>) {
        self.rows = rows;
    }

    /// Everything read is counted: the times that halves came to, by model.
    pub fn counted(&mut self) -> BTreeMap<usize, Vec<i64>> {
        self.rows.clear();
        std::mem::take(&mut self.passed)
    }

    /// Models whose halves came since the last turn that was counted.
    pub fn models(&self) -> impl Iterator<Item = usize> {
        self.passed.keys().copied()
    }

    /// Reads a message, and decodes the rows of the pair that it completes.
    pub fn take<B: Batch>(
        &mut self,
        message: &Message<'_>,
        record_ts: i64,
        decoder: &mut EventDecoder,
        log: &mut MessageLog,
        out: &mut [B],
    ) {
        let mut rows = std::mem::take(&mut self.scratch);
        rows.clear();
        let offered = self.offer(message, record_ts, &mut rows);
        if !matches!(offered, Ok(n) if n > 0) {
            log.read.events += 1;
        }
        if let Err(reject) = offered {
            log.note(message, Err(reject));
        }
        for row in lines(&rows) {
            let outcome = decode(decoder, row, record_ts, out);
            if matches!(outcome, Ok(Decoded::Row(_))) {
                self.rows.extend_from_slice(row);
                self.rows.push(b'\n');
            }
            log.read.events += 1;
            log.note(message, outcome);
        }
        self.scratch = rows;
    }

    /// Takes over rows that a checkpoint kept; returns whether there are any.
    pub fn begin<B: Batch>(&mut self, rows: Vec<u8>, now_ms: i64, decoder: &mut EventDecoder, out: &mut [B]) -> bool {
        // They were counted as read, and had passed every check.
        let count = lines(&rows).filter(|row| matches!(decode(decoder, row, now_ms, out), Ok(Decoded::Row(_)))).count();
        self.rows = rows;
        count > 0
    }

    fn offer(&mut self, message: &Message<'_>, record_ts: i64, rows: &mut Vec<u8>) -> Result<usize, Reject> {
        let (place, headers) = (self.lane + message.partition(), Some(message as &dyn Headers));
        let wait = self.halves.wait();
        match self.halves.offer(&self.of.pairs, place, message.payload(), headers, Some(record_ts), rows)? {
            Offered::Rows(rows) => Ok(rows),
            Offered::Waits { ts, model } => {
                let named = || self.models.iter().position(|of| of == model);
                // The other half may be as far behind it, and so may be the row.
                if let Some(model) = if model.is_empty() { self.default_model } else { named() } {
                    self.passed.entry(model).or_default().push(ts.saturating_sub(wait));
                }
                Ok(0)
            }
        }
    }
}

fn lines(rows: &[u8]) -> impl Iterator<Item = &[u8]> {
    rows.split(|byte| *byte == b'\n').filter(|row| !row.is_empty())
}
