//! Events of `KServe`'s logger: a request or a response each, as a `CloudEvent` whose attributes say which.

use std::borrow::Cow;

use super::body::Bodies;
use super::inference::{Found, Inference};
use super::pairs::Side;
use super::settings::{Settings, Version};
use crate::decode::cloudevents::{Envelope, Headers};
use crate::decode::time::TimeFormat;
use crate::decode::{Reason, Reject};
use crate::event::Limits;

/// The types of its events.
const REQUEST: &str = "org.kubeflow.serving.inference.request";
const RESPONSE: &str = "org.kubeflow.serving.inference.response";
/// Attributes that hold JSON objects of names and values.
const METADATA: &str = "metadata";
const ANNOTATIONS: &str = "annotations";

/// Reads the events of one source.
#[derive(Debug)]
pub(super) struct LoggerEvents {
    version: Version,
    names_model: bool,
    envelope: Envelope,
    time: TimeFormat,
}

impl LoggerEvents {
    pub fn new(settings: &Settings, limits: Limits) -> Self {
        let own = match &settings.version {
            Version::Attribute(name) => Some(name.as_str()),
            _ => None,
        };
        let names = ["id", "type", "time", "inferenceservicename", METADATA, ANNOTATIONS].into_iter().chain(own);
        let envelope = Envelope::of(names, limits.depth);
        Self {
            envelope,
            time: TimeFormat::default(),
            version: settings.version.clone(),
            names_model: settings.names_model,
        }
    }

    /// Reads an event: which half it is.
    ///
    /// # Errors
    /// An event that is none of the logger.
    pub fn read(
        &mut self,
        value: &[u8],
        headers: Option<&dyn Headers>,
        bodies: &mut Bodies,
        into: &mut Inference,
    ) -> Result<Found, Reject> {
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
        let ts = self.time.text(time)?;
        let model = self.attribute("inferenceservicename").filter(|_| self.names_model);
        id.clone_into(&mut into.id);
        into.half(side).begin(ts, &self.version().unwrap_or_default(), model.unwrap_or_default());
        bodies.read(self.envelope.data(&place, value), id, side, into.half(side))?;
        Ok(Found::Half(side))
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.envelope.attribute(name)
    }

    /// The version that the event's attributes name.
    fn version(&self) -> Option<Cow<'_, str>> {
        match &self.version {
            Version::Response | Version::Parameter(_) => None,
            Version::Fixed(version) => Some(Cow::Borrowed(version.as_str())),
            Version::Attribute(name) => self.attribute(name).map(Cow::Borrowed),
            Version::Metadata(name) => named(self.attribute(METADATA)?, name).map(Cow::Owned),
            Version::Annotation(name) => named(self.attribute(ANNOTATIONS)?, name).map(Cow::Owned),
        }
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
