//! What serving systems log: the request and the response of an inference, in either order. `logger` reads `KServe`'s (two `CloudEvents` of one
//! id), `oip` bodies of the Open Inference Protocol by themselves, `seldon` the same as Protobuf, and the logger of Seldon Core 1, `capture` records of `SageMaker` and `databricks` rows of its inference tables, which hold both. `body`
//! reads V1 and V2 (Open Inference Protocol) bodies by `tape`, `pairs` joins their rows, and `rows` writes each row of a pair as a prediction in JSON, which is
//! decoded as any other. A source's readers and halves reuse their memory. No input or output here. Source: the payload logger of `KServe` 0.15 to 0.20, its V1 protocol, the Open Inference Protocol V2, and
//! the data capture of `SageMaker`.

mod body;
mod capture;
mod databricks;
mod ground_truth;
mod inference;
mod logger;
mod oip;
pub mod pairs;
mod rows;
mod seldon;
mod settings;
mod tape;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decode::cloudevents::Headers;
use crate::decode::{Reason, Reject};
use crate::event::Limits;
use body::Bodies;
pub use databricks::COLUMNS as INFERENCE_TABLE;
use inference::{Found, Inference};
use logger::LoggerEvents;
use oip::OipBodies;
use pairs::{Counts, Half, Pairs, PairsState, Side};
use seldon::SeldonMessages;
pub use seldon::as_json as seldon_json;
use seldon::logger::CoreEvents;
pub use settings::{Logged, Settings, Version};

/// Reads the events of one source: each is a half of a prediction, or all of it.
#[derive(Debug)]
pub struct Halves {
    settings: Settings,
    limits: Limits,
    reader: Reader,
    bodies: Bodies,
    read: Inference,
    /// The half that the one that was read last met.
    other: Half,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered<'h> {
    /// So many predictions were written.
    Rows(usize),
    /// It is a half of this time (ms), of the model that it names where it is not empty, and waits for its other half.
    Waits { ts: i64, model: &'h str },
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a source and thread, which is not moved")]
enum Reader {
    Logger(LoggerEvents),
    Oip(OipBodies),
    Seldon(SeldonMessages),
    Core(CoreEvents),
    Capture,
    GroundTruth,
    Table,
}

/// Joins the events of one file to predictions.
#[derive(Debug)]
pub struct Joiner {
    halves: Halves,
    pairs: Mutex<Pairs>,
}

impl Joiner {
    #[must_use]
    pub fn new(settings: Settings, limits: Limits) -> Self {
        let pairs = Mutex::new(Pairs::new(settings.wait, settings.most_bytes));
        Self { pairs, halves: Halves::new(settings, limits) }
    }

    /// How many halves met and did not.
    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.pairs).counts()
    }

    /// Reads an event of a record with this time (ms), where it has one. Appends the predictions that it completes, as `Halves::offer` does;
    /// returns how many.
    ///
    /// # Errors
    /// What `Halves::offer` refuses.
    pub fn offer(
        &mut self,
        value: &[u8],
        headers: Option<&dyn Headers>,
        record_ts: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Reject> {
        match self.halves.offer(&self.pairs, 0, value, headers, record_ts, out)? {
            Offered::Rows(rows) => Ok(rows),
            Offered::Waits { .. } => Ok(0),
        }
    }
}

impl Halves {
    #[must_use]
    pub fn new(settings: Settings, limits: Limits) -> Self {
        let oip = |time| OipBodies::new(&settings, time, limits);
        let reader = match &settings.logged {
            Logged::Kserve => Reader::Logger(LoggerEvents::new(&settings, limits)),
            Logged::Oip { time } => Reader::Oip(oip(time.clone())),
            Logged::Mlserver => Reader::Oip(oip(None).keyed()),
            Logged::Seldon { is_responses } => Reader::Seldon(SeldonMessages::new(oip(None), *is_responses, limits)),
            Logged::SeldonLogger => Reader::Core(CoreEvents::new(&settings, false, limits)),
            Logged::SeldonFeedback => Reader::Core(CoreEvents::new(&settings, true, limits)),
            Logged::SageMaker => Reader::Capture,
            Logged::GroundTruth => Reader::GroundTruth,
            Logged::Databricks => Reader::Table,
        };
        let bodies = Bodies::new(&settings, limits.depth);
        Self { settings, limits, reader, bodies, read: Inference::default(), other: Half::default() }
    }

