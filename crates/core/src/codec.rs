//! How values become bytes and text: digests, times, numbers for JSON and for people.

pub mod hash;
pub mod number;
pub mod time;
