//! Events of Seldon Core 1's logger: a request, a response or feedback each, by headers of Kafka (`type`, `requestid`, `inferenceservicename`, …) or as
//! `CloudEvents` of these attributes. The feedback's `truth` is a label. Events say when they were sent only, if at all: the record's time counts
//! for those that do not. Source: the executor of Seldon Core 1.18 (`executor/logger`), and its prediction API.

#[cfg(test)]
mod tests;

use std::ffi::CString;

use super::super::body::Bodies;
use super::super::inference::{Found, Inference};
use super::super::pairs::Side;
use super::super::rows;
use super::super::settings::{Settings, Version};
use super::super::tape::{Tape, Value, write_text};
use crate::decode::cloudevents::{Envelope, Headers};
use crate::decode::time::TimeFormat;
use crate::decode::{Reason, Reject};
use crate::event::Limits;

/// The types of its events.
const REQUEST: &str = "io.seldon.serving.inference.request";
const RESPONSE: &str = "io.seldon.serving.inference.response";
const FEEDBACK: &str = "io.seldon.serving.feedback";
/// The attributes that are read of every event.
const KIND: &str = "type";
const ID: &str = "requestid";
const MODEL: &str = "inferenceservicename";
const TIME: &str = "time";

/// Reads the events of one source.
#[derive(Debug)]
pub struct CoreEvents {
    version: Version,
    names_model: bool,
    /// It reads feedback, and no requests and responses.
    is_feedback: bool,
    envelope: Envelope,
    names: Vec<Named>,
    time: TimeFormat,
    depth: usize,
    tape: Tape,
}

/// An attribute as a header without a prefix.
#[derive(Debug)]
struct Named {
    name: String,
    header: CString,
}

/// Of one event.
struct Attributes<'e> {
    envelope: &'e Envelope,
    /// The headers, where they have no prefix.
    plain: Option<&'e dyn Headers>,
    names: &'e [Named],
}

impl<'e> Attributes<'e> {
    fn get(&self, name: &str) -> Option<&'e str> {
        let found = match self.plain {
            None => self.envelope.attribute(name),
            Some(headers) => {
                let named = self.names.iter().find(|named| named.name == name)?;
                std::str::from_utf8(headers.header(&named.header)?).ok()
            }
        };
        found.filter(|text| !text.is_empty())
    }
}

impl CoreEvents {
    pub fn new(settings: &Settings, is_feedback: bool, limits: Limits) -> Self {
        let own = match &settings.version {
            Version::Attribute(name) => Some(name.as_str()),
            _ => None,
        };
        let read = || [KIND, ID, MODEL, TIME].into_iter().chain(own);
        // A name with a zero in it is no header's.
        let named = |name: &str| Some(Named { name: name.to_owned(), header: CString::new(name).ok()? });
        Self {
            version: settings.version.clone(),
            names_model: settings.names_model,
            is_feedback,
            envelope: Envelope::of(read(), limits.depth),
            names: read().filter_map(named).collect(),
            time: TimeFormat::default(),
            depth: limits.depth,
            tape: Tape::default(),
        }
    }

    /// Reads an event of a record with these headers and time (ms): which half it is, or the labels of feedback.
    ///
    /// # Errors
    /// An event that is none of the logger, or not of the kind that is read here.
    pub fn read(
        &mut self,
        value: &[u8],
        headers: Option<&dyn Headers>,
        record_ts: Option<i64>,
        bodies: &mut Bodies,
        into: &mut Inference,
    ) -> Result<Found, Reject> {
        let Self { envelope, names, tape, .. } = self;
        let plain = headers.filter(|headers| headers.header(c"type").is_some());
        let place = if plain.is_none() { Some(envelope.open(value, headers)?) } else { None };
        let attributes = Attributes { envelope, plain, names };
        let data = place.as_ref().map_or(value, |place| envelope.data(place, value));
        let side = match (attributes.get(KIND), self.is_feedback) {
            (Some(REQUEST), false) => Some(Side::Request),
            (Some(RESPONSE), false) => Some(Side::Response),
            (Some(FEEDBACK), true) => None,
            (found, is_feedback) => return Err(other(found, is_feedback)),
        };
        let id = attributes.get(ID).ok_or_else(|| {
            Reject::new(Reason::NoId, "the event has no requestid, by which its other half and its labels are found")
        })?;
        let ts = match attributes.get(TIME) {
            Some(time) => self.time.text(time)?,
            None => record_ts.ok_or_else(|| Reject::new(Reason::NoTime, "the event has no time, and no record's"))?,
        };
        let model = attributes.get(MODEL).filter(|_| self.names_model).unwrap_or_default();
        id.clone_into(&mut into.id);
        let Some(side) = side else {
            let body = tape.read(data, self.depth)?;
            return labels(body.member("truth"), ts, model, into);
        };
        let version = match &self.version {
            Version::Fixed(version) => Some(version.as_str()),
            Version::Attribute(name) => attributes.get(name),
            _ => None,
        };
        into.half(side).begin(ts, version.unwrap_or_default(), model);
        bodies.read(data, id, side, into.half(side))?;
        Ok(Found::Half(side))
    }
}

/// Why an event is none that is read here.
fn other(found: Option<&str>, is_feedback: bool) -> Reject {
    let (reason, detail) = match (found, is_feedback) {
        (Some(FEEDBACK), false) => (
            Reason::NotInference,
            "it is feedback, and this source reads requests and responses: labels have a source of their own, `{kind: labels, format: seldon}`, with a topic of \
             their own"
                .to_owned(),
        ),
        (Some(REQUEST | RESPONSE), true) => (
            Reason::NotInference,
            "it is a request or a response, and this source reads feedback: these have a source of their own, `{kind: predictions, format: seldon}`, with a topic \
             of their own"
                .to_owned(),
        ),
        (found, _) => {
            let found = found.map_or("it has no type".to_owned(), |found| format!("its type is {found:?}"));
            let detail = format!("{found}: an event of Seldon's logger has the type {REQUEST}, {RESPONSE} or {FEEDBACK}");
            (Reason::BadCloudevent, detail)
        }
    };
    Reject::new(reason, detail)
}

/// Writes the labels of feedback, an event a row, with the ids that the rows of its prediction have.
fn labels(truth: Option<Value<'_>>, ts: i64, model: &str, into: &mut Inference) -> Result<Found, Reject> {
    let Inference { id, event, .. } = into;
    let not = |why: String| Reject::new(Reason::NotInference, format!("the feedback on {id:?}: {why}"));
    let truth = truth.filter(Value::is_object);
    let truth = truth.ok_or_else(|| not("it has no `truth`: a reward is no label".to_owned()))?;
    let mut values = Vec::new();
    Bodies::values(truth, |value| values.push(value)).map_err(not)?;
    event.clear();
    for (row, value) in values.iter().enumerate() {
        rows::begin(id, (row, values.len()), ts, event);
        if !model.is_empty() {
            event.extend_from_slice(b",\"model\":");
            write_text(model, event);
        }
        event.extend_from_slice(b",\"label\":");
        value.write(event);
        event.extend_from_slice(b"}\n");
    }
    Ok(Found::Events(values.len()))
}
