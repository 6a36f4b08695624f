//! Messages of Seldon Core 2's topics: bodies of the Open Inference Protocol as Protobuf, requests on `….inputs` and responses on `….outputs`, with
//! or without Confluent's frame. They are written anew as JSON, and read as such bodies are. Source: the messages `ModelInferRequest` and
//! `ModelInferResponse` of the protocol's gRPC definition, and the data gateways of Seldon Core 2.

mod messages;
#[cfg(test)]
mod tests;

use prost::Message as _;

use super::oip::OipBodies;
use super::pairs::{Found, Side};
use crate::decode::cloudevents::Headers;
use crate::decode::framing::unframed_protobuf;
use crate::decode::{Reason, Reject};
use messages::{Request, Response};

/// Reads the messages of one topic. Both kinds have the same fields under other names: only the topic tells them apart.
#[derive(Debug)]
pub(super) struct SeldonMessages {
    bodies: OipBodies,
    side: Side,
}

impl SeldonMessages {
    pub fn new(bodies: OipBodies, is_responses: bool) -> Self {
        Self { bodies: bodies.keyed(), side: if is_responses { Side::Response } else { Side::Request } }
    }

    /// Reads a message, of a record with these headers and time (ms): its id, and the half that it is.
    ///
    /// # Errors
    /// What is no message of this side, and one without an id or a time.
    pub fn read(
        &self,
        value: &[u8],
        headers: Option<&dyn Headers>,
        record_ts: Option<i64>,
    ) -> Result<(String, Found), Reject> {
        // No message begins with the number of a field that there is not.
        let value = match value.first() {
            Some(0 | 1) => unframed_protobuf(value, None)?.value,
            _ => value,
        };
        let body = match self.side {
            Side::Request => Request::decode(value).map_err(|e| unread(&e, "request")).and_then(Request::body),
            Side::Response => Response::decode(value).map_err(|e| unread(&e, "response")).and_then(Response::body),
        }?;
        self.bodies.read(body.to_string().as_bytes(), headers.and_then(request_id), record_ts)
    }
}

/// What the header says, or the end of a key `PARTITION.RESOURCE.REQUEST`.
fn request_id(headers: &dyn Headers) -> Option<&[u8]> {
    let named = headers.header(c"x-request-id").filter(|id| !id.is_empty());
    named.or_else(|| headers.key()?.rsplit(|byte| *byte == b'.').next())
}

fn unread(e: &prost::DecodeError, what: &str) -> Reject {
    let detail = format!("the message is no inference {what} as Protobuf: {e}");
    Reject::new(Reason::NotInference, detail)
}
