//! Where events come from: files (`columns` for Parquet and CSV, `jsonl` for JSON lines, both behind `files`) and `kafka`.
//! `prometheus` polls measurements.

pub mod columns;
pub mod files;
pub mod jsonl;
pub mod kafka;
pub mod options;
pub mod prometheus;

#[cfg(test)]
mod tests;
