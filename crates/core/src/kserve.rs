//! What `KServe`'s logger writes: the request and the response of an inference as two `CloudEvents` of one id, in either order. `pairs` joins
//! them, `body` reads V1 and V2 (Open Inference Protocol) bodies, and `rows` writes each row of a pair as a prediction in JSON, which is
//! decoded as any other. No input or output here. Source: the payload logger of `KServe` 0.15 to 0.20, its V1 protocol, and the Open
//! Inference Protocol V2.

pub mod body;
pub mod pairs;
mod rows;
mod settings;
#[cfg(test)]
mod tests;

use crate::decode::cloudevents::{Envelope, Headers};
use crate::decode::time::TimeFormat;
use crate::decode::{Reason, Reject};
use crate::event::Limits;
use pairs::{Counts, Half, Pairs, Side};
pub use settings::{Settings, Version};

/// The types of its events.
const REQUEST: &str = "org.kubeflow.serving.inference.request";
const RESPONSE: &str = "org.kubeflow.serving.inference.response";
/// Attributes that hold JSON objects of names and values.
const METADATA: &str = "metadata";
const ANNOTATIONS: &str = "annotations";

/// Reads the events of one source: each is a half of a prediction.
#[derive(Debug)]
pub struct Halves {
    settings: Settings,
    limits: Limits,
    envelope: Envelope,
    time: TimeFormat,
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

    /// Reads an event of the logger. Where it completes a pair, the pair's rows are appended as predictions in JSON, as `Halves::rows`
    /// writes them; returns how many.
    ///
    /// # Errors
    /// An event that is none of the logger, and a pair whose bodies cannot be read.
    pub fn offer(&mut self, value: &[u8], headers: Option<&dyn Headers>, out: &mut Vec<u8>) -> Result<usize, Reject> {
        let (id, side, half) = self.halves.read(value, headers)?;
        let Some((request, response)) = self.pairs.offer(0, &id, side, half) else { return Ok(0) };
        self.halves.rows(&id, &request, &response, out)
    }
}

impl Halves {
    #[must_use]
    pub fn new(settings: Settings, limits: Limits) -> Self {
        let own = match &settings.version {
            Version::Attribute(name) => Some(name.as_str()),
            _ => None,
        };
        let names = ["id", "type", "time", "inferenceservicename", METADATA, ANNOTATIONS].into_iter().chain(own);
        let envelope = Envelope::of(names, limits.depth);
        Self { envelope, time: TimeFormat::default(), settings, limits }
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

    /// Reads an event of the logger: its id, and the half that it is.
    ///
    /// # Errors
    /// An event that is none of the logger.
    pub fn read(&mut self, value: &[u8], headers: Option<&dyn Headers>) -> Result<(String, Side, Half), Reject> {
        if value.len() > self.limits.message_bytes {
            let detail = format!("{} bytes, the bound is {}", value.len(), self.limits.message_bytes);
            return Err(Reject::new(Reason::TooLarge, detail));
        }
        let place = self.envelope.open(value, headers)?;
        let side = match self.attribute("type") {
            Some(REQUEST) => Side::Request,
            Some(RESPONSE) => Side::Response,
            other => {
                let found = other.map_or("it has no type".to_owned(), |found| format!("its type is {found:?}"));
                let detail = format!("{found}: an event of KServe's logger has the type {REQUEST} or {RESPONSE}");
                return Err(Reject::new(Reason::BadCloudevent, detail));
            }
        };
        let id = self.attribute("id").filter(|id| !id.is_empty());
        let id =
            id.ok_or_else(|| Reject::new(Reason::NoId, "the event has no id, by which its other half is found"))?;
        let time = self.attribute("time").filter(|time| !time.is_empty());
        let time = time.ok_or_else(|| Reject::new(Reason::NoTime, "the event has no time"))?;
        let half = Half {
            ts: self.time.text(time)?,
            version: self.version(),
            model: self.attribute("inferenceservicename").filter(|_| self.settings.names_model).map(str::to_owned),
            body: self.envelope.data(&place, value).to_vec(),
        };
        Ok((id.to_owned(), side, half))
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.envelope.attribute(name)
    }

    /// The version that the event's attributes name.
    fn version(&self) -> Option<String> {
        match &self.settings.version {
            Version::Response => None,
            Version::Fixed(version) => Some(version.clone()),
            Version::Attribute(name) => self.attribute(name).map(str::to_owned),
            Version::Metadata(name) => named(self.attribute(METADATA)?, name),
            Version::Annotation(name) => named(self.attribute(ANNOTATIONS)?, name),
        }
        .filter(|version| !version.is_empty())
    }
}

/// The value of a name in an object of texts or of lists of texts, whose names are headers: their case does not matter.
fn named(object: &str, name: &str) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(object).ok()?;
    let (_, value) = object.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Array(values) => values.first()?.as_str().map(str::to_owned),
        _ => None,
    }
}
