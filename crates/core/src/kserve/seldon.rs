//! Messages of Seldon Core 2's topics: bodies of the Open Inference Protocol as Protobuf, requests on `….inputs` and responses on `….outputs`, with
//! or without Confluent's frame. They are written anew as JSON, and read as such bodies are. Source: the messages `ModelInferRequest` and
//! `ModelInferResponse` of the protocol's gRPC definition, and the data gateways of Seldon Core 2. `logger` reads what Seldon Core 1 logs.

mod contents;
pub(super) mod logger;
mod messages;
#[cfg(test)]
mod tests;

use super::body::Bodies;
use super::inference::{Found, Inference};
use super::oip::OipBodies;
use super::pairs::Side;
use crate::decode::Reason;
use crate::decode::Reject;
use crate::decode::cloudevents::Headers;
use crate::decode::framing::unframed_protobuf;
use crate::decode::protobuf::cursor::Cursor;
use crate::event::Limits;

/// Reads the messages of one topic. Both kinds have the same fields under other names: only the topic tells them apart.
#[derive(Debug)]
pub(super) struct SeldonMessages {
    bodies: OipBodies,
    side: Side,
    depth: usize,
    /// A message as JSON.
    json: Vec<u8>,
}

impl SeldonMessages {
    pub fn new(bodies: OipBodies, is_responses: bool, limits: Limits) -> Self {
        let side = if is_responses { Side::Response } else { Side::Request };
        Self { bodies: bodies.keyed(), side, depth: limits.depth, json: Vec::new() }
    }

    /// Reads a message, of a record with these headers and time (ms): which half it is.
    ///
    /// # Errors
    /// What is no message of this side, and one without an id or a time.
    pub fn read(
        &mut self,
        value: &[u8],
        headers: Option<&dyn Headers>,
        record_ts: Option<i64>,
        bodies: &mut Bodies,
        into: &mut Inference,
    ) -> Result<Found, Reject> {
        self.json.clear();
        write(value, self.side, self.depth, &mut self.json)?;
        self.bodies.read(&self.json, headers.and_then(request_id), record_ts, bodies, into)
    }
}

/// A message with or without a frame as the JSON that the protocol has for it, nested no deeper than `depth`.
///
/// # Errors
/// What is no message of this side.
pub fn as_json(value: &[u8], is_response: bool, depth: usize) -> Result<Vec<u8>, Reject> {
    let mut json = Vec::new();
    let side = if is_response { Side::Response } else { Side::Request };
    write(value, side, depth, &mut json)?;
    Ok(json)
}

/// Appends a message with or without a frame as JSON.
fn write(value: &[u8], side: Side, depth: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
    // No message begins with the number of a field that there is not.
    let value = match value.first() {
        Some(0 | 1) => unframed_protobuf(value, None)?.value,
        _ => value,
    };
    messages::write(Cursor::new(value, depth), side, out).map_err(|e| {
        if e.reason == Reason::NotInference {
            return e;
        }
        let detail = format!("the message is no inference {} as Protobuf: {}", side.name(), e.detail);
        Reject::new(Reason::NotInference, detail)
    })
}

/// What the header says, or the end of a key `PARTITION.RESOURCE.REQUEST`.
fn request_id(headers: &dyn Headers) -> Option<&[u8]> {
    let named = headers.header(c"x-request-id").filter(|id| !id.is_empty());
    named.or_else(|| headers.key()?.rsplit(|byte| *byte == b'.').next())
}
