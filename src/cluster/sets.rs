//! Documents of any length in a topic of several writers: a set is the records of one document, in parts of its own transaction, and the sets of
//! several writers stand between each other.
//!
//! `record` makes records of a document, `gather` documents of records, `tail` reads a partition of them.

mod gather;
mod record;
mod tail;

pub use gather::Arrived;
#[cfg(test)]
pub use gather::read;
pub use record::records;
pub use tail::{SetsError, Tail, Unreadable, reader};
