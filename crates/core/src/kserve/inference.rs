//! What was read of one message: the halves of an inference and its id, in memory that the next message reuses.

use super::pairs::{Half, Side};

#[derive(Debug, Default)]
pub(super) struct Inference {
    pub id: String,
    pub request: Half,
    pub response: Half,
    /// Events by themselves, in JSON, each with a line feed behind it.
    pub event: Vec<u8>,
}

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Half(Side),
    /// A request and its response.
    Both,
    /// So many events by themselves.
    Events(usize),
}

impl Inference {
    pub fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }
}
