//! What a transaction carries, and how it ends.

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything in it is durable.
    Done,
    /// Nothing in it is durable, and the same may be tried again by the same producer.
    Refused(String),
    /// Nothing in it is durable, and others keep this producer from writing: it must never be used again.
    Ended(String),
    /// Whether it is durable is not known; the producer must never be used again.
    Unknown(String),
}

/// A record of a transaction. Without a payload it deletes what its key had, where the topic is compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub key: Vec<u8>,
    pub payload: Option<Vec<u8>>,
}

impl Record {
    /// Its bytes, as far as limits count them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.key.len() + self.payload.as_ref().map_or(0, Vec::len)
    }
}

/// An offset that is committed with the records: a sequence number, and a text of up to 4,096 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimAt {
    pub topic: String,
    pub partition: i32,
    pub seq: u64,
    pub metadata: String,
}
