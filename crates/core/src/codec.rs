//! How values become bytes and text: the envelope of binary files, bytes that are kept once, digests, what envelopes' signatures are over, exact decimals, times, and
//! numbers for JSON and for people.

pub mod chunk;
pub mod decimal;
pub mod dsse;
pub mod envelope;
pub mod hash;
pub mod number;
pub mod time;
