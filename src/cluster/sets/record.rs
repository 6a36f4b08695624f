//! The records of a document: parts that brokers take.

use serde::{Deserialize, Serialize};

use crate::transaction::Record;

/// So many bytes are one record: brokers take 1 MB unless told otherwise.
const PART: usize = 800_000;

/// Which part of a set a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Who wrote it.
    pub unit: String,
    pub part: u32,
    pub parts: u32,
}

/// The records of a document that a unit writes to a partition of a topic.
#[must_use]
pub fn records((topic, partition): (&str, i32), unit: &str, document: &[u8]) -> Vec<Record> {
    let parts = u32::try_from(document.len().div_ceil(PART)).unwrap_or(u32::MAX);
    let record = |(part, bytes): (u32, &[u8])| Record {
        topic: topic.to_owned(),
        partition,
        // A key of texts and numbers can be written.
        key: serde_json::to_vec(&Key { unit: unit.to_owned(), part, parts }).unwrap_or_default(),
        payload: Some(bytes.to_vec()),
    };
    (0..parts).zip(document.chunks(PART)).map(record).collect()
}