    /// How far the times of a request and its response may lie apart, in ms.
    #[must_use]
    pub fn wait(&self) -> i64 {
        self.settings.wait
    }

    /// Pairs as a checkpoint kept them. A half that it has as a whole body which cannot be read any more has no rows: it meets none.
    #[must_use]
    pub fn restore(&mut self, state: &PairsState) -> Pairs {
        let Settings { wait, most_bytes, .. } = self.settings;
        Pairs::restore(wait, most_bytes, state, |id, side, body, half| {
            if self.bodies.read(body, id, side, half).is_err() {
                half.rows.clear();
            }
        })
    }

    /// Reads a message of a partition, of a record with this time (ms), where it has one. Where it completes a pair, the pair's rows are appended as
    /// predictions in JSON, each with a line feed behind it; else it waits in `pairs`. The id of a row is the pair's, and `id/0`, `id/1`, … where there
    /// are several; its time is the request's.
    ///
    /// # Errors
    /// A message that is none of such, and a pair whose halves do not have as many rows; nothing is written then.
    pub fn offer(
        &mut self,
        pairs: &Mutex<Pairs>,
        partition: i32,
        value: &[u8],
        headers: Option<&dyn Headers>,
        record_ts: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Result<Offered<'_>, Reject> {
        let found = self.read(value, headers, record_ts)?;
        let Self { read: Inference { id, request, response, event }, other, settings, .. } = self;
        let (request, response) = match found {
            Found::Half(side) => {
                let half = match side {
                    Side::Request => &*request,
                    Side::Response => &*response,
                };
                if !lock(pairs).offer(partition, id, side, half, other) {
                    return Ok(Offered::Waits { ts: half.ts, model: &half.model });
                }
                match side {
                    Side::Request => (half, &*other),
                    Side::Response => (&*other, half),
                }
            }
            Found::Both => {
                lock(pairs).both();
                (&*request, &*response)
            }
            Found::Events(n) => {
                out.extend_from_slice(event);
                return Ok(Offered::Rows(n));
            }
        };
        rows::write(id, request, response, settings, out).map(Offered::Rows)
    }

    /// Reads a message into `read`; what of an inference it holds.
    fn read(&mut self, value: &[u8], headers: Option<&dyn Headers>, record_ts: Option<i64>) -> Result<Found, Reject> {
        if value.len() > self.limits.message_bytes {
            let detail = format!("{} bytes, the bound is {}", value.len(), self.limits.message_bytes);
            return Err(Reject::new(Reason::TooLarge, detail));
        }
        let Self { settings, limits, reader, bodies, read, .. } = self;
        match reader {
            Reader::Logger(events) => events.read(value, headers, bodies, read),
            Reader::Oip(oip) => oip.read(value, headers.and_then(Headers::key), record_ts, bodies, read),
            Reader::Seldon(messages) => messages.read(value, headers, record_ts, bodies, read),
            Reader::Core(events) => events.read(value, headers, record_ts, bodies, read),
            Reader::Capture => capture::read(value, settings, bodies, read),
            Reader::GroundTruth => ground_truth::read(value, record_ts, read),
            Reader::Table => databricks::read(value, settings, limits.depth, bodies, read),
        }
    }
}

/// Pairs that a thread left as it panicked are whole: each step of them is.
fn lock(pairs: &Mutex<Pairs>) -> MutexGuard<'_, Pairs> {
    pairs.lock().unwrap_or_else(PoisonError::into_inner)
}
