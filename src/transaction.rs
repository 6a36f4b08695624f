//! Kafka transactions: records and a committed offset, all of it or nothing, by a producer that others can keep from writing.
//!
//! `types` is what a transaction carries and how it ends, `producer` carries it out, `client` makes the client and fences.

mod client;
mod error;
mod producer;
mod types;

pub use client::fence;
pub use error::TransactionError;
pub use producer::Producer;
pub use types::{ClaimAt, Outcome, Record};
