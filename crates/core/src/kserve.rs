//! What serving systems log: the request and the response of an inference, in either order. `logger` reads `KServe`'s (two `CloudEvents` of one
//! id), `oip` bodies of the Open Inference Protocol by themselves, `seldon` the same as Protobuf, `capture` records of `SageMaker` and `databricks` rows of its inference tables, which hold both. `pairs` joins them, `body`
//! reads V1 and V2 (Open Inference Protocol) bodies, and `rows` writes each row of a pair as a prediction in JSON, which is decoded as any
//! other. No input or output here. Source: the payload logger of `KServe` 0.15 to 0.20, its V1 protocol, the Open Inference Protocol V2, and
//! the data capture of `SageMaker`.

pub mod body;
mod capture;
mod databricks;
mod ground_truth;
mod logger;
mod oip;
pub mod pairs;
mod rows;
mod seldon;
mod settings;
#[cfg(test)]
mod tests;

use crate::decode::cloudevents::Headers;
use crate::decode::{Reason, Reject};
use crate::event::Limits;
pub use databricks::COLUMNS as INFERENCE_TABLE;
use logger::LoggerEvents;
use oip::OipBodies;
use pairs::{Counts, Found, Half, Pairs};
use seldon::SeldonMessages;
pub use settings::{Logged, Settings, Version};

/// Reads the events of one source: each is a half of a prediction.
#[derive(Debug)]
pub struct Halves {
    settings: Settings,
    limits: Limits,
    reader: Reader,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one a source and thread, which is not moved")]
enum Reader {
    Logger(LoggerEvents),
    Oip(OipBodies),
    Seldon(SeldonMessages),
    Capture,
    GroundTruth,
    Table,
}

/// Joins the events of one file to predictions.
#[derive(Debug)]
pub struct Joiner {
    halves: Halves,
    pairs: Pairs,
}

impl Joiner {
    #[must_use]
    pub fn new(settings: Settings, limits: Limits) -> Self {
        let pairs = Pairs::new(settings.wait, settings.most_bytes);
        Self { pairs, halves: Halves::new(settings, limits) }
    }

    /// How many halves met and did not.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.pairs.counts()
    }

    /// Reads an event, of a record with this time (ms), where it has one. Where it completes a pair, the pair's rows are appended as predictions
    /// in JSON, as `Halves::rows` writes them; returns how many.
    ///
    /// # Errors
    /// An event that is none of the logger, and a pair whose bodies cannot be read.
    pub fn offer(
        &mut self,
        value: &[u8],
        headers: Option<&dyn Headers>,
        record_ts: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Reject> {
        let (id, found) = self.halves.read(value, headers, record_ts)?;
        let pair = match found {
            Found::Half(side, half) => self.pairs.offer(0, &id, side, half),
            Found::Both(request, response) => {
                self.pairs.both();
                Some((request, response))
            }
            Found::Event(event) => {
                out.extend_from_slice(&event);
                return Ok(1);
            }
        };
        let Some((request, response)) = pair else { return Ok(0) };
        self.halves.rows(&id, &request, &response, out)
    }
}

impl Halves {
    #[must_use]
    pub fn new(settings: Settings, limits: Limits) -> Self {
        let reader = match &settings.logged {
            Logged::Kserve => Reader::Logger(LoggerEvents::new(&settings, limits)),
            Logged::Oip { time } => Reader::Oip(OipBodies::new(&settings, time.clone(), limits)),
            Logged::Mlserver => Reader::Oip(OipBodies::new(&settings, None, limits).keyed()),
            Logged::Seldon { is_responses } => {
                Reader::Seldon(SeldonMessages::new(OipBodies::new(&settings, None, limits), *is_responses))
            }
            Logged::SageMaker => Reader::Capture,
            Logged::GroundTruth => Reader::GroundTruth,
            Logged::Databricks => Reader::Table,
        };
        Self { settings, limits, reader }
    }

    /// How far the times of a request and its response may lie apart, in ms.
    #[must_use]
    pub fn wait(&self) -> i64 {
        self.settings.wait
    }

    /// Writes the rows of a pair as predictions in JSON, each with a line feed behind it; returns how many. The id of a row is the
    /// pair's, and `id/0`, `id/1`, … where there are several; its time is the request's.
    ///
    /// # Errors
    /// Bodies that cannot be read; nothing is written then.
    pub fn rows(&self, id: &str, request: &Half, response: &Half, out: &mut Vec<u8>) -> Result<usize, Reject> {
        let from = out.len();
        let written = rows::write(id, request, response, &self.settings, self.limits.depth, out);
        if written.is_err() {
            out.truncate(from);
        }
        written
    }

    /// Reads a message of a record with this time (ms), where it has one: the inference's id, and what of it the message holds.
    ///
    /// # Errors
    /// A message that is none of such.
    pub fn read(
        &mut self,
        value: &[u8],
        headers: Option<&dyn Headers>,
        record_ts: Option<i64>,
    ) -> Result<(String, Found), Reject> {
        if value.len() > self.limits.message_bytes {
            let detail = format!("{} bytes, the bound is {}", value.len(), self.limits.message_bytes);
            return Err(Reject::new(Reason::TooLarge, detail));
        }
        match &mut self.reader {
            Reader::Logger(events) => events.read(value, headers),
            Reader::Oip(bodies) => bodies.read(value, headers.and_then(Headers::key), record_ts),
            Reader::Seldon(messages) => messages.read(value, headers, record_ts),
            Reader::Capture => capture::read(value, &self.settings),
            Reader::GroundTruth => ground_truth::read(value, record_ts),
            Reader::Table => databricks::read(value, &self.settings, self.limits.depth),
        }
    }
}
