//! The audit log: who changed what, as records that are only ever appended. Each is kept as the bytes it was written
//! with and names the SHA-256 of the record before it, so that a change in the middle is detected. A chain alone detects neither a
//! cut tail nor a log that was rewritten as a whole: signed checkpoints, of which copies are kept elsewhere, do.
//!
//! [`event`] has everything that is recorded, [`sentence`] its text for people. [`chain`] makes records, [`signed_head`] signs the number and
//! hash of the last one, [`verify`] checks all of them. [`state`] has the content of a registry that follows from the records (by [`replay`]),
//! as [`fact`]s that are compared with its tables. This module does not store records.

pub mod chain;
pub mod event;
pub mod fact;
pub mod names;
pub mod replay;
pub mod sentence;
pub mod signed_head;
pub mod state;
pub mod verify;

pub use chain::{Entry, GENESIS, Head, LogRow, Record, Stored, append};
pub use event::Event;
pub use signed_head::{KeyError, PublicKey, PublicKeys, SignedHead, Signer, verify_head};
pub use verify::{Anchored, Problem, Report, verify};
