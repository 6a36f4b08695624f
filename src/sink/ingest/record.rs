//! An event on its way to a topic, and why it was not taken.

use std::path::PathBuf;

use tokio::sync::oneshot;

/// What the path of every source begins with.
pub const UNDER: &str = "/events/";

/// Where events of a source are taken over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestConfig {
    /// What follows `/events/` in the path.
    pub name: String,
    /// The file with the token that callers send; without it everybody may post who reaches the port.
    pub token_file: Option<PathBuf>,
    /// The longest body, in bytes.
    pub body_bytes: usize,
}

/// One event, as it becomes a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub value: Vec<u8>,
}

/// Why an event was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It was not sent, and can be sent later.
    Busy(String),
    /// The topic takes no record of its size.
    TooLarge(String),
    /// It was not acknowledged: whether it is in the topic is not known.
    Unacknowledged(String),
}

/// What becomes of a record: told once.
pub(super) type Told = oneshot::Sender<Result<(), NotTaken>>;
