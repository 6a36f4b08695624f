//! The audit log: who changed what, as records that are only ever appended. Each is kept as the bytes it was written
//! with and names the SHA-256 of the record before it, so a change in the middle shows. A chain alone shows neither a
//! cut tail nor a log that was rewritten as a whole: signed checkpoints, kept elsewhere too, do.
//!
//! [`event`] is everything that is recorded, [`sentence`] how it reads. [`chain`] makes records, [`signed_head`] signs where the
//! log stands, [`verify`] checks all of it; [`state`] is what follows from the records (by [`replay`]), as [`fact`]s to be held
//! against what a registry has. Where records are kept is no business of this module.

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
